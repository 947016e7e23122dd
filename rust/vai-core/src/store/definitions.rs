//! The fields of each resource, as the file records them.
//!
//! A resource's definitions are those of the catalogue, of its `CustomResourceDefinition` and of
//! users; the file has them in `field`. A change makes a new *edition* of the resource. An object
//! says of which edition its rows are, so that at any moment, whatever was killed, it is known of
//! each object and field whether the rows are there: they are, if the field is there *since* an
//! edition that is not later than the object's. [`super::build`] brings objects up to the newest.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::scopes::{self, PrinterColumn, Resource, resource_named};
use super::{Inner, Store};
use crate::error::{Error, Result};
use crate::field::{FieldDef, FieldSet, Source};
use crate::nearest::nearest;
use crate::path::Path;
use crate::value::Type;

/// Every field costs each write of an object; a catalogue has about 20.
const MAX_FIELDS: usize = 256;

/// `field.kind`
const FIELD: i64 = 1;
/// `field.kind` of a field whose rows are being deleted.
const DROPPED: i64 = 2;

/// The fields of one resource in its newest edition.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) edition: i64,
    pub(crate) set: Arc<FieldSet>,
    /// (id, edition since which it is there), by position in the set.
    entries: Vec<(i64, i64)>,
}

impl Known {
    pub(crate) fn id(&self, index: u16) -> Option<i64> {
        self.entries.get(usize::from(index)).map(|(id, _)| *id)
    }

    /// Whether an object of that edition has the rows of a field.
    pub(crate) fn has(&self, index: u16, edition: i64) -> bool {
        self.entries.get(usize::from(index)).is_some_and(|(_, since)| *since <= edition)
    }

    /// Whether an object of that edition lacks the rows of some field.
    pub(crate) fn lacks(&self, edition: i64) -> bool {
        self.entries.iter().any(|(_, since)| *since > edition)
    }

    /// Ids and editions, for a comparison of memory and file.
    pub(crate) fn numbers(&self) -> (i64, &[(i64, i64)]) {
        (self.edition, &self.entries)
    }
}

/// By id of the resource.
pub(crate) type KnownFields = HashMap<i64, Arc<Known>>;

/// All recorded fields.
pub(super) fn load(db: &Connection) -> Result<KnownFields> {
    type Loaded = (i64, Vec<(i64, i64)>, Vec<FieldDef>);
    let mut found: HashMap<i64, Loaded> = HashMap::new();
    let mut statement = db.prepare_cached(
        "SELECT f.resource, r.edition, f.id, f.since, f.definition
         FROM field f JOIN resource r ON r.id = f.resource WHERE f.kind = 1 ORDER BY f.id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let entry = found.entry(row.get(0)?).or_default();
        entry.0 = row.get(1)?;
        entry.1.push((row.get(2)?, row.get(3)?));
        entry.2.push(parse(&row.get::<_, String>(4)?)?);
    }
    let known = |(edition, entries, definitions)| {
        Arc::new(Known { edition, entries, set: Arc::new(FieldSet::new(definitions)) })
    };
    Ok(found.into_iter().map(|(resource, loaded)| (resource, known(loaded))).collect())
}

fn parse(definition: &str) -> Result<FieldDef> {
    serde_json::from_str(definition)
        .map_err(|error| Error::Corrupt(format!("a recorded field: {error}")))
}

fn text_of(definition: &FieldDef) -> Result<String> {
    serde_json::to_string(definition).map_err(Error::internal)
}

/// One recorded field.
struct Recorded {
    id: i64,
    name: String,
    is_users: bool,
    definition: String,
}

fn recorded(db: &Connection, resource: i64) -> Result<Vec<Recorded>> {
    let mut statement = db.prepare_cached(
        "SELECT id, name, source, definition FROM field WHERE resource = ?1 AND kind = 1 ORDER BY id",
    )?;
    let rows = statement.query_map([resource], |row| {
        Ok(Recorded {
            id: row.get(0)?,
            name: row.get(1)?,
            is_users: row.get::<_, String>(2)? == source_name(Source::User),
            definition: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// Compares what is recorded with the catalogue and the resource's definition; records what is new
/// or changed, and drops what is gone. Users' fields stay, unless the name is taken now. Whether
/// anything changed.
pub(super) fn sync(db: &Connection, resource: i64, info: &Resource) -> Result<bool> {
    let wanted = wanted(info);
    let mut before: HashMap<String, Recorded> =
        recorded(db, resource)?.into_iter().map(|field| (field.name.clone(), field)).collect();
    let mut edition = Edition { db, resource, number: None };
    let mut renamed = false;
    for definition in &wanted {
        let text = text_of(definition)?;
        match before.remove(&definition.name) {
            Some(old) if old.definition == text => continue,
            Some(old) if parse(&old.definition).is_ok_and(|old| same_values(&old, definition)) => {
                renamed = true;
                rewrite(db, old.id, definition, &text)?;
                continue;
            }
            Some(old) => edition.drop_field(old.id)?,
            None => {}
        }
        edition.add(definition, &text)?;
    }
    let gone = before.into_values().filter(|field| !field.is_users);
    gone.into_iter().try_for_each(|field| edition.drop_field(field.id))?;
    Ok(renamed || edition.number.is_some())
}

/// Whether both take the same values of every object: then only names or the source differ.
fn same_values(one: &FieldDef, other: &FieldDef) -> bool {
    let values = |def: &FieldDef| FieldDef {
        name: String::new(),
        aliases: Vec::new(),
        selector_names: Vec::new(),
        source: Source::BuiltIn,
        ..def.clone()
    };
    values(one) == values(other)
}

/// Replaces a definition by one of the same values; the rows stand.
fn rewrite(db: &Connection, id: i64, definition: &FieldDef, text: &str) -> Result<()> {
    db.prepare_cached("UPDATE field SET source = ?2, definition = ?3 WHERE id = ?1")?
        .execute(params![id, source_name(definition.source), text])?;
    raise_catalogue(db)
}

/// The same for every resource of which something is kept.
pub(super) fn sync_kept(db: &Connection) -> Result<bool> {
    let kept: HashSet<i64> = {
        let mut statement = db.prepare_cached(
            "SELECT resource FROM scope UNION SELECT resource FROM field WHERE kind = 1",
        )?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<std::result::Result<_, _>>()?
    };
    let mut changed = false;
    for (id, info) in scopes::resources(db)? {
        changed |= kept.contains(&id) && sync(db, id, &info)?;
    }
    Ok(changed)
}

/// The next edition of a resource, made with its first change.
struct Edition<'a> {
    db: &'a Connection,
    resource: i64,
    number: Option<i64>,
}

impl Edition<'_> {
    fn number(&mut self) -> Result<i64> {
        if let Some(number) = self.number {
            return Ok(number);
        }
        let number = self
            .db
            .prepare_cached(
                "UPDATE resource SET edition = edition + 1 WHERE id = ?1 RETURNING edition",
            )?
            .query_row([self.resource], |row| row.get(0))?;
        raise_catalogue(self.db)?;
        self.number = Some(number);
        Ok(number)
    }

    /// Ready at once where there is no object yet.
    fn add(&mut self, definition: &FieldDef, text: &str) -> Result<()> {
        let since = self.number()?;
        self.db
            .prepare_cached(
                "INSERT INTO field (resource, kind, name, since, source, definition)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                self.resource,
                FIELD,
                definition.name,
                since,
                source_name(definition.source),
                text
            ])?;
        self.db
            .prepare_cached(
                "INSERT INTO field_state (field, ready, position)
                 SELECT ?1, NOT EXISTS (SELECT 1 FROM scope WHERE resource = ?2 AND objects > 0), 0",
            )?
            .execute(params![self.db.last_insert_rowid(), self.resource])?;
        Ok(())
    }

    /// Its rows are deleted later, in steps; nobody finds it by its name any more.
    fn drop_field(&mut self, id: i64) -> Result<()> {
        self.number()?;
        self.db
            .prepare_cached("UPDATE field SET kind = ?2, name = CAST(id AS TEXT) WHERE id = ?1")?
            .execute(params![id, DROPPED])?;
        // From now on how far that is; nothing is built any more.
        self.db
            .prepare_cached("UPDATE field_state SET ready = 1, position = 0 WHERE field = ?1")?
            .execute([id])?;
        Ok(())
    }
}

/// What readers remember of the fields no longer holds.
pub(super) fn raise_catalogue(db: &Connection) -> Result<()> {
    db.prepare_cached("UPDATE meta SET catalogue = catalogue + 1 WHERE id = 1")?.execute([])?;
    Ok(())
}

/// Records a user's field. Whether anything changed: the same one again changes nothing, nor does
/// one that the resource has anyway.
pub(super) fn index(db: &Connection, resource: &str, definition: &FieldDef) -> Result<bool> {
    let (id, info) = resource_named(db, resource)?;
    let changed = sync(db, id, &info)?;
    let text = text_of(definition)?;
    let mut replaced = None;
    let before = recorded(db, id)?;
    for field in &before {
        if field.is_users && field.name == definition.name {
            if field.definition == text {
                return Ok(changed);
            }
            replaced = Some(field.id);
            continue;
        }
        let other = parse(&field.definition)?;
        if (&other.paths, other.ty, other.many)
            == (&definition.paths, definition.ty, definition.many)
            && other.reduce.is_none()
        {
            return Ok(changed);
        }
        if other.name == definition.name || other.aliases.contains(&definition.name) {
            return Err(Error::Invalid(format!(
                "{resource} has the field {} already, as {}: it can be queried as it is",
                definition.name, other.ty
            )));
        }
    }
    if replaced.is_none() && before.len() >= MAX_FIELDS {
        return Err(Error::Invalid(format!(
            "{resource} has {MAX_FIELDS} indexed fields, and more are not kept; unindex some first"
        )));
    }
    let mut edition = Edition { db, resource: id, number: None };
    if let Some(old) = replaced {
        edition.drop_field(old)?;
    }
    edition.add(definition, &text)?;
    Ok(true)
}

/// Drops a user's field by its name.
pub(super) fn unindex(db: &Connection, resource: &str, name: &str) -> Result<()> {
    let (id, _) = resource_named(db, resource)?;
    let before = recorded(db, id)?;
    match before.iter().find(|field| field.name == name) {
        Some(field) if field.is_users => {
            Edition { db, resource: id, number: None }.drop_field(field.id)
        }
        Some(_) => Err(Error::Invalid(format!(
            "{resource}: {name} is not a field that was added by index(); it stays"
        ))),
        None => {
            let added: Vec<String> =
                before.into_iter().filter(|field| field.is_users).map(|field| field.name).collect();
            let known = if added.is_empty() { "none".to_owned() } else { added.join(", ") };
            Err(Error::UnknownField {
                message: format!(
                    "{resource}: no field {name} was added by index() (added: {known})"
                ),
                position: None,
                text: String::new(),
                nearest: nearest(name, &added, 3),
            })
        }
    }
}

/// One field as planners see it; one that is not ready lacks rows and must not be planned with.
#[derive(Clone, Debug)]
pub struct FieldState {
    /// What its postings are kept under; never given to another field.
    pub id: i64,
    /// What it is.
    pub def: FieldDef,
    /// Whether every object has its rows.
    pub ready: bool,
}

/// The fields of some resources, as of a generation of `meta.catalogue`.
pub(super) type FieldCache = parking_lot::Mutex<HashMap<i64, (i64, Arc<[FieldState]>)>>;

impl Inner {
    /// The fields of a resource in the snapshot that `db` reads, ordered by id.
    pub(crate) fn fields_in(&self, db: &Connection, resource: i64) -> Result<Arc<[FieldState]>> {
        let generation: i64 = db
            .prepare_cached("SELECT catalogue FROM meta WHERE id = 1")?
            .query_row([], |row| row.get(0))?;
        if let Some((of, found)) = self.field_cache.lock().get(&resource)
            && *of == generation
        {
            return Ok(Arc::clone(found));
        }
        let found = states(db, resource)?;
        self.field_cache.lock().insert(resource, (generation, Arc::clone(&found)));
        Ok(found)
    }
}

fn states(db: &Connection, resource: i64) -> Result<Arc<[FieldState]>> {
    let mut statement = db.prepare_cached(
        "SELECT f.id, f.definition, s.ready FROM field f JOIN field_state s ON s.field = f.id
         WHERE f.resource = ?1 AND f.kind = 1 ORDER BY f.id",
    )?;
    let mut rows = statement.query([resource])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let def = parse(&row.get::<_, String>(1)?)?;
        found.push(FieldState { id: row.get(0)?, def, ready: row.get(2)? });
    }
    Ok(found.into())
}

/// One field as `vai status` and `Cache.fields` show it.
#[derive(Clone, Debug, Serialize)]
pub struct FieldStatus {
    /// `plural[.group]`
    pub resource: String,
    /// `status.phase`
    pub name: String,
    /// Other names that queries may use.
    pub aliases: Vec<String>,
    /// JSON paths of its value in an object.
    pub paths: Vec<String>,
    /// `text`, `int`, …
    #[serde(rename = "type")]
    pub ty: String,
    /// Whether an object may have several values.
    pub many: bool,
    /// Whether a real server accepts it in a field selector.
    pub selectable: bool,
    /// `built-in`, `crd` or `user`.
    pub source: &'static str,
    /// Whether queries use it; until then they read bodies instead.
    pub ready: bool,
    /// 0 to 1 while it is being built; 1 when it is ready.
    pub progress: f64,
    /// Values that do not parse as its type; they count as missing.
    pub invalid: i64,
    /// `namespace/name` of one object that has such a value.
    pub invalid_example: Option<String>,
}

impl Store {
    /// The recorded fields of a resource, or of all.
    pub fn fields(&self, resource: Option<&str>) -> Result<Vec<FieldStatus>> {
        self.inner.read(|db| {
            let named = resource.map(|name| resource_named(db, name)).transpose()?;
            let of = match named {
                Some(found) => vec![found],
                None => scopes::resources(db)?,
            };
            let mut all = Vec::new();
            for (id, info) in of {
                for field in self.inner.fields_in(db, id)?.iter() {
                    all.push(status(db, &info, field)?);
                }
            }
            Ok(all)
        })
    }

    /// Has the writer build an index of a field, and keep it from now on. The file remembers it.
    ///
    /// `many` says whether an object may have several values; `None` leaves that to the path.
    /// Returns before it is built: [`Store::fields`] tells how far it is.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] for a reader; [`Error::Invalid`] for a path or a type that are none, and
    /// for a field that the resource has as another type.
    pub fn index(&self, resource: &str, path: &str, ty: &str, many: Option<bool>) -> Result<()> {
        let writer = self.inner.writer()?;
        let definition = user_field(path, ty, many)?;
        let resource = resource.to_owned();
        writer.call(move |writer| {
            if index(writer.db, &resource, &definition)? {
                writer.state.reload_fields(writer.db)?;
            }
            Ok(())
        })
    }

    /// Drops a field that [`Store::index`] added.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] for a reader; [`Error::UnknownField`] where there is none.
    pub fn unindex(&self, resource: &str, path: &str) -> Result<()> {
        let writer = self.inner.writer()?;
        let name = parse_path(path)?.name();
        let resource = resource.to_owned();
        writer.call(move |writer| {
            unindex(writer.db, &resource, &name)?;
            writer.state.reload_fields(writer.db)
        })
    }
}

fn status(db: &Connection, info: &Resource, field: &FieldState) -> Result<FieldStatus> {
    let progress = if field.ready { 1.0 } else { progress(db, field.id)? };
    let (invalid, example) = db
        .prepare_cached(
            "SELECT coalesce(sum(i.found), 0), min(o.key)
             FROM invalid i JOIN object o ON o.id = i.object WHERE i.field = ?1",
        )?
        .query_row([field.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default();
    let def = &field.def;
    Ok(FieldStatus {
        resource: info.name(),
        name: def.name.clone(),
        aliases: def.aliases.clone(),
        paths: def.paths.iter().map(ToString::to_string).collect(),
        ty: def.ty.to_string(),
        many: def.many,
        selectable: def.is_selectable(),
        source: source_name(def.source),
        ready: field.ready,
        progress,
        invalid,
        invalid_example: example,
    })
}

fn progress(db: &Connection, field: i64) -> Result<f64> {
    let (position, last): (i64, Option<i64>) = db
        .prepare_cached(
            "SELECT position, (SELECT max(id) FROM object) FROM field_state WHERE field = ?1",
        )?
        .query_row([field], |row| Ok((row.get(0)?, row.get(1)?)))?;
    #[expect(clippy::cast_precision_loss, reason = "row ids fit u32")]
    Ok((position as f64 / last.unwrap_or(0).max(1) as f64).min(1.0))
}

/// As the file and Python spell it.
fn source_name(source: Source) -> &'static str {
    match source {
        Source::BuiltIn => "built-in",
        Source::Crd => "crd",
        Source::User => "user",
    }
}

fn parse_path(path: &str) -> Result<Path> {
    Path::parse(path).map_err(|error| Error::Invalid(format!("the path {path:?}: {error}")))
}

/// A user's definition; `many` of `None` leaves it to the path.
///
/// # Errors
/// [`Error::Invalid`] for a path or a type that are none, and for a path to several values whose
/// field is said to have one.
pub fn user_field(path: &str, ty: &str, many: Option<bool>) -> Result<FieldDef> {
    let path = parse_path(path)?;
    let ty: Type = ty.parse().map_err(Error::Invalid)?;
    let several = path.is_many();
    if several && many == Some(false) {
        return Err(Error::Invalid(format!(
            "the path {path} leads to several values: leave `many` out, or index one of them, as with [0]"
        )));
    }
    let mut field = FieldDef::new(path, ty, Source::User);
    field.many = several || many == Some(true);
    Ok(field)
}

/// What the catalogue and the resource's definition say, each name once.
fn wanted(info: &Resource) -> Vec<FieldDef> {
    let mut fields = info.fields().defs().to_vec();
    for column in &info.printer_columns {
        if let Some(field) = of_column(column, &fields) {
            fields.push(field);
        }
    }
    fields
}

/// The field of a printer column, also under the column's name: `desired-replicas`. `None` for a
/// template of kubectl that is no path, and for what is a field anyway.
fn of_column(column: &PrinterColumn, others: &[FieldDef]) -> Option<FieldDef> {
    let path = Path::parse(&column.json_path).ok()?;
    let ty = Type::of_printer_column(&column.ty)?;
    let several = path.is_many();
    let mut field = FieldDef::new(path, ty, Source::Crd);
    field.many = several;
    if others.iter().any(|other| other.name == field.name || other.paths == field.paths) {
        return None;
    }
    let alias = column.name.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-");
    let is_word =
        alias.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && alias != field.name;
    let mut taken = others.iter().flat_map(|other| other.aliases.iter().chain([&other.name]));
    // `age` is the time since `metadata.creationTimestamp`, of every kind.
    if is_word && alias != "age" && !taken.any(|name| *name == alias) {
        field.aliases.push(alias);
    }
    Some(field)
}
