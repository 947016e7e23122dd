//! The engine's errors as classes of `vai.errors`: one match, total by the compiler.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use vai_core::Error;
use vai_core::feed::FeedError;

/// What a class of `vai.errors` is made of.
struct Parts {
    class: &'static str,
    message: String,
    details: Vec<(&'static str, Detail)>,
}

enum Detail {
    Number(Option<i64>),
    Text(Option<String>),
    Texts(Vec<String>),
}

/// A result of the engine on its way to Python.
pub(crate) trait IntoPyResult<T> {
    fn py(self) -> PyResult<T>;
}

impl<T> IntoPyResult<T> for vai_core::Result<T> {
    fn py(self) -> PyResult<T> {
        self.map_err(|error| Python::attach(|py| raise(py, error)))
    }
}

fn raise(py: Python<'_>, error: Error) -> PyErr {
    let parts = parts(error);
    match build(py, &parts) {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    }
}

fn build<'py>(py: Python<'py>, parts: &Parts) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("vai.errors")?.getattr(parts.class)?;
    let details = PyDict::new(py);
    for (name, detail) in &parts.details {
        match detail {
            Detail::Number(number) => details.set_item(name, number)?,
            Detail::Text(text) => details.set_item(name, text)?,
            Detail::Texts(texts) => details.set_item(name, PyList::new(py, texts)?)?,
        }
    }
    class.call((&parts.message,), Some(&details))
}

fn parts(error: Error) -> Parts {
    let message = error.to_string();
    let plain = |class| (class, Vec::new());
    let number = |value: i64| Detail::Number(Some(value));
    let (class, details) = match error {
        Error::Invalid(_) => plain("InvalidRequestError"),
        Error::Cursor(_) => plain("InvalidCursorError"),
        Error::Selector { position, .. } => {
            let position = i64::try_from(position).unwrap_or(i64::MAX);
            ("InvalidSelectorError", vec![("position", number(position))])
        }
        Error::Expression { position, text, .. } => {
            ("InvalidExpressionError", place(Some(position), text))
        }
        Error::UnknownField { nearest, position, text, .. } => {
            let mut details = place(position, text);
            details.push(("nearest", Detail::Texts(nearest)));
            ("UnknownFieldError", details)
        }
        Error::UnknownResource { nearest, .. } => {
            ("UnknownResourceError", vec![("nearest", Detail::Texts(nearest))])
        }
        Error::NotFound(_) => plain("NotFoundError"),
        Error::NotSynced(_) => plain("NotSyncedError"),
        Error::NotKept { scopes, .. } => ("NotKeptError", vec![("scopes", Detail::Texts(scopes))]),
        Error::Stale(_) => plain("StaleError"),
        Error::Expired { oldest_seq, .. } => {
            ("ExpiredError", vec![("oldest_seq", number(oldest_seq))])
        }
        Error::QueryTimeout(_) => plain("QueryTimeoutError"),
        Error::Interrupted => plain("VaiError"),
        Error::WriterRunning { pid, .. } => {
            ("WriterRunningError", vec![("pid", Detail::Number(pid.map(i64::from)))])
        }
        Error::ConsumerBusy { pid, .. } => {
            ("ConsumerBusyError", vec![("pid", Detail::Number(pid.map(i64::from)))])
        }
        Error::OtherCluster(_) => plain("OtherClusterError"),
        Error::NotAVaiFile(_) => plain("NotAVaiFileError"),
        Error::SchemaTooNew(_) => plain("SchemaTooNewError"),
        Error::Corrupt(_) => plain("CorruptError"),
        Error::DiskFull(_) => plain("DiskFullError"),
        Error::ReadOnly(_) => plain("ReadOnlyError"),
        Error::Forked { .. } => plain("ForkedError"),
        Error::Closed => plain("ClosedError"),
        Error::Feed(error) => ("VaiError", feed_details(error)),
        Error::Internal(_) => plain("FileError"),
    };
    Parts { class, message, details }
}

/// Where something is in a text, in characters; the engine counts bytes.
fn place(position: Option<usize>, text: String) -> Vec<(&'static str, Detail)> {
    let Some(position) = position else { return Vec::new() };
    let before = text.get(..position).map_or(position, |before| before.chars().count());
    let mut details = vec![("position", Detail::Number(i64::try_from(before).ok()))];
    if !text.is_empty() {
        details.push(("text", Detail::Text(Some(text))));
    }
    details
}

/// A Status that came instead of a list is told apart from bytes that make no sense.
fn feed_details(error: FeedError) -> Vec<(&'static str, Detail)> {
    let text = |value: &str| Detail::Text(Some(value.to_owned()));
    match error {
        FeedError::Status { code, reason, message } => vec![
            ("kind", text("status")),
            ("code", Detail::Number(code.map(i64::from))),
            ("reason", Detail::Text(reason)),
            ("message", Detail::Text(Some(message))),
        ],
        _ => vec![("kind", text("malformed"))],
    }
}
