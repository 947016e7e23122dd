//! Bookmarks move no row and cost no commit: `FILE.live` has them, and a restart finds them there.

use std::path::Path;
use std::time::{Duration, SystemTime};

use vai_core::store::Store;

use crate::bytes::{Pod, bookmark, event};
use crate::file::{copy_as_killed, live_of, load, options, reader, spec, wal_of, writer};

fn rv(store: &Store, scope: i64) -> String {
    store.checkpoint(scope).unwrap().0.unwrap()
}

/// A scope of one pod, listed as of resourceVersion 5.
fn listed(path: &Path) -> (Store, i64) {
    let store = writer(path, options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, [&Pod::new("a/one", "u1", 5)], 5);
    (store, scope)
}

/// Until `FILE.live` has what was told.
fn wait_written(path: &Path, scope: i64, version: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    let watcher = reader(path);
    let found = || {
        let status = watcher.scope_status().unwrap();
        status.into_iter().find(|one| one.id == scope).unwrap().resource_version
    };
    while found().as_deref() != Some(version) {
        assert!(std::time::Instant::now() < deadline, "{:?}", found());
        std::thread::sleep(Duration::from_millis(20));
    }
    watcher.close();
}

fn written(path: &Path) -> SystemTime {
    let of = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    of(path).max(of(&wal_of(path))).unwrap()
}

#[test]
fn a_bookmark_writes_nothing_into_the_database_and_everybody_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let (store, scope) = listed(&path);
    let mut watching = store.begin_watch(scope, false).unwrap();
    store.flush().unwrap();
    let before = written(&path);
    std::thread::sleep(Duration::from_millis(20));
    for version in 6..9 {
        watching.push(&bookmark(version)).unwrap();
        store.flush().unwrap();
        assert_eq!(rv(&store, scope), version.to_string());
    }
    wait_written(&path, scope, "8");
    assert_eq!(written(&path), before);
    store.close();
}

#[test]
fn a_killed_writer_is_followed_from_its_last_bookmark() {
    let folder = tempfile::tempdir().unwrap();
    let (path, killed) = (folder.path().join("x.db"), folder.path().join("killed.db"));
    let (store, scope) = listed(&path);
    let mut watching = store.begin_watch(scope, false).unwrap();
    watching.push(&bookmark(9)).unwrap();
    wait_written(&path, scope, "9");
    copy_as_killed(&path, &killed);
    let after = writer(&killed, options());
    assert_eq!(rv(&after, scope), "9");
    after.close();
    // From here on it is in the database itself.
    std::fs::remove_file(live_of(&killed)).unwrap();
    let after = writer(&killed, options());
    assert_eq!(rv(&after, scope), "9");
    after.close();
    store.close();
}

#[test]
fn a_file_that_is_closed_needs_no_other_one_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let (store, scope) = listed(&path);
    store.begin_watch(scope, false).unwrap().push(&bookmark(9)).unwrap();
    store.close();
    std::fs::remove_file(live_of(&path)).unwrap();
    let after = writer(&path, options());
    assert_eq!(rv(&after, scope), "9");
    after.close();
}

#[test]
fn a_bookmark_behind_rows_that_the_file_lacks_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let (path, killed) = (folder.path().join("x.db"), folder.path().join("killed.db"));
    let (store, scope) = listed(&path);
    // As after a power loss, or where somebody puts an older copy back.
    copy_as_killed(&path, &killed);
    let mut watching = store.begin_watch(scope, false).unwrap();
    watching.push(&event("ADDED", &Pod::new("a/two", "u2", 7))).unwrap();
    watching.push(&bookmark(9)).unwrap();
    store.flush().unwrap();
    wait_written(&path, scope, "9");
    std::fs::copy(live_of(&path), live_of(&killed)).unwrap();
    let after = writer(&killed, options());
    assert_eq!(rv(&after, scope), "5", "or the pod of 7 would be missing for ever");
    after.close();
    store.close();
}

#[test]
fn a_bookmark_beside_another_file_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("x.db"), folder.path().join("other.db"));
    let (store, scope) = listed(&path);
    let (stranger, its) = listed(&other);
    stranger.close();
    assert_eq!(scope, its);
    store.begin_watch(scope, false).unwrap().push(&bookmark(9)).unwrap();
    wait_written(&path, scope, "9");
    std::fs::copy(live_of(&path), live_of(&other)).unwrap();
    let after = writer(&other, options());
    assert_eq!(rv(&after, scope), "5");
    after.close();
    store.close();
}

#[test]
fn a_list_makes_the_bookmarks_of_before_void_though_its_version_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (path, killed) = (folder.path().join("x.db"), folder.path().join("killed.db"));
    let (store, scope) = listed(&path);
    store.begin_watch(scope, false).unwrap().push(&bookmark(9)).unwrap();
    wait_written(&path, scope, "9");
    // The cluster was restored, and stands where the first list was.
    store.void_checkpoint(Some(scope), "restored").unwrap();
    load(&store, scope, [&Pod::new("a/one", "u1", 5)], 5);
    assert_eq!(rv(&store, scope), "5");
    copy_as_killed(&path, &killed);
    let after = writer(&killed, options());
    assert_eq!(rv(&after, scope), "5");
    after.close();
    store.close();
}

/// What a watch that is renewed begins with is remembered; these are what may change it.
mod what_changes_the_beginning_of_a_watch {
    use super::*;

    /// Two watches that leave nothing: the second begins with what the first one found.
    fn renewed(store: &Store, scope: i64) {
        for version in [6, 7] {
            let mut watching = store.begin_watch(scope, false).unwrap();
            watching.push(&bookmark(version)).unwrap();
            watching.finish().unwrap();
        }
    }

    fn takes(store: &Store, scope: i64, name: &str, version: u64) {
        let mut watching = store.begin_watch(scope, false).unwrap();
        watching.push(&event("ADDED", &Pod::new(name, name, version))).unwrap();
        watching.push(&bookmark(version + 10)).unwrap();
        watching.finish().unwrap();
    }

    #[test]
    fn a_list() {
        let folder = tempfile::tempdir().unwrap();
        let (store, scope) = listed(&folder.path().join("x.db"));
        renewed(&store, scope);
        load(&store, scope, [&Pod::new("a/one", "u1", 5)], 10);
        takes(&store, scope, "a/two", 11);
        assert_eq!(store.status_of(scope).unwrap().unwrap().objects, 2);
        assert!(store.status_of(scope + 1).unwrap().is_none());
        store.close();
    }

    #[test]
    fn events() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let (store, scope) = listed(&path);
        renewed(&store, scope);
        for (name, version) in [("a/two", 11), ("a/three", 31)] {
            takes(&store, scope, name, version);
            assert_eq!(rv(&store, scope), (version + 10).to_string());
        }
        renewed(&store, scope);
        store.close();
        let after = writer(&path, options());
        assert_eq!(rv(&after, scope), "7", "a bookmark is believed, whatever its number");
        after.close();
    }

    #[test]
    fn a_checkpoint_that_no_longer_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let (store, scope) = listed(&path);
        renewed(&store, scope);
        store.void_checkpoint(Some(scope), "restored").unwrap();
        renewed(&store, scope);
        assert_eq!(store.checkpoint(scope).unwrap(), (Some("5".to_owned()), true));
        store.close();
    }

    #[test]
    fn another_kind() {
        let folder = tempfile::tempdir().unwrap();
        let (store, scope) = listed(&folder.path().join("x.db"));
        renewed(&store, scope);
        let mut known = store.resources().unwrap();
        known.iter_mut().find(|one| one.plural == "pods").unwrap().kind = "Pot".to_owned();
        store.put_resources(known).unwrap();
        let mut watching = store.begin_watch(scope, false).unwrap();
        let frame = event("ADDED", &Pod::new("a/two", "u2", 11));
        let progress = watching.push(&frame).unwrap();
        assert!(progress.malformed.unwrap().contains("Pot"));
        store.close();
    }
}
