//! Filtered changes: whoever adds them up has what the filter selects, at every moment.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use vai_core::Error;
use vai_core::history::{Change, ChangeFilter};
use vai_core::store::{Op, Store};

use crate::bytes::{Pod, event};
use crate::file::{load, options, spec, writer};
use crate::model::SELECTORS;

fn pods() -> Vec<String> {
    vec!["pods".into()]
}

/// A condition in vai's language, and what it means.
type Condition = (&'static str, fn(&Pod) -> bool);

const CONDITIONS: &[Condition] = &[
    ("", |_| true),
    ("phase = Running", |pod| pod.phase.as_deref() == Some("Running")),
    ("phase != Running", |pod| pod.phase.as_deref().is_some_and(|phase| phase != "Running")),
    ("not phase = Running", |pod| pod.phase.as_deref() != Some("Running")),
    ("labels[app] in (x, y) and spec.nodeName exists", |pod| {
        pod.labels.get("app").is_some_and(|app| app == "x" || app == "y") && pod.node.is_some()
    }),
    ("metadata.name = p1 or labels[tier] = 2", |pod| {
        pod.name == "p1" || pod.labels.get("tier").is_some_and(|tier| tier == "2")
    }),
    (".metadata.annotations.note contains \"bb\"", |pod| pod.note.contains("bb")),
];

#[derive(Clone, Debug)]
enum Step {
    Put(Box<Pod>),
    Delete(usize),
    /// A list that finds only those of even index, and the rest changed.
    Relist,
}

fn pod() -> impl Strategy<Value = Pod> {
    (
        prop::sample::select(vec!["a/p1", "a/p2", "b/p1", "b/p3"]),
        prop::option::of(prop::sample::select(vec!["x", "y", ""])),
        prop::option::of(prop::sample::select(vec!["2", "10", "no"])),
        prop::option::of(prop::sample::select(vec!["n1", "n2"])),
        prop::option::of(prop::sample::select(vec!["Running", "Pending"])),
        prop::option::of(any::<bool>()),
        "[ab]{0,4}",
    )
        .prop_map(|(key, app, tier, node, phase, host, note)| {
            let mut pod = Pod::new(key, &format!("u-{key}"), 0);
            if let Some(app) = app {
                pod = pod.label("app", app);
            }
            if let Some(tier) = tier {
                pod = pod.label("tier", tier);
            }
            pod.node = node.map(Into::into);
            pod.phase = phase.map(Into::into);
            pod.host_network = host;
            pod.note = note;
            pod
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => pod().prop_map(|pod| Step::Put(Box::new(pod))),
        2 => (0..4_usize).prop_map(Step::Delete),
        1 => Just(Step::Relist),
    ]
}

/// The file after these steps, and what it holds.
fn play(store: &Store, steps: &[Step]) -> BTreeMap<String, Pod> {
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let mut objects: BTreeMap<String, Pod> = BTreeMap::new();
    let mut rv = 1;
    load(store, scope, [], rv);
    let mut watch = store.begin_watch(scope, false).unwrap();
    for step in steps {
        rv += 1;
        match step {
            Step::Put(pod) => {
                let pod = Pod { rv, ..(**pod).clone() };
                watch.push(&event("MODIFIED", &pod)).unwrap();
                objects.insert(pod.key(), pod);
            }
            Step::Delete(index) => {
                let Some(key) = objects.keys().nth(*index).cloned() else { continue };
                let mut last = objects.remove(&key).unwrap();
                // A server tells of the state that was deleted under the version of the deletion.
                last.rv = rv;
                watch.push(&event("DELETED", &last)).unwrap();
            }
            Step::Relist => {
                store.flush().unwrap();
                let mut index = 0;
                objects.retain(|_, pod| {
                    index += 1;
                    pod.rv = rv;
                    pod.phase = Some("Running".into());
                    index % 2 == 1
                });
                load(store, scope, objects.values(), rv);
                watch = store.begin_watch(scope, false).unwrap();
            }
        }
    }
    store.flush().unwrap();
    objects
}

/// Adds changes up as a naive follower does, which trusts every word of them.
fn fold(held: &mut BTreeMap<String, Vec<u8>>, change: &Change) {
    match change.op {
        Op::Add => {
            assert_eq!(change.old, None);
            assert!(held.insert(change.key.clone(), change.new.clone().unwrap()).is_none());
        }
        Op::Update => {
            let old = held.insert(change.key.clone(), change.new.clone().unwrap());
            assert_eq!(old, change.old, "the state before is the one given out before");
        }
        Op::Delete => {
            assert_eq!(change.new, None);
            assert!(change.old.is_some());
            assert!(held.remove(&change.key).is_some());
        }
    }
}

fn compare(
    store: &Store,
    filter: &ChangeFilter,
    batch: usize,
    objects: &BTreeMap<String, Pod>,
    passes: impl Fn(&Pod) -> bool,
) {
    let (epoch, seq) = store.position().unwrap();
    let mut changes = store.changes_of(pods(), filter, epoch, 0).unwrap();
    let mut held = BTreeMap::new();
    while changes.seq() < seq {
        for change in changes.next_batch(batch, Duration::ZERO).unwrap() {
            fold(&mut held, &change);
        }
    }
    let wanted: BTreeMap<String, Vec<u8>> = objects
        .iter()
        .filter(|(_, pod)| passes(pod))
        .map(|(key, pod)| (key.clone(), pod.body()))
        .collect();
    assert_eq!(held, wanted, "{filter:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn filtered_changes_add_up_to_the_filtered_objects(
        steps in prop::collection::vec(step(), 1..50),
        batch in 1..9_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = writer(&folder.path().join("x.db"), options());
        let objects = play(&store, &steps);
        for selector in SELECTORS.iter().filter(|one| !one.fields.contains("spec.host=")) {
            let filter = ChangeFilter {
                label_selector: selector.labels.into(),
                field_selector: selector.fields.into(),
                ..ChangeFilter::default()
            };
            compare(&store, &filter, batch, &objects, selector.matches);
        }
        for (condition, passes) in CONDITIONS {
            let filter = ChangeFilter {
                namespaces: Some(vec!["a".into()]),
                label_selector: "app!=y".into(),
                condition: (*condition).into(),
                ..ChangeFilter::default()
            };
            let all = |pod: &Pod| {
                pod.namespace == "a"
                    && pod.labels.get("app").is_none_or(|app| app != "y")
                    && passes(pod)
            };
            compare(&store, &filter, batch, &objects, all);
        }
        store.close();
    }
}

#[test]
fn what_leaves_the_filter_is_deleted_as_a_server_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let put = |app: &str| Step::Put(Box::new(Pod::new("a/p", "u", 0).label("app", app)));
    play(&store, &[put("x"), put("y"), put("y"), put("x"), put("x"), Step::Delete(0)]);
    let filter = ChangeFilter { label_selector: "app=x".into(), ..ChangeFilter::default() };
    let mut changes = store.changes_of(pods(), &filter, 1, 0).unwrap();
    let told: Vec<String> = changes
        .next_batch(99, Duration::ZERO)
        .unwrap()
        .iter()
        .map(|change| {
            let shown = |body: &Option<Vec<u8>>| {
                body.as_ref().map_or("-", |body| {
                    if String::from_utf8_lossy(body).contains(r#""app":"x""#) { "x" } else { "y" }
                })
            };
            let (old, new) = (shown(&change.old), shown(&change.new));
            format!("{} {} {old}->{new}", change.op.name(), change.resource_version)
        })
        .collect();
    // The version of the event, the object before it: kube-apiserver's cacher does the same.
    let wanted = ["add 2 -->x", "delete 3 x->-", "add 5 -->x", "update 6 x->x", "delete 7 x->-"];
    assert_eq!(told, wanted);
    assert!(changes.at_end());
}

#[test]
fn a_filter_that_makes_no_sense_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    store.ensure_scope(spec("pods", None, "")).unwrap();
    let ask = |labels: &str, fields: &str, condition: &str| {
        let filter = ChangeFilter {
            namespaces: None,
            label_selector: labels.into(),
            field_selector: fields.into(),
            condition: condition.into(),
        };
        store.changes_of(pods(), &filter, 1, 0).map(drop).unwrap_err()
    };
    assert!(matches!(ask("a in", "", ""), Error::Selector { .. }));
    assert!(matches!(
        ask("", "spec.nothing=1", ""),
        Error::Selector { .. } | Error::UnknownField { .. }
    ));
    assert!(matches!(ask("", "", "phase ="), Error::Expression { .. }));
    assert!(
        matches!(ask("", "", "phaze = x"), Error::UnknownField { nearest, .. } if nearest.contains(&"phase".to_owned()))
    );
}
