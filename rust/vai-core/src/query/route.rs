//! Which scopes answer a question, and what it means that they have no answer.
//!
//! Absent has three meanings: not there in a complete scope, never synced, outside every scope. A
//! wrong "not there" makes controllers delete things, so it needs a scope that covers the name
//! wholly and was listed completely.

use crate::error::{Error, Result};
use crate::selector::{LabelSelector, Requirement};
use crate::store::{Resource, ScopeRow};

/// A question as far as scopes matter.
pub(super) struct Ask<'a> {
    pub(super) info: &'a Resource,
    pub(super) namespaces: Option<&'a [String]>,
    pub(super) labels: &'a LabelSelector,
}

/// One scope to read, narrowed to a namespace where the scope is wider.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) scope: ScopeRow,
    pub(super) namespace: Option<String>,
}

/// The scopes to read and merge. Every namespace asked for must be covered.
pub(super) fn choose(ask: &Ask<'_>, field_selector: &str, all: &[ScopeRow]) -> Result<Vec<Source>> {
    if all.is_empty() {
        return Err(not_kept(ask.info, all, &ask.info.name()));
    }
    let Some(namespaces) = ask.namespaces.filter(|_| ask.info.namespaced) else {
        return whatever_is_kept(ask, field_selector, all);
    };
    let mut chosen = Vec::new();
    for namespace in namespaces {
        let covering = covering(ask, field_selector, Some(namespace), all);
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

/// No namespace was named: the widest scope if one covers all, else all that there are.
fn whatever_is_kept(ask: &Ask<'_>, field_selector: &str, all: &[ScopeRow]) -> Result<Vec<Source>> {
    let whole = covering(ask, field_selector, None, all);
    if let Some(scope) = prefer(&whole).filter(|scope| scope.published) {
        return Ok(vec![Source { scope: scope.clone(), namespace: None }]);
    }
    let published: Vec<Source> = all
        .iter()
        .filter(|scope| scope.published)
        .map(|scope| Source { scope: scope.clone(), namespace: None })
        .collect();
    match (published.is_empty(), all.first()) {
        (true, Some(scope)) => synced(scope).map(|_| Vec::new()),
        _ => Ok(published),
    }
}

/// Scopes that surely have every object that the question could match.
fn covering<'a>(
    ask: &Ask<'_>,
    field_selector: &str,
    namespace: Option<&str>,
    all: &'a [ScopeRow],
) -> Vec<&'a ScopeRow> {
    all.iter()
        .filter(|scope| scope.namespace.is_none() || scope.namespace.as_deref() == namespace)
        .filter(|scope| implies(ask.labels, &scope.label_selector))
        .filter(|scope| scope.field_selector.is_empty() || scope.field_selector == field_selector)
        .collect()
}

/// Whether whatever matches `asked` matches `kept` too: each kept requirement is asked for.
fn implies(asked: &LabelSelector, kept: &str) -> bool {
    let Ok(kept) = LabelSelector::parse(kept) else { return false };
    let has = |wanted: &Requirement| asked.requirements.contains(wanted);
    kept.requirements.iter().all(has)
}

/// Synced before not synced, whole bodies before metadata, then the narrowest (fewest objects).
fn prefer<'a>(scopes: &[&'a ScopeRow]) -> Option<&'a ScopeRow> {
    scopes
        .iter()
        .min_by_key(|scope| {
            (
                !scope.published,
                scope.redaction != crate::redact::Redaction::None,
                scope.label_selector.is_empty(),
                scope.id,
            )
        })
        .copied()
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

/// The scope that answers alone for a whole namespace (or for what has none), if one was listed.
pub(super) fn whole<'a>(
    info: &Resource,
    all: &'a [ScopeRow],
    namespace: Option<&str>,
) -> Result<Option<&'a ScopeRow>> {
    let nothing = LabelSelector::parse("")?;
    let ask = Ask { info, namespaces: None, labels: &nothing };
    Ok(prefer(&covering(&ask, "", namespace, all)).filter(|scope| scope.published))
}

/// Fails unless a complete scope covers the name.
pub(super) fn prove_absent(
    info: &Resource,
    all: &[ScopeRow],
    namespace: Option<&str>,
    key: &str,
) -> Result<()> {
    let nothing = LabelSelector::parse("")?;
    let ask = Ask { info, namespaces: None, labels: &nothing };
    match prefer(&covering(&ask, "", namespace, all)) {
        Some(scope) => synced(scope).map(|_| ()),
        None => Err(not_kept(info, all, &format!("{} {key}", info.name()))),
    }
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
