//! What may happen, and the server that it happens on.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::bytes::Pod;

/// (namespace, label selector): overlapping ones, so that reads have to choose and to merge.
pub(super) const SCOPES: &[(Option<&str>, &str)] =
    &[(None, ""), (Some("a"), ""), (None, "app=x"), (Some("b"), "tier")];
pub(super) const KEYS: &[&str] = &["a/p1", "a/p2", "a-b/p1", "b/p1", "b/p2", "c/p3"];

/// Users' fields, each with two types: some values are of one type alone, some of none.
pub(super) const USER_FIELDS: &[(&str, [&str; 2])] =
    &[(".metadata.labels.tier", ["int", "text"]), (".metadata.annotations.note", ["text", "ip"])];

/// One step of a history.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// On the server.
    Put {
        key: usize,
        app: u8,
        tier: u8,
        node: u8,
        phase: u8,
        note: usize,
    },
    Delete {
        key: usize,
    },
    Recreate {
        key: usize,
    },
    /// From the server to the file.
    Deliver {
        scope: usize,
        events: usize,
        cut: usize,
        with_bookmark: bool,
    },
    Bookmark {
        scope: usize,
    },
    Malformed {
        scope: usize,
        events: usize,
    },
    List {
        scope: usize,
        page: usize,
        how: ListEnd,
    },
    Void {
        scope: usize,
    },
    Forget {
        scope: usize,
    },
    /// To the file.
    Reopen {
        how: End,
    },
    /// A position to be continued later.
    Remember,
    /// A user's field, new or defined anew.
    Index {
        field: usize,
        variant: usize,
    },
    Unindex {
        field: usize,
    },
    /// One step of the builder; between two of them anything may happen.
    Build {
        objects: i64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ListEnd {
    Publish,
    Abort,
    /// Begun anew after the first page, and published.
    BeginAnew,
    /// The process dies with the list staged.
    Kill,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Close,
    Kill,
    /// The WAL's tail of so many steps was not on the disk yet.
    PowerLoss {
        steps: usize,
    },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let scope = 0..SCOPES.len();
    let key = 0..KEYS.len();
    let list_end = prop_oneof![
        6 => Just(ListEnd::Publish),
        1 => Just(ListEnd::Abort),
        1 => Just(ListEnd::BeginAnew),
        1 => Just(ListEnd::Kill),
    ];
    let end = prop_oneof![
        Just(End::Close),
        Just(End::Kill),
        (1..4_usize).prop_map(|steps| End::PowerLoss { steps }),
    ];
    prop_oneof![
        10 => (key.clone(), 0..4_u8, 0..5_u8, 0..3_u8, 0..3_u8, 0..200_usize).prop_map(
            |(key, app, tier, node, phase, note)| Step::Put { key, app, tier, node, phase, note }
        ),
        2 => key.clone().prop_map(|key| Step::Delete { key }),
        2 => key.prop_map(|key| Step::Recreate { key }),
        8 => (scope.clone(), 1..6_usize, 1..400_usize, any::<bool>()).prop_map(
            |(scope, events, cut, with_bookmark)| Step::Deliver { scope, events, cut, with_bookmark }
        ),
        1 => scope.clone().prop_map(|scope| Step::Bookmark { scope }),
        1 => (scope.clone(), 0..3_usize).prop_map(|(scope, events)| Step::Malformed { scope, events }),
        6 => (scope.clone(), 1..5_usize, list_end)
            .prop_map(|(scope, page, how)| Step::List { scope, page, how }),
        1 => scope.clone().prop_map(|scope| Step::Void { scope }),
        1 => scope.prop_map(|scope| Step::Forget { scope }),
        2 => end.prop_map(|how| Step::Reopen { how }),
        3 => Just(Step::Remember),
        2 => (0..2_usize, 0..2_usize).prop_map(|(field, variant)| Step::Index { field, variant }),
        1 => (0..2_usize).prop_map(|field| Step::Unindex { field }),
        4 => (1..4_i64).prop_map(|objects| Step::Build { objects }),
    ]
}

/// The server: its objects, and every event so far.
#[derive(Default)]
pub(super) struct Server {
    pub(super) rv: u64,
    uids: u64,
    pub(super) objects: BTreeMap<String, Pod>,
    /// (before, after) of each event; its resourceVersion is its number.
    log: Vec<(Option<Pod>, Option<Pod>)>,
}

impl Server {
    /// No server gives out version 0.
    pub(super) fn new() -> Self {
        Self { rv: 1, log: vec![(None, None)], ..Self::default() }
    }

    pub(super) fn put(&mut self, mut pod: Pod) {
        self.rv += 1;
        pod.rv = self.rv;
        let before = self.objects.insert(pod.key(), pod.clone());
        self.log.push((before, Some(pod)));
    }

    pub(super) fn delete(&mut self, key: &str) {
        if let Some(before) = self.objects.remove(key) {
            self.rv += 1;
            self.log.push((Some(before), None));
        }
    }

    pub(super) fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    pub(super) fn listed(&self, scope: usize) -> BTreeMap<String, Pod> {
        let all = self.objects.iter().filter(|(_, pod)| selects(scope, pod));
        all.map(|(key, pod)| (key.clone(), pod.clone())).collect()
    }

    /// The events of a scope's watch behind a resourceVersion: (type, object).
    pub(super) fn events(&self, scope: usize, after: u64) -> Vec<(&'static str, Pod)> {
        let mut found = Vec::new();
        for (number, (before, after_it)) in
            (1..).zip(&self.log).skip(usize::try_from(after).unwrap())
        {
            let was = before.as_ref().filter(|pod| selects(scope, pod));
            let is = after_it.as_ref().filter(|pod| selects(scope, pod));
            match (was, is) {
                (None, Some(pod)) => found.push(("ADDED", pod.clone())),
                (Some(_), Some(pod)) => found.push(("MODIFIED", pod.clone())),
                // As the watch cache sends it: the last state under the version of the event.
                (Some(pod), None) => found.push(("DELETED", Pod { rv: number, ..pod.clone() })),
                (None, None) => {}
            }
        }
        found
    }
}

pub(super) fn selects(scope: usize, pod: &Pod) -> bool {
    let (namespace, labels) = SCOPES[scope];
    namespace.is_none_or(|namespace| namespace == pod.namespace)
        && match labels {
            "app=x" => pod.labels.get("app").is_some_and(|value| value == "x"),
            "tier" => pod.labels.contains_key("tier"),
            _ => true,
        }
}
