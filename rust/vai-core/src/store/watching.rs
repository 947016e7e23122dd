//! One WATCH stream of a scope.
//!
//! The events of a chunk, and the resourceVersion that they lead to, become one job: rows and
//! checkpoint are committed together. A bookmark alone is not worth a commit: `FILE.live` has it
//! ([`crate::db::live::Quiet`]), until the next event or the file's end brings it into the database.

use std::sync::Arc;

use parking_lot::Mutex;

use super::apply::{Origin, Writer};
use super::beginnings::{Beginning, Touches};
use super::prepare::{Prepared, prepare};
use super::streaming::Streaming;
use super::writer::Job;
use super::{Inner, checkpoint};
use crate::db::live::unix_ms;
use crate::error::{Error, Result};
use crate::feed::{Event, FeedOptions, Item, WatchFeed};

/// What one chunk contained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects added, modified or deleted.
    pub events: u64,
    /// Bookmarks.
    pub bookmarks: u64,
    /// The last one seen on this stream; empty before the first.
    pub resource_version: String,
    /// A bookmark ended the initial events (`sendInitialEvents=true`).
    pub initial_events_end: bool,
    /// Status of an ERROR event, JSON as sent: the stream is over.
    pub status: Option<Vec<u8>>,
    /// What was wrong with a frame; the checkpoint no longer counts, the scope needs a list.
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
    /// The scope's last list when this stream began; a later one makes it void.
    number: u64,
    resource: i64,
    /// Of the fields that the feed takes.
    edition: i64,
    feed: WatchFeed,
    /// What a streaming list left: the first chunk, empty or not, takes it.
    rest: Vec<Event>,
    resource_version: String,
    /// The checkpoint of all that was pushed so far; `None` where it does not count.
    checkpoint: Option<String>,
    /// A malformed frame was met: the checkpoint must not move past it.
    suspect: bool,
    /// A chunk that could not be used: what follows it has no place.
    broken: Option<Error>,
    /// The first batch that could not be committed.
    failed: Arc<Mutex<Option<Error>>>,
}

impl Watching {
    pub(super) fn begin(inner: Arc<Inner>, scope: i64, gzip: bool) -> Result<Self> {
        let Beginning { number, checkpoint, resource, edition, options } =
            beginning(&inner, scope)?;
        let feed = WatchFeed::new(&FeedOptions { gzip, ..options });
        let stream = Streaming { feed, resource, edition, end: None, rest: vec![] };
        Self::at(inner, scope, stream, number, checkpoint)
    }

    /// Goes on with the stream of a list that was published.
    pub(super) fn go_on(inner: Arc<Inner>, scope: i64, stream: Streaming) -> Result<Self> {
        let (number, checkpoint) =
            inner.writer()?.run(Touches::Nothing, move |writer| stands(writer, scope))?;
        Self::at(inner, scope, stream, number, checkpoint)
    }

    fn at(
        inner: Arc<Inner>,
        scope: i64,
        stream: Streaming,
        number: u64,
        checkpoint: Option<String>,
    ) -> Result<Self> {
        if let Some(error) = inner.shared.trust(scope) {
            // Events of an earlier stream were lost, so whoever remembers where it stopped must
            // not go on from there. The next attempt begins at the checkpoint in the file.
            return Err(error);
        }
        let Streaming { feed, resource, edition, end, rest } = stream;
        Ok(Self {
            inner,
            scope,
            number,
            resource,
            edition,
            feed,
            rest,
            resource_version: end.unwrap_or_default(),
            checkpoint,
            suspect: false,
            broken: None,
            failed: Arc::default(),
        })
    }

    /// Takes response bytes; what is complete in them is queued for the writer.
    ///
    /// # Errors
    /// Also those of batches queued before. After any error the stream is of no use any more.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Progress> {
        self.inner.check()?;
        self.check()?;
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let outcome = self.take(chunk);
        self.broken = outcome.as_ref().err().cloned();
        outcome
    }

    fn check(&self) -> Result<()> {
        self.failed.lock().clone().map_or(Ok(()), Err)
    }

    fn take(&mut self, chunk: &[u8]) -> Result<Progress> {
        let mut events = std::mem::take(&mut self.rest);
        self.feed.push(chunk, &mut |event| -> Result<()> {
            events.push(event);
            Ok(())
        })?;
        let mut progress = Progress::default();
        let mut changes = Vec::new();
        let mut encoder = None;
        self.inner.shared.count_events(self.scope, &events);
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
                    progress.malformed = Some(malformed(key, &problem));
                    // With what follows, but without this one, the rows would be of no moment that
                    // ever was. The list that must come now has all of it.
                    break;
                }
            }
        }
        self.send(changes, &progress)?;
        progress.resource_version.clone_from(&self.resource_version);
        Ok(progress)
    }

    /// The stream ended, and all of it is durable: else, and inside a frame, that is an error.
    pub fn finish(&mut self) -> Result<()> {
        self.inner.flush(Some(self.scope))?;
        self.check()?;
        Ok(self.feed.finish()?)
    }

    fn prepare(
        &mut self,
        item: Item,
        encoder: &mut Option<crate::codec::Encoder>,
    ) -> Result<Prepared> {
        self.resource_version.clone_from(&item.resource_version);
        let encoder = encoder.get_or_insert_with(|| self.inner.shared.codec.encoder(self.resource));
        prepare(item, self.edition, Some(encoder))
    }

    fn send(&mut self, changes: Vec<Change>, progress: &Progress) -> Result<()> {
        let shared = Arc::clone(&self.inner.shared);
        let malformed = progress.malformed.clone();
        self.suspect |= malformed.is_some();
        let rv = (!self.suspect && !self.resource_version.is_empty())
            .then(|| self.resource_version.clone());
        if changes.is_empty() && malformed.is_none() {
            if let (Some(from), Some(to), true) = (&self.checkpoint, &rv, progress.bookmarks > 0) {
                shared.quiet(self.scope, from, to);
            }
            return Ok(());
        }
        self.checkpoint.clone_from(&rv);
        let (scope, number) = (self.scope, self.number);
        let bytes = changes.iter().map(Change::bytes).sum();
        let (failed, before) = (Arc::clone(&self.failed), Arc::clone(&self.failed));
        let proven_ms = shared.proof_unix_ms(scope, unix_ms());
        self.inner.writer()?.send(Job {
            work: Some(Box::new(move |writer| {
                // Behind a batch that failed there is a gap: the checkpoint must not pass it.
                if let Some(error) = before.lock().clone() {
                    return Err(error);
                }
                if writer.state.scope(scope)?.listing != number {
                    // A list that began later has the last word; nothing of it is lost.
                    *before.lock() = Some(outdated());
                    return Ok(());
                }
                apply(writer, scope, &changes, rv.as_deref(), malformed.as_deref(), proven_ms)
            })),
            done: Box::new(move |outcome| {
                if let Err(error) = outcome {
                    shared.distrust(scope, error.clone());
                    failed.lock().get_or_insert(error);
                }
            }),
            bytes,
            alone: false,
            patient: false,
            touches: Touches::Scope(scope),
        })
    }
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(row) | Self::Delete(row) => row.memory_bytes(),
        }
    }
}

pub(super) fn malformed(key: Option<String>, problem: &str) -> String {
    let at = key.map(|key| format!(" ({key})")).unwrap_or_default();
    format!("malformed watch event{at}: {problem}")
}

/// Behind all that an earlier stream queued.
fn beginning(inner: &Inner, scope: i64) -> Result<Beginning> {
    let writer = inner.writer()?;
    if let Some(known) = writer.beginnings.of(scope)
        && inner.known(known.resource).edition == known.edition
    {
        return Ok(known);
    }
    let age = writer.beginnings.age();
    // In this order: what was queued before `age` is committed when the options are read.
    let (number, checkpoint) = writer.run(Touches::Nothing, move |writer| stands(writer, scope))?;
    let (resource, edition, options) = inner.feed_options(scope)?;
    let found = Beginning { number, checkpoint, resource, edition, options };
    writer.beginnings.keep(scope, found.clone(), age);
    Ok(found)
}

/// The number of a scope's last list, and its checkpoint if that counts.
fn stands(writer: &mut Writer<'_>, scope: i64) -> Result<(u64, Option<String>)> {
    let state = writer.state.scope(scope)?;
    let counts = state.published && state.void_reason.is_none();
    Ok((state.listing, state.rv.clone().filter(|_| counts)))
}

fn outdated() -> Error {
    Error::Invalid("a list of this scope was begun, this watch no longer counts".into())
}

fn apply(
    writer: &mut Writer<'_>,
    scope: i64,
    changes: &[Change],
    rv: Option<&str>,
    malformed: Option<&str>,
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
        state.void_reason = Some(reason.to_owned());
        return checkpoint::end_segment(writer, scope);
    }
    if let Some(rv) = rv.filter(|_| state.void_reason.is_none()) {
        state.rv = Some(rv.to_owned());
    }
    Ok(())
}
