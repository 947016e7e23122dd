//! Everything that can go wrong in the engine, one variant for each thing a caller does
//! differently. `vai-py` maps each to one class of `vai.errors`; the messages are complete
//! sentences for a person: what was wrong, where, and what to do.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::feed::FeedError;
use crate::selector::SelectorError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(String),
    #[error("{message}")]
    Selector { message: String, position: usize },
    #[error("{message}")]
    UnknownField { message: String, nearest: Vec<String> },
    #[error("{message}")]
    UnknownResource { message: String, nearest: Vec<String> },
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    NotSynced(String),
    #[error("{message}")]
    NotKept { message: String, scopes: Vec<String> },
    #[error("{message}")]
    Expired { message: String, oldest_seq: i64 },
    #[error(
        "the query passed its deadline of {0:.1} s and was interrupted; narrow it or raise query_timeout_s"
    )]
    QueryTimeout(f64),
    #[error("{message}")]
    WriterRunning { message: String, pid: Option<i32> },
    #[error("{0}")]
    OtherCluster(String),
    #[error("{0}")]
    NotAVaiFile(String),
    #[error("{0}")]
    SchemaTooNew(String),
    #[error("{0}")]
    Corrupt(String),
    #[error("{0}")]
    DiskFull(String),
    #[error("{0}")]
    ReadOnly(String),
    #[error(
        "this file was opened by process {opened_by}, but is used by its forked child {child}; open it again after the fork (with gunicorn: in a post_fork hook, or without --preload)"
    )]
    Forked { opened_by: u32, child: u32 },
    #[error("the file is closed")]
    Closed,
    #[error(transparent)]
    Feed(FeedError),
    /// Whatever `SQLite` or the system says that no caller can act upon.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    pub(crate) fn internal(what: impl std::fmt::Display) -> Self {
        Self::Internal(what.to_string())
    }

    /// An I/O error on `path`, sorted by what a person has to do about it.
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        let at = path.display();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull(
                format!("{at}: no space left on the device; free some, nothing committed is lost"),
            ),
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly(format!(
                    "{at}: {error}; choose a file in a folder that you can write"
                ))
            }
            std::io::ErrorKind::NotFound => Self::NotFound(format!("{at}: no such file or folder")),
            _ => Self::Internal(format!("{at}: {error}")),
        }
    }
}

impl From<SelectorError> for Error {
    fn from(error: SelectorError) -> Self {
        Self::Selector { position: error.position, message: error.message }
    }
}

impl From<FeedError> for Error {
    fn from(error: FeedError) -> Self {
        Self::Feed(error)
    }
}

/// `SQLite`'s result codes by what they ask of the caller (<https://sqlite.org/rescode.html>).
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error_code() else {
            return Self::Internal(error.to_string());
        };
        let text = error.to_string();
        match code {
            ErrorCode::DiskFull => Self::DiskFull(
                "no space left on the device of the cluster file; free some, nothing committed is lost".into(),
            ),
            ErrorCode::DatabaseCorrupt => Self::Corrupt(format!(
                "the cluster file is damaged ({text}); restore a backup, or remove it and sync again"
            )),
            ErrorCode::NotADatabase => {
                Self::NotAVaiFile(format!("not a vai cluster file ({text}); it was not touched"))
            }
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
                Self::ReadOnly(format!("the cluster file can't be opened or written: {text}"))
            }
            ErrorCode::SystemIoFailure => io_failure(&error, &text),
            ErrorCode::OperationInterrupted => Self::QueryTimeout(0.0),
            _ => Self::Internal(text),
        }
    }
}

/// A write that fails for want of space in the middle of a file system's own work comes as IOERR.
fn io_failure(error: &rusqlite::Error, text: &str) -> Error {
    const IOERR_WRITE: i32 = 778;
    const IOERR_SHMSIZE: i32 = 4874;
    if let rusqlite::Error::SqliteFailure(cause, _) = error
        && matches!(cause.extended_code, IOERR_WRITE | IOERR_SHMSIZE)
    {
        return Error::DiskFull(format!(
            "the cluster file can't be written ({text}): the device is full or failing; nothing committed is lost"
        ));
    }
    Error::Internal(format!("input/output error on the cluster file: {text}"))
}
