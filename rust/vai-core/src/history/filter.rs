//! Which changes are wanted, and what a change is to one who sees only some objects.

use std::collections::HashMap;

use rusqlite::Connection;

use super::Change;
use crate::db::live::unix_ms;
use crate::error::Result;
use crate::expr::{Expr, Fields, Matcher};
use crate::field::FieldSet;
use crate::selector;
use crate::store::{Inner, Op, scopes};

/// A filter of changes as the user wrote it; by default all changes.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    /// `None`: all that are kept. Objects without a namespace are in none.
    pub namespaces: Option<Vec<String>>,
    /// As kubectl's `-l` takes it.
    pub label_selector: String,
    /// As kubectl's `--field-selector` takes it.
    pub field_selector: String,
    /// In vai's language. Ages are counted from the moment at which the changes were asked for:
    /// what leaves the filter only because time passes does not change.
    pub condition: String,
}

/// The filter bound to the fields of each resource.
pub(super) struct Filter {
    namespaces: Option<Vec<String>>,
    matchers: HashMap<String, Matcher>,
}

impl Filter {
    /// # Errors
    /// Whatever is wrong with the filter, for any of the resources.
    pub(super) fn new(
        db: &Connection,
        inner: &Inner,
        resources: &[String],
        asked: &ChangeFilter,
    ) -> Result<Self> {
        let (labels, terms) = selector::asked(&asked.label_selector, &asked.field_selector)?;
        let now_us = unix_ms().saturating_mul(1000);
        let mut matchers = HashMap::new();
        for name in resources {
            let (id, info) = scopes::resource_named(db, name)?;
            let states = inner.fields_in(db, id)?;
            let set = FieldSet::new(states.iter().map(|state| state.def.clone()));
            // Bodies are read, so that nothing depends on an index.
            let fields = Fields { set: &set, namespaced: info.namespaced, building: &[] };
            let wanted = Expr::and([
                Expr::from_labels(&labels),
                Expr::from_fields(&terms, &fields)?,
                Expr::parse(&asked.condition, &fields, now_us)?,
            ]);
            if wanted != Expr::True {
                matchers.insert(name.clone(), Matcher::new(&wanted, &set)?);
            }
        }
        Ok(Self { namespaces: asked.namespaces.clone(), matchers })
    }

    /// Whether objects with this key can be wanted at all.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|wanted| {
            key.split_once('/')
                .is_some_and(|(namespace, _)| wanted.iter().any(|one| one == namespace))
        })
    }

    /// What a change is to one who sees only objects that pass: into the filter is an add, out of it
    /// a delete with the last state that passed, as kube-apiserver's watches have it (`cacher.go`,
    /// `convertToWatchEvent`). `before` is the state that was superseded, also of a delete.
    pub(super) fn apply(
        &self,
        mut change: Change,
        before: Option<&[u8]>,
    ) -> Result<Option<Change>> {
        let Some(matcher) = self.matchers.get(&change.resource) else { return Ok(Some(change)) };
        let passes = |body: &[u8]| matcher.matches(&change.key, body);
        let is = change.new.as_deref().map(passes).transpose()?.unwrap_or(false);
        let was = before.map(passes).transpose()?.unwrap_or(false);
        match (was, is) {
            (false, false) => return Ok(None),
            (true, true) => {}
            (false, true) => {
                change.op = Op::Add;
                change.old = None;
            }
            (true, false) if change.op == Op::Delete => {}
            (true, false) => {
                change.op = Op::Delete;
                change.new = None;
            }
        }
        Ok(Some(change))
    }
}
