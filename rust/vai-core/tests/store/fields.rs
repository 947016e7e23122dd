//! Fields: recorded, built in steps, dropped, told.

use vai_core::Error;
use vai_core::query::Request;
use vai_core::store::{FieldStatus, Mode, PrinterColumn, Resource, Store};

use crate::bytes::{Pod, event};
use crate::file::{assert_sound, copy_as_killed, load, options, reader, resource, spec, writer};

const TIER: &str = ".metadata.labels.tier";

fn field(store: &Store, name: &str) -> Option<FieldStatus> {
    store.fields(Some("pods")).unwrap().into_iter().find(|field| field.name == name)
}

fn tier(store: &Store) -> FieldStatus {
    field(store, "metadata.labels.tier").unwrap()
}

/// `a/p01` to `a/p..`, whose tier is their number.
fn pods(count: u64) -> Vec<Pod> {
    (1..=count)
        .map(|n| Pod::new(&format!("a/p{n:02}"), &format!("u{n}"), n).label("tier", &n.to_string()))
        .collect()
}

/// A file with these pods, whose builds are taken step by step.
fn loaded(path: &std::path::Path, pods: &[Pod]) -> (Store, i64) {
    let store = writer(path, options());
    store.pause_builds(true).unwrap();
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, pods, 1000);
    (store, scope)
}

fn watch(store: &Store, scope: i64, kind: &str, pod: &Pod) {
    let mut watch = store.begin_watch(scope, false).unwrap();
    watch.push(&event(kind, pod)).unwrap();
    watch.finish().unwrap();
}

#[test]
fn fields_of_an_empty_file_are_ready_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    assert!(store.fields(Some("pods")).unwrap().is_empty(), "nothing of pods is kept");
    store.ensure_scope(spec("pods", None, "")).unwrap();
    store.index("pods", TIER, "int", None).unwrap();
    let fields = store.fields(None).unwrap();
    assert!(fields.len() > 9 && fields.iter().all(|field| field.ready), "{fields:?}");
    assert!(!store.pause_builds(true).unwrap());
    let phase = field(&store, "status.phase").unwrap();
    assert_eq!((phase.source, phase.selectable, phase.ty.as_str()), ("built-in", true, "text"));
    let tier = tier(&store);
    assert_eq!((tier.source, tier.selectable, tier.ty.as_str()), ("user", false, "int"));
    assert_eq!(tier.paths, [TIER]);
}

#[test]
fn what_changes_while_a_field_is_built_is_right_below_and_above_the_builder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let all = pods(9);
    let (store, scope) = loaded(&path, &all);
    store.index("pods", TIER, "int", None).unwrap();
    assert!(!tier(&store).ready);
    assert!(store.build_step(4).unwrap());
    assert!((0.4..0.5).contains(&tier(&store).progress), "{:?}", tier(&store));
    let mut rv = 1000;
    // Changed, left alone in what is derived, and deleted: one of each on both sides.
    for half in [&all[..4], &all[4..]] {
        for (number, pod) in half.iter().take(3).enumerate() {
            rv += 1;
            let next = Pod { rv, note: "new".into(), ..pod.clone() };
            match number {
                0 => watch(&store, scope, "MODIFIED", &next.label("tier", "77")),
                1 => watch(&store, scope, "MODIFIED", &next),
                _ => watch(&store, scope, "DELETED", &next),
            }
            assert_sound(&store);
        }
    }
    // An id of the deleted ones, below the builder, and a new one.
    for name in ["a/q1", "a/q2", "a/q3"] {
        rv += 1;
        watch(&store, scope, "ADDED", &Pod::new(name, name, rv).label("tier", "x"));
        assert_sound(&store);
    }
    let mut steps = 0;
    while store.build_step(1).unwrap() {
        assert_sound(&store);
        steps += 1;
    }
    assert!(steps >= 5, "{steps} steps");
    assert_sound(&store);
    let tier = tier(&store);
    assert!(tier.ready);
    assert_eq!((tier.progress, tier.invalid), (1.0, 3));
    assert_eq!(tier.invalid_example.as_deref(), Some("a/q1"));
}

#[test]
fn a_build_goes_on_after_a_kill_at_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut path = folder.path().join("0.db");
    let (mut store, _) = loaded(&path, &pods(12));
    store.index("pods", TIER, "int", None).unwrap();
    let mut seen = vec![0.0];
    for number in 1..20 {
        let more = store.build_step(3).unwrap();
        let killed = folder.path().join(format!("{number}.db"));
        copy_as_killed(&path, &killed);
        store.close();
        path = killed;
        store = Store::open(&path, Mode::Writer, options()).unwrap();
        store.pause_builds(true).unwrap();
        assert_sound(&store);
        let found = tier(&store);
        assert!(found.progress >= *seen.last().unwrap());
        seen.push(found.progress);
        if !more {
            assert!(found.ready);
            return;
        }
    }
    panic!("never ready: {seen:?}");
}

#[test]
fn another_type_is_built_anew_and_the_old_rows_go() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = loaded(&folder.path().join("x.db"), &pods(5));
    store.index("pods", TIER, "int", None).unwrap();
    while store.build_step(100).unwrap() {}
    let before = tier(&store);
    // The same again is nothing to do, and what there is anyway.
    store.index("pods", ".status.phase", "text", None).unwrap();
    store.index("pods", "metadata.labels['tier']", "int", None).unwrap();
    assert!(!store.pause_builds(true).unwrap());
    assert_eq!(tier(&store).ready, before.ready);
    store.index("pods", TIER, "ip", None).unwrap();
    assert!(!tier(&store).ready);
    assert_sound(&store);
    while store.build_step(2).unwrap() {
        assert_sound(&store);
    }
    assert_eq!((tier(&store).ty.as_str(), tier(&store).invalid), ("ip", 5));
    store.unindex("pods", TIER).unwrap();
    assert!(field(&store, "metadata.labels.tier").is_none());
    assert_sound(&store);
    while store.build_step(2).unwrap() {}
    assert_sound(&store);
    assert!(matches!(store.unindex("pods", TIER), Err(Error::UnknownField { .. })));
}

#[test]
fn a_list_that_was_staged_before_a_field_came_has_it_when_it_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let (store, scope) = loaded(&folder.path().join("x.db"), &pods(3));
    let newer: Vec<Pod> = pods(4).into_iter().map(|pod| Pod { rv: pod.rv + 2000, ..pod }).collect();
    let listing = store.begin_list(scope).unwrap();
    listing.begin_page(false).unwrap();
    listing.push(&crate::bytes::page(&newer, 3000, "")).unwrap();
    listing.end_page().unwrap();
    listing.plan().unwrap();
    store.index("pods", TIER, "int", None).unwrap();
    listing.publish("3000").unwrap();
    assert_sound(&store);
    while store.build_step(1).unwrap() {}
    assert_sound(&store);
}

#[test]
fn what_can_not_be_indexed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let (store, _) = loaded(&path, &pods(1));
    let before = store.fields(None).unwrap().len();
    for (path, ty, many, part) in [
        (".spec..x", "text", None, "the path"),
        ("", "text", None, "the path"),
        (".spec.x", "integer", None, "integer"),
        (".spec.x[*].y", "text", Some(false), "several values"),
        (".spec.nodeName", "int", None, "has the field spec.nodeName already, as text"),
        (".status.phase", "int", None, "has the field"),
    ] {
        match store.index("pods", path, ty, many) {
            Err(Error::Invalid(message)) => assert!(message.contains(part), "{message}"),
            other => panic!("{path} {ty}: {other:?}"),
        }
    }
    assert!(matches!(store.index("pod", TIER, "int", None), Err(Error::UnknownResource { .. })));
    assert!(matches!(store.unindex("pods", ".status.phase"), Err(Error::Invalid(_))));
    assert_eq!(store.fields(None).unwrap().len(), before);
    let other = reader(&path);
    assert!(matches!(other.index("pods", TIER, "int", None), Err(Error::ReadOnly(_))));
    assert!(matches!(other.unindex("pods", TIER), Err(Error::ReadOnly(_))));
    // A reader in another process sees what the writer indexes.
    assert!(field(&other, "metadata.labels.tier").is_none());
    store.index("pods", TIER, "int", None).unwrap();
    assert!(!tier(&other).ready);
    while store.build_step(10).unwrap() {}
    assert!(tier(&other).ready);
}

#[test]
fn there_is_a_limit_of_fields() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = loaded(&folder.path().join("x.db"), &[]);
    let refused = (0..300).find_map(|n| {
        store.index("pods", &format!(".spec.f{n}"), "text", None).err().map(|error| (n, error))
    });
    assert!(matches!(refused, Some((n, Error::Invalid(_))) if n > 200));
    // Those that are there can be defined anew.
    store.index("pods", ".spec.f0", "int", None).unwrap();
}

fn widgets(selectable: &[&str], columns: &[(&str, &str, &str)]) -> Resource {
    Resource {
        group: "example.com".into(),
        selectable_fields: selectable.iter().map(ToString::to_string).collect(),
        printer_columns: columns
            .iter()
            .map(|(name, ty, path)| PrinterColumn {
                name: (*name).into(),
                ty: (*ty).into(),
                json_path: (*path).into(),
            })
            .collect(),
        ..resource("widgets", "Widget")
    }
}

#[test]
fn a_definition_that_changes_is_indexed_anew_without_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    store.put_resources(vec![widgets(&[".spec.nodeName"], &[])]).unwrap();
    let scope = store.ensure_scope(spec("widgets.example.com", None, "")).unwrap();
    let all: Vec<Pod> = pods(4)
        .into_iter()
        .map(|pod| Pod { phase: Some(format!("phase-{}", pod.rv)), node: Some("n1".into()), ..pod })
        .collect();
    load(&store, scope, &all, 10);
    let selected = |selector: &str| {
        let request = Request {
            resources: vec!["widgets.example.com".into()],
            field_selector: selector.into(),
            ..Request::default()
        };
        store.query(&request).map(|rows| rows.len())
    };
    assert_eq!(selected("spec.nodeName=n1").unwrap(), 4);
    assert!(matches!(selected("status.phase=phase-2"), Err(Error::UnknownField { .. })));

    // Until it is built, a part must not be taken for all.
    store.pause_builds(true).unwrap();
    let columns = [
        ("Tier", "integer", ".metadata.labels.tier"),
        ("Broken", "string", ".a{range}"),
        ("Age", "date", ".metadata.creationTimestamp"),
        ("Phase", "string", ".status.phase"),
    ];
    store.put_resources(vec![widgets(&[".status.phase"], &columns)]).unwrap();
    assert_eq!(selected("status.phase=phase-2").unwrap(), 1, "from the bodies");
    // The running writer builds it by itself.
    let ready = || {
        let fields = store.fields(Some("widgets.example.com")).unwrap();
        fields.iter().all(|field| field.ready) && !store.pause_builds(false).unwrap()
    };
    store.pause_builds(false).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !ready() {
        assert!(std::time::Instant::now() < end, "not built");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_sound(&store);
    assert_eq!(selected("status.phase=phase-2").unwrap(), 1);
    assert!(matches!(selected("spec.nodeName=n1"), Err(Error::UnknownField { .. })));
    let fields = store.fields(Some("widgets.example.com")).unwrap();
    let mine: Vec<_> = fields
        .iter()
        .filter(|field| field.source == "crd")
        .map(|field| (field.name.as_str(), field.ty.as_str(), field.aliases.join(",")))
        .collect();
    assert_eq!(
        mine,
        [("status.phase", "text", String::new()), ("metadata.labels.tier", "int", "tier".into())]
    );

    // The same again, and names alone: there is nothing to build.
    let names = |store: &Store| {
        let fields = store.fields(Some("widgets.example.com")).unwrap();
        fields.into_iter().map(|field| (field.name, field.aliases)).collect::<Vec<_>>()
    };
    let before = names(&store);
    store.put_resources(vec![widgets(&[".status.phase"], &columns)]).unwrap();
    assert!(!store.pause_builds(true).unwrap());
    assert_eq!(names(&store), before);
    let columns = [("Level", "integer", ".metadata.labels.tier")];
    store.put_resources(vec![widgets(&[".status.phase"], &columns)]).unwrap();
    assert!(!store.pause_builds(true).unwrap(), "nothing but a name changed");
    assert!(names(&store).contains(&("metadata.labels.tier".into(), vec!["level".into()])));
    assert_sound(&store);
}

#[test]
fn a_full_disk_in_the_middle_of_a_build_leaves_a_sound_file() {
    let folder = tempfile::tempdir().unwrap();
    let many: Vec<Pod> = (1..=600)
        .map(|n| Pod { note: "x".repeat(300), ..Pod::new(&format!("a/p{n:03}"), "u", n) })
        .collect();
    let (store, _) = loaded(&folder.path().join("x.db"), &many);
    store.limit_pages(1).unwrap();
    // Recording it may need a page as well.
    let recorded = store.index("pods", ".metadata.annotations.note", "text", None);
    if recorded.is_err() {
        store.limit_pages(0).unwrap();
        store.index("pods", ".metadata.annotations.note", "text", None).unwrap();
        store.limit_pages(1).unwrap();
    }
    let failed = (0..100).find_map(|_| store.build_step(100).err());
    assert!(matches!(failed, Some(Error::DiskFull(_))), "{failed:?}");
    assert_sound(&store);
    store.limit_pages(0).unwrap();
    while store.build_step(1000).unwrap() {}
    assert_sound(&store);
    assert!(field(&store, "metadata.annotations.note").unwrap().ready);
}
