//! What a scope leaves out of its objects, and what it can't watch.

use std::sync::Arc;

use vai_core::feed::{Event, FeedOptions};
use vai_core::redact;

use crate::support::{fields, items, list, pods, text, watch};

fn without(paths: &[&str]) -> FeedOptions {
    let texts: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
    FeedOptions { drop: Arc::from(redact::paths(&texts).unwrap()), ..pods() }
}

const POD: &str = r#"{"metadata":{"name":"a","uid":"u","resourceVersion":"1","managedFields":[{"manager":"kubelet"}]},"spec":{"nodeName":"n1"},"status":{"phase":"Running"}}"#;

#[test]
fn dropped_paths_are_in_no_body_whether_listed_watched_or_in_a_table() {
    let kept = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","uid":"u","resourceVersion":"1"},"spec":{"nodeName":"n1"}}"#;
    let options = without(&["metadata.managedFields", "status"]);
    let page =
        format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"9"}},"items":[{POD}]}}"#);
    let (found, _) = items(&options, &page);
    assert_eq!(text(&found[0].body), kept);
    let table = format!(
        r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{"resourceVersion":"9"}},"rows":[{{"cells":["a"],"object":{POD}}}]}}"#
    );
    let (found, _) = items(&options, &table);
    assert_eq!(text(&found[0].body), kept);
    assert_eq!(found[0].cells.as_deref().map(text), Some(r#"["a"]"#));
    let events = watch(&options, format!("{{\"type\":\"ADDED\",\"object\":{POD}}}\n").as_bytes());
    let [Event::Added(item)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(text(&item.body), kept);
}

#[test]
fn an_index_says_of_an_object_what_its_body_says() {
    let page =
        format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"9"}},"items":[{POD}]}}"#);
    let has = |options: &FeedOptions, name: &str| {
        let (found, _) = items(options, &page);
        let known = fields(options, &found[0]);
        assert_eq!(found[0].fields, options.fields.extract(&found[0].body).unwrap().fields);
        known.iter().any(|(field, value)| field == name && !value.is_empty())
    };
    assert!(has(&pods(), "status.phase"));
    assert!(!has(&without(&["status"]), "status.phase"));
    assert!(has(&without(&["status"]), "spec.nodeName"));
}

#[test]
fn what_is_polled_may_lack_uid_and_version_and_has_another_version_when_it_changes() {
    let polled = FeedOptions { polled: true, ..pods() };
    let page = |usage: &str| {
        format!(
            r#"{{"kind":"PodMetricsList","metadata":{{}},"items":[{{"metadata":{{"name":"a","namespace":"n"}},"usage":"{usage}"}}]}}"#
        )
    };
    let (first, meta) = items(&polled, &page("1"));
    assert_eq!(meta.resource_version, "");
    assert_eq!(first[0].uid, "polled:n/a");
    let (same, _) = items(&polled, &page("1"));
    let (other, _) = items(&polled, &page("2"));
    assert_eq!(first[0].resource_version, same[0].resource_version);
    assert_ne!(first[0].resource_version, other[0].resource_version);
    assert_eq!(vai_core::rv::compare(&first[0].resource_version, "1"), None);
    // What is watched has to have them.
    let (_, end) = list(&pods(), &page("1"));
    assert!(end.unwrap_err().to_string().contains("no metadata.uid"));
}
