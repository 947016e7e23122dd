//! What a file answers, compared with the model.

use std::collections::BTreeMap;
use std::time::Duration;

use vai_core::Error;
use vai_core::history::Change as Stored;
use vai_core::query::{At, Request, Rows};
use vai_core::store::{Op as StoredOp, Store};

use super::World;
use super::server::{KEYS, SCOPES};
use crate::bytes::Pod;
use crate::file::{assert_sound, reader};
use crate::model::{Change, Model, Op, SELECTORS, Scope, Selector, newer};

impl World {
    pub(super) fn compare(&self) {
        assert_sound(&self.store);
        for (scope, id) in self.ids.iter().enumerate() {
            let wanted = &self.model.scopes[id];
            let found = self.store.checkpoint(*id).unwrap();
            let rv = self.quiet.get(id).copied().or(wanted.rv).filter(|_| wanted.published);
            let rv = rv.map(|rv| rv.to_string());
            assert_eq!(found, (rv, !wanted.published || wanted.void), "checkpoint of {scope}");
        }
        let reader = reader(&self.path);
        for store in [&self.store, &reader] {
            for key in KEYS {
                self.compare_get(store, key);
            }
            for position in &self.remembered {
                self.compare_changes(store, *position);
            }
        }
        for selector in SELECTORS {
            for namespaces in [None, Some(&["a"][..]), Some(&["b", "a"]), Some(&["c"])] {
                self.compare_rows(&reader, selector, namespaces);
            }
        }
        reader.close();
    }

    /// The best of the scopes that cover a question, by the rules of the documentation.
    fn covering(&self, namespace: Option<&str>, selector: &Selector) -> Option<i64> {
        self.covering_of(namespace, selector, &|_| true)
    }

    /// Of some of the scopes.
    fn covering_of(
        &self,
        namespace: Option<&str>,
        selector: &Selector,
        among: &dyn Fn(&Scope) -> bool,
    ) -> Option<i64> {
        let asked: Vec<&str> = selector.labels.split(',').collect();
        let mut best: Option<(usize, &Scope)> = None;
        for (number, (kept_in, kept)) in SCOPES.iter().enumerate() {
            let covers = (kept_in.is_none() || *kept_in == namespace)
                && (kept.is_empty() || asked.contains(kept));
            let scope = &self.model.scopes[&self.ids[number]];
            if !covers || !among(scope) {
                continue;
            }
            let better = best.is_none_or(|(held_number, held)| {
                if scope.published != held.published {
                    return scope.published;
                }
                if scope.void != held.void {
                    return !scope.void;
                }
                if scope.rv != held.rv {
                    return newer(scope.rv, held.rv);
                }
                let (held_in, held_labels) = SCOPES[held_number];
                let narrow = |namespace: Option<&str>, labels: &str| {
                    (namespace.is_some(), !labels.is_empty())
                };
                (narrow(*kept_in, kept), self.ids[number])
                    < (narrow(held_in, held_labels), self.ids[held_number])
            });
            if better {
                best = Some((number, scope));
            }
        }
        best.map(|(number, _)| self.ids[number])
    }

    fn compare_get(&self, store: &Store, key: &str) {
        let (namespace, name) = key.split_once('/').unwrap();
        let found = store.get("pods", Some(namespace), name);
        let covering = self.covering(Some(namespace), &SELECTORS[0]).unwrap();
        let scope = &self.model.scopes[&covering];
        // As a list would answer; without a complete scope, what is there.
        let best = if scope.published {
            scope.objects.get(key)
        } else {
            let copies = self.model.scopes.values().filter_map(|other| other.objects.get(key));
            copies.max_by_key(|copy| copy.rv)
        };
        match (found, best) {
            (Ok(Some(row)), Some(pod)) => {
                assert_eq!(
                    text(&row.body().unwrap()),
                    text(&pod.body()),
                    "{key} of scope {covering}"
                );
                assert_eq!(row.key(), key);
                assert_eq!((row.uid(), row.resource_version()), (&*pod.uid, &*pod.rv.to_string()));
            }
            (Ok(None), None) => assert!(scope.published, "absence needs a complete scope"),
            (Err(Error::NotSynced(_)), None) => assert!(!scope.published),
            (found, best) => {
                panic!("get {key}: {:?}, not {best:?}", found.map(|row| row.is_some()))
            }
        }
    }

    fn compare_rows(&self, store: &Store, selector: &Selector, namespaces: Option<&[&str]>) {
        let request = request(selector, namespaces);
        let found = store.query(&request);
        let Some(sources) = self.sources(selector, namespaces, &|_| true) else {
            assert!(matches!(found, Err(Error::NotSynced(_))), "{:?}", selector.labels);
            return;
        };
        let rows = found.unwrap();
        let within =
            |pod: &Pod| namespaces.is_none_or(|names| names.contains(&pod.namespace.as_str()));
        let expected =
            self.merged(&sources, namespaces, |pod| within(pod) && (selector.matches)(pod));
        let what = format!("{:?} {:?} in {namespaces:?}", selector.labels, selector.fields);
        assert_eq!(bodies(&rows), wanted(&expected), "{what}");
        assert_eq!((rows.total(), rows.cursor()), (expected.len(), None), "{what}");
        let pages = walked(store, &Request { limit: 2, ..request });
        assert_eq!(pages, wanted(&expected), "pages, {what}");
        // Each costs as much as all that is above.
        if namespaces.is_none_or(|names| names.len() > 1) {
            Self::compare_query(store, selector, namespaces, &expected);
            for position in self.remembered.first().into_iter().chain(self.remembered.last()) {
                self.compare_past(store, selector, namespaces, *position);
            }
        }
    }

    /// Which of these scopes are read; `None` where they do not answer.
    fn sources(
        &self,
        selector: &Selector,
        namespaces: Option<&[&str]>,
        among: &dyn Fn(&Scope) -> bool,
    ) -> Option<Vec<i64>> {
        let published = |id: &i64| {
            let scope = &self.model.scopes[id];
            scope.published && among(scope)
        };
        let sources: Vec<i64> = match namespaces {
            Some(names) => {
                let each = names.iter().map(|name| self.covering_of(Some(name), selector, among));
                each.collect::<Option<_>>()?
            }
            None => match self.covering_of(None, selector, among).filter(published) {
                Some(id) => vec![id],
                None => self.ids.iter().copied().filter(published).collect(),
            },
        };
        (!sources.is_empty() && sources.iter().all(published)).then_some(sources)
    }

    /// The same question in parts, in other orders, and counted.
    fn compare_query(
        store: &Store,
        selector: &Selector,
        namespaces: Option<&[&str]>,
        expected: &[Pod],
    ) {
        let request = request(selector, namespaces);
        let what = format!("query {:?} {:?} in {namespaces:?}", selector.labels, selector.fields);
        let parts = Request { offset: 1, limit: 2, ..request.clone() };
        let part: Vec<Pod> = expected.iter().skip(1).take(2).cloned().collect();
        assert_eq!(bodies(&store.query(&parts).unwrap()), wanted(&part), "part of {what}");
        let app = |pod: &Pod| pod.labels.get("app").cloned();
        for descending in [false, true] {
            let mut sorted: Vec<Pod> = expected.to_vec();
            sorted.sort_by(|a, b| {
                let order = match (app(a), app(b)) {
                    (Some(a), Some(b)) if descending => b.cmp(&a),
                    (Some(a), Some(b)) => a.cmp(&b),
                    (a, b) => a.is_none().cmp(&b.is_none()),
                };
                order.then_with(|| b.name.cmp(&a.name)).then_with(|| a.key().cmp(&b.key()))
            });
            let minus = if descending { "-" } else { "" };
            let sort = vec![format!("{minus}labels[app]"), "-metadata.name".into()];
            let request = Request { sort, limit: 3, ..request.clone() };
            assert_eq!(walked(store, &request), wanted(&sorted), "sorted {what}");
            let few = Request { limit: 1, offset: 1, ..request };
            let part: Vec<Pod> = sorted.iter().skip(1).take(1).cloned().collect();
            assert_eq!(bodies(&store.query(&few).unwrap()), wanted(&part), "sorted {what}");
        }
        let mut apps: BTreeMap<String, u64> = BTreeMap::new();
        expected.iter().filter_map(app).for_each(|app| *apps.entry(app).or_default() += 1);
        let counted = Request { facets: vec!["labels[app]".into()], limit: 1, ..request };
        let rows = store.query(&counted).unwrap();
        let facet = &rows.counted()["facets"]["labels[app]"];
        let found: BTreeMap<String, u64> = facet["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["value"].as_str().unwrap().into(), one["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(found, apps, "facet of {what}");
        let missing = expected.iter().filter(|pod| app(pod).is_none()).count();
        assert_eq!(facet["missing"], missing, "{what}");
    }

    /// What was there at an earlier position, by doing again what had changed until then.
    fn compare_past(
        &self,
        store: &Store,
        selector: &Selector,
        namespaces: Option<&[&str]>,
        (epoch, seq): (i64, i64),
    ) {
        let at = Some(At::Position { epoch, seq });
        let found = store.query(&Request { at, ..request(selector, namespaces) });
        let lost = self.epochs.get(&epoch).is_some_and(|end| seq > *end);
        // A scope that was not listed yet knows nothing of that moment; one that is being listed for
        // the first time never answers.
        let known = |scope: &Scope| scope.listed.is_none_or(|listed| listed <= seq);
        if lost || found.is_err() {
            assert!(
                lost || self.pruned
                    || seq < self.model.floor
                    || self.sources(selector, namespaces, &known).is_none(),
                "{:?}",
                found.err()
            );
            assert!(matches!(found, Err(Error::Expired { .. })), "{:?}", found.err());
            return;
        }
        if self.pruned && !self.model.scopes.values().all(known) {
            // Of one whose history is pruned it is not known when it was first listed.
            return;
        }
        let Some(sources) = self.sources(selector, namespaces, &known) else {
            panic!("an answer of a time before the first list, at {seq}");
        };
        let mut past = self.model.clone();
        past.scopes.values_mut().for_each(|scope| scope.objects.clear());
        for change in self.model.changes.iter().filter(|change| change.seq <= seq) {
            let objects = &mut past.scope(change.scope).objects;
            match &change.new {
                Some(new) => objects.insert(change.key.clone(), new.clone()),
                None => objects.remove(&change.key),
            };
        }
        let within =
            |pod: &Pod| namespaces.is_none_or(|names| names.contains(&pod.namespace.as_str()));
        let then = World::merged_in(&past, &sources, namespaces, |pod| {
            within(pod) && (selector.matches)(pod)
        });
        let what = format!("{:?} in {namespaces:?} at {seq}", selector.labels);
        assert_eq!(bodies(&found.unwrap()), wanted(&then), "{what}");
        let pages = Request { at, limit: 2, ..request(selector, namespaces) };
        assert_eq!(walked(store, &pages), wanted(&then), "pages of {what}");
    }

    /// Each namespace is answered by its own scope; without namespaces the copies merge.
    fn merged(
        &self,
        sources: &[i64],
        namespaces: Option<&[&str]>,
        matches: impl Fn(&Pod) -> bool,
    ) -> Vec<Pod> {
        Self::merged_in(&self.model, sources, namespaces, matches)
    }

    fn merged_in(
        model: &Model,
        sources: &[i64],
        namespaces: Option<&[&str]>,
        matches: impl Fn(&Pod) -> bool,
    ) -> Vec<Pod> {
        let Some(names) = namespaces else { return model.merged(sources, matches) };
        let mut found = BTreeMap::new();
        for (name, source) in names.iter().zip(sources) {
            for pod in model.merged(&[*source], |pod| pod.namespace == *name && matches(pod)) {
                found.insert(pod.key(), pod);
            }
        }
        found.into_values().collect()
    }

    fn compare_changes(&self, store: &Store, (epoch, seq): (i64, i64)) {
        let now = store.position().unwrap();
        let lost = self.epochs.get(&epoch).is_some_and(|end| seq > *end);
        let mut changes = match store.changes(vec!["pods".into()], epoch, seq) {
            Ok(changes) => {
                assert!(!lost && seq >= self.model.floor, "{seq} should have expired");
                changes
            }
            Err(Error::Expired { oldest_seq, .. }) => {
                assert!(
                    lost || seq < self.model.floor || self.pruned,
                    "({epoch}, {seq}) expired for nothing (floor {})",
                    self.model.floor
                );
                if lost {
                    return;
                }
                // What it says is left must be there.
                assert!(oldest_seq > seq);
                return self.compare_changes(store, (now.0, oldest_seq));
            }
            Err(error) => panic!("{error}"),
        };
        let mut found = Vec::new();
        loop {
            match changes.next_batch(3, Duration::ZERO) {
                Ok(batch) if batch.is_empty() => break,
                Ok(batch) => found.extend(batch),
                Err(Error::Expired { .. }) if self.pruned => return,
                Err(error) => panic!("{error}"),
            }
        }
        let wanted = self.model.changes.iter().filter(|change| change.seq > seq);
        let wanted: Vec<String> = wanted.map(told).collect();
        let found: Vec<String> = found.iter().map(stored).collect();
        assert_eq!(found, wanted, "changes after {seq}");
    }
}

fn request(selector: &Selector, namespaces: Option<&[&str]>) -> Request {
    Request {
        resources: vec!["pods".into()],
        namespaces: namespaces.map(|names| names.iter().map(|&name| name.into()).collect()),
        label_selector: selector.labels.into(),
        field_selector: selector.fields.into(),
        ..Request::default()
    }
}

fn bodies(rows: &Rows) -> Vec<String> {
    (0..rows.len()).map(|index| text(&rows.row(index).unwrap().body().unwrap())).collect()
}

fn wanted(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(|pod| text(&pod.body())).collect()
}

/// All pages, one after the other.
fn walked(store: &Store, request: &Request) -> Vec<String> {
    let mut found = Vec::new();
    let mut page = store.query(request).unwrap();
    let total = page.total();
    loop {
        found.extend(bodies(&page));
        assert!(found.len() <= total, "pages without end");
        assert_eq!(page.total(), total, "all pages have one total");
        let Some(cursor) = page.cursor() else {
            assert_eq!(found.len(), total, "a total is that of all pages");
            return found;
        };
        let next = Request { cursor: cursor.to_owned(), at: None, ..request.clone() };
        page = store.query(&next).unwrap();
    }
}

fn told(change: &Change) -> String {
    let text = |pod: &Option<Pod>| {
        pod.as_ref().map(|pod| String::from_utf8(pod.body()).unwrap()).unwrap_or_default()
    };
    let Change { seq, op, key, uid, rv, relist, .. } = change;
    format!("{seq} {op:?} {key} {uid} {rv} {relist} {} -> {}", text(&change.old), text(&change.new))
}

fn stored(change: &Stored) -> String {
    let text = |body: &Option<Vec<u8>>| {
        body.as_ref().map(|body| String::from_utf8(body.clone()).unwrap()).unwrap_or_default()
    };
    let op = match change.op {
        StoredOp::Add => Op::Add,
        StoredOp::Update => Op::Update,
        StoredOp::Delete => Op::Delete,
    };
    let Stored { seq, key, uid, resource_version, relist, .. } = change;
    format!(
        "{seq} {op:?} {key} {uid} {resource_version} {relist} {} -> {}",
        text(&change.old),
        text(&change.new)
    )
}

fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}
