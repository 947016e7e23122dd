//! What the file knows besides objects: whose copy it is, the resources, the scopes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::apply::{Origin, Writer};
use super::freshness::Recorded;
use super::state::{is_sensitive, redaction_name, redaction_number};
use super::{checkpoint, definitions, rows};
use crate::error::{Error, Result};
use crate::field::FieldSet;
use crate::gvr::GroupResource;
use crate::path::Path;
use crate::redact::{self, Redaction};
use crate::selector::{FieldSelector, LabelSelector};

/// As `vai.types.Cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// uid of `kube-system`, or a hash of server and CA where that is forbidden.
    pub uid: String,
    /// Whether `uid` is that of `kube-system`.
    pub verified: bool,
    /// URL of the API server.
    pub server: String,
    /// The namespace that commands use when none is named.
    pub namespace: String,
}

/// As `vai.types.PrinterColumn`: one of a CRD's `additionalPrinterColumns`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrinterColumn {
    /// `Ready`
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    #[serde(rename = "type")]
    pub ty: String,
    /// `JSONPath` as kubectl takes it.
    pub json_path: String,
}

/// As `vai.types.Resource`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// The preferred version.
    pub version: String,
    /// `pods`
    pub plural: String,
    /// `Pod`
    pub kind: String,
    /// `pod`
    #[serde(default)]
    pub singular: String,
    /// Whether its objects are in namespaces.
    #[serde(default = "yes")]
    pub namespaced: bool,
    /// `po`
    #[serde(default)]
    pub short_names: Vec<String>,
    /// `all`
    #[serde(default)]
    pub categories: Vec<String>,
    /// `list`, `watch`, …
    #[serde(default)]
    pub verbs: Vec<String>,
    /// JSON paths that a CRD declares selectable; empty for built-in kinds.
    #[serde(default)]
    pub selectable_fields: Vec<String>,
    /// What a CRD has kubectl print; empty for built-in kinds.
    #[serde(default)]
    pub printer_columns: Vec<PrinterColumn>,
}

fn yes() -> bool {
    true
}

impl Resource {
    /// `plural[.group]`: how users and this file name it.
    #[must_use]
    pub fn name(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `v1`, `apps/v1`: the `apiVersion` of its objects.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The fields of its kind, and those that its CRD declares selectable.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        FieldSet::for_resource(&self.group, &self.kind, &self.selectable_fields)
    }
}

/// One scope as it stands in the file.
#[derive(Clone, Debug)]
pub struct ScopeRow {
    /// Never given to another scope.
    pub id: i64,
    /// Row id of the resource.
    pub resource: i64,
    /// What discovery said of the resource.
    pub info: Resource,
    /// `None` for all namespaces, or a cluster-scoped resource.
    pub namespace: Option<String>,
    /// In canonical form; empty for everything.
    pub label_selector: String,
    /// In canonical form; empty for everything.
    pub field_selector: String,
    /// What of an object is kept.
    pub redaction: Redaction,
    /// Paths that are left out of every object.
    pub drop: Vec<String>,
    /// Whether a list was ever complete.
    pub published: bool,
    /// The checkpoint: the resourceVersion that the rows stand at.
    pub rv: Option<String>,
    /// Why the checkpoint no longer counts; `None` while it does.
    pub void_reason: Option<String>,
    /// History up to this seq is pruned.
    pub floor: i64,
    /// Its objects, counted.
    pub objects: i64,
    /// When it was last proven complete, as far as that was committed: milliseconds since 1970.
    pub proven_ms: Option<i64>,
}

impl ScopeRow {
    pub(super) fn recorded(&self) -> Recorded {
        Recorded {
            published: self.published,
            void_reason: self.void_reason.clone(),
            proven_ms: self.proven_ms,
        }
    }

    /// `pods in jhub with labels a=b`, as `vai.types.ScopeStatus` prints it.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.info.name();
        if let Some(namespace) = &self.namespace {
            text.push_str(" in ");
            text.push_str(namespace);
        }
        for (what, selector) in [("labels", &self.label_selector), ("fields", &self.field_selector)]
        {
            if !selector.is_empty() {
                for part in [" with ", what, " ", selector] {
                    text.push_str(part);
                }
            }
        }
        if self.redaction == Redaction::Metadata {
            text.push_str(" (metadata only)");
        }
        if !self.drop.is_empty() {
            text.push_str(" without ");
            text.push_str(&self.drop.join(", "));
        }
        text
    }
}

/// Where the identity of a scope has the paths that it drops, if it drops any.
const DROP_PLACE: usize = 5;

/// What a scope is asked to be; selectors in canonical form.
#[derive(Clone, Debug)]
pub struct ScopeSpec {
    /// `plural[.group]`
    pub resource: String,
    /// `None` for all namespaces, or a cluster-scoped resource.
    pub namespace: Option<String>,
    /// In canonical form; empty for everything.
    pub label_selector: String,
    /// In canonical form; empty for everything.
    pub field_selector: String,
    /// What of an object is kept.
    pub redaction: Redaction,
    /// Paths that are left out of every object, canonical, in order.
    pub drop: Vec<String>,
}

impl ScopeSpec {
    /// Brings selectors as a user writes them into canonical form.
    ///
    /// # Errors
    /// [`Error::Selector`] with the position of what is wrong.
    pub fn new(
        resource: &str,
        namespace: Option<&str>,
        label_selector: &str,
        field_selector: &str,
        redaction: Redaction,
    ) -> Result<Self> {
        Ok(Self {
            resource: resource.to_owned(),
            namespace: namespace.map(str::to_owned),
            label_selector: LabelSelector::parse(label_selector)?.to_string(),
            field_selector: FieldSelector::parse(field_selector)?.to_string(),
            redaction,
            drop: Vec::new(),
        })
    }

    /// The same, with these paths left out of every object.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no path of keys, or what vai itself needs of an object.
    pub fn without(mut self, drop: &[String]) -> Result<Self> {
        self.drop = redact::paths(drop)?.iter().map(Path::name).collect();
        Ok(self)
    }

    /// The same words always mean the same scope.
    fn identity(&self) -> String {
        let mut parts = serde_json::json!([
            self.resource,
            self.namespace,
            self.label_selector,
            self.field_selector,
            redaction_name(self.redaction)
        ]);
        if let (Some(parts), false) = (parts.as_array_mut(), self.drop.is_empty()) {
            parts.push(serde_json::json!(self.drop));
        }
        parts.to_string()
    }
}

/// The paths that a scope drops; they are nowhere but in its identity.
fn drop_of(identity: &str) -> Result<Vec<String>> {
    let parts: Vec<serde_json::Value> = serde_json::from_str(identity)
        .map_err(|error| Error::Corrupt(format!("the identity of a scope: {error}")))?;
    let Some(drop) = parts.into_iter().nth(DROP_PLACE) else { return Ok(Vec::new()) };
    serde_json::from_value(drop)
        .map_err(|error| Error::Corrupt(format!("the identity of a scope: {error}")))
}

pub(crate) fn cluster(db: &Connection) -> Result<Option<Cluster>> {
    let text: Option<String> =
        db.query_row("SELECT cluster FROM meta WHERE id = 1", [], |row| row.get(0))?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| Error::Corrupt(error.to_string())))
        .transpose()
}

/// Binds the file, or refuses another cluster. A weak identity gives way to a strong one of the
/// same server.
pub(super) fn set_cluster(writer: &mut Writer<'_>, new: &Cluster) -> Result<()> {
    let old = cluster(writer.db)?;
    if let Some(old) = &old {
        let same_server = old.server == new.server;
        let same = old.uid == new.uid || (same_server && old.verified != new.verified);
        if !same {
            return Err(Error::OtherCluster(format!(
                "this file holds the cluster {} ({}), not {} ({}); choose another file for each cluster",
                old.uid, old.server, new.uid, new.server
            )));
        }
        if old.verified && !new.verified {
            return Ok(());
        }
    }
    if old.as_ref() == Some(new) {
        // Asked with every discovery: what stands is not written again.
        return Ok(());
    }
    let text = serde_json::to_string(new).map_err(Error::internal)?;
    writer.db.execute("UPDATE meta SET cluster = ?1 WHERE id = 1", [text])?;
    Ok(())
}

/// Replaces what discovery found; resources no longer served keep their rows and their id.
/// Returns whether that was news.
pub(super) fn put_resources(writer: &mut Writer<'_>, resources: &[Resource]) -> Result<bool> {
    if served(writer.db)? == *resources {
        return Ok(false);
    }
    writer.db.execute("UPDATE resource SET served = 0", [])?;
    for (rank, resource) in resources.iter().enumerate() {
        let info = serde_json::to_string(resource).map_err(Error::internal)?;
        writer
            .db
            .prepare_cached(
                "INSERT INTO resource (grp, plural, served, rank, info) VALUES (?1, ?2, 1, ?3, ?4)
                 ON CONFLICT (grp, plural) DO UPDATE
                 SET served = 1, rank = excluded.rank, info = excluded.info",
            )?
            .execute(params![
                resource.group,
                resource.plural,
                i64::try_from(rank).unwrap_or(0),
                info
            ])?;
    }
    // A CustomResourceDefinition may select and print by other fields than before.
    if definitions::sync_kept(writer.db)? {
        writer.state.reload_fields(writer.db)?;
    }
    Ok(true)
}

/// What discovery found last, in order of preference.
fn served(db: &Connection) -> Result<Vec<Resource>> {
    let mut statement =
        db.prepare_cached("SELECT info FROM resource WHERE served = 1 ORDER BY rank")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|info| parse_info(&info?)).collect()
}

/// Served resources in order of preference, then those that are only kept.
pub(crate) fn resources(db: &Connection) -> Result<Vec<(i64, Resource)>> {
    let mut statement =
        db.prepare_cached("SELECT id, info FROM resource ORDER BY served DESC, rank")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (id, info) = row?;
        found.push((id, parse_info(&info)?));
    }
    Ok(found)
}

fn parse_info(text: &str) -> Result<Resource> {
    serde_json::from_str(text)
        .map_err(|error| Error::Corrupt(format!("a recorded resource: {error}")))
}

/// A recorded resource by `plural` or `plural.group`.
pub(crate) fn resource_named(db: &Connection, name: &str) -> Result<(i64, Resource)> {
    let wanted = GroupResource::parse(name);
    let row = db
        .prepare_cached("SELECT id, info FROM resource WHERE grp = ?1 AND plural = ?2")?
        .query_row(params![wanted.group, wanted.resource], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    let Some((id, info)) = row else {
        let known: Vec<String> = resources(db)?.iter().map(|(_, found)| found.name()).collect();
        return Err(Error::UnknownResource {
            message: format!("{name}: no such resource is known to this file"),
            nearest: crate::nearest::nearest(name, &known, 3),
        });
    };
    Ok((id, parse_info(&info)?))
}

/// Up to where the history of a resource is not whole, because a scope was forgotten.
pub(crate) fn resource_floor(db: &Connection, resource: i64) -> Result<i64> {
    let mut statement = db.prepare_cached("SELECT floor FROM resource WHERE id = ?1")?;
    Ok(statement.query_row([resource], |row| row.get(0))?)
}

const SCOPE_COLUMNS: &str = "SELECT s.id, s.resource, r.info, s.namespace, s.label_selector,
    s.field_selector, s.redaction, s.published, s.rv, s.void_reason, s.floor, s.objects,
    s.proven_ms, s.identity
    FROM scope s JOIN resource r ON r.id = s.resource";

fn scope_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(ScopeRow, String, String)> {
    let (info, identity) = (row.get(2)?, row.get(13)?);
    let found = ScopeRow {
        id: row.get(0)?,
        resource: row.get(1)?,
        info: Resource::default(),
        namespace: row.get(3)?,
        label_selector: row.get(4)?,
        field_selector: row.get(5)?,
        redaction: super::state::redaction_from(row.get(6)?),
        drop: Vec::new(),
        published: row.get(7)?,
        rv: row.get(8)?,
        void_reason: row.get(9)?,
        floor: row.get(10)?,
        objects: row.get(11)?,
        proven_ms: row.get(12)?,
    };
    Ok((found, info, identity))
}

/// All scopes, or those of one resource.
pub(crate) fn scopes(db: &Connection, resource: Option<i64>) -> Result<Vec<ScopeRow>> {
    scopes_where(db, "?1 IS NULL OR s.resource = ?1", resource)
}

/// One scope.
pub(super) fn scope(db: &Connection, id: i64) -> Result<ScopeRow> {
    find(db, id)?.ok_or_else(|| super::unknown_scope(id))
}

/// The same; `None` where it is not there.
pub(super) fn find(db: &Connection, id: i64) -> Result<Option<ScopeRow>> {
    Ok(scopes_where(db, "s.id = ?1", Some(id))?.pop())
}

fn scopes_where(db: &Connection, which: &str, value: Option<i64>) -> Result<Vec<ScopeRow>> {
    let sql = format!("{SCOPE_COLUMNS} WHERE {which} ORDER BY s.id");
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([value], scope_row)?;
    let mut found = Vec::new();
    // Of many namespaces, each has the same.
    let mut known: HashMap<i64, Resource> = HashMap::new();
    for row in rows {
        let (mut scope, info, identity) = row?;
        scope.info = match known.entry(scope.resource) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry.insert(parse_info(&info)?).clone(),
        };
        scope.drop = drop_of(&identity)?;
        found.push(scope);
    }
    Ok(found)
}

/// What [`ensure`] found or made.
pub(super) struct Ensured {
    pub(super) id: i64,
    /// Scopes whose values were deleted; in the WAL they are until it is truncated.
    pub(super) purged: Vec<i64>,
}

/// The id of a scope, made if it is new.
pub(super) fn ensure(writer: &mut Writer<'_>, spec: &ScopeSpec) -> Result<Ensured> {
    let (resource, info) = resource_named(writer.db, &spec.resource)?;
    if spec.namespace.is_some() && !info.namespaced {
        return Err(Error::Invalid(format!(
            "{} is not namespaced; leave the namespace out",
            spec.resource
        )));
    }
    if definitions::sync(writer.db, resource, &info)? {
        writer.state.reload_fields(writer.db)?;
    }
    // Not only for a new scope: the one without values may be older than the one with them.
    let without_values =
        spec.redaction == Redaction::Metadata && is_sensitive(&info.group, &info.plural);
    let purged = if without_values {
        purge_values(writer, resource, spec.namespace.as_deref())?
    } else {
        Vec::new()
    };
    let identity = spec.identity();
    let found = writer
        .db
        .query_row("SELECT id FROM scope WHERE identity = ?1", [&identity], |row| row.get(0))
        .optional()?;
    if !purged.is_empty() {
        writer.db.execute("UPDATE meta SET purging = 1 WHERE id = 1", [])?;
    }
    if let Some(id) = found {
        return Ok(Ensured { id, purged });
    }
    writer.db.execute(
        "INSERT INTO scope (identity, resource, namespace, label_selector, field_selector,
                            redaction)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            identity,
            resource,
            spec.namespace,
            spec.label_selector,
            spec.field_selector,
            redaction_number(spec.redaction)
        ],
    )?;
    let id = writer.db.last_insert_rowid();
    writer.state.save(writer.db)?;
    writer.state.reload_scopes(writer.db)?;
    Ok(Ensured { id, purged })
}

/// Values that are no longer asked for do not stay in the file (`secure_delete` zeroes them).
///
/// Those of another namespace stay: they may be asked for beside this one. Returns the scopes.
fn purge_values(
    writer: &mut Writer<'_>,
    resource: i64,
    namespace: Option<&str>,
) -> Result<Vec<i64>> {
    let mut purged = Vec::new();
    for scope in scopes(writer.db, Some(resource))? {
        let kept = scope.namespace.as_deref();
        let apart = namespace.is_some() && kept.is_some() && namespace != kept;
        if scope.redaction == Redaction::None && !apart {
            forget(writer, scope.id)?;
            purged.push(scope.id);
        }
    }
    Ok(purged)
}

/// Deletes a scope with all that belongs to it. Returns its objects, counted.
pub(super) fn forget(writer: &mut Writer<'_>, scope: i64) -> Result<i64> {
    let known =
        writer.db.query_row("SELECT objects FROM scope WHERE id = ?1", [scope], |row| row.get(0));
    let objects = known
        .optional()?
        .ok_or_else(|| Error::Invalid(format!("scope {scope} is not in the file")))?;
    let seq = writer.state.next_seq();
    writer.db.execute(
        "INSERT OR REPLACE INTO free (id, freed_seq, scope, key, uid)
         SELECT id, ?2, scope, key, uid FROM object WHERE scope = ?1",
        params![scope, seq],
    )?;
    // Whoever follows the resource has no other way to learn that its rows and history are gone.
    writer.db.execute(
        "UPDATE resource SET floor = ?2 WHERE id = (SELECT resource FROM scope WHERE id = ?1)
           AND EXISTS (SELECT 1 FROM version WHERE scope = ?1)",
        params![scope, seq],
    )?;
    rows::forget(writer.db, &objects_of(writer.db, scope)?)?;
    for sql in [
        "DELETE FROM invalid WHERE object IN (SELECT id FROM object WHERE scope = ?1)",
        "DELETE FROM owner WHERE object IN (SELECT id FROM object WHERE scope = ?1)",
        "DELETE FROM cells WHERE object IN (SELECT id FROM object WHERE scope = ?1)",
        "DELETE FROM version WHERE scope = ?1",
        "DELETE FROM object WHERE scope = ?1",
        "DELETE FROM stage WHERE scope = ?1",
        "DELETE FROM segment WHERE scope = ?1",
        "DELETE FROM scope WHERE id = ?1",
    ] {
        writer.db.execute(sql, [scope])?;
    }
    writer.state.scopes.remove(&scope);
    writer.state.save(writer.db)?;
    writer.state.load_reusable(writer.db)?;
    Ok(objects)
}

/// Ids, ascending.
fn objects_of(db: &Connection, scope: i64) -> Result<Vec<i64>> {
    let mut statement =
        db.prepare_cached("SELECT id FROM object INDEXED BY object_scope_key WHERE scope = ?1")?;
    let ids = statement.query_map([scope], |row| row.get(0))?;
    let mut ids: Vec<i64> = ids.collect::<std::result::Result<_, _>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// The resource is gone from the server: its rows are deleted as changes that followers see.
pub(super) fn remove_rows(writer: &mut Writer<'_>, scope: i64) -> Result<i64> {
    let keys: Vec<String> = {
        let mut statement =
            writer.db.prepare_cached("SELECT key FROM object WHERE scope = ?1 ORDER BY key")?;
        let rows = statement.query_map([scope], |row| row.get(0))?;
        rows.collect::<std::result::Result<_, _>>()?
    };
    for key in &keys {
        writer.delete_unseen(scope, key, Origin::LIST)?;
    }
    let state = writer.state.scope(scope)?;
    state.rv = None;
    state.void_reason = Some("the server no longer serves this resource".into());
    state.dirty = true;
    checkpoint::end_segment(writer, scope)?;
    Ok(i64::try_from(keys.len()).unwrap_or(i64::MAX))
}
