//! A streaming list (KEP-3157): a watch that begins with the objects there are, as ADDED events.
//!
//! Until the bookmark that ends them its events fill a list; what comes behind it in the same chunk
//! waits for the watch that the stream then is. Objects may change and go before the bookmark.

use super::Inner;
use super::intake::Intake;
use super::watching::Progress;
use crate::error::Result;
use crate::feed::{Event, FeedOptions, WatchFeed};

/// The stream as far as it is read.
pub(super) struct Streaming {
    pub(super) feed: WatchFeed,
    pub(super) resource: i64,
    /// Of the fields that the feed takes.
    pub(super) edition: i64,
    /// The resourceVersion of the bookmark, once it has come.
    pub(super) end: Option<String>,
    /// What came behind it.
    pub(super) rest: Vec<Event>,
}

impl Streaming {
    pub(super) fn new(inner: &Inner, scope: i64, gzip: bool) -> Result<Self> {
        let (resource, edition, options) = inner.feed_options(scope)?;
        let feed = WatchFeed::new(&FeedOptions { gzip, ..options });
        Ok(Self { feed, resource, edition, end: None, rest: Vec::new() })
    }

    /// Takes response bytes; the objects in them go to the list.
    pub(super) fn take(
        &mut self,
        chunk: &[u8],
        inner: &Inner,
        intake: &Intake,
    ) -> Result<Progress> {
        let mut progress = Progress::default();
        let Self { feed, resource, end, rest, .. } = self;
        feed.push(chunk, &mut |event| -> Result<()> {
            if end.is_some() {
                rest.push(event);
                return Ok(());
            }
            match event {
                Event::Added(item) | Event::Modified(item) => {
                    progress.events += 1;
                    intake.item(item, false)?;
                }
                Event::Deleted(item) => {
                    progress.events += 1;
                    intake.item(item, true)?;
                }
                Event::Bookmark { resource_version, initial_events_end: true } => {
                    progress.bookmarks += 1;
                    progress.initial_events_end = true;
                    progress.resource_version.clone_from(&resource_version);
                    *end = Some(resource_version);
                }
                // It says nothing about a list that is not complete.
                Event::Bookmark { .. } => progress.bookmarks += 1,
                Event::Error { status, .. } => progress.status = Some(status),
                Event::Columns(columns) => inner.put_columns(*resource, &columns)?,
                Event::Malformed { problem, key, .. } => {
                    progress.malformed = Some(super::watching::malformed(key, &problem));
                }
            }
            Ok(())
        })?;
        Ok(progress)
    }
}
