//! The past: what was there after an earlier entry of the history.
//!
//! Only what changed since has to be looked at: rows that did not change since answer as they do
//! now, and of the others the version of that time decides.

use std::collections::HashMap;

use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension, params};

use super::request::At;
use super::route::{self, Ask, Source};
use super::rows::{ById, Raw};
use crate::error::{Error, Result};
use crate::postings::Moment;
use crate::store::{ScopeRow, scopes};

/// What changed after a moment: id → the version that it had then, `None` if it was not there.
pub(super) type Changed = HashMap<u32, Option<i64>>;

/// The entry of the history that a query's moment is after.
///
/// # Errors
/// [`Error::Expired`] for a position that never was durable.
pub(super) fn seq_of(db: &Connection, at: At, now: Moment) -> Result<i64> {
    match at {
        At::Position { epoch, seq } => {
            crate::history::check_position(db, epoch, seq)?;
            Ok(seq)
        }
        At::Time { time_ms } => last_before(db, time_ms, now.seq),
    }
}

/// The scopes to read for a moment: one that was listed for the first time after it knows nothing
/// of it, and must not answer that nothing was there.
///
/// # Errors
/// [`Error::Expired`] where without them nobody answers; else those of the present.
pub(super) fn choose(
    db: &Connection,
    ask: &Ask<'_>,
    all: &[ScopeRow],
    seq: i64,
) -> Result<Vec<Source>> {
    let now = route::choose(ask, all)?;
    let mut first = db.prepare_cached("SELECT min(seq_from) FROM segment WHERE scope = ?1")?;
    let (mut known, mut begun) = (Vec::new(), None);
    for scope in all {
        let from: Option<i64> = first.query_row([scope.id], |row| row.get(0))?;
        match from {
            // Where history was pruned so may have been an earlier list.
            Some(from) if from > seq && scope.floor == 0 => {
                begun = Some(begun.map_or(from, |held: i64| held.min(from)));
            }
            _ => known.push(scope.clone()),
        }
    }
    let Some(oldest_seq) = begun else { return Ok(now) };
    route::choose(ask, &known).map_err(|_| Error::Expired {
        message: format!(
            "{} was first listed up to seq {oldest_seq}{}; what was there at seq {seq} is not known",
            ask.info.name(),
            since(db, oldest_seq).unwrap_or_default(),
        ),
        oldest_seq,
    })
}

/// Whether the history of these scopes is whole after `seq`.
///
/// # Errors
/// [`Error::Expired`] where it does not reach back so far.
pub(super) fn check_reach(db: &Connection, seq: i64, kept: &[ScopeRow]) -> Result<()> {
    let mut floor = 0;
    for scope in kept {
        floor = floor.max(scope.floor).max(scopes::resource_floor(db, scope.resource)?);
    }
    if seq >= floor {
        return Ok(());
    }
    let since = since(db, floor)?;
    Err(Error::Expired {
        message: format!(
            "the history begins at seq {floor}{since}; it does not reach back to seq {seq}"
        ),
        oldest_seq: floor,
    })
}

/// The last entry that was committed at or before a time; entries are in the order of time.
fn last_before(db: &Connection, time_ms: i64, last: i64) -> Result<i64> {
    // First versions of living objects may be very old: the oldest that there is bounds it.
    let first: Option<i64> = db.query_row("SELECT min(seq) FROM version", [], |row| row.get(0))?;
    let Some(first) = first else { return Ok(last) };
    let mut statement =
        db.prepare_cached("SELECT seq, time_ms FROM version WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    let (mut low, mut high) = (first - 1, last);
    while low < high {
        let middle = low + (high - low + 1) / 2;
        let found = statement
            .query_row([middle], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        match found {
            Some((seq, time)) if time <= time_ms => low = seq.min(high),
            _ => high = middle - 1,
        }
    }
    Ok(low)
}

/// When an entry of the history was committed: milliseconds since 1970.
pub(super) fn time_of(db: &Connection, seq: i64) -> Result<Option<i64>> {
    let mut statement =
        db.prepare_cached("SELECT time_ms FROM version WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
}

/// When that was, for a message.
fn since(db: &Connection, seq: i64) -> Result<String> {
    let ms = time_of(db, seq)?;
    Ok(ms.map_or_else(String::new, |ms| format!(", from {}", instant(ms))))
}

fn instant(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |at| at.to_string())
}

/// Since when what is told of a moment was known, where a list had to bridge a gap right after
/// it: milliseconds since 1970. `None` where the history is gapless there.
pub(super) fn known_since(db: &Connection, seq: i64, sources: &[Source]) -> Result<Option<i64>> {
    let mut after = db.prepare_cached(
        "SELECT flags FROM version INDEXED BY version_scope_seq
         WHERE scope = ?1 AND seq > ?2 ORDER BY seq LIMIT 1",
    )?;
    let mut before = db.prepare_cached(
        "SELECT time_ms FROM version INDEXED BY version_scope_seq
         WHERE scope = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1",
    )?;
    let mut since: Option<i64> = None;
    for source in sources {
        let bridged = after
            .query_row(params![source.scope.id, seq], |row| row.get::<_, i64>(0))
            .optional()?
            .is_some_and(|flags| flags & crate::store::FLAG_RELIST != 0);
        if bridged {
            let last: Option<i64> =
                before.query_row(params![source.scope.id, seq], |row| row.get(0)).optional()?;
            since = match (since, last) {
                (Some(held), Some(last)) => Some(held.min(last)),
                (held, last) => last.or(held),
            };
        }
    }
    Ok(since)
}

/// What changed in these scopes after `seq`.
pub(super) fn changed(db: &Connection, seq: i64, sources: &[Source]) -> Result<Changed> {
    let mut changed = Changed::new();
    let mut statement = db.prepare_cached(
        "SELECT object, prev FROM version INDEXED BY version_scope_seq
         WHERE scope = ?1 AND seq > ?2 ORDER BY seq",
    )?;
    let mut seen: Vec<i64> = Vec::new();
    for source in sources {
        if seen.contains(&source.scope.id) {
            continue;
        }
        seen.push(source.scope.id);
        let mut rows = statement.query(params![source.scope.id, seq])?;
        while let Some(row) = rows.next()? {
            // The first change tells what was there before it.
            changed.entry(row.get(0)?).or_insert(row.get(1)?);
        }
    }
    Ok(changed)
}

/// The ids of what changed.
pub(super) fn ids(changed: &Changed) -> RoaringBitmap {
    changed.keys().copied().collect()
}

/// An object as it was after `seq`, by going back through what superseded it.
pub(super) fn row_at(
    db: &Connection,
    by_id: &mut ById<'_>,
    id: u32,
    seq: i64,
) -> Result<Option<Raw>> {
    let names = by_id.names();
    if let Some(now) = by_id.row(id)? {
        if now.seq() <= seq {
            return Ok(Some(now));
        }
        return version_at(db, id, now.seq(), seq, names);
    }
    let freed: Option<i64> = db
        .prepare_cached("SELECT freed_seq FROM free WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    match freed {
        Some(freed) => version_at(db, id, freed, seq, names),
        None => Ok(None),
    }
}

fn version_at(
    db: &Connection,
    id: u32,
    mut from: i64,
    seq: i64,
    names: &HashMap<i64, String>,
) -> Result<Option<Raw>> {
    let mut statement = db.prepare_cached("SELECT prev FROM version WHERE seq = ?1")?;
    while from > seq {
        let prev: Option<Option<i64>> = statement.query_row([from], |row| row.get(0)).optional()?;
        match prev.flatten() {
            Some(prev) => from = prev,
            None => return Ok(None),
        }
    }
    version(db, id, from, names)
}

/// One version as a row.
fn version(
    db: &Connection,
    id: u32,
    seq: i64,
    names: &HashMap<i64, String>,
) -> Result<Option<Raw>> {
    let mut statement = db.prepare_cached(
        "SELECT coalesce(o.key, f.key), coalesce(o.uid, f.uid), v.rv, v.seq,
                s.redaction, v.body, NULL, s.resource
         FROM version v
         LEFT JOIN object o ON o.id = v.object AND o.scope = v.scope
         LEFT JOIN free f ON f.id = v.object
         LEFT JOIN scope s ON s.id = v.scope
         WHERE v.seq = ?1 AND v.object = ?2",
    )?;
    let found =
        statement.query_row(params![seq, id], |row| Ok((Raw::read(row, true)?, row.get(7)?)));
    Ok(found.optional()?.map(|(row, resource)| row.of(resource, names)))
}
