//! The rows of one moment: keys at hand, bodies compressed in one arena until asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension};
use serde_json::Value as Json;

use super::request::Project;
use super::route::Source;
use super::scan::PastRow;
use crate::error::{Error, Result};
use crate::rv;
use crate::store::{FLAG_REDACTED, Inner};

/// What [`Raw::read`] reads of the object `o`.
pub(super) const SELECT: &str = "SELECT o.key, o.uid, o.rv, o.seq, o.flags, v.body
    FROM object o JOIN version v ON v.seq = o.seq";
/// The same with printer cells.
pub(super) const SELECT_WITH_CELLS: &str =
    "SELECT o.key, o.uid, o.rv, o.seq, o.flags, v.body, c.cells
    FROM object o JOIN version v ON v.seq = o.seq LEFT JOIN cells c ON c.object = o.id";

/// One stored object as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(super) resource: String,
    pub(crate) key: String,
    pub(crate) uid: String,
    pub(crate) rv: String,
    seq: i64,
    flags: i64,
    /// Compressed.
    pub(crate) body: Vec<u8>,
    cells: Option<Vec<u8>>,
}

impl Raw {
    pub(super) fn read(row: &rusqlite::Row<'_>, with_cells: bool) -> rusqlite::Result<Self> {
        Ok(Self {
            resource: String::new(),
            key: row.get(0)?,
            uid: row.get(1)?,
            rv: row.get(2)?,
            seq: row.get(3)?,
            flags: row.get(4)?,
            body: row.get(5)?,
            cells: if with_cells { row.get(6)? } else { None },
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
            "SELECT o.key, o.uid, o.rv, o.seq, o.flags, v.body, {cells}, o.resource
             FROM object o JOIN version v ON v.seq = o.seq WHERE o.id = ?1"
        );
        Ok(Self { statement: db.prepare_cached(&sql)?, names })
    }

    /// Of the resources, by their ids.
    pub(super) fn names(&self) -> &'a HashMap<i64, String> {
        self.names
    }

    pub(super) fn row(&mut self, id: u32) -> Result<Option<Raw>> {
        let found = self.statement.query_row([id], |row| Ok((Raw::read(row, true)?, row.get(7)?)));
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

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(super) fn project(&self) -> &Project {
        &self.found.project
    }

    /// The bodies of this page as they are stored.
    pub(super) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.found.rows.iter().map(|row| row.body.as_slice())
    }
}

/// Whether two scopes may have a copy each of one object.
pub(super) fn overlap(sources: &[Source]) -> bool {
    let namespace =
        |source: &Source| source.namespace.clone().or_else(|| source.scope.namespace.clone());
    let mut seen = HashSet::new();
    sources.len() > 1
        && sources.iter().map(namespace).any(|name| name.is_none() || !seen.insert(name))
}
