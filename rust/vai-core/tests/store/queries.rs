//! Queries while the file changes, and questions that make no sense.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vai_core::Error;
use vai_core::query::{At, Partition, Request};
use vai_core::store::Store;

use crate::bytes::{Pod, event};
use crate::file::{load, options, reader, resource, spec, writer};

const PODS: u64 = 300;

fn pod(number: u64, rv: u64) -> Pod {
    let namespace = ["a", "b", "c"][usize::try_from(number % 3).unwrap()];
    let mut pod = Pod::new(&format!("{namespace}/p{number:03}"), &format!("u{number}"), rv)
        .label("turn", &(rv % 5).to_string());
    pod.node = Some(format!("n{}", rv % 7));
    pod
}

fn filled() -> (tempfile::TempDir, Store, i64) {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let pods: Vec<Pod> = (0..PODS).map(|number| pod(number, number + 1)).collect();
    load(&store, scope, &pods, PODS);
    (folder, store, scope)
}

fn pods() -> Request {
    Request { resources: vec!["pods".into()], ..Request::default() }
}

/// Whether an answer is one moment: its rows have what was asked for, and all adds up.
fn check_one_moment(store: &Store, round: u64) {
    let turn = (round % 5).to_string();
    let request = Request {
        label_selector: format!("turn={turn}"),
        sort: vec!["-nodeName".into()],
        facets: vec!["nodeName".into(), "labels[turn]".into()],
        ..pods()
    };
    let rows = store.query(&request).unwrap();
    let mut nodes = Vec::new();
    for index in 0..rows.len() {
        let body: serde_json::Value =
            serde_json::from_slice(&rows.row(index).unwrap().body().unwrap()).unwrap();
        assert_eq!(body["metadata"]["labels"]["turn"], turn.as_str());
        nodes.push(body["spec"]["nodeName"].as_str().unwrap().to_owned());
    }
    assert!(nodes.is_sorted_by(|a, b| a >= b), "{nodes:?}");
    let facets = &rows.counted()["facets"];
    let counts = |name: &str| -> u64 {
        let values = facets[name]["values"].as_array().unwrap();
        values.iter().map(|value| value["count"].as_u64().unwrap()).sum()
    };
    let total = rows.total() as u64;
    assert_eq!(
        (rows.len() as u64, counts("nodeName"), counts("labels[turn]")),
        (total, total, total)
    );
}

#[test]
fn every_answer_is_one_moment_while_the_writer_writes() {
    let (folder, store, scope) = filled();
    let other = reader(&folder.path().join("x.db"));
    let (first, then) = (store.position().unwrap(), store.query(&pods()).unwrap());
    let ended = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let (ended, store) = (&ended, &store);
        for (number, reading) in [store, store, &other].into_iter().enumerate() {
            threads.spawn(move || {
                let mut round = number as u64;
                while !ended.load(Ordering::Relaxed) {
                    check_one_moment(reading, round);
                    round += 1;
                }
            });
        }
        threads.spawn(|| {
            // What was there at first stays what was there at first.
            let at = Some(At::Position { epoch: first.0, seq: first.1 });
            let keys: Vec<&str> = then.keys().collect();
            while !ended.load(Ordering::Relaxed) {
                let past = other.query(&Request { at, ..pods() }).unwrap();
                assert_eq!(past.keys().collect::<Vec<_>>(), keys);
                assert_eq!(
                    past.row(7).unwrap().body().unwrap(),
                    then.row(7).unwrap().body().unwrap()
                );
            }
        });
        let mut watching = store.begin_watch(scope, false).unwrap();
        let until = Instant::now() + Duration::from_secs(2);
        let mut rv = PODS;
        while Instant::now() < until {
            let mut frames = Vec::new();
            for _ in 0..20 {
                rv += 1;
                let number = rv * 7 % PODS;
                let kind = if rv.is_multiple_of(11) { "DELETED" } else { "MODIFIED" };
                frames.extend(event(kind, &pod(number, rv)));
            }
            watching.push(&frames).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        store.flush().unwrap();
        ended.store(true, Ordering::Relaxed);
    });
    assert!(store.position().unwrap().1 > first.1 + 100, "the writer wrote");
}

#[test]
fn a_walk_by_cursor_shows_the_moment_of_its_first_page() {
    let (folder, store, scope) = filled();
    let path = folder.path().join("x.db");
    let request = Request { limit: 40, sort: vec!["-labels[turn]".into()], ..pods() };
    let whole = store.query(&Request { limit: 0, ..request.clone() }).unwrap();
    let wanted: Vec<Vec<u8>> =
        (0..whole.len()).map(|index| whole.row(index).unwrap().body().unwrap()).collect();
    let mut watching = store.begin_watch(scope, false).unwrap();
    let mut found = Vec::new();
    let mut page = store.query(&request).unwrap();
    let mut rv = 1000;
    loop {
        found.extend((0..page.len()).map(|index| page.row(index).unwrap().body().unwrap()));
        let Some(cursor) = page.cursor() else { break };
        for number in 0..20 {
            rv += 1;
            let kind = if number % 4 == 0 { "DELETED" } else { "MODIFIED" };
            watching.push(&event(kind, &pod(rv * 13 % PODS, rv))).unwrap();
        }
        store.flush().unwrap();
        // Another process knows nothing but the token.
        let other = reader(&path);
        page = other.query(&Request { cursor: cursor.into(), ..request.clone() }).unwrap();
        assert_eq!(page.total(), wanted.len());
    }
    assert!(found == wanted, "{} of {} rows", found.len(), wanted.len());
}

/// Of two scopes that know the answer the one that is further on is read, which may be another one
/// when the second page is asked for.
#[test]
fn a_walk_by_cursor_goes_on_in_the_scopes_of_its_first_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = writer(&path, options());
    let (all, one) = (
        store.ensure_scope(spec("pods", None, "")).unwrap(),
        store.ensure_scope(spec("pods", Some("a"), "")).unwrap(),
    );
    let early: Vec<Pod> = (0..4).map(|number| pod(number * 3, 1)).collect();
    let late: Vec<Pod> = (2..9).map(|number| pod(number * 3, 2)).collect();
    load(&store, one, &late, 2);
    load(&store, all, &early, 3);
    let request = Request { limit: 3, namespaces: Some(vec!["a".to_owned()]), ..pods() };
    let first = store.query(&request).unwrap();
    assert_eq!((first.total(), first.scopes()), (4, &[all][..]));
    let next = Request { cursor: first.cursor().unwrap().into(), ..request };
    load(&store, one, &late, 4);
    for reading in [&store, &reader(&path)] {
        let page = reading.query(&next).unwrap();
        assert_eq!(page.keys().collect::<Vec<_>>(), ["a/p009"]);
        assert_eq!((page.total(), page.scopes()), (4, &[all][..]));
    }
    store.forget(all).unwrap();
    let gone = store.query(&next).map(|page| page.total());
    assert!(matches!(gone, Err(Error::Cursor(_) | Error::Expired { .. })), "{gone:?}");
}

/// A larger scope that is listed meanwhile had nothing at that moment.
#[test]
fn a_walk_by_cursor_does_not_go_on_in_a_scope_that_was_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    for namespace in ["a", "b"] {
        let scope = store.ensure_scope(spec("pods", Some(namespace), "")).unwrap();
        let kept: Vec<Pod> = (0..6).map(|number| pod(number, 1)).collect();
        load(&store, scope, kept.iter().filter(|pod| pod.namespace == namespace), 2);
    }
    let request = Request { limit: 3, ..pods() };
    let first = store.query(&request).unwrap();
    let all = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, all, &[pod(7, 3)], 3);
    let next = Request { cursor: first.cursor().unwrap().into(), ..request };
    let page = store.query(&next).unwrap();
    assert_eq!((page.keys().collect::<Vec<_>>(), page.total()), (vec!["b/p004"], 4));
}

#[test]
fn walks_of_one_moment_that_count_ages_from_other_times_keep_their_lists() {
    const MINUTE: i64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    // Behind all that is written here.
    let begin = jiff::Timestamp::now().as_second() + 24 * 60 * MINUTE;
    let made = |minute: i64| {
        let at = jiff::Timestamp::from_second(begin + minute * MINUTE).unwrap();
        let pod = Pod::new(&format!("a/p{minute:03}"), &format!("u{minute}"), 1);
        Pod { spec: format!(r#","made":"{at}""#), ..pod }
    };
    load(&store, scope, &(0..120).map(made).collect::<Vec<_>>(), 1000);
    let half_an_hour_before = |minute: i64| Request {
        condition: "age(.spec.made) < 30m and age(.spec.made) >= 0s".into(),
        at: Some(At::Time { time_ms: (begin + minute * MINUTE) * 1000 }),
        limit: 20,
        ..pods()
    };
    let first = [60, 100].map(|minute| store.query(&half_an_hour_before(minute)).unwrap());
    for (page, last) in first.iter().zip(["a/p060", "a/p100"]) {
        let cursor = page.cursor().unwrap().to_owned();
        let next = store.query(&Request { cursor, at: None, ..half_an_hour_before(0) }).unwrap();
        assert_eq!((page.len(), next.len(), next.total()), (20, 10, 30));
        assert_eq!(next.keys().last(), Some(last));
    }
}

#[test]
fn a_cursor_over_many_resources_and_orders_is_short_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let names: Vec<String> = (0..30).map(|number| format!("things{number:02}")).collect();
    for name in &names {
        store.put_resources(vec![resource(name, "Thing")]).unwrap();
        let scope = store.ensure_scope(spec(name, None, "")).unwrap();
        load(&store, scope, &[pod(0, 1), pod(1, 2)], 10);
    }
    let sort =
        [".a", "number(.b)", "quantity(.c)", "time(.d)", "duration(.e)", "-ip(.f)", ".g", "name"];
    let request = Request {
        resources: names,
        sort: sort.map(str::to_owned).into(),
        limit: 25,
        ..Request::default()
    };
    let (mut page, mut found) = (store.query(&request).unwrap(), 0);
    loop {
        found += page.len();
        let Some(cursor) = page.cursor() else { break };
        assert!(cursor.len() < 1024, "{} characters", cursor.len());
        page = store.query(&Request { cursor: cursor.into(), ..request.clone() }).unwrap();
    }
    assert_eq!(found, 60);
}

#[test]
fn fetching_bodies_ends_when_nobody_waits_for_them() {
    let (_folder, store, _) = filled();
    let request = Request { condition: "exists nodeName".into(), ..pods() };
    assert_eq!(store.query_while(&request, &|| true).unwrap().len() as u64, PODS);
    assert!(matches!(store.query_while(&request, &|| false), Err(Error::Interrupted)));
    // A page is read at once.
    assert_eq!(store.query_while(&Request { limit: 50, ..request }, &|| false).unwrap().len(), 50);
}

#[test]
fn a_scan_of_bodies_ends_when_nobody_waits_for_it() {
    let (_folder, store, _) = filled();
    let request = Request { condition: ".spec.nodeName2 = x".into(), ..pods() };
    assert_eq!(store.query_while(&request, &|| true).unwrap().total(), 0);
    let ended = store.query_while(&request, &|| false);
    assert!(matches!(ended, Err(Error::Interrupted)));
}

/// A list that is long enough for two threads, while the writer goes on: both show one moment.
#[test]
fn a_long_list_is_of_one_moment_whatever_is_written() {
    const MANY: u64 = 6_000;
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let all: Vec<Pod> = (0..MANY).map(|number| pod(number, number + 1)).collect();
    load(&store, scope, &all, MANY);
    let versions = |rows: &vai_core::query::Rows| -> Vec<(String, String)> {
        let row = |at| rows.row(at).unwrap();
        let one = |at| (row(at).key().to_owned(), row(at).resource_version().to_owned());
        (0..rows.len()).map(one).collect()
    };
    let ended = AtomicBool::new(false);
    let differ = std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut watching = store.begin_watch(scope, false).unwrap();
            let mut rv = MANY;
            while !ended.load(Ordering::Relaxed) {
                rv += 1;
                let kind = if rv.is_multiple_of(3) { "DELETED" } else { "MODIFIED" };
                watching.push(&event(kind, &pod(rv * 2_654_435_761 % MANY, rv))).unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        let differ = (0..20).find_map(|_| {
            let found = store.query(&pods()).unwrap();
            // The same moment in another way.
            let at = Some(At::Position { epoch: found.epoch(), seq: found.seq() });
            let then = store.query(&Request { at, ..pods() }).unwrap();
            let same = found.total() == found.len() && versions(&found) == versions(&then);
            (!same).then(|| (found.total(), found.len(), then.len()))
        });
        ended.store(true, Ordering::Relaxed);
        differ
    });
    assert_eq!(differ, None);
}

/// Lists as long as one another that differ in one namespace or in one name, asked for in turn while
/// objects come and go: each is told what its own list allows, from memory as from a new handle.
#[test]
fn nobody_is_told_what_another_list_of_the_same_length_allows() {
    let (folder, store, scope) = filled();
    let path = folder.path().join("x.db");
    let space = |name: &str| Partition { namespace: Some(name.into()), names: None };
    let named = |name: &str| Partition {
        namespace: Some("b".into()),
        names: Some(vec!["p001".into(), name.into()]),
    };
    let nobody = || (0..5_000).map(|number| space(&format!("nobody-{number:04}")));
    let lists: Vec<Vec<Partition>> = ["a", "b", "c", "x"]
        .into_iter()
        .map(|name| nobody().chain([space(name)]).collect())
        .chain(["p004", "p007", "q004"].map(|name| nobody().chain([named(name)]).collect()))
        .collect();
    let allows = |list: &[Partition], key: &str| {
        let (namespace, name) = key.split_once('/').unwrap();
        list.iter().any(|part| {
            part.namespace.as_deref() == Some(namespace)
                && part.names.as_ref().is_none_or(|names| names.iter().any(|one| one == name))
        })
    };
    let mut model: std::collections::BTreeSet<String> =
        (0..PODS).map(|number| pod(number, 1).key()).collect();
    let check = |store: &Store, model: &std::collections::BTreeSet<String>| {
        for list in &lists {
            let access = Some(list.iter().cloned().collect());
            let found = store.query(&Request { access, ..pods() }).unwrap();
            let wanted: Vec<&str> =
                model.iter().filter(|key| allows(list, key)).map(String::as_str).collect();
            assert_eq!(found.keys().collect::<Vec<_>>(), wanted);
        }
    };
    check(&store, &model);
    let mut watching = store.begin_watch(scope, false).unwrap();
    // One object, so many that the rows are followed, and more: a namespace that comes and goes.
    for (round, count) in [1, 3, 12, 40, 1, 2].into_iter().enumerate() {
        for number in 0..count {
            let number = number * 7 % PODS;
            let space = ["a", "b", "x"][round % 3];
            let one = Pod::new(&format!("{space}/q{number:03}"), "", 0);
            let rv = 1_000 + round as u64 * 100 + number;
            let uid = one.key();
            let there = !model.insert(one.key());
            let one = Pod { uid, rv, ..one };
            if there {
                model.remove(&one.key());
                watching.push(&event("DELETED", &one)).unwrap();
            } else {
                watching.push(&event("ADDED", &one)).unwrap();
            }
        }
        store.flush().unwrap();
        check(&store, &model);
        check(&reader(&path), &model);
    }
}

#[test]
fn what_may_not_be_seen_is_not_counted() {
    let (_folder, store, _) = filled();
    let access = vec![
        Partition { namespace: Some("a".into()), names: None },
        Partition {
            namespace: Some("b".into()),
            names: Some(vec!["p001".into(), "nobody".into()]),
        },
    ];
    let request = Request {
        access: Some(access.into()),
        facets: vec!["metadata.namespace".into()],
        ..pods()
    };
    let rows = store.query(&request).unwrap();
    assert_eq!(rows.total() as u64, PODS / 3 + 1);
    let values = &rows.counted()["facets"]["metadata.namespace"]["values"];
    assert_eq!(
        *values,
        serde_json::json!([{"value": "a", "count": 100}, {"value": "b", "count": 1}])
    );
    let none = Request { access: Some(Vec::new().into()), ..pods() };
    assert_eq!(store.query(&none).unwrap().total(), 0);
}

#[test]
fn questions_that_make_no_sense_are_refused_with_the_remedy() {
    let (_folder, store, _) = filled();
    let fails = |request: Request, words: &str| {
        let error = store.query(&request).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|text| text.contains(words)), "{words}: {error:?}");
    };
    let sorted = |key: &str| Request { sort: vec![key.into()], ..pods() };
    fails(Request::default(), "at least one resource");
    fails(Request { resources: vec!["pods".into(), "pods".into()], ..Request::default() }, "twice");
    fails(Request { condition: "phase >".into(), ..pods() }, "expected");
    fails(Request { condition: "nonsense = 1".into(), ..pods() }, "no field 'nonsense'");
    fails(sorted("-nonsense"), "no field 'nonsense'");
    fails(sorted("int(nodeName)"), "sorts as such");
    fails(Request { steve: "sort=metadata.name".into(), limit: 3, ..pods() }, "leave sort, limit");
    fails(Request { sort: vec!["name".into(); 9], ..pods() }, "at most 8");
    let nine = ".a,.b,.c,.d,.e,.f,.g,.h,.i";
    fails(sorted(nine), "at most 8");
    fails(Request { steve: format!("sort={}", nine.replace('.', "x.")), ..pods() }, "at most 8");
    let both = vec!["pods".into(), "secrets".into()];
    let secrets = spec("secrets", None, "");
    load(&store, store.ensure_scope(secrets).unwrap(), [], 1);
    fails(Request { resources: both, ..sorted(".spec.nodeName,.spec.host") }, "leave one out");
    fails(Request { cursor: "abc".into(), ..pods() }, "cursor");
    fails(Request { cursor: "00".into(), offset: 1, ..pods() }, "not both");
    fails(Request { facets: vec!["nodeName".into(); 65], ..pods() }, "at most 64");
    fails(Request { at: Some(At::Position { epoch: 9, seq: 1 }), ..pods() }, "not of this file");
    assert!(matches!(Request::parse(b"{\"resources\":[],\"wat\":1}"), Err(Error::Invalid(_))));
    let group = vai_core::query::Group {
        by: vec!["nodeName".into()],
        sum: vec!["phase".into()],
        ..vai_core::query::Group::default()
    };
    fails(Request { group: Some(group), ..pods() }, "can't add up phase");
}

#[test]
fn all_there_is_comes_in_key_order_without_an_index() {
    let (_folder, store, _) = filled();
    let steps = |request: &Request| {
        let rows = store.query(&Request { explain: true, ..request.clone() }).unwrap();
        assert!(rows.keys().is_sorted());
        let told = rows.explain().unwrap()["steps"].as_array().unwrap().clone();
        let told: Vec<String> =
            told.iter().map(|step| step["step"].as_str().unwrap().to_owned()).collect();
        (rows.len(), rows.total(), told.contains(&"read in the order of keys".to_owned()))
    };
    let all = usize::try_from(PODS).unwrap();
    assert_eq!(steps(&pods()), (all, all, true));
    assert_eq!(steps(&Request { limit: 7, ..pods() }), (7, all, true));
    let two = Request { namespaces: Some(vec!["c".into(), "a".into()]), ..pods() };
    assert_eq!(steps(&two), (all * 2 / 3, all * 2 / 3, true));
    // What a page leaves out is counted by the index.
    assert_eq!(steps(&Request { limit: 7, ..two }), (7, all * 2 / 3, false));
    for other in [
        Request { condition: "metadata.name contains p00".into(), ..pods() },
        Request { access: Some(vec![Partition::default()].into()), ..pods() },
        Request {
            sort: vec!["metadata.name".into()],
            namespaces: Some(vec!["a".into()]),
            ..pods()
        },
        Request { offset: 1, ..pods() },
    ] {
        assert!(!steps(&other).2, "{other:?}");
    }
    let ended = store.query_while(&pods(), &|| false);
    assert!(matches!(ended, Err(Error::Interrupted)));
}
