//! Pages of lists and Tables.

use vai_core::feed::{FeedError, FeedOptions, Item, ListFeed, PageMeta};
use vai_core::object::{MAX_INDEXED_TEXT_BYTES, Owner};

use crate::support::{bare, fields, gzip, items, list, list_chunks, pods, text, typed};

#[test]
fn a_page_gives_its_items_and_what_it_says_of_itself() {
    let page = format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"812","continue":"abc","remainingItemCount":4990}},"items":[{},{}]}}"#,
        r#"{"metadata":{"name":"web-0","generateName":"web-","namespace":"shop","uid":"u1","resourceVersion":"810","creationTimestamp":"2025-03-01T10:00:00Z","labels":{"tier":"front","app":"web"},"annotations":{"a":"b"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"o1","controller":true,"blockOwnerDeletion":true},{"kind":"X","name":"y","uid":"o2"}]},"spec":{"nodeName":"n1","hostNetwork":true},"status":{"phase":"Running"}}"#,
        bare("web-1", 811),
    );
    let (items, meta) = items(&pods(), &page);
    assert_eq!(
        meta,
        PageMeta {
            resource_version: "812".into(),
            continue_token: Some("abc".into()),
            remaining: Some(4990),
            items: 2,
            columns: None,
            kind: "PodList".into(),
        }
    );
    let owner = |uid: &str, kind: &str, name: &str, controller| Owner {
        uid: uid.into(),
        kind: kind.into(),
        name: name.into(),
        controller,
    };
    let web = &items[0];
    assert_eq!(web.key(), "shop/web-0");
    assert_eq!((web.uid.as_str(), web.resource_version.as_str()), ("u1", "810"));
    assert_eq!(web.created.as_deref(), Some("2025-03-01T10:00:00Z"));
    assert_eq!(web.labels, [("app".into(), "web".into()), ("tier".into(), "front".into())]);
    assert_eq!(web.owners, [owner("o1", "ReplicaSet", "web", true), owner("o2", "X", "y", false)]);
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect::<Vec<_>>()
    };
    let defaults = [("spec.hostNetwork", "false"), ("restarts", "0"), ("ready", "0")];
    assert_eq!(
        fields(&pods(), web),
        pairs(&[
            ("spec.nodeName", "n1"),
            ("spec.hostNetwork", "true"),
            ("status.phase", "Running"),
            defaults[1],
            defaults[2],
            ("owner.kind", "ReplicaSet"),
            ("owner.name", "web"),
            ("metadata.creationTimestamp", "2025-03-01T10:00:00Z"),
        ])
    );
    assert_eq!(items[1].key(), "shop/web-1");
    assert_eq!(fields(&pods(), &items[1]), pairs(&defaults));
    assert_eq!(items[1].cells, None);
}

#[test]
fn bodies_are_the_servers_bytes_with_kind_and_api_version_restored() {
    let odd = r#" {"metadata" : {"name":"a","uid":"u","resourceVersion":"1","labels":{"a":"1","a":"2"}},
        "x":1e400,"x":-0.0, "big":123456789012345678901234567890, "s":"\ud800 \u0000 \/ é"  } "#;
    let page = |item: &str| format!(r#"{{"kind":"PodList","metadata":{{}},"items":[{item}]}}"#);
    let (found, _) = items(&pods(), &page(odd));
    let verbatim = odd.trim().strip_prefix('{').unwrap();
    assert_eq!(text(&found[0].body), format!(r#"{{"kind":"Pod","apiVersion":"v1",{verbatim}"#));
    assert_eq!(found[0].labels, [("a".into(), "2".into())], "the last duplicate counts");
    assert_eq!(found[0].key(), "a", "cluster-scoped");

    // What the item has is not repeated.
    let whole = typed("b", 2);
    assert_eq!(text(&items(&pods(), &page(&whole)).0[0].body), whole);
    let kind_only = bare("c", 3).replacen('{', r#"{"kind":"Pod","#, 1);
    assert_eq!(
        text(&items(&pods(), &page(&kind_only)).0[0].body),
        kind_only.replacen('{', r#"{"apiVersion":"v1","#, 1)
    );
}

#[test]
fn the_order_of_top_level_keys_does_not_matter() {
    let page = format!(
        r#"{{ "items" : [ {} , {} ] , "unknown":[{{"items":[1]}}], "metadata" : {{ "resourceVersion" : "9" }}, "apiVersion":"v1", "kind" : "PodList" }}
"#,
        bare("a", 1),
        bare("b", 2)
    );
    let (found, meta) = items(&pods(), &page);
    assert_eq!(found.len(), 2);
    assert_eq!((meta.resource_version.as_str(), meta.kind.as_str()), ("9", "PodList"));
    assert_eq!(meta.continue_token, None);
}

#[test]
fn the_next_page_is_known_as_soon_as_the_metadata_is_complete() {
    let head = r#"{"kind":"PodList","metadata":{"resourceVersion":"9","continue":"abc"}"#;
    for cut in 0..head.len() {
        let (first, rest) = head.as_bytes().split_at(cut);
        let mut feed = ListFeed::new(&pods());
        let mut sink = |_: Item| Ok::<_, FeedError>(());
        feed.push(first, &mut sink).unwrap();
        assert_eq!(feed.head(), None, "half of it would look like a last page: cut at {cut}");
        feed.push(rest, &mut sink).unwrap();
        assert_eq!(feed.head().unwrap().continue_token.as_deref(), Some("abc"));
    }
}

#[test]
fn empty_lists_are_lists() {
    for page in [
        r#"{"kind":"PodList","metadata":{"resourceVersion":"5","continue":""},"items":[]}"#,
        r#"{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":null}"#,
        r#"{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":[ ]}"#,
        r#"{"kind":"Table","metadata":{"resourceVersion":"5"},"columnDefinitions":null,"rows":[]}"#,
    ] {
        let (found, meta) = items(&pods(), page);
        assert!(found.is_empty());
        assert_eq!((meta.resource_version.as_str(), meta.items), ("5", 0));
        assert_eq!((meta.continue_token, meta.columns), (None, None));
    }
}

#[test]
fn tables_give_cells_and_columns_as_sent() {
    let columns =
        r#"[{"name":"Name","type":"string","format":"name","description":"x","priority":0}]"#;
    let page = format!(
        r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{"resourceVersion":"7"}},"columnDefinitions":{columns},"rows":[{{"cells":["a", 1,null ],"conditions":[{{"type":"Completed"}}],"object":{}}},{{"object":{},"cells":[]}}]}}"#,
        typed("a", 1),
        typed("b", 2)
    );
    let (found, meta) = items(&pods(), &page);
    assert_eq!(meta.columns.as_deref().map(text), Some(columns));
    assert_eq!((meta.kind.as_str(), meta.items), ("Table", 2));
    assert_eq!(found[0].cells.as_deref().map(text), Some(r#"["a", 1,null ]"#));
    assert_eq!(found[1].cells.as_deref().map(text), Some("[]"));
    assert_eq!(text(&found[1].body), typed("b", 2));
}

#[test]
fn tables_of_metadata_have_no_fields_at_all() {
    let object = bare("a", 1).replacen(
        '{',
        r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","#,
        1,
    );
    let page = format!(
        r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{}},"rows":[{{"cells":["a"],"object":{object}}}]}}"#
    );
    let (found, _) = items(&pods(), &page);
    assert_eq!(found[0].key(), "shop/a");
    assert!(found[0].fields.is_empty(), "unknown is not the default");
    assert_eq!(text(&found[0].body), object);
}

#[test]
fn a_row_without_object_is_an_error() {
    for row in [r#"{"cells":["a"]}"#, r#"{"cells":["a"],"object":null}"#] {
        let (_, end) = list(&pods(), &format!(r#"{{"kind":"Table","rows":[{row}]}}"#));
        assert!(
            matches!(&end, Err(FeedError::Malformed { problem, .. }) if problem.contains("no object")),
            "{end:?}"
        );
    }
}

#[test]
fn items_without_identity_are_errors_that_name_them() {
    for (item, what) in [
        (
            r#"{"metadata":{"uid":"u","resourceVersion":"1"}}"#,
            "item 1: the object has no metadata.name",
        ),
        (
            r#"{"metadata":{"name":"n","namespace":"s","resourceVersion":"1"}}"#,
            "item 1: the object has no metadata.uid (object s/n)",
        ),
        (
            r#"{"metadata":{"name":"n","uid":"u"}}"#,
            "item 1: the object has no metadata.resourceVersion (object n)",
        ),
        (
            r#"{"metadata":{"name":"n","uid":"u","resourceVersion":""}}"#,
            "item 1: the object has no metadata.resourceVersion (object n)",
        ),
        (
            r#"{"metadata":{"name":7,"uid":"u","resourceVersion":"1"}}"#,
            "item 1: metadata.name is not a string",
        ),
        (r#"{"metadata":[]}"#, "item 1: metadata is not an object"),
        (
            r#"{"metadata":{"name":"n","labels":{"a":1}}}"#,
            "item 1: a value in metadata.labels is not a string (object n)",
        ),
        ("{}", "item 1: the object has no metadata.name"),
        ("null", "item 1: the object is not a JSON object"),
    ] {
        let page = format!(r#"{{"kind":"PodList","items":[{},{item}]}}"#, bare("ok", 1));
        let (found, end) = list(&pods(), &page);
        assert_eq!(found.len(), 1);
        let position = page.find(item).unwrap() as u64;
        assert_eq!(end, Err(FeedError::Malformed { position, problem: what.into() }), "{item}");
    }
}

#[test]
fn malformed_pages_are_errors_with_the_position() {
    for (page, position) in [
        ("404 page not found\n", 0),
        ("[]", 0),
        (r#"{"kind" "PodList"}"#, 8),
        (r#"{"kind":"PodList","items":[{"metadata":{"name":"a"]}]}"#, 50),
        (r#"{"kind":"PodList","items":[1 2]}"#, 27),
        (r#"{"kind":"PodList","items":[}"#, 27),
        (r#"{"kind":"PodList","items":{}}"#, 26),
        (r#"{"kind":"PodList","items":[],}"#, 29),
        (r#"{"kind":"PodList","items":[]}x"#, 29),
        (r#"{"kind":"PodList","items":[],"items":[]}"#, 29),
        ("{\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"name\":\"a\tb\"}}]}", 49),
    ] {
        let (_, end) = list(&pods(), page);
        match end {
            Err(FeedError::Malformed { position: found, .. }) => {
                assert_eq!(found, position, "{page}");
            }
            other => panic!("{page}: {other:?}"),
        }
        // However it arrives.
        let (_, bytewise) = list_chunks(&pods(), page.as_bytes().chunks(1));
        assert_eq!(bytewise, list(&pods(), page).1, "{page}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_malformed() {
    let page = format!(r#"{{"kind":"PodList","items":[{}]}}"#, bare("aXb", 1));
    let mut page = page.into_bytes();
    let wrong = page.iter().position(|byte| *byte == b'X').unwrap();
    page[wrong] = 0xff;
    let (found, end) = list_chunks(&pods(), [page.as_slice()]);
    assert!(found.is_empty());
    assert!(
        matches!(&end, Err(FeedError::Malformed { position, problem })
            if *position == wrong as u64 && problem.contains("not UTF-8")),
        "{end:?}"
    );
}

#[test]
fn pages_that_end_early_are_truncated_wherever_they_end() {
    let page = format!(
        r#"{{"kind":"PodList","metadata":{{}},"items":[{},{}]}}"#,
        bare("a", 1),
        bare("b", 2)
    );
    for cut in 0..page.len() {
        let (_, end) = list(&pods(), &page[..cut]);
        assert!(
            matches!(&end, Err(FeedError::Truncated { position, .. }) if *position == cut as u64),
            "cut at {cut}: {end:?}"
        );
    }
}

#[test]
fn a_status_instead_of_a_list_is_its_error() {
    let expired = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"The provided continue parameter is too old","reason":"Expired","code":410}"#;
    let (_, end) = list(&pods(), expired);
    assert_eq!(
        end,
        Err(FeedError::Status {
            code: Some(410),
            reason: Some("Expired".into()),
            message: "The provided continue parameter is too old".into(),
        })
    );
    for cut in 0..expired.len() {
        let (head, tail) = expired.as_bytes().split_at(cut);
        assert_eq!(list_chunks(&pods(), [head, tail]).1, end, "cut at {cut}");
    }
    assert_eq!(end.unwrap_err().to_string(), "The provided continue parameter is too old");
    let late = r#"{"code":403,"details":{"causes":[{"reason":"no"}]},"kind":"Status"}"#;
    assert!(matches!(
        list(&pods(), late).1,
        Err(FeedError::Status { code: Some(403), reason: None, .. })
    ));
    let (_, end) = list(&pods(), &typed("a", 1));
    assert_eq!(end, Err(FeedError::NotAList { kind: "Pod".into() }));
}

#[test]
fn objects_longer_than_the_limit_are_refused_however_they_arrive() {
    let options = FeedOptions { max_object_bytes: 200, ..pods() };
    let padded = |padding: usize| {
        let object = bare("a", 1).replacen('{', &format!(r#"{{"p":"{}","#, "x".repeat(padding)), 1);
        (object.len(), format!(r#"{{"kind":"PodList","items":[{object}]}}"#))
    };
    let overhead = padded(0).0;
    let (length, page) = padded(200 - overhead);
    assert_eq!(length, 200);
    for chunk in [1, 7, page.len()] {
        let (found, end) = list_chunks(&options, page.as_bytes().chunks(chunk));
        assert_eq!((found.len(), end.is_ok()), (1, true), "chunks of {chunk}");
    }
    let (_, page) = padded(201 - overhead);
    for chunk in [1, 7, page.len()] {
        let (found, end) = list_chunks(&options, page.as_bytes().chunks(chunk));
        assert!(found.is_empty());
        assert_eq!(
            end,
            Err(FeedError::TooLarge { position: 27, limit_bytes: 200 }),
            "chunks of {chunk}"
        );
    }
}

#[test]
fn what_goes_wrong_behind_the_limit_is_too_long_first() {
    let options = FeedOptions { max_object_bytes: 200, ..pods() };
    let page = |padding: usize| {
        format!(r#"{{"kind":"PodList","items":[{{"p":"{}" oops}}]}}"#, "x".repeat(padding))
    };
    for (padding, too_large) in [(100, false), (300, true)] {
        let page = page(padding);
        for chunk in [1, 7, page.len()] {
            let (_, end) = list_chunks(&options, page.as_bytes().chunks(chunk));
            assert_eq!(matches!(end, Err(FeedError::TooLarge { .. })), too_large, "{end:?}");
        }
    }
}

#[test]
fn objects_nest_as_deep_as_the_server_allows_and_no_deeper() {
    let deep = |levels: usize| {
        let nested = "[".repeat(levels) + &"]".repeat(levels);
        let object = bare("a", 1).replacen('{', &format!(r#"{{"deep":{nested},"#), 1);
        format!(r#"{{"kind":"PodList","items":[{object}]}}"#)
    };
    assert!(list(&pods(), &deep(9_999)).1.is_ok());
    let (_, end) = list(&pods(), &deep(10_100));
    assert!(
        matches!(&end, Err(FeedError::Malformed { problem, .. }) if problem.contains("10,000")),
        "{end:?}"
    );
}

#[test]
fn indexed_text_is_decoded_and_capped_the_body_is_not() {
    let long = "é".repeat(800);
    let object = bare("a", 1).replacen(
        '{',
        &format!(r#"{{"status":{{"phase":"{long}","podIP":"\ud800x"}},"#),
        1,
    );
    let (found, _) = items(&pods(), &format!(r#"{{"kind":"PodList","items":[{object}]}}"#));
    let texts: Vec<_> = fields(&pods(), &found[0]).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["false", &long[..MAX_INDEXED_TEXT_BYTES], "\u{fffd}x", "0", "0"]);
    // As an address it can't be read.
    let ip = pods().fields.index_of("ip").unwrap();
    assert_eq!(found[0].invalid, [(ip, 1)]);
    assert!(text(&found[0].body).contains(&long));
    assert!(text(&found[0].body).contains(r"\ud800x"));
}

#[test]
fn an_error_of_the_sink_comes_back_unchanged() {
    #[derive(Debug, PartialEq)]
    enum Mine {
        Full,
        Feed(FeedError),
    }
    impl From<FeedError> for Mine {
        fn from(error: FeedError) -> Self {
            Self::Feed(error)
        }
    }
    let page = format!(r#"{{"kind":"PodList","items":[{},{}]}}"#, bare("a", 1), bare("b", 2));
    let mut seen = 0;
    let mut full = |_: Item| {
        seen += 1;
        Err(Mine::Full)
    };
    assert_eq!(ListFeed::new(&pods()).push(page.as_bytes(), &mut full), Err(Mine::Full));
    assert_eq!(seen, 1);
    let mut sink = |_: Item| Ok(());
    let fault = ListFeed::new(&pods()).push(b"x", &mut sink);
    assert!(matches!(fault, Err(Mine::Feed(FeedError::Malformed { position: 0, .. }))));
}

#[test]
fn compressed_pages_are_read_and_cut_ones_refused() {
    let page = format!(
        r#"{{"kind":"PodList","metadata":{{"resourceVersion":"3"}},"items":[{},{}]}}"#,
        bare("a", 1),
        bare("b", 2)
    );
    let options = FeedOptions { gzip: true, ..pods() };
    let plain = items(&pods(), &page);
    for cut in [0, 1, page.len() / 2, page.len()] {
        let members = [gzip(&page.as_bytes()[..cut]), gzip(&page.as_bytes()[cut..])].concat();
        for chunk in [1, 10, members.len()] {
            let (found, end) = list_chunks(&options, members.chunks(chunk));
            assert_eq!((found, end.unwrap()), plain);
        }
    }
    let whole = gzip(page.as_bytes());
    for cut in 0..whole.len() {
        let (_, end) = list_chunks(&options, [&whole[..cut]]);
        assert!(matches!(end, Err(FeedError::Truncated { .. })), "cut at {cut}: {end:?}");
    }
    assert!(matches!(list(&options, &page).1, Err(FeedError::Gzip { .. })));
}

#[test]
fn a_number_that_goes_over_into_something_else_is_malformed_wherever_it_is_cut() {
    let page =
        r#"{"kind":"PodList","apiVersion":12x,"metadata":{"resourceVersion":"9"},"items":[]}"#;
    let whole = list_chunks(&pods(), [page.as_bytes()]);
    assert!(matches!(whole.1, Err(FeedError::Malformed { position: 33, .. })), "{:?}", whole.1);
    for size in 1..page.len() {
        let cut = list_chunks(&pods(), page.as_bytes().chunks(size));
        assert_eq!(cut, whole, "in pieces of {size}");
    }
}
