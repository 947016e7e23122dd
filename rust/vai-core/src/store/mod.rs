//! A cluster file, open: one writer, any number of readers.

mod apply;
mod beginnings;
mod body;
mod build;
mod check;
mod checkpoint;
mod checkpointer;
pub(crate) mod definitions;
mod dictionaries;
mod freshness;
mod intake;
mod listing;
mod migrate;
mod open;
pub(crate) mod posting;
mod prepare;
mod prune;
mod queue;
mod rows;
pub(crate) mod scopes;
mod selfcheck;
mod shared;
mod state;
mod status;
mod streaming;
mod watching;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, params};

pub use self::apply::Op;
pub(crate) use self::apply::{FLAG_REDACTED, FLAG_RELIST};
pub use self::check::Part;
pub use self::definitions::{FieldState, FieldStatus, user_field};
pub use self::freshness::{Freshness, State as ScopeState};
pub use self::listing::{Listing, Plan, Published};
pub use self::open::{Mode, Options};
pub(crate) use self::rows::owner_hash;
pub use self::scopes::{Cluster, PrinterColumn, Resource, ScopeRow, ScopeSpec};
pub use self::selfcheck::{Compared, Comparison, Difference, Drift};
pub use self::shared::EventCounts;
pub use self::status::{ScopeStatus, Stats, TrafficStatus};
pub use self::watching::{Progress, Watching};

use self::apply::Writer;
use self::beginnings::Touches;
use self::definitions::Known;
use self::shared::Shared;
use self::writer::{Fields, Job, WriterHandle};
use crate::db::bell::Bell;
use crate::db::live::{Count, Reported};
use crate::db::{self, Files, live, lock};
use crate::error::{Error, Result};
use crate::feed::FeedOptions;
use crate::postings::Postings;
use crate::query::Lists;
use crate::query::pool::ReaderPool;
use crate::redact;

/// A longer object is refused; etcd's own limit is 1.5 MB by default, 10 MB at most in practice.
const MAX_OBJECT_BYTES: usize = 64 * 1024 * 1024;

/// What all handles, lists and watches of one open file share.
pub(crate) struct Inner {
    pub(crate) files: Files,
    pub(crate) mode: Mode,
    pub(crate) options: Options,
    pub(crate) pool: ReaderPool,
    shared: Arc<Shared>,
    fields: Fields,
    field_cache: definitions::FieldCache,
    pub(crate) postings: Postings,
    pub(crate) lists: Lists,
    bell: Bell,
    writer: Option<WriterHandle>,
    handle: Mutex<Option<lock::Handle>>,
    /// Shared with the consumers that it made: their names fall free with it.
    pub(crate) closed: Arc<AtomicBool>,
    opened_by: u32,
}

/// A cluster file, open.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl Store {
    /// Idempotent: commits what is queued, wakes every wait, gives the lock back.
    pub fn close(&self) {
        self.inner.close();
    }

    /// The database file, links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.files.main
    }

    /// How it was opened.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner.mode
    }

    /// Binds the file to a cluster.
    ///
    /// # Errors
    /// [`Error::OtherCluster`] when it holds another one.
    pub fn set_cluster(&self, cluster: Cluster) -> Result<()> {
        let work = move |writer: &mut Writer<'_>| scopes::set_cluster(writer, &cluster);
        self.inner.writer()?.run(Touches::Nothing, work)
    }

    /// The cluster whose copy it is; `None` while it is unbound.
    pub fn cluster(&self) -> Result<Option<Cluster>> {
        self.inner.read(scopes::cluster)
    }

    /// Records what discovery found, most preferred first. Resources that are served no longer keep
    /// their rows.
    pub fn put_resources(&self, resources: Vec<Resource>) -> Result<()> {
        let writer = self.inner.writer()?;
        let work = move |writer: &mut Writer<'_>| scopes::put_resources(writer, &resources);
        if writer.run(Touches::Nothing, work)? {
            writer.beginnings.forget(Touches::Everything);
        }
        Ok(())
    }

    /// The recorded resources, most preferred first, those no longer served last.
    pub fn resources(&self) -> Result<Vec<Resource>> {
        let found = self.inner.read(scopes::resources)?;
        Ok(found.into_iter().map(|(_, resource)| resource).collect())
    }

    /// Records a document of the server (discovery, `OpenAPI`) under a name.
    pub fn put_document(&self, name: &str, body: &[u8]) -> Result<()> {
        let (name, body) = (name.to_owned(), body.to_vec());
        self.inner.writer()?.run(Touches::Nothing, move |writer| {
            writer.db.execute(
                "INSERT OR REPLACE INTO document (name, body) VALUES (?1, ?2)",
                params![name, body],
            )?;
            Ok(())
        })
    }

    /// A recorded document; `None` where there is none of that name.
    pub fn document(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.inner.read(|db| document(db, name))
    }

    /// The id of a scope, made if it is new. One that keeps only the metadata of Secrets deletes
    /// the
    /// values that other scopes of the same namespaces kept, from the WAL too.
    pub fn ensure_scope(&self, spec: ScopeSpec) -> Result<i64> {
        let writer = self.inner.writer()?;
        // Asked again and again of what is there.
        let found = writer.run(Touches::Nothing, move |writer| scopes::ensure(writer, &spec))?;
        for scope in &found.purged {
            writer.beginnings.forget(Touches::Scope(*scope));
            self.inner.shared.drop_scope(*scope);
        }
        self.finish_purge()?;
        Ok(found.id)
    }

    /// Deleted values are gone for good once the file is scrubbed; also those that a writer deleted
    /// which then was killed, or was hindered by a reader.
    fn finish_purge(&self) -> Result<()> {
        const PURGING: &str = "SELECT purging FROM meta WHERE id = 1";
        if self.inner.read(|db| Ok(db.query_row(PURGING, [], |row| row.get(0))?))? {
            db::scrub(&self.inner.files)?;
            self.inner.writer()?.call(|writer| {
                writer.db.execute("UPDATE meta SET purging = 0 WHERE id = 1", [])?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// (resourceVersion to resume from, whether a relist is needed)
    pub fn checkpoint(&self, scope: i64) -> Result<(Option<String>, bool)> {
        let row = self.inner.read(|db| scopes::scope(db, scope))?;
        let relist = !row.published || row.void_reason.is_some();
        let rv = row.rv.filter(|_| row.published);
        let further = rv.as_deref().and_then(|rv| self.inner.shared.reaches(scope, rv));
        Ok((further.or(rv), relist))
    }

    /// As [`Store::checkpoint`], and the scope begins again there: whatever an earlier stream lost is
    /// behind the checkpoint, so it will be sent once more.
    pub fn resume(&self, scope: i64) -> Result<(Option<String>, bool)> {
        // Behind all that the stream queued.
        self.inner.writer()?.call(|_| Ok(()))?;
        self.inner.shared.trust(scope);
        self.checkpoint(scope)
    }

    /// The checkpoint of one scope, or of all, no longer counts.
    pub fn void_checkpoint(&self, scope: Option<i64>, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        let voided = self.inner.writer()?.call(move |writer| {
            let ids: Vec<i64> =
                scope.map_or_else(|| writer.state.scopes.keys().copied().collect(), |id| vec![id]);
            for id in &ids {
                checkpoint::void_checkpoint(writer, *id, &reason)?;
            }
            Ok(ids)
        })?;
        for id in voided {
            self.inner.shared.unprove(id);
        }
        Ok(())
    }

    /// Deletes a scope with its rows and its history; returns its objects, counted. Whoever follows
    /// the
    /// resource gets [`Error::Expired`].
    pub fn forget(&self, scope: i64) -> Result<i64> {
        let objects = self.inner.writer()?.call(move |writer| scopes::forget(writer, scope))?;
        self.inner.shared.drop_scope(scope);
        Ok(objects)
    }

    /// Deletes the rows of a scope as changes that followers see: the server serves the resource no
    /// longer. Returns them counted.
    pub fn remove_rows(&self, scope: i64) -> Result<i64> {
        self.inner.writer()?.call(move |writer| scopes::remove_rows(writer, scope))
    }

    /// Table column definitions last seen for a resource, as the server sent them.
    pub fn columns(&self, resource: &str) -> Result<Option<Vec<u8>>> {
        self.inner.read(|db| {
            let (id, _) = scopes::resource_named(db, resource)?;
            document(db, &columns_name(id))
        })
    }

    /// Records what a reflector says of its scope, for readers in any process.
    pub fn set_state(&self, scope: i64, state: Reported, reason: &str) -> Result<()> {
        self.inner.check()?;
        self.inner.shared.set_state(scope, state, reason);
        Ok(())
    }

    /// The server answered something about this scope right now.
    pub fn heard(&self, scope: i64) -> Result<()> {
        self.inner.check()?;
        self.inner.shared.heard(scope);
        Ok(())
    }

    /// Counts what was asked of the server about a scope; 0 for the cluster as a whole.
    pub fn count(&self, scope: i64, verb: &str, more: Count) -> Result<()> {
        self.inner.check()?;
        self.inner.shared.count(scope, verb, more);
        Ok(())
    }

    /// Queued behind all that was pushed before: the claim must not outrun the rows.
    pub fn proven(&self, scope: i64, at_boottime_s: f64) -> Result<()> {
        let writer = self.inner.writer()?;
        if writer.is_idle() {
            self.inner.shared.proven(scope, at_boottime_s);
            return Ok(());
        }
        let shared = Arc::clone(&self.inner.shared);
        writer.send(Job {
            work: None,
            done: Box::new(move |outcome| {
                if outcome.is_ok() {
                    shared.proven(scope, at_boottime_s);
                }
            }),
            bytes: 0,
            alone: false,
            patient: false,
            touches: Touches::Nothing,
        })
    }

    /// Begins a list of a scope; one under way no longer counts, nor does a watch.
    pub fn begin_list(&self, scope: i64) -> Result<Listing> {
        Listing::begin(Arc::clone(&self.inner), scope, false)
    }

    /// The same of what can't be watched, whose objects may lack uid and resourceVersion, as
    /// `PodMetrics` and `ComponentStatus` do; see [`FeedOptions::polled`].
    pub fn begin_poll(&self, scope: i64) -> Result<Listing> {
        Listing::begin(Arc::clone(&self.inner), scope, true)
    }

    /// Begins a watch of a scope at its checkpoint.
    ///
    /// # Errors
    /// Whatever kept a batch of an earlier stream from being committed, once: the stream must begin
    /// at
    /// [`Store::checkpoint`], not where the earlier one stopped.
    pub fn begin_watch(&self, scope: i64, gzip: bool) -> Result<Watching> {
        Watching::begin(Arc::clone(&self.inner), scope, gzip)
    }

    /// What came in watches since the file was opened by this handle, by scope.
    #[must_use]
    pub fn events(&self) -> std::collections::HashMap<i64, EventCounts> {
        self.inner.shared.events()
    }

    /// Begins to compare a scope with a list of its metadata; its watch goes on meanwhile.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a scope that is not complete, or is to be listed again.
    pub fn begin_comparison(&self, scope: i64) -> Result<Comparison> {
        Comparison::begin(Arc::clone(&self.inner), scope)
    }

    /// Records that the scope was compared with the server right now, or (`note`) why it was not.
    pub fn checked(&self, scope: i64, note: &str) -> Result<()> {
        self.inner.check()?;
        self.inner.shared.checked(scope, note);
        Ok(())
    }

    /// Waits until all that was queued is committed; returns the last seq.
    ///
    /// # Errors
    /// What kept a batch of any scope from being committed, until that scope begins again: a list, a
    /// watch, or [`Store::resume`].
    pub fn flush(&self) -> Result<i64> {
        self.inner.flush(None)
    }

    /// The same, with the errors of one scope alone.
    pub fn flush_scope(&self, scope: i64) -> Result<i64> {
        self.inner.flush(Some(scope))
    }

    /// A copy without a WAL, made by `SQLite` itself.
    pub fn backup(&self, target: &Path) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let files = Files::of(target)?;
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&files.main)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => Error::Invalid(format!(
                    "{}: exists already; choose a new name for the backup",
                    files.main.display()
                )),
                _ => Error::io(&files.main, &error),
            })?;
        let outcome = self.inner.read_within(None, |db| {
            // It writes the target only, but `query_only` does not tell one file from another.
            db.pragma_update(None, "query_only", false)?;
            let made = db.execute("VACUUM INTO ?1", [files.main.to_string_lossy()]);
            db.pragma_update(None, "query_only", true)?;
            made?;
            Ok(())
        });
        if outcome.is_err() {
            // Half a backup is none; what was there before can't be lost, the name was new.
            let _ = std::fs::remove_file(&files.main);
        }
        outcome.map_err(|error| error.of_target(&files.main))
    }

    /// (epoch, seq) of the last commit.
    pub fn position(&self) -> Result<(i64, i64)> {
        self.inner.read(position)
    }

    /// Waits for a commit after `seq`; returns the last commit's seq, changed or not.
    pub fn wait_seq(&self, seq: i64, timeout: Duration) -> Result<i64> {
        self.inner.check()?;
        if self.inner.writer.is_some() {
            return self.inner.shared.wait_seq(seq, timeout);
        }
        self.inner
            .follow(timeout, || {
                let now = self.position()?.1;
                Ok((now > seq).then_some(now))
            })?
            .map_or_else(|| self.position().map(|(_, now)| now), Ok)
    }

    /// Waits until something was told of a scope after `generation`.
    pub fn wait_status(&self, generation: u64, timeout: Duration) -> Result<u64> {
        self.inner.check()?;
        if self.inner.writer.is_some() {
            let now = self.inner.shared.wait_told(generation, timeout);
            return self.inner.check().map(|()| now);
        }
        let look =
            || Ok(Some(live::number(&self.inner.files.live)).filter(|now| *now != generation));
        Ok(self.inner.follow(timeout, look)?.unwrap_or(generation))
    }
}

impl Inner {
    /// Refuses forked children and closed handles.
    pub(crate) fn check(&self) -> Result<()> {
        let child = std::process::id();
        if child != self.opened_by {
            return Err(Error::Forked { opened_by: self.opened_by, child });
        }
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    fn writer(&self) -> Result<&WriterHandle> {
        self.check()?;
        self.writer.as_ref().ok_or_else(|| {
            Error::ReadOnly(
                "this handle only reads; open the file as its writer to change it".into(),
            )
        })
    }

    /// Runs `work` on a reader's connection, in one snapshot and within the deadline.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.read_within(Some(self.options.query_timeout), work)
    }

    pub(crate) fn read_within<T>(
        &self,
        limit: Option<Duration>,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        self.check()?;
        self.pool.with(&self.files, limit, work)
    }

    fn flush(&self, scope: Option<i64>) -> Result<i64> {
        let writer = self.writer()?;
        if writer.is_idle() {
            return self.shared.lost(scope).map_or_else(|| Ok(self.shared.seq()), Err);
        }
        let (reply, answer) = crossbeam_channel::bounded(1);
        let shared = Arc::clone(&self.shared);
        writer.send(Job {
            work: None,
            done: Box::new(move |_| {
                // The caller is gone only if its thread died.
                let _ = reply.send(shared.lost(scope));
            }),
            bytes: 0,
            alone: true,
            patient: false,
            touches: Touches::Nothing,
        })?;
        match answer.recv().map_err(|_| Error::Closed)? {
            Some(error) => Err(error),
            None => Ok(self.shared.seq()),
        }
    }

    fn put_columns(&self, resource: i64, columns: &[u8]) -> Result<()> {
        let name = columns_name(resource);
        if self.read(|db| document(db, &name))?.as_deref() == Some(columns) {
            return Ok(());
        }
        let columns = columns.to_vec();
        self.writer()?.call(move |writer| {
            writer.db.execute(
                "INSERT OR REPLACE INTO document (name, body) VALUES (?1, ?2)",
                params![name, columns],
            )?;
            Ok(())
        })
    }

    /// The resource of a scope, the edition of its fields, and how its responses are read.
    fn feed_options(&self, scope: i64) -> Result<(i64, i64, FeedOptions)> {
        let row = self.read(|db| scopes::scope(db, scope))?;
        let known = self.known(row.resource);
        let options = FeedOptions {
            gzip: false,
            api_version: row.info.api_version(),
            kind: row.info.kind,
            redact: row.redaction,
            drop: redact::paths(&row.drop)?.into(),
            polled: false,
            fields: Arc::clone(&known.set),
            max_object_bytes: MAX_OBJECT_BYTES,
        };
        Ok((row.resource, known.edition, options))
    }

    /// The fields that the last commit left a resource with; a batch that was taken apart by others
    /// is taken apart again by the writer.
    fn known(&self, resource: i64) -> Arc<Known> {
        self.fields.read().get(&resource).map_or_else(Arc::default, Arc::clone)
    }

    /// Looks until something is found: for readers of what another process writes.
    fn follow<T>(
        &self,
        timeout: Duration,
        look: impl Fn() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let end = std::time::Instant::now() + timeout;
        loop {
            let rings = self.bell.rings();
            self.check()?;
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if std::time::Instant::now() >= end {
                return Ok(None);
            }
            self.bell.wait(rings, end);
        }
    }

    fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        if std::process::id() != self.opened_by {
            // A forked child must not touch the parent's threads, locks or connections.
            self.pool.abandon();
            return;
        }
        self.shared.close();
        self.bell.close();
        // The writer's connection is the last one to close: it moves the WAL into the file.
        self.pool.close();
        self.shared.checkpointer.stop();
        if let Some(writer) = &self.writer {
            writer.stop();
        }
        self.handle.lock().take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

pub(crate) fn position(db: &Connection) -> Result<(i64, i64)> {
    let mut statement = db.prepare_cached("SELECT epoch, seq FROM meta WHERE id = 1")?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn document(db: &Connection, name: &str) -> Result<Option<Vec<u8>>> {
    use rusqlite::OptionalExtension;
    let mut statement = db.prepare_cached("SELECT body FROM document WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

fn columns_name(resource: i64) -> String {
    format!("columns/{resource}")
}

fn unknown_scope(scope: i64) -> Error {
    Error::Invalid(format!("scope {scope} is not in the file; it was forgotten"))
}
