//! Whether a file is what its format says: every row against every other that must agree with it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
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

/// What can be asked on its own, each only of a file that passed the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `SQLite`'s `integrity_check`: the pages and trees of the file.
    Integrity,
    /// Rows against rows: objects, versions, scopes, ids.
    Rows,
    /// Every body decompresses, and the rows that queries use are those that it explains.
    Bodies,
}

impl Part {
    /// A part by its name, `bodies` for example; `None` for no such name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "integrity" => Some(Self::Integrity),
            "rows" => Some(Self::Rows),
            "bodies" => Some(Self::Bodies),
            _ => None,
        }
    }
}

impl Store {
    /// Everything that is wrong with the file, in words; empty for a sound one.
    ///
    /// Reads the whole file in one snapshot: `SQLite`'s own `integrity_check`, objects against
    /// versions, derived rows against bodies, sums against rows; of a writer also its memory
    /// against the file. Changes nothing.
    ///
    /// # Errors
    /// Only what keeps it from reading at all: [`crate::Error::Closed`], a failing disk.
    pub fn check(&self) -> Result<Vec<String>> {
        let mut wrong = self.check_part(Part::Integrity)?;
        // A damaged tree makes the rest of the questions meaningless.
        if wrong.is_empty() {
            wrong.extend(self.check_part(Part::Rows)?);
            wrong.extend(self.check_part(Part::Bodies)?);
        }
        if self.inner.writer.is_some() {
            wrong.extend(self.inner.writer()?.call(|writer| {
                let stored = State::load(writer.db)?;
                Ok(writer.state.difference(&stored))
            })?);
        }
        Ok(wrong)
    }

    /// One part of [`Store::check`], in one snapshot. Sound where nothing is returned.
    ///
    /// # Errors
    /// As [`Store::check`].
    pub fn check_part(&self, part: Part) -> Result<Vec<String>> {
        let inner = Arc::clone(&self.inner);
        self.inner.read_within(Some(LONGEST), |db| match part {
            Part::Integrity => integrity(db),
            Part::Rows => never(db),
            Part::Bodies => bodies(&inner, db),
        })
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

/// One of the rows that objects are found by; the last number of each is the object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Found {
    /// A label or a field with one of its values.
    Posting(i64, Value, i64),
    /// With how many values can't be read.
    Invalid(i64, u32, i64),
    /// The hash of its owner's uid.
    Owner(i64, i64),
}

impl Found {
    fn object(&self) -> i64 {
        match self {
            Self::Posting(_, _, object) | Self::Invalid(_, _, object) | Self::Owner(_, object) => {
                *object
            }
        }
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}

/// No field has this id.
const NO_FIELD: i64 = -1;

/// What the rows of the file mean.
struct Meaning {
    fields: KnownFields,
    /// Of each field that has postings.
    types: HashMap<i64, Type>,
    /// Of label keys, by resource and name.
    labels: HashMap<(i64, String), i64>,
    /// Fields whose rows are on their way out.
    dropped: HashSet<i64>,
}

impl Meaning {
    fn load(db: &Connection) -> Result<Self> {
        let fields = definitions::load(db)?;
        let mut types: HashMap<i64, Type> = fields
            .values()
            .flat_map(|known| {
                (0..).zip(known.set.defs()).map(|(index, def)| (known.id(index), def.ty))
            })
            .filter_map(|(id, ty)| Some((id?, ty)))
            .collect();
        let mut labels = HashMap::new();
        let mut statement = db.prepare("SELECT resource, name, id FROM field WHERE kind = 0")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get(2)?;
            types.insert(id, Type::Text);
            labels.insert((row.get(0)?, row.get(1)?), id);
        }
        let mut statement = db.prepare("SELECT id FROM field WHERE kind = 2")?;
        let dropped =
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Self { fields, types, labels, dropped })
    }

    fn known(&self, resource: i64) -> Arc<Known> {
        self.fields.get(&resource).map_or_else(Arc::default, Arc::clone)
    }

    /// All rows as they are, one by one.
    fn stored(
        &self,
        db: &Connection,
        wrong: &mut Vec<String>,
        sink: &mut dyn FnMut(Found),
    ) -> Result<()> {
        self.postings(db, wrong, sink)?;
        let mut statement = db.prepare(
            "SELECT field, found, object FROM invalid
             WHERE field NOT IN (SELECT id FROM field WHERE kind = 2)",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            sink(Found::Invalid(row.get(0)?, row.get(1)?, row.get(2)?));
        }
        let mut statement = db.prepare("SELECT uid_hash, object FROM owner")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            sink(Found::Owner(row.get(0)?, row.get(1)?));
        }
        Ok(())
    }

    /// All postings but those of dropped fields.
    fn postings(
        &self,
        db: &Connection,
        wrong: &mut Vec<String>,
        sink: &mut dyn FnMut(Found),
    ) -> Result<()> {
        let mut posting = Posting::default();
        let mut statement = db.prepare("SELECT id, rows FROM posting")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (block, field) = posting::place_of(row.get(0)?);
            if self.dropped.contains(&field) {
                continue;
            }
            let Some(ty) = self.types.get(&field) else {
                wrong.push(format!("postings of no field: {field}"));
                continue;
            };
            if let Err(error) = posting.decode(row.get_ref(1)?) {
                wrong.push(format!("the postings of field {field} in block {block}: {error}"));
                continue;
            }
            if posting.is_empty() {
                wrong.push(format!(
                    "no posting of field {field} in block {block}, and a row for it"
                ));
            }
            for (value, bits) in posting.iter() {
                match posting::read(*ty, posting.kind(), value) {
                    Ok(value) => {
                        for id in posting::objects(block, bits) {
                            sink(Found::Posting(field, value.clone(), id));
                        }
                    }
                    Err(error) => wrong.push(format!("a posting of field {field}: {error}")),
                }
            }
        }
        Ok(())
    }

    /// The rows that a body explains, each once.
    fn explained(
        &self,
        resource: i64,
        known: &Known,
        id: i64,
        derived: &Derived,
    ) -> HashSet<Found> {
        let field = |index: u16| known.id(index).unwrap_or(NO_FIELD);
        let mut names = HashSet::new();
        let once = derived.labels.iter().filter(|(name, _)| names.insert(name));
        let labels = once.map(|(name, value)| {
            let field = self.labels.get(&(resource, name.clone())).copied().unwrap_or(NO_FIELD);
            Found::Posting(field, Value::text(value), id)
        });
        let values = derived
            .fields
            .iter()
            .map(|(index, value)| Found::Posting(field(*index), value.clone(), id));
        let invalid =
            derived.invalid.iter().map(|(index, found)| Found::Invalid(field(*index), *found, id));
        // Several references may name one owner.
        let owners =
            derived.owners.iter().map(|owner| Found::Owner(rows::owner_hash(&owner.0), id));
        labels.chain(values).chain(invalid).chain(owners).collect()
    }
}

/// Every stored body decompresses; what is known of an object is what its current body says.
///
/// Rows are added up by object, and what bodies explain is taken away again: 8 bytes an object,
/// whatever its rows. Only of objects where something is left are rows and body compared.
fn bodies(inner: &Inner, db: &Connection) -> Result<Vec<String>> {
    let meaning = Meaning::load(db)?;
    let mut wrong = Vec::new();
    let mut sums: HashMap<i64, u64> = HashMap::new();
    meaning.stored(db, &mut wrong, &mut |found| {
        let sum = sums.entry(found.object()).or_default();
        *sum = sum.wrapping_add(found.hash());
    })?;
    each_body(inner, db, &meaning, None, &mut wrong, &mut |id, _, explained| {
        let sum = sums.entry(id).or_default();
        *sum = explained.iter().fold(*sum, |sum, found| sum.wrapping_sub(found.hash()));
    })?;
    let odd: HashSet<i64> =
        sums.into_iter().filter(|(_, sum)| *sum != 0).map(|(id, _)| id).take(MOST_ODD).collect();
    if odd.is_empty() {
        return Ok(wrong);
    }
    let mut stored: HashSet<Found> = HashSet::new();
    meaning.stored(db, &mut Vec::new(), &mut |found| {
        if odd.contains(&found.object()) {
            stored.insert(found);
        }
    })?;
    let mut lacking = Vec::new();
    each_body(inner, db, &meaning, Some(&odd), &mut Vec::new(), &mut |id, key, explained| {
        for found in explained.into_iter().filter(|found| !stored.remove(found)) {
            lacking.push(format!("{key} (object {id}) lacks {found:?}"));
        }
    })?;
    wrong.extend(lacking);
    wrong.extend(stored.into_iter().map(|found| format!("a row of no body: {found:?}")));
    Ok(wrong)
}

/// Of so many objects it is told what is wrong with them.
const MOST_ODD: usize = 1000;

/// Reads the bodies of all versions, or of these objects, and hands on what the current ones
/// explain; what can't be read, or contradicts its object, is wrong.
fn each_body(
    inner: &Inner,
    db: &Connection,
    meaning: &Meaning,
    only: Option<&HashSet<i64>>,
    wrong: &mut Vec<String>,
    sink: &mut dyn FnMut(i64, &str, HashSet<Found>),
) -> Result<()> {
    let mut statement = db.prepare(
        "SELECT v.seq, v.body, o.id, o.resource, o.key, o.uid, o.rv, o.derived,
                o.edition
         FROM version v LEFT JOIN object o ON o.seq = v.seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, id): (i64, Option<i64>) = (row.get(0)?, row.get(2)?);
        if only.is_some_and(|only| id.is_none_or(|id| !only.contains(&id))) {
            continue;
        }
        let json = match inner.decode_in(db, &row.get::<_, Vec<u8>>(1)?) {
            Ok(json) => json,
            Err(error) => {
                wrong.push(format!("version {seq}: {error}"));
                continue;
            }
        };
        let Some(id) = id else { continue };
        let (resource, key): (i64, String) = (row.get(3)?, row.get(4)?);
        let known = meaning.known(resource);
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
        sink(id, &key, meaning.explained(resource, &known, id, &derived));
    }
    Ok(())
}
