//! Watch streams.
use super::{FeedError, FeedOptions, Item};

/// One event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The object is new to this watch.
    Added(Item),
    /// The object changed.
    Modified(Item),
    /// The object is gone; this is its last state.
    Deleted(Item),
    /// Nothing older than this version will come.
    Bookmark {
        /// The version reached.
        resource_version: String,
        /// The bookmark ends the initial events (`sendInitialEvents=true`).
        initial_events_end: bool,
    },
    /// The server ended the watch.
    Error {
        /// The Status object, JSON as sent.
        status: Vec<u8>,
        /// HTTP code of the Status, 410 for an expired version.
        code: Option<u16>,
        /// Machine-readable reason.
        reason: Option<String>,
    },
    /// `columnDefinitions` of a Table, JSON as sent; comes before the first row's event.
    Columns(Vec<u8>),
    /// A frame that cannot be used; the watch goes on behind it.
    Malformed {
        /// The frame's beginning, bounded; empty where the scope is redacted.
        excerpt: String,
        /// What is wrong.
        problem: String,
        /// `namespace/name` where it could be read.
        key: Option<String>,
    },
}

/// Reads one watch response.
#[derive(Debug)]
pub struct WatchFeed {}

impl WatchFeed {
    /// A feed for one response.
    #[must_use]
    pub fn new(_options: &FeedOptions) -> Self {
        Self {}
    }

    /// Takes the next bytes of the response and gives the events that became complete.
    pub fn push<E: From<FeedError>>(
        &mut self,
        _chunk: &[u8],
        _sink: &mut dyn FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        todo!()
    }

    /// Says that the response has ended; inside a frame that is an error.
    pub fn finish(&mut self) -> Result<(), FeedError> {
        todo!()
    }
}
