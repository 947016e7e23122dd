//! The engine of vai: a durable, queryable copy of Kubernetes resources in `SQLite`.
//!
//! Bytes of a list or watch response go through [`feed`] into a [`store`], which keeps them as
//! compressed bodies ([`codec`]) with rows to find them by; [`query`] and [`history`] read them.

pub mod codec;
pub mod consumers;
pub mod db;
pub mod error;
pub mod export;
pub mod expr;
pub mod extract;
pub mod feed;
pub mod field;
pub mod gvr;
pub mod history;
pub mod http;
pub mod nearest;
pub mod object;
pub mod path;
mod postings;
pub mod query;
pub mod redact;
pub mod relations;
pub mod rv;
pub mod selector;
pub mod store;
pub mod value;

pub use error::{Error, Result};
