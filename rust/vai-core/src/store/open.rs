//! Opening a cluster file, as its writer or as a reader.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::checkpointer::Checkpointer;
use super::shared::Shared;
use super::writer::{Fields, Setup, WriterHandle};
use super::{Inner, Store, checkpoint, definitions, migrate, prune, state};
use crate::db::bell::Bell;
use crate::db::live::{self, LiveFile};
use crate::db::{self, Files, gate, lock};
use crate::error::{Error, Result};
use crate::postings::Postings;
use crate::query::Lists;
use crate::query::pool::ReaderPool;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The one that changes it; holds `FILE.lock`.
    Writer,
    /// One of any number, in any process of the same user.
    Reader,
}

/// The options of an open file; units as named.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A proof older than this is `stale`.
    pub live_within: Duration,
    /// While changes keep coming there is at most one commit in this time (10 ms: 27 KB of WAL for
    /// a lone event, 12 KB in batches of 20, measured).
    pub commit_interval: Duration,
    /// Compressed bytes of superseded states that are kept at most; never less than a fifth of the
    /// bodies.
    pub history_bytes: i64,
    /// How long superseded states are kept.
    pub history_age: Duration,
    /// A read that takes longer is interrupted.
    pub query_timeout: Duration,
}

impl Store {
    /// Opens a file; a writer creates it if it is not there.
    ///
    /// # Errors
    /// [`Error::WriterRunning`] for a second writer; [`Error::NotAVaiFile`],
    /// [`Error::SchemaTooNew`] and
    /// [`Error::ReadOnly`] (for a reader also of an older format) leave the file untouched;
    /// [`Error::NotFound`] for a reader of nothing.
    pub fn open(path: &Path, mode: Mode, options: Options) -> Result<Self> {
        let _pass = gate::enter();
        let files = Files::of(path)?;
        let inner = match mode {
            Mode::Writer => open_writer(files, options)?,
            Mode::Reader => open_reader(files, options)?,
        };
        let store = Self { inner: Arc::new(inner) };
        store.inner.load_dictionaries()?;
        Ok(store)
    }
}

fn open_writer(files: Files, options: Options) -> Result<Inner> {
    db::check_filesystem(&files)?;
    let (handle, open_here) = lock::acquire_writer(&files)?;
    let mut connection = db::open_writer(&files, open_here)?;
    migrate::bring_up(&mut connection)?;
    begin_epoch(&mut connection)?;
    connection.execute("DELETE FROM stage", [])?;
    let previous = live::read(&files.live);
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // This release's catalogue may be another one than that of the file.
    definitions::sync_kept(&transaction)?;
    if let Some(previous) = &previous {
        checkpoint::go_further(&transaction, previous)?;
    }
    let file_id: String =
        transaction.query_row("SELECT file_id FROM meta WHERE id = 1", [], |row| row.get(0))?;
    transaction.commit()?;
    let mut state = state::State::load(&connection)?;
    let checkpointer = Checkpointer::spawn(&files)?;
    checkpointer.follow(&mut connection)?;
    let shared = Arc::new(Shared::new(checkpointer, file_id, previous, options.live_within));
    shared.committed(state.epoch, state.seq);
    shared.attach(LiveFile::create(&files.live)?)?;
    handle.told()?;
    let fields = Fields::default();
    *fields.write() = state.take_changed_fields().unwrap_or_default();
    let age_ms = i64::try_from(options.history_age.as_millis()).unwrap_or(i64::MAX);
    let writer = WriterHandle::spawn(Setup {
        connection,
        state,
        fields: Arc::clone(&fields),
        shared: Arc::clone(&shared),
        files: files.clone(),
        commit_interval: options.commit_interval,
        history: prune::Budget { bytes: options.history_bytes, age_ms },
    })?;
    Ok(inner(files, Mode::Writer, options, shared, fields, Some(writer), handle))
}

fn open_reader(files: Files, options: Options) -> Result<Inner> {
    if !files.main.exists() {
        return Err(Error::NotFound(format!(
            "{}: no such file; `vai sync --file` or vai.connect makes it",
            files.main.display()
        )));
    }
    let (handle, open_here) = lock::register_reader(&files);
    // The first connection checks the file; it goes back to the pool.
    let connection = db::open_reader(&files, open_here)?;
    let shared =
        Arc::new(Shared::new(Checkpointer::none(), String::new(), None, options.live_within));
    let opened = inner(files, Mode::Reader, options, shared, Fields::default(), None, handle);
    opened.pool.give(connection);
    Ok(opened)
}

fn inner(
    files: Files,
    mode: Mode,
    options: Options,
    shared: Arc<Shared>,
    fields: Fields,
    writer: Option<WriterHandle>,
    handle: lock::Handle,
) -> Inner {
    Inner {
        bell: Bell::new(files.live.clone()),
        files,
        mode,
        options,
        pool: ReaderPool::new(),
        shared,
        fields,
        field_cache: definitions::FieldCache::default(),
        postings: Postings::default(),
        lists: Lists::default(),
        writer,
        handle: Mutex::new(Some(handle)),
        closed: Arc::new(AtomicBool::new(false)),
        opened_by: std::process::id(),
    }
}

/// After an unclean end the tail of the history may be lost, and its numbers would be given to
/// other changes: a new epoch tells them apart. FULL, so that the epoch itself is not lost.
fn begin_epoch(connection: &mut Connection) -> Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let (epoch, seq, clean): (i64, i64, bool) =
        transaction.query_row("SELECT epoch, seq, clean FROM meta WHERE id = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    if !clean || epoch == 0 {
        transaction.execute(
            "INSERT OR REPLACE INTO epoch (epoch, last_seq) VALUES (?1, ?2)",
            params![epoch, seq],
        )?;
        transaction.execute("UPDATE meta SET epoch = epoch + 1 WHERE id = 1", [])?;
    }
    transaction.execute("UPDATE meta SET clean = 0 WHERE id = 1", [])?;
    transaction.commit()?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(())
}
