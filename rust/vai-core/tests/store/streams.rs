//! Lists that come as the beginning of a watch.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use vai_core::Error;
use vai_core::store::{Listing, Progress, Store};

use crate::bytes::{Pod, bookmark, event, malformed};
use crate::file::{assert_sound, load, options, spec, writer};

fn open() -> (tempfile::TempDir, Store, i64) {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    (folder, store, scope)
}

fn end(rv: u64) -> Vec<u8> {
    format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"{rv}\",\"annotations\":{{\"k8s.io/initial-events-end\":\"true\"}}}}}}}}\n"
    )
    .into_bytes()
}

fn begin(store: &Store, scope: i64) -> Listing {
    let listing = store.begin_list(scope).unwrap();
    listing.begin_stream(false).unwrap();
    listing
}

/// Key and resourceVersion of those of the tests' pods that are there.
fn rows(store: &Store) -> BTreeMap<String, String> {
    let names = ["p1", "p2", "p3", "p4", "gone"];
    let found = names.iter().filter_map(|name| match store.get("pods", Some("a"), name) {
        // While a first list loads, what is not there may still come.
        Err(Error::NotSynced(_)) => None,
        found => found.unwrap(),
    });
    found.map(|row| (row.key().to_owned(), row.resource_version().to_owned())).collect()
}

fn objects(store: &Store) -> i64 {
    store.scope_status().unwrap()[0].objects
}

fn expect(rows_wanted: &[(&str, u64)]) -> BTreeMap<String, String> {
    rows_wanted.iter().map(|(key, rv)| ((*key).to_owned(), rv.to_string())).collect()
}

#[test]
fn a_first_stream_is_visible_while_it_loads_and_complete_at_its_bookmark() {
    let (_folder, store, scope) = open();
    let listing = begin(&store, scope);
    let progress = listing.push_events(&event("ADDED", &Pod::new("a/p1", "1", 3))).unwrap();
    assert_eq!((progress.events, progress.initial_events_end), (1, false));
    assert!(matches!(listing.plan(), Ok(plan) if plan.changed == 1));
    assert_eq!(rows(&store), expect(&[("a/p1", 3)]));
    assert_eq!(store.checkpoint(scope).unwrap().0, None);
    listing.push_events(&bookmark(7)).unwrap();
    let last = listing.push_events(&end(9)).unwrap();
    assert_eq!((last.initial_events_end, last.resource_version.as_str()), (true, "9"));
    let (published, _) = listing.publish_stream().unwrap();
    assert_eq!((published.adds, published.updates, published.deletes), (1, 0, 0));
    assert_eq!(store.checkpoint(scope).unwrap(), (Some("9".into()), false));
    assert_sound(&store);
}

#[test]
fn a_later_stream_is_invisible_until_its_bookmark_and_written_as_a_difference() {
    let (_folder, store, scope) = open();
    let before = [Pod::new("a/p1", "1", 1), Pod::new("a/p2", "2", 2), Pod::new("a/p3", "3", 3)];
    load(&store, scope, &before, 5);
    let (epoch, seq) = store.position().unwrap();
    let listing = begin(&store, scope);
    for pod in [&before[0], &Pod::new("a/p2", "2", 8), &Pod::new("a/p4", "4", 9)] {
        listing.push_events(&event("ADDED", pod)).unwrap();
    }
    let plan = listing.plan().unwrap();
    assert_eq!((plan.unchanged, plan.changed, plan.removed), (1, 2, 1));
    assert_eq!(rows(&store), expect(&[("a/p1", 1), ("a/p2", 2), ("a/p3", 3)]));
    listing.push_events(&end(9)).unwrap();
    listing.publish_stream().unwrap();
    assert_eq!(rows(&store), expect(&[("a/p1", 1), ("a/p2", 8), ("a/p4", 9)]));
    let mut changes = store.changes(vec!["pods".into()], epoch, seq).unwrap();
    let told: Vec<_> = changes
        .next_batch(10, Duration::ZERO)
        .unwrap()
        .iter()
        .map(|change| (change.op.name(), change.key.clone()))
        .collect();
    assert_eq!(
        told,
        [("delete", "a/p3".into()), ("update", "a/p2".into()), ("add", "a/p4".into())]
    );
    assert_sound(&store);
}

#[test]
fn objects_that_change_and_go_before_the_bookmark_end_as_they_are() {
    for known in [vec![], vec![Pod::new("a/p1", "1", 1), Pod::new("a/p2", "2", 2)]] {
        let (_folder, store, scope) = open();
        if !known.is_empty() {
            load(&store, scope, &known, 3);
        }
        let listing = begin(&store, scope);
        let events = [
            event("ADDED", &Pod::new("a/p1", "1", 1)),
            event("ADDED", &Pod::new("a/p2", "2", 2)),
            event("ADDED", &Pod::new("a/p3", "3", 4)),
            event("MODIFIED", &Pod::new("a/p1", "1", 5)),
            event("DELETED", &Pod::new("a/p2", "2", 6)),
            event("DELETED", &Pod::new("a/p3", "3", 7)),
            event("ADDED", &Pod::new("a/p3", "again", 8)),
            event("ADDED", &Pod::new("a/p4", "4", 9)),
            event("DELETED", &Pod::new("a/p4", "4", 10)),
            end(10),
        ];
        listing.push_events(&events.concat()).unwrap();
        let plan = listing.plan().unwrap();
        assert_eq!(plan.unchanged, 0, "{plan:?}");
        assert_eq!(plan.changed, 2, "{plan:?}");
        listing.publish_stream().unwrap();
        assert_eq!(rows(&store), expect(&[("a/p1", 5), ("a/p3", 8)]));
        assert_eq!(store.get("pods", Some("a"), "p3").unwrap().unwrap().uid(), "again");
        assert_sound(&store);
    }
}

#[test]
fn what_follows_the_bookmark_is_the_watchs_wherever_the_chunks_are_cut() {
    let stream = [
        event("ADDED", &Pod::new("a/p1", "1", 1)),
        end(2),
        event("MODIFIED", &Pod::new("a/p1", "1", 3)),
        event("ADDED", &Pod::new("a/p2", "2", 4)),
        bookmark(6),
    ]
    .concat();
    for cut in (0..=stream.len()).step_by(7) {
        let (_folder, store, scope) = open();
        let listing = begin(&store, scope);
        let mut chunks = vec![&stream[..cut], &stream[cut..]];
        while !listing.push_events(chunks.remove(0)).unwrap().initial_events_end {}
        let (_, mut watch) = listing.publish_stream().unwrap();
        assert_eq!(rows(&store).len(), 1);
        let mut last = watch.push(b"").unwrap();
        for chunk in chunks {
            last = watch.push(chunk).unwrap();
        }
        watch.finish().unwrap();
        assert_eq!(last.resource_version, "6", "cut at {cut}");
        assert_eq!(rows(&store), expect(&[("a/p1", 3), ("a/p2", 4)]), "cut at {cut}");
        assert_sound(&store);
    }
}

#[test]
fn a_stream_without_its_bookmark_is_not_published() {
    let (_folder, store, scope) = open();
    load(&store, scope, [&Pod::new("a/p1", "1", 1)], 1);
    let listing = begin(&store, scope);
    listing.push_events(&event("ADDED", &Pod::new("a/p2", "2", 2))).unwrap();
    assert!(matches!(listing.publish_stream(), Err(Error::Invalid(_))));
    let paged = store.begin_list(scope).unwrap();
    assert!(matches!(paged.push_events(b""), Err(Error::Invalid(_))));
    assert!(matches!(paged.publish_stream(), Err(Error::Invalid(_))));
    assert_eq!(rows(&store), expect(&[("a/p1", 1)]));
    assert_sound(&store);
}

#[test]
fn what_a_cut_first_stream_wrote_is_no_phantom_after_the_next_list() {
    let (_folder, store, scope) = open();
    let listing = begin(&store, scope);
    let events =
        [event("ADDED", &Pod::new("a/p1", "1", 1)), event("ADDED", &Pod::new("a/gone", "2", 2))];
    listing.push_events(&events.concat()).unwrap();
    listing.plan().unwrap();
    listing.abort().unwrap();
    assert_eq!(objects(&store), 2);
    assert_eq!(store.checkpoint(scope).unwrap().0, None);
    let again = begin(&store, scope);
    let events = [event("ADDED", &Pod::new("a/p1", "1", 1)), end(5)];
    again.push_events(&events.concat()).unwrap();
    again.publish_stream().unwrap();
    assert_eq!(rows(&store), expect(&[("a/p1", 1)]));
    assert_sound(&store);
}

#[test]
fn errors_and_malformed_events_of_a_stream_are_told() {
    let (_folder, store, scope) = open();
    let listing = begin(&store, scope);
    let gone = b"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500}}\n";
    let Progress { status, .. } = listing.push_events(gone).unwrap();
    assert!(status.is_some());
    let progress = listing.push_events(&malformed()).unwrap();
    assert!(progress.malformed.unwrap().starts_with("malformed watch event"));
}

#[test]
fn a_compressed_stream_of_many_members_is_read_as_it_comes() {
    let (_folder, store, scope) = open();
    let listing = store.begin_list(scope).unwrap();
    listing.begin_stream(true).unwrap();
    let member = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let pods: Vec<Pod> = (1..=700).map(|n| Pod::new(&format!("a/p{n:03}"), "u", n)).collect();
    for pod in &pods {
        assert_eq!(listing.push_events(&member(&event("ADDED", pod))).unwrap().events, 1);
    }
    listing.push_events(&member(&end(700))).unwrap();
    let (published, mut watch) = listing.publish_stream().unwrap();
    assert_eq!(published.adds, 700);
    watch.push(&member(&event("DELETED", &Pod::new("a/p001", "u", 701)))).unwrap();
    watch.finish().unwrap();
    assert_eq!(objects(&store), 699);
    assert_sound(&store);
}
