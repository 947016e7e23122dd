//! Whether a file is what its format says: every row against every other that must agree with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::definitions::{self, Known, KnownFields};
use super::posting::{self, Posting};
use super::prepare::Derived;
use super::state::State;
use super::{Inner, Store, build, rows};
use crate::error::Result;
use crate::value::{Type, Value};

/// A check reads everything once; a file of a million objects takes about a minute.
const LONGEST: Duration = Duration::from_hours(1);

/// Questions whose answer must be no row at all; each row names what is wrong.
const NEVER: &[(&str, &str)] = &[
    ("a seq beyond the last one", "SELECT seq FROM version WHERE seq > (SELECT seq FROM meta)"),
    (
        "a row id that was never given out",
        "SELECT id FROM (SELECT id FROM object UNION ALL SELECT id FROM free)
         WHERE id < 1 OR id >= (SELECT next_id FROM meta)",
    ),
    ("a row id both used and free", "SELECT o.id FROM object o JOIN free f ON f.id = o.id"),
    (
        "a row id freed in the future",
        "SELECT id FROM free WHERE freed_seq > (SELECT seq FROM meta)",
    ),
    (
        "an object whose scope is not there or of another resource",
        "SELECT o.key FROM object o LEFT JOIN scope s ON s.id = o.scope
         WHERE s.id IS NULL OR s.resource <> o.resource",
    ),
    (
        "an object that does not agree with its current version",
        "SELECT o.key FROM object o LEFT JOIN version v ON v.seq = o.seq
         WHERE v.seq IS NULL OR v.object <> o.id OR v.scope <> o.scope OR v.op = 3
            OR v.rv <> o.rv OR length(v.body) <> o.size",
    ),
    (
        "a version of no object",
        "SELECT v.seq FROM version v
         WHERE NOT EXISTS (SELECT 1 FROM object o WHERE o.id = v.object AND o.scope = v.scope)
           AND NOT EXISTS (SELECT 1 FROM free f WHERE f.id = v.object AND f.scope = v.scope)",
    ),
    (
        "a version whose predecessor is not there though the floor is below it",
        "SELECT v.seq FROM version v JOIN scope s ON s.id = v.scope
         LEFT JOIN version p ON p.seq = v.prev
         WHERE v.seq > s.floor AND v.prev IS NOT NULL
           AND (p.seq IS NULL OR p.object <> v.object OR p.seq >= v.seq OR p.op = 3)",
    ),
    (
        "a version that the floor has passed",
        "SELECT v.seq FROM version v JOIN scope s ON s.id = v.scope
         WHERE NOT EXISTS (SELECT 1 FROM object o WHERE o.seq = v.seq)
           AND NOT (v.op = 3 AND v.seq > s.floor)
           AND NOT EXISTS (SELECT 1 FROM version n
                           WHERE n.scope = v.scope AND n.prev = v.seq AND n.seq > s.floor)",
    ),
    (
        "a scope whose running sums are wrong",
        "SELECT id FROM scope s WHERE
            objects <> (SELECT count(*) FROM object WHERE scope = s.id)
         OR body_bytes <> (SELECT coalesce(sum(size), 0) FROM object WHERE scope = s.id)
         OR history_bytes <> (SELECT coalesce(sum(length(body)), 0) FROM version WHERE scope = s.id)
                             - body_bytes",
    ),
    (
        "a published scope without a checkpoint",
        "SELECT id FROM scope WHERE published AND rv IS NULL AND void_reason IS NULL",
    ),
    ("cells of no object", "SELECT object FROM cells WHERE object NOT IN (SELECT id FROM object)"),
    ("a staged row of no scope", "SELECT key FROM stage WHERE scope NOT IN (SELECT id FROM scope)"),
    (
        "an invalid value of another resource's field",
        "SELECT t.object FROM invalid t
         LEFT JOIN field f ON f.id = t.field LEFT JOIN object o ON o.id = t.object
         WHERE f.id IS NULL OR f.kind <> 2 AND (o.id IS NULL OR f.resource <> o.resource)",
    ),
    (
        "an object of an edition that its resource has not reached",
        "SELECT o.key FROM object o JOIN resource r ON r.id = o.resource WHERE o.edition > r.edition",
    ),
    (
        "a field that is ready, or built up to there, though an object lacks its rows",
        "SELECT f.name FROM field f JOIN field_state s ON s.field = f.id
         JOIN object o ON o.resource = f.resource
         WHERE f.kind = 1 AND o.edition < f.since AND (s.ready OR o.id <= s.position)",
    ),
    (
        "a field without a state, or a state without a field",
        "SELECT id FROM field WHERE kind <> 0 AND id NOT IN (SELECT field FROM field_state)
         UNION ALL
         SELECT field FROM field_state WHERE field NOT IN (SELECT id FROM field WHERE kind <> 0)",
    ),
    (
        "two running segments of a scope",
        "SELECT scope FROM segment WHERE seq_to IS NULL GROUP BY scope HAVING count(*) > 1",
    ),
    (
        "a segment of no scope, or one that ends before it begins",
        "SELECT scope FROM segment
         WHERE scope NOT IN (SELECT id FROM scope) OR seq_to < seq_from",
    ),
];

impl Store {
    /// Everything that is wrong with the file, in words; empty for a sound one.
    ///
    /// Reads the whole file in one snapshot: `SQLite`'s own `integrity_check`, objects against
    /// versions, derived rows against bodies, sums against rows; of a writer also its memory
    /// against the file. Changes nothing.
    ///
    /// # Errors
    /// Only what keeps it from reading at all: [`crate::Error::Closed`], a failing disk.
    #[doc(hidden)]
    pub fn check(&self) -> Result<Vec<String>> {
        let inner = Arc::clone(&self.inner);
        let mut wrong = self.inner.read_within(Some(LONGEST), |db| {
            let mut wrong = integrity(db)?;
            // A damaged tree makes the rest of the questions meaningless.
            if wrong.is_empty() {
                wrong.extend(never(db)?);
                wrong.extend(bodies(&inner, db)?);
            }
            Ok(wrong)
        })?;
        if self.inner.writer.is_some() {
            wrong.extend(self.inner.writer()?.call(|writer| {
                let stored = State::load(writer.db)?;
                Ok(writer.state.difference(&stored))
            })?);
        }
        Ok(wrong)
    }
}

impl Store {
    /// Pauses the building of fields, for tests; whether there is something to build.
    #[doc(hidden)]
    pub fn pause_builds(&self, paused: bool) -> Result<bool> {
        self.inner.writer()?.call(move |writer| {
            writer.state.builds_paused = paused;
            Ok(writer.state.pending)
        })
    }

    /// One step of a paused build, over at most so many objects; whether there is more to do.
    #[doc(hidden)]
    pub fn build_step(&self, objects: i64) -> Result<bool> {
        self.inner.writer()?.call(move |writer| {
            build::step(writer, objects)?;
            Ok(writer.state.pending)
        })
    }

    /// A full disk, for tests: the file may not grow beyond so many pages; 0 lifts the limit.
    #[doc(hidden)]
    pub fn limit_pages(&self, pages: u32) -> Result<()> {
        let pages = if pages == 0 { u32::MAX - 1 } else { pages };
        self.inner.writer()?.call(move |writer| {
            writer.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        })
    }
}

fn integrity(db: &Connection) -> Result<Vec<String>> {
    let mut statement = db.prepare("PRAGMA integrity_check")?;
    let found: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

fn never(db: &Connection) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (what, sql) in NEVER {
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let which: rusqlite::types::Value = row.get(0)?;
            wrong.push(format!("{what}: {which:?}"));
        }
    }
    Ok(wrong)
}

/// (field, value, object)
type Row<V> = (i64, V, i64);

/// What objects are found by, as it is stored; what bodies explain is taken away.
struct Derivations {
    labels: HashMap<(i64, String), i64>,
    values: HashSet<Row<Value>>,
    /// (field, values found, object)
    invalid: HashSet<Row<u32>>,
    /// (hash of the owner's uid, object)
    owners: HashSet<(i64, i64)>,
}

impl Derivations {
    fn load(db: &Connection, fields: &KnownFields, wrong: &mut Vec<String>) -> Result<Self> {
        let types = fields.values().flat_map(|known| {
            (0..).zip(known.set.defs()).map(|(index, def)| (known.id(index), def.ty))
        });
        let mut types: HashMap<i64, Type> = types.filter_map(|(id, ty)| Some((id?, ty))).collect();
        let mut labels = HashMap::new();
        let mut statement = db.prepare("SELECT resource, name, id FROM field WHERE kind = 0")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get(2)?;
            types.insert(id, Type::Text);
            labels.insert((row.get(0)?, row.get(1)?), id);
        }
        let mut dropped = HashSet::new();
        let mut statement = db.prepare("SELECT id FROM field WHERE kind = 2")?;
        for id in statement.query_map([], |row| row.get(0))? {
            dropped.insert(id?);
        }
        let values = values(db, &types, &dropped, wrong)?;
        let mut statement = db.prepare(
            "SELECT field, found, object FROM invalid
             WHERE field NOT IN (SELECT id FROM field WHERE kind = 2)",
        )?;
        let invalid = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut statement = db.prepare("SELECT uid_hash, object FROM owner")?;
        let owners = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self { labels, values, invalid, owners })
    }

    /// Takes away the rows that this object must have; returns those that it lacks.
    fn explain(&mut self, resource: i64, known: &Known, id: i64, derived: &Derived) -> Vec<String> {
        let mut lacking = Vec::new();
        let mut labels = HashSet::new();
        for (name, value) in &derived.labels {
            let field = self.labels.get(&(resource, name.clone())).copied();
            let row = field.map(|field| (field, Value::text(value), id));
            if labels.insert(name) && !row.is_some_and(|row| self.values.remove(&row)) {
                lacking.push(format!("the term {name}={value}"));
            }
        }
        let mut fields = HashSet::new();
        for (index, value) in &derived.fields {
            let row = known.id(*index).map(|field| (field, value.clone(), id));
            if fields.insert((index, value)) && !row.is_some_and(|row| self.values.remove(&row)) {
                let name = known.set.name(*index);
                lacking.push(format!("the order entry {name:?}={value:?}"));
            }
        }
        for (index, found) in &derived.invalid {
            let row = known.id(*index).map(|field| (field, *found, id));
            if !row.is_some_and(|row| self.invalid.remove(&row)) {
                lacking.push(format!("{found} invalid values of {:?}", known.set.name(*index)));
            }
        }
        // Several references may name one owner.
        let owners: HashMap<i64, _> =
            derived.owners.iter().map(|owner| (rows::owner_hash(&owner.0), owner)).collect();
        for (hash, (_, kind, name, _)) in owners {
            if !self.owners.remove(&(hash, id)) {
                lacking.push(format!("the edge to its owner {kind}/{name}"));
            }
        }
        lacking
    }

    fn unexplained(self) -> Vec<String> {
        let values = self.values.into_iter().map(|row| format!("a value of no body: {row:?}"));
        let invalid =
            self.invalid.into_iter().map(|row| format!("an invalid value of no body: {row:?}"));
        let owners = self.owners.into_iter().map(|row| format!("an owner of no body: {row:?}"));
        values.chain(invalid).chain(owners).collect()
    }
}

/// All postings but those of dropped fields.
fn values(
    db: &Connection,
    types: &HashMap<i64, Type>,
    dropped: &HashSet<i64>,
    wrong: &mut Vec<String>,
) -> Result<HashSet<Row<Value>>> {
    let mut found = HashSet::new();
    let mut posting = Posting::default();
    let mut statement = db.prepare("SELECT id, rows FROM posting")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (block, field) = posting::place_of(row.get(0)?);
        if dropped.contains(&field) {
            continue;
        }
        let Some(ty) = types.get(&field) else {
            wrong.push(format!("postings of no field: {field}"));
            continue;
        };
        if let Err(error) = posting.decode(row.get_ref(1)?) {
            wrong.push(format!("the postings of field {field} in block {block}: {error}"));
            continue;
        }
        if posting.is_empty() {
            wrong.push(format!("no posting of field {field} in block {block}, and a row for it"));
        }
        for (value, bits) in posting.iter() {
            match posting::read(*ty, posting.kind(), value) {
                Ok(value) => {
                    found
                        .extend(posting::objects(block, bits).map(|id| (field, value.clone(), id)));
                }
                Err(error) => wrong.push(format!("a posting of field {field}: {error}")),
            }
        }
    }
    Ok(found)
}

/// Every stored body decompresses; what is known of an object is what its current body says.
fn bodies(inner: &Inner, db: &Connection) -> Result<Vec<String>> {
    let fields = definitions::load(db)?;
    let mut wrong = Vec::new();
    let mut rows_of = Derivations::load(db, &fields, &mut wrong)?;
    let mut statement = db.prepare(
        "SELECT v.seq, v.body, o.id, o.resource, o.key, o.uid, o.rv, o.derived,
                o.edition
         FROM version v LEFT JOIN object o ON o.seq = v.seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let json = match inner.decode_in(db, &row.get::<_, Vec<u8>>(1)?) {
            Ok(json) => json,
            Err(error) => {
                wrong.push(format!("version {seq}: {error}"));
                continue;
            }
        };
        let Some(id) = row.get::<_, Option<i64>>(2)? else { continue };
        let (resource, key): (i64, String) = (row.get(3)?, row.get(4)?);
        let known = fields.get(&resource).map_or_else(Arc::default, Arc::clone);
        let Some((mut derived, mut scan)) = Derived::of_body(&json, &known.set) else {
            wrong.push(format!("version {seq} of {key} is not JSON"));
            continue;
        };
        let told = (scan.key(), scan.uid.take(), scan.resource_version.take());
        let stored = (Some(key.clone()), Some(row.get(5)?), Some(row.get(6)?));
        if told != stored {
            wrong.push(format!("object {id} is {stored:?}, its body says {told:?}"));
        }
        let edition: i64 = row.get(8)?;
        if edition == known.edition && derived.hash() != row.get::<_, i64>(7)? {
            wrong.push(format!("{key}: the hash of what is derived is not that of its body"));
        }
        derived.retain_fields(|index| known.has(index, edition));
        for what in rows_of.explain(resource, &known, id, &derived) {
            wrong.push(format!("{key} (object {id}) lacks {what}"));
        }
    }
    wrong.extend(rows_of.unexplained());
    Ok(wrong)
}
