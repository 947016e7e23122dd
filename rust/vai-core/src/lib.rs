//! The engine of vai: a durable, queryable copy of Kubernetes resources in `SQLite`.

pub mod feed;
pub mod field;
pub mod gvr;
pub mod object;
pub mod redact;
pub mod rv;
pub mod selector;
