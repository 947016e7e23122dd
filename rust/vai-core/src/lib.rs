//! The engine of vai: a durable, queryable copy of Kubernetes resources in `SQLite`.
