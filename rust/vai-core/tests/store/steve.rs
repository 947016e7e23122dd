//! Rancher Steve's parameters, run whole: what comes back, in which order.
//!
//! The parameters are those of github.com/rancher/steve, README.md ("List-specific query
//! parameters"); orders and summaries those of its `pkg/sqlcache` (`informer/sqlgenerator.go`:
//! columns with COLLATE NOCASE, missing values as empty texts, labels `NULLS LAST`;
//! `informer/summary_fields.go`).

use serde_json::json;
use vai_core::Error;
use vai_core::query::{At, Partition, Request, Rows};
use vai_core::store::{Resource, Store};

use crate::bytes::{Pod, event};
use crate::file::{load, options, resource, spec, writer};

/// (key, phase, node, label tier, restarts, address)
const PODS: [(&str, &str, &str, &str, &str, &str); 6] = [
    ("default/beta", "Running", "N2", "web", "3", "10.0.0.10"),
    ("default/alpha", "Failed", "n1", "Db", "", "10.0.0.9"),
    ("p1-a/Gamma", "running", "", "db", "11", ""),
    ("p1-a/delta", "Running", "n10", "", "0", "fe80::1"),
    ("p1-b/alpha", "Pending", "N1", "", "", "9.1.1.1"),
    ("p2-a/omega", "Running", "n2", "cache", "2", "x"),
];

fn filled() -> (tempfile::TempDir, Store, i64) {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let namespaces = Resource { namespaced: false, ..resource("namespaces", "Namespace") };
    store.put_resources(vec![namespaces]).unwrap();
    let scope = store.ensure_scope(spec("namespaces", None, "")).unwrap();
    let items: Vec<_> = [
        ("default", "p0"),
        ("p1-a", "p1"),
        ("p1-b", "p1"),
        ("p2-a", "p2"),
        ("bare", ""),
    ]
    .iter()
    .map(|(name, project)| {
        let labels = if project.is_empty() {
            json!({})
        } else {
            json!({"field.cattle.io/projectId": project})
        };
        json!({"metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": labels}})
    })
    .collect();
    let listing = store.begin_list(scope).unwrap();
    listing.begin_page(false).unwrap();
    let page = json!({
        "kind": "NamespaceList", "apiVersion": "v1",
        "metadata": {"resourceVersion": "1"}, "items": items,
    });
    listing.push(page.to_string().as_bytes()).unwrap();
    listing.end_page().unwrap();
    listing.publish("1").unwrap();
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let mut pods: Vec<Pod> = PODS.iter().enumerate().map(|(at, row)| pod(at, row)).collect();
    pods.sort_by_key(Pod::key);
    load(&store, scope, &pods, 100);
    (folder, store, scope)
}

fn pod(at: usize, row: &(&str, &str, &str, &str, &str, &str)) -> Pod {
    let (key, phase, node, tier, restarts, address) = *row;
    let mut pod = Pod::new(key, &format!("u{at}"), at as u64 + 1);
    pod.phase = Some(phase.into());
    pod.node = (!node.is_empty()).then(|| node.into());
    if !tier.is_empty() {
        pod = pod.label("tier", tier);
    }
    let count = (!restarts.is_empty()).then(|| format!(r#","count":{restarts}"#));
    let address = (!address.is_empty()).then(|| format!(r#","address":"{address}""#));
    pod.spec = count.into_iter().chain(address).collect();
    pod
}

fn asked(steve: &str) -> Request {
    Request { resources: vec!["pods".into()], steve: steve.into(), ..Request::default() }
}

/// Names alone: they are told apart by their first two letters of namespace and name.
fn names(rows: &Rows) -> Vec<String> {
    rows.keys().map(str::to_owned).collect()
}

#[test]
fn orders_are_those_of_steve() {
    let (_folder, store, _) = filled();
    let [beta, alpha, gamma, delta, other, omega] = PODS.map(|row| row.0);
    for (steve, wanted) in [
        ("", [alpha, beta, gamma, delta, other, omega]),
        // Case counts for nothing, equal names go by namespace/name.
        ("sort=metadata.name", [alpha, other, beta, delta, gamma, omega]),
        ("sort=-metadata.name", [omega, gamma, delta, beta, alpha, other]),
        ("sort=metadata.namespace,-metadata.name", [beta, alpha, gamma, delta, other, omega]),
        // A missing text is the empty one: first ascending, last descending.
        ("sort=spec.nodeName", [gamma, alpha, other, delta, beta, omega]),
        ("sort=-spec.nodeName", [beta, omega, delta, alpha, other, gamma]),
        // Running and running are one.
        ("sort=status.phase,-metadata.name", [alpha, other, omega, gamma, delta, beta]),
        // Labels: what has none is behind all others, and before them descending.
        ("sort=metadata.labels[tier]", [omega, alpha, gamma, beta, delta, other]),
        ("sort=-metadata.labels.tier", [delta, other, beta, alpha, gamma, omega]),
        // Addresses by their value; what is none counts as missing: first ascending.
        ("sort=ip(spec.address)", [gamma, omega, other, alpha, beta, delta]),
        ("sort=ip(-spec.address)", [delta, beta, alpha, other, gamma, omega]),
        // A path that Steve has no column for: numbers by their value.
        ("sort=spec.count,metadata.name", [alpha, other, delta, omega, beta, gamma]),
    ] {
        assert_eq!(names(&store.query(&asked(steve)).unwrap()), wanted, "{steve}");
    }
}

#[test]
fn orders_hold_beside_another_resource_and_in_the_past() {
    let (_folder, store, scope) = filled();
    let secrets = store.ensure_scope(spec("secrets", None, "")).unwrap();
    let more = [("default/Bravo", "x", "", "", "", ""), ("default/zulu", "x", "", "", "", "")];
    let more: Vec<Pod> = more.iter().enumerate().map(|(at, row)| pod(20 + at, row)).collect();
    load(&store, secrets, &more, 100);
    let both = Request {
        resources: vec!["pods".into(), "secrets".into()],
        ..asked("sort=metadata.name,metadata.namespace")
    };
    let wanted = [
        "default/alpha",
        "p1-b/alpha",
        "default/beta",
        "default/Bravo",
        "p1-a/delta",
        "p1-a/Gamma",
        "p2-a/omega",
        "default/zulu",
    ];
    assert_eq!(names(&store.query(&both).unwrap()), wanted);
    let first = asked("sort=-metadata.name&pagesize=2");
    let page = store.query(&first).unwrap();
    let mut watch = store.begin_watch(scope, false).unwrap();
    for (at, row) in PODS.iter().enumerate() {
        let last = Pod { rv: 500 + at as u64, ..pod(at, row) };
        watch.push(&event(if at % 2 == 0 { "DELETED" } else { "MODIFIED" }, &last)).unwrap();
    }
    store.flush().unwrap();
    let cursor = page.cursor().unwrap().to_owned();
    let next = store.query(&Request { cursor, ..first }).unwrap();
    assert_eq!(names(&next), ["p1-a/delta", "default/beta"]);
}

#[test]
fn a_query_string_is_answered_whole() {
    let (_folder, store, _) = filled();
    let rows = |steve: &str| store.query(&asked(steve)).unwrap();
    for (steve, total, wanted) in [
        (
            "filter=metadata.name~A&sort=metadata.name&pagesize=2",
            6,
            &["default/alpha", "p1-b/alpha"][..],
        ),
        ("pagesize=4&page=2", 6, &["p1-b/alpha", "p2-a/omega"]),
        ("pagesize=4&page=3", 6, &[]),
        (
            "filter=status.phase=Running&filter=spec.nodeName!=n10",
            2,
            &["default/beta", "p2-a/omega"],
        ),
        ("filter=status.phase=Failed,status.phase=Pending", 2, &["default/alpha", "p1-b/alpha"]),
        (
            "filter=metadata.labels[tier] in (db,Db)&sort=-metadata.name",
            2,
            &["p1-a/Gamma", "default/alpha"],
        ),
        ("projectsornamespaces=p1", 3, &["p1-a/Gamma", "p1-a/delta", "p1-b/alpha"]),
        ("projectsornamespaces=p2,p1-b", 2, &["p1-b/alpha", "p2-a/omega"]),
        ("projectsornamespaces!=p1,default", 1, &["p2-a/omega"]),
        ("projectsornamespaces=nothing", 0, &[]),
        ("projectsornamespaces=p1&filter=metadata.name=delta&revision=100", 1, &["p1-a/delta"]),
    ] {
        let found = rows(steve);
        assert_eq!(
            (found.total(), names(&found)),
            (total, wanted.iter().map(ToString::to_string).collect()),
            "{steve}"
        );
    }
    let namespaces = Request {
        resources: vec!["namespaces".into()],
        ..asked("projectsornamespaces!=p1,p2-a&sort=-metadata.name")
    };
    assert_eq!(names(&store.query(&namespaces).unwrap()), ["default", "bare"]);
    let access = Some(vec![Partition { namespace: Some("p1-a".into()), names: None }].into());
    let seen = store
        .query(&Request { access, ..asked("projectsornamespaces=p1&sort=-metadata.name") })
        .unwrap();
    assert_eq!(names(&seen), ["p1-a/Gamma", "p1-a/delta"]);
}

#[test]
fn summaries_count_all_that_matches() {
    let (_folder, store, _) = filled();
    let summary = |steve: &str| store.query(&asked(steve)).unwrap().counted()["summary"].clone();
    assert_eq!(
        summary(
            "summary=metadata.labels[tier],status.phase&filter=metadata.namespace=p1-a&pagesize=1"
        ),
        json!([
            {"property": "metadata.labels[tier]", "counts": {"db": {"total": 1}}},
            {"property": "status.phase", "counts": {"Running": {"total": 1}, "running": {"total": 1}}},
        ])
    );
    let steve = "summary=status.phase&summaryonly&summarynamespaced&projectsornamespaces=p1,p2";
    assert_eq!(
        summary(steve),
        json!([{"property": "status.phase", "counts": {
            "Pending": {"total": 1, "namespace": {"p1-b": 1}},
            "Running": {"total": 2, "namespace": {"p1-a": 1, "p2-a": 1}},
            "running": {"total": 1, "namespace": {"p1-a": 1}},
        }}])
    );
    let rows = store.query(&asked(steve)).unwrap();
    assert_eq!((rows.len(), rows.total(), rows.cursor()), (0, 4, None));
    assert_eq!(summary("summary=spec.count")[0]["counts"]["11"], json!({"total": 1}));
}

#[test]
fn a_page_is_walked_on_from_where_it_ends() {
    let (_folder, store, _) = filled();
    let second = asked("sort=metadata.name&pagesize=2&page=2");
    let [_, _, beta, delta, gamma, omega] = [1, 4, 0, 3, 2, 5].map(|at: usize| PODS[at].0);
    let page = store.query(&second).unwrap();
    assert_eq!(names(&page), [beta, delta]);
    let cursor = page.cursor().unwrap().to_owned();
    // The list of the moment is made once: nothing is counted but the rows.
    for step in ["ordered", "list at hand"] {
        let cursor = cursor.clone();
        let third = store.query(&Request { cursor, explain: true, ..second.clone() }).unwrap();
        assert_eq!(
            (names(&third), third.total(), third.cursor()),
            (vec![gamma.into(), omega.into()], 6, None)
        );
        let steps = third.explain().unwrap()["steps"].to_string();
        assert!(steps.contains(step), "{step}: {steps}");
    }
    let all = store.query(&Request { explain: true, ..asked("pagesize=2") }).unwrap();
    let steps = all.explain().unwrap()["steps"].to_string();
    assert!(steps.contains("read in the order of keys"), "{steps}");
    assert_eq!((all.len(), all.total()), (2, 6));
}

#[test]
fn a_summary_adds_up_what_reads_alike_now_and_then() {
    let (_folder, store, scope) = filled();
    let counts = |at: Option<At>| {
        let steve = "summary=spec.count,spec.nodeName&summarynamespaced";
        let rows = store.query(&Request { at, ..asked(steve) }).unwrap();
        let summary = rows.counted()["summary"].clone();
        assert_eq!(summary[1]["property"], "spec.nodeName");
        assert_eq!(summary[1]["counts"][""], serde_json::Value::Null, "an empty text is missing");
        summary[0]["counts"]["3"].clone()
    };
    let (epoch, seq) = store.position().unwrap();
    let mut watch = store.begin_watch(scope, false).unwrap();
    // A number and a text: two values.
    for (at, key, count) in [(10, "default/x", "\"3\""), (11, "p1-a/y", "3"), (12, "p1-a/z", "3.0")]
    {
        let added = Pod { rv: 200 + at as u64, ..pod(at, &(key, "Running", "", "", count, "")) };
        watch.push(&event("ADDED", &added)).unwrap();
    }
    store.flush().unwrap();
    let now = counts(None);
    assert_eq!(now["total"], 4);
    assert_eq!(now["namespace"], json!({"default": 2, "p1-a": 2}));
    let then = counts(Some(At::Position { epoch, seq }));
    assert_eq!(then, json!({"total": 1, "namespace": {"default": 1}}));
}

#[test]
fn what_steve_refuses_is_refused() {
    let (_folder, store, _) = filled();
    let refused = |steve: &str| store.query(&asked(steve)).err().unwrap();
    assert!(
        matches!(refused("revision=101"), Error::Stale(text) if text.contains("unknown revision 101"))
    );
    assert!(matches!(refused("sort=nowhere"), Error::UnknownField { .. }));
    assert!(matches!(refused("filter=metadata.name="), Error::Expression { .. }));
    assert!(matches!(refused("pagesize=x"), Error::Expression { .. }));
    assert!(matches!(refused("summaryonly"), Error::Expression { .. }));
    let folder = tempfile::tempdir().unwrap();
    let bare = writer(&folder.path().join("y.db"), options());
    let scope = bare.ensure_scope(spec("pods", None, "")).unwrap();
    load(&bare, scope, &[], 1);
    let unknown = bare.query(&asked("projectsornamespaces=p1")).err().unwrap();
    assert!(unknown.to_string().contains("namespaces"), "{unknown}");
}
