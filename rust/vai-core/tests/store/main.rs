//! A cluster file from outside: bytes of lists and watches in, rows and changes out, compared with
//! a naive model after every step.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

mod bookmarks;
mod bytes;
mod changes;
mod commits;
mod consumers;
mod dropped;
mod faults;
mod fields;
mod file;
mod formats;
mod handles;
mod histories;
mod lists;
mod model;
mod odd;
mod queries;
mod scanned;
mod secrets;
mod selfcheck;
mod steve;
mod streams;
