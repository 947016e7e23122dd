//! Objects of one snapshot, by key, by owner, by selector and by who names them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Instant;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::named;
use crate::error::{Error, Result};
use crate::query::{self, Partition, Patience, Raw, Request};
use crate::rv;
use crate::selector::LabelSelector;
use crate::store::{Inner, Resource, ScopeRow, owner_hash, scopes};

/// Kinds that select pods without owning them.
const SELECTING: &[(&str, &str)] =
    &[("", "Service"), ("policy", "PodDisruptionBudget"), ("networking.k8s.io", "NetworkPolicy")];
/// A kind that names others by name (its group and itself), and the paths where the names are: fields
/// of the catalogue are looked up, other paths are read in the bodies of the namespace.
type Naming = (&'static str, &'static str, &'static [&'static str]);

/// Who names objects of these kinds.
const NAMING: &[(&str, &[Naming])] = &[
    ("ConfigMap", &[("", "Pod", IN_PODS[0])]),
    (
        "Secret",
        &[
            ("", "Pod", IN_PODS[1]),
            ("networking.k8s.io", "Ingress", &[".spec.tls[*].secretName"]),
            ("", "ServiceAccount", &[".secrets[*].name", ".imagePullSecrets[*].name"]),
        ],
    ),
    (
        "PersistentVolumeClaim",
        &[
            ("", "Pod", &[".spec.volumes[*].persistentVolumeClaim.claimName"]),
            ("", "PersistentVolume", &[".spec.claimRef.name"]),
        ],
    ),
    ("PersistentVolume", &[("", "PersistentVolumeClaim", &[".spec.volumeName"])]),
    ("ServiceAccount", &[("", "Pod", &[".spec.serviceAccountName"])]),
    ("Node", &[("", "Pod", &[".spec.nodeName"])]),
    (
        "Service",
        &[
            (
                "networking.k8s.io",
                "Ingress",
                &[
                    ".spec.rules[*].http.paths[*].backend.service.name",
                    ".spec.defaultBackend.service.name",
                ],
            ),
            ("discovery.k8s.io", "EndpointSlice", &["labels[kubernetes.io/service-name]"]),
            ("", "Endpoints", &["metadata.name"]),
            ("apps", "StatefulSet", &[".spec.serviceName"]),
        ],
    ),
    ("Deployment", SCALING),
    ("StatefulSet", SCALING),
    ("ReplicaSet", SCALING),
];
const SCALING: &[Naming] =
    &[("autoscaling", "HorizontalPodAutoscaler", &[".spec.scaleTargetRef.name"])];
/// Where pods have the names of `ConfigMap`s, and of Secrets.
const IN_PODS: [&[&str]; 2] = [
    &[
        ".spec.volumes[*].configMap.name",
        ".spec.volumes[*].projected.sources[*].configMap.name",
        ".spec.containers[*].envFrom[*].configMapRef.name",
        ".spec.containers[*].env[*].valueFrom.configMapKeyRef.name",
        ".spec.initContainers[*].envFrom[*].configMapRef.name",
        ".spec.initContainers[*].env[*].valueFrom.configMapKeyRef.name",
        ".spec.ephemeralContainers[*].envFrom[*].configMapRef.name",
        ".spec.ephemeralContainers[*].env[*].valueFrom.configMapKeyRef.name",
    ],
    &[
        ".spec.imagePullSecrets[*].name",
        ".spec.volumes[*].secret.secretName",
        ".spec.volumes[*].projected.sources[*].secret.name",
        ".spec.containers[*].envFrom[*].secretRef.name",
        ".spec.containers[*].env[*].valueFrom.secretKeyRef.name",
        ".spec.initContainers[*].envFrom[*].secretRef.name",
        ".spec.initContainers[*].env[*].valueFrom.secretKeyRef.name",
        ".spec.ephemeralContainers[*].envFrom[*].secretRef.name",
        ".spec.ephemeralContainers[*].env[*].valueFrom.secretKeyRef.name",
    ],
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
        if self.namespaced {
            self.key.split_once('/').map_or(&self.key, |(_, name)| name)
        } else {
            &self.key
        }
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
    deadline: Instant,
    go_on: &'a dyn Fn() -> bool,
    known: Vec<Known>,
    kept: Vec<ScopeRow>,
}

const SELECT: &str = "SELECT o.key, o.uid, o.rv, v.body, o.resource
    FROM object o JOIN version v ON v.seq = o.seq";

impl<'a> Lookup<'a> {
    /// Asks `go_on` now and then whether whoever asked still wants to know.
    pub(super) fn new(
        db: &'a Connection,
        inner: &'a Inner,
        go_on: &'a dyn Fn() -> bool,
    ) -> Result<Self> {
        let known = scopes::resources(db)?.into_iter().map(|(id, info)| Known(id, info)).collect();
        let deadline = Instant::now() + inner.options.query_timeout;
        Ok(Self { db, inner, deadline, go_on, known, kept: scopes::scopes(db, None)? })
    }

    /// The most preferred resource of a kind.
    pub(super) fn kind(&self, group: &str, kind: &str) -> Option<Known> {
        self.known.iter().find(|known| known.1.group == group && known.1.kind == kind).cloned()
    }

    /// The object that is asked about.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is proven absent.
    pub(super) fn start(&self, resource: &str, key: &str) -> Result<Place> {
        let (id, info) = scopes::resource_named(self.db, resource)?;
        let (namespace, name) = match key.split_once('/') {
            Some((namespace, name)) if info.namespaced => (Some(namespace), name),
            _ => (None, key),
        };
        match query::one(self.db, resource, namespace, name)? {
            Some(row) => self.place(&Known(id, info), row),
            None => Err(Error::NotFound(match namespace {
                Some(namespace) => {
                    format!("{resource} {name:?}: there is none in namespace {namespace}")
                }
                None => format!("{resource} {name:?}: there is none"),
            })),
        }
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
        let sql = format!("{SELECT} WHERE o.id IN (SELECT object FROM owner WHERE uid_hash = ?1)");
        let places = self.read(&sql, params![owner_hash(uid)])?;
        let mut found = Vec::new();
        for place in newest(places) {
            let body = place.json()?;
            let all = body["metadata"]["ownerReferences"].as_array();
            let references: Vec<&Value> =
                all.into_iter().flatten().filter(|reference| reference["uid"] == uid).collect();
            // Else another owner's uid has the same hash.
            if !references.is_empty() {
                let is_controller =
                    |reference: &&Value| reference["controller"] == Value::Bool(true);
                let controls = references.iter().any(is_controller);
                found.push((place, controls));
            }
        }
        Ok(found)
    }

    /// Pods of a namespace that a selector chooses.
    pub(super) fn pods(&self, namespace: Option<&str>, selector: &str) -> Result<Vec<Place>> {
        let Some(pods) = self.kind("", "Pod") else { return Ok(Vec::new()) };
        let request = Request { label_selector: selector.to_owned(), ..Request::default() };
        self.ask(&pods, namespace, request, |_| Ok(true))
    }

    /// Services and their like that choose a pod.
    pub(super) fn selecting(&self, pod: &Place) -> Result<Vec<Place>> {
        let body = pod.json()?;
        let mut found = Vec::new();
        for (group, kind) in SELECTING {
            let Some(resource) = self.kind(group, kind) else { continue };
            let chosen = |place: &Place| {
                let Some(selector) = named::selector_of(kind, &place.json()?) else {
                    return Ok(false);
                };
                // One that no server would have taken selects nothing.
                Ok(LabelSelector::parse(&selector).is_ok_and(|parsed| selects(&parsed, &body)))
            };
            found.extend(self.ask(&resource, pod.namespace(), Request::default(), chosen)?);
        }
        Ok(found)
    }

    /// Objects that name this one.
    pub(super) fn naming(&self, of: &Place) -> Result<Vec<Place>> {
        let mut found = Vec::new();
        let naming = NAMING.iter().find(|(kind, _)| *kind == of.kind);
        for (group, kind, paths) in naming.into_iter().flat_map(|(_, naming)| naming.iter()) {
            let Some(resource) = self.kind(group, kind) else { continue };
            // In single quotes everything is meant as written, but for them.
            let name = of.name().replace('\'', "''");
            let tests: Vec<String> =
                paths.iter().map(|path| format!("{path} = '{name}'")).collect();
            let request = Request { condition: tests.join(" or "), ..Request::default() };
            let names = |place: &Place| self.names(place, of);
            found.extend(self.ask(&resource, of.namespace(), request, names)?);
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

    /// The objects that a request finds, of one namespace if one is given, and of them those that
    /// are to be kept.
    fn ask(
        &self,
        resource: &Known,
        namespace: Option<&str>,
        request: Request,
        keep: impl Fn(&Place) -> Result<bool>,
    ) -> Result<Vec<Place>> {
        // As what may be seen, not as what is asked for: that would need scopes that have all of
        // the namespace.
        let namespace = namespace.filter(|_| resource.1.namespaced).map(str::to_owned);
        let access =
            namespace.map(|name| vec![Partition { namespace: Some(name), names: None }].into());
        let request = Request { resources: vec![resource.1.name()], access, ..request };
        let patience = || Patience::new(self.deadline, self.go_on);
        let rows = match query::rows(self.db, self.inner, &request, patience()) {
            // Of what was never listed whole nothing is told.
            Err(Error::NotSynced(_) | Error::NotKept { .. }) => return Ok(Vec::new()),
            rows => rows?,
        };
        let patience = patience();
        let mut found = Vec::new();
        for row in rows {
            patience.check(self.inner)?;
            let place = self.place(resource, row)?;
            if keep(&place)? {
                found.push(place);
            }
        }
        Ok(found)
    }

    fn place(&self, resource: &Known, row: Raw) -> Result<Place> {
        Ok(Place {
            resource: resource.1.name(),
            kind: resource.1.kind.clone(),
            namespaced: resource.1.namespaced,
            body: self.inner.decode_in(self.db, &row.body)?,
            key: row.key,
            uid: row.uid,
            rv: row.rv,
        })
    }

    fn read(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Place>> {
        let patience = Patience::new(self.deadline, self.go_on);
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            patience.check(self.inner)?;
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
