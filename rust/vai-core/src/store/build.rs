//! New fields are built, and rows of dropped ones deleted, in small steps between the jobs of the
//! writer's thread. Each step is one transaction that moves a position: a kill loses at most one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

use super::apply::Writer;
use super::definitions::raise_catalogue;
use super::posting;
use crate::error::Result;

/// How long a step may work: its commit included, an event waits for less than 20 ms (storage
/// decision).
const STEP: Duration = Duration::from_millis(10);
/// Rows between two looks at the clock.
const CHUNK_ROWS: i64 = 64;
/// Rows that are deleted at once: about 5 ms.
const DROPPED_BLOCKS: i64 = 1_000;

/// Whether fields are to be built or dropped.
pub(super) fn pending(db: &Connection) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM field_state WHERE NOT ready)
        OR EXISTS (SELECT 1 FROM field WHERE kind = 2)";
    Ok(db.prepare_cached(SQL)?.query_row([], |row| row.get(0))?)
}

/// One step, of at most so many objects.
pub(super) fn step(writer: &mut Writer<'_>, objects: i64) -> Result<()> {
    let end = Instant::now() + STEP;
    if !drop_rows(writer.db)? {
        build(writer, end, objects)?;
    }
    writer.state.pending = pending(writer.db)?;
    Ok(())
}

/// Deletes some rows of one dropped field; whether there was any such field.
fn drop_rows(db: &Connection) -> Result<bool> {
    let dropped: Option<(i64, i64)> = db
        .prepare_cached(
            "SELECT f.id, s.position FROM field f JOIN field_state s ON s.field = f.id
             WHERE f.kind = 2 ORDER BY f.id LIMIT 1",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((field, position)) = dropped else { return Ok(false) };
    let last: Option<i64> =
        db.prepare_cached("SELECT max(id) FROM posting")?.query_row([], |row| row.get(0))?;
    let end = last.map_or(0, |row| posting::place_of(row).0 + 1);
    let upto = end.min(position + DROPPED_BLOCKS);
    let mut delete = db.prepare_cached("DELETE FROM posting WHERE id = ?1")?;
    for block in position..upto {
        delete.execute([posting::row_id(block, field)])?;
    }
    if upto < end {
        db.prepare_cached("UPDATE field_state SET position = ?2 WHERE field = ?1")?
            .execute([field, upto])?;
        return Ok(true);
    }
    for sql in [
        "DELETE FROM invalid WHERE field = ?1",
        "DELETE FROM field_state WHERE field = ?1",
        "DELETE FROM field WHERE id = ?1",
    ] {
        db.prepare_cached(sql)?.execute([field])?;
    }
    Ok(true)
}

struct Row {
    id: i64,
    resource: i64,
    edition: i64,
    seq: i64,
}

/// Walks all objects in the order of their ids from the first that some field still lacks.
fn build(writer: &mut Writer<'_>, end: Instant, objects: i64) -> Result<()> {
    let building = building(writer.db)?;
    let Some(mut position) = building.values().copied().min() else { return Ok(()) };
    let mut left = objects;
    let done = loop {
        let rows = rows_after(writer.db, position, left.min(CHUNK_ROWS))?;
        if rows.is_empty() {
            break true;
        }
        for row in rows {
            position = row.id;
            left -= 1;
            bring_up(writer, &row)?;
        }
        if left == 0 || Instant::now() >= end {
            break false;
        }
    };
    if done {
        writer.db.execute("UPDATE field_state SET ready = 1, position = 0 WHERE NOT ready", [])?;
        return raise_catalogue(writer.db);
    }
    writer
        .db
        .prepare_cached("UPDATE field_state SET position = ?1 WHERE NOT ready AND position < ?1")?
        .execute([position])?;
    Ok(())
}

/// Positions of fields that are not ready.
fn building(db: &Connection) -> Result<BTreeMap<i64, i64>> {
    let mut statement =
        db.prepare_cached("SELECT field, position FROM field_state WHERE NOT ready")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn rows_after(db: &Connection, position: i64, limit: i64) -> Result<Vec<Row>> {
    let mut statement = db.prepare_cached(
        "SELECT id, resource, edition, seq FROM object WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![position, limit], |row| {
        Ok(Row { id: row.get(0)?, resource: row.get(1)?, edition: row.get(2)?, seq: row.get(3)? })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// Gives an object the rows of the fields that it lacks.
fn bring_up(writer: &mut Writer<'_>, row: &Row) -> Result<()> {
    let known = writer.state.known(row.resource);
    if !known.lacks(row.edition) {
        return Ok(());
    }
    let derived = writer.derived_of(&known, row.seq)?;
    let lacks = |index: u16| !known.has(index, row.edition);
    writer.add_fields(&known, row.id, derived.fields.iter().filter(|(index, _)| lacks(*index)))?;
    writer.add_invalid(
        &known,
        row.id,
        derived.invalid.iter().filter(|(index, _)| lacks(*index)),
    )?;
    writer
        .db
        .prepare_cached("UPDATE object SET derived = ?2, edition = ?3 WHERE id = ?1")?
        .execute(params![row.id, derived.hash(), known.edition])?;
    Ok(())
}
