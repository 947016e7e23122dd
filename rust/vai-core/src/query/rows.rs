//! The rows of one moment: keys at hand, bodies compressed in one arena until asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params_from_iter};
use serde_json::Value as Json;

use super::Query;
use super::request::Project;
use super::route::Source;
use super::scan::PastRow;
use super::sql::{self, Filter};
use crate::error::{Error, Result};
use crate::rv;
use crate::store::{FLAG_REDACTED, Inner, position};

/// One stored object as it was read.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) resource: String,
    id: i64,
    key: String,
    uid: String,
    rv: String,
    seq: i64,
    flags: i64,
    body: Vec<u8>,
    cells: Option<Vec<u8>>,
}

impl Raw {
    pub(super) fn read(row: &rusqlite::Row<'_>, with_cells: bool) -> rusqlite::Result<Self> {
        Ok(Self {
            resource: String::new(),
            id: row.get(0)?,
            key: row.get(1)?,
            uid: row.get(2)?,
            rv: row.get(3)?,
            seq: row.get(4)?,
            flags: row.get(5)?,
            body: row.get(6)?,
            cells: if with_cells { row.get(7)? } else { None },
        })
    }

    /// The same, of the resource with this row id.
    pub(super) fn of(mut self, resource: i64, names: &HashMap<i64, String>) -> Self {
        self.resource = names.get(&resource).cloned().unwrap_or_default();
        self
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The entry of the history that wrote it.
    pub(super) fn seq(&self) -> i64 {
        self.seq
    }

    /// Versions that can't be compared: the row that was written later.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        rv::compare(&self.rv, &other.rv).unwrap_or_else(|| self.seq.cmp(&other.seq)).is_gt()
    }

    pub(super) fn into_row(self, inner: Arc<Inner>) -> Row {
        let resource = self.resource.clone();
        Row { inner, resource, raw: self, project: Project::Body }
    }
}

/// Reads objects as they stand now, by id.
pub(super) struct ById<'a> {
    statement: CachedStatement<'a>,
    names: &'a HashMap<i64, String>,
}

impl<'a> ById<'a> {
    /// `names`: of the resources, by their ids.
    pub(super) fn new(
        db: &'a Connection,
        names: &'a HashMap<i64, String>,
        with_cells: bool,
    ) -> Result<Self> {
        let cells =
            if with_cells { "(SELECT cells FROM cells WHERE object = o.id)" } else { "NULL" };
        let sql = format!(
            "SELECT o.id, o.key, o.uid, o.rv, o.seq, o.flags, v.body, {cells}, o.resource
             FROM object o JOIN version v ON v.seq = o.seq WHERE o.id = ?1"
        );
        Ok(Self { statement: db.prepare_cached(&sql)?, names })
    }

    /// Of the resources, by their ids.
    pub(super) fn names(&self) -> &'a HashMap<i64, String> {
        self.names
    }

    pub(super) fn row(&mut self, id: u32) -> Result<Option<Raw>> {
        let found = self.statement.query_row([id], |row| Ok((Raw::read(row, true)?, row.get(8)?)));
        Ok(found.optional()?.map(|(row, resource)| row.of(resource, self.names)))
    }
}

/// An object as it stands now, which this snapshot must have.
fn present(db: &Connection, id: u32) -> Result<Raw> {
    let row = ById::new(db, &HashMap::new(), false)?.row(id)?;
    row.ok_or_else(|| Error::Internal("a row of this snapshot is missing".into()))
}

/// Whether the first of two copies is newer.
pub(super) fn newer(db: &Connection, a: u32, b: u32) -> Result<bool> {
    Ok(present(db, a)?.is_newer_than(&present(db, b)?))
}

/// Whether a row as it stands now is newer than one of another time.
pub(super) fn is_newer(db: &Connection, id: u32, past: &PastRow) -> Result<bool> {
    let now = present(db, id)?;
    let order = rv::compare(&now.rv, &past.rv).unwrap_or_else(|| now.seq.cmp(&past.seq));
    Ok(order.is_gt())
}

/// One stored object.
#[derive(Clone)]
pub struct Row {
    inner: Arc<Inner>,
    resource: String,
    raw: Raw,
    project: Project,
}

impl Row {
    /// `plural[.group]`
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// `namespace/name`, or `name` for cluster-scoped objects.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.raw.key
    }

    /// `metadata.uid`
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.raw.uid
    }

    /// `metadata.resourceVersion`
    #[must_use]
    pub fn resource_version(&self) -> &str {
        &self.raw.rv
    }

    /// The entry of the history that wrote this state.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.raw.seq
    }

    /// Whether only the metadata is kept.
    #[must_use]
    pub fn redacted(&self) -> bool {
        self.raw.flags & FLAG_REDACTED != 0
    }

    /// The server's printer cells, JSON as sent.
    #[must_use]
    pub fn cells(&self) -> Option<&[u8]> {
        self.raw.cells.as_deref()
    }

    /// The object's JSON as the server sent it, decompressed at each call.
    pub fn body(&self) -> Result<Vec<u8>> {
        self.project.of(self.inner.decode(&self.raw.body)?)
    }
}

/// What a read found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) rows: Vec<Raw>,
    pub(super) total: usize,
    pub(super) more: bool,
    pub(super) epoch: i64,
    pub(super) seq: i64,
    pub(super) scopes: Vec<i64>,
    pub(super) resource_version: String,
    /// In another order than that of keys.
    pub(super) sorted: bool,
    pub(super) cursor: Option<String>,
    pub(super) project: Project,
    /// Facets, distinct values and groups.
    pub(super) counted: serde_json::Map<String, Json>,
    pub(super) explain: Option<Json>,
    pub(super) known_since_ms: Option<i64>,
}

/// The objects of one moment in key order.
#[derive(Clone)]
pub struct Rows {
    inner: Arc<Inner>,
    resource: String,
    found: Arc<Found>,
}

impl Rows {
    pub(super) fn new(inner: Arc<Inner>, resource: String, found: Found) -> Self {
        Self { inner, resource, found: Arc::new(found) }
    }

    /// The rows of this page.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.rows.len()
    }

    /// Whether this page has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.rows.is_empty()
    }

    /// A row by its place in key order; its body is shared, not copied.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<Row> {
        let raw = self.found.rows.get(index)?.clone();
        let resource =
            if raw.resource.is_empty() { self.resource.clone() } else { raw.resource.clone() };
        let project = self.found.project.clone();
        Some(Row { inner: Arc::clone(&self.inner), resource, raw, project })
    }

    /// Index of a key: by binary search, except in another order than that of keys.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<usize> {
        if self.found.sorted {
            return self.found.rows.iter().position(|row| row.key == key);
        }
        self.found.rows.binary_search_by(|row| row.key.as_str().cmp(key)).ok()
    }

    /// The keys of this page, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.found.rows.iter().map(|row| row.key.as_str())
    }

    /// The epoch that was read: (epoch, seq) is the position of this moment.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.found.epoch
    }

    /// The last seq of this moment.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.found.seq
    }

    /// Ids of the scopes that answered, ascending.
    #[must_use]
    pub fn scopes(&self) -> &[i64] {
        &self.found.scopes
    }

    /// Of the one scope that answered; empty if there were several.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        &self.found.resource_version
    }

    /// All matching objects, not only those of this page.
    #[must_use]
    pub fn total(&self) -> usize {
        self.found.total
    }

    /// Where the next page begins; `None` at the end.
    #[must_use]
    pub fn next_key(&self) -> Option<&str> {
        self.found.rows.last().filter(|_| self.found.more).map(|row| row.key.as_str())
    }

    /// What the next page is asked for with; `None` at the end.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.found.cursor.as_deref()
    }

    /// `facets`, `distinct` and `groups`, as far as they were asked for.
    #[must_use]
    pub fn counted(&self) -> &serde_json::Map<String, Json> {
        &self.found.counted
    }

    /// How it was found, where that was asked for.
    #[must_use]
    pub fn explain(&self) -> Option<&Json> {
        self.found.explain.as_ref()
    }

    /// Of a past moment that lies in a gap of the history: since when its state was known, in
    /// milliseconds since 1970.
    #[must_use]
    pub fn known_since_ms(&self) -> Option<i64> {
        self.found.known_since_ms
    }

    /// A Kubernetes List of the rows. Bodies are copied, not parsed.
    pub fn list_json(
        &self,
        kind: &str,
        api_version: &str,
        continue_token: &str,
    ) -> Result<Vec<u8>> {
        let mut meta = serde_json::Map::new();
        meta.insert("resourceVersion".into(), self.resource_version().into());
        if !continue_token.is_empty() {
            meta.insert("continue".into(), continue_token.into());
        }
        let head = serde_json::json!({
            "apiVersion": api_version, "kind": kind, "metadata": meta
        });
        let mut out = head.to_string().into_bytes();
        out.pop();
        out.extend_from_slice(b",\"items\":[");
        for (index, row) in self.found.rows.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let body = self.inner.decode(&row.body)?;
            out.extend_from_slice(&self.found.project.of(body)?);
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }
}

pub(super) fn read(
    db: &Connection,
    sources: &[Source],
    filter: &Filter,
    query: &Query,
) -> Result<Found> {
    let (epoch, seq) = position(db)?;
    let wanted = if query.limit == 0 { usize::MAX } else { query.limit };
    let (mut rows, total) = if overlap(sources) {
        read_overlapping(db, sources, filter, query)?
    } else {
        read_apart(db, sources, filter, query, wanted)?
    };
    let more = rows.len() > wanted;
    rows.truncate(wanted);
    let mut scopes: Vec<i64> = sources.iter().map(|source| source.scope.id).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let resource_version = match (sources, scopes.as_slice()) {
        ([one, ..], [_]) => one.scope.rv.clone().unwrap_or_default(),
        _ => String::new(),
    };
    Ok(Found { rows, total, more, epoch, seq, scopes, resource_version, ..Found::default() })
}

/// Whether two scopes may have a copy each of one object.
pub(super) fn overlap(sources: &[Source]) -> bool {
    let namespace =
        |source: &Source| source.namespace.clone().or_else(|| source.scope.namespace.clone());
    let mut seen = HashSet::new();
    sources.len() > 1
        && sources.iter().map(namespace).any(|name| name.is_none() || !seen.insert(name))
}

/// Each row is in one source only.
fn read_apart(
    db: &Connection,
    sources: &[Source],
    filter: &Filter,
    query: &Query,
    wanted: usize,
) -> Result<(Vec<Raw>, usize)> {
    let mut rows = Vec::new();
    for source in sources {
        rows.extend(read_source(db, source, filter, query)?);
    }
    if sources.len() > 1 {
        rows.sort_by(|a, b| a.key.cmp(&b.key));
    }
    let total = if rows.len() > wanted || !query.after.is_empty() {
        count(db, sources, filter)?
    } else {
        rows.len()
    };
    Ok((rows, total))
}

/// Overlapping scopes keep copies of their own: the newer resourceVersion wins, and it alone has to
/// match. So all keys are read, whatever the page: a price that only such scopes have.
fn read_overlapping(
    db: &Connection,
    sources: &[Source],
    filter: &Filter,
    query: &Query,
) -> Result<(Vec<Raw>, usize)> {
    let everything = Query { limit: 0, after: String::new(), ..query.clone() };
    let mut newest: BTreeMap<String, (Raw, bool)> = BTreeMap::new();
    for source in sources {
        let matching: HashSet<i64> =
            read_source(db, source, filter, &everything)?.into_iter().map(|row| row.id).collect();
        for row in read_source(db, source, &Filter::default(), &everything)? {
            if newest.get(&row.key).is_none_or(|(held, _)| row.is_newer_than(held)) {
                let matches = matching.contains(&row.id);
                newest.insert(row.key.clone(), (row, matches));
            }
        }
    }
    let mut rows: Vec<Raw> =
        newest.into_values().filter(|(_, matches)| *matches).map(|(row, _)| row).collect();
    let total = rows.len();
    rows.retain(|row| row.key > query.after);
    Ok((rows, total))
}

fn read_source(
    db: &Connection,
    source: &Source,
    filter: &Filter,
    query: &Query,
) -> Result<Vec<Raw>> {
    let select = if query.cells { sql::SELECT_WITH_CELLS } else { sql::SELECT };
    let (conditions, mut values) = conditions(source, filter, &query.after);
    let mut text = format!("{select} WHERE {conditions} ORDER BY o.key");
    if query.limit > 0 {
        // One more than asked for tells whether there is a next page.
        text.push_str(" LIMIT ?");
        values.push(Value::from(i64::try_from(query.limit).unwrap_or(i64::MAX - 1) + 1));
    }
    let mut statement = db.prepare_cached(&text)?;
    let rows = statement.query_map(params_from_iter(values), |row| Raw::read(row, query.cells))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn conditions(source: &Source, filter: &Filter, after: &str) -> (String, Vec<Value>) {
    let mut sql = String::from("o.scope = ?");
    let mut values = vec![Value::from(source.scope.id)];
    if !after.is_empty() {
        sql.push_str(" AND o.key > ?");
        values.push(Value::from(after.to_owned()));
    }
    if let Some(namespace) = &source.namespace {
        // '0' follows '/': the range holds exactly the keys that begin with "namespace/".
        sql.push_str(" AND o.key >= ? AND o.key < ?");
        values.push(Value::from(format!("{namespace}/")));
        values.push(Value::from(format!("{namespace}0")));
    }
    sql.push_str(&filter.sql);
    values.extend(filter.values.iter().cloned());
    (sql, values)
}

fn count(db: &Connection, sources: &[Source], filter: &Filter) -> Result<usize> {
    if let [source] = sources
        && source.namespace.is_none()
        && filter.is_empty()
    {
        return Ok(usize::try_from(source.scope.objects).unwrap_or_default());
    }
    let mut parts = Vec::new();
    let mut values = Vec::new();
    for source in sources {
        let (sql, more) = conditions(source, filter, "");
        parts.push(format!("SELECT o.key FROM object o WHERE {sql}"));
        values.extend(more);
    }
    let union = parts.join(" UNION ");
    let mut statement = db.prepare_cached(&format!("SELECT count(*) FROM ({union})"))?;
    let found: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(usize::try_from(found).unwrap_or_default())
}
