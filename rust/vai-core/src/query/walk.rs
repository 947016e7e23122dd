//! The plan for questions without a condition: the index of (scope, key) has all rows in order, so
//! that nothing has to be brought into memory to find them.

use rusqlite::{Connection, Row, params_from_iter, types::Value};

use super::plan::{Counters, Part};
use super::request::Request;
use super::route::Source;
use super::rows::overlap;
use crate::error::Result;
use crate::expr::Expr;

/// So many rows are read between two looks at the clock.
const LOOKS_EVERY: usize = 256;

/// Sources that are read one after the other.
pub(super) struct Walk {
    /// In the order of their keys.
    sources: Vec<Source>,
    /// All their rows, counted; `None` where only reading them tells.
    objects: Option<usize>,
}

impl Walk {
    /// The plan, where it answers what is asked of the present.
    pub(super) fn of(parts: &[Part], request: &Request) -> Option<Self> {
        let [part] = parts else { return None };
        let whole = part.expr == Expr::True
            && request.access.is_none()
            && part.sort.is_empty()
            && request.offset == 0
            && !Counters::wanted(request)
            && !overlap(&part.sources);
        let objects = match part.sources.as_slice() {
            [one] if one.namespace.is_none() => usize::try_from(one.scope.objects).ok(),
            _ => None,
        };
        // What a page leaves out has to be counted, and the keys in memory are counted at once.
        if !whole || (request.limit > 0 && objects.is_none()) {
            return None;
        }
        let mut sources = part.sources.clone();
        sources.sort_by_cached_key(first_key);
        Some(Self { sources, objects })
    }

    /// How many rows there are besides those that were read.
    pub(super) fn total(&self, read: usize) -> usize {
        self.objects.unwrap_or(read)
    }

    /// At most so many rows in key order; `select` names what is read of the object `o`.
    pub(super) fn read<T>(
        &self,
        db: &Connection,
        select: &str,
        most: usize,
        look: impl Fn() -> Result<()>,
        take: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::with_capacity(self.objects.unwrap_or_default().min(most));
        for source in &self.sources {
            let (mut sql, mut values) = range(select, source);
            sql.push_str(" ORDER BY o.key LIMIT ?");
            values.push(Value::from(i64::try_from(most - found.len()).unwrap_or(i64::MAX)));
            let mut statement = db.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                if found.len().is_multiple_of(LOOKS_EVERY) {
                    look()?;
                }
                found.push(take(row)?);
            }
        }
        Ok(found)
    }
}

/// What the keys of a source begin with. As texts namespaces have another order than their keys:
/// `team-a/x` comes before `team/x`.
fn first_key(source: &Source) -> String {
    let namespace = source.namespace.as_ref().or(source.scope.namespace.as_ref());
    namespace.map_or_else(String::new, |namespace| format!("{namespace}/"))
}

fn range(select: &str, source: &Source) -> (String, Vec<Value>) {
    let mut sql = format!("{select} WHERE o.scope = ?");
    let mut values = vec![Value::from(source.scope.id)];
    if let Some(namespace) = &source.namespace {
        // '0' follows '/': the range holds exactly the keys that begin with "namespace/".
        sql.push_str(" AND o.key >= ? AND o.key < ?");
        values.push(Value::from(format!("{namespace}/")));
        values.push(Value::from(format!("{namespace}0")));
    }
    (sql, values)
}
