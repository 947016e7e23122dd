use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// The values of a whole object, by name; those of `of_every_kind` left out.
fn values(set: &FieldSet, json: &str) -> Vec<(String, Value)> {
    let name = |index| set.name(index).unwrap().to_owned();
    set.extract(json.as_bytes())
        .unwrap()
        .fields
        .into_iter()
        .map(|(index, value)| (name(index), value))
        .collect()
}

fn one(set: &FieldSet, json: &str, name: &str) -> Option<Value> {
    let index = set.index_of(name).unwrap_or_else(|| panic!("no field {name}"));
    let found = set.extract(json.as_bytes()).unwrap().fields;
    let mut of_it = found.into_iter().filter(|(at, _)| *at == index).map(|(_, value)| value);
    let first = of_it.next();
    assert_eq!(of_it.next(), None, "{name} has several values");
    first
}

fn text(value: &str) -> Value {
    Value::text(value)
}

fn quantity(text: &str) -> Value {
    Value::parse(Type::Quantity, text).unwrap()
}

fn user(path: &str, ty: Type) -> FieldDef {
    FieldDef::new(path.parse().unwrap(), ty, Source::User)
}

const POD: &str = r#"{"kind":"Pod","apiVersion":"v1",
    "metadata":{"name":"a","creationTimestamp":"2025-03-01T10:00:00Z",
        "ownerReferences":[{"kind":"X","name":"x"},
            {"kind":"ReplicaSet","name":"web-1","controller":true}]},
    "spec":{"nodeName":"n1","hostNetwork":true,"restartPolicy":"Always","priority":-5,
        "containers":[
            {"spec":{"nodeName":"no"},"image":"b:1",
             "resources":{"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"cpu":1}}},
            {"image":"a:1","resources":{"requests":{"cpu":"0.25","memory":"1Gi"}}},
            {"image":"b:1","resources":{}}]},
    "status":{"phase":"Running","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}],
        "hostIP":"10.9.9.9","qosClass":"Burstable","startTime":"2025-03-01T10:00:05Z",
        "containerStatuses":[{"ready":true,"restartCount":3},{"restartCount":4,"ready":false},
            {"name":"c","ready":true,"restartCount":0}]}}"#;

#[test]
fn a_pod_has_its_whole_catalogue() {
    let set = FieldSet::for_kind("", "Pod");
    let time = |text: &str| Value::parse(Type::Time, text).unwrap();
    let ip = |text: &str| Value::parse(Type::Ip, text).unwrap();
    let want = [
        ("spec.nodeName", text("n1")),
        ("spec.restartPolicy", text("Always")),
        ("spec.hostNetwork", Value::Bool(true)),
        ("status.phase", text("Running")),
        ("status.podIP", text("10.0.0.1")),
        ("restarts", Value::Int(7)),
        ("ready", Value::Int(2)),
        ("ip", ip("10.0.0.1")),
        ("status.hostIP", ip("10.9.9.9")),
        ("status.qosClass", text("Burstable")),
        ("status.startTime", time("2025-03-01T10:00:05Z")),
        ("spec.priority", Value::Int(-5)),
        ("spec.containers[*].image", text("a:1")),
        ("spec.containers[*].image", text("b:1")),
        ("requests.cpu", quantity("350m")),
        ("requests.memory", quantity("1152Mi")),
        ("limits.cpu", quantity("1")),
        ("owner.kind", text("ReplicaSet")),
        ("owner.name", text("web-1")),
        ("metadata.creationTimestamp", time("2025-03-01T10:00:00Z")),
    ];
    let want: Vec<_> = want.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(values(&set, POD), want);
    for (name, full) in [
        ("phase", "status.phase"),
        ("node", "spec.nodeName"),
        ("spec.host", "spec.nodeName"),
        ("image", "spec.containers[*].image"),
        ("spec.containers.image", "spec.containers[*].image"),
        ("ip", "ip"),
        ("creationTimestamp", "metadata.creationTimestamp"),
    ] {
        assert_eq!(set.index_of(name).and_then(|index| set.name(index)), Some(full), "{name}");
    }
    assert_eq!(set.index_of("spec.nope"), None);
}

#[test]
fn a_server_selects_by_what_its_strategy_computes() {
    let selectable = |group: &str, kind: &str| {
        let set = FieldSet::for_kind(group, kind);
        set.selector_labels().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        selectable("", "Pod"),
        [
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]
    );
    assert_eq!(selectable("", "Event").len(), 11);
    assert_eq!(selectable("events.k8s.io", "Event").len(), 10);
    assert_eq!(selectable("batch", "Job"), ["status.successful"]);
    assert_eq!(selectable("resource.k8s.io", "ResourceSlice"), ["spec.nodeName", "spec.driver"]);
    for (group, kind) in [("apps", "Deployment"), ("apps", "ReplicaSet"), ("example.com", "Pod")] {
        assert_eq!(selectable(group, kind), [""; 0], "{group} {kind}");
    }
    let set = FieldSet::for_kind("", "Pod");
    assert_eq!(set.selectable("spec.host"), set.index_of("spec.nodeName"));
    for ours in ["phase", "node", "restarts", "metadata.creationTimestamp"] {
        assert_eq!(set.selectable(ours), None, "{ours}");
    }
    assert_eq!(FieldSet::for_kind("batch", "Job").selectable("status.succeeded"), None);
}

#[test]
fn missing_values_are_the_defaults() {
    for (group, kind, want) in [
        ("", "Node", &[("spec.unschedulable", Value::Bool(false))][..]),
        (
            "",
            "Pod",
            &[
                ("spec.hostNetwork", Value::Bool(false)),
                ("restarts", Value::Int(0)),
                ("ready", Value::Int(0)),
            ],
        ),
        (
            "batch",
            "Job",
            &[
                ("status.successful", Value::Int(0)),
                ("status.failed", Value::Int(0)),
                ("status.active", Value::Int(0)),
                ("spec.suspend", Value::Bool(false)),
            ],
        ),
        ("", "Service", &[]),
    ] {
        let want: Vec<_> =
            want.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        assert_eq!(values(&FieldSet::for_kind(group, kind), "{}"), want, "{kind}");
    }
    let job = FieldSet::for_kind("batch", "Job");
    let json = r#"{"status":{"succeeded":3}}"#;
    assert_eq!(one(&job, json, "status.successful"), Some(Value::Int(3)));
}

#[test]
fn an_events_source_is_its_component_or_else_its_controller() {
    let set = FieldSet::for_kind("", "Event");
    for (json, want) in [
        (r#"{"source":{"component":"a"},"reportingComponent":"b"}"#, Some("a")),
        (r#"{"reportingComponent":"b","source":{"component":"a"}}"#, Some("a")),
        (r#"{"source":{"component":""},"reportingComponent":"b"}"#, Some("b")),
        (r#"{"reportingComponent":"b","source":{}}"#, Some("b")),
        (r#"{"reportingComponent":""}"#, None),
    ] {
        assert_eq!(one(&set, json, "source"), want.map(text), "{json}");
    }
    let json = r#"{"count":3,"lastTimestamp":null,"eventTime":"2025-03-01T10:00:00.000001Z",
        "series":{"count":8,"lastObservedTime":"2025-03-01T11:00:00.000001Z"}}"#;
    assert_eq!(one(&set, json, "count"), Some(Value::Int(8)));
    assert_eq!(one(&set, r#"{"lastTimestamp":null}"#, "count"), Some(Value::Int(1)));
    let seen = one(&set, json, "lastSeen").unwrap().to_string();
    assert_eq!(seen, "2025-03-01T11:00:00.000001Z");
}

#[test]
fn custom_resources_have_what_their_definition_declares() {
    let paths = [".spec.color", "spec.size", ".spec.on", ".spec.color"];
    let set = FieldSet::for_resource("example.com", "Widget", &paths);
    assert_eq!(set.selector_labels().collect::<Vec<_>>(), ["spec.color", "spec.size", "spec.on"]);
    let names = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect::<Vec<_>>()
    };
    for (json, want) in [
        // Servers compare text, whatever the schema says.
        (
            r#"{"spec":{"color":"blue","size":-7,"on":false,"other":{"color":1}}}"#,
            &[("spec.color", "blue"), ("spec.size", "-7"), ("spec.on", "false")][..],
        ),
        // What the schema forbids or leaves out is no value.
        (r#"{"spec":{"color":null,"size":{"a":1},"on":[true]}}"#, &[]),
        (r#"{"spec":"blue"}"#, &[]),
        (r#"{"spec":{"color":"a","color":null}}"#, &[]),
        (r#"{"spec":{"color":"a","color":"b"}}"#, &[("spec.color", "b")]),
        (r#"{"spec":{"size":123456789012345678901}}"#, &[("spec.size", "123456789012345678901")]),
    ] {
        assert_eq!(values(&set, json), names(want), "{json}");
    }
}

#[test]
fn a_known_custom_resource_has_its_catalogue_too() {
    let set = FieldSet::for_resource("cluster.x-k8s.io", "Machine", &[".spec.clusterName"]);
    let field = set.def(set.index_of("cluster").unwrap()).unwrap();
    assert_eq!(field.name, "spec.clusterName");
    assert_eq!((field.source, field.ty), (Source::Crd, Type::Text));
    assert_eq!(set.selectable("spec.clusterName"), set.index_of("cluster"));
    let none: [&str; 0] = [];
    let gateway = FieldSet::for_resource("gateway.networking.k8s.io", "Gateway", &none);
    assert!(gateway.index_of("class").is_some());
    assert_eq!(gateway.selector_labels().count(), 0);
}

#[test]
fn a_selectors_text_is_the_value_that_is_written_so() {
    let pod = FieldSet::for_kind("", "Pod");
    let value = |label: &str, text: &str| {
        pod.def(pod.selectable(label).unwrap()).unwrap().selector_value(text)
    };
    assert_eq!(value("status.phase", "Running"), Some(text("Running")));
    assert_eq!(value("spec.hostNetwork", "true"), Some(Value::Bool(true)));
    assert_eq!(value("spec.hostNetwork", "True"), None);
    let job = FieldSet::for_kind("batch", "Job");
    let value = |text: &str| job.defs()[0].selector_value(text);
    assert_eq!(value("3"), Some(Value::Int(3)));
    for other in ["03", "+3", "3.0", "3e0", "x", ""] {
        assert_eq!(value(other), None, "{other}");
    }
}

#[test]
fn what_does_not_parse_is_missing_and_counted() {
    let set = FieldSet::new([
        user(".a", Type::Int),
        FieldDef { many: true, ..user(".b[*]", Type::Ip) },
        FieldDef { reduce: Some(Reduce::Sum), ..user(".c[*]", Type::Quantity) },
        FieldDef { reduce: Some(Reduce::Max), ..user(".c[*].t", Type::Time) },
        FieldDef { reduce: Some(Reduce::Count), name: "count".into(), ..user(".c[*]", Type::Int) },
        FieldDef { reduce: Some(Reduce::Sum), ..user(".d[*]", Type::Int) },
        user(".e", Type::Text),
    ]);
    let taken = |json: &str| set.extract(json.as_bytes()).unwrap();
    let ip = |text: &str| Value::parse(Type::Ip, text).unwrap();
    assert_eq!(
        taken(
            r#"{"a":"x","b":["10.0.0.2","None","10.0.0.1",null,"","10.0.0.2"],
                "c":["1","2Gx",null,3],"d":[1,9223372036854775807],"e":[1]}"#
        ),
        Values {
            fields: vec![
                (1, ip("10.0.0.1")),
                (1, ip("10.0.0.2")),
                (2, quantity("4")),
                (4, Value::Int(3)),
            ],
            invalid: vec![(0, 1), (1, 1), (2, 1), (5, 1), (6, 1)],
        }
    );
    let times = r#"{"c":[{"t":"2025-03-01T10:00:00Z"},{"t":"2025-03-02T10:00:00Z"},{}]}"#;
    assert!(
        taken(times)
            .fields
            .contains(&(3, Value::parse(Type::Time, "2025-03-02T10:00:00Z").unwrap()))
    );
    assert_eq!(taken("{}").fields, [(4, Value::Int(0))]);
}

#[test]
fn of_partial_metadata_other_fields_are_unknown() {
    let mut defs = catalogue::fields("", "Pod");
    defs.push(user(".metadata.annotations.a", Type::Text));
    defs.push(user(".metadata.labels.app", Type::Text));
    let set = FieldSet::new(defs);
    let body = br#"{"metadata":{"creationTimestamp":"2025-03-01T10:00:00Z",
        "annotations":{"a":"secret"},"labels":{"app":"web"}}}"#;
    let found = set.paths().find(body).unwrap();
    let values = set.values(&found, true);
    let names: Vec<_> = values.fields.iter().map(|(index, _)| set.name(*index).unwrap()).collect();
    assert_eq!(names, ["metadata.creationTimestamp", "metadata.labels.app"]);
}

#[test]
fn definitions_are_recorded_as_json() {
    let set = FieldSet::for_kind("", "Pod");
    let json =
        serde_json::to_value(&set.defs()[set.index_of("restarts").unwrap() as usize]).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "name": "restarts",
            "paths": [".status.containerStatuses[*].restartCount"],
            "type": "int",
            "default": {"int": 0},
            "source": "built-in",
            "reduce": "sum",
        })
    );
    assert!(serde_json::from_value::<FieldDef>(serde_json::json!({"name": "x"})).is_err());
}

#[test]
fn a_name_is_one_field() {
    let set = FieldSet::new([user(".a.b", Type::Int), user("a.b", Type::Text)]);
    assert_eq!(set.len(), 1);
    assert_eq!(set.defs()[0].ty, Type::Int);
    assert!(FieldSet::default().is_empty());
    assert_eq!(FieldSet::default().extract(b"{}").unwrap(), Values::default());
}

#[test]
fn bad_objects_are_indexed_sanely() {
    let set = FieldSet::for_kind("", "Pod");
    let nan = r#"{"spec":{"priority":1e400,"nodeName":"\ud800\u0000"},
        "status":{"containerStatuses":[{"restartCount":9223372036854775807},{"restartCount":1}],
        "podIP":"\u0000","phase":{"a":1}}}"#;
    let found = set.extract(nan.as_bytes()).unwrap();
    let by_name: BTreeMap<_, _> =
        found.fields.iter().map(|(index, value)| (set.name(*index).unwrap(), value)).collect();
    assert_eq!(by_name["spec.nodeName"], &text("\u{fffd}\0"));
    assert_eq!(by_name["restarts"], &Value::Int(0), "a sum beyond 64 bits is no value");
    let invalid: Vec<_> =
        found.invalid.iter().map(|(index, _)| set.name(*index).unwrap()).collect();
    assert_eq!(invalid, ["status.phase", "restarts", "ip", "spec.priority"]);
}

/// Values as text, with some that fit no type.
fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        any::<i32>().prop_map(Json::from),
        "[a-z]{0,3}".prop_map(Json::from),
        "[0-9]{1,3}(m|Mi|)".prop_map(Json::from),
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
    ]
}

proptest! {
    #[test]
    fn values_are_those_of_the_parsed_tree(
        containers in vec((scalar(), scalar(), any::<bool>()), 0..4),
        phase in scalar(),
    ) {
        let statuses: Vec<Json> = containers
            .iter()
            .map(|(restarts, _, ready)| serde_json::json!({"restartCount": restarts, "ready": ready}))
            .collect();
        let specs: Vec<Json> = containers
            .iter()
            .map(|(image, cpu, _)| serde_json::json!({"image": image, "resources": {"requests": {"cpu": cpu}}}))
            .collect();
        let body = serde_json::json!({
            "spec": {"containers": specs},
            "status": {"phase": phase, "containerStatuses": statuses},
        });
        let set = FieldSet::for_kind("", "Pod");
        let found = set.extract(body.to_string().as_bytes()).unwrap().fields;
        let of = |name: &str| {
            let index = set.index_of(name).unwrap();
            found.iter().filter(|(at, _)| *at == index).map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let parse = |ty, json: &Json| match json {
            Json::String(text) if text.is_empty() => None,
            Json::String(text) => Value::parse(ty, text).ok(),
            Json::Number(number) => Value::parse(ty, &number.to_string()).ok(),
            Json::Bool(truth) if ty == Type::Text => Some(text(&truth.to_string())),
            _ => None,
        };
        let restarts: i64 = containers
            .iter()
            .filter_map(|(restarts, ..)| match parse(Type::Int, restarts) {
                Some(Value::Int(number)) => Some(number),
                _ => None,
            })
            .sum();
        prop_assert_eq!(of("restarts"), [Value::Int(restarts)]);
        let ready = containers.iter().filter(|(.., ready)| *ready).count();
        prop_assert_eq!(of("ready"), [Value::Int(i64::try_from(ready).unwrap())]);
        let mut images: Vec<_> =
            containers.iter().filter_map(|(image, ..)| parse(Type::Text, image)).collect();
        images.sort();
        images.dedup();
        prop_assert_eq!(of("image"), images);
        prop_assert_eq!(of("phase"), parse(Type::Text, &phase).into_iter().collect::<Vec<_>>());
        let cpus: Vec<_> =
            containers.iter().filter_map(|(_, cpu, _)| parse(Type::Quantity, cpu)).collect();
        let total = cpus.iter().fold(bigdecimal::BigDecimal::default(), |sum, cpu| match cpu {
            Value::Decimal(number) => sum + number.to_bigdecimal(),
            other => panic!("{other:?}"),
        });
        let total = crate::value::Decimal::from_bigdecimal(&total).map(Value::Decimal);
        prop_assert_eq!(of("requests.cpu"), total.filter(|_| !cpus.is_empty()).into_iter().collect::<Vec<_>>());
    }
}
