//! Objects of one snapshot, by key, by owner, by selector and by who names them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::named;
use crate::error::{Error, Result};
use crate::rv;
use crate::selector::{LabelSelector, Op as LabelOp};
use crate::store::{Inner, Resource, ScopeRow, scopes};

/// Kinds that select pods without owning them.
const SELECTING: &[(&str, &str)] =
    &[("", "Service"), ("policy", "PodDisruptionBudget"), ("networking.k8s.io", "NetworkPolicy")];
/// Kinds that name objects of these kinds by name.
const NAMING: &[(&str, &[(&str, &str)])] = &[
    ("ConfigMap", &[("", "Pod")]),
    ("Secret", &[("", "Pod"), ("networking.k8s.io", "Ingress"), ("", "ServiceAccount")]),
    ("PersistentVolumeClaim", &[("", "Pod"), ("", "PersistentVolume")]),
    ("PersistentVolume", &[("", "PersistentVolumeClaim")]),
    ("ServiceAccount", &[("", "Pod")]),
    ("Node", &[("", "Pod")]),
    (
        "Service",
        &[
            ("networking.k8s.io", "Ingress"),
            ("discovery.k8s.io", "EndpointSlice"),
            ("", "Endpoints"),
            ("apps", "StatefulSet"),
        ],
    ),
    ("Deployment", &[("autoscaling", "HorizontalPodAutoscaler")]),
    ("StatefulSet", &[("autoscaling", "HorizontalPodAutoscaler")]),
    ("ReplicaSet", &[("autoscaling", "HorizontalPodAutoscaler")]),
];

/// A stored object.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) resource: String,
    pub(super) kind: String,
    pub(super) namespaced: bool,
    pub(super) key: String,
    pub(super) uid: String,
    pub(super) rv: String,
    pub(super) body: Vec<u8>,
}

impl Place {
    pub(super) fn namespace(&self) -> Option<&str> {
        self.key.split_once('/').filter(|_| self.namespaced).map(|(namespace, _)| namespace)
    }

    fn name(&self) -> &str {
        self.key.rsplit_once('/').map_or(&self.key, |(_, name)| name)
    }

    pub(super) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::Corrupt(format!("{} {}: not JSON ({error})", self.resource, self.key))
        })
    }
}

/// A resource: its row id, and what discovery said.
#[derive(Clone, Debug)]
pub(super) struct Known(pub(super) i64, pub(super) Resource);

impl Known {
    pub(super) fn key(&self, namespace: Option<&str>, name: &str) -> String {
        match namespace.filter(|_| self.1.namespaced) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }
}

pub(super) struct Lookup<'a> {
    db: &'a Connection,
    inner: &'a Inner,
    known: Vec<Known>,
    kept: Vec<ScopeRow>,
}

const SELECT: &str = "SELECT o.key, o.uid, o.rv, v.body, o.resource
    FROM object o JOIN version v ON v.seq = o.seq";

impl<'a> Lookup<'a> {
    pub(super) fn new(db: &'a Connection, inner: &'a Inner) -> Result<Self> {
        let known = scopes::resources(db)?.into_iter().map(|(id, info)| Known(id, info)).collect();
        Ok(Self { db, inner, known, kept: scopes::scopes(db, None)? })
    }

    /// The most preferred resource of a kind.
    pub(super) fn kind(&self, group: &str, kind: &str) -> Option<Known> {
        self.known.iter().find(|known| known.1.group == group && known.1.kind == kind).cloned()
    }

    pub(super) fn named(&self, resource: &str, key: &str) -> Result<Option<Place>> {
        let (id, info) = scopes::resource_named(self.db, resource)?;
        self.find(&Known(id, info), key)
    }

    /// The newest copy.
    pub(super) fn find(&self, resource: &Known, key: &str) -> Result<Option<Place>> {
        let mut best: Option<Place> = None;
        for scope in self.kept.iter().filter(|scope| scope.resource == resource.0) {
            let sql = format!("{SELECT} WHERE o.scope = ?1 AND o.key = ?2");
            let found = self.read(&sql, params![scope.id, key])?;
            best = best.into_iter().chain(found).reduce(newer);
        }
        Ok(best)
    }

    /// Why there is no object: `absent` only if a scope that has the whole namespace says so.
    pub(super) fn missing(
        &self,
        resource: &Known,
        key: &str,
        found: Option<&Place>,
    ) -> &'static str {
        if found.is_some() {
            return "";
        }
        let namespace = key.split_once('/').filter(|_| resource.1.namespaced).map(|parts| parts.0);
        let whole = self.kept.iter().any(|scope| {
            scope.resource == resource.0
                && scope.published
                && scope.label_selector.is_empty()
                && scope.field_selector.is_empty()
                && (scope.namespace.is_none() || scope.namespace.as_deref() == namespace)
        });
        if whole { "absent" } else { "unknown" }
    }

    /// Objects with this owner, and whether it is their controller; by resource and key.
    pub(super) fn owned_by(&self, uid: &str) -> Result<Vec<(Place, bool)>> {
        let sql = format!("{SELECT} WHERE o.id IN (SELECT object FROM owner WHERE uid = ?1)");
        let places = self.read(&sql, params![uid])?;
        let mut found = Vec::new();
        for place in newest(places) {
            let body = place.json()?;
            let references = body["metadata"]["ownerReferences"].as_array();
            let controls = references.into_iter().flatten().any(|reference| {
                reference["uid"] == uid && reference["controller"] == Value::Bool(true)
            });
            found.push((place, controls));
        }
        Ok(found)
    }

    /// Pods of a namespace that a selector chooses.
    pub(super) fn pods(&self, namespace: Option<&str>, selector: &str) -> Result<Vec<Place>> {
        let Some(pods) = self.kind("", "Pod") else { return Ok(Vec::new()) };
        let selector = LabelSelector::parse(selector)?;
        // A label that all of them have finds the few to look at.
        let first = selector.requirements.iter().find(|wanted| wanted.op == LabelOp::Equals);
        let places = match first.and_then(|wanted| Some((&wanted.key, wanted.values.first()?))) {
            Some((key, value)) => {
                let sql = format!(
                    "{SELECT} WHERE o.id IN (
                         SELECT t.object FROM term t JOIN field f ON f.id = t.field
                         WHERE f.resource = ?1 AND f.kind = 0 AND f.name = ?2 AND t.value = ?3)"
                );
                self.read(&sql, params![pods.0, key, value])?
            }
            None => self.all(&pods, namespace)?,
        };
        let mut found = newest(places);
        found.retain(|place| place.namespace() == namespace);
        let mut chosen = Vec::new();
        for place in found {
            if selects(&selector, &place.json()?) {
                chosen.push(place);
            }
        }
        Ok(chosen)
    }

    /// Services and their like that choose a pod.
    pub(super) fn selecting(&self, pod: &Place) -> Result<Vec<Place>> {
        let body = pod.json()?;
        let mut found = Vec::new();
        for (group, kind) in SELECTING {
            let Some(resource) = self.kind(group, kind) else { continue };
            for place in newest(self.all(&resource, pod.namespace())?) {
                let Some(selector) = named::selector_of(kind, &place.json()?) else { continue };
                // One that no server would have taken selects nothing.
                if LabelSelector::parse(&selector).is_ok_and(|parsed| selects(&parsed, &body)) {
                    found.push(place);
                }
            }
        }
        Ok(found)
    }

    /// Objects that name this one.
    pub(super) fn naming(&self, of: &Place) -> Result<Vec<Place>> {
        let mut found = Vec::new();
        let naming = NAMING.iter().find(|(kind, _)| *kind == of.kind);
        for (group, kind) in naming.into_iter().flat_map(|(_, naming)| naming.iter()) {
            let Some(resource) = self.kind(group, kind) else { continue };
            let candidates = match of.kind.as_str() {
                "Node" => self.on_node(&resource, of.name())?,
                _ => self.all(&resource, of.namespace().filter(|_| resource.1.namespaced))?,
            };
            for place in newest(candidates) {
                if self.names(&place, of)? {
                    found.push(place);
                }
            }
        }
        Ok(found)
    }

    fn names(&self, place: &Place, of: &Place) -> Result<bool> {
        Ok(named::named_by(&place.kind, &place.json()?).iter().any(|named| {
            let (group, kind) = named.kind.rsplit_once('/').unwrap_or(("", &named.kind));
            let namespace = named.namespace.as_deref().or(place.namespace());
            self.kind(group, kind).is_some_and(|resource| {
                resource.1.name() == of.resource && resource.key(namespace, &named.name) == of.key
            })
        }))
    }

    /// Pods of a node, by the field that servers select by, if that is built.
    fn on_node(&self, pods: &Known, node: &str) -> Result<Vec<Place>> {
        let ready: bool = self.db.query_row(
            "SELECT EXISTS (SELECT 1 FROM field f JOIN field_state s ON s.field = f.id
             WHERE f.resource = ?1 AND f.kind = 1 AND f.name = 'spec.nodeName' AND s.ready)",
            [pods.0],
            |row| row.get(0),
        )?;
        if !ready {
            return self.all(pods, None);
        }
        let sql = format!(
            "{SELECT} WHERE o.id IN (
                 SELECT r.object FROM ord r JOIN field f ON f.id = r.field
                 WHERE f.resource = ?1 AND f.kind = 1 AND f.name = 'spec.nodeName' AND r.value = ?2)"
        );
        self.read(&sql, params![pods.0, node])
    }

    /// All objects of a resource, of one namespace if one is given.
    fn all(&self, resource: &Known, namespace: Option<&str>) -> Result<Vec<Place>> {
        let mut found = Vec::new();
        for scope in self.kept.iter().filter(|scope| scope.resource == resource.0) {
            // '0' follows '/': the range holds exactly the keys that begin with "namespace/".
            let (low, high) = namespace.map_or_else(
                || (String::new(), "\u{10ffff}".to_owned()),
                |namespace| (format!("{namespace}/"), format!("{namespace}0")),
            );
            let sql = format!("{SELECT} WHERE o.scope = ?1 AND o.key >= ?2 AND o.key < ?3");
            found.extend(self.read(&sql, params![scope.id, low, high])?);
        }
        Ok(found)
    }

    fn read(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Place>> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let resource: i64 = row.get(4)?;
            let Some(known) = self.known.iter().find(|known| known.0 == resource) else { continue };
            let frame: Vec<u8> = row.get(3)?;
            found.push(Place {
                resource: known.1.name(),
                kind: known.1.kind.clone(),
                namespaced: known.1.namespaced,
                key: row.get(0)?,
                uid: row.get(1)?,
                rv: row.get(2)?,
                body: self.inner.decode_in(self.db, &frame)?,
            });
        }
        Ok(found)
    }
}

/// One of each object, by resource and key; of copies the newer one.
fn newest(places: Vec<Place>) -> Vec<Place> {
    let mut found: BTreeMap<(String, String), Place> = BTreeMap::new();
    for place in places {
        let at = (place.resource.clone(), place.key.clone());
        let best = match found.remove(&at) {
            Some(held) => newer(held, place),
            None => place,
        };
        found.insert(at, best);
    }
    found.into_values().collect()
}

fn newer(a: Place, b: Place) -> Place {
    if rv::compare(&b.rv, &a.rv) == Some(Ordering::Greater) { b } else { a }
}

fn selects(selector: &LabelSelector, body: &Value) -> bool {
    let labels = &body["metadata"]["labels"];
    selector.matches(|key| labels[key].as_str())
}
