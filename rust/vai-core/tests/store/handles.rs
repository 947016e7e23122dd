//! Several handles on one file: locks, waits, dictionaries, positions.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use vai_core::Error;
use vai_core::db::live::Reported;
use vai_core::query::Request;
use vai_core::store::{Mode, Options, Store};

use crate::bytes::{Pod, event};
use crate::file::{assert_sound, load, options, reader, spec, writer};

const LONG: Duration = Duration::from_secs(20);

fn everything(resource: &str) -> Request {
    Request { resources: vec![resource.into()], ..Request::default() }
}

#[test]
fn closing_ends_every_wait_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, [&Pod::new("a/p", "1", 1)], 1);
    for store in [reader(&path), store] {
        let (epoch, seq) = store.position().unwrap();
        // The state that is there is no news.
        let told = store.wait_status(0, Duration::ZERO).unwrap();
        let mut changes = store.changes(vec!["pods".into()], epoch, seq).unwrap();
        let waits: Vec<std::thread::JoinHandle<Result<(), Error>>> = vec![
            std::thread::spawn({
                let store = store.clone();
                move || store.wait_seq(seq, LONG).map(drop)
            }),
            std::thread::spawn({
                let store = store.clone();
                move || store.wait_status(told, LONG).map(drop)
            }),
            std::thread::spawn(move || changes.next_batch(10, LONG).map(drop)),
        ];
        std::thread::sleep(Duration::from_millis(100));
        assert!(waits.iter().all(|wait| !wait.is_finished()), "nothing happened, so they wait");
        let start = Instant::now();
        store.close();
        for wait in waits {
            assert!(matches!(wait.join().unwrap(), Err(Error::Closed)));
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(matches!(store.position(), Err(Error::Closed)));
        store.close();
    }
}

#[test]
fn readers_wake_for_commits_and_for_states() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, [], 1);
    for other in [reader(&path), store.clone()] {
        let (_, seq) = other.position().unwrap();
        let told = other.wait_status(0, Duration::ZERO).unwrap();
        assert_eq!(other.wait_seq(seq, Duration::from_millis(30)).unwrap(), seq, "a time-out");
        assert_eq!(other.wait_status(told, Duration::from_millis(30)).unwrap(), told);
        assert_eq!(other.wait_seq(seq - 1, LONG).unwrap(), seq, "already there");
        let waits = std::thread::spawn(move || {
            (other.wait_seq(seq, LONG).unwrap(), other.wait_status(told, LONG).unwrap())
        });
        std::thread::sleep(Duration::from_millis(50));
        let mut watch = store.begin_watch(scope, false).unwrap();
        let rv = u64::try_from(seq).unwrap() + 100;
        watch.push(&event("ADDED", &Pod::new(&format!("a/p{rv}"), "1", rv))).unwrap();
        watch.finish().unwrap();
        store.set_state(scope, Reported::Offline, &format!("refused {seq}")).unwrap();
        let (now, generation) = waits.join().unwrap();
        assert_eq!(now, seq + 1);
        assert_ne!(generation, told);
    }
}

#[test]
fn there_is_one_writer_and_its_end_lets_the_next_one_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let first = writer(&path, options());
    let second = Store::open(&path, Mode::Writer, options()).map(drop);
    let me = i32::try_from(std::process::id()).unwrap();
    assert!(matches!(second, Err(Error::WriterRunning { pid: Some(pid), .. }) if pid == me));
    let other = reader(&path);
    assert!(other.stats().unwrap().writer_running);
    first.close();
    assert!(!other.stats().unwrap().writer_running);
    let next = writer(&path, options());
    assert!(other.stats().unwrap().writer_running);
    let (epoch, _) = next.position().unwrap();
    assert_eq!(epoch, 1, "the first one ended cleanly");
    // A handle that is dropped is closed.
    drop(next);
    assert!(!other.stats().unwrap().writer_running);
    assert!(matches!(other.put_document("x", b"y"), Err(Error::ReadOnly(_))));
}

#[test]
fn readers_that_are_older_than_a_dictionary_read_its_bodies_all_at_once() {
    const THREADS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let start = store.position().unwrap();
    let others: Vec<Store> = (0..20).map(|_| reader(&path)).collect();
    let pods: Vec<Pod> = (1..=300)
        .map(|n| Pod {
            note: format!("text {n} of a note"),
            ..Pod::new(&format!("a/p{n:03}"), "u", n)
        })
        .collect();
    load(&store, scope, &pods, 300);
    for other in others {
        let (sender, receiver) = std::sync::mpsc::channel();
        let together = Arc::new(Barrier::new(THREADS));
        for _ in 0..THREADS {
            let (other, sender, together) = (other.clone(), sender.clone(), Arc::clone(&together));
            std::thread::spawn(move || {
                let mut changes = other.changes(vec!["pods".into()], start.0, start.1).unwrap();
                together.wait();
                let found = changes.next_batch(1000, Duration::ZERO).unwrap();
                let rows = other.query(&everything("pods")).unwrap();
                let last = rows.row(299).unwrap().body().unwrap();
                sender.send((found.len(), last)).unwrap();
            });
        }
        for _ in 0..THREADS {
            let (found, last) = receiver.recv_timeout(LONG).unwrap();
            assert_eq!((found, last), (300, pods[299].body()));
        }
        assert_sound(&other);
    }
}

#[test]
fn a_forgotten_scope_is_told_to_its_followers_and_its_id_is_never_anothers() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let (epoch, seq) = store.position().unwrap();
    load(&store, scope, [&Pod::new("a/p", "1", 1)], 1);
    let mut slow = store.changes(vec!["pods".into()], epoch, seq).unwrap();
    let (epoch, seq) = store.position().unwrap();
    let mut quick = store.changes(vec!["pods".into()], epoch, seq).unwrap();
    assert_eq!(store.forget(scope).unwrap(), 1);
    assert!(matches!(quick.next_batch(1, Duration::ZERO), Err(Error::NotKept { .. })));
    let next = store.ensure_scope(spec("pods", Some("a"), "")).unwrap();
    assert!(next > scope);
    for follower in [&mut slow, &mut quick] {
        assert!(matches!(follower.next_batch(1, Duration::ZERO), Err(Error::Expired { .. })));
    }
    // What comes later is whole again, and a scope that is only new expires nobody.
    let (epoch, seq) = store.position().unwrap();
    store.ensure_scope(spec("pods", Some("b"), "")).unwrap();
    load(&store, next, [&Pod::new("a/p", "1", 1)], 1);
    let mut changes = store.changes(vec!["pods".into()], epoch, seq).unwrap();
    assert_eq!(changes.next_batch(9, Duration::ZERO).unwrap().len(), 1);
}

#[test]
fn a_backup_is_whole_and_can_be_read_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, [&Pod::new("a/p", "1", 1)], 1);
    let target = folder.path().join("backup.db");
    store.backup(&target).unwrap();
    assert!(matches!(store.backup(&target), Err(Error::Invalid(_))));
    let (one, two) = (reader(&target), reader(&target));
    for copy in [&one, &two] {
        assert_eq!(copy.query(&everything("pods")).unwrap().len(), 1);
        assert_sound(copy);
    }
    one.close();
    assert_eq!(two.query(&everything("pods")).unwrap().len(), 1);
    let own = writer(&target, options());
    assert_eq!(own.checkpoint(scope).unwrap(), (Some("1".into()), false));
}

#[test]
fn a_slow_read_is_interrupted_and_its_connection_is_good_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let pods: Vec<Pod> = (1..=3000).map(|n| Pod::new(&format!("a/p{n:04}"), "u", n)).collect();
    load(&store, scope, &pods, 3000);
    let hurried = Options { query_timeout: Duration::ZERO, ..options() };
    let hurried = Store::open(&path, Mode::Reader, hurried).unwrap();
    for _ in 0..10 {
        assert!(matches!(hurried.query(&everything("pods")), Err(Error::QueryTimeout(_))));
    }
    assert_eq!(hurried.get("pods", Some("a"), "p0001").unwrap().unwrap().key(), "a/p0001");
}
