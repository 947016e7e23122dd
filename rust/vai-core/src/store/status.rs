//! What a file says of itself, in any process.

use std::collections::BTreeMap;

use serde::Serialize;

use super::freshness::{Freshness, Now, judge};
use super::state::redaction_name;
use super::{Inner, Mode, ScopeRow, Store, scopes};
use crate::db::live::{self, Count, Live};
use crate::db::lock::{self, Holder};
use crate::error::Result;

/// As `vai.types.ScopeStatus`.
#[derive(Clone, Debug, Serialize)]
pub struct ScopeStatus {
    /// Id of the scope.
    pub id: i64,
    /// `plural[.group]`
    pub resource: String,
    /// `None` for all namespaces, or a cluster-scoped resource.
    pub namespace: Option<String>,
    /// In canonical form; empty for everything.
    pub label_selector: String,
    /// In canonical form; empty for everything.
    pub field_selector: String,
    /// `none` or `metadata`.
    pub redaction: &'static str,
    /// Paths that are left out of every object.
    pub drop: Vec<String>,
    /// Its freshness at the moment of the question.
    #[serde(flatten)]
    pub freshness: Freshness,
    /// Its objects, counted.
    pub objects: i64,
    /// Up to where its rows are complete.
    pub resource_version: Option<String>,
    /// Seconds since its rows were last compared with the server's; `None` where that never was,
    /// or in another boot.
    pub checked_age_s: Option<f64>,
    /// Why the last comparison could not be made; empty where it was.
    pub check_note: String,
}

/// What a writer asked the server for since it began: as `vai.types.Traffic`.
#[derive(Clone, Debug, Serialize)]
pub struct TrafficStatus {
    /// The process that asked.
    pub pid: u32,
    /// Seconds since it began.
    pub since_s: f64,
    /// By the id of the scope (0: for the cluster as a whole), then by verb.
    pub scopes: BTreeMap<i64, BTreeMap<String, Count>>,
}

/// Sizes and positions of a file.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The database file.
    pub path: String,
    /// Size of the database file.
    pub file_bytes: u64,
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
    /// The running epoch.
    pub epoch: i64,
    /// The last entry of the history.
    pub seq: i64,
    /// Compressed bodies of all objects.
    pub body_bytes: i64,
    /// Compressed bodies that are superseded.
    pub history_bytes: i64,
    /// Whether some process holds the lock.
    pub writer_running: bool,
    /// Which one, where the system tells.
    pub writer_pid: Option<i32>,
}

impl Store {
    /// Every scope with its freshness at this moment.
    pub fn scope_status(&self) -> Result<Vec<ScopeStatus>> {
        let rows = self.inner.read(|db| scopes::scopes(db, None))?;
        Ok(self.inner.judge(rows))
    }

    /// The same of one; `None` where it is not in the file.
    pub fn status_of(&self, scope: i64) -> Result<Option<ScopeStatus>> {
        let row = self.inner.read(|db| scopes::find(db, scope))?;
        Ok(self.inner.judge(row.into_iter().collect()).pop())
    }

    /// What the writer of the file, or the last one of this boot, asked the server for; `None`
    /// where nobody knows any more.
    #[must_use]
    pub fn traffic(&self) -> Option<TrafficStatus> {
        let inner = &self.inner;
        let told = match inner.mode {
            Mode::Writer => Some(inner.shared.live()),
            Mode::Reader => live::read(&inner.files.live),
        }?;
        (told.boot == live::boot_id()).then(|| TrafficStatus {
            pid: told.pid,
            since_s: (live::boottime_s() - told.traffic.since).max(0.0),
            scopes: told.traffic.scopes,
        })
    }

    /// Sizes and positions at this moment.
    pub fn stats(&self) -> Result<Stats> {
        let inner = &self.inner;
        let size = |path| std::fs::metadata(path).map_or(0, |found| found.len());
        let holder = inner.holder();
        let (epoch, seq, body_bytes, history_bytes) = inner.read(|db| {
            Ok(db.query_row(
                "SELECT epoch, seq,
                        (SELECT coalesce(sum(body_bytes), 0) FROM scope),
                        (SELECT coalesce(sum(history_bytes), 0) FROM scope)
                 FROM meta WHERE id = 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )?)
        })?;
        Ok(Stats {
            path: inner.files.main.display().to_string(),
            file_bytes: size(&inner.files.main),
            wal_bytes: size(&inner.files.wal),
            epoch,
            seq,
            body_bytes,
            history_bytes,
            writer_running: holder != Holder::Nobody,
            writer_pid: match holder {
                Holder::Nobody => None,
                Holder::ThisProcess => Some(std::process::id().cast_signed()),
                Holder::Other(pid) | Holder::Starting(pid) => pid,
            },
        })
    }
}

impl Inner {
    fn holder(&self) -> Holder {
        if self.mode == Mode::Writer { Holder::ThisProcess } else { lock::holder(&self.files) }
    }

    fn judge(&self, rows: Vec<ScopeRow>) -> Vec<ScopeStatus> {
        // Before what it told: a file read first might be that of a writer that died since.
        let holder = self.holder();
        let told = match self.mode {
            Mode::Writer => Some(self.shared.live_of(rows.iter().map(|row| row.id))),
            Mode::Reader => live::read(&self.files.live),
        };
        // A writer on a metered link proves its scopes seldom, and says how seldom.
        let writers_s = told.as_ref().map_or(0.0, |told| told.limit_s);
        let now = Now {
            boottime_s: live::boottime_s(),
            unix_ms: live::unix_ms(),
            boot: live::boot_id(),
            holder,
            limit_s: self.options.live_within.as_secs_f64().max(writers_s),
        };
        let checked = |scope: i64| {
            let live = told.as_ref().filter(|live| live.boot == now.boot)?;
            live.scopes.get(&scope)
        };
        rows.into_iter()
            .map(|row| ScopeStatus {
                id: row.id,
                resource: row.info.name(),
                namespace: row.namespace.clone(),
                label_selector: row.label_selector.clone(),
                field_selector: row.field_selector.clone(),
                redaction: redaction_name(row.redaction),
                drop: row.drop.clone(),
                freshness: judge(row.id, &row.recorded(), told.as_ref(), &now),
                objects: row.objects,
                resource_version: further(&row, told.as_ref()),
                checked_age_s: checked(row.id)
                    .and_then(|entry| entry.checked)
                    .map(|at| (now.boottime_s - at).max(0.0)),
                check_note: checked(row.id)
                    .map(|entry| entry.check_note.clone())
                    .unwrap_or_default(),
            })
            .collect()
    }
}

/// The checkpoint, or the bookmark behind it.
fn further(row: &ScopeRow, told: Option<&Live>) -> Option<String> {
    let rv = row.rv.as_deref()?;
    let reached = told.and_then(|told| told.scopes.get(&row.id)).and_then(|one| one.reaches(rv));
    Some(reached.unwrap_or(rv).to_owned())
}
