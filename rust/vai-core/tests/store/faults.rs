//! Writes that fail: nothing committed is lost, nothing uncommitted is remembered.

use std::time::Duration;

use vai_core::Error;
use vai_core::query::Request;
use vai_core::store::{Options, Store};

use crate::bytes::{Pod, event};
use crate::file::{assert_sound, load, options, spec, writer};

/// As many pages as the file has now, and a few.
fn fill(store: &Store) {
    let bytes = store.stats().unwrap().file_bytes + store.stats().unwrap().wal_bytes;
    store.limit_pages(u32::try_from(bytes / 4096).unwrap() / 4 + 8).unwrap();
}

fn noise(seed: u32) -> String {
    // Text that does not compress to nothing.
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut text = String::new();
    for _ in 0..3000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push(char::from(b'a' + u8::try_from((state >> 16) % 26).unwrap()));
    }
    text
}

fn big(name: &str, rv: u64) -> Pod {
    Pod { note: noise(u32::try_from(rv).unwrap()), ..Pod::new(&format!("a/{name}"), name, rv) }
}

fn keys(store: &Store, namespace: &str) -> Vec<String> {
    let request = Request {
        resources: vec!["pods".into()],
        namespaces: Some(vec![namespace.into()]),
        ..Request::default()
    };
    store.query(&request).unwrap().keys().map(str::to_owned).collect()
}

#[test]
fn after_a_full_disk_the_stream_goes_on_at_the_checkpoint_and_nothing_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, [], 1);
    fill(&store);

    let mut watch = store.begin_watch(scope, false).unwrap();
    let mut sent = 1;
    let error = loop {
        sent += 1;
        assert!(sent < 10_000, "the disk never got full");
        match watch.push(&event("ADDED", &big(&format!("p{sent}"), sent))) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::DiskFull(_)), "{error}");
    assert!(matches!(watch.finish(), Err(Error::DiskFull(_))));
    assert_sound(&store);

    // Whoever remembers where the stream stopped is told once that it is not there.
    store.limit_pages(0).unwrap();
    assert!(matches!(store.begin_watch(scope, false).map(drop), Err(Error::DiskFull(_))));
    store.flush().unwrap();
    let checkpoint: u64 = store.checkpoint(scope).unwrap().0.unwrap().parse().unwrap();
    assert!(checkpoint < sent);
    let mut watch = store.begin_watch(scope, false).unwrap();
    for rv in checkpoint + 1..=sent {
        watch.push(&event("ADDED", &big(&format!("p{rv}"), rv))).unwrap();
    }
    watch.finish().unwrap();
    assert_eq!(keys(&store, "a").len(), usize::try_from(sent).unwrap() - 1);
    assert_eq!(store.checkpoint(scope).unwrap(), (Some(sent.to_string()), false));
    assert_sound(&store);
}

#[test]
fn a_flush_says_that_what_was_pushed_is_not_there_until_the_scope_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let (full, quiet) = (
        store.ensure_scope(spec("pods", Some("a"), "")).unwrap(),
        store.ensure_scope(spec("pods", Some("b"), "")).unwrap(),
    );
    load(&store, full, [], 1);
    load(&store, quiet, [], 1);
    store.limit_pages(1).unwrap();
    let mut watch = store.begin_watch(full, false).unwrap();
    let mut frames = Vec::new();
    for rv in 2..200 {
        frames.extend(event("ADDED", &big(&format!("p{rv}"), rv)));
    }
    // What was pushed last: nobody pushes again to hear of it.
    watch.push(&frames).unwrap();
    for _ in 0..2 {
        assert!(matches!(store.flush_scope(full), Err(Error::DiskFull(_))));
        assert!(matches!(store.flush(), Err(Error::DiskFull(_))));
    }
    // Another scope has lost nothing.
    store.flush_scope(quiet).unwrap();
    // A proof does not count.
    let age = |store: &Store| {
        let all = store.scope_status().unwrap();
        all.into_iter().find(|found| found.id == full).and_then(|found| found.freshness.age_s)
    };
    assert_eq!(age(&store), None);
    store.proven(full, 1.0).unwrap();
    assert!(store.flush_scope(full).is_err());
    assert_eq!(age(&store), None);

    store.limit_pages(0).unwrap();
    assert_eq!(store.resume(full).unwrap(), (Some("1".into()), false));
    store.flush().unwrap();
    let mut watch = store.begin_watch(full, false).unwrap();
    watch.push(&frames).unwrap();
    store.flush().unwrap();
    assert_eq!(keys(&store, "a").len(), 198);
}

#[test]
fn a_batch_behind_a_failed_one_does_not_move_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    // Both batches wait for one commit; the second one alone would find its place.
    let options = Options { commit_interval: Duration::from_millis(300), ..options() };
    let store = writer(&folder.path().join("x.db"), options);
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, [], 1);
    store.limit_pages(1).unwrap();
    let mut watch = store.begin_watch(scope, false).unwrap();
    let mut frames = Vec::new();
    for rv in 2..200 {
        frames.extend(event("ADDED", &big(&format!("p{rv}"), rv)));
    }
    watch.push(&frames).unwrap();
    watch.push(&event("ADDED", &Pod::new("a/small", "small", 300))).unwrap();
    store.limit_pages(0).unwrap();
    let _ = watch.push(&event("ADDED", &Pod::new("a/late", "late", 301)));
    assert!(matches!(watch.finish(), Err(Error::DiskFull(_))));
    assert_eq!(store.checkpoint(scope).unwrap(), (Some("1".into()), false));
    assert_eq!(keys(&store, "a"), [""; 0]);
    assert_sound(&store);
}

#[test]
fn one_streams_failure_does_not_undo_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let (a, b) = (
        store.ensure_scope(spec("pods", Some("a"), "")).unwrap(),
        store.ensure_scope(spec("pods", Some("b"), "")).unwrap(),
    );
    load(&store, a, [], 1);
    load(&store, b, [], 1);
    let mut of_a = store.begin_watch(a, false).unwrap();
    let mut of_b = store.begin_watch(b, false).unwrap();
    // The forgotten scope's events fail in whatever transaction they land.
    store.forget(a).unwrap();
    for rv in 2..60 {
        let _ = of_a.push(&event("ADDED", &Pod::new(&format!("a/p{rv}"), &format!("a{rv}"), rv)));
        of_b.push(&event("ADDED", &Pod::new(&format!("b/p{rv}"), &format!("b{rv}"), rv))).unwrap();
    }
    assert!(matches!(of_a.finish(), Err(Error::Invalid(_))));
    of_b.finish().unwrap();
    assert_eq!(keys(&store, "b").len(), 58);
    assert_eq!(store.checkpoint(b).unwrap(), (Some("59".into()), false));
    assert_sound(&store);
}

#[test]
fn a_list_that_finds_no_space_leaves_the_last_good_state() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let before: Vec<Pod> = (1..20).map(|rv| big(&format!("p{rv}"), rv)).collect();
    load(&store, scope, &before, 20);
    store.limit_pages(1).unwrap();
    let after: Vec<Pod> = (5..200).map(|rv| big(&format!("p{rv}"), rv + 1000)).collect();
    let listing = store.begin_list(scope).unwrap();
    listing.begin_page(false).unwrap();
    let _ = listing.push(&crate::bytes::page(&after, 2000, ""));
    let outcome = listing.end_page().and_then(|_| listing.publish("2000"));
    assert!(matches!(outcome, Err(Error::DiskFull(_))), "{outcome:?}");
    assert_eq!(keys(&store, "a").len(), before.len());
    assert_eq!(store.checkpoint(scope).unwrap(), (Some("20".into()), false));
    assert_sound(&store);

    store.limit_pages(0).unwrap();
    let published = load(&store, scope, &after, 2000);
    assert_eq!((published.adds, published.updates, published.deletes), (180, 15, 4));
    assert_sound(&store);
}
