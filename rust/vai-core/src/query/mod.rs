//! Reading: which scopes answer, and the rows of one moment as bytes.

mod access;
mod columns;
mod cursor;
mod eval;
mod explain;
mod facets;
mod list;
mod merge;
mod order;
mod partition;
mod past;
mod plan;
pub(crate) mod pool;
mod project;
mod request;
mod route;
mod rows;
mod run;
mod scan;
mod selected;
mod steve;
mod summary;
mod walk;

pub(crate) use self::cursor::Lists;
pub use self::list::ListJson;
pub use self::partition::{Access, Partition};
pub use self::request::{At, Distinct, Group, Project, Request};
pub(crate) use self::rows::Raw;
pub use self::rows::{Row, Rows};
pub(crate) use self::scan::Patience;
pub(crate) use self::selected::selected;

use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, params};

use self::run::Run;
use crate::error::{Error, Result};
use crate::store::{Inner, ScopeRow, Store, scopes};

impl Store {
    /// One object; `None` is proven absence.
    pub fn get(&self, resource: &str, namespace: Option<&str>, name: &str) -> Result<Option<Row>> {
        let found = self.inner.read(|db| one(db, resource, namespace, name))?;
        Ok(found.map(|row| row.into_row(Arc::clone(&self.inner))))
    }

    /// What a request asks for, of one moment.
    pub fn query(&self, request: &Request) -> Result<Rows> {
        self.query_while(request, &|| true)
    }

    /// The same as long as `go_on` says so; it is asked about every 50 ms while bodies are read.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where it said no.
    pub fn query_while(&self, request: &Request, go_on: &dyn Fn() -> bool) -> Result<Rows> {
        /// Attempts before a reader that others overtake makes indexes of its own.
        const PATIENCE: usize = 4;
        request.check()?;
        let request = &*steve::applied(request)?;
        let inner = &self.inner;
        let deadline = Instant::now() + inner.options.query_timeout;
        let mut found = None;
        for attempt in 0.. {
            found = inner.read(|db| {
                let patience = Patience::new(deadline, go_on);
                Run::new(db, inner, request, patience)?.go(attempt < PATIENCE)
            })?;
            if found.is_some() || attempt >= PATIENCE {
                break;
            }
        }
        inner.postings.tidy();
        let found = found.ok_or_else(|| Error::Internal("a query found no moment".into()))?;
        let resource = match request.resources.as_slice() {
            [one] => one.clone(),
            _ => String::new(),
        };
        Ok(Rows::new(Arc::clone(inner), resource, found))
    }
}

/// One object of the snapshot of `db`; `None` is proven absence.
pub(crate) fn one(
    db: &Connection,
    resource: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Raw>> {
    let key = match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    };
    let (id, info) = scopes::resource_named(db, resource)?;
    if info.namespaced && namespace.is_none() {
        return Err(Error::Invalid(format!("{resource} is namespaced; name the namespace")));
    }
    let all = scopes::scopes(db, Some(id))?;
    let whole = route::whole(&all, namespace);
    if let Some(scope) = whole.filter(|scope| scope.published) {
        // As a list would answer: a narrower scope that nobody syncs any more may still have what
        // was deleted since, or only the metadata.
        return newest(db, &key, std::slice::from_ref(scope));
    }
    match newest(db, &key, &all)? {
        Some(row) => Ok(Some(row)),
        None => Err(route::unknown(&info, &all, whole, &key)),
    }
}

/// What a request asks for, in the snapshot of `db`, whatever others have taken past it.
pub(crate) fn rows(
    db: &Connection,
    inner: &Inner,
    request: &Request,
    patience: Patience<'_>,
) -> Result<Vec<Raw>> {
    let found = Run::new(db, inner, request, patience)?.go(false)?;
    Ok(found.map(|found| found.rows).unwrap_or_default())
}

/// The row with this key; where several scopes keep a copy, the newer resourceVersion wins.
fn newest(db: &Connection, key: &str, all: &[ScopeRow]) -> Result<Option<Raw>> {
    let mut best: Option<Raw> = None;
    for scope in all {
        let sql = format!("{} WHERE o.scope = ?1 AND o.key = ?2", rows::SELECT_WITH_CELLS);
        let found = db
            .prepare_cached(&sql)?
            .query_row(params![scope.id, key], |row| Raw::read(row, true))
            .optional()?;
        if let Some(mut found) = found {
            found.resource = scope.info.name();
            if best.as_ref().is_none_or(|best| found.is_newer_than(best)) {
                best = Some(found);
            }
        }
    }
    Ok(best)
}
