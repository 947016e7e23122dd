//! What of a redacted object reaches the file.

use proptest::prelude::*;
use vai_core::feed::{Event, Item};

use crate::support::{fields, items, redacted, text, watch};

const CANARY: &str = "c4n4ry";

fn only_item(object: &str) -> Item {
    let page =
        format!(r#"{{"kind":"SecretList","apiVersion":"v1","metadata":{{}},"items":[{object}]}}"#);
    let (mut found, _) = items(&redacted(), &page);
    found.remove(0)
}

#[test]
fn a_full_object_is_reduced_to_its_metadata() {
    let metadata = r#"{ "name":"s","namespace":"n","uid":"u","resourceVersion":"1","creationTimestamp":"2025-03-01T10:00:00Z","labels":{"a":"b"},"managedFields":[{"fieldsV1":{"f:data":{"f:password":{}}}}] }"#;
    let item = only_item(&format!(
        r#"{{"kind":"Secret","data":{{"password":"{CANARY}"}},"metadata":{metadata},"type":"{CANARY}","stringData":"{CANARY}"}}"#
    ));
    assert_eq!(
        text(&item.body),
        format!(
            r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#
        )
    );
    assert_eq!(
        fields(&redacted(), &item),
        [("metadata.creationTimestamp".into(), "2025-03-01T10:00:00Z".into())],
        "neither its type nor how many values it has"
    );
    assert_eq!(item.labels, [("a".into(), "b".into())]);
}

#[test]
fn annotations_that_repeat_the_object_are_dropped_wherever_they_stand() {
    let applied = r#""kubectl.kubernetes.io/last-applied-configuration":"{\"data\":\"c4n4ry\"}""#;
    let escaped = r#""kubectl.kubernetes.io\/last-\u0061pplied-configuration" : "c4n4ry""#;
    let rancher = r#""objectset.rio.cattle.io/applied":"c4n4ry""#;
    for (annotations, kept) in [
        (applied.to_owned(), "{}"),
        (format!(r#"{applied},"a":"1""#), r#"{"a":"1"}"#),
        (format!(r#""a":"1",{applied}"#), r#"{"a":"1"}"#),
        (
            format!(r#" "a" : "1" , {applied} , "b":{{"odd":[1]}} "#),
            r#"{"a" : "1","b":{"odd":[1]}}"#,
        ),
        (format!(r#"{applied},"a":"1",{escaped},"b":"2",{rancher}"#), r#"{"a":"1","b":"2"}"#),
        (r#" "a":"1" "#.to_owned(), r#"{ "a":"1" }"#),
    ] {
        let before = r#""name":"s","uid":"u","resourceVersion":"1""#;
        let item = only_item(&format!(
            r#"{{"metadata":{{{before},"annotations":{{{annotations}}},"generation":1}}}}"#
        ));
        assert_eq!(
            text(&item.body),
            format!(
                r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{{{before},"annotations":{kept},"generation":1}}}}"#
            )
        );
    }
}

#[test]
fn duplicate_metadata_and_annotations_are_each_cleaned() {
    let annotations =
        format!(r#""annotations":{{"x/last-applied-configuration":"{CANARY}","k":"v"}}"#);
    let metadata =
        format!(r#"{{"name":"s",{annotations},"uid":"u",{annotations},"resourceVersion":"1"}}"#);
    let item =
        only_item(&format!(r#"{{"metadata":{metadata},"data":"{CANARY}","metadata":{metadata}}}"#));
    let body = text(&item.body);
    assert!(!body.contains(CANARY), "{body}");
    assert_eq!(body.matches(r#"{"k":"v"}"#).count(), 4);
    serde_json::from_str::<serde_json::Value>(body).unwrap();
}

#[test]
fn cells_are_kept_as_the_server_printed_them() {
    let object = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1","metadata":{"name":"s","uid":"u","resourceVersion":"1"}}"#;
    let page = format!(
        r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[{{"cells":["s","Opaque",3,"4d"],"object":{object}}}]}}"#
    );
    let (found, _) = items(&redacted(), &page);
    assert_eq!(found[0].cells.as_deref().map(text), Some(r#"["s","Opaque",3,"4d"]"#));
    assert_eq!(text(&found[0].body), object.replace("v1beta1", "v1"));
}

#[test]
fn malformed_frames_of_redacted_scopes_are_not_quoted() {
    let stream = format!(
        "{{\"type\":\"ADDED\",\"object\":{{\"metadata\":{{\"name\":\"s\",\"namespace\":\"n\"}},\"data\":\"{CANARY}\" oops}}}}\n\
         {{\"type\":\"ADDED\",\"object\":{{\"metadata\":{{\"name\":\"t\"}},\"data\":\"{CANARY}\"}}}}\n"
    );
    let events = watch(&redacted(), stream.as_bytes());
    assert_eq!(events.len(), 2);
    for (event, name) in events.iter().zip(["n/s", "t"]) {
        let Event::Malformed { excerpt, problem, key } = event else { panic!("{event:?}") };
        assert_eq!(excerpt, "");
        assert_eq!(key.as_deref(), Some(name));
        assert!(!problem.contains(CANARY), "{problem}");
    }
}

/// Any JSON value whose every string, and every key, holds the canary.
fn secret_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(format!("\"{CANARY}\"")),
        Just(format!("\"\\\\\\\"}},{CANARY}\\u0041\"")),
        Just(format!("\"metadata {CANARY}\"")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            proptest::collection::vec(inner, 0..4).prop_map(|all| {
                let members = all.iter().map(|value| format!("\"metadata{CANARY}\" : {value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_byte_of_a_value_outside_metadata_survives(
        secrets in proptest::collection::vec(
            (prop_oneof![Just("data"), Just("stringData"), Just("kind"), Just("rows"), Just("x")], secret_value()),
            0..6,
        ),
        place in 0_usize..7,
        applied in secret_value(),
    ) {
        let applied = serde_json::Value::from(applied).to_string();
        let mut members: Vec<String> = secrets
            .iter()
            // A kind that is no string is refused: not the point here.
            .filter(|(key, value)| *key != "kind" || value.starts_with('"'))
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        members.insert(
            place.min(members.len()),
            format!(
                r#""metadata":{{"name":"s","uid":"u","resourceVersion":"1","annotations":{{"kubectl.kubernetes.io/last-applied-configuration":{applied},"keep":"me"}}}}"#
            ),
        );
        let item = only_item(&format!("{{{}}}", members.join(",")));
        prop_assert_eq!(
            text(&item.body),
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"s","uid":"u","resourceVersion":"1","annotations":{"keep":"me"}}}"#
        );
        let everything = format!("{item:?}");
        prop_assert!(!everything.contains(CANARY));
    }
}
