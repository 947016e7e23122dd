//! Orders, counts and sums by paths that are not indexed: read from the bodies of what matches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value as Json, json};
use vai_core::Error;
use vai_core::query::{At, Distinct, Group, Partition, Request, Rows};
use vai_core::store::{Mode, Options, Store};

use crate::bytes::{Pod, event};
use crate::file::{load, options, reader, spec, writer};

fn pod(number: usize, size: Option<&str>) -> Pod {
    let namespace = ["a", "b", "c"][number % 3];
    let mut pod = Pod::new(&format!("{namespace}/p{number:04}"), &format!("u{number}"), 1);
    pod.rv = number as u64 + 1;
    pod.spec = size.map_or_else(String::new, |size| format!(r#","size":{size}"#));
    pod.node = Some(format!("n{}", number % 7));
    pod
}

fn filled(pods: &[Pod]) -> (tempfile::TempDir, Store, i64) {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, pods, 100_000);
    (folder, store, scope)
}

fn pods() -> Request {
    Request { resources: vec!["pods".into()], ..Request::default() }
}

fn by(keys: &[&str]) -> Request {
    Request { sort: keys.iter().map(ToString::to_string).collect(), ..pods() }
}

fn keys(rows: &Rows) -> Vec<String> {
    rows.keys().map(str::to_owned).collect()
}

fn sizes(rows: &Rows) -> Vec<Json> {
    let body = |at| serde_json::from_slice::<Json>(&rows.row(at).unwrap().body().unwrap()).unwrap();
    (0..rows.len()).map(|at| body(at)["spec"]["size"].clone()).collect()
}

/// Whole numbers, spread.
fn spread(number: usize) -> usize {
    number * 7919 % 1009
}

#[test]
fn what_nobody_said_the_type_of_sorts_as_json_has_it() {
    let written = ["false", "true", "-3", "2", "2.50", "10", "\"10\"", "\"2\"", "\"B\"", "\"a\""];
    let missing = [Some("null"), Some("\"\""), Some("{\"a\":1}"), Some("[]"), None];
    let mut all: Vec<Pod> = written
        .iter()
        .rev()
        .map(|size| Some(*size))
        .chain(missing)
        .enumerate()
        .map(|(number, size)| pod(number, size))
        .collect();
    all.sort_by_key(Pod::key);
    let (_folder, store, _) = filled(&all);
    let wanted: Vec<Json> =
        written.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let up = store.query(&by(&[".spec.size"])).unwrap();
    assert_eq!(sizes(&up)[..written.len()], wanted);
    let down = store.query(&by(&["-.spec.size"])).unwrap();
    let reversed: Vec<Json> = wanted.iter().rev().cloned().collect();
    assert_eq!(sizes(&down)[..written.len()], reversed);
    // What has none comes last either way, by its key.
    assert_eq!(keys(&up)[written.len()..], keys(&down)[written.len()..]);
    assert!(keys(&up)[written.len()..].is_sorted());
    // Said to be numbers, texts are read as such; the others count as missing.
    let numbers = store.query(&by(&["number(.spec.size)"])).unwrap();
    assert_eq!(sizes(&numbers)[..5], [json!(-3), json!(2), json!("2"), json!(2.50), json!("10")]);
    let texts = store.query(&by(&["text(.spec.size)"])).unwrap();
    assert_eq!(sizes(&texts)[..3], [json!(-3), json!("10"), json!(10)]);
}

#[test]
fn an_order_by_bodies_is_that_of_an_index_on_every_page() {
    let all: Vec<Pod> = (0..1500)
        .map(|number| {
            let size = spread(number).to_string();
            pod(number, (number % 5 > 0).then_some(size.as_str()))
        })
        .collect();
    let (_folder, store, _) = filled(&all);
    let access = [
        Partition { namespace: Some("a".into()), names: None },
        Partition { namespace: Some("c".into()), names: Some(vec!["p0002".into()]) },
    ];
    let access = Some(access.into_iter().collect());
    let asked: Vec<Request> = [
        by(&[".spec.size"]),
        by(&["-.spec.size", "-name"]),
        by(&["node", "-number(.spec.size)"]),
        Request { offset: 700, limit: 31, ..by(&["-.spec.size"]) },
        Request { offset: 3, ..by(&["namespace", ".spec.size"]) },
        Request { access, ..by(&["-.spec.size"]) },
        Request {
            condition: ".spec.size > 500 and .spec.nodeName != n3".into(),
            ..by(&[".spec.size"])
        },
    ]
    .into();
    let before: Vec<Vec<String>> =
        asked.iter().map(|request| keys(&store.query(request).unwrap())).collect();
    let counted = Request {
        facets: vec![".spec.size".into()],
        facet_limit: 2000,
        distinct: Some(Distinct { field: ".spec.size".into(), prefix: "1".into(), limit: 40 }),
        group: Some(Group {
            by: vec!["node".into()],
            sum: vec![".spec.size".into()],
            min: vec![".spec.size".into()],
            max: vec![".spec.size".into()],
        }),
        ..pods()
    };
    let counts = store.query(&counted).unwrap().counted().clone();
    let sum: i64 = counts["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["sum"][".spec.size"].as_i64().unwrap())
        .sum();
    let wanted: usize = (0..1500).filter(|number| number % 5 > 0).map(spread).sum();
    assert_eq!(usize::try_from(sum).unwrap(), wanted);
    assert_eq!(counts["facets"][".spec.size"]["missing"], 300);
    // While it is built it is read from the bodies as well.
    store.pause_builds(true).unwrap();
    store.index("pods", ".spec.size", "number", None).unwrap();
    for (request, before) in asked.iter().zip(&before) {
        assert_eq!(keys(&store.query(request).unwrap()), *before, "building: {request:?}");
    }
    while store.build_step(1000).unwrap() {}
    for (request, before) in asked.iter().zip(&before) {
        let rows = store.query(request).unwrap();
        assert_eq!(keys(&rows), *before, "indexed: {request:?}");
    }
    assert_eq!(*store.query(&counted).unwrap().counted(), counts);
}

/// Texts, and what is none: the same is there whoever looks for it.
#[test]
fn what_is_there_does_not_depend_on_an_index() {
    let written = [
        "\"a\"",
        "\"ab\"",
        "\"\"",
        "null",
        "{}",
        "{\"a\":1}",
        "[]",
        "[\"a\"]",
        "[\"a\",{}]",
        "3",
        "true",
    ];
    let size = |number: usize| written.get(number % (written.len() + 1)).copied();
    let all: Vec<Pod> = (0..60).map(|number| pod(number, size(number))).collect();
    let (folder, store, scope) = filled(&all);
    let first = store.position().unwrap();
    let conditions: Vec<String> = [".spec.size", ".spec.size[*]", ".spec.size.a"]
        .iter()
        .flat_map(|path| {
            [
                format!("exists {path}"),
                format!("not exists {path}"),
                format!("{path} != a"),
                format!("not {path} = a"),
                format!("all({path}) startswith a"),
                format!("not all({path}) in (a, 3)"),
                format!("exists {path} and {path} notin (ab)"),
            ]
        })
        .collect();
    let found = |store: &Store, at: Option<At>| -> Vec<Vec<String>> {
        let asked = conditions.iter().map(|condition| Request {
            condition: condition.clone(),
            at,
            ..pods()
        });
        asked.map(|request| keys(&store.query(&request).unwrap())).collect()
    };
    let before = found(&store, None);
    assert_eq!(before[0].len(), (0..60).filter(|n| !matches!(n % 12, 2 | 3 | 11)).count());
    store.pause_builds(true).unwrap();
    for (path, many) in
        [(".spec.size", None), (".spec.size[*]", None), (".spec.size.a", Some(true))]
    {
        store.index("pods", path, "text", many).unwrap();
    }
    assert_eq!(found(&store, None), before, "building");
    while store.build_step(1000).unwrap() {}
    assert_eq!(found(&store, None), before, "indexed");
    // What is in memory follows, and says the same as what is read anew.
    let mut watching = store.begin_watch(scope, false).unwrap();
    for number in 0..20 {
        let next = Pod { rv: 100_000 + number as u64, ..pod(number, size(number + 5)) };
        watching.push(&event(if number % 6 == 0 { "DELETED" } else { "MODIFIED" }, &next)).unwrap();
    }
    store.flush().unwrap();
    let after = found(&store, None);
    assert_ne!(after, before);
    assert_eq!(found(&reader(&folder.path().join("x.db")), None), after, "loaded");
    let then = Some(At::Position { epoch: first.0, seq: first.1 });
    assert_eq!(found(&store, then), before, "the past");
    for path in [".spec.size", ".spec.size[*]", ".spec.size.a"] {
        store.unindex("pods", path).unwrap();
    }
    assert_eq!(found(&store, None), after, "scanned again");
}

#[test]
fn explain_says_what_was_scanned_and_what_would_spare_it() {
    let all: Vec<Pod> = (0..60).map(|number| pod(number, Some("1"))).collect();
    let (_folder, store, _) = filled(&all);
    let told = |request: Request| {
        store.query(&Request { explain: true, ..request }).unwrap().explain().unwrap().clone()
    };
    let scanned = |told: &Json| -> Vec<u64> {
        let steps = told["steps"].as_array().unwrap().iter();
        let scans = steps.filter(|step| step["step"].as_str().unwrap().contains("bodies scanned"));
        scans.map(|step| step["rows"].as_u64().unwrap()).collect()
    };
    let one =
        told(Request { namespaces: Some(vec!["a".into()]), ..by(&["-quantity(.spec.size)"]) });
    assert_eq!(scanned(&one), [20], "{one}");
    assert_eq!(
        one["advice"],
        json!(["cache.index(\"pods\", \".spec.size\", type=\"quantity\") would index .spec.size"])
    );
    assert_eq!(one["resources"][0]["not_indexed"], json!(["quantity(.spec.size)"]));
    // One visit for condition, order and counts.
    let all = told(Request {
        condition: ".spec.size = 1".into(),
        facets: vec![".spec.address".into()],
        ..by(&[".spec.size"])
    });
    assert_eq!(scanned(&all), [60], "{all}");
    store.pause_builds(true).unwrap();
    store.index("pods", ".spec.size", "int", None).unwrap();
    let building = told(by(&[".spec.size"]));
    assert_eq!(scanned(&building), [60]);
    assert!(building["advice"][0].as_str().unwrap().contains("being built"), "{building}");
    while store.build_step(100).unwrap() {}
    assert_eq!(scanned(&told(by(&[".spec.size"]))), Vec::<u64>::new());
}

#[test]
fn a_walk_by_a_path_shows_the_moment_of_its_first_page() {
    let all: Vec<Pod> =
        (0..300).map(|number| pod(number, Some(&(number % 17).to_string()))).collect();
    let (folder, store, scope) = filled(&all);
    let path = folder.path().join("x.db");
    let request = Request { limit: 40, ..by(&["-.spec.size", ".spec.nodeName"]) };
    let first = store.position().unwrap();
    let whole = keys(&store.query(&Request { limit: 0, ..request.clone() }).unwrap());
    let mut watching = store.begin_watch(scope, false).unwrap();
    let mut page = store.query(&request).unwrap();
    let (mut found, mut rv) = (keys(&page), 200_000);
    while let Some(cursor) = page.cursor() {
        for number in 0..15 {
            rv += 1;
            let which = usize::try_from(rv * 13 % 300).unwrap();
            let next = Pod { rv, ..pod(which, Some(&(rv % 23).to_string())) };
            let kind = if number % 4 == 0 { "DELETED" } else { "MODIFIED" };
            watching.push(&event(kind, &next)).unwrap();
        }
        store.flush().unwrap();
        page = reader(&path).query(&Request { cursor: cursor.into(), ..request.clone() }).unwrap();
        found.extend(keys(&page));
    }
    assert_eq!(found, whole);
    let at = Some(At::Position { epoch: first.0, seq: first.1 });
    let past = store.query(&Request { at, limit: 0, ..request.clone() }).unwrap();
    assert_eq!(keys(&past), whole);
    let counted = Request { at, facets: vec![".spec.size".into()], limit: 1, ..pods() };
    let facet = store.query(&counted).unwrap().counted()["facets"][".spec.size"].clone();
    assert_eq!(
        (facet["distinct"].clone(), facet["values"][0]["count"].clone()),
        (json!(17), json!(18))
    );
}

#[test]
fn a_cursor_ends_when_its_order_comes_to_mean_another() {
    let all: Vec<Pod> =
        (0..30).map(|number| pod(number, Some(&format!("\"{number}Mi\"")))).collect();
    let (_folder, store, _) = filled(&all);
    let request = Request { limit: 10, ..by(&[".spec.size"]) };
    let cursor = store.query(&request).unwrap().cursor().unwrap().to_owned();
    store.index("pods", ".spec.size", "quantity", None).unwrap();
    while store.build_step(100).unwrap() {}
    let next = store.query(&Request { cursor, ..request });
    assert!(
        matches!(&next, Err(Error::Cursor(text)) if text.contains("another type")),
        "{:?}",
        next.err()
    );
}

#[test]
fn several_resources_are_in_one_order_whoever_has_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    for (resource, first) in [("pods", 0), ("secrets", 1)] {
        let scope = store.ensure_scope(spec(resource, None, "")).unwrap();
        let all: Vec<Pod> = (0..40)
            .map(|number| 2 * number + first)
            .map(|number| Pod {
                node: Some(format!("n{:03}", spread(number) % 50)),
                ..pod(number, Some(&spread(number).to_string()))
            })
            .collect();
        load(&store, scope, &all, 100_000);
    }
    store.index("pods", ".spec.size", "int", None).unwrap();
    while store.build_step(100).unwrap() {}
    let both =
        |keys: &[&str]| Request { resources: vec!["pods".into(), "secrets".into()], ..by(keys) };
    // Of pods an index of integers, of secrets their bodies.
    let numbers = sizes(&store.query(&both(&["-.spec.size"])).unwrap());
    assert_eq!(numbers.len(), 80);
    assert!(numbers.is_sorted_by_key(|size| std::cmp::Reverse(size.as_i64())), "{numbers:?}");
    let counted =
        Request { facets: vec![".spec.nodeName".into(), ".spec.size".into()], ..both(&[]) };
    let facets = store.query(&counted).unwrap().counted()["facets"].clone();
    assert_eq!(facets[".spec.nodeName"]["missing"], 0);
    let distinct: std::collections::BTreeSet<_> = (0..80).map(|n| spread(n) % 50).collect();
    assert_eq!(facets[".spec.nodeName"]["distinct"], distinct.len());
    store.index("secrets", ".spec.size", "number", None).unwrap();
    while store.build_step(100).unwrap() {}
    let mixed = sizes(&store.query(&both(&[".spec.size"])).unwrap());
    assert!(mixed.is_sorted_by_key(Json::as_i64), "int beside number: {mixed:?}");
}

#[test]
fn what_is_added_up_counts_each_value_and_says_what_it_can_not_add() {
    let all: Vec<Pod> = (0..4)
        .map(|number| Pod {
            spec: format!(
                r#","claims":[{{"size":"1Gi"}},{{"size":"1Gi"}},{{"size":"512Mi"}}],"n":{number},"odd":"{number}x""#
            ),
            ..pod(number, None)
        })
        .collect();
    let (_folder, store, _) = filled(&all);
    let group = |sum: &str| Request {
        group: Some(Group {
            by: vec!["metadata.namespace".into()],
            sum: vec![sum.into()],
            ..Group::default()
        }),
        ..pods()
    };
    let sums = |sum: &str| -> Vec<Json> {
        let rows = store.query(&group(sum)).unwrap();
        rows.counted()["groups"].as_array().unwrap().iter().map(|g| g["sum"][sum].clone()).collect()
    };
    let claims = "quantity(.spec.claims[*].size)";
    assert_eq!(sums(claims), ["5Gi", "2560Mi", "2560Mi"]);
    assert_eq!(sums(".spec.n"), [3, 1, 2]);
    let refused = |sum: &str| store.query(&group(sum)).err().unwrap().to_string();
    let text = refused(".spec.odd");
    assert!(text.contains("in a/p0000 it is \"0x\"") && text.contains("quantity("), "{text}");
    assert!(refused("text(.spec.odd)").contains("can't add up"));
    // An index of several values has equal ones once; the sum does not change by it.
    store.index("pods", ".spec.claims[*].size", "quantity", None).unwrap();
    while store.build_step(100).unwrap() {}
    assert_eq!(sums(claims), ["5Gi", "2560Mi", "2560Mi"]);
}

#[test]
fn an_order_by_bodies_ends_when_nobody_waits_for_it() {
    let all: Vec<Pod> = (0..20).map(|number| pod(number, Some("1"))).collect();
    let (folder, store, _) = filled(&all);
    let ended = store.query_while(&by(&[".spec.size"]), &|| false);
    assert!(matches!(ended, Err(Error::Interrupted)));
    let hasty = Options { query_timeout: std::time::Duration::ZERO, ..options() };
    let hasty = Store::open(&folder.path().join("x.db"), Mode::Reader, hasty).unwrap();
    let late = hasty.query(&by(&[".spec.size"]));
    assert!(matches!(late, Err(Error::QueryTimeout(_))), "{:?}", late.err());
}

#[test]
fn a_scan_that_takes_too_long_ends_at_its_deadline_and_disturbs_nobody() {
    // Of 20 KB each, so that there is something to read.
    let filler = format!(r#","filler":[{}0]"#, "{\"a\":1},".repeat(2_500));
    let large = |number| {
        let one = pod(number, Some("1"));
        Pod { spec: one.spec.clone() + &filler, ..one }
    };
    let all: Vec<Pod> = (0..2_000).map(large).collect();
    let (folder, store, scope) = filled(&all);
    let path = folder.path().join("x.db");
    let scan = Request { condition: ".spec.size icontains nobody".into(), ..pods() };
    let started = Instant::now();
    assert_eq!(store.query(&scan).unwrap().total(), 0);
    let whole = started.elapsed();
    let limit = whole / 4;
    let hurried = Options { query_timeout: limit, ..options() };
    let hurried = Store::open(&path, Mode::Reader, hurried).unwrap();
    let page = Request { limit: 10, ..by(&["-name"]) };
    hurried.query(&page).unwrap();
    let ended = AtomicBool::new(false);
    let (late, took, others) = std::thread::scope(|threads| {
        let others = threads.spawn(|| {
            let mut pages = 0;
            while !ended.load(Ordering::Relaxed) {
                assert_eq!(hurried.query(&page).unwrap().len(), 10);
                pages += 1;
            }
            pages
        });
        let started = Instant::now();
        let late = hurried.query(&scan);
        let took = started.elapsed();
        ended.store(true, Ordering::Relaxed);
        (late, took, others.join().unwrap())
    });
    let Err(Error::QueryTimeout(said)) = late else { panic!("{:?}", late.err()) };
    assert!((said - limit.as_secs_f64()).abs() < 1e-6);
    assert!(limit <= took && took < limit + whole / 4, "{took:?} of {limit:?}, whole {whole:?}");
    assert!(others > 0);
    // The same handle goes on answering, and follows what is written.
    let mut watching = store.begin_watch(scope, false).unwrap();
    watching.push(&event("DELETED", &Pod { rv: 100_000, ..pod(0, None) })).unwrap();
    store.flush().unwrap();
    assert_eq!(hurried.query(&page).unwrap().total(), all.len() - 1);
}

#[test]
fn addresses_in_texts_sort_as_addresses() {
    let hosts = ["10.0.0.9", "10.0.0.10", "fe80::1", "9.255.0.1", "nonsense"];
    let all: Vec<Pod> = hosts
        .iter()
        .enumerate()
        .map(|(number, host)| Pod {
            node: Some((*host).into()),
            spec: format!(r#","address":"{host}""#),
            ..pod(number, None)
        })
        .collect();
    let (_folder, store, _) = filled(&all);
    let wanted = ["c/p0003", "a/p0000", "b/p0001", "c/p0002", "b/p0004"];
    let wanted = wanted.map(|key| {
        let number: usize = key[3..].parse().unwrap();
        all[number].key()
    });
    for key in ["ip(nodeName)", "ip(.spec.address)"] {
        assert_eq!(keys(&store.query(&by(&[key])).unwrap()), wanted, "{key}");
    }
}
