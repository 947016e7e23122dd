//! The feed from outside: bytes in, items and events out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

mod dropped;
mod list;
mod properties;
mod redaction;
mod support;
mod watch;
