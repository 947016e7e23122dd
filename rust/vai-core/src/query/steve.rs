//! Rancher Steve's parameters, run as a query like any other.
//!
//! What they mean is said in [`crate::expr::steve`]. They are read once for what needs no catalogue
//! (page, revision, projects), and once for each resource, whose fields they name.

use std::borrow::Cow;
use std::cmp::Ordering;

use rusqlite::Connection;

use super::request::{At, Project, Request};
use super::route::Source;
use super::run::Run;
use super::scan::Patience;
use crate::error::{Error, Result};
use crate::expr::steve::Frame;
use crate::expr::{Expr, Field, Op};
use crate::rv;
use crate::store::{Inner, Resource};
use crate::value::Value;

/// The resource that projects are made of.
const NAMESPACES: &str = "namespaces";

/// A request with its page where every other request has it.
pub(super) fn applied(request: &Request) -> Result<Cow<'_, Request>> {
    if request.steve.is_empty() {
        return Ok(Cow::Borrowed(request));
    }
    if !request.sort.is_empty() || request.limit > 0 || request.offset > 0 {
        return Err(Error::Invalid(
            "Steve's parameters have an order and a page: leave sort, limit and offset out".into(),
        ));
    }
    let frame = Frame::parse(&request.steve)?;
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let offset = match (frame.summary_only, request.cursor.as_str()) {
        // Behind all there are no rows.
        (true, _) => u64::MAX,
        (false, "") => frame.offset(),
        // A cursor has its place: the page was where its walk began.
        (false, _) => 0,
    };
    let applied = Request {
        limit: frame.page_size.map_or(0, number),
        offset: number(offset),
        ..request.clone()
    };
    applied.check()?;
    Ok(Cow::Owned(applied))
}

/// Which namespaces a question is about.
pub(super) struct Chosen {
    /// The condition on them.
    namespaces: Expr,
    /// What that means for what is in them.
    others: Expr,
}

impl Chosen {
    /// All of them.
    pub(super) fn all() -> Self {
        Self { namespaces: Expr::True, others: Expr::True }
    }

    /// Those of `projectsornamespaces`, at the moment of the question.
    pub(super) fn of(
        db: &Connection,
        inner: &Inner,
        request: &Request,
        at: Option<At>,
        patience: &Patience<'_>,
    ) -> Result<Self> {
        if request.steve.is_empty() {
            return Ok(Self::all());
        }
        let Some(choice) = Frame::parse(&request.steve)?.projects_or_namespaces else {
            return Ok(Self::all());
        };
        let namespaces = choice.condition();
        if request.resources.iter().all(|name| name == NAMESPACES) {
            return Ok(Self { namespaces, others: Expr::True });
        }
        let asked = Request {
            resources: vec![NAMESPACES.to_owned()],
            project: Project::Keys,
            at,
            ..Request::default()
        };
        let chosen = Self { namespaces: namespaces.clone(), others: Expr::True };
        let found = Run::within(db, inner, &asked, patience.clone(), Some(&chosen))?.go(false)?;
        let names: Vec<Value> =
            found.iter().flat_map(|found| &found.rows).map(|row| Value::text(row.key())).collect();
        let others = if names.is_empty() {
            Expr::none()
        } else {
            Expr::any(Field::Namespace, Op::In(names.into_iter().collect()))
        };
        Ok(Self { namespaces, others })
    }

    /// The condition on objects of this resource.
    pub(super) fn condition(&self, info: &Resource) -> Expr {
        if info.name() == NAMESPACES { self.namespaces.clone() } else { self.others.clone() }
    }
}

/// Whether what is kept is as new as `revision` demands.
///
/// # Errors
/// [`Error::Stale`] where it is not.
pub(super) fn check_revision(frame: &Frame, info: &Resource, sources: &[Source]) -> Result<()> {
    let Some(revision) = frame.revision else { return Ok(()) };
    for source in sources {
        let kept = source.scope.rv.as_deref().unwrap_or_default();
        // What can't be compared is not known to be as new.
        if rv::compare(kept, &revision.to_string()).is_some_and(Ordering::is_ge) {
            continue;
        }
        return Err(Error::Stale(format!(
            "{}: unknown revision {revision}: what is kept is of resourceVersion {kept}; ask again \
             in a moment",
            info.name()
        )));
    }
    Ok(())
}
