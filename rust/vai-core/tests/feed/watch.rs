//! Watch streams.

use vai_core::feed::{Event, FeedError, FeedOptions, MAX_EXCERPT_BYTES};

use crate::support::{gzip, pods, text, typed, watch, watch_chunks};

fn frame(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// A short name for an event, to compare sequences.
fn brief(event: &Event) -> String {
    match event {
        Event::Added(item) => format!("+{}", item.name),
        Event::Modified(item) => format!("~{}", item.name),
        Event::Deleted(item) => format!("-{}", item.name),
        Event::Bookmark { resource_version, initial_events_end } => {
            format!("@{resource_version}{}", if *initial_events_end { " end" } else { "" })
        }
        Event::Error { code, reason, .. } => format!("error {code:?} {reason:?}"),
        Event::Columns(columns) => format!("columns {}", text(columns)),
        Event::Malformed { key, .. } => format!("malformed {}", key.as_deref().unwrap_or("?")),
    }
}

fn briefs(stream: &str) -> Vec<String> {
    watch(&pods(), stream.as_bytes()).iter().map(brief).collect()
}

/// The same stream in one piece, in single bytes and cut in two anywhere.
fn briefs_however_cut(stream: &str) -> Vec<String> {
    let whole = briefs(stream);
    let all = |chunks: Vec<&[u8]>| {
        let (events, end) = watch_chunks(&pods(), chunks);
        end.unwrap();
        events.iter().map(brief).collect::<Vec<_>>()
    };
    let bytes = stream.as_bytes();
    assert_eq!(all(bytes.chunks(1).collect()), whole, "in single bytes: {stream}");
    for cut in 0..bytes.len() {
        assert_eq!(all(vec![&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}: {stream}");
    }
    whole
}

#[test]
fn frames_become_events_with_the_bodies_as_sent() {
    let stream = frame("ADDED", &typed("a", 1))
        + &frame("MODIFIED", &typed("a", 2))
        + &frame("DELETED", &typed("a", 3));
    let events = watch(&pods(), stream.as_bytes());
    let [Event::Added(added), Event::Modified(_), Event::Deleted(deleted)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(text(&added.body), typed("a", 1));
    assert_eq!((deleted.resource_version.as_str(), deleted.key()), ("3", "shop/a".into()));
    assert_eq!(briefs_however_cut(&stream), ["+a", "~a", "-a"]);
}

#[test]
fn frames_need_no_line_feeds_and_keys_no_order() {
    let stream = format!(
        r#"{{"object":{},"type":"ADDED"}}{{ "type" : "MODIFIED" , "object" : {} , "more":[1] }}  {{"type":"DELETED","object":{}}}"#,
        typed("a", 1),
        typed("b", 2),
        typed("c", 3)
    );
    assert_eq!(briefs_however_cut(&stream), ["+a", "~b", "-c"]);
}

#[test]
fn a_frame_may_be_printed_over_many_lines() {
    let pretty = "{\n  \"type\": \"ADDED\",\n  \"object\": {\n    \"metadata\": {\n\"name\": \"a\",\n\"uid\": \"u\",\n\"resourceVersion\": \"1\"\n}\n  }\n}\n";
    let braces_first = "{\n\"type\":\"ADDED\",\"object\":\n{\"metadata\":\n{\"name\":\"b\",\"uid\":\"u\",\"resourceVersion\":\"1\"}\n}\n}\n";
    assert_eq!(briefs_however_cut(&format!("{pretty}{braces_first}{pretty}")), ["+a", "+b", "+a"]);
}

#[test]
fn an_event_is_given_with_its_last_byte() {
    let stream = frame("ADDED", &typed("a", 1));
    let closing = stream.len() - 2;
    let mut feed = vai_core::feed::WatchFeed::new(&pods());
    let mut count = 0;
    let mut sink = |_| {
        count += 1;
        Ok::<_, FeedError>(())
    };
    feed.push(&stream.as_bytes()[..closing], &mut sink).unwrap();
    feed.push(&stream.as_bytes()[closing..=closing], &mut sink).unwrap();
    assert_eq!(count, 1, "before the line feed");
}

#[test]
fn bookmarks_carry_the_version_and_the_end_of_the_initial_events() {
    let plain = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"12","creationTimestamp":null},"spec":{"containers":null},"status":{}}"#;
    let end = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"13","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
    let not = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"14","annotations":{"k8s.io/initial-events-end":"false"}}}"#;
    let stream = frame("BOOKMARK", plain) + &frame("BOOKMARK", end) + &frame("BOOKMARK", not);
    assert_eq!(briefs_however_cut(&stream), ["@12", "@13 end", "@14"]);
    assert_eq!(briefs(&frame("BOOKMARK", r#"{"kind":"Pod","metadata":{}}"#)), ["malformed ?"]);
}

#[test]
fn tables_in_events_are_one_row_each() {
    let table = |rv: &str, columns: &str, rows: &str| {
        format!(
            r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{"resourceVersion":"{rv}"}},"columnDefinitions":{columns},"rows":{rows}}}"#
        )
    };
    let row = |object: &str| format!(r#"[{{"cells":["x",1],"object":{object}}}]"#);
    let partial = |metadata: &str| {
        format!(
            r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#
        )
    };
    let first = frame("ADDED", &table("1", r#"[{"name":"Name"}]"#, &row(&typed("a", 1))));
    let second = frame("MODIFIED", &table("2", "null", &row(&typed("a", 2))));
    let bookmark =
        frame("BOOKMARK", &table("3", "null", &row(&partial(r#"{"resourceVersion":"3"}"#))));
    let annotated =
        partial(r#"{"resourceVersion":"4","annotations":{"k8s.io/initial-events-end":"true"}}"#);
    let last = frame("BOOKMARK", &table("", "null", &row(&annotated)));
    let stream = first + &second + &bookmark + &last;
    assert_eq!(
        briefs_however_cut(&stream),
        [r#"columns [{"name":"Name"}]"#, "+a", "~a", "@3", "@4 end"]
    );
    let events = watch(&pods(), stream.as_bytes());
    let Event::Added(added) = &events[1] else { panic!("{events:?}") };
    assert_eq!(added.cells.as_deref().map(text), Some(r#"["x",1]"#));
    assert_eq!(text(&added.body), typed("a", 1));

    // What a Table of an event should not look like.
    for rows in ["[]", "null", r#"[{"cells":[]}]"#, "[1]", "{}"] {
        assert_eq!(briefs(&frame("ADDED", &table("1", "null", rows))), ["malformed ?"], "{rows}");
    }
    // An object that merely has such a name is no Table.
    let own = typed("t", 9).replacen("\"Pod\"", "\"Table\"", 1).replacen(
        "\"v1\"",
        "\"example.com/v1\"",
        1,
    );
    let tables = FeedOptions { kind: "Table".into(), ..pods() };
    let events = watch(&tables, frame("ADDED", &own).as_bytes());
    assert!(matches!(&events[..], [Event::Added(item)] if item.name == "t"), "{events:?}");
}

#[test]
fn errors_carry_the_status() {
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (5)","reason":"Expired","code":410}"#;
    let events = watch(&pods(), frame("ERROR", status).as_bytes());
    assert_eq!(
        events,
        [Event::Error { status: status.into(), code: Some(410), reason: Some("Expired".into()) }]
    );
    assert_eq!(briefs(&frame("ERROR", r#"{"message":"x"}"#)), ["error None None"]);
    assert_eq!(briefs(&frame("ERROR", r#""words""#)), ["error None None"]);
}

#[test]
fn frames_that_are_json_but_no_event_are_reported_and_passed_over() {
    let good = frame("ADDED", &typed("z", 9));
    for (bad, brief) in [
        (r#"{"type":"NEWS","object":{"metadata":{"name":"a","namespace":"n"}}}"#, "malformed n/a"),
        (r#"{"object":{"metadata":{"name":"a"}}}"#, "malformed a"),
        (r#"{"type":"ADDED"}"#, "malformed ?"),
        (r#"{"type":"ADDED","object":null}"#, "malformed ?"),
        (r#"{"type":"ADDED","object":{"metadata":{"name":"a","uid":"u"}}}"#, "malformed a"),
        (r#"{"type":7,"object":{}}"#, "malformed ?"),
        ("{}", "malformed ?"),
    ] {
        // Their end is known: what follows at once is not lost.
        assert_eq!(briefs_however_cut(&format!("{bad}{good}")), [brief, "+z"], "{bad}");
    }
}

#[test]
fn after_a_malformed_frame_reading_goes_on_at_the_next_line() {
    let a = frame("ADDED", &typed("a", 1));
    let good = frame("ADDED", &typed("z", 9));
    for bad in [
        "oops\n".to_owned(),
        "oops\n\nmore\n oops {\n".to_owned(),
        a.replace("\"object\":", "\"object\" "),
        a.replace("}}", "}").trim_end().to_owned() + "\n",
        // Cut in a string, in a number, behind a comma; and closed too often.
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\n".to_owned(),
        "{\"type\":\"ADDED\",\"object\":{\"x\":12\n".to_owned(),
        "{\"type\":\"ADDED\",\n".to_owned(),
        "{\"type\":\"ADDED\",\"object\":{\"x\":[1}}\n".to_owned(),
        "}\n".to_owned(),
        "]}{\n".to_owned(),
    ] {
        let found = briefs_however_cut(&format!("{good}{bad}{good}{good}"));
        let names: Vec<&str> = found.iter().map(|brief| &brief[..2]).collect();
        assert_eq!(names, ["+z", "ma", "+z", "+z"], "{bad:?}: {found:?}");
    }
    // A line cut where a value was to come swallows the next line, until that shows; then the
    // next line is read again for itself.
    let cut = "{\"type\":\"ADDED\",\"object\":\n";
    assert_eq!(briefs_however_cut(&format!("{cut}{good}{good}")), ["malformed ?", "+z", "+z"]);
}

#[test]
fn a_cut_frame_of_many_lines_is_found_out_at_last() {
    let lines = "\n1,".repeat(500);
    let cut = format!("{{\"type\":\"ADDED\",\"object\":{{\"list\":[{lines}\n");
    let good = frame("ADDED", &typed("z", 9));
    for chunk in [10, 1000, 1 << 20] {
        let stream = cut.clone() + &good.repeat(40);
        let (events, end) = watch_chunks(&pods(), stream.as_bytes().chunks(chunk));
        end.unwrap();
        let found: Vec<_> = events.iter().map(brief).collect();
        assert_eq!(found[0], "malformed ?");
        assert_eq!(found.len(), 41, "chunks of {chunk}");
    }
}

#[test]
fn malformed_frames_are_quoted_up_to_a_bound() {
    let stream = frame("ADDED", &typed("a", 1)).replace("\"uid\":", "\"uid\" ");
    let events = watch(&pods(), stream.as_bytes());
    let [Event::Malformed { excerpt, problem, key }] = &events[..] else { panic!("{events:?}") };
    assert!(stream.starts_with(excerpt.as_str()));
    assert_eq!((problem.as_str(), key.as_deref()), ("expected ':' after a key", Some("shop/a")));
    let long = format!("{{\"type\":\"{}", "é".repeat(300)) + "\n";
    let events = watch(&pods(), long.as_bytes());
    let [Event::Malformed { excerpt, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(excerpt.len() <= MAX_EXCERPT_BYTES && excerpt.len() > MAX_EXCERPT_BYTES - 4);
}

#[test]
fn bytes_that_are_not_utf8_spoil_only_their_frame() {
    let mut stream = frame("ADDED", &typed("aXb", 1)).into_bytes();
    let wrong = stream.iter().position(|byte| *byte == b'X').unwrap();
    stream[wrong] = 0xc3;
    stream.extend_from_slice(frame("ADDED", &typed("z", 9)).as_bytes());
    let events = watch(&pods(), &stream);
    let [Event::Malformed { problem, .. }, Event::Added(item)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((problem.as_str(), item.name.as_str()), ("not UTF-8", "z"));
}

#[test]
fn a_stream_may_end_between_frames_only() {
    let stream = frame("ADDED", &typed("a", 1));
    for cut in 0..=stream.len() {
        let (events, end) = watch_chunks(&pods(), [&stream.as_bytes()[..cut]]);
        let complete = cut >= stream.len() - 1;
        assert_eq!(end.is_ok(), cut == 0 || complete, "cut at {cut}: {end:?}");
        assert_eq!(events.len(), usize::from(complete));
    }
    assert!(matches!(
        watch_chunks(&pods(), [b"oops".as_slice()]).1,
        Err(FeedError::Truncated { position: 4, .. })
    ));
}

#[test]
fn frames_longer_than_the_limit_end_the_watch() {
    let options = FeedOptions { max_object_bytes: 120, ..pods() };
    let stream = frame("ADDED", &typed("a", 1));
    assert!(stream.len() > 121, "{}", stream.len());
    for chunk in [1, 50, stream.len()] {
        let (events, end) = watch_chunks(&options, stream.as_bytes().chunks(chunk));
        assert!(events.is_empty());
        assert_eq!(end, Err(FeedError::TooLarge { position: 0, limit_bytes: 120 }));
    }
}

#[test]
fn compressed_watches_give_each_member_at_once() {
    let options = FeedOptions { gzip: true, ..pods() };
    let mut feed = vai_core::feed::WatchFeed::new(&options);
    for name in ["a", "b", "c"] {
        let mut seen = Vec::new();
        feed.push::<FeedError>(&gzip(frame("ADDED", &typed(name, 1)).as_bytes()), &mut |event| {
            seen.push(brief(&event));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [format!("+{name}")]);
    }
    feed.finish().unwrap();
    let cut = gzip(frame("ADDED", &typed("a", 1)).as_bytes());
    let (_, end) = watch_chunks(&options, [&cut[..cut.len() - 1]]);
    assert!(matches!(end, Err(FeedError::Truncated { .. })));
}
