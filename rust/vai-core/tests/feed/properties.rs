//! Properties over generated responses: any cut gives the same, and what is read is what
//! `serde_json` reads.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use vai_core::feed::FeedOptions;

use crate::support::{list_chunks, pods, text, watch_chunks};

/// A JSON string, with escapes of all sorts.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,12}",
        1 => Just(r#"\""#.to_owned()),
        1 => Just(r"\\".to_owned()),
        1 => Just(r"\n".to_owned()),
        1 => Just(r"\u00e9".to_owned()),
        1 => Just(r"\ud83d\ude00".to_owned()),
        1 => Just("é{}[],:".to_owned()),
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\n"), 1 => Just("\r\n\t")]
}

/// Any JSON value as text.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        string(),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..4), space())
                .prop_map(|(all, space)| format!("[{space}{}]", all.join(&format!("{space},")))),
            (vec((string(), inner), 0..4), space()).prop_map(|(all, space)| {
                let members: Vec<_> =
                    all.iter().map(|(key, value)| format!("{key}{space}:{value}")).collect();
                format!("{{{}{space}}}", members.join(","))
            }),
        ]
    })
}

/// A pod as text: its identity, and other members around it.
fn object() -> impl Strategy<Value = String> {
    let metadata = (
        "[a-z]{1,8}",
        proptest::option::of("[a-z]{1,8}"),
        1_u32..9_999,
        vec(("[a-z]{1,3}", string()), 0..4),
        vec((string(), value()), 0..3),
        space(),
    )
        .prop_map(|(name, namespace, rv, labels, more, space)| {
            let mut members = vec![
                format!("\"name\"{space}:\"{name}\""),
                format!("\"uid\":{space}\"u-{name}\""),
                format!("\"resourceVersion\":\"{rv}\""),
            ];
            members.extend(namespace.map(|namespace| format!("\"namespace\":\"{namespace}\"")));
            let labels: Vec<_> =
                labels.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            members.push(format!("\"labels\":{{{}}}", labels.join(",")));
            members.extend(more.iter().map(|(key, value)| format!("\"x{}:{value}", &key[1..])));
            format!("{{{}}}", members.join(","))
        });
    (metadata, vec(("[a-z]{1,6}", value()), 0..4), proptest::option::of(string()), 0_usize..5)
        .prop_map(|(metadata, more, phase, place)| {
            let mut members: Vec<_> =
                more.iter().map(|(key, value)| format!("\"x{key}\":{value}")).collect();
            members.extend(phase.map(|phase| format!("\"status\":{{\"phase\":{phase}}}")));
            members.insert(place.min(members.len()), format!("\"metadata\":{metadata}"));
            format!("{{{}}}", members.join(","))
        })
}

/// Cuts bytes at positions given as parts of 65,536.
fn cut<'a>(bytes: &'a [u8], cuts: &[u16]) -> Vec<&'a [u8]> {
    let mut positions: Vec<usize> =
        cuts.iter().map(|cut| bytes.len() * usize::from(*cut) / 65_536).collect();
    positions.sort_unstable();
    let mut chunks = Vec::new();
    let mut from = 0;
    for position in positions {
        chunks.push(&bytes[from..position]);
        from = position;
    }
    chunks.push(&bytes[from..]);
    chunks
}

fn page(objects: &[String], space: &str) -> String {
    format!(
        "{{\"kind\":\"PodList\",{space}\"metadata\":{{\"resourceVersion\":\"7\"}},\"items\"{space}:[{}]{space}}}\n",
        objects.join(&format!("{space},"))
    )
}

proptest! {
    #[test]
    fn a_list_cut_anywhere_gives_the_same_items(
        objects in vec(object(), 0..6),
        space in space(),
        cuts in vec(any::<u16>(), 0..8),
    ) {
        let page = page(&objects, space);
        let whole = list_chunks(&pods(), [page.as_bytes()]);
        prop_assert!(whole.1.is_ok(), "{:?}", whole.1);
        prop_assert_eq!(whole.0.len(), objects.len());
        prop_assert_eq!(&list_chunks(&pods(), cut(page.as_bytes(), &cuts)), &whole);
        prop_assert_eq!(&list_chunks(&pods(), page.as_bytes().chunks(1)), &whole);
    }

    #[test]
    fn a_damaged_list_cut_anywhere_gives_the_same_error(
        objects in vec(object(), 1..4),
        damage in (any::<u16>(), any::<u8>()),
        cuts in vec(any::<u16>(), 0..8),
    ) {
        let mut page = page(&objects, "").into_bytes();
        let at = page.len() * usize::from(damage.0) / 65_536;
        page[at] = damage.1;
        let whole = list_chunks(&pods(), [page.as_slice()]);
        prop_assert_eq!(&list_chunks(&pods(), cut(&page, &cuts)), &whole);
        prop_assert_eq!(&list_chunks(&pods(), page.chunks(1)), &whole);
        // An independent reader agrees on whether it is JSON (but it bounds the depth at 128, and
        // it refuses lone surrogates and numbers out of range, which Go passes on).
        if serde_json::from_slice::<Value>(&page).is_ok() {
            let malformed = matches!(
                &whole.1,
                Err(vai_core::feed::FeedError::Malformed { problem, .. })
                    if !problem.contains("metadata") && !problem.contains("array") && !problem.contains("object")
            );
            prop_assert!(!malformed, "{:?}: {}", whole.1, String::from_utf8_lossy(&page));
        } else if whole.1.is_ok() {
            let lossy = String::from_utf8_lossy(&page);
            prop_assert!(lossy.contains("\\u") || lossy.contains('e'), "{}", lossy);
        }
    }

    #[test]
    fn a_watch_cut_anywhere_gives_the_same_events(
        objects in vec(object(), 0..6),
        separator in prop_oneof![Just(""), Just("\n"), Just("\n\n"), Just(" ")],
        cuts in vec(any::<u16>(), 0..8),
    ) {
        let frames: Vec<_> = objects
            .iter()
            .map(|object| format!("{{\"type\":\"ADDED\",\"object\":{object}}}"))
            .collect();
        let stream = frames.join(separator);
        let whole = watch_chunks(&pods(), [stream.as_bytes()]);
        prop_assert_eq!(&whole.1, &Ok(()));
        prop_assert_eq!(whole.0.len(), objects.len());
        prop_assert_eq!(&watch_chunks(&pods(), cut(stream.as_bytes(), &cuts)), &whole);
        prop_assert_eq!(&watch_chunks(&pods(), stream.as_bytes().chunks(1)), &whole);
    }

    #[test]
    fn a_damaged_watch_cut_anywhere_gives_the_same_events(
        objects in vec(object(), 1..5),
        damage in vec((any::<u16>(), any::<u8>()), 1..4),
        cuts in vec(any::<u16>(), 0..8),
    ) {
        let mut stream: Vec<u8> = objects
            .iter()
            .flat_map(|object| {
                format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n").into_bytes()
            })
            .collect();
        for (place, byte) in damage {
            // The last line feed stays: the stream ends with a line.
            let at = (stream.len() - 1) * usize::from(place) / 65_536;
            stream[at] = byte;
        }
        let whole = watch_chunks(&pods(), [stream.as_slice()]);
        prop_assert_eq!(&watch_chunks(&pods(), cut(&stream, &cuts)), &whole);
        prop_assert_eq!(&watch_chunks(&pods(), stream.chunks(1)), &whole);
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads(object in object()) {
        let page = page(std::slice::from_ref(&object), "");
        let (found, _) = list_chunks(&pods(), [page.as_bytes()]);
        let item = &found[0];
        let tree: Value = serde_json::from_str(&object).unwrap();
        let metadata = &tree["metadata"];
        prop_assert_eq!(Some(item.name.as_str()), metadata["name"].as_str());
        prop_assert_eq!(item.namespace.as_deref(), metadata["namespace"].as_str());
        prop_assert_eq!(Some(item.uid.as_str()), metadata["uid"].as_str());
        prop_assert_eq!(Some(item.resource_version.as_str()), metadata["resourceVersion"].as_str());
        let mut labels: Vec<(String, String)> = metadata["labels"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        labels.sort();
        prop_assert_eq!(&item.labels, &labels);
        let phase = pods().fields.index_of("status.phase").unwrap();
        let found = item.fields.iter().find(|(index, _)| *index == phase);
        let found = found.map(|(_, value)| value.selector_text().into_owned());
        let want = tree["status"]["phase"].as_str().filter(|text| !text.is_empty());
        prop_assert_eq!(found.as_deref(), want);
        let verbatim = text(&item.body).strip_prefix(r#"{"kind":"Pod","apiVersion":"v1","#).unwrap();
        prop_assert_eq!(verbatim, &object[1..]);
    }

    #[test]
    fn any_bytes_at_all_end_in_a_result(bytes in vec(any::<u8>(), 0..200), gzip in any::<bool>()) {
        let options = FeedOptions { gzip, ..pods() };
        let _ = list_chunks(&options, [bytes.as_slice()]);
        let _ = watch_chunks(&options, [bytes.as_slice()]);
    }
}
