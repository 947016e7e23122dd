//! The matcher against a table, against a naive reading of the tree, and against Kubernetes'
//! selectors.

use std::borrow::Cow;
use std::ops::Bound;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::NOW_US;
use crate::expr::catalogue::Fields;
use crate::expr::{Expr, Field, Fold, Matcher, Op};
use crate::field::{FieldDef, FieldSet, Reduce, Source};
use crate::selector::{FieldSelector, LabelSelector};
use crate::value::{Type, Value};

/// (name, path, type, many, reduced)
const DEFS: [(&str, &str, Type, bool, Option<Reduce>); 9] = [
    ("status.phase", ".status.phase", Type::Text, false, None),
    ("restarts", ".status.containers[*].restarts", Type::Int, false, Some(Reduce::Sum)),
    ("on", ".spec.on", Type::Bool, false, None),
    ("memory", ".spec.memory", Type::Quantity, false, None),
    ("images", ".status.containers[*].image", Type::Text, true, None),
    ("ips", ".status.ips[*].ip", Type::Ip, true, None),
    ("metadata.creationTimestamp", ".metadata.creationTimestamp", Type::Time, false, None),
    ("ttl", ".spec.ttl", Type::Duration, false, None),
    ("scores", ".spec.scores[*]", Type::Int, true, None),
];

fn set() -> FieldSet {
    FieldSet::new(DEFS.iter().map(|&(name, path, ty, many, reduce)| {
        let mut def = FieldDef::new(path.parse().unwrap(), ty, Source::User);
        name.clone_into(&mut def.name);
        def.many = many;
        def.reduce = reduce;
        if name == "on" {
            def.default = Some(Value::Bool(false));
        }
        def
    }))
}

fn bound(text: &str, set: &FieldSet) -> Expr {
    let fields = Fields { set, namespaced: true, building: &[] };
    Expr::parse(text, &fields, NOW_US).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn holds(text: &str, key: &str, body: &Json) -> bool {
    let set = set();
    let matcher = Matcher::new(&bound(text, &set), &set).unwrap();
    matcher.matches(key, body.to_string().as_bytes()).unwrap()
}

#[test]
fn operators_mean_what_they_say() {
    let long = "x".repeat(5_000);
    let pod = json!({
        "metadata": {
            "name": "web-0", "namespace": "shop", "uid": "u-1",
            "creationTimestamp": "2025-12-31T23:50:00Z",
            "labels": {"app.kubernetes.io/name": "web", "n": "7", "empty": "", "v": "v7"},
            "annotations": {"a.io/b": "true", "long": long.as_str()},
        },
        "spec": {
            "on": true, "memory": "1500Mi", "ttl": "90m", "scores": [1, 5, 9],
            "affinity": {"node": {}}, "none": null, "text": "", "big": 9_007_199_254_740_993_i64,
            "tags": ["a", "b"], "mixed": ["x", {"y": 1}],
        },
        "status": {
            "phase": "Running",
            "containers": [
                {"image": "nginx:1", "restarts": 2},
                {"image": "envoy:2", "restarts": 3},
            ],
            "ips": [{"ip": "10.1.2.3"}, {"ip": "fd00::1"}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "no"}],
        },
    });
    for (text, want) in [
        ("", true),
        ("status.phase = Running", true),
        ("status.phase = running", false),
        ("status.phase iequals running", true),
        ("status.phase != Running", false),
        ("status.phase != Pending", true),
        ("status.phase notin (Pending, Failed)", true),
        ("name startswith web- and namespace = shop", true),
        ("name matches '^web-\\d$'", true),
        ("name icontains EB", true),
        ("name contains EB", false),
        ("name !contains EB", true),
        ("uid = u-1", true),
        ("restarts = 5", true),
        ("restarts > 4.5 and restarts < 5.5", true),
        ("on = true", true),
        ("memory > 1.4Gi", true),
        ("memory > 1500M", true),
        ("memory = 1572864k", true),
        ("images = nginx:1", true),
        ("images != nginx:1", false),
        ("any(images) != nginx:1", true),
        ("all(images) contains ':'", true),
        ("all(images) contains nginx", false),
        ("scores > 8 and scores < 2", true),
        ("all(scores) > 0", true),
        ("all(scores) > 1", false),
        ("ips in 10.0.0.0/8", true),
        ("all(ips) in (10.0.0.0/8, fd00::/8)", true),
        ("ips notin (10.0.0.0/8)", false),
        ("ips notin (192.168.0.0/16)", true),
        ("age < 15m", true),
        ("age < 10m", false),
        ("age <= 10m", true),
        ("age > 9m59s", true),
        ("ttl >= 1h30m and ttl < 2h", true),
        ("labels[app.kubernetes.io/name] = web", true),
        ("labels[n] > 6 and labels[n] < 8", true),
        ("labels[v] > 6", false),
        ("labels[n] > '6'", true),
        ("labels[empty] = '' and exists labels[empty]", true),
        ("exists labels[nothing]", false),
        ("labels[nothing] != x", false),
        ("not labels[nothing] = x", true),
        ("int(labels[n]) = 7.0", true),
        ("annotations[a.io/b] = true", true),
        (".status.conditions[type=Ready].status = 'True'", true),
        (".status.conditions[type=Other].status = 'True'", false),
        ("exists .spec.affinity", true),
        ("exists .spec.none or exists .spec.text or exists .spec.nothing", false),
        (".spec.affinity != 'x'", true),
        ("number(.spec.affinity) != 1", false),
        (".spec.big = 9007199254740993", true),
        (".spec.big = 9007199254740992", false),
        (".spec.tags[*] = 'b'", true),
        ("all(.spec.tags[*]) matches '^[ab]$'", true),
        ("all(.spec.mixed[*]) = 'x'", false),
        (".spec.memory > 1Gi", true),
        ("false or not true", false),
    ] {
        assert_eq!(holds(text, "shop/web-0", &pod), want, "{text}");
    }
    // An index would cut it.
    assert!(holds(&format!("annotations[long] = '{long}'"), "shop/web-0", &pod));
    assert!(!holds(&format!("annotations[long] = '{}'", &long[1..]), "shop/web-0", &pod));
}

#[test]
fn the_key_alone_decides_where_it_can() {
    let set = set();
    let matcher = |text| Matcher::new(&bound(text, &set), &set).unwrap();
    assert!(!matcher("name = a and status.phase = x").matches("ns/b", b"no JSON").unwrap());
    assert!(matcher("name = a and namespace = ns").matches("ns/a", b"").unwrap());
    assert!(!matcher("exists namespace").matches("node-1", b"").unwrap(), "cluster-scoped");
    assert!(matcher("status.phase = x").matches("ns/a", b"no JSON").is_err());
}

#[test]
fn of_partial_objects_other_fields_are_unknown() {
    let partial = json!({"kind": "PartialObjectMetadata", "metadata": {"name": "a"}});
    assert!(!holds("on = false", "a", &partial));
    assert!(holds("on = false", "a", &json!({"kind": "Pod", "metadata": {"name": "a"}})));
}

/// Conditions on few values, so that they often hold.
fn condition() -> impl Strategy<Value = String> {
    // Long ones are looked for in the body before it is read.
    let text =
        || proptest::sample::select(vec!["a", "b", "ab", "A", "É", "é", "''", "word", "'word/é'"]);
    let target = proptest::sample::select(vec![
        "status.phase",
        "name",
        "namespace",
        "images",
        "all(images)",
        "any(images)",
        "labels[a]",
        "labels[b]",
        ".spec.x",
        ".spec.x[*]",
        "all(.spec.x[*])",
        ".spec.scores",
        "metadata.uid",
    ]);
    let textual = (
        target,
        proptest::sample::select(vec![
            "=",
            "!=",
            "contains",
            "!contains",
            "icontains",
            "startswith",
            "iequals",
            "matches",
            "iequals_ascii",
            "!startswith",
        ]),
        text(),
    )
        .prop_map(|(target, operator, value)| format!("{target} {operator} {value}"));
    let number =
        proptest::sample::select(vec!["0", "1", "2", "-1", "1.5", "1e2", "9007199254740993"]);
    let numeric = (
        proptest::sample::select(vec![
            "restarts",
            "scores",
            "all(scores)",
            "any(scores)",
            "memory",
            "number(.spec.x)",
            "int(.spec.x[*])",
            "labels[a]",
            "quantity(.spec.memory)",
        ]),
        proptest::sample::select(vec!["<", "<=", ">", ">="]),
        number.clone(),
    )
        .prop_map(|(target, operator, value)| format!("{target} {operator} {value}"));
    let equal = (
        proptest::sample::select(vec![
            "restarts",
            "scores",
            "all(scores)",
            "number(.spec.x)",
            "memory",
        ]),
        proptest::sample::select(vec!["=", "!=", "in", "notin"]),
        number.clone(),
        number,
    )
        .prop_map(|(target, operator, a, b)| match operator {
            "=" | "!=" => format!("{target} {operator} {a}"),
            _ => format!("{target} {operator} ({a}, {b})"),
        });
    let other = proptest::sample::select(vec![
        "exists status.phase",
        "not exists .spec.x",
        "exists images",
        "exists labels[a]",
        "exists ips",
        "on = true",
        "on != true",
        "age < 15m",
        "age >= 1h",
        "ttl > 90s",
        "ips in 10.0.0.0/8",
        "all(ips) within (10.0.0.0/9)",
        "ips notin (10.1.0.0/16, fd00::/8)",
        "exists memory",
        "exists number(.spec.x)",
        "status.phase in (a, b)",
        "status.phase in (word, words)",
        "status.phase > a",
        "labels[a] >= 'a'",
    ])
    .prop_map(str::to_owned);
    prop_oneof![4 => textual, 3 => numeric, 2 => equal, 3 => other]
        // An empty text is only compared where it is a value.
        .prop_filter("empty", |text| {
            !(text.ends_with("= ''") && !text.starts_with("labels") && !text.starts_with("name"))
        })
}

fn expression() -> impl Strategy<Value = String> {
    condition().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

fn object() -> impl Strategy<Value = Json> {
    let scalar = || {
        proptest::sample::select(vec![
            json!("a"),
            json!("b"),
            json!("AB"),
            json!("é"),
            json!("word"),
            json!("words"),
            json!("a word/é"),
            json!(""),
            json!(null),
            json!(1),
            json!(2.0),
            json!(1.5),
            json!("1"),
            json!(true),
            json!("1500Mi"),
            json!(9_007_199_254_740_993_i64),
            json!({"a": 1}),
            json!(["a"]),
            json!(-1),
            json!("2025-12-31T23:50:00Z"),
            json!("90m"),
            json!("10.1.2.3"),
            json!("fd00::1"),
            json!("x".repeat(1_500)),
        ])
    };
    let list = || proptest::collection::vec(scalar(), 0..3);
    let label = || proptest::option::of(proptest::sample::select(vec!["a", "", "7", "b", "-3"]));
    (
        (scalar(), scalar(), scalar(), scalar(), scalar(), scalar()),
        (list(), list(), list(), list()),
        (label(), label(), proptest::bool::ANY),
    )
        .prop_map(
            |((phase, on, memory, created, ttl, uid), (x, images, ips, scores), (a, b, flat))| {
                let mut labels = serde_json::Map::new();
                labels.extend(a.map(|a| ("a".to_owned(), json!(a))));
                labels.extend(b.map(|b| ("b".to_owned(), json!(b))));
                let containers: Vec<Json> = images
                    .iter()
                    .zip(scores.iter().chain(std::iter::repeat(&json!(null))))
                    .map(|(image, restarts)| json!({"image": image, "restarts": restarts}))
                    .collect();
                let ips: Vec<Json> = ips.into_iter().map(|ip| json!({"ip": ip})).collect();
                let x = if flat { x.first().cloned().unwrap_or_default() } else { json!(x) };
                json!({
                    "metadata": {"labels": labels, "creationTimestamp": created, "uid": uid},
                    "spec": {"on": on, "memory": memory, "ttl": ttl, "x": x, "scores": scores},
                    "status": {"phase": phase, "containers": containers, "ips": ips},
                })
            },
        )
}

/// All values at a path of keys, of which `*` is every element.
fn walk<'j>(json: &'j Json, path: &[&str], into: &mut Vec<&'j Json>) {
    match (path, json) {
        ([], json) => into.push(json),
        (["*", rest @ ..], Json::Array(all)) => all.iter().for_each(|one| walk(one, rest, into)),
        (["*", rest @ ..], Json::Object(all)) => all.values().for_each(|one| walk(one, rest, into)),
        ([key, rest @ ..], Json::Object(all)) => {
            if let Some(one) = all.get(*key) {
                walk(one, rest, into);
            }
        }
        _ => {}
    }
}

/// The values of a field, and whether something else is there.
fn naive_values(field: &Field, key: &str, json: &Json) -> (Vec<Value>, bool) {
    let at = |path: &str| {
        let path: Vec<_> = path.split('.').skip(1).collect();
        let mut found = Vec::new();
        walk(json, &path, &mut found);
        found
    };
    let whole = |ty: Type, one: &Json| match one {
        Json::String(text) if ty == Type::Text && !text.is_empty() => Some(Value::text(text)),
        one => Value::from_json(ty, one.to_string().as_bytes()),
    };
    match field {
        Field::Name => (vec![Value::text(key.rsplit('/').next().unwrap())], false),
        Field::Namespace => (
            key.split_once('/').map(|(namespace, _)| Value::text(namespace)).into_iter().collect(),
            false,
        ),
        Field::Uid => (
            at(".metadata.uid")
                .iter()
                .filter_map(|uid| uid.as_str())
                .filter(|uid| !uid.is_empty())
                .map(Value::text)
                .collect(),
            false,
        ),
        Field::Label(label) => (
            json["metadata"]["labels"][label].as_str().map(Value::text).into_iter().collect(),
            false,
        ),
        Field::Path { path, ty } => {
            let found = at(&path.to_string().replace("[*]", ".*"));
            let values = found.iter().filter_map(|one| whole(*ty, one)).collect();
            let others =
                *ty == Type::Text && found.iter().any(|one| one.is_object() || one.is_array());
            (values, others)
        }
        Field::Indexed { name, .. } => {
            let def = DEFS.iter().find(|def| def.0 == name).unwrap();
            let found = at(&def.1.replace("[*]", ".*"));
            let others =
                def.2 == Type::Text && found.iter().any(|one| one.is_object() || one.is_array());
            let mut values: Vec<Value> = found.iter().filter_map(|one| whole(def.2, one)).collect();
            if def.4.is_some() && !values.is_empty() {
                // Numbers of the fixture are small enough to be summed so.
                let ints = values.iter().map(|value| match value {
                    Value::Int(number) => *number,
                    _ => unreachable!(),
                });
                values = vec![Value::Int(ints.sum())];
            }
            if values.is_empty() && name == "on" {
                values.push(Value::Bool(false));
            }
            (values, others)
        }
    }
}

fn naive(expr: &Expr, key: &str, json: &Json) -> bool {
    let test = match expr {
        Expr::True => return true,
        Expr::And(parts) => return parts.iter().all(|part| naive(part, key, json)),
        Expr::Or(parts) => return parts.iter().any(|part| naive(part, key, json)),
        Expr::Not(inner) => return !naive(inner, key, json),
        Expr::Test(test) => test,
    };
    let (values, others) = naive_values(&test.field, key, json);
    let folded = |text: &str, fold: Fold| match fold {
        Fold::Exact => text.to_owned(),
        Fold::Ascii => text.to_ascii_lowercase(),
        Fold::Unicode => text.to_lowercase(),
    };
    let passes = |value: &Value| {
        let have = match value {
            Value::Text(have) => &**have,
            _ => "",
        };
        match &test.op {
            Op::In(wanted) => wanted.iter().any(|one| one == value),
            Op::Range { lower, upper } => {
                let above = match lower {
                    Bound::Unbounded => true,
                    Bound::Included(bound) => value >= bound,
                    Bound::Excluded(bound) => value > bound,
                };
                let below = match upper {
                    Bound::Unbounded => true,
                    Bound::Included(bound) => value <= bound,
                    Bound::Excluded(bound) => value < bound,
                };
                above && below
            }
            Op::Contains { text: part, fold } => folded(have, *fold).contains(part.as_str()),
            Op::Equals { text: whole, fold } => folded(have, *fold) == *whole,
            Op::StartsWith(prefix) => have.starts_with(prefix.as_str()),
            // The patterns of the fixture are plain texts.
            Op::Matches(pattern) => have.contains(pattern.as_str()),
            Op::Within(networks) => match value {
                Value::Ip(ip) => networks.iter().any(|network| network.contains(&ip.address())),
                _ => false,
            },
            Op::Exists => true,
            Op::LabelInt { greater, than } => have
                .parse::<i64>()
                .is_ok_and(|number| if *greater { number > *than } else { number < *than }),
        }
    };
    match &test.op {
        Op::Exists => others || !values.is_empty(),
        _ if test.all => !others && !values.is_empty() && values.iter().all(passes),
        _ => values.iter().any(passes),
    }
}

fn selector() -> impl Strategy<Value = String> {
    let requirement = proptest::sample::select(vec![
        "a=a",
        "a!=a",
        "a=",
        "a!=",
        "a",
        "!a",
        "a in (a,b)",
        "a notin (a,)",
        "a>1",
        "a<8",
        "b=b",
        "b notin (b)",
        "b>-1",
        "!b",
        "c",
        "c!=x",
    ]);
    proptest::collection::vec(requirement, 0..4)
        .prop_map(|all| all.join(","))
        .prop_filter("valid", |text| LabelSelector::parse(text).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
    ))]

    #[test]
    fn a_body_matches_as_its_tree_does(
        text in expression(),
        key in proptest::sample::select(vec!["a/b", "ab/a", "b"]),
        object in object(),
    ) {
        let set = set();
        let fields = Fields { set: &set, namespaced: true, building: &[] };
        let expr = match Expr::parse(&text, &fields, NOW_US) {
            Ok(expr) => expr,
            Err(error) => return Err(TestCaseError::fail(format!("{text}: {error}"))),
        };
        let matcher = Matcher::new(&expr, &set).unwrap();
        let got = matcher.matches(key, object.to_string().as_bytes()).unwrap();
        prop_assert_eq!(got, naive(&expr, key, &object), "{} of {} {}", expr, key, object);
    }

    #[test]
    fn label_selectors_select_what_they_select(text in selector(), object in object()) {
        let selector = LabelSelector::parse(&text).unwrap();
        let matcher = Matcher::new(&Expr::from_labels(&selector), &set()).unwrap();
        let got = matcher.matches("ns/a", object.to_string().as_bytes()).unwrap();
        let want = selector.matches(|key| object["metadata"]["labels"][key].as_str());
        prop_assert_eq!(got, want, "{} of {}", text, object);
    }

    #[test]
    fn field_selectors_select_what_they_select(
        terms in proptest::collection::vec(proptest::sample::select(vec![
            "status.phase=a", "status.phase!=a", "status.phase=", "status.phase!=",
            "spec.hostNetwork=true", "spec.hostNetwork=false", "spec.hostNetwork!=x",
            "metadata.name=a", "metadata.namespace!=ns", "spec.nodeName=b", "spec.host!=b",
        ]), 0..4),
        phase in proptest::option::of(proptest::sample::select(vec!["a", "", "b"])),
        node in proptest::option::of(proptest::sample::select(vec!["a", "", "b"])),
        host in proptest::option::of(any::<bool>()),
    ) {
        let set = FieldSet::for_kind("", "Pod");
        let fields = Fields { set: &set, namespaced: true, building: &[] };
        let mut object = json!({"spec": {}, "status": {}});
        if let Some(phase) = phase {
            object["status"]["phase"] = json!(phase);
        }
        if let Some(node) = node {
            object["spec"]["nodeName"] = json!(node);
        }
        if let Some(host) = host {
            object["spec"]["hostNetwork"] = json!(host);
        }
        let selector = FieldSelector::parse(&terms.join(",")).unwrap();
        let expr = Expr::from_fields(&selector, &fields).unwrap();
        let matcher = Matcher::new(&expr, &set).unwrap();
        let got = matcher.matches("ns/a", object.to_string().as_bytes()).unwrap();
        let want = selector.matches(|field| match field {
            "metadata.name" => Some(Cow::Borrowed("a")),
            "metadata.namespace" => Some(Cow::Borrowed("ns")),
            "status.phase" => phase.map(Cow::Borrowed),
            "spec.nodeName" | "spec.host" => node.map(Cow::Borrowed),
            _ => Some(Cow::Borrowed(if host == Some(true) { "true" } else { "false" })),
        });
        prop_assert_eq!(got, want, "{} of {}", selector, object);
    }
}
