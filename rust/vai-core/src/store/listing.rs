//! One LIST of a scope, page by page.
//!
//! A scope's first list goes into the file as it comes, visible and marked as `listing`. Any later
//! list is staged: objects that stand already (same uid and resourceVersion) are only noted,
//! changed ones wait in `stage`, invisible; `publish` writes the difference, the deletes and the
//! checkpoint in one transaction, while readers keep the last good state. A streaming list
//! (`streaming.rs`) fills it in the same way, and goes on as a watch.

use std::sync::Arc;

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use rusqlite::params;

use super::apply::{Origin, Writer};
use super::beginnings::Touches;
use super::body::Body;
use super::intake::{Deliver, Intake, Taken};
use super::prepare::Prepared;
use super::streaming::Streaming;
use super::watching::{Progress, Watching};
use super::writer::Job;
use super::{Inner, checkpoint};
use crate::error::{Error, Result};
use crate::feed::{FeedOptions, PageMeta};

/// What the writer's thread knows of the list so far.
#[derive(Default)]
struct Session {
    /// Ids of objects that the list has. Sets, not sums: a page or a batch may come twice.
    seen: RoaringBitmap,
    unchanged: RoaringBitmap,
    failed: Option<Error>,
}

/// What `publish` would do, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Objects that stand as the list has them.
    pub unchanged: u64,
    /// Objects that are new or in another state.
    pub changed: u64,
    /// Objects that the list does not have.
    pub removed: u64,
}

/// What `publish` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Objects added; one recreated under its name is a delete and an add.
    pub adds: u64,
    /// Objects changed.
    pub updates: u64,
    /// Objects deleted.
    pub deletes: u64,
}

/// See the module.
pub struct Listing {
    inner: Arc<Inner>,
    scope: i64,
    number: u64,
    first: bool,
    intake: Intake,
    pages: Mutex<Pages>,
    stream: Mutex<Option<Streaming>>,
    session: Arc<Mutex<Session>>,
}

/// Whether the list was read to its end: what a list does not have is deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// None yet, one that has begun, or one behind which there is another.
    More,
    Complete,
}

impl Listing {
    pub(super) fn begin(inner: Arc<Inner>, scope: i64, polled: bool) -> Result<Self> {
        let writer = inner.writer()?;
        let (number, first, sensitive) = writer.call(move |writer| {
            let number = writer.state.start_listing(scope)?;
            writer.db.execute("DELETE FROM stage WHERE scope = ?1", [scope])?;
            let state = writer.state.scope(scope)?;
            Ok((number, !state.published, state.sensitive))
        })?;
        // Whatever an earlier stream lost, the list finds.
        inner.shared.trust(scope);
        let (resource, _, options) = inner.feed_options(scope)?;
        let options = FeedOptions { polled, ..options };
        let session = Arc::default();
        let deliver = deliver(Arc::clone(&inner), scope, number, first, Arc::clone(&session));
        let intake = Intake::spawn(Arc::clone(&inner), resource, options, sensitive, deliver)?;
        let (pages, stream) = (Mutex::new(Pages::More), Mutex::default());
        Ok(Self { inner, scope, number, first, intake, pages, stream, session })
    }

    /// A response follows; `gzip` says how it is encoded.
    pub fn begin_page(&self, gzip: bool) -> Result<()> {
        self.check()?;
        *self.pages.lock() = Pages::More;
        self.intake.begin_page(gzip)
    }

    /// Takes response bytes.
    ///
    /// They are taken apart on another thread: an error is that of any page pushed so far.
    pub fn push(&self, chunk: &[u8]) -> Result<()> {
        self.check()?;
        self.intake.push(chunk)
    }

    /// The response has ended. Returns once the page's head is known: its `items` may be too few.
    pub fn end_page(&self) -> Result<PageMeta> {
        self.check()?;
        let head = self.intake.end_page()?;
        if head.continue_token.is_none() {
            *self.pages.lock() = Pages::Complete;
        }
        Ok(head)
    }

    /// The list comes as a stream of events; `gzip` says how it is encoded.
    pub fn begin_stream(&self, gzip: bool) -> Result<()> {
        self.check()?;
        let stream = Streaming::new(&self.inner, self.scope, gzip)?;
        self.intake.begin_stream(stream.edition)?;
        *self.stream.lock() = Some(stream);
        Ok(())
    }

    /// Takes bytes of the stream. Behind the bookmark that ends the initial events nothing more
    /// should be pushed: they are the watch's (`publish_stream`).
    ///
    /// # Errors
    /// Also that of any object pushed so far, as with `push`.
    pub fn push_events(&self, chunk: &[u8]) -> Result<Progress> {
        self.check()?;
        let mut stream = self.stream.lock();
        let stream = stream.as_mut().ok_or_else(no_stream)?;
        let progress = stream.take(chunk, &self.inner, &self.intake)?;
        if progress.initial_events_end {
            *self.pages.lock() = Pages::Complete;
        }
        Ok(progress)
    }

    /// What publishing would do; waits until all pages are staged.
    pub fn plan(&self) -> Result<Plan> {
        self.settle()?;
        let (scope, number, first) = (self.scope, self.number, self.first);
        let session = Arc::clone(&self.session);
        self.inner.writer()?.call(move |writer| {
            check_number(writer, scope, number)?;
            let session = session.lock();
            let removed = count(unseen(writer, scope, &session.seen)?.len());
            let unchanged = session.unchanged.len();
            let changed =
                if first { session.seen.len() - unchanged } else { staged(writer, scope)? };
            Ok(Plan { unchanged, changed, removed })
        })
    }

    /// Makes the list the scope's state; returns once that is durable.
    ///
    /// # Errors
    /// [`Error::Invalid`] before the last page has ended: what it has would be deleted.
    pub fn publish(self, resource_version: &str) -> Result<Published> {
        if *self.pages.lock() == Pages::More {
            return Err(Error::Invalid("the list is not complete, it has another page".into()));
        }
        self.settle()?;
        let (scope, number, first) = (self.scope, self.number, self.first);
        let session = Arc::clone(&self.session);
        let rv = resource_version.to_owned();
        let published = self.inner.writer()?.call(move |writer| {
            check_number(writer, scope, number)?;
            publish(writer, scope, first, &session.lock(), &rv)
        })?;
        self.inner.shared.listed(scope);
        Ok(published)
    }

    /// Publishes a streaming list as of the bookmark that ended it; the stream goes on as a watch.
    ///
    /// # Errors
    /// [`Error::Invalid`] before that bookmark.
    pub fn publish_stream(self) -> Result<(Published, Watching)> {
        let stream = self.stream.lock().take().ok_or_else(no_stream)?;
        let end = stream.end.clone().unwrap_or_default();
        let (inner, scope) = (Arc::clone(&self.inner), self.scope);
        let published = self.publish(&end)?;
        Ok((published, Watching::go_on(inner, scope, stream)?))
    }

    /// Drops what was staged. What a first list wrote stays, unpublished, for the next one.
    pub fn abort(self) -> Result<()> {
        let (scope, number) = (self.scope, self.number);
        self.inner.writer()?.call(move |writer| {
            check_number(writer, scope, number)?;
            // What is still being taken apart no longer counts either.
            writer.state.start_listing(scope)?;
            writer.db.execute("DELETE FROM stage WHERE scope = ?1", [scope])?;
            Ok(())
        })
    }

    fn check(&self) -> Result<()> {
        self.inner.check()?;
        self.session.lock().failed.clone().map_or(Ok(()), Err)
    }

    /// All that was pushed is with the writer and durable.
    fn settle(&self) -> Result<()> {
        self.intake.settle()?;
        self.inner.flush(Some(self.scope))?;
        self.check()
    }
}

fn no_stream() -> Error {
    Error::Invalid("this list is no stream".into())
}

/// What was taken apart becomes jobs of the writer.
fn deliver(
    inner: Arc<Inner>,
    scope: i64,
    number: u64,
    first: bool,
    session: Arc<Mutex<Session>>,
) -> Deliver {
    Box::new(move |taken, bytes| {
        let (noted, failed) = (Arc::clone(&session), Arc::clone(&session));
        let shared = Arc::clone(&inner.shared);
        inner.writer()?.send(Job {
            work: Some(Box::new(move |writer| {
                if let Err(error) = check_number(writer, scope, number) {
                    // It must not undo the transaction that it shares.
                    noted.lock().failed.get_or_insert(error);
                    return Ok(());
                }
                match &taken {
                    Taken::Rows(rows) => stage(writer, scope, first, rows, &mut noted.lock()),
                    Taken::Gone(row) => unstage(writer, scope, first, row, &mut noted.lock()),
                }
            })),
            done: Box::new(move |outcome| {
                if let Err(error) = outcome {
                    shared.distrust(scope, error.clone());
                    failed.lock().failed.get_or_insert(error);
                }
            }),
            bytes,
            alone: false,
            patient: true,
            touches: Touches::Scope(scope),
        })
    })
}

fn check_number(writer: &mut Writer<'_>, scope: i64, number: u64) -> Result<()> {
    if writer.state.scope(scope)?.listing == number {
        return Ok(());
    }
    Err(Error::Invalid("another list of this scope was begun, this one no longer counts".into()))
}

fn stage(
    writer: &mut Writer<'_>,
    scope: i64,
    first: bool,
    rows: &[Prepared],
    session: &mut Session,
) -> Result<()> {
    for row in rows {
        if first {
            // What an interrupted first list wrote still stands, or is written again.
            let before = writer.state.seq;
            let id = writer.upsert(scope, row, Origin::LIST)?;
            if note(&mut session.seen, id) && writer.state.seq == before {
                note(&mut session.unchanged, id);
            }
            continue;
        }
        match writer.find(scope, row)? {
            Some((id, true)) => {
                note(&mut session.seen, id);
                note(&mut session.unchanged, id);
                continue;
            }
            Some((id, false)) => {
                note(&mut session.seen, id);
                // It may have stood when the stream sent it first.
                forget(&mut session.unchanged, id);
            }
            None => {}
        }
        let text = serde_json::to_vec(row).map_err(Error::internal)?;
        let frame = writer.frame(scope, &row.body)?;
        writer
            .db
            .prepare_cached(
                "INSERT OR REPLACE INTO stage (scope, key, row, body) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![scope, row.key, text, frame])?;
    }
    Ok(())
}

/// Takes back an object that was deleted while its list was on its way.
fn unstage(
    writer: &mut Writer<'_>,
    scope: i64,
    first: bool,
    row: &Prepared,
    session: &mut Session,
) -> Result<()> {
    if let Some((id, _)) = writer.find(scope, row)? {
        // Unseen, it is deleted by `publish`.
        forget(&mut session.seen, id);
        forget(&mut session.unchanged, id);
    }
    if first {
        return writer.delete(scope, row, Origin::LIST);
    }
    writer
        .db
        .prepare_cached("DELETE FROM stage WHERE scope = ?1 AND key = ?2")?
        .execute(params![scope, row.key])?;
    Ok(())
}

fn forget(ids: &mut RoaringBitmap, id: i64) {
    if let Ok(id) = u32::try_from(id) {
        ids.remove(id);
    }
}

/// Whether the id is new to the set.
fn note(ids: &mut RoaringBitmap, id: i64) -> bool {
    // The allocator hands out nothing above u32.
    u32::try_from(id).is_ok_and(|id| ids.insert(id))
}

fn count(found: usize) -> u64 {
    u64::try_from(found).unwrap_or(u64::MAX)
}

/// Objects that wait to be published.
fn staged(writer: &Writer<'_>, scope: i64) -> Result<u64> {
    let mut statement = writer.db.prepare_cached("SELECT count(*) FROM stage WHERE scope = ?1")?;
    let found: i64 = statement.query_row([scope], |row| row.get(0))?;
    Ok(u64::try_from(found).unwrap_or_default())
}

fn publish(
    writer: &mut Writer<'_>,
    scope: i64,
    first: bool,
    session: &Session,
    rv: &str,
) -> Result<Published> {
    let before = writer.state.seq;
    for key in unseen(writer, scope, &session.seen)? {
        writer.delete_unseen(scope, &key, Origin::LIST)?;
    }
    apply_stage(writer, scope)?;
    let mut published = published_since(writer, scope, before)?;
    if first {
        published.adds = session.seen.len() - session.unchanged.len();
    }
    let state = writer.state.scope(scope)?;
    state.rv = Some(rv.to_owned());
    state.void_reason = None;
    state.published = true;
    state.dirty = true;
    checkpoint::begin_segment(writer, scope, rv)?;
    Ok(published)
}

/// What the history has of it: an object recreated under its name is a delete and an add.
fn published_since(writer: &Writer<'_>, scope: i64, seq: i64) -> Result<Published> {
    let mut statement = writer.db.prepare_cached(
        "SELECT count(*) FILTER (WHERE op = 1), count(*) FILTER (WHERE op = 2),
                count(*) FILTER (WHERE op = 3)
         FROM version INDEXED BY version_scope_seq WHERE scope = ?1 AND seq > ?2",
    )?;
    let number = |row: &rusqlite::Row<'_>, column: usize| {
        row.get(column).map(|found: i64| u64::try_from(found).unwrap_or_default())
    };
    Ok(statement.query_row(params![scope, seq], |row| {
        Ok(Published { adds: number(row, 0)?, updates: number(row, 1)?, deletes: number(row, 2)? })
    })?)
}

fn unseen(writer: &Writer<'_>, scope: i64, seen: &RoaringBitmap) -> Result<Vec<String>> {
    let mut statement =
        writer.db.prepare_cached("SELECT id, key FROM object WHERE scope = ?1 ORDER BY key")?;
    let mut rows = statement.query([scope])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let id: u32 = row.get(0)?;
        if !seen.contains(id) {
            keys.push(row.get(1)?);
        }
    }
    Ok(keys)
}

/// In key order, one row in memory at a time.
fn apply_stage(writer: &mut Writer<'_>, scope: i64) -> Result<()> {
    let mut last = String::new();
    loop {
        let next = {
            let mut statement = writer.db.prepare_cached(
                "SELECT key, row, body FROM stage WHERE scope = ?1 AND key > ?2 ORDER BY key LIMIT 1",
            )?;
            let mut rows = statement.query(params![scope, last])?;
            match rows.next()? {
                Some(row) => {
                    Some((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?))
                }
                None => None,
            }
        };
        let Some((key, text, body)) = next else { break };
        let mut row: Prepared = serde_json::from_slice(&text)
            .map_err(|error| Error::Corrupt(format!("a staged row: {error}")))?;
        row.body = Body::Frame(body);
        writer.upsert(scope, &row, Origin::LIST)?;
        last = key;
    }
    writer.db.prepare_cached("DELETE FROM stage WHERE scope = ?1")?.execute([scope])?;
    Ok(())
}
