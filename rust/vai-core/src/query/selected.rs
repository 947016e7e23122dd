//! Which versions a question matches, in key order, without their bodies: what a walk over more
//! rows than fit into memory goes by.

use rusqlite::Connection;

use super::Request;
use super::run::Run;
use super::scan::Patience;
use crate::error::Result;
use crate::store::{FLAG_REDACTED, Inner, Resource};

/// The matching versions of one resource at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub(crate) info: Resource,
    /// Ids of the scopes that answered, ascending.
    pub(crate) scopes: Vec<i64>,
    /// Of the one scope that answered; empty if there were several.
    pub(crate) resource_version: String,
    /// In the order of their keys: 8 bytes an object are what a walk over all of them holds.
    pub(crate) seqs: Vec<i64>,
    /// How many of them are kept as metadata only.
    pub(crate) redacted: usize,
}

/// An object as far as a walk over versions needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    seq: i64,
    redacted: bool,
}

impl Version {
    /// Of the object `o`.
    pub(super) const COLUMNS: &str = "o.seq, o.flags";

    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let flags: i64 = row.get(1)?;
        Ok(Self { seq: row.get(0)?, redacted: flags & FLAG_REDACTED != 0 })
    }
}

impl Selected {
    pub(super) fn new(
        info: Resource,
        (scopes, resource_version): (Vec<i64>, String),
        versions: &[Version],
    ) -> Self {
        let redacted = versions.iter().filter(|version| version.redacted).count();
        let seqs = versions.iter().map(|version| version.seq).collect();
        Self { info, scopes, resource_version, seqs, redacted }
    }
}

/// What a request about one resource would give as rows, in the snapshot of `db`.
pub(crate) fn selected(
    db: &Connection,
    inner: &Inner,
    request: &Request,
    patience: Patience<'_>,
) -> Result<Selected> {
    let found = Run::new(db, inner, request, patience)?.versions();
    inner.postings.tidy();
    found
}
