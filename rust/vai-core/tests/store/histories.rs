//! Random histories of a cluster, told to a file by lists and watches, against the naive model.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use vai_core::Error;
use vai_core::history::Change as Stored;
use vai_core::query::{At, Request, Rows};
use vai_core::store::{Listing, Op as StoredOp, Options, Store, Watching};

use crate::bytes::{Pod, bookmark, event, malformed, page};
use crate::file::{assert_sound, copy_as_killed, options, reader, spec, wal_of, writer};
use crate::model::{Change, Model, Op, SELECTORS, Scope, Selector, newer};

/// (namespace, label selector): overlapping ones, so that reads have to choose and to merge.
const SCOPES: &[(Option<&str>, &str)] =
    &[(None, ""), (Some("a"), ""), (None, "app=x"), (Some("b"), "tier")];
const KEYS: &[&str] = &["a/p1", "a/p2", "a-b/p1", "b/p1", "b/p2", "c/p3"];

/// Users' fields, each with two types: some values are of one type alone, some of none.
const USER_FIELDS: &[(&str, [&str; 2])] =
    &[(".metadata.labels.tier", ["int", "text"]), (".metadata.annotations.note", ["text", "ip"])];

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// On the server.
    Put {
        key: usize,
        app: u8,
        tier: u8,
        node: u8,
        phase: u8,
        note: usize,
    },
    Delete {
        key: usize,
    },
    Recreate {
        key: usize,
    },
    /// From the server to the file.
    Deliver {
        scope: usize,
        events: usize,
        cut: usize,
        with_bookmark: bool,
    },
    Bookmark {
        scope: usize,
    },
    Malformed {
        scope: usize,
        events: usize,
    },
    List {
        scope: usize,
        page: usize,
        how: ListEnd,
    },
    Void {
        scope: usize,
    },
    Forget {
        scope: usize,
    },
    /// To the file.
    Reopen {
        how: End,
    },
    /// A position to be continued later.
    Remember,
    /// A user's field, new or defined anew.
    Index {
        field: usize,
        variant: usize,
    },
    Unindex {
        field: usize,
    },
    /// One step of the builder; between two of them anything may happen.
    Build {
        objects: i64,
    },
}

#[derive(Clone, Copy, Debug)]
enum ListEnd {
    Publish,
    Abort,
    /// Begun anew after the first page, and published.
    BeginAnew,
    /// The process dies with the list staged.
    Kill,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Kill,
    /// The WAL's tail of so many steps was not on the disk yet.
    PowerLoss {
        steps: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let scope = 0..SCOPES.len();
    let key = 0..KEYS.len();
    let list_end = prop_oneof![
        6 => Just(ListEnd::Publish),
        1 => Just(ListEnd::Abort),
        1 => Just(ListEnd::BeginAnew),
        1 => Just(ListEnd::Kill),
    ];
    let end = prop_oneof![
        Just(End::Close),
        Just(End::Kill),
        (1..4_usize).prop_map(|steps| End::PowerLoss { steps }),
    ];
    prop_oneof![
        10 => (key.clone(), 0..4_u8, 0..5_u8, 0..3_u8, 0..3_u8, 0..200_usize).prop_map(
            |(key, app, tier, node, phase, note)| Step::Put { key, app, tier, node, phase, note }
        ),
        2 => key.clone().prop_map(|key| Step::Delete { key }),
        2 => key.prop_map(|key| Step::Recreate { key }),
        8 => (scope.clone(), 1..6_usize, 1..400_usize, any::<bool>()).prop_map(
            |(scope, events, cut, with_bookmark)| Step::Deliver { scope, events, cut, with_bookmark }
        ),
        1 => scope.clone().prop_map(|scope| Step::Bookmark { scope }),
        1 => (scope.clone(), 0..3_usize).prop_map(|(scope, events)| Step::Malformed { scope, events }),
        6 => (scope.clone(), 1..5_usize, list_end)
            .prop_map(|(scope, page, how)| Step::List { scope, page, how }),
        1 => scope.clone().prop_map(|scope| Step::Void { scope }),
        1 => scope.prop_map(|scope| Step::Forget { scope }),
        2 => end.prop_map(|how| Step::Reopen { how }),
        3 => Just(Step::Remember),
        2 => (0..2_usize, 0..2_usize).prop_map(|(field, variant)| Step::Index { field, variant }),
        1 => (0..2_usize).prop_map(|field| Step::Unindex { field }),
        4 => (1..4_i64).prop_map(|objects| Step::Build { objects }),
    ]
}

/// The server: its objects, and every event so far.
#[derive(Default)]
struct Server {
    rv: u64,
    uids: u64,
    objects: BTreeMap<String, Pod>,
    /// (before, after) of each event; its resourceVersion is its number.
    log: Vec<(Option<Pod>, Option<Pod>)>,
}

impl Server {
    /// No server gives out version 0.
    fn new() -> Self {
        Self { rv: 1, log: vec![(None, None)], ..Self::default() }
    }

    fn put(&mut self, mut pod: Pod) {
        self.rv += 1;
        pod.rv = self.rv;
        let before = self.objects.insert(pod.key(), pod.clone());
        self.log.push((before, Some(pod)));
    }

    fn delete(&mut self, key: &str) {
        if let Some(before) = self.objects.remove(key) {
            self.rv += 1;
            self.log.push((Some(before), None));
        }
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    fn listed(&self, scope: usize) -> BTreeMap<String, Pod> {
        let all = self.objects.iter().filter(|(_, pod)| selects(scope, pod));
        all.map(|(key, pod)| (key.clone(), pod.clone())).collect()
    }

    /// The events of a scope's watch behind a resourceVersion: (type, object).
    fn events(&self, scope: usize, after: u64) -> Vec<(&'static str, Pod)> {
        let mut found = Vec::new();
        for (number, (before, after_it)) in
            (1..).zip(&self.log).skip(usize::try_from(after).unwrap())
        {
            let was = before.as_ref().filter(|pod| selects(scope, pod));
            let is = after_it.as_ref().filter(|pod| selects(scope, pod));
            match (was, is) {
                (None, Some(pod)) => found.push(("ADDED", pod.clone())),
                (Some(_), Some(pod)) => found.push(("MODIFIED", pod.clone())),
                // As the watch cache sends it: the last state under the version of the event.
                (Some(pod), None) => found.push(("DELETED", Pod { rv: number, ..pod.clone() })),
                (None, None) => {}
            }
        }
        found
    }
}

fn selects(scope: usize, pod: &Pod) -> bool {
    let (namespace, labels) = SCOPES[scope];
    namespace.is_none_or(|namespace| namespace == pod.namespace)
        && match labels {
            "app=x" => pod.labels.get("app").is_some_and(|value| value == "x"),
            "tier" => pod.labels.contains_key("tier"),
            _ => true,
        }
}

/// One file with its watches, and what it should hold.
struct World {
    folder: tempfile::TempDir,
    number: usize,
    path: PathBuf,
    options: Options,
    store: Store,
    server: Server,
    model: Model,
    ids: Vec<i64>,
    watches: BTreeMap<usize, (Watching, u64)>,
    /// Scopes of which this writer committed a bookmark that came alone.
    bookmarked: Vec<usize>,
    remembered: Vec<(i64, i64)>,
    /// The end of each epoch that is over.
    epochs: BTreeMap<i64, i64>,
    /// (bytes of the WAL, the model and the scopes' ids) after each step of this writer.
    past: Vec<(u64, Model, Vec<i64>)>,
    pruned: bool,
}

impl World {
    fn new(options: Options, pruned: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.db");
        let store = writer(&path, options);
        store.pause_builds(true).unwrap();
        let mut world = Self {
            folder,
            number: 0,
            path,
            options,
            store,
            server: Server::new(),
            model: Model::default(),
            ids: Vec::new(),
            watches: BTreeMap::new(),
            bookmarked: Vec::new(),
            remembered: Vec::new(),
            epochs: BTreeMap::new(),
            past: Vec::new(),
            pruned,
        };
        for scope in 0..SCOPES.len() {
            let id = world.ensure(scope);
            world.ids.push(id);
        }
        world.remember();
        world.keep_past();
        world
    }

    fn ensure(&mut self, scope: usize) -> i64 {
        let (namespace, labels) = SCOPES[scope];
        let id = self.store.ensure_scope(spec("pods", namespace, labels)).unwrap();
        assert!(self.model.scopes.insert(id, Scope::default()).is_none(), "a scope id came twice");
        id
    }

    fn remember(&mut self) {
        self.remembered.push(self.store.position().unwrap());
    }

    fn keep_past(&mut self) {
        let wal = std::fs::metadata(wal_of(&self.path)).map_or(0, |found| found.len());
        self.past.push((wal, self.model.clone(), self.ids.clone()));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Put { key, app, tier, node, phase, note } => {
                let key = KEYS[*key];
                let uid = match self.server.objects.get(key) {
                    Some(pod) => pod.uid.clone(),
                    None => self.server.uid(),
                };
                let mut pod = Pod::new(key, &uid, 0);
                let apps = ["", "x", "y", "z"];
                if *app > 0 || *tier == 4 {
                    pod = pod.label("app", apps[usize::from(*app)]);
                }
                if let Some(tier) = ["1", "10", "-3", "abc"].get(usize::from(*tier)) {
                    pod = pod.label("tier", tier);
                }
                pod.node = [None, Some("n1"), Some("n2")][usize::from(*node)].map(str::to_owned);
                pod.phase = [None, Some("Running"), Some("Pending")][usize::from(*phase)]
                    .map(str::to_owned);
                pod.host_network = [None, Some(true), Some(false)][usize::from(*phase)];
                pod.owner = (*node > 0).then(|| format!("owner-{app}"));
                pod.note = "n".repeat(*note);
                self.server.put(pod);
            }
            Step::Delete { key } => self.server.delete(KEYS[*key]),
            Step::Recreate { key } => {
                if let Some(pod) = self.server.objects.get(KEYS[*key]).cloned() {
                    self.server.delete(KEYS[*key]);
                    let uid = self.server.uid();
                    self.server.put(Pod { uid, ..pod });
                }
            }
            Step::Deliver { scope, events, cut, with_bookmark } => {
                self.deliver(*scope, *events, *cut, *with_bookmark);
            }
            Step::Bookmark { scope } => self.bookmark(*scope),
            Step::Malformed { scope, events } => self.malformed(*scope, *events),
            Step::List { scope, page, how } => self.list(*scope, *page, *how),
            Step::Void { scope } => {
                let id = self.ids[*scope];
                self.watches.remove(scope);
                self.store.void_checkpoint(Some(id), "restored").unwrap();
                self.model.scope(id).void = true;
            }
            Step::Forget { scope } => {
                self.watches.remove(scope);
                let id = self.ids[*scope];
                let objects = self.store.forget(id).unwrap();
                assert_eq!(objects, i64::try_from(self.model.scopes[&id].objects.len()).unwrap());
                self.model.forget(id);
                self.bookmarked.retain(|other| other != scope);
                self.ids[*scope] = self.ensure(*scope);
            }
            Step::Reopen { how } => self.reopen(*how),
            Step::Remember => self.remember(),
            Step::Index { field, variant } => {
                let (path, types) = USER_FIELDS[*field];
                self.store.index("pods", path, types[*variant], None).unwrap();
            }
            Step::Unindex { field } => match self.store.unindex("pods", USER_FIELDS[*field].0) {
                Ok(()) | Err(Error::UnknownField { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            Step::Build { objects } => {
                self.store.build_step(*objects).unwrap();
            }
        }
        self.store.flush().unwrap();
        self.keep_past();
    }

    /// The scope's watch, opened at the file's checkpoint; none where a list is needed first.
    fn watch(&mut self, scope: usize) -> Option<&mut (Watching, u64)> {
        let id = self.ids[scope];
        let (position, needs_list) = self.store.checkpoint(id).unwrap();
        if needs_list {
            return None;
        }
        if !self.watches.contains_key(&scope) {
            let watching = self.store.begin_watch(id, false).unwrap();
            let position = position.unwrap().parse().unwrap();
            self.watches.insert(scope, (watching, position));
        }
        self.watches.get_mut(&scope)
    }

    fn deliver(&mut self, scope: usize, events: usize, cut: usize, with_bookmark: bool) {
        let Some(&mut (_, position)) = self.watch(scope) else { return };
        let id = self.ids[scope];
        let pending: Vec<_> =
            self.server.events(scope, position).into_iter().take(events).collect();
        let mut bytes = Vec::new();
        for (kind, pod) in &pending {
            bytes.extend(event(kind, pod));
        }
        let (watching, position) = self.watches.get_mut(&scope).unwrap();
        if let Some((_, last)) = pending.last() {
            *position = last.rv;
            // A bookmark in between says that nothing is missing up to here.
            if with_bookmark {
                bytes.extend(bookmark(last.rv));
                self.bookmarked.push(scope);
            }
        }
        for chunk in bytes.chunks(cut) {
            let progress = watching.push(chunk).unwrap();
            assert_eq!(progress.malformed, None);
        }
        for (kind, pod) in &pending {
            if *kind == "DELETED" {
                self.model.delete(id, pod);
            } else {
                self.model.put(id, pod, false);
            }
        }
        if let Some((_, last)) = pending.last() {
            self.model.scope(id).rv = Some(last.rv);
        }
    }

    /// Says that there is nothing up to the server's present, where that is so.
    fn bookmark(&mut self, scope: usize) {
        let server_rv = self.server.rv;
        let Some(&mut (_, position)) = self.watch(scope) else { return };
        if !self.server.events(scope, position).is_empty() {
            return;
        }
        let (watching, position) = self.watches.get_mut(&scope).unwrap();
        let progress = watching.push(&bookmark(server_rv)).unwrap();
        assert_eq!((progress.bookmarks, progress.resource_version), (1, server_rv.to_string()));
        *position = server_rv;
        // The first one is committed, later ones coalesce for longer than this test takes.
        if !self.bookmarked.contains(&scope) {
            self.bookmarked.push(scope);
            self.model.scope(self.ids[scope]).rv = Some(server_rv);
        }
    }

    fn malformed(&mut self, scope: usize, events: usize) {
        let Some(&mut (_, position)) = self.watch(scope) else { return };
        let id = self.ids[scope];
        let mut bytes = malformed();
        let pending: Vec<_> =
            self.server.events(scope, position).into_iter().take(events).collect();
        for (kind, pod) in &pending {
            bytes.extend(event(kind, pod));
        }
        let (mut watching, _) = self.watches.remove(&scope).unwrap();
        let progress = watching.push(&bytes).unwrap();
        assert!(progress.malformed.is_some());
        // Events behind it count, the checkpoint stays where it was.
        for (kind, pod) in &pending {
            if *kind == "DELETED" {
                self.model.delete(id, pod);
            } else {
                self.model.put(id, pod, false);
            }
        }
        self.model.scope(id).void = true;
    }

    fn list(&mut self, scope: usize, per_page: usize, how: ListEnd) {
        self.watches.remove(&scope);
        let id = self.ids[scope];
        let listed = self.server.listed(scope);
        let before = self.model.scopes[&id].clone();
        let listing = self.begin_list(id, &listed, per_page, usize::MAX);
        let plan = listing.plan().unwrap();
        let same = |(key, pod): &(&String, &Pod)| before.objects.get(*key) == Some(*pod);
        let unchanged = listed.iter().filter(same).count();
        let removed = before.objects.keys().filter(|key| !listed.contains_key(*key)).count();
        let as_u64 = |count: usize| u64::try_from(count).unwrap();
        assert_eq!(
            (plan.unchanged, plan.changed, plan.removed),
            (as_u64(unchanged), as_u64(listed.len() - unchanged), as_u64(removed))
        );
        if !before.published {
            // A first list is in the file as it comes.
            for pod in listed.values() {
                self.model.put(id, pod, true);
            }
        }
        let listing = match how {
            ListEnd::Publish => listing,
            ListEnd::Abort => return listing.abort().unwrap(),
            ListEnd::Kill => {
                drop(listing);
                return self.reopen(End::Kill);
            }
            ListEnd::BeginAnew => {
                let anew = self.begin_list(id, &listed, per_page, 1);
                // The older one no longer counts.
                assert!(matches!(
                    listing.publish(&self.server.rv.to_string()),
                    Err(Error::Invalid(_))
                ));
                drop(anew);
                self.begin_list(id, &listed, per_page, usize::MAX)
            }
        };
        let start = self.model.changes.len();
        let rv = self.server.rv;
        let published = listing.publish(&rv.to_string()).unwrap();
        self.model.publish(id, &listed, rv);
        if before.published {
            let count =
                |op| as_u64(self.model.changes[start..].iter().filter(|c| c.op == op).count());
            assert_eq!(
                (published.adds, published.updates, published.deletes),
                (count(Op::Add), count(Op::Update), count(Op::Delete))
            );
        }
    }

    /// A list of which at most `pages` pages have come.
    fn begin_list(
        &self,
        id: i64,
        listed: &BTreeMap<String, Pod>,
        per_page: usize,
        pages: usize,
    ) -> Listing {
        let listing = self.store.begin_list(id).unwrap();
        let all: Vec<&Pod> = listed.values().collect();
        let mut chunks: Vec<&[&Pod]> = all.chunks(per_page).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        for (number, chunk) in chunks.iter().enumerate().take(pages) {
            let token = if number + 1 < chunks.len() { "more" } else { "" };
            listing.begin_page(false).unwrap();
            for bytes in page(chunk.iter().copied(), self.server.rv, token).chunks(300) {
                listing.push(bytes).unwrap();
            }
            assert_eq!(listing.end_page().unwrap().continue_token.is_some(), !token.is_empty());
        }
        listing
    }

    fn reopen(&mut self, how: End) {
        self.watches.clear();
        self.bookmarked.clear();
        let (epoch, _) = self.store.position().unwrap();
        match how {
            End::Close => self.store.close(),
            End::Kill | End::PowerLoss { .. } => {
                self.store.flush().unwrap();
                self.number += 1;
                let copy = self.folder.path().join(format!("{}.db", self.number));
                copy_as_killed(&self.path, &copy);
                if let End::PowerLoss { steps } = how {
                    self.lose_power(&copy, steps);
                }
                self.store.close();
                self.path = copy;
                self.epochs.insert(epoch, self.model.seq);
            }
        }
        self.store = writer(&self.path, self.options);
        self.store.pause_builds(true).unwrap();
        let (now, seq) = self.store.position().unwrap();
        assert_eq!(seq, self.model.seq);
        assert_eq!(now, if matches!(how, End::Close) { epoch } else { epoch + 1 });
        self.past.clear();
        self.keep_past();
    }

    fn lose_power(&mut self, copy: &std::path::Path, steps: usize) {
        if self.pruned {
            return;
        }
        let back = self.past.len().saturating_sub(steps).min(self.past.len() - 1);
        let (wal, model, ids) = self.past[back].clone();
        let file = std::fs::OpenOptions::new().write(true).open(wal_of(copy)).unwrap();
        file.set_len(wal).unwrap();
        self.model = model;
        self.ids = ids;
    }

    // --- comparisons

    fn compare(&self) {
        assert_sound(&self.store);
        for (scope, id) in self.ids.iter().enumerate() {
            let wanted = &self.model.scopes[id];
            let found = self.store.checkpoint(*id).unwrap();
            let rv = wanted.rv.filter(|_| wanted.published).map(|rv| rv.to_string());
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
        let asked: Vec<&str> = selector.labels.split(',').collect();
        let mut best: Option<(usize, &Scope)> = None;
        for (number, (kept_in, kept)) in SCOPES.iter().enumerate() {
            let covers = (kept_in.is_none() || *kept_in == namespace)
                && (kept.is_empty() || asked.contains(kept));
            let scope = &self.model.scopes[&self.ids[number]];
            if !covers {
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
        let published = |id: &i64| self.model.scopes[id].published;
        let sources: Vec<i64> = match namespaces {
            Some(names) => {
                names.iter().map(|name| self.covering(Some(name), selector).unwrap()).collect()
            }
            None => match self.covering(None, selector).filter(published) {
                Some(id) => vec![id],
                None => self.ids.iter().copied().filter(published).collect(),
            },
        };
        if sources.is_empty() || !sources.iter().all(published) {
            assert!(matches!(found, Err(Error::NotSynced(_))), "{:?}", selector.labels);
            return;
        }
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
                self.compare_past(store, selector, namespaces, &sources, *position);
            }
        }
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
        sources: &[i64],
        (epoch, seq): (i64, i64),
    ) {
        let at = Some(At::Position { epoch, seq });
        let found = store.query(&Request { at, ..request(selector, namespaces) });
        let lost = self.epochs.get(&epoch).is_some_and(|end| seq > *end);
        if lost || found.is_err() {
            assert!(lost || self.pruned || seq < self.model.floor, "{:?}", found.err());
            assert!(matches!(found, Err(Error::Expired { .. })), "{:?}", found.err());
            return;
        }
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
        let then = World::merged_in(&past, sources, namespaces, |pod| {
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

/// Until there is nothing to build: all fields are ready.
fn finish_builds(store: &Store) {
    for _ in 0..1000 {
        if !store.build_step(2).unwrap() {
            let fields = store.fields(Some("pods")).unwrap();
            assert!(fields.len() >= 9 && fields.iter().all(|field| field.ready));
            return;
        }
    }
    panic!("a build without an end");
}

fn run(steps: &[Step], options: Options, pruned: bool) {
    let mut world = World::new(options, pruned);
    for step in steps {
        world.take(step);
        world.compare();
    }
    finish_builds(&world.store);
    assert_sound(&world.store);
    world.store.close();
}

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(24))]

    /// Objects, rows, pages, checkpoints and every remembered position equal the model's.
    #[test]
    fn a_file_equals_its_history(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps, options(), false);
    }

    /// The same with a history that is pruned at once: what is left is exact, what is not is said.
    #[test]
    fn a_pruned_file_equals_its_present(steps in prop::collection::vec(step(), 1..40)) {
        let options = Options { history_bytes: 600, history_age: Duration::from_millis(1), ..options() };
        run(&steps, options, true);
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}
