//! Named consumers of the history: where each has got to, kept beside the file.
//!
//! A position is recorded when its consumer asks for what follows, so that each change is handed
//! out at least once, in order, whatever ends the process in between. One process at a time is the
//! consumer of a name; when it ends, however it does, another one may go on. The pruner keeps what
//! a consumer has not had yet, as far as the budget of bytes goes ([`crate::store`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::db::claim::{Claim, Refusal, is_taken};
use crate::db::live::unix_ms;
use crate::db::{Files, consumers as file, gate};
use crate::error::{Error, Result};
use crate::store::{Inner, Store};

/// Names become parts of file names.
const MAX_NAME: usize = 100;
/// Another process's transaction on the file takes microseconds.
const BUSY: Duration = Duration::from_secs(10);
/// The writer's thread does not wait that long: what it knew a second ago will do.
const PRUNER_BUSY: Duration = Duration::from_millis(50);
/// Positions survive the end of a process at once, and a power loss after this time: each fsync
/// costs milliseconds, and what is lost with the power is handed out again.
const DURABLE_EVERY: Duration = Duration::from_secs(1);
/// How often the position moves over changes that do not concern the consumer.
const IDLE_EVERY: Duration = Duration::from_secs(1);

/// One named consumer, as the file knows it.
#[derive(Clone, Debug, Serialize)]
pub struct ConsumerStatus {
    /// What `consumer=` was.
    pub name: String,
    /// `plural[.group]`, what it followed last.
    pub resources: Vec<String>,
    /// The epoch of its position.
    pub epoch: i64,
    /// Everything up to here was handled.
    pub seq: i64,
    /// When that was recorded: milliseconds since 1970.
    pub acked_ms: i64,
    /// Whether some process is this consumer right now.
    pub running: bool,
}

/// The right to be the consumer of a name, until it is dropped.
#[derive(Debug)]
pub struct Consumer {
    name: String,
    files: Files,
    file_id: String,
    claim: Claim,
    /// `None` only while it is dropped.
    db: Option<Connection>,
    opened_by: u32,
    recorded: Option<(i64, i64)>,
    recorded_at: Instant,
    durable_at: Option<Instant>,
}

impl Store {
    /// Becomes the consumer of a name; nothing is recorded yet.
    ///
    /// # Errors
    /// [`Error::ConsumerBusy`] while another process, or another loop of this one, is that.
    pub fn consumer(&self, name: &str) -> Result<Consumer> {
        let inner = &self.inner;
        inner.check()?;
        let claim = claim(inner, name)?;
        let file_id = inner.read(file_id)?;
        let db = open(&inner.files)?;
        Ok(Consumer {
            name: name.to_owned(),
            files: inner.files.clone(),
            file_id,
            claim,
            db: Some(db),
            opened_by: std::process::id(),
            recorded: None,
            recorded_at: Instant::now(),
            durable_at: None,
        })
    }

    /// All consumers that have a position, by name.
    pub fn consumers(&self) -> Result<Vec<ConsumerStatus>> {
        let inner = &self.inner;
        inner.check()?;
        let _pass = gate::enter();
        let Some(db) = file::open(&inner.files, false, BUSY)? else { return Ok(Vec::new()) };
        let mut found = read_all(&db).map_err(|error| file::failed(&inner.files, error))?;
        for consumer in &mut found {
            consumer.running = is_taken(&lock_path(&inner.files, &consumer.name))?;
        }
        Ok(found)
    }

    /// Deletes the position of a consumer, which then begins anew; false if there is none.
    ///
    /// # Errors
    /// [`Error::ConsumerBusy`] while some process is that consumer.
    pub fn forget_consumer(&self, name: &str) -> Result<bool> {
        let mut consumer = self.consumer(name)?;
        let forgotten =
            consumer.write("DELETE FROM consumer WHERE name = ?1", params![name], true)? > 0;
        consumer.claim.remove_file()?;
        Ok(forgotten)
    }
}

impl Consumer {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything up to here was handled; `None` for a new consumer.
    ///
    /// # Errors
    /// [`Error::Expired`] when it is a position in the history of another file, which was at this
    /// path before.
    pub fn position(&self) -> Result<Option<(i64, i64)>> {
        let _pass = gate::enter();
        let found: Option<(String, i64, i64)> = self
            .db()?
            .query_row(
                "SELECT file_id, epoch, seq FROM consumer WHERE name = ?1",
                [&self.name],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()
            .map_err(|error| file::failed(&self.files, error))?;
        match found {
            None => Ok(None),
            Some((file_id, epoch, seq)) if file_id == self.file_id => Ok(Some((epoch, seq))),
            Some(_) => Err(Error::Expired {
                message: format!(
                    "the position of consumer {:?} is in the history of another file, which was at {} before",
                    self.name,
                    self.files.main.display()
                ),
                oldest_seq: 0,
            }),
        }
    }

    /// Records where it begins, so that nothing is skipped if it ends before it handled anything.
    pub fn follow(&mut self, resources: &[String], epoch: i64, seq: i64) -> Result<()> {
        let resources = serde_json::to_string(resources).map_err(Error::internal)?;
        let (name, file_id) = (self.name.clone(), self.file_id.clone());
        self.write(
            "INSERT OR REPLACE INTO consumer (name, file_id, resources, epoch, seq, acked_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![name, file_id, resources, epoch, seq, unix_ms()],
            true,
        )?;
        self.recorded = Some((epoch, seq));
        self.recorded_at = Instant::now();
        Ok(())
    }

    /// Everything up to this change was handled.
    ///
    /// Works after the store was closed too: a handler may be what closed it. It has no effect once
    /// another one took the name over, who gets that change again.
    pub fn ack(&mut self, epoch: i64, seq: i64) -> Result<()> {
        if self.recorded == Some((epoch, seq)) || !self.claim.counts() {
            return Ok(());
        }
        let name = self.name.clone();
        self.write(
            "UPDATE consumer SET epoch = ?2, seq = ?3, acked_ms = ?4 WHERE name = ?1",
            params![name, epoch, seq, unix_ms()],
            false,
        )?;
        self.recorded = Some((epoch, seq));
        self.recorded_at = Instant::now();
        Ok(())
    }

    /// Nothing up to here concerned it, and nothing that was handed out is unhandled: as
    /// [`Self::ack`], but seldom, for history that waits for it only.
    pub fn idle(&mut self, epoch: i64, seq: i64) -> Result<()> {
        if self.recorded_at.elapsed() < IDLE_EVERY { Ok(()) } else { self.ack(epoch, seq) }
    }

    fn write(&mut self, sql: &str, values: impl rusqlite::Params, durable: bool) -> Result<usize> {
        let _pass = gate::enter();
        let now = Instant::now();
        let durable = durable || self.durable_at.is_none_or(|last| now - last >= DURABLE_EVERY);
        let changed = (|| {
            let db = self.db.as_ref().ok_or(rusqlite::Error::InvalidQuery)?;
            // FULL also makes durable what was written without before.
            db.pragma_update(None, "synchronous", if durable { "FULL" } else { "OFF" })?;
            db.prepare_cached(sql)?.execute(values)
        })()
        .map_err(|error| file::failed(&self.files, error))?;
        if durable {
            self.durable_at = Some(now);
        }
        Ok(changed)
    }

    fn db(&self) -> Result<&Connection> {
        let child = std::process::id();
        if child != self.opened_by {
            return Err(Error::Forked { opened_by: self.opened_by, child });
        }
        self.db.as_ref().ok_or(Error::Closed)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let db = self.db.take();
        if std::process::id() == self.opened_by {
            let _pass = gate::enter();
            drop(db);
        } else {
            // A forked child must not touch the parent's connection.
            std::mem::forget(db);
        }
    }
}

/// What the pruner is to leave alone: looked up once a second by the writer's thread.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    db: Option<Connection>,
    opened: Option<(u64, u64)>,
    file_id: String,
    /// The oldest position of each resource.
    last: Vec<(String, i64)>,
}

impl Holds {
    /// Per resource the seq behind which history is still needed. Where `FILE.consumers` can't be
    /// read just now, what was known before; its consumers find out by an error if that was wrong.
    pub(crate) fn look(&mut self, files: &Files, main: &Connection) -> &[(String, i64)] {
        if let Ok(found) = self.read(files, main) {
            self.last = found;
        }
        &self.last
    }

    fn read(&mut self, files: &Files, main: &Connection) -> Result<Vec<(String, i64)>> {
        let identity = file::identity(files);
        if identity != self.opened {
            self.db = file::open(files, false, PRUNER_BUSY)?;
            self.opened = identity;
            self.file_id = file_id(main)?;
        }
        let Some(db) = &self.db else { return Ok(Vec::new()) };
        let mut statement = db.prepare_cached(
            "SELECT j.value, min(c.seq) FROM consumer c, json_each(c.resources) j
             WHERE c.file_id = ?1 GROUP BY j.value",
        )?;
        let rows = statement.query_map([&self.file_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn open(files: &Files) -> Result<Connection> {
    file::open(files, true, BUSY)?.ok_or_else(|| Error::internal("a new file was not made"))
}

fn claim(inner: &Arc<Inner>, name: &str) -> Result<Claim> {
    check_name(name)?;
    Claim::take(&lock_path(&inner.files, name), &inner.closed).map_err(|refusal| match refusal {
        Refusal::Failed(error) => error,
        Refusal::Taken(pid) => {
            let me = std::process::id().cast_signed();
            let who = match pid {
                Some(pid) if pid == me => "this very process".to_owned(),
                Some(pid) => format!("process {pid}"),
                None => "another process".to_owned(),
            };
            Error::ConsumerBusy {
                message: format!(
                    "consumer {name:?} of {}: {who} is that already; end it there first, or use another name",
                    inner.files.main.display()
                ),
                pid,
            }
        }
    })
}

fn lock_path(files: &Files, name: &str) -> PathBuf {
    let mut path = files.consumers.clone().into_os_string();
    path.push(format!(".{name}.lock"));
    path.into()
}

fn check_name(name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{name:?} can't be a consumer's name: 1 to {MAX_NAME} of letters, digits, '-', '_' and '.'"
    )))
}

fn file_id(db: &Connection) -> Result<String> {
    Ok(db.query_row("SELECT file_id FROM meta WHERE id = 1", [], |row| row.get(0))?)
}

fn read_all(db: &Connection) -> rusqlite::Result<Vec<ConsumerStatus>> {
    let mut statement =
        db.prepare("SELECT name, resources, epoch, seq, acked_ms FROM consumer ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        let resources: String = row.get(1)?;
        Ok(ConsumerStatus {
            name: row.get(0)?,
            resources: serde_json::from_str(&resources).unwrap_or_default(),
            epoch: row.get(2)?,
            seq: row.get(3)?,
            acked_ms: row.get(4)?,
            running: false,
        })
    })?;
    rows.collect()
}
