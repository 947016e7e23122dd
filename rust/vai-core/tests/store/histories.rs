//! Random histories of a cluster, told to a file by lists and watches, against the naive model.

mod compare;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use vai_core::Error;
use vai_core::store::{Listing, Options, Store, Watching};

use self::server::{End, KEYS, ListEnd, SCOPES, Server, Step, USER_FIELDS, step};
use crate::bytes::{Pod, bookmark, event, malformed, page};
use crate::file::{assert_sound, copy_as_killed, options, spec, wal_of, writer};
use crate::model::{Model, Op, Scope};

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
    /// Of scopes whose bookmarks came alone: where the last one is. The database has it only once
    /// the file is closed.
    quiet: BTreeMap<i64, u64>,
    /// Each of them, behind the checkpoint in the database.
    bookmarks: BTreeSet<(i64, u64, u64)>,
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
            quiet: BTreeMap::new(),
            bookmarks: BTreeSet::new(),
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
                self.quiet.remove(&id);
                self.model.scope(id).void = true;
            }
            Step::Forget { scope } => {
                self.watches.remove(scope);
                let id = self.ids[*scope];
                let objects = self.store.forget(id).unwrap();
                assert_eq!(objects, i64::try_from(self.model.scopes[&id].objects.len()).unwrap());
                self.model.forget(id);
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
            self.quiet.remove(&id);
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
        let id = self.ids[scope];
        self.quiet.insert(id, server_rv);
        self.bookmarks.insert((id, self.model.scope(id).rv.unwrap(), server_rv));
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
        // Events behind it do not count: without its own the rows would be of no moment.
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
        self.quiet.remove(&id);
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
        self.take_bookmarks(matches!(how, End::Close));
        let (now, seq) = self.store.position().unwrap();
        assert_eq!(seq, self.model.seq);
        assert_eq!(now, if matches!(how, End::Close) { epoch } else { epoch + 1 });
        self.past.clear();
        self.keep_past();
    }

    /// `FILE.live` is written once a second and without fsync: after a kill it has any of the
    /// bookmarks that came, and only those behind the checkpoint in the database count.
    fn take_bookmarks(&mut self, closed: bool) {
        let last = std::mem::take(&mut self.quiet);
        for id in self.ids.clone() {
            let scope = self.model.scope(id);
            let Some(rv) = scope.rv.filter(|_| scope.published && !scope.void) else { continue };
            let found = self.store.checkpoint(id).unwrap().0.unwrap().parse().unwrap();
            let may_be = if closed {
                last.get(&id).is_none_or(|last| *last == found)
            } else {
                self.bookmarks.contains(&(id, rv, found))
            };
            if may_be {
                scope.rv = Some(found);
            }
        }
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
