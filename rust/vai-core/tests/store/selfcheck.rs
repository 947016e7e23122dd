//! A scope compared with a list of metadata, before and after its rows have reached the list.

use vai_core::Error;
use vai_core::store::{Compared, Comparison, Drift, Store};

use crate::bytes::{Pod, event, page};
use crate::file::{load, options, spec, writer};

fn open(pods: &[Pod], rv: u64) -> (tempfile::TempDir, Store, i64) {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, pods, rv);
    (folder, store, scope)
}

fn pods(names: &[(&str, u64)]) -> Vec<Pod> {
    names.iter().map(|(name, rv)| Pod::new(&format!("a/{name}"), name, *rv)).collect()
}

fn listed(store: &Store, scope: i64, pods: &[Pod], rv: u64) -> Comparison {
    let comparison = store.begin_comparison(scope).unwrap();
    comparison.begin_page(false).unwrap();
    let bytes = page(pods, rv, "");
    // Cut anywhere, as chunks of a response are.
    for chunk in bytes.chunks(97) {
        comparison.push(chunk).unwrap();
    }
    comparison.end_page().unwrap();
    comparison
}

fn watch(store: &Store, scope: i64, events: &[(&str, Pod)]) {
    let mut watch = store.begin_watch(scope, false).unwrap();
    for (kind, pod) in events {
        watch.push(&event(kind, pod)).unwrap();
    }
    store.flush().unwrap();
}

fn told(compared: &Compared) -> Vec<(Drift, &str)> {
    compared.differences.iter().map(|found| (found.what, found.key.as_str())).collect()
}

#[test]
fn what_stands_as_listed_is_no_drift() {
    let same = pods(&[("p1", 1), ("p2", 2)]);
    let (_folder, store, scope) = open(&same, 5);
    let found = listed(&store, scope, &same, 9).finish().unwrap();
    assert_eq!((found.listed, found.equal, found.changed), (2, 2, 0));
    assert_eq!(found.resource_version, "9");
    assert!(found.differences.is_empty());
}

#[test]
fn what_was_missed_is_told_by_kind_and_key() {
    let (_folder, store, scope) = open(&pods(&[("p1", 1), ("p2", 2), ("p3", 3)]), 5);
    let list = pods(&[("p1", 7), ("p3", 3), ("p4", 8)]);
    let found = listed(&store, scope, &list, 9).finish().unwrap();
    assert_eq!((found.missing, found.extra, found.older, found.equal), (1, 1, 1, 1));
    assert_eq!(
        told(&found),
        [(Drift::Older, "a/p1"), (Drift::Extra, "a/p2"), (Drift::Missing, "a/p4")]
    );
    let older = &found.differences[0];
    assert_eq!((older.kept.as_deref(), older.listed.as_deref()), (Some("1"), Some("7")));
}

#[test]
fn events_that_are_on_their_way_while_the_list_arrives_are_no_drift() {
    let (_folder, store, scope) = open(&pods(&[("p1", 1), ("p2", 2), ("p3", 3)]), 5);
    // As of 9 the server has changed p1, deleted p2 and added p4; the watch brings it later.
    let comparison = listed(&store, scope, &pods(&[("p1", 6), ("p3", 3), ("p4", 8)]), 9);
    assert_eq!(comparison.finish().unwrap().differences.len(), 3, "asked too early");
    let new = |name: &str, rv| Pod::new(&format!("a/{name}"), name, rv);
    watch(
        &store,
        scope,
        &[("MODIFIED", new("p1", 6)), ("DELETED", new("p2", 7)), ("ADDED", new("p4", 8))],
    );
    let found = comparison.finish().unwrap();
    assert_eq!((found.equal, found.changed, found.differences.len()), (3, 0, 0));
}

#[test]
fn what_changed_after_the_list_is_left_aside() {
    let (_folder, store, scope) = open(&pods(&[("p1", 1), ("p2", 2), ("p3", 3)]), 5);
    let comparison = listed(&store, scope, &pods(&[("p1", 1), ("p2", 6), ("p3", 7)]), 9);
    let new = |name: &str, rv| Pod::new(&format!("a/{name}"), name, rv);
    watch(
        &store,
        scope,
        &[
            ("MODIFIED", new("p2", 6)),
            ("MODIFIED", new("p3", 7)),
            // From here on after the list.
            ("MODIFIED", new("p2", 11)),
            ("DELETED", new("p3", 12)),
            ("ADDED", new("p4", 13)),
            ("ADDED", Pod::new("a/p3", "again", 14)),
        ],
    );
    let found = comparison.finish().unwrap();
    assert_eq!((found.equal, found.changed, found.differences.len()), (1, 3, 0), "{found:?}");
}

#[test]
fn an_object_recreated_unseen_is_another_one() {
    let (_folder, store, scope) = open(&pods(&[("p1", 1)]), 5);
    let list = [Pod::new("a/p1", "another", 8)];
    let found = listed(&store, scope, &list, 9).finish().unwrap();
    assert_eq!(told(&found), [(Drift::Older, "a/p1")]);
}

#[test]
fn an_object_deleted_before_the_list_was_asked_for_is_missing_if_it_is_listed() {
    let (_folder, store, scope) = open(&pods(&[("p1", 1)]), 5);
    watch(&store, scope, &[("DELETED", Pod::new("a/p1", "p1", 6))]);
    let found = listed(&store, scope, &pods(&[("p1", 1)]), 9).finish().unwrap();
    assert_eq!(told(&found), [(Drift::Missing, "a/p1")]);
}

#[test]
fn objects_are_counted_as_of_the_list() {
    let (_folder, store, scope) = open(&pods(&[("p1", 1), ("p2", 2)]), 5);
    let comparison = listed(&store, scope, &pods(&[("p1", 1)]), 9);
    let new = |name: &str, rv| Pod::new(&format!("a/{name}"), name, rv);
    watch(&store, scope, &[("ADDED", new("p3", 8)), ("ADDED", new("p4", 10))]);
    assert_eq!(comparison.count().unwrap(), 3);
    watch(&store, scope, &[("DELETED", new("p1", 11))]);
    assert_eq!(comparison.count().unwrap(), 3);
}

#[test]
fn only_a_complete_scope_can_be_compared() {
    let (_folder, store, scope) = open(&pods(&[("p1", 1)]), 5);
    let comparison = listed(&store, scope, &pods(&[("p1", 1)]), 9);
    store.void_checkpoint(Some(scope), "for a test").unwrap();
    assert!(matches!(comparison.finish(), Err(Error::Invalid(_))));
    assert!(matches!(store.begin_comparison(scope), Err(Error::Invalid(_))));
    let other = store.ensure_scope(spec("secrets", None, "")).unwrap();
    assert!(matches!(store.begin_comparison(other), Err(Error::Invalid(_))));
}

#[test]
fn a_reader_compares_too_and_a_watch_goes_on() {
    let (folder, store, scope) = open(&pods(&[("p1", 1)]), 5);
    let mut watch = store.begin_watch(scope, false).unwrap();
    let reader = crate::file::reader(&folder.path().join("x.db"));
    let found = listed(&reader, scope, &pods(&[("p1", 1)]), 9).finish().unwrap();
    assert_eq!(found.equal, 1);
    watch.push(&event("MODIFIED", &Pod::new("a/p1", "p1", 10))).unwrap();
    watch.finish().unwrap();
    store.flush().unwrap();
    assert_eq!(store.get("pods", Some("a"), "p1").unwrap().unwrap().resource_version(), "10");
}
