//! Everything that can go wrong in the engine, one variant for each thing a caller does
//! differently. `vai-py` maps each to one class of `vai.errors`; the messages are complete
//! sentences for a person: what was wrong, where, and what to do.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::expr::ExprError;
use crate::feed::FeedError;
use crate::selector::SelectorError;

/// What the engine's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// See the module.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A label or field selector that can't be read.
    #[error("{message}")]
    Selector {
        /// In apimachinery's words where it has any.
        message: String,
        /// Where something is wrong, in characters.
        position: usize,
    },
    /// An expression, a sort key or a parameter that can't be read or makes no sense.
    #[error("{message}")]
    Expression {
        /// What was found, what was expected, what to do.
        message: String,
        /// Byte offset of what is wrong.
        position: usize,
        /// In which text; empty where the caller gave but one.
        text: String,
    },
    /// A cursor of another file, query or release, or none at all.
    #[error("{0}")]
    Cursor(String),
    /// A field that the kind does not have.
    #[error("{message}")]
    UnknownField {
        /// With the fields that there are.
        message: String,
        /// Byte offset of its name, where it stands in a text.
        position: Option<usize>,
        /// In which text, as [`Error::Expression`] says it.
        text: String,
        /// Fields with a similar name, best first.
        nearest: Vec<String>,
    },
    /// A resource that was never recorded.
    #[error("{message}")]
    UnknownResource {
        /// With what was asked for.
        message: String,
        /// Resources with a similar name, best first.
        nearest: Vec<String>,
    },
    /// No such file, or nothing of that name in it.
    #[error("{0}")]
    NotFound(String),
    /// A scope covers the question, but no list of it was ever complete.
    #[error("{0}")]
    NotSynced(String),
    /// No scope covers the question, so that nothing is known.
    #[error("{message}")]
    NotKept {
        /// With what is kept.
        message: String,
        /// The scopes of the resource, described.
        scopes: Vec<String>,
    },
    /// What is kept is older than was asked for.
    #[error("{0}")]
    Stale(String),
    /// The history does not reach back to a position, or the position never was durable.
    #[error("{message}")]
    Expired {
        /// With where it begins.
        message: String,
        /// The oldest seq of the running epoch that can be continued.
        oldest_seq: i64,
    },
    /// A read took longer than its limit, in seconds.
    #[error(
        "the query passed its deadline of {0:.1} s and was interrupted; narrow it or raise query_timeout_s"
    )]
    QueryTimeout(f64),
    /// Whoever asked no longer wants to know.
    #[error("interrupted")]
    Interrupted,
    /// Another handle writes the file.
    #[error("{message}")]
    WriterRunning {
        /// With the remedy.
        message: String,
        /// Its process, where the system tells.
        pid: Option<i32>,
    },
    /// Another process, or another loop of this one, is the consumer of that name.
    #[error("{message}")]
    ConsumerBusy {
        /// With the remedy.
        message: String,
        /// Its process, where the system tells.
        pid: Option<i32>,
    },
    /// The file is the copy of another cluster.
    #[error("{0}")]
    OtherCluster(String),
    /// Not a cluster file; it was not touched.
    #[error("{0}")]
    NotAVaiFile(String),
    /// A file of a newer release; it was not touched.
    #[error("{0}")]
    SchemaTooNew(String),
    /// The file is damaged.
    #[error("{0}")]
    Corrupt(String),
    /// No space for a write; nothing committed is lost.
    #[error("{0}")]
    DiskFull(String),
    /// The file or its folder can't be written, or the handle only reads.
    #[error("{0}")]
    ReadOnly(String),
    /// The handle belongs to the parent process.
    #[error(
        "this file was opened by process {opened_by}, but is used by its forked child {child}; open it again after the fork (with gunicorn: in a post_fork hook, or without --preload)"
    )]
    Forked {
        /// The process that opened it.
        opened_by: u32,
        /// The process that uses it.
        child: u32,
    },
    /// The handle was closed.
    #[error("the file is closed")]
    Closed,
    /// A response that can't be used.
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

    /// The same, of a part of a text that begins this far into it.
    pub(crate) fn shifted(self, by: usize) -> Self {
        match self {
            Self::Expression { message, position, text } => {
                Self::Expression { message, position: position + by, text }
            }
            Self::UnknownField { message, position, text, nearest } => {
                let position = position.map(|position| position + by);
                Self::UnknownField { message, position, text, nearest }
            }
            other => other,
        }
    }

    /// The same, said to be in this text.
    pub(crate) fn in_text(self, whole: &str) -> Self {
        match self {
            Self::Expression { message, position, .. } => {
                Self::Expression { message, position, text: whole.to_owned() }
            }
            Self::UnknownField { message, position: Some(position), nearest, .. } => {
                let (position, text) = (Some(position), whole.to_owned());
                Self::UnknownField { message, position, text, nearest }
            }
            other => other,
        }
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

    /// An error of `SQLite` while it wrote another file than the cluster file.
    pub(crate) fn of_target(self, path: &Path) -> Self {
        match self {
            Self::DiskFull(_) => Self::DiskFull(format!(
                "{}: no space left on the device; nothing was left there. Free some space, or \
                 choose another one",
                path.display()
            )),
            other => other,
        }
    }
}

impl From<SelectorError> for Error {
    fn from(error: SelectorError) -> Self {
        Self::Selector { position: error.position, message: error.message }
    }
}

impl From<ExprError> for Error {
    fn from(error: ExprError) -> Self {
        Self::Expression { position: error.position, message: error.message, text: String::new() }
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
