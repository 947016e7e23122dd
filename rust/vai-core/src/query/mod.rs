//! Reading: which scopes answer, and the rows of one moment as bytes.

mod access;
mod columns;
mod cursor;
mod eval;
mod explain;
mod facets;
mod merge;
mod order;
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
mod sql;
mod steve;
mod summary;

pub(crate) use self::cursor::Lists;
pub use self::request::{At, Distinct, Group, Partition, Project, Request};
pub use self::rows::{Row, Rows};
pub(crate) use self::selected::selected;

use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, params};

use self::route::Ask;
use self::run::Run;
use self::scan::Patience;
use self::sql::Filter;
use crate::error::{Error, Result};
use crate::selector::{FieldSelector, LabelSelector};
use crate::store::{ScopeRow, Store, scopes};

/// What to read; selectors as the user wrote them.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// A recorded `plural[.group]`.
    pub resource: String,
    /// `None`: whatever is kept.
    pub namespaces: Option<Vec<String>>,
    /// As kubectl's `-l` takes it; empty for everything.
    pub label_selector: String,
    /// As kubectl's `--field-selector` takes it; empty for everything.
    pub field_selector: String,
    /// 0: all.
    pub limit: usize,
    /// Only keys after this one.
    pub after: String,
    /// Also read the server's printer cells.
    pub cells: bool,
}

impl Store {
    /// One object; `None` is proven absence.
    pub fn get(&self, resource: &str, namespace: Option<&str>, name: &str) -> Result<Option<Row>> {
        let key = match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        };
        let found = self.inner.read(|db| {
            let (id, info) = scopes::resource_named(db, resource)?;
            if info.namespaced && namespace.is_none() {
                return Err(Error::Invalid(format!(
                    "{resource} is namespaced; name the namespace"
                )));
            }
            let all = scopes::scopes(db, Some(id))?;
            let whole = route::whole(&all, namespace);
            if let Some(scope) = whole.filter(|scope| scope.published) {
                // As a list would answer: a narrower scope that nobody syncs any more may still
                // have what was deleted since, or only the metadata.
                return newest(db, &key, std::slice::from_ref(scope));
            }
            match newest(db, &key, &all)? {
                Some(row) => Ok(Some(row)),
                None => Err(route::unknown(&info, &all, whole, &key)),
            }
        })?;
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
        Ok(Rows::new(Arc::clone(inner), String::new(), found))
    }

    /// The objects of one moment in key order.
    pub fn rows(&self, query: &Query) -> Result<Rows> {
        let labels = LabelSelector::parse(&query.label_selector)?;
        let fields = FieldSelector::parse(&query.field_selector)?;
        let found = self.inner.read(|db| {
            let (id, info) = scopes::resource_named(db, &query.resource)?;
            let all = scopes::scopes(db, Some(id))?;
            let namespaces = query.namespaces.as_deref();
            let ask = Ask { info: &info, namespaces, labels: &labels, fields: &fields };
            let chosen = route::choose(&ask, &all)?;
            let filter = Filter::new(db, id, &info, &labels, &fields)?;
            rows::read(db, &chosen, &filter, query)
        })?;
        Ok(Rows::new(Arc::clone(&self.inner), query.resource.clone(), found))
    }
}

/// The row with this key; where several scopes keep a copy, the newer resourceVersion wins.
fn newest(db: &Connection, key: &str, all: &[ScopeRow]) -> Result<Option<rows::Raw>> {
    let mut best: Option<rows::Raw> = None;
    for scope in all {
        let sql = format!("{} WHERE o.scope = ?1 AND o.key = ?2", sql::SELECT_WITH_CELLS);
        let found = db
            .prepare_cached(&sql)?
            .query_row(params![scope.id, key], |row| rows::Raw::read(row, true))
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
