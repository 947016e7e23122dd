//! Which rows match: sets of row ids, by algebra.
//!
//! Where the indexes can't tell (a path that is not indexed, a text that was cut), the answer lies
//! between two sets: what surely matches and what may. Bodies decide the rest.

use std::ops::Bound;

use roaring::RoaringBitmap;

use crate::expr::{Expr, Field, Fold, Op, Test};
use crate::postings::{Index, Keys, Marks, Need, Values};
use crate::value::Value;

/// Rows that surely match, and rows that may.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) sure: RoaringBitmap,
    /// `None`: what is sure is all.
    pub(super) maybe: Option<RoaringBitmap>,
}

impl Found {
    fn exactly(sure: RoaringBitmap) -> Self {
        Self { sure, maybe: None }
    }

    fn upper(&self) -> &RoaringBitmap {
        self.maybe.as_ref().unwrap_or(&self.sure)
    }

    fn and(self, other: &Self) -> Self {
        let maybe =
            (self.maybe.is_some() || other.maybe.is_some()).then(|| self.upper() & other.upper());
        Self { sure: self.sure & &other.sure, maybe }
    }

    fn or(self, other: &Self) -> Self {
        let maybe =
            (self.maybe.is_some() || other.maybe.is_some()).then(|| self.upper() | other.upper());
        Self { sure: self.sure | &other.sure, maybe }
    }

    fn not(self, all: &RoaringBitmap) -> Self {
        match self.maybe {
            None => Self::exactly(all - &self.sure),
            Some(maybe) => Self { sure: all - maybe, maybe: Some(all - &self.sure) },
        }
    }

    /// What only bodies can tell.
    pub(super) fn open(&self) -> RoaringBitmap {
        self.maybe.as_ref().map(|maybe| maybe - &self.sure).unwrap_or_default()
    }
}

/// The index of a field; `None` for what is known of the row itself, or not indexed.
pub(super) fn need_of(field: &Field) -> Option<Need> {
    match field {
        Field::Label(key) => Some(Need::Label(key.clone())),
        Field::Indexed { name, .. } => Some(Need::Field(name.clone())),
        Field::Name | Field::Namespace | Field::Uid | Field::Path { .. } => None,
    }
}

/// The rows of `all` that match.
pub(super) fn evaluate(expr: &Expr, index: &Index, all: &RoaringBitmap) -> Found {
    let mut found = go(expr, index, all);
    found.sure &= all;
    if let Some(maybe) = &mut found.maybe {
        *maybe &= all;
    }
    found
}

fn go(expr: &Expr, index: &Index, all: &RoaringBitmap) -> Found {
    match expr {
        Expr::True => Found::exactly(all.clone()),
        Expr::And(parts) => {
            let mut found: Option<Found> = None;
            for part in parts {
                let next = go(part, index, all);
                found = Some(match found {
                    Some(found) => found.and(&next),
                    None => next,
                });
            }
            found.unwrap_or_else(|| Found::exactly(all.clone()))
        }
        Expr::Or(parts) => {
            let mut found = Found::exactly(RoaringBitmap::new());
            for part in parts {
                found = found.or(&go(part, index, all));
            }
            found
        }
        // What it is taken from must be within `all`: rows of other scopes are no part of it.
        Expr::Not(part) => go(part, index, all).not(all),
        Expr::Test(test) => test_rows(test, index, all),
    }
}

fn test_rows(test: &Test, index: &Index, all: &RoaringBitmap) -> Found {
    let need = match &test.field {
        Field::Name => return Found::exactly(names(&test.op, index.keys(), all)),
        Field::Namespace => return Found::exactly(namespaces(&test.op, index.keys())),
        Field::Uid | Field::Path { .. } => {
            return Found { sure: RoaringBitmap::new(), maybe: Some(all.clone()) };
        }
        Field::Label(key) => Need::Label(key.clone()),
        Field::Indexed { name, .. } => Need::Field(name.clone()),
    };
    let Some(values) = index.loaded(&need) else {
        // Not indexed yet: only bodies tell.
        return Found { sure: RoaringBitmap::new(), maybe: Some(all.clone()) };
    };
    let sure = rows_of(test, values);
    if values.cut().is_empty() || matches!(test.op, Op::Exists) {
        return Found::exactly(sure);
    }
    Found { maybe: Some(&sure | values.cut()), sure: sure - values.cut() }
}

fn rows_of(test: &Test, values: &Values) -> RoaringBitmap {
    if test.all {
        let refused = values.that(|value| !test.accepts(value)) | values.others();
        return values.present() - refused;
    }
    match &test.op {
        Op::In(wanted) => {
            let mut rows = RoaringBitmap::new();
            for value in wanted {
                if let Some(ids) = values.with(value) {
                    ids.add_to(&mut rows);
                }
            }
            rows
        }
        Op::Exists => values.present() | values.others(),
        Op::Range { lower, upper } => {
            let below = |value: &Value| match lower {
                Bound::Unbounded => false,
                Bound::Included(bound) => value < bound,
                Bound::Excluded(bound) => value <= bound,
            };
            let upto = |value: &Value| match upper {
                Bound::Unbounded => true,
                Bound::Included(bound) => value <= bound,
                Bound::Excluded(bound) => value < bound,
            };
            values.range(values.between(below, upto))
        }
        _ => values.that(|value| test.accepts(value)),
    }
}

fn names(op: &Op, keys: &Keys, all: &RoaringBitmap) -> RoaringBitmap {
    match op {
        Op::Exists => all.clone(),
        Op::Contains { text, fold: Fold::Exact } => keys.names_with(text.as_bytes()),
        _ => keys.names_that(|name| op.accepts_text(name)),
    }
}

/// Cluster-scoped objects have no namespace: a missing value.
fn namespaces(op: &Op, keys: &Keys) -> RoaringBitmap {
    let mut marks = Marks::default();
    for (name, ids) in keys.namespaces() {
        if op.accepts_text(name) {
            marks.mark_all(ids);
        }
    }
    marks.into_set()
}
