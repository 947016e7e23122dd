//! A cluster file filled as a reflector fills it.

use std::path::Path;
use std::time::Duration;

use vai_core::redact::Redaction;
use vai_core::store::{Mode, Options, Resource, ScopeSpec, Store};

use crate::Failure;
use crate::data::Data;

/// What vai's transport reads at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The defaults of `vai.connect`.
pub(crate) fn options() -> Options {
    Options {
        live_within: Duration::from_secs(30),
        commit_interval: Duration::from_millis(10),
        history_bytes: 64 << 20,
        history_age: Duration::from_mins(15),
        query_timeout: Duration::from_secs(30),
    }
}

/// A writer with a scope for all pods.
pub(crate) fn create(path: &Path) -> Result<(Store, i64), Failure> {
    let store = Store::open(path, Mode::Writer, options())?;
    let pods: Resource = serde_json::from_str(
        r#"{"group":"","version":"v1","plural":"pods","kind":"Pod","singular":"pod"}"#,
    )?;
    store.put_resources(vec![pods])?;
    let scope = store.ensure_scope(ScopeSpec::new("pods", None, "", "", Redaction::None)?)?;
    Ok((store, scope))
}

/// From list pages to what is published and durable.
pub(crate) fn load(store: &Store, scope: i64, data: &Data) -> Result<(), Failure> {
    let listing = store.begin_list(scope)?;
    let mut version = String::new();
    for page in data.pages()? {
        listing.begin_page(false)?;
        for chunk in page?.chunks(CHUNK_BYTES) {
            listing.push(chunk)?;
        }
        version = listing.end_page()?.resource_version;
    }
    listing.publish(&version)?;
    Ok(())
}

/// Bodies out of key order, history in use; the questions' answers hold from here.
pub(crate) fn churn(store: &Store, scope: i64, data: &Data) -> Result<(), Failure> {
    let mut watching = store.begin_watch(scope, false)?;
    for chunk in data.burst()?.chunks(CHUNK_BYTES) {
        watching.push(chunk)?;
    }
    store.flush()?;
    Ok(())
}
