//! One WATCH stream of a scope.
//!
//! The events of a chunk, and the resourceVersion that they lead to, become one job: rows and
//! checkpoint are committed together. A bookmark alone is not worth a commit: it waits for the
//! next event, or 30 seconds.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::apply::{Origin, Writer};
use super::prepare::{Prepared, prepare};
use super::writer::Job;
use super::{Inner, scopes};
use crate::db::live::unix_ms;
use crate::error::{Error, Result};
use crate::feed::{Event, FeedOptions, Item, WatchFeed};

/// Storage decision: checkpoints that cover no rows coalesce to 30 s.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(30);

/// What one chunk contained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub events: u64,
    pub bookmarks: u64,
    /// The last one seen on this stream; empty before the first.
    pub resource_version: String,
    pub initial_events_end: bool,
    /// Status of an ERROR event, JSON as sent: the stream is over.
    pub status: Option<Vec<u8>>,
    pub malformed: Option<String>,
}

enum Change {
    Put(Prepared),
    Delete(Prepared),
}

/// See the module.
pub struct Watching {
    inner: Arc<Inner>,
    scope: i64,
    resource: i64,
    options: FeedOptions,
    feed: WatchFeed,
    resource_version: String,
    /// A malformed frame was met: the checkpoint must not move past it.
    suspect: bool,
    failed: Arc<Mutex<Option<Error>>>,
}

impl Watching {
    pub(super) fn begin(inner: Arc<Inner>, scope: i64, gzip: bool) -> Result<Self> {
        inner.writer()?;
        let (resource, options) = inner.feed_options(scope)?;
        let options = FeedOptions { gzip, ..options };
        inner.shared.trust(scope);
        let feed = WatchFeed::new(&options);
        Ok(Self {
            inner,
            scope,
            resource,
            options,
            feed,
            resource_version: String::new(),
            suspect: false,
            failed: Arc::default(),
        })
    }

    pub fn push(&mut self, chunk: &[u8]) -> Result<Progress> {
        self.inner.check()?;
        if let Some(error) = self.failed.lock().clone() {
            return Err(error);
        }
        let mut events = Vec::new();
        self.feed.push(chunk, &mut |event| -> Result<()> {
            events.push(event);
            Ok(())
        })?;
        let mut progress = Progress::default();
        let mut changes = Vec::new();
        let mut encoder = None;
        for event in events {
            match event {
                Event::Added(item) | Event::Modified(item) => {
                    progress.events += 1;
                    changes.push(Change::Put(self.prepare(item, &mut encoder)?));
                }
                Event::Deleted(item) => {
                    progress.events += 1;
                    changes.push(Change::Delete(self.prepare(item, &mut encoder)?));
                }
                Event::Bookmark { resource_version, initial_events_end } => {
                    progress.bookmarks += 1;
                    progress.initial_events_end |= initial_events_end;
                    self.resource_version = resource_version;
                }
                Event::Error { status, .. } => progress.status = Some(status),
                Event::Columns(columns) => self.inner.put_columns(self.resource, &columns)?,
                Event::Malformed { problem, key, .. } => {
                    let at = key.map(|key| format!(" ({key})")).unwrap_or_default();
                    progress.malformed = Some(format!("malformed watch event{at}: {problem}"));
                }
            }
        }
        self.send(changes, &progress)?;
        progress.resource_version.clone_from(&self.resource_version);
        Ok(progress)
    }

    /// The stream ended; inside a frame that is an error.
    pub fn finish(&mut self) -> Result<()> {
        Ok(self.feed.finish()?)
    }

    fn prepare(
        &mut self,
        item: Item,
        encoder: &mut Option<crate::codec::Encoder>,
    ) -> Result<Prepared> {
        self.resource_version.clone_from(&item.resource_version);
        let encoder = encoder.get_or_insert_with(|| self.inner.shared.codec.encoder(self.resource));
        prepare(item, &self.options.fields, encoder)
    }

    fn send(&mut self, changes: Vec<Change>, progress: &Progress) -> Result<()> {
        let shared = Arc::clone(&self.inner.shared);
        let bookmark_due =
            progress.bookmarks > 0 && shared.checkpoint_due(self.scope, BOOKMARK_INTERVAL);
        if changes.is_empty() && !bookmark_due && progress.malformed.is_none() {
            return Ok(());
        }
        let malformed = progress.malformed.clone();
        self.suspect |= malformed.is_some();
        let rv = (!self.suspect && !self.resource_version.is_empty())
            .then(|| self.resource_version.clone());
        let scope = self.scope;
        let bytes = changes.iter().map(Change::bytes).sum();
        let failed = Arc::clone(&self.failed);
        let proven_ms = shared.proof_unix_ms(scope, unix_ms());
        self.inner.writer()?.send(Job {
            work: Some(Box::new(move |writer| {
                apply(writer, scope, &changes, rv, malformed, proven_ms)
            })),
            done: Box::new(move |outcome| {
                if let Err(error) = outcome {
                    shared.distrust(scope);
                    failed.lock().get_or_insert(error);
                }
            }),
            bytes,
            alone: false,
        })
    }
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(row) | Self::Delete(row) => row.body.len(),
        }
    }
}

fn apply(
    writer: &mut Writer<'_>,
    scope: i64,
    changes: &[Change],
    rv: Option<String>,
    malformed: Option<String>,
    proven_ms: Option<i64>,
) -> Result<()> {
    for change in changes {
        match change {
            Change::Put(row) => {
                writer.upsert(scope, row, Origin::WATCH)?;
            }
            Change::Delete(row) => writer.delete(scope, row, Origin::WATCH)?,
        }
    }
    let state = writer.state.scope(scope)?;
    state.dirty = true;
    state.proven_ms = proven_ms.or(state.proven_ms);
    if let Some(reason) = malformed {
        state.void_reason = Some(reason);
        return scopes::end_segment(writer, scope);
    }
    if rv.is_some() && state.void_reason.is_none() {
        state.rv = rv;
    }
    Ok(())
}
