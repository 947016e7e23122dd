//! Feeding bytes in pieces and collecting what comes out.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use vai_core::feed::{Event, FeedError, FeedOptions, Item, ListFeed, PageMeta, WatchFeed};
use vai_core::field::FieldSet;
use vai_core::redact::Redaction;
use vai_core::value::Value;

pub(crate) fn pods() -> FeedOptions {
    FeedOptions { fields: Arc::new(FieldSet::for_kind("", "Pod")), ..FeedOptions::new("Pod", "v1") }
}

pub(crate) fn redacted() -> FeedOptions {
    FeedOptions {
        redact: Redaction::Metadata,
        fields: Arc::new(FieldSet::for_kind("", "Secret")),
        ..FeedOptions::new("Secret", "v1")
    }
}

/// What an object's fields are, as a field selector compares them.
pub(crate) fn fields(options: &FeedOptions, item: &Item) -> Vec<(String, String)> {
    let name = |index| options.fields.name(index).unwrap().to_owned();
    let text = |value: &Value| value.selector_text().into_owned();
    item.fields.iter().map(|(index, value)| (name(*index), text(value))).collect()
}

/// All items of a page that arrives in these chunks, and how it ended.
pub(crate) fn list_chunks<'a>(
    options: &FeedOptions,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Item>, Result<PageMeta, FeedError>) {
    let mut feed = ListFeed::new(options);
    let mut items = Vec::new();
    for chunk in chunks {
        let pushed = feed.push(chunk, &mut |item| {
            items.push(item);
            Ok(())
        });
        if let Err(error) = pushed {
            return (items, Err(error));
        }
    }
    let end = feed.finish();
    (items, end)
}

pub(crate) fn list(options: &FeedOptions, page: &str) -> (Vec<Item>, Result<PageMeta, FeedError>) {
    list_chunks(options, [page.as_bytes()])
}

/// The items of a page that is right.
pub(crate) fn items(options: &FeedOptions, page: &str) -> (Vec<Item>, PageMeta) {
    let (items, end) = list(options, page);
    (items, end.unwrap_or_else(|error| panic!("{error}: {page}")))
}

/// All events of a watch that arrives in these chunks, and how it ended.
pub(crate) fn watch_chunks<'a>(
    options: &FeedOptions,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Result<(), FeedError>) {
    let mut feed = WatchFeed::new(options);
    let mut events = Vec::new();
    for chunk in chunks {
        let pushed = feed.push(chunk, &mut |event| {
            events.push(event);
            Ok(())
        });
        if let Err(error) = pushed {
            return (events, Err(error));
        }
    }
    let end = feed.finish();
    (events, end)
}

pub(crate) fn watch(options: &FeedOptions, stream: &[u8]) -> Vec<Event> {
    let (events, end) = watch_chunks(options, [stream]);
    end.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(stream)));
    events
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A pod with nothing but what an item must have.
pub(crate) fn bare(name: &str, rv: u32) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"u-{name}","resourceVersion":"{rv}"}}}}"#
    )
}

/// The same as the server sends it in a watch.
pub(crate) fn typed(name: &str, rv: u32) -> String {
    bare(name, rv).replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1)
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
