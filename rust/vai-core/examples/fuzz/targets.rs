//! What inputs are given to, and what must hold then.

use std::sync::{Arc, LazyLock};

use serde::de::IgnoredAny;
use vai_core::Error;
use vai_core::expr::steve::SteveQuery;
use vai_core::expr::{Expr, Fields, Matcher, SortKey};
use vai_core::extract::Paths;
use vai_core::feed::{Event, FeedError, FeedOptions, Item, ListFeed, WatchFeed};
use vai_core::field::FieldSet;
use vai_core::path::Path;
use vai_core::selector::{FieldSelector, LabelSelector};
use vai_core::value::{Type, Value};

use crate::corpus::Corpus;

/// One thing that reads text.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) corpus: Corpus,
    pub(crate) check: fn(&[u8]) -> Result<(), String>,
}

pub(crate) const TARGETS: [Target; 10] = [
    Target { name: "expressions", corpus: Corpus::Expressions, check: expressions },
    Target { name: "sort keys", corpus: Corpus::Expressions, check: sort_keys },
    Target { name: "steve", corpus: Corpus::Queries, check: steve },
    Target { name: "label selectors", corpus: Corpus::Labels, check: label_selectors },
    Target { name: "field selectors", corpus: Corpus::Fields, check: field_selectors },
    Target { name: "paths", corpus: Corpus::Paths, check: paths },
    Target { name: "values", corpus: Corpus::Values, check: values },
    Target { name: "bodies", corpus: Corpus::Bodies, check: bodies },
    Target { name: "lists", corpus: Corpus::Lists, check: lists },
    Target { name: "watches", corpus: Corpus::Watches, check: watches },
];

static PODS: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::for_kind("", "Pod"));

fn fields() -> Fields<'static> {
    Fields { set: &PODS, namespaced: true, building: &[] }
}

/// 2026-01-01T00:00:00Z
const NOW_US: i64 = 1_767_225_600_000_000;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, a: &T, b: &T) -> Result<(), String> {
    if a == b { Ok(()) } else { Err(format!("{what}: {a:?} is not {b:?}")) }
}

/// An error lies within its text.
fn within(error: Error, text: &str) -> Result<(), String> {
    match error {
        Error::Expression { position, message, .. } | Error::Selector { position, message }
            if position > text.len() =>
        {
            Err(format!("{message} at {position}"))
        }
        Error::Internal(message) | Error::Corrupt(message) => Err(message),
        _ => Ok(()),
    }
}

/// What is understood prints as the same.
fn expressions(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    match Expr::parse(&text, &fields(), NOW_US) {
        Err(error) => within(error, &text),
        Ok(expr) => {
            let printed = expr.to_string();
            // What is printed may be longer than what may be written: a path 4 KiB, all of it 64.
            match Expr::parse(&printed, &fields(), NOW_US) {
                Err(_) if printed.len() > 4_000 => Ok(()),
                back => same(&printed, &back.ok().as_ref(), &Some(&expr)),
            }
        }
    }
}

fn sort_keys(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    match SortKey::parse_all(&[&text], &fields()) {
        Err(error) => within(error, &text),
        Ok(keys) => {
            let printed: Vec<String> = keys.iter().map(ToString::to_string).collect();
            let back = SortKey::parse_all(&printed, &fields());
            same(&printed.join(","), &back.ok().as_ref(), &Some(&keys))
        }
    }
}

fn steve(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    match SteveQuery::parse(&text, &fields()) {
        Err(error) => within(error, &text),
        Ok(query) => {
            let printed = query.filter.to_string();
            match Expr::parse(&printed, &fields(), NOW_US) {
                Err(_) if printed.len() > 4_000 => Ok(()),
                back => same(&printed, &back.ok().as_ref(), &Some(&query.filter)),
            }
        }
    }
}

fn label_selectors(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    match LabelSelector::parse(&text) {
        Err(error) if error.position > text.chars().count() => Err(error.to_string()),
        Err(_) => Ok(()),
        Ok(selector) => {
            let back = LabelSelector::parse(&selector.to_string());
            same("read back", &back.as_ref(), &Ok(&selector))?;
            let expr = Expr::from_labels(&selector);
            let back = Expr::parse(&expr.to_string(), &fields(), NOW_US);
            same("as expression", &back.ok(), &Some(expr))
        }
    }
}

fn field_selectors(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    match FieldSelector::parse(&text) {
        Err(error) if error.position > text.chars().count() => Err(error.to_string()),
        Err(_) => Ok(()),
        Ok(selector) => {
            let back = FieldSelector::parse(&selector.to_string());
            same("read back", &back.as_ref(), &Ok(&selector))?;
            match Expr::from_fields(&selector, &fields()) {
                Err(error) => within(error, &text),
                Ok(expr) => {
                    let back = Expr::parse(&expr.to_string(), &fields(), NOW_US);
                    same("as expression", &back.ok(), &Some(expr))
                }
            }
        }
    }
}

fn paths(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    match Path::parse(&text) {
        Err(error) if error.position > text.len() => Err(error.to_string()),
        Err(_) => Ok(()),
        Ok(path) => {
            let printed = path.to_string();
            match Path::parse(&printed) {
                // Escaped, a text of the longest can be longer.
                Err(_) if printed.len() > 4_096 => Ok(()),
                back => same(&printed, &back.as_ref(), &Ok(&path)),
            }
        }
    }
}

/// Values print as what they are read from, and come out of the file as they went in.
fn values(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    for ty in Type::ALL {
        let literal = Value::parse(ty, &text).ok();
        for value in literal.into_iter().chain(Value::from_json(ty, input)) {
            let printed = value.to_string();
            same(&printed, &Value::parse(ty, &printed).as_ref(), &Ok(&value))?;
            let _ = value.to_json(ty);
            let stored = value.to_sql();
            let stored = match &stored {
                rusqlite::types::ToSqlOutput::Borrowed(stored) => *stored,
                rusqlite::types::ToSqlOutput::Owned(stored) => stored.into(),
                other => return Err(format!("stored as {other:?}")),
            };
            let back = Value::from_sql(ty, stored).map_err(|error| error.to_string())?;
            same("stored", &back, &value)?;
        }
    }
    Ok(())
}

static LOOKED_FOR: LazyLock<(Paths, Matcher, Matcher)> = LazyLock::new(|| {
    let paths = [
        ".metadata.labels[*]",
        ".spec.containers[*].image",
        ".status.conditions[type=Ready].status",
        ".a[0]",
        ".a[*].b",
        ".*",
        ".status.phase",
        ".spec.x[*][*]",
        ".['']['']",
        ".a[b=x].b",
    ];
    let paths: Vec<Path> = paths.iter().filter_map(|path| path.parse().ok()).collect();
    let matcher = |text| {
        let expr = Expr::parse(text, &fields(), NOW_US)?;
        Matcher::new(&expr, &PODS)
    };
    let all: Vec<String> =
        PODS.defs().iter().map(|def| format!("not exists {}", def.name)).collect();
    let some = matcher(".status.phase = a or .spec.x[*] > 3 or labels[a] != b");
    match (matcher(&all.join(" and ")), some) {
        (Ok(all), Ok(some)) => (Paths::new(&paths), all, some),
        (all, some) => unreachable!("{all:?} {some:?}"),
    }
});

/// What `serde_json` takes, the scan takes, and the other way round.
fn bodies(input: &[u8]) -> Result<(), String> {
    let (paths, all, some) = &*LOOKED_FOR;
    let found = paths.find(input);
    if found.is_ok() {
        for matcher in [all, some] {
            matcher.matches("ns/name", input).map_err(|error| error.to_string())?;
        }
        PODS.extract(input).map_err(|error| error.to_string())?;
    }
    // Its own limits: 128 levels, UTF-8 in strings, numbers at the very end.
    // (Objects are what bodies are; the number 00 is a 0 with something behind it.)
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with(['{', '[']) {
        return Ok(());
    }
    match (serde_json::from_str::<IgnoredAny>(text), found) {
        (Ok(_), Err(error)) => Err(format!("serde_json takes it, the scan does not: {error}")),
        (Err(error), Ok(_))
            if !["trailing characters", "recursion limit"]
                .iter()
                .any(|own| error.to_string().contains(own)) =>
        {
            Err(format!("the scan takes it, serde_json does not: {error}"))
        }
        _ => Ok(()),
    }
}

fn options() -> FeedOptions {
    FeedOptions {
        fields: Arc::new(FieldSet::for_kind("", "Pod")),
        // More than any input has: what is too large depends on what is held at once.
        max_object_bytes: 200_000,
        ..FeedOptions::new("Pod", "v1")
    }
}

static OPTIONS: LazyLock<FeedOptions> = LazyLock::new(options);

/// Where a response is cut makes no difference.
fn cuts(input: &[u8]) -> [Vec<&[u8]>; 3] {
    let middle = input.len() / 3;
    [vec![input], vec![&input[..middle], &input[middle..]], input.chunks(7).collect()]
}

/// What exactly is wrong with bytes that are no list depends on what is known when.
fn unusable(error: &FeedError) -> String {
    match error {
        FeedError::TooLarge { .. } => error.to_string(),
        _ => "no list".to_owned(),
    }
}

/// A list is the same or is none, wherever it is cut.
fn lists(input: &[u8]) -> Result<(), String> {
    let outcomes = cuts(input).map(|chunks| {
        let mut feed = ListFeed::new(&OPTIONS);
        let mut items: Vec<Item> = Vec::new();
        for chunk in chunks {
            let pushed = feed.push(chunk, &mut |item| {
                items.push(item);
                Ok::<(), FeedError>(())
            });
            if let Err(error) = pushed {
                return unusable(&error);
            }
        }
        match feed.finish() {
            Ok(meta) => format!("{items:?} {meta:?}"),
            Err(error) => unusable(&error),
        }
    });
    same("cut once", &outcomes[1], &outcomes[0])?;
    same("cut often", &outcomes[2], &outcomes[0])
}

/// The events are the same. That one is wrong may show only at a later line's end; a watch that ends
/// before has not got beyond it.
fn watches(input: &[u8]) -> Result<(), String> {
    let [whole, once, often] = cuts(input).map(watch);
    for (what, (events, inside, error)) in [("cut once", once), ("cut often", often)] {
        match whole.0.get(..events.len()) {
            Some(first) if inside => same(what, &events.as_slice(), &first)?,
            _ => same(what, &(events, error), &(whole.0.clone(), whole.2.clone()))?,
        }
    }
    Ok(())
}

/// The events that are right, whether the response ended inside of one, and how else it failed.
fn watch(chunks: Vec<&[u8]>) -> (Vec<String>, bool, Option<String>) {
    let mut feed = WatchFeed::new(&OPTIONS);
    let mut events: Vec<String> = Vec::new();
    for chunk in chunks {
        let pushed = feed.push(chunk, &mut |event| {
            if !matches!(event, Event::Malformed { .. }) {
                events.push(format!("{event:?}"));
            }
            Ok::<(), FeedError>(())
        });
        if let Err(error) = pushed {
            return (events, false, Some(error.to_string()));
        }
    }
    match feed.finish() {
        Err(FeedError::Truncated { .. }) => (events, true, None),
        end => (events, false, end.err().map(|error| error.to_string())),
    }
}
