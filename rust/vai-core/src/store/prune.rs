//! History within its budget of bytes and time.
//!
//! A version goes when the floor of its scope passes its successor, a delete when the floor passes
//! itself. The horizon is kept per scope: the largest history is cut first, so that events can't
//! flush the pods' past. Entries that superseded nothing, such as those of the first load, are
//! stepped over: they are the bodies themselves.
//!
//! What a named consumer has not had yet is kept beyond its time, but not beyond the bytes: a
//! consumer that never comes back must not fill the disk.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::apply::{Op, Writer};
use super::scopes;
use super::state::State;
use crate::db::live::unix_ms;
use crate::error::{Error, Result};

/// Rows of one step: it stays far below 20 ms.
const STEP_ROWS: i64 = 256;
/// History of scopes that keep none: long enough for followers to catch up.
const BRIEF_MS: i64 = 10_000;
/// The byte budget never falls below a fifth of the bodies (storage decision: 64 MB or 20 %).
const BODIES_SHARE: i64 = 5;

/// How much history is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) bytes: i64,
    pub(super) age_ms: i64,
}

/// One scope to cut: rows older than a moment, or until some bytes are freed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    scope: i64,
    before_ms: i64,
    excess_bytes: i64,
    /// A consumer needs what is behind this.
    upto: i64,
}

/// Bytes above the budget; negative below it.
fn excess_bytes(state: &State, budget: Budget) -> i64 {
    let bodies: i64 = state.scopes.values().map(|scope| scope.body_bytes).sum();
    let history: i64 = state.scopes.values().map(|scope| scope.history_bytes).sum();
    history - budget.bytes.max(bodies / BODIES_SHARE)
}

/// Whether history must be cut at once.
pub(super) fn over(state: &State, budget: Budget) -> bool {
    excess_bytes(state, budget) > 0
}

/// What should be cut now, if anything. `holds`: per resource the oldest position of its named
/// consumers.
pub(super) fn due(
    state: &mut State,
    db: &Connection,
    budget: Budget,
    holds: &[(String, i64)],
) -> Option<Task> {
    let excess = excess_bytes(state, budget);
    let now = unix_ms();
    if excess > 0 {
        let largest = state.scopes.iter().max_by_key(|(_, scope)| scope.history_bytes)?;
        return Some(Task {
            scope: *largest.0,
            before_ms: i64::MIN,
            excess_bytes: excess,
            upto: i64::MAX,
        });
    }
    let seq = state.seq;
    let held = held(db, holds).ok()?;
    state.scopes.iter_mut().filter(|(_, scope)| scope.history_bytes > 0).find_map(|(id, scope)| {
        let age = if scope.brief_history { BRIEF_MS.min(budget.age_ms) } else { budget.age_ms };
        let before_ms = now - age;
        let oldest = oldest(db, *id, scope.floor.max(scope.kept_upto)).ok()?;
        // A first load is not walked through again each second.
        scope.kept_upto = oldest.map_or(seq, |(oldest, _)| oldest - 1);
        let (oldest, time_ms) = oldest?;
        let upto = held.get(&scope.resource).copied().unwrap_or(i64::MAX);
        (time_ms < before_ms && oldest <= upto).then_some(Task {
            scope: *id,
            before_ms,
            excess_bytes: 0,
            upto,
        })
    })
}

/// The same by the resource's id.
fn held(db: &Connection, holds: &[(String, i64)]) -> Result<HashMap<i64, i64>> {
    let mut found = HashMap::new();
    for (name, seq) in holds {
        match scopes::resource_named(db, name) {
            Ok((id, _)) => {
                found.insert(id, *seq);
            }
            // Of a file that was made anew, or of a cluster that no longer serves it.
            Err(Error::UnknownResource { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(found)
}

/// (seq, time) of the first entry behind `after` that can be cut.
fn oldest(db: &Connection, scope: i64, after: i64) -> Result<Option<(i64, i64)>> {
    let mut statement = db.prepare_cached(
        "SELECT seq, time_ms FROM version INDEXED BY version_scope_seq
         WHERE scope = ?1 AND seq > ?2 AND (prev IS NOT NULL OR op = 3) ORDER BY seq LIMIT 1",
    )?;
    let mut rows = statement.query(params![scope, after])?;
    Ok(rows.next()?.map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?))).transpose()?)
}

struct Entry {
    seq: i64,
    op: Op,
    prev: Option<i64>,
    time_ms: i64,
}

/// Raises the floor over at most [`STEP_ROWS`] entries.
pub(super) fn step(writer: &mut Writer<'_>, task: Task) -> Result<()> {
    let scope = writer.state.scope(task.scope)?;
    let (mut raised, from) = (scope.floor, scope.floor.max(scope.kept_upto));
    let mut freed = 0;
    for entry in entries_after(writer.db, task.scope, from)? {
        let enough = entry.time_ms >= task.before_ms && freed >= task.excess_bytes;
        if enough || entry.seq > task.upto {
            break;
        }
        if let Some(prev) = entry.prev {
            freed += drop_version(writer.db, prev)?;
        }
        if entry.op == Op::Delete {
            freed += drop_version(writer.db, entry.seq)?;
        }
        raised = entry.seq;
    }
    let scope = writer.state.scope(task.scope)?;
    scope.floor = raised;
    scope.history_bytes = (scope.history_bytes - freed).max(0);
    scope.dirty = true;
    writer
        .db
        .prepare_cached("DELETE FROM segment WHERE scope = ?1 AND seq_to <= ?2")?
        .execute(params![task.scope, raised])?;
    writer.state.save(writer.db)?;
    writer.state.load_reusable(writer.db)
}

fn entries_after(db: &Connection, scope: i64, floor: i64) -> Result<Vec<Entry>> {
    let mut statement = db.prepare_cached(
        "SELECT seq, op, prev, time_ms FROM version INDEXED BY version_scope_seq
         WHERE scope = ?1 AND seq > ?2 AND (prev IS NOT NULL OR op = 3) ORDER BY seq LIMIT ?3",
    )?;
    let rows = statement.query_map(params![scope, floor, STEP_ROWS], |row| {
        Ok(Entry {
            seq: row.get(0)?,
            op: Op::from_number(row.get(1)?),
            prev: row.get(2)?,
            time_ms: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn drop_version(db: &Connection, seq: i64) -> Result<i64> {
    let mut statement =
        db.prepare_cached("DELETE FROM version WHERE seq = ?1 RETURNING length(body)")?;
    let mut rows = statement.query([seq])?;
    let size = rows.next()?.map_or(Ok(0), |row| row.get(0))?;
    while rows.next()?.is_some() {}
    Ok(size)
}
