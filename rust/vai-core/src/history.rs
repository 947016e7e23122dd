//! The history as a stream: what changed after a position, in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Error, Result};
use crate::store::{FLAG_RELIST, Inner, Op, Store, position, scopes};

/// One entry of the history.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its place in the history; unique in the file within an epoch.
    pub seq: i64,
    /// The epoch in which it was read: (epoch, seq) is the position behind it.
    pub epoch: i64,
    /// What happened.
    pub op: Op,
    /// `plural[.group]`
    pub resource: String,
    /// `namespace/name`, or `name` for cluster-scoped objects.
    pub key: String,
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion` after the change; of a delete that a list found, the last one
    /// known.
    pub resource_version: String,
    /// Found by a list, not told by a watch event.
    pub relist: bool,
    /// When it was committed: milliseconds since 1970.
    pub time_ms: i64,
    /// The object after the change; of a delete its last state is in `old`.
    pub new: Option<Vec<u8>>,
    /// The object before the change, JSON; `None` for an add.
    pub old: Option<Vec<u8>>,
}

/// A cursor over the history of some resources.
pub struct Changes {
    store: Store,
    resources: Vec<String>,
    epoch: i64,
    seq: i64,
}

impl Store {
    /// The history after a position. Nothing is read yet, but a position that can't be continued
    /// is refused at once.
    pub fn changes(&self, resources: Vec<String>, epoch: i64, seq: i64) -> Result<Changes> {
        let now = self.inner.read(|db| {
            check_position(db, epoch, seq)?;
            for name in &resources {
                kept(db, name, seq)?;
            }
            position(db)
        })?;
        Ok(Changes { store: self.clone(), resources, epoch: now.0, seq })
    }
}

impl Changes {
    /// Everything up to here was given out, or did not concern these resources.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Up to `limit` entries; none after `timeout`.
    pub fn next_batch(&mut self, limit: usize, timeout: Duration) -> Result<Vec<Change>> {
        // None asked for would look like none there, and what there is would be skipped.
        let limit = limit.max(1);
        let end = Instant::now() + timeout;
        loop {
            let (found, upto) = self.read(limit)?;
            if !found.is_empty() {
                self.seq = found.last().map_or(self.seq, |change| change.seq);
                return Ok(found);
            }
            self.seq = self.seq.max(upto);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(found);
            }
            self.store.wait_seq(self.seq, left)?;
        }
    }

    fn read(&mut self, limit: usize) -> Result<(Vec<Change>, i64)> {
        let inner = Arc::clone(&self.store.inner);
        inner.read(|db| {
            let (epoch, upto) = position(db)?;
            if epoch != self.epoch {
                check_position(db, self.epoch, self.seq)?;
                self.epoch = epoch;
            }
            let mut found = Vec::new();
            for name in &self.resources {
                for scope in kept(db, name, self.seq)? {
                    read_scope(db, &inner, &scope, (self.seq, limit), epoch, &mut found)?;
                }
            }
            found.sort_by_key(|change| change.seq);
            found.truncate(limit);
            Ok((found, upto))
        })
    }
}

/// A seq beyond its epoch's end never was durable: other changes have its numbers now.
fn check_position(db: &Connection, epoch: i64, seq: i64) -> Result<()> {
    let now = position(db)?;
    let end: Option<i64> = db
        .query_row("SELECT last_seq FROM epoch WHERE epoch = ?1", [epoch], |row| row.get(0))
        .optional()?;
    let end = if epoch == now.0 { Some(now.1) } else { end };
    match end {
        Some(end) if seq <= end => Ok(()),
        _ => Err(Error::Expired {
            message: format!(
                "position (epoch {epoch}, seq {seq}) is not of this file's history (now epoch {}, seq {}); begin with a snapshot again",
                now.0, now.1
            ),
            oldest_seq: now.1,
        }),
    }
}

/// The scopes of a resource whose history after `seq` is whole.
fn kept(db: &Connection, name: &str, seq: i64) -> Result<Vec<scopes::ScopeRow>> {
    let (id, _) = scopes::resource_named(db, name)?;
    let kept = scopes::scopes(db, Some(id))?;
    if kept.is_empty() {
        return Err(Error::NotKept {
            message: format!("{name}: not kept in this file, so it has no history here"),
            scopes: Vec::new(),
        });
    }
    let floors = kept.iter().map(|scope| scope.floor);
    let floor = floors.fold(scopes::resource_floor(db, id)?, i64::max);
    if seq < floor {
        return Err(Error::Expired {
            message: format!(
                "history begins at seq {floor}, after {seq}; begin with a snapshot again"
            ),
            oldest_seq: floor,
        });
    }
    Ok(kept)
}

fn read_scope(
    db: &Connection,
    inner: &Arc<Inner>,
    scope: &scopes::ScopeRow,
    (after, limit): (i64, usize),
    epoch: i64,
    found: &mut Vec<Change>,
) -> Result<()> {
    let mut statement = db.prepare_cached(
        "SELECT v.seq, v.op, v.flags, v.rv, v.time_ms, v.body, p.body,
                coalesce(o.key, f.key), coalesce(o.uid, f.uid)
         FROM version v INDEXED BY version_scope_seq
         LEFT JOIN version p ON p.seq = v.prev
         LEFT JOIN object o ON o.id = v.object AND o.scope = v.scope
         LEFT JOIN free f ON f.id = v.object
         WHERE v.scope = ?1 AND v.seq > ?2 ORDER BY v.seq LIMIT ?3",
    )?;
    let after = after.max(scope.floor);
    let mut rows =
        statement.query(params![scope.id, after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let op = Op::from_number(row.get(1)?);
        let flags: i64 = row.get(2)?;
        let body: Vec<u8> = row.get(5)?;
        let prev: Option<Vec<u8>> = row.get(6)?;
        let body = inner.decode_in(db, &body)?;
        let (new, old) = if op == Op::Delete {
            (None, Some(body))
        } else {
            (Some(body), prev.map(|prev| inner.decode_in(db, &prev)).transpose()?)
        };
        found.push(Change {
            seq: row.get(0)?,
            epoch,
            op,
            resource: scope.info.name(),
            key: row.get(7)?,
            uid: row.get(8)?,
            resource_version: row.get(3)?,
            relist: flags & FLAG_RELIST != 0,
            time_ms: row.get(4)?,
            new,
            old,
        });
    }
    Ok(())
}
