//! Values that are no longer asked for are nowhere in the files.

use std::path::Path;

use vai_core::redact::Redaction;
use vai_core::store::ScopeSpec;

use crate::bytes::{Pod, event};
use crate::file::{assert_sound, load, options, reader, spec, wal_of, writer};

/// Stored bodies are zstd frames, wherever they are in a file: <https://www.rfc-editor.org/rfc/rfc8878>.
fn frames(path: &Path) -> usize {
    bodies(path).len()
}

/// What they hold; nothing for one that is partly overwritten.
fn bodies(path: &Path) -> Vec<Vec<u8>> {
    let codec = vai_core::codec::Codec::new();
    let bytes = std::fs::read(path).unwrap_or_default();
    memchr::memmem::find_iter(&bytes, &[0x28, 0xB5, 0x2F, 0xFD])
        .map(|start| {
            let length = zstd::zstd_safe::find_frame_compressed_size(&bytes[start..]);
            let frame = length.ok().and_then(|length| bytes.get(start..start + length));
            frame.and_then(|frame| codec.decode(frame).ok()).unwrap_or_default()
        })
        .collect()
}

fn metadata_only(namespace: Option<&str>) -> ScopeSpec {
    ScopeSpec::new("secrets", namespace, "", "", Redaction::Metadata).unwrap()
}

#[test]
fn turning_values_off_leaves_no_body_in_the_file_or_the_wal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let watcher = reader(&path);
    let scope = store.ensure_scope(spec("secrets", None, "")).unwrap();
    let secrets: Vec<Pod> = (1..=300)
        .map(|n| Pod::new(&format!("a/s{n}"), &format!("u{n}"), n).label("canary", "canary-label"))
        .collect();
    load(&store, scope, &secrets, 300);
    let mut watch = store.begin_watch(scope, false).unwrap();
    for secret in &secrets[..50] {
        let changed = Pod { rv: secret.rv + 1000, note: "x".repeat(200), ..secret.clone() };
        watch.push(&event("MODIFIED", &changed)).unwrap();
    }
    for secret in &secrets[60..90] {
        let gone = Pod { rv: secret.rv + 2000, ..secret.clone() };
        watch.push(&event("DELETED", &gone)).unwrap();
    }
    watch.finish().unwrap();
    // A list under way is staged in the file as well.
    let listing = store.begin_list(scope).unwrap();
    listing.begin_page(false).unwrap();
    let staged: Vec<Pod> =
        secrets.iter().map(|secret| Pod { rv: secret.rv + 5000, ..secret.clone() }).collect();
    listing.push(&crate::bytes::page(&staged, 9000, "")).unwrap();
    listing.end_page().unwrap();
    listing.plan().unwrap();
    assert!(frames(&path) + frames(&wal_of(&path)) > 300, "the test looks in the right place");

    let without = store.ensure_scope(metadata_only(None)).unwrap();
    assert_ne!(without, scope);
    assert_eq!(frames(&path), 0);
    assert_eq!(frames(&wal_of(&path)), 0);
    for file in [path.clone(), wal_of(&path)] {
        let bytes = std::fs::read(file).unwrap_or_default();
        assert!(!bytes.windows(12).any(|text| text == b"canary-label"), "a label's term is left");
    }
    assert!(store.scope_status().unwrap().iter().all(|status| status.id != scope));
    assert!(listing.publish("9000").is_err(), "its scope is gone");
    assert_eq!(frames(&path), 0);
    assert_sound(&store);
    watcher.close();
}

#[test]
fn values_of_another_namespace_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let with = store.ensure_scope(spec("secrets", Some("a"), "")).unwrap();
    load(&store, with, [&Pod::new("a/s", "1", 1)], 1);
    store.ensure_scope(metadata_only(Some("b"))).unwrap();
    assert!(store.get("secrets", Some("a"), "s").unwrap().is_some());
    store.ensure_scope(metadata_only(Some("a"))).unwrap();
    assert!(store.get("secrets", Some("a"), "s").is_err(), "not synced: the values are gone");
    assert_sound(&store);
}

#[test]
fn what_was_deleted_is_not_left_in_pages_that_others_use() {
    // Without the VACUUM about every third of these files keeps a value.
    for seed in 1..13 {
        purge_beside_pods(seed);
    }
}

fn purge_beside_pods(seed: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let with = store.ensure_scope(spec("secrets", None, "")).unwrap();
    let pods = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, with, [], 1);
    load(&store, pods, [], 1);
    let mut of_secrets = store.begin_watch(with, false).unwrap();
    let mut of_pods = store.begin_watch(pods, false).unwrap();
    // Bodies of all sizes, side by side in the pages of one table.
    let mut state = seed;
    for rv in 2..1500 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (stream, kind) = if (state >> 40).is_multiple_of(3) {
            (&mut of_pods, "pod")
        } else {
            (&mut of_secrets, "canary")
        };
        let name = format!("a/{kind}-{}", (state >> 33) % 200);
        let note = "abcdefghij".repeat((state >> 45) % 60)
            + &(state >> 20).to_string().repeat((state >> 50) % 40);
        let object = Pod { note, ..Pod::new(&name, &name, rv) };
        stream.push(&event("MODIFIED", &object)).unwrap();
    }
    of_secrets.finish().unwrap();
    of_pods.finish().unwrap();
    store.ensure_scope(metadata_only(None)).unwrap();
    assert_eq!(frames(&wal_of(&path)), 0);
    let left = bodies(&path);
    assert!(left.iter().any(|body| memchr::memmem::find(body, b"pod-").is_some()));
    let canaries = left.iter().filter(|body| memchr::memmem::find(body, b"canary").is_some());
    assert_eq!(canaries.count(), 0, "values are left with seed {seed}");
    assert_sound(&store);
}
