//! What a list may and may not do to a scope.

use std::time::Duration;

use vai_core::Error;
use vai_core::store::Store;

use crate::bytes::{Pod, event, page};
use crate::file::{assert_sound, load, options, spec, writer};

fn open() -> (tempfile::TempDir, Store, i64) {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    (folder, store, scope)
}

fn note(store: &Store, name: &str) -> String {
    let row = store.get("pods", Some("a"), name).unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&row.body().unwrap()).unwrap();
    json["metadata"]["annotations"]["note"].as_str().unwrap().to_owned()
}

#[test]
fn a_list_is_published_only_at_its_end() {
    let (_folder, store, scope) = open();
    load(&store, scope, [&Pod::new("a/p1", "1", 1), &Pod::new("a/p2", "2", 2)], 2);
    let first = page([&Pod::new("a/p1", "1", 1)], 3, "more");

    let none = store.begin_list(scope).unwrap();
    assert!(matches!(none.publish("3"), Err(Error::Invalid(_))), "no page at all");
    let half = store.begin_list(scope).unwrap();
    half.begin_page(false).unwrap();
    half.push(&first).unwrap();
    assert!(matches!(half.publish("3"), Err(Error::Invalid(_))), "a page that has not ended");
    let more = store.begin_list(scope).unwrap();
    more.begin_page(false).unwrap();
    more.push(&first).unwrap();
    more.end_page().unwrap();
    assert!(matches!(more.publish("3"), Err(Error::Invalid(_))), "a page behind which is another");

    assert!(store.get("pods", Some("a"), "p2").unwrap().is_some());
    assert_sound(&store);
}

#[test]
fn versions_that_a_restored_cluster_gives_out_again_are_not_taken_for_known() {
    let (_folder, store, scope) = open();
    let pod = |text: &str| Pod { note: text.into(), ..Pod::new("a/p1", "1", 5) };
    load(&store, scope, [&pod("before")], 9);
    load(&store, scope, [&pod("never looked at")], 9);
    assert_eq!(note(&store, "p1"), "before", "same uid and resourceVersion: untouched");

    store.void_checkpoint(Some(scope), "the server went back").unwrap();
    let published = load(&store, scope, [&pod("after")], 7);
    assert_eq!((published.adds, published.updates, published.deletes), (0, 1, 0));
    assert_eq!(note(&store, "p1"), "after");
    store.void_checkpoint(Some(scope), "again").unwrap();
    let published = load(&store, scope, [&pod("after")], 7);
    assert_eq!((published.adds, published.updates, published.deletes), (0, 0, 0));
    assert_sound(&store);
}

#[test]
fn an_object_recreated_between_two_lists_is_deleted_and_added() {
    let (_folder, store, scope) = open();
    load(&store, scope, [&Pod::new("a/p1", "old", 1)], 1);
    let (epoch, seq) = store.position().unwrap();
    let published = load(&store, scope, [&Pod::new("a/p1", "new", 8)], 8);
    assert_eq!((published.adds, published.updates, published.deletes), (1, 0, 1));
    let mut changes = store.changes(vec!["pods".into()], epoch, seq).unwrap();
    let found = changes.next_batch(10, Duration::ZERO).unwrap();
    let told: Vec<_> = found.iter().map(|c| (c.op.name(), c.uid.as_str(), c.relist)).collect();
    assert_eq!(told, [("delete", "old", true), ("add", "new", true)]);
}

#[test]
fn a_late_event_of_an_older_object_changes_nothing() {
    let (_folder, store, scope) = open();
    load(&store, scope, [&Pod::new("a/p1", "new", 8)], 8);
    let mut watch = store.begin_watch(scope, false).unwrap();
    watch.push(&event("MODIFIED", &Pod::new("a/p1", "old", 3))).unwrap();
    watch.push(&event("DELETED", &Pod::new("a/p1", "old", 4))).unwrap();
    watch.finish().unwrap();
    let row = store.get("pods", Some("a"), "p1").unwrap().unwrap();
    assert_eq!((row.uid(), row.resource_version()), ("new", "8"));
    assert_sound(&store);
}

#[test]
fn a_watch_from_before_a_list_no_longer_counts() {
    let (_folder, store, scope) = open();
    load(&store, scope, [&Pod::new("a/p1", "1", 1)], 1);
    let mut watch = store.begin_watch(scope, false).unwrap();
    load(&store, scope, [], 50);
    let _ = watch.push(&event("MODIFIED", &Pod::new("a/p1", "1", 20)));
    assert!(matches!(watch.finish(), Err(Error::Invalid(_))));
    assert!(store.get("pods", Some("a"), "p1").unwrap().is_none(), "it was deleted since");
    assert_eq!(store.checkpoint(scope).unwrap(), (Some("50".into()), false));
    // And nothing was lost, so that a new one may begin at once.
    store.begin_watch(scope, false).unwrap();
}

#[test]
fn many_small_pages_are_told_apart() {
    let (_folder, store, scope) = open();
    let pods: Vec<Pod> = (1..=300).map(|n| Pod::new(&format!("a/p{n:03}"), "u", n)).collect();
    let listing = store.begin_list(scope).unwrap();
    for (number, pod) in pods.iter().enumerate() {
        let token = if number + 1 < pods.len() { format!("after {number}") } else { String::new() };
        listing.begin_page(false).unwrap();
        listing.push(&page([pod], 300, &token)).unwrap();
        let head = listing.end_page().unwrap();
        assert_eq!(head.continue_token.unwrap_or_default(), token);
    }
    assert_eq!(listing.publish("300").unwrap().adds, 300);
    assert_sound(&store);
}
