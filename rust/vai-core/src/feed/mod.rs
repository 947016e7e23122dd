//! Bytes of list and watch responses in, objects ready to store out.
//!
//! Push-based and incremental: chunks may be cut anywhere, memory is one object plus buffers
//! whatever the size of the response. Nothing is re-serialised: a body is a slice of what the
//! server sent.

mod ends;
mod gunzip;
mod item;
pub(crate) mod json;
mod list;
mod watch;

use std::sync::Arc;

pub use self::list::{ListFeed, PageMeta};
pub use self::watch::{Event, MAX_EXCERPT_BYTES, WatchFeed};
use crate::field::FieldSet;
use crate::object::Owner;
use crate::path::Path;
use crate::redact::Redaction;
use crate::value::Value;

/// One object, ready to store; it owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `metadata.namespace`; `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// `metadata.creationTimestamp` as sent.
    pub created: Option<String>,
    /// `metadata.labels`, sorted by key; of a duplicate key the last one.
    pub labels: Vec<(String, String)>,
    /// `metadata.ownerReferences`
    pub owners: Vec<Owner>,
    /// (position in the [`FieldSet`], value), ascending; fields without a value are absent, of a
    /// many-valued field there are several.
    pub fields: Vec<(u16, Value)>,
    /// (position, how many values of it can't be read as its type).
    pub invalid: Vec<(u16, u32)>,
    /// The object's JSON as sent, with `kind` and `apiVersion` put first when they are lacking,
    /// and redacted as the options say.
    pub body: Vec<u8>,
    /// The JSON array of the Table row's cells as sent; `None` outside Tables.
    pub cells: Option<Vec<u8>>,
}

impl Item {
    /// `namespace/name`, or `name` for cluster-scoped objects.
    #[must_use]
    pub fn key(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// What a feed has to know of the resource it reads.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// The response is compressed (`Content-Encoding: gzip`).
    pub gzip: bool,
    /// Put into list items, which come without it.
    pub kind: String,
    /// Put into list items, which come without it.
    pub api_version: String,
    /// What may be kept of an object.
    pub redact: Redaction,
    /// What is left out of every object.
    pub drop: Arc<[Path]>,
    /// The resource can't be watched. Its objects may lack uid and resourceVersion: they are given
    /// a uid made of their key and a resourceVersion made of their bytes, which is no number.
    pub polled: bool,
    /// The fields to extract.
    pub fields: Arc<FieldSet>,
    /// A longer object is an error.
    pub max_object_bytes: usize,
}

impl FeedOptions {
    /// A longer object is an error: forty times what etcd takes in one request (1.5 MiB,
    /// `--max-request-bytes`, <https://etcd.io/docs/v3.6/dev-guide/limit/>), so that only a
    /// damaged or foreign stream meets it.
    pub const MAX_OBJECT_BYTES: usize = 64 << 20;

    /// Options for a resource whose objects are kept as they are, without fields.
    #[must_use]
    pub fn new(kind: &str, api_version: &str) -> Self {
        Self {
            gzip: false,
            kind: kind.to_owned(),
            api_version: api_version.to_owned(),
            redact: Redaction::None,
            drop: Arc::default(),
            polled: false,
            fields: Arc::default(),
            max_object_bytes: Self::MAX_OBJECT_BYTES,
        }
    }
}

/// Buffers up to this size are kept for the next object that a chunk cuts.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// Empties a buffer for its next use, and gives the memory of an unusually large one back.
fn keep_buffer(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_BUFFER_BYTES);
}

/// Why a response cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The bytes are not the JSON that was expected.
    #[error("malformed response at byte {position}: {problem}")]
    Malformed {
        /// Byte offset in the (decompressed) response.
        position: u64,
        /// What is wrong there.
        problem: String,
    },
    /// The response ended too early.
    #[error("the response was cut off at byte {position}: {problem}")]
    Truncated {
        /// Bytes of the (decompressed) response that arrived.
        position: u64,
        /// What was missing.
        problem: String,
    },
    /// One object is longer than `max_object_bytes`.
    #[error("the object at byte {position} is longer than {limit_bytes} bytes")]
    TooLarge {
        /// Byte offset of the object's first byte.
        position: u64,
        /// The limit.
        limit_bytes: usize,
    },
    /// The server answered with a Status instead of a list.
    #[error("{message}")]
    Status {
        /// HTTP code of the Status.
        code: Option<u16>,
        /// Machine-readable reason, for example `Expired`.
        reason: Option<String>,
        /// The server's message.
        message: String,
    },
    /// The response is some other object.
    #[error("expected a list, got {kind:?}")]
    NotAList {
        /// Its `kind`.
        kind: String,
    },
    /// The compressed stream is damaged.
    #[error("damaged gzip stream: {problem}")]
    Gzip {
        /// The decoder's words.
        problem: String,
    },
}
