//! Answers of HTTP/1.1 (RFC 9112), taken apart as their bytes come: `httparse` reads the head and
//! the sizes of chunks, this puts them together. It opens no connection and sends nothing.

mod answer;

pub use self::answer::{Answer, Head, HttpError};
