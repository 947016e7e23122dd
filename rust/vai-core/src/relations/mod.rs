//! How objects belong together: owners, dependents, selectors, nodes, and what is named by name.
//!
//! Everything is read in one snapshot, from what the file keeps. Owners and dependents come from the
//! `owner` table, which every write keeps right; what an object names or selects from its body; who
//! names or selects it from queries about the kinds that can, in its namespace.

mod lookup;
mod named;

use std::collections::HashSet;

use serde_json::Value;

use self::lookup::{Lookup, Place};
use crate::error::Result;
use crate::store::Store;

/// Owners of owners of …: a longer chain is a circle that somebody made.
const MAX_DEPTH: usize = 32;

/// How the other object relates to the one asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It owns it.
    Owner,
    /// It is owned by it.
    Dependent,
    /// It is a pod that its selector chooses.
    Selects,
    /// Its selector chooses this pod.
    SelectedBy,
    /// It is named by it: a pod's node and `ConfigMap`s, an Ingress' Services.
    Uses,
    /// It names it.
    UsedBy,
}

impl How {
    /// As Python has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Dependent => "dependent",
            Self::Selects => "selects",
            Self::SelectedBy => "selected-by",
            Self::Uses => "uses",
            Self::UsedBy => "used-by",
        }
    }
}

/// One object in relation to another.
#[derive(Clone, Debug)]
pub struct Related {
    /// See [`How`].
    pub how: How,
    /// Steps away: 1 for its own owners and dependents.
    pub depth: usize,
    /// `plural[.group]`; the kind where the cluster has no such resource.
    pub resource: String,
    /// `namespace/name`, or `name` for cluster-scoped objects.
    pub key: String,
    /// Its uid, as far as it is known.
    pub uid: String,
    /// Of owners and dependents: whether the owner is the managing controller.
    pub controller: bool,
    /// Its JSON; `None` if it is not there.
    pub body: Option<Vec<u8>>,
    /// Why there is no body: `absent` where that is proven, `unknown` where it is not kept.
    pub missing: &'static str,
}

/// Which relations of an object are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Its owners, their owners and so on.
    pub owners: bool,
    /// Its dependents, down to this depth.
    pub depth: usize,
    /// Whatever is one step away: owners, dependents, what it selects, what selects it, what it
    /// names, what names it.
    pub neighbours: bool,
}

/// An object and its relations, of one moment.
#[derive(Clone, Debug)]
pub struct Relations {
    /// Its JSON.
    pub body: Vec<u8>,
    /// Each before its own owners, controllers first.
    pub owners: Vec<Related>,
    /// Each before its own dependents, siblings by resource and key.
    pub dependents: Vec<Related>,
    /// By how they are related.
    pub neighbours: Vec<Related>,
}

impl Store {
    /// The relations of an object, as far as they are asked for, as long as `go_on` says so.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if it is proven that there is no such object; [`crate::Error::Interrupted`]
    /// where `go_on` said no.
    pub fn relations(
        &self,
        resource: &str,
        key: &str,
        ask: Ask,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Relations> {
        let inner = &self.inner;
        let found = inner.read(|db| {
            let lookup = Lookup::new(db, inner, go_on)?;
            let start = lookup.start(resource, key)?;
            let (mut owners, mut dependents, mut neighbours) =
                (Walk::of(&lookup, &start), Walk::of(&lookup, &start), Walk::of(&lookup, &start));
            if ask.owners {
                owners.owners(&start, 1)?;
            }
            dependents.dependents(&start.uid, 1, ask.depth)?;
            if ask.neighbours {
                neighbours.neighbours(&start)?;
            }
            let (owners, dependents, neighbours) =
                (owners.found, dependents.found, neighbours.found);
            Ok(Relations { body: start.body, owners, dependents, neighbours })
        });
        inner.postings.tidy();
        found
    }
}

struct Walk<'a> {
    lookup: &'a Lookup<'a>,
    seen: HashSet<String>,
    found: Vec<Related>,
}

impl<'a> Walk<'a> {
    fn of(lookup: &'a Lookup<'a>, start: &Place) -> Self {
        Self { lookup, seen: HashSet::from([start.uid.clone()]), found: Vec::new() }
    }

    fn owners(&mut self, of: &Place, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Ok(());
        }
        let body = of.json()?;
        let references = body["metadata"]["ownerReferences"].as_array().cloned();
        let mut references = references.unwrap_or_default();
        references.sort_by_key(|reference| reference["controller"] != Value::Bool(true));
        for reference in references {
            let text = |name: &str| reference[name].as_str().unwrap_or_default().to_owned();
            let (uid, name) = (text("uid"), text("name"));
            if !self.seen.insert(uid.clone()) {
                continue;
            }
            let group = named::group_of(&text("apiVersion")).unwrap_or_default();
            let mut related = Related {
                how: How::Owner,
                depth,
                resource: text("kind"),
                key: name.clone(),
                uid: uid.clone(),
                controller: reference["controller"] == Value::Bool(true),
                body: None,
                missing: "unknown",
            };
            let Some(info) = self.lookup.kind(&group, &text("kind")) else {
                self.found.push(related);
                continue;
            };
            related.resource = info.1.name();
            related.key = info.key(of.namespace(), &name);
            let owner = self.lookup.find(&info, &related.key)?;
            // Another object under that name is not the owner: that one is gone.
            let owner = owner.filter(|owner| owner.uid == uid);
            related.missing = self.lookup.missing(&info, &related.key, owner.as_ref());
            related.body = owner.as_ref().map(|owner| owner.body.clone());
            self.found.push(related);
            if let Some(owner) = owner {
                self.owners(&owner, depth + 1)?;
            }
        }
        Ok(())
    }

    fn dependents(&mut self, uid: &str, depth: usize, most: usize) -> Result<()> {
        if depth > most.min(MAX_DEPTH) {
            return Ok(());
        }
        for (place, controller) in self.lookup.owned_by(uid)? {
            if self.seen.insert(place.uid.clone()) {
                let uid = place.uid.clone();
                self.push(How::Dependent, depth, place, controller);
                self.dependents(&uid, depth + 1, most)?;
            }
        }
        Ok(())
    }

    fn uses(&mut self, of: &Place, named: &named::Named) -> Result<()> {
        let (group, kind) = named.kind.rsplit_once('/').unwrap_or(("", &named.kind));
        let namespace = named.namespace.as_deref().or(of.namespace());
        let mut related = Related {
            how: How::Uses,
            depth: 1,
            resource: kind.to_owned(),
            key: named.name.clone(),
            uid: String::new(),
            controller: false,
            body: None,
            missing: "unknown",
        };
        if let Some(info) = self.lookup.kind(group, kind) {
            related.resource = info.1.name();
            related.key = info.key(namespace, &named.name);
            let found = self.lookup.find(&info, &related.key)?;
            related.missing = self.lookup.missing(&info, &related.key, found.as_ref());
            related.uid = found.as_ref().map(|found| found.uid.clone()).unwrap_or_default();
            related.body = found.map(|found| found.body);
        }
        self.found.push(related);
        Ok(())
    }

    fn push(&mut self, how: How, depth: usize, place: Place, controller: bool) {
        self.found.push(Related {
            how,
            depth,
            resource: place.resource,
            key: place.key,
            uid: place.uid,
            controller,
            body: Some(place.body),
            missing: "",
        });
    }

    fn neighbours(&mut self, of: &Place) -> Result<()> {
        self.owners(of, MAX_DEPTH)?;
        for owner in &mut self.found {
            owner.depth = 1;
        }
        self.dependents(&of.uid, 1, 1)?;
        // One object may be related in several ways: a Deployment owns what it selects.
        let body = of.json()?;
        if let Some(selector) = named::selector_of(&of.kind, &body) {
            for pod in self.lookup.pods(of.namespace(), &selector)? {
                self.push(How::Selects, 1, pod, false);
            }
        }
        if of.kind == "Pod" {
            for place in self.lookup.selecting(of)? {
                self.push(How::SelectedBy, 1, place, false);
            }
        }
        for named in named::named_by(&of.kind, &body) {
            self.uses(of, &named)?;
        }
        for place in self.lookup.naming(of)? {
            self.push(How::UsedBy, 1, place, false);
        }
        Ok(())
    }
}
