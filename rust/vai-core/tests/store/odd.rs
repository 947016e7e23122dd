//! Objects as nobody should send them: kept verbatim, indexed sanely, and the file stays sound.

use std::collections::BTreeMap;

use vai_core::query::Request;

use crate::file::{assert_sound, options, spec, writer};

/// A pod whose members are these, besides its identity.
fn pod(name: &str, metadata: &str, rest: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"a","uid":"u-{name}","resourceVersion":"1"{metadata}}}{rest}}}"#
    )
}

fn selected(store: &vai_core::store::Store, fields: &str, labels: &str) -> Vec<String> {
    let request = Request {
        resources: vec!["pods".into()],
        field_selector: fields.into(),
        label_selector: labels.into(),
        ..Request::default()
    };
    store.query(&request).unwrap().keys().map(str::to_owned).collect()
}

#[test]
fn odd_objects_are_kept_verbatim_and_found() {
    let labels: Vec<String> = (0..10_000).map(|at| format!(r#""l{at}":"v{at}""#)).collect();
    let labels = format!(r#","labels":{{{}}}"#, labels.join(","));
    let deep = format!(r#","x":{}1{}"#, "[".repeat(9_000), "]".repeat(9_000));
    let statuses: Vec<String> =
        (0..2_000).map(|at| format!(r#"{{"ready":true,"restartCount":{at}}}"#)).collect();
    let statuses = format!(r#","status":{{"containerStatuses":[{}]}}"#, statuses.join(","));
    let items = [
        pod("labels", &labels, ""),
        pod("deep", "", &deep),
        pod("statuses", "", &statuses),
        pod("big", "", r#","spec":{"priority":1e400,"nodeName":12}"#),
        pod("nul", r#","labels":{"app":"a\u0000b"}"#, r#","spec":{"nodeName":"n\u0000"}"#),
        pod("lone", "", r#","spec":{"nodeName":"\ud800"}"#),
        pod("twice", "", r#","spec":{"nodeName":"x"},"spec":{"nodeName":"n1","nodeName":"n2"}"#),
        pod("types", r#","creationTimestamp":"soon""#, r#","spec":[],"status":"x""#),
        pod("wide", "", &format!(r#","spec":{{"nodeName":"{}"}}"#, "w".repeat(3 << 20))),
    ];
    let page = format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{}]}}"#,
        items.join(",")
    );

    let folder = tempfile::tempdir().unwrap();
    let store = writer(&folder.path().join("x.db"), options());
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    let listing = store.begin_list(scope).unwrap();
    listing.begin_page(false).unwrap();
    listing.push(page.as_bytes()).unwrap();
    listing.end_page().unwrap();
    listing.publish("9").unwrap();

    assert_sound(&store);
    for item in &items {
        let name = item.split('"').nth(5).unwrap();
        let body = store.get("pods", Some("a"), name).unwrap().unwrap();
        let verbatim = format!(r#"{{"kind":"Pod","apiVersion":"v1",{}"#, &item[1..]);
        assert!(body.body().unwrap() == verbatim.as_bytes(), "{name} is not what was sent");
    }
    for (fields, labels, want) in [
        ("", "l9999=v9999", &["a/labels"][..]),
        ("spec.nodeName=12", "", &["a/big"]),
        ("spec.nodeName=n2", "", &["a/twice"]),
        ("spec.nodeName=x", "", &[]),
        ("spec.nodeName=\u{fffd}", "", &["a/lone"]),
        ("spec.nodeName=n\0", "", &["a/nul"]),
    ] {
        assert_eq!(selected(&store, fields, labels), want, "{fields:?} {labels:?}");
    }
    let invalid: BTreeMap<String, (i64, Option<String>)> = store
        .fields(Some("pods"))
        .unwrap()
        .into_iter()
        .filter(|field| field.invalid > 0)
        .map(|field| (field.name, (field.invalid, field.invalid_example)))
        .collect();
    let of = |name: &str| (1, Some(format!("a/{name}")));
    assert_eq!(
        invalid,
        BTreeMap::from([
            ("metadata.creationTimestamp".to_owned(), of("types")),
            ("spec.priority".to_owned(), of("big")),
        ])
    );
}
