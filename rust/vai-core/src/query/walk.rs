//! The plan for questions without a condition: the index of (scope, key) has all rows in order, so
//! that nothing has to be brought into memory to find them.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use super::plan::Part;
use super::pool::Spare;
use super::request::Request;
use super::route::Source;
use super::rows::overlap;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::store::position;

/// So many rows are read between two looks at the clock.
pub(super) const LOOKS_EVERY: usize = 256;
/// Below so many rows a second snapshot takes longer than reading them.
const ALONE: usize = 4096;

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
            && !part.counters.are_wanted(request)
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
            let most = most - found.len();
            let range = Range::of(source);
            range.read(db, select, most, &mut found, &look, &take)?;
        }
        Ok(found)
    }

    /// All rows of a long walk, half of them read by a second thread where `beside` shows the same
    /// moment; it ends when the first one fails.
    pub(super) fn read_by_two<T: Send>(
        &self,
        db: &Connection,
        (mut beside, limit): (Spare<'_>, Duration),
        moment: (i64, i64),
        select: &str,
        look: impl Fn() -> Result<()>,
        take: impl Fn(&Row<'_>) -> rusqlite::Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let Some((first, second)) = self.halves(db)? else {
            return self.read(db, select, usize::MAX, look, take);
        };
        let ended = AtomicBool::new(false);
        let (found, rest) = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                beside.with(limit, |db| {
                    if position(db)? != moment {
                        return Ok(None);
                    }
                    let look =
                        || if ended.load(Relaxed) { Err(Error::Interrupted) } else { Ok(()) };
                    let mut rest = Vec::with_capacity(self.objects.unwrap_or_default() / 2);
                    second.read(db, select, usize::MAX, &mut rest, &look, &take)?;
                    Ok(Some(rest))
                })
            });
            let mut found = Vec::with_capacity(self.objects.unwrap_or_default());
            let outcome = first.read(db, select, usize::MAX, &mut found, &look, &take);
            ended.store(outcome.is_err(), Relaxed);
            let rest = other.join().map_err(|_| Error::Internal("a reader died".into()));
            outcome.and(rest).map(|rest| (found, rest))
        })?;
        let mut found = found;
        match rest {
            Ok(Some(rest)) => found.extend(rest),
            // The writer went on between the two snapshots, or the other one can't be read.
            Ok(None) | Err(_) => {
                second.read(db, select, usize::MAX, &mut found, &look, &take)?;
            }
        }
        Ok(found)
    }

    /// Whether a second thread is worth it.
    pub(super) fn is_long(&self) -> bool {
        self.sources.len() == 1 && self.objects.is_some_and(|objects| objects >= ALONE)
    }

    /// The walk in two parts of about the same length.
    fn halves(&self, db: &Connection) -> Result<Option<(Range, Range)>> {
        let ([source], Some(objects)) = (self.sources.as_slice(), self.objects) else {
            return Ok(None);
        };
        let half = i64::try_from(objects / 2).unwrap_or(i64::MAX);
        let middle: Option<String> = db
            .prepare_cached(
                "SELECT key FROM object INDEXED BY object_scope_key
                 WHERE scope = ?1 ORDER BY key LIMIT 1 OFFSET ?2",
            )?
            .query_row(params![source.scope.id, half], |row| row.get(0))
            .optional()?;
        Ok(middle.map(|middle| {
            let whole = Range::of(source);
            let first = Range { before: Some(middle.clone()), ..whole.clone() };
            (first, Range { from: Some(middle), ..whole })
        }))
    }
}

/// Keys of a scope that lie together.
#[derive(Clone)]
struct Range {
    scope: i64,
    from: Option<String>,
    before: Option<String>,
}

impl Range {
    fn of(source: &Source) -> Self {
        // '0' follows '/': the range holds exactly the keys that begin with "namespace/".
        let end = |end| source.namespace.as_ref().map(|namespace| format!("{namespace}{end}"));
        Self { scope: source.scope.id, from: end('/'), before: end('0') }
    }

    fn read<T>(
        &self,
        db: &Connection,
        select: &str,
        most: usize,
        found: &mut Vec<T>,
        look: &impl Fn() -> Result<()>,
        take: &impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<()> {
        let mut sql = format!("{select} WHERE o.scope = ?");
        let mut values = vec![Value::from(self.scope)];
        for (bound, test) in [(&self.from, " AND o.key >= ?"), (&self.before, " AND o.key < ?")] {
            if let Some(bound) = bound {
                sql.push_str(test);
                values.push(Value::from(bound.clone()));
            }
        }
        sql.push_str(" ORDER BY o.key LIMIT ?");
        values.push(Value::from(i64::try_from(most).unwrap_or(i64::MAX)));
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if found.len().is_multiple_of(LOOKS_EVERY) {
                look()?;
            }
            found.push(take(row)?);
        }
        Ok(())
    }
}

/// What the keys of a source begin with. As texts namespaces have another order than their keys:
/// `team-a/x` comes before `team/x`.
fn first_key(source: &Source) -> String {
    let namespace = source.namespace.as_ref().or(source.scope.namespace.as_ref());
    namespace.map_or_else(String::new, |namespace| format!("{namespace}/"))
}
