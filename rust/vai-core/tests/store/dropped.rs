//! Paths that are dropped are a part of what a scope is.

use vai_core::db::live::Count;

use crate::bytes::{Pod, event};
use crate::file::{assert_sound, load, options, reader, spec, writer};

fn drop() -> Vec<String> {
    vec!["metadata.labels2".to_owned(), ".status".to_owned()]
}

#[test]
fn another_set_of_paths_is_another_copy_and_the_file_remembers_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let whole = store.ensure_scope(spec("pods", None, "")).unwrap();
    let less = store.ensure_scope(spec("pods", None, "").without(&drop()).unwrap()).unwrap();
    assert_ne!(whole, less);
    let again = spec("pods", None, "").without(&["{.status}".into(), "metadata.labels2".into()]);
    assert_eq!(store.ensure_scope(again.unwrap()).unwrap(), less);
    let pod = Pod::new("a/p", "u", 1);
    load(&store, less, [&pod], 5);
    let mut watch = store.begin_watch(less, false).unwrap();
    watch.push(&event("MODIFIED", &Pod { rv: 6, ..pod })).unwrap();
    watch.finish().unwrap();
    store.flush().unwrap();
    assert_sound(&store);
    store.close();
    let store = reader(&path);
    let told = store.scope_status().unwrap();
    assert_eq!(told[0].drop, Vec::<String>::new());
    assert_eq!(told[1].drop, ["metadata.labels2", "status"]);
}

#[test]
fn counts_are_told_to_other_processes_and_those_of_a_verb_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let one = Count { requests: 1, received_bytes: 10, retries: 0, throttled: 1 };
    store.count(3, "list", one).unwrap();
    store.count(3, "list", one).unwrap();
    store.count(0, "other", one).unwrap();
    let other = reader(&path);
    store.close();
    let told = other.traffic().unwrap();
    assert_eq!(told.pid, std::process::id());
    assert_eq!(told.scopes[&3]["list"].received_bytes, 20);
    assert_eq!(told.scopes[&0]["other"].throttled, 1);
    let again = writer(&path, options());
    assert!(again.traffic().unwrap().scopes.is_empty(), "since the start of this writer");
}

#[test]
fn what_discovery_finds_again_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let found = store.resources().unwrap();
    store.flush().unwrap();
    let before = store.stats().unwrap().wal_bytes;
    let written = std::fs::metadata(crate::file::wal_of(&path)).unwrap().modified().unwrap();
    for _ in 0..5 {
        store.put_resources(found.clone()).unwrap();
    }
    store.flush().unwrap();
    assert_eq!(store.stats().unwrap().wal_bytes, before);
    let after = std::fs::metadata(crate::file::wal_of(&path)).unwrap().modified().unwrap();
    assert_eq!(after, written);
}
