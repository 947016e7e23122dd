//! Opening, feeding and copying cluster files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use vai_core::redact::Redaction;
use vai_core::store::{Mode, Options, Resource, ScopeSpec, Store};

use crate::bytes::{Pod, page};

pub(crate) fn options() -> Options {
    Options {
        live_within: Duration::from_secs(30),
        commit_interval: Duration::from_millis(1),
        history_bytes: 1 << 40,
        history_age: Duration::from_secs(100_000),
        query_timeout: Duration::from_secs(30),
    }
}

pub(crate) fn resource(plural: &str, kind: &str) -> Resource {
    Resource {
        version: "v1".into(),
        plural: plural.into(),
        kind: kind.into(),
        namespaced: true,
        ..Resource::default()
    }
}

pub(crate) fn writer(path: &Path, options: Options) -> Store {
    let store = Store::open(path, Mode::Writer, options).unwrap();
    store.put_resources(vec![resource("pods", "Pod"), resource("secrets", "Secret")]).unwrap();
    store
}

pub(crate) fn reader(path: &Path) -> Store {
    Store::open(path, Mode::Reader, options()).unwrap()
}

pub(crate) fn spec(resource: &str, namespace: Option<&str>, labels: &str) -> ScopeSpec {
    ScopeSpec::new(resource, namespace, labels, "", Redaction::None).unwrap()
}

/// One complete list of one page.
pub(crate) fn load<'a>(
    store: &Store,
    scope: i64,
    pods: impl IntoIterator<Item = &'a Pod>,
    rv: u64,
) -> vai_core::store::Published {
    let listing = store.begin_list(scope).unwrap();
    listing.begin_page(false).unwrap();
    listing.push(&page(pods, rv, "")).unwrap();
    listing.end_page().unwrap();
    listing.publish(&rv.to_string()).unwrap()
}

/// What is on the disk at this moment, as after a kill -9: the file and its WAL.
pub(crate) fn copy_as_killed(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    for of in [wal_of, live_of] {
        if of(from).exists() {
            std::fs::copy(of(from), of(to)).unwrap();
        }
    }
}

pub(crate) fn wal_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

pub(crate) fn live_of(path: &Path) -> PathBuf {
    beside(path, ".live")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn assert_sound(store: &Store) {
    let wrong = store.check().unwrap();
    assert!(wrong.is_empty(), "the file is not sound: {wrong:#?}");
}
