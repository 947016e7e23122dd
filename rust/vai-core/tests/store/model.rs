//! The naive model: maps of objects, and the list of all changes.

use std::collections::BTreeMap;

use vai_core::rv;

use crate::bytes::Pod;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Update,
    Delete,
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) scope: i64,
    pub(crate) seq: i64,
    pub(crate) op: Op,
    pub(crate) key: String,
    pub(crate) uid: String,
    pub(crate) rv: String,
    pub(crate) relist: bool,
    pub(crate) old: Option<Pod>,
    pub(crate) new: Option<Pod>,
}

/// What a scope should hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) objects: BTreeMap<String, Pod>,
    pub(crate) published: bool,
    pub(crate) void: bool,
    pub(crate) rv: Option<u64>,
    /// Behind which entry of the history the first list ended.
    pub(crate) listed: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) seq: i64,
    /// History up to here is not whole.
    pub(crate) floor: i64,
    pub(crate) scopes: BTreeMap<i64, Scope>,
    pub(crate) changes: Vec<Change>,
}

impl Model {
    pub(crate) fn scope(&mut self, id: i64) -> &mut Scope {
        self.scopes.get_mut(&id).unwrap()
    }

    fn log(&mut self, scope: i64, op: Op, relist: bool, old: Option<Pod>, new: Option<Pod>) {
        self.seq += 1;
        let about = new.as_ref().or(old.as_ref()).unwrap();
        self.changes.push(Change {
            scope,
            seq: self.seq,
            op,
            key: about.key(),
            uid: about.uid.clone(),
            rv: about.rv.to_string(),
            relist,
            old,
            new,
        });
    }

    pub(crate) fn put(&mut self, scope: i64, pod: &Pod, relist: bool) {
        let key = pod.key();
        let old = self.scope(scope).objects.get(&key).cloned();
        match old {
            None => self.log(scope, Op::Add, relist, None, Some(pod.clone())),
            Some(old) if !relist && pod.rv < old.rv => return,
            Some(old) if old.uid != pod.uid => {
                self.log(scope, Op::Delete, relist, Some(old), None);
                self.log(scope, Op::Add, relist, None, Some(pod.clone()));
            }
            Some(old) if old.rv == pod.rv => return,
            Some(old) => self.log(scope, Op::Update, relist, Some(old), Some(pod.clone())),
        }
        self.scope(scope).objects.insert(key, pod.clone());
    }

    /// A watch event's `DELETED`, with the last state.
    pub(crate) fn delete(&mut self, scope: i64, last: &Pod) {
        let stored = self.scope(scope).objects.get(&last.key()).cloned();
        if stored.is_some_and(|stored| stored.uid == last.uid && stored.rv <= last.rv) {
            self.log(scope, Op::Delete, false, Some(last.clone()), None);
            self.scope(scope).objects.remove(&last.key());
        }
    }

    /// A list's publication: first the objects that it lacks, then the rest, both in key order.
    pub(crate) fn publish(&mut self, scope: i64, listed: &BTreeMap<String, Pod>, rv: u64) {
        let gone: Vec<Pod> = self
            .scope(scope)
            .objects
            .iter()
            .filter(|(key, _)| !listed.contains_key(*key))
            .map(|(_, pod)| pod.clone())
            .collect();
        for pod in gone {
            self.scope(scope).objects.remove(&pod.key());
            self.log(scope, Op::Delete, true, Some(pod), None);
        }
        for pod in listed.values() {
            self.put(scope, pod, true);
        }
        let seq = self.seq;
        let scope = self.scope(scope);
        scope.listed.get_or_insert(seq);
        scope.published = true;
        scope.void = false;
        scope.rv = Some(rv);
    }

    pub(crate) fn forget(&mut self, scope: i64) {
        self.seq += 1;
        if self.changes.iter().any(|change| change.scope == scope) {
            self.floor = self.seq;
        }
        self.changes.retain(|change| change.scope != scope);
        self.scopes.remove(&scope);
    }

    /// What several scopes say of one moment: of copies the newer one, if it matches.
    pub(crate) fn merged(&self, scopes: &[i64], matches: impl Fn(&Pod) -> bool) -> Vec<Pod> {
        let mut newest: BTreeMap<String, Pod> = BTreeMap::new();
        for id in scopes {
            for (key, pod) in &self.scopes[id].objects {
                if newest.get(key).is_none_or(|held| held.rv < pod.rv) {
                    newest.insert(key.clone(), pod.clone());
                }
            }
        }
        newest.into_values().filter(|pod| matches(pod)).collect()
    }
}

/// A selector and what it means, said again without the engine.
pub(crate) struct Selector {
    pub(crate) labels: &'static str,
    pub(crate) fields: &'static str,
    pub(crate) matches: fn(&Pod) -> bool,
}

const fn labels(labels: &'static str, matches: fn(&Pod) -> bool) -> Selector {
    Selector { labels, fields: "", matches }
}

const fn fields(fields: &'static str, matches: fn(&Pod) -> bool) -> Selector {
    Selector { labels: "", fields, matches }
}

fn is(pod: &Pod, key: &str, value: &str) -> bool {
    pod.labels.get(key).is_some_and(|found| found == value)
}

fn number(pod: &Pod, key: &str) -> Option<i64> {
    pod.labels.get(key)?.parse().ok()
}

/// Every operator, with missing keys and values, alone and together.
pub(crate) const SELECTORS: &[Selector] = &[
    labels("", |_| true),
    labels("app=x", |pod| is(pod, "app", "x")),
    labels("app==y", |pod| is(pod, "app", "y")),
    labels("app!=x", |pod| !is(pod, "app", "x")),
    labels("app in (x, y)", |pod| is(pod, "app", "x") || is(pod, "app", "y")),
    labels("app notin (x, z)", |pod| !is(pod, "app", "x") && !is(pod, "app", "z")),
    labels("app", |pod| pod.labels.contains_key("app")),
    labels("!app", |pod| !pod.labels.contains_key("app")),
    labels("never-seen", |_| false),
    labels("!never-seen", |_| true),
    labels("never-seen!=a", |_| true),
    labels("tier>1", |pod| number(pod, "tier").is_some_and(|tier| tier > 1)),
    labels("tier<5", |pod| number(pod, "tier").is_some_and(|tier| tier < 5)),
    labels("tier>0,tier<11", |pod| number(pod, "tier").is_some_and(|tier| tier > 0 && tier < 11)),
    labels("app=x,tier", |pod| is(pod, "app", "x") && pod.labels.contains_key("tier")),
    labels("app=", |pod| is(pod, "app", "")),
    fields("spec.nodeName=n1", |pod| pod.node.as_deref() == Some("n1")),
    fields("spec.nodeName!=n1", |pod| pod.node.as_deref() != Some("n1")),
    fields("spec.nodeName=", |pod| pod.node.is_none()),
    fields("spec.nodeName!=", |pod| pod.node.is_some()),
    fields("spec.host=n2", |pod| pod.node.as_deref() == Some("n2")),
    fields("status.phase=Running,spec.nodeName!=n2", |pod| {
        pod.phase.as_deref() == Some("Running") && pod.node.as_deref() != Some("n2")
    }),
    fields("spec.hostNetwork=false", |pod| pod.host_network != Some(true)),
    fields("spec.hostNetwork=true", |pod| pod.host_network == Some(true)),
    fields("metadata.name=p1", |pod| pod.name == "p1"),
    fields("metadata.name!=p1", |pod| pod.name != "p1"),
    fields("metadata.namespace=a,status.phase!=Running", |pod| {
        pod.namespace == "a" && pod.phase.as_deref() != Some("Running")
    }),
    Selector {
        labels: "app!=y",
        fields: "status.phase=Pending",
        matches: |pod| !is(pod, "app", "y") && pod.phase.as_deref() == Some("Pending"),
    },
];

/// The order of two checkpoints, as the engine must see it.
pub(crate) fn newer(a: Option<u64>, b: Option<u64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            rv::compare(&a.to_string(), &b.to_string()) == Some(std::cmp::Ordering::Greater)
        }
        _ => false,
    }
}
