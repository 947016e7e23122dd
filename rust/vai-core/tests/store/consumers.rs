//! Named consumers: at least once, in order, whatever ends them; and history that waits for them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use vai_core::Error;
use vai_core::consumers::Consumer;
use vai_core::history::Changes;
use vai_core::store::{Options, Store, Watching};

use crate::bytes::{Pod, event};
use crate::file::{copy_as_killed, load, options, reader, spec, writer};

fn pods() -> Vec<String> {
    vec!["pods".into()]
}

fn keys(changes: &mut Changes, limit: usize) -> Vec<String> {
    let batch = changes.next_batch(limit, Duration::ZERO).unwrap();
    batch.into_iter().map(|change| change.key).collect()
}

/// A consumer that goes on where it stopped, or begins now.
fn follow(store: &Store, name: &str) -> (Consumer, Changes) {
    let mut consumer = store.consumer(name).unwrap();
    let (epoch, seq) = consumer.position().unwrap().unwrap_or_else(|| store.position().unwrap());
    let changes = store.changes(pods(), epoch, seq).unwrap();
    consumer.follow(&pods(), epoch, seq).unwrap();
    (consumer, changes)
}

#[test]
fn a_position_is_kept_beside_the_file_and_moves_with_acks_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let reading = reader(&path);
    assert!(reading.consumers().unwrap().is_empty());
    assert!(!folder.path().join("x.db.consumers").exists(), "a look makes no file");
    let (consumer, _) = follow(&reading, "billing");
    drop(consumer);
    load(&store, scope, [&Pod::new("a/p", "1", 1), &Pod::new("a/q", "2", 2)], 2);
    for _ in 0..2 {
        let (_consumer, mut changes) = follow(&reading, "billing");
        assert_eq!(keys(&mut changes, 9), ["a/p", "a/q"], "nothing was handled yet");
    }
    let (mut consumer, mut changes) = follow(&reading, "billing");
    let first = changes.next_batch(1, Duration::ZERO).unwrap().remove(0);
    consumer.ack(first.epoch, first.seq).unwrap();
    let listed = reading.consumers().unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].seq), ("billing", first.seq));
    assert_eq!(listed[0].resources, pods());
    assert!(listed[0].running);
    drop(consumer);
    assert!(!reading.consumers().unwrap()[0].running);
    let (_consumer, mut changes) = follow(&reading, "billing");
    assert_eq!(keys(&mut changes, 9), ["a/q"]);
    for name in ["x.db.consumers", "x.db.consumers-journal", "x.db.consumers.billing.lock"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_name_has_one_consumer_until_that_ends_or_its_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    store.ensure_scope(spec("pods", None, "")).unwrap();
    let other = reader(&path);
    let (mut first, _) = follow(&other, "billing");
    let me = std::process::id().cast_signed();
    for busy in [store.consumer("billing").err(), store.forget_consumer("billing").err()] {
        assert!(matches!(busy, Some(Error::ConsumerBusy { pid, .. }) if pid == Some(me)));
    }
    assert!(store.consumer("shipping").is_ok());
    other.close();
    first.ack(1, 0).unwrap();
    let second = store.consumer("billing").unwrap();
    let before = second.position().unwrap();
    first.ack(7, 7).unwrap();
    assert_eq!(second.position().unwrap(), before, "who was replaced moves nothing");
    drop(second);
    assert!(store.forget_consumer("billing").unwrap());
    assert!(!store.forget_consumer("billing").unwrap());
    assert!(!folder.path().join("x.db.consumers.billing.lock").exists());
    assert_eq!(store.consumer("billing").unwrap().position().unwrap(), None);
}

#[test]
fn names_that_could_leave_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    for name in ["", "a/b", "../x", "a b", "ä", "x\0y", &"x".repeat(101)] {
        assert!(matches!(store.consumer(name), Err(Error::Invalid(_))), "{name:?}");
    }
    for name in ["a", "Billing_2.eu-west", &"x".repeat(100)] {
        store.consumer(name).unwrap();
    }
}

#[test]
fn a_position_in_another_files_history_is_expired_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, [&Pod::new("a/p", "1", 1)], 1);
    drop(follow(&store, "billing"));
    store.close();
    std::fs::remove_file(&path).unwrap();
    let store = writer(&path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, [&Pod::new("a/p", "1", 1), &Pod::new("a/q", "2", 2)], 2);
    let consumer = store.consumer("billing").unwrap();
    assert!(matches!(consumer.position(), Err(Error::Expired { .. })));
    drop(consumer);
    assert!(store.forget_consumer("billing").unwrap());
    drop(follow(&store, "billing"));
}

#[test]
fn a_damaged_file_of_positions_says_so_and_stops_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let positions = folder.path().join("x.db.consumers");
    std::fs::write(&positions, b"not a database, but long enough to be looked at").unwrap();
    let store = writer(&path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let error = store.consumer("billing").unwrap_err();
    assert!(matches!(&error, Error::Corrupt(text) if text.contains("x.db.consumers")), "{error}");
    load(&store, scope, [&Pod::new("a/p", "1", 1)], 1);
    std::fs::remove_file(&positions).unwrap();
    drop(follow(&store, "billing"));
}

/// Writes pods, and counts what a follower should see.
struct Feed {
    watch: Watching,
    rv: u64,
}

impl Feed {
    fn new(store: &Store) -> Self {
        let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
        let rv = store.checkpoint(scope).unwrap().0.map_or(1, |rv| rv.parse().unwrap());
        if rv == 1 {
            load(store, scope, [], 1);
        }
        Self { watch: store.begin_watch(scope, false).unwrap(), rv }
    }

    fn write(&mut self, store: &Store, note: usize) -> String {
        self.rv += 1;
        let mut pod = Pod::new(&format!("a/p{}", self.rv % 3), "u", self.rv);
        pod.note = "x".repeat(note);
        self.watch.push(&event("MODIFIED", &pod)).unwrap();
        store.flush().unwrap();
        self.rv.to_string()
    }
}

fn expired(store: &Store, epoch: i64, seq: i64) -> bool {
    match store.changes(pods(), epoch, seq) {
        Err(Error::Expired { oldest_seq, .. }) => {
            assert!(oldest_seq > seq);
            true
        }
        found => found.map(|_| false).unwrap(),
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn history_waits_for_a_consumer_beyond_its_time_and_goes_when_that_has_had_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, Options { history_age: Duration::from_millis(1), ..options() });
    let mut feed = Feed::new(&store);
    feed.write(&store, 1);
    let (mut consumer, mut changes) = follow(&store, "billing");
    let start = consumer.position().unwrap().unwrap();
    for _ in 0..6 {
        feed.write(&store, 1);
    }
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!expired(&store, start.0, start.1), "held back");
    let batch = changes.next_batch(99, Duration::ZERO).unwrap();
    assert_eq!(batch.len(), 6);
    let fourth = &batch[3];
    consumer.ack(fourth.epoch, fourth.seq).unwrap();
    wait_until("what was handled is pruned", || expired(&store, start.0, start.1));
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!expired(&store, fourth.epoch, fourth.seq), "and no more than that");
    drop((consumer, changes));
    assert!(store.forget_consumer("billing").unwrap());
    wait_until("nobody holds it back", || expired(&store, fourth.epoch, fourth.seq));
}

#[test]
fn a_consumer_that_does_not_come_back_can_not_hold_more_than_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, Options { history_bytes: 2_000, ..options() });
    let mut feed = Feed::new(&store);
    feed.write(&store, 1);
    let (consumer, _) = follow(&store, "billing");
    let start = consumer.position().unwrap().unwrap();
    drop(consumer);
    for note in 0..200 {
        feed.write(&store, note);
    }
    wait_until("the budget of bytes counts", || expired(&store, start.0, start.1));
    // Its next start says so, whatever it does: there is no silent gap.
    let consumer = store.consumer("billing").unwrap();
    assert_eq!(consumer.position().unwrap(), Some(start));
}

#[test]
fn a_moment_is_found_by_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let mut feed = Feed::new(&store);
    assert_eq!(store.position_at(i64::MAX).unwrap(), store.position().unwrap());
    for _ in 0..30 {
        feed.write(&store, 1);
        std::thread::sleep(Duration::from_millis(2));
    }
    let (epoch, oldest) = store.oldest(&pods()).unwrap();
    assert_eq!(oldest, 0);
    let all = store.changes(pods(), epoch, oldest).unwrap().next_batch(99, Duration::ZERO).unwrap();
    assert_eq!(all.len(), 30);
    for time_ms in all.iter().flat_map(|change| [change.time_ms - 1, change.time_ms]) {
        let wanted = all.iter().filter(|change| change.time_ms <= time_ms).map(|found| found.seq);
        assert_eq!(store.position_at(time_ms).unwrap().1, wanted.max().unwrap_or(0));
    }
}

#[test]
fn a_change_has_the_same_position_before_a_crash_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, killed) = (folder.path().join("x.db"), folder.path().join("y.db"));
    let positions = |store: &Store| -> Vec<(i64, i64)> {
        let (epoch, oldest) = store.oldest(&pods()).unwrap();
        let mut changes = store.changes(pods(), epoch, oldest).unwrap();
        let all = changes.next_batch(99, Duration::ZERO).unwrap();
        all.iter().map(|change| (change.epoch, change.seq)).collect()
    };
    let store = writer(&path, options());
    let mut feed = Feed::new(&store);
    for _ in 0..5 {
        feed.write(&store, 1);
    }
    let before = positions(&store);
    copy_as_killed(&path, &killed);
    let next = writer(&killed, options());
    assert_eq!(positions(&next), before, "who is given one again knows it");
    let mut feed = Feed::new(&next);
    for _ in 0..5 {
        feed.write(&next, 1);
    }
    let after = positions(&next);
    assert_eq!(after[..5], before);
    assert!(after[5..].iter().all(|place| place.0 == before[0].0 + 1), "{after:?}");
    assert!(after.is_sorted());
}

#[derive(Clone, Debug)]
enum Step {
    /// The server changes pods.
    Write(usize),
    /// Changes of a resource that the consumer does not follow.
    Elsewhere,
    /// The consumer asks for so many.
    Take(usize),
    /// It has handled this share of what it was given, in percent.
    Handle(usize),
    /// Its process ends as it stands, and another one goes on.
    KillConsumer,
    /// The writer ends as by kill -9; every process reads the file as it was on the disk.
    KillWriter,
    /// The writer ends well.
    CloseWriter,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..5_usize).prop_map(Step::Write),
        1 => Just(Step::Elsewhere),
        4 => (1..4_usize).prop_map(Step::Take),
        4 => (0..=100_usize).prop_map(Step::Handle),
        2 => Just(Step::KillConsumer),
        1 => Just(Step::KillWriter),
        1 => Just(Step::CloseWriter),
    ]
}

struct World {
    folder: tempfile::TempDir,
    path: PathBuf,
    copies: usize,
    store: Store,
    feed: Feed,
    consumer: Option<(Consumer, Changes)>,
    /// resourceVersions of all changes since the consumer began.
    expected: Vec<String>,
    /// How many of them were handled, and handed out.
    handled: usize,
    given: usize,
    /// Positions of those handed out but not handled.
    out: Vec<(i64, i64)>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.db");
        let store = writer(&path, options());
        let feed = Feed::new(&store);
        let consumer = Some(follow(&store, "billing"));
        Self {
            folder,
            path,
            copies: 0,
            store,
            feed,
            consumer,
            expected: Vec::new(),
            handled: 0,
            given: 0,
            out: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(count) => {
                for _ in 0..*count {
                    let rv = self.feed.write(&self.store, 1);
                    self.expected.push(rv);
                }
            }
            Step::Elsewhere => {
                let scope = self.store.ensure_scope(spec("secrets", None, "")).unwrap();
                let rv = self.store.position().unwrap().1.cast_unsigned() + 1;
                load(&self.store, scope, [&Pod::new("a/s", "s", rv)], rv);
            }
            Step::Take(count) => self.ask(*count),
            Step::Handle(share) => self.handle(*share),
            Step::KillConsumer => {
                self.consumer = None;
                self.follow_again();
            }
            Step::KillWriter => {
                self.copies += 1;
                let copy = self.folder.path().join(format!("{}.db", self.copies));
                copy_as_killed(&self.path, &copy);
                self.consumer = None;
                let beside = |path: &PathBuf| format!("{}.consumers", path.display());
                std::fs::copy(beside(&self.path), beside(&copy)).unwrap();
                self.path = copy;
                self.reopen();
            }
            Step::CloseWriter => self.reopen(),
        }
    }

    fn ask(&mut self, count: usize) {
        let (consumer, changes) = self.consumer.as_mut().unwrap();
        let batch = changes.next_batch(count, Duration::ZERO).unwrap();
        let found: Vec<&str> = batch.iter().map(|found| found.resource_version.as_str()).collect();
        let end = self.expected.len().min(self.given + count);
        assert_eq!(found, self.expected[self.given..end], "in order, and none left out");
        self.given = end;
        self.out.extend(batch.iter().map(|change| (change.epoch, change.seq)));
        if self.out.is_empty() {
            consumer.idle(changes.epoch(), changes.seq()).unwrap();
            consumer.ack(changes.epoch(), changes.seq()).unwrap();
        }
    }

    fn handle(&mut self, share: usize) {
        let (consumer, _) = self.consumer.as_mut().unwrap();
        for (epoch, seq) in self.out.drain(..self.out.len() * share / 100) {
            consumer.ack(epoch, seq).unwrap();
            self.handled += 1;
        }
    }

    fn reopen(&mut self) {
        self.consumer = None;
        self.store.close();
        self.store = writer(&self.path, options());
        self.feed = Feed::new(&self.store);
        self.follow_again();
    }

    fn follow_again(&mut self) {
        self.out.clear();
        self.given = self.handled;
        self.consumer = Some(follow(&self.store, "billing"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Whatever ends when, the consumer gets each change, in order, from the first unhandled one on.
    #[test]
    fn every_change_comes_until_it_is_handled(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.take(&Step::KillConsumer);
        let left = world.expected.len() - world.handled;
        world.ask(left + 1);
        world.handle(100);
        prop_assert_eq!(world.handled, world.expected.len());
    }
}
