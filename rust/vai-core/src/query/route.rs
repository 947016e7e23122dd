//! Which scopes answer a question, and what it means that they have no answer.
//!
//! Absent has three meanings: not there in a complete scope, never synced, outside every scope. A
//! wrong "not there" makes controllers delete things, so it needs a scope that covers the name
//! wholly and was listed completely.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::redact::Redaction;
use crate::rv;
use crate::selector::{FieldSelector, LabelSelector};
use crate::store::{Resource, ScopeRow};

/// A question as far as scopes matter.
pub(super) struct Ask<'a> {
    pub(super) info: &'a Resource,
    pub(super) namespaces: Option<&'a [String]>,
    pub(super) labels: &'a LabelSelector,
    pub(super) fields: &'a FieldSelector,
}

/// One scope to read, narrowed to a namespace where the scope is wider.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) scope: ScopeRow,
    pub(super) namespace: Option<String>,
}

/// The scopes to read and merge. Every namespace asked for must be covered.
pub(super) fn choose(ask: &Ask<'_>, all: &[ScopeRow]) -> Result<Vec<Source>> {
    if all.is_empty() {
        return Err(not_kept(ask.info, all, &ask.info.name()));
    }
    let Some(namespaces) = ask.namespaces.filter(|_| ask.info.namespaced) else {
        return whatever_is_kept(ask, all);
    };
    let mut chosen = Vec::new();
    for namespace in BTreeSet::from_iter(namespaces) {
        let covering = covering(ask.labels, ask.fields, Some(namespace), all);
        let Some(scope) = prefer(&covering) else {
            // Scopes with narrower selectors keep a part of it: better than nothing for a person,
            // but not what was asked.
            let what = format!("{} in {namespace}", ask.info.name());
            return Err(not_kept(ask.info, all, &what));
        };
        let narrowed = scope.namespace.is_none().then(|| namespace.clone());
        chosen.push(Source { scope: synced(scope)?.clone(), namespace: narrowed });
    }
    Ok(chosen)
}

/// The scopes that a cursor's first page was read from, as [`names`] gave them: by now another one
/// may be further on, and what it had at that moment may be something else.
///
/// # Errors
/// [`Error::Cursor`] where one of them is no longer kept.
pub(super) fn again(ask: &Ask<'_>, all: &[ScopeRow], ids: &[i64]) -> Result<Vec<Source>> {
    let invalid = |why: &str| Error::Cursor(format!("{why}; begin again without a cursor"));
    if ids.is_empty() {
        return Err(invalid("this is no cursor"));
    }
    let known = |id: &i64| {
        all.iter()
            .find(|scope| scope.id == *id)
            .ok_or_else(|| invalid("a scope that this cursor's pages are of was forgotten"))
    };
    let Some(namespaces) = ask.namespaces.filter(|_| ask.info.namespaced) else {
        let source = |id: &i64| -> Result<Source> {
            Ok(Source { scope: known(id)?.clone(), namespace: None })
        };
        return ids.iter().map(source).collect();
    };
    let namespaces = BTreeSet::from_iter(namespaces);
    if ids.len() != namespaces.len() && ids.len() != 1 {
        return Err(invalid("this is no cursor"));
    }
    let narrowed = |(namespace, id): (&String, &i64)| -> Result<Source> {
        let scope = known(id)?.clone();
        let namespace = scope.namespace.is_none().then(|| namespace.clone());
        Ok(Source { scope, namespace })
    };
    namespaces.into_iter().zip(ids.iter().cycle()).map(narrowed).collect()
}

/// The scopes of sources, in their order; one that all are of is named once.
pub(super) fn names(sources: &[Source]) -> Vec<i64> {
    let mut ids: Vec<i64> = sources.iter().map(|source| source.scope.id).collect();
    if ids.windows(2).all(|two| two[0] == two[1]) {
        ids.truncate(1);
    }
    ids
}

/// No namespace was named: one scope if it covers all, else all that there are.
fn whatever_is_kept(ask: &Ask<'_>, all: &[ScopeRow]) -> Result<Vec<Source>> {
    let whole = covering(ask.labels, ask.fields, None, all);
    if let Some(scope) = prefer(&whole).filter(|scope| scope.published) {
        return Ok(vec![Source { scope: scope.clone(), namespace: None }]);
    }
    let mut published: Vec<Source> = all
        .iter()
        .filter(|scope| scope.published)
        .map(|scope| Source { scope: scope.clone(), namespace: None })
        .collect();
    // Of copies under one resourceVersion the first counts.
    published.sort_by_key(|source| {
        (source.scope.redaction != Redaction::None, !source.scope.drop.is_empty())
    });
    match (published.is_empty(), all.first()) {
        (true, Some(scope)) => synced(scope).map(|_| Vec::new()),
        _ => Ok(published),
    }
}

/// Scopes that surely have every object that the question could match.
fn covering<'a>(
    labels: &LabelSelector,
    fields: &FieldSelector,
    namespace: Option<&str>,
    all: &'a [ScopeRow],
) -> Vec<&'a ScopeRow> {
    all.iter()
        .filter(|scope| scope.namespace.is_none() || scope.namespace.as_deref() == namespace)
        .filter(|scope| implies(labels, &scope.label_selector))
        .filter(|scope| implies_fields(fields, &scope.field_selector))
        .collect()
}

/// Whether whatever matches `asked` matches `kept` too: each kept requirement is asked for.
fn implies(asked: &LabelSelector, kept: &str) -> bool {
    LabelSelector::parse(kept).is_ok_and(|kept| {
        kept.requirements.iter().all(|wanted| asked.requirements.contains(wanted))
    })
}

/// The same of field selectors.
fn implies_fields(asked: &FieldSelector, kept: &str) -> bool {
    FieldSelector::parse(kept)
        .is_ok_and(|kept| kept.terms.iter().all(|wanted| asked.terms.contains(wanted)))
}

/// Of several scopes that know the answer: a synced one, with whole bodies, whose checkpoint
/// counts; then the one that is further on, then the larger.
fn prefer<'a>(scopes: &[&'a ScopeRow]) -> Option<&'a ScopeRow> {
    scopes.iter().copied().min_by(|a, b| {
        let worse = |scope: &ScopeRow| {
            let cut = (scope.redaction != Redaction::None, !scope.drop.is_empty());
            (!scope.published, cut, scope.void_reason.is_some())
        };
        let narrow = |scope: &ScopeRow| {
            let selects = !scope.label_selector.is_empty() || !scope.field_selector.is_empty();
            (scope.namespace.is_some(), selects, scope.id)
        };
        worse(a).cmp(&worse(b)).then_with(|| further(b, a)).then_with(|| narrow(a).cmp(&narrow(b)))
    })
}

/// By their checkpoints, which are versions of one resource; equal where they can't be compared.
fn further(a: &ScopeRow, b: &ScopeRow) -> Ordering {
    let (a, b) = (a.rv.as_deref().unwrap_or_default(), b.rv.as_deref().unwrap_or_default());
    rv::compare(a, b).unwrap_or(Ordering::Equal)
}

fn synced(scope: &ScopeRow) -> Result<&ScopeRow> {
    if scope.published {
        return Ok(scope);
    }
    Err(Error::NotSynced(format!(
        "{}: never synced; start a writer (vai.connect or `vai sync`) and wait for it",
        scope.describe()
    )))
}

/// The scope that answers for every name in a namespace; `None` if only a part is kept.
pub(super) fn whole<'a>(all: &'a [ScopeRow], namespace: Option<&str>) -> Option<&'a ScopeRow> {
    let (labels, fields) = (LabelSelector::default(), FieldSelector::default());
    prefer(&covering(&labels, &fields, namespace, all))
}

/// Fails: nothing that is kept tells whether there is such an object.
pub(super) fn unknown(
    info: &Resource,
    all: &[ScopeRow],
    whole: Option<&ScopeRow>,
    key: &str,
) -> Error {
    let unsynced = whole.and_then(|scope| synced(scope).err());
    unsynced.unwrap_or_else(|| not_kept(info, all, &format!("{} {key}", info.name())))
}

fn not_kept(info: &Resource, all: &[ScopeRow], what: &str) -> Error {
    let scopes: Vec<String> = all.iter().map(ScopeRow::describe).collect();
    let kept =
        if scopes.is_empty() { format!("nothing of {}", info.name()) } else { scopes.join("; ") };
    Error::NotKept {
        message: format!("{what}: not kept in this file, so nothing is known of it (kept: {kept})"),
        scopes,
    }
}
