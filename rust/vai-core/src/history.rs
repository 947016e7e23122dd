//! The history as a stream: what changed after a position, in order.

mod filter;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

pub use self::filter::ChangeFilter;

use self::filter::Filter;
use crate::error::{Error, Result};
use crate::store::{FLAG_RELIST, Inner, Op, Store, position, scopes};

/// One entry of the history.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its place in the history; unique in the file within an epoch.
    pub seq: i64,
    /// The epoch in which it was written: (epoch, seq) is the position behind it, the same whenever
    /// it is read.
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
    filter: Filter,
    epoch: i64,
    seq: i64,
    at_end: bool,
}

impl Store {
    /// The history after a position. Nothing is read yet, but a position that can't be continued
    /// is refused at once.
    pub fn changes(&self, resources: Vec<String>, epoch: i64, seq: i64) -> Result<Changes> {
        self.changes_of(resources, &ChangeFilter::default(), epoch, seq)
    }

    /// The same of those objects alone that pass a filter.
    pub fn changes_of(
        &self,
        resources: Vec<String>,
        filter: &ChangeFilter,
        epoch: i64,
        seq: i64,
    ) -> Result<Changes> {
        let (now, filter) = self.inner.read(|db| {
            check_position(db, epoch, seq)?;
            for name in &resources {
                kept(db, name, seq)?;
            }
            Ok((position(db)?, Filter::new(db, &self.inner, &resources, filter)?))
        })?;
        Ok(Changes { store: self.clone(), resources, filter, epoch: now.0, seq, at_end: false })
    }

    /// The oldest position from which the history of all these resources can be followed. Where
    /// nothing was pruned yet that is the beginning: the first list comes as adds.
    pub fn oldest(&self, resources: &[String]) -> Result<(i64, i64)> {
        self.inner.read(|db| {
            let mut floor = 0;
            for name in resources {
                floor = floor_of(db, &kept_scopes(db, name)?)?.max(floor);
            }
            Ok((position(db)?.0, floor))
        })
    }

    /// The position behind the last change that was committed at or before a moment, in
    /// milliseconds since 1970. Whether the history reaches back to it is for
    /// [`Store::changes`] to say.
    pub fn position_at(&self, time_ms: i64) -> Result<(i64, i64)> {
        self.inner.read(|db| Ok((position(db)?.0, seq_at(db, time_ms)?)))
    }
}

impl Changes {
    /// The epoch of [`Self::seq`].
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Everything up to here was given out, or did not concern these resources.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Whether nothing was left when the history was last read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.at_end
    }

    /// Up to `limit` entries; none after `timeout`, or when much was read that did not pass.
    pub fn next_batch(&mut self, limit: usize, timeout: Duration) -> Result<Vec<Change>> {
        // None asked for would look like none there, and what there is would be skipped.
        let limit = limit.max(1);
        let end = Instant::now() + timeout;
        loop {
            let found = self.read(limit)?;
            if !found.is_empty() {
                return Ok(found);
            }
            if !self.at_end && Instant::now() < end {
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.at_end {
                return Ok(found);
            }
            self.store.wait_seq(self.seq, left)?;
        }
    }

    /// What passes of the next entries, of which there are at most `limit`.
    fn read(&mut self, limit: usize) -> Result<Vec<Change>> {
        let inner = Arc::clone(&self.store.inner);
        inner.read(|db| {
            let (epoch, now) = position(db)?;
            if epoch != self.epoch {
                check_position(db, self.epoch, self.seq)?;
                self.epoch = epoch;
            }
            let mut scopes = Vec::new();
            for name in &self.resources {
                scopes.extend(kept(db, name, self.seq)?);
            }
            let next = entries(db, &scopes, self.seq, limit)?;
            // Less than was asked for is all that there is up to this moment.
            self.at_end = next.len() < limit;
            let upto = next.last().filter(|_| !self.at_end).map_or(now, |last| last.0);
            let mut found = Vec::new();
            let mut written = (epoch, i64::MIN);
            for (seq, scope) in next {
                if seq > written.1 {
                    written = epoch_of(db, seq, epoch)?;
                }
                let place = (written.0, seq);
                found.extend(read_entry(db, &inner, &self.filter, &scopes[scope], place)?);
            }
            self.seq = self.seq.max(upto);
            Ok(found)
        })
    }
}

/// A seq beyond its epoch's end never was durable: other changes have its numbers now.
pub(crate) fn check_position(db: &Connection, epoch: i64, seq: i64) -> Result<()> {
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

/// The epoch that a durable seq was written in, and the last seq of that epoch.
fn epoch_of(db: &Connection, seq: i64, now: i64) -> Result<(i64, i64)> {
    let ended = db
        .prepare_cached(
            "SELECT epoch, last_seq FROM epoch WHERE last_seq >= ?1 ORDER BY epoch LIMIT 1",
        )?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(ended.unwrap_or((now, i64::MAX)))
}

/// The scopes of a resource whose history after `seq` is whole.
fn kept(db: &Connection, name: &str, seq: i64) -> Result<Vec<scopes::ScopeRow>> {
    let kept = kept_scopes(db, name)?;
    let floor = floor_of(db, &kept)?;
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

fn kept_scopes(db: &Connection, name: &str) -> Result<Vec<scopes::ScopeRow>> {
    let (id, _) = scopes::resource_named(db, name)?;
    let kept = scopes::scopes(db, Some(id))?;
    if kept.is_empty() {
        return Err(Error::NotKept {
            message: format!("{name}: not kept in this file, so it has no history here"),
            scopes: Vec::new(),
        });
    }
    Ok(kept)
}

/// Up to where the history of a resource is not whole; its scopes are never none.
fn floor_of(db: &Connection, kept: &[scopes::ScopeRow]) -> Result<i64> {
    let forgotten = kept.first().map_or(Ok(0), |scope| scopes::resource_floor(db, scope.resource));
    Ok(kept.iter().map(|scope| scope.floor).fold(forgotten?, i64::max))
}

/// The last seq committed at or before a moment: times rise with seqs, so a search by halves finds
/// it without reading the history through. (A wall clock that was set back makes it a little
/// earlier or later, as it does every log.)
pub(crate) fn seq_at(db: &Connection, time_ms: i64) -> Result<i64> {
    let mut statement =
        db.prepare_cached("SELECT seq, time_ms FROM version WHERE seq > ?1 ORDER BY seq LIMIT 1")?;
    // All entries up to `low` are as old, the first one behind `high` is younger, or there is none.
    let (mut low, mut high) = (0, position(db)?.1);
    while low < high {
        let middle = low + (high - low) / 2;
        let entry: Option<(i64, i64)> =
            statement.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match entry {
            Some((seq, time)) if time <= time_ms => low = seq.min(high),
            _ => high = middle,
        }
    }
    Ok(low)
}

/// (seq, index of the scope) of the next entries of all scopes, in order. Narrow rows: the bodies
/// are read of those alone that will be given out.
fn entries(
    db: &Connection,
    scopes: &[scopes::ScopeRow],
    after: i64,
    limit: usize,
) -> Result<Vec<(i64, usize)>> {
    let mut statement = db.prepare_cached(
        "SELECT seq FROM version INDEXED BY version_scope_seq
         WHERE scope = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for (index, scope) in scopes.iter().enumerate() {
        let rows = statement
            .query_map(params![scope.id, after.max(scope.floor), most], |row| row.get(0))?;
        for seq in rows {
            found.push((seq?, index));
        }
    }
    found.sort_unstable();
    found.truncate(limit);
    Ok(found)
}

fn read_entry(
    db: &Connection,
    inner: &Arc<Inner>,
    filter: &Filter,
    scope: &scopes::ScopeRow,
    (epoch, seq): (i64, i64),
) -> Result<Option<Change>> {
    let mut statement = db.prepare_cached(
        "SELECT v.op, v.flags, v.rv, v.time_ms, v.body, p.body,
                coalesce(o.key, f.key), coalesce(o.uid, f.uid)
         FROM version v
         LEFT JOIN version p ON p.seq = v.prev
         LEFT JOIN object o ON o.id = v.object AND o.scope = v.scope
         LEFT JOIN free f ON f.id = v.object
         WHERE v.seq = ?1",
    )?;
    let mut rows = statement.query([seq])?;
    let Some(row) = rows.next()? else {
        return Err(Error::Corrupt(format!("version {seq} is in an index, but not in its table")));
    };
    let key: String = row.get(6)?;
    if !filter.has_key(&key) {
        return Ok(None);
    }
    let op = Op::from_number(row.get(0)?);
    let flags: i64 = row.get(1)?;
    let body: Vec<u8> = row.get(4)?;
    let prev: Option<Vec<u8>> = row.get(5)?;
    let body = inner.decode_in(db, &body)?;
    let before = prev.map(|prev| inner.decode_in(db, &prev)).transpose()?;
    let (new, old) =
        if op == Op::Delete { (None, Some(body)) } else { (Some(body), before.clone()) };
    let change = Change {
        seq,
        epoch,
        op,
        resource: scope.info.name(),
        key,
        uid: row.get(7)?,
        resource_version: row.get(2)?,
        relist: flags & FLAG_RELIST != 0,
        time_ms: row.get(3)?,
        new,
        old,
    };
    filter.apply(change, before.as_deref())
}
