//! Bodies read for what indexes can't tell, and versions of the past.

use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use roaring::RoaringBitmap;
use rusqlite::{Connection, params};

use super::columns::{Column, ColumnReader, Gathered, Scanned};
use super::partition::Access;
use super::past::Changed;
use super::plan::Part;
use crate::error::{Error, Result};
use crate::expr::{Expr, Matcher};
use crate::rv;
use crate::store::Inner;
use crate::value::Value;

/// Bodies that go to another thread at once: enough that waiting does not count.
const BATCH: usize = 256;
/// Batches that wait: with bodies of 400 bytes compressed, half a megabyte.
const QUEUED: usize = 4;
/// Below so many, starting threads takes longer than reading.
const ALONE: u64 = 512;
/// Readers of bodies beside the one that fetches them.
const HELPERS: usize = 1;

/// A row as it was.
pub(super) struct PastRow {
    pub(super) id: u32,
    pub(super) key: String,
    pub(super) rv: String,
    pub(super) seq: i64,
    /// Whether the condition held.
    pub(super) matches: bool,
    /// What it had in each column, if it matched.
    pub(super) columns: Vec<Vec<Value>>,
}

/// How long bodies may be read.
#[derive(Clone)]
pub(crate) struct Patience<'a> {
    deadline: Instant,
    /// Whether whoever asked still wants to know; asked on the thread of the query alone.
    go_on: &'a dyn Fn() -> bool,
    asked: Cell<Option<Instant>>,
}

impl<'a> Patience<'a> {
    /// Python's signal handlers run when it is asked: Ctrl-C has to end a query within 0.2 s.
    pub(crate) const ASKS_EVERY: Duration = Duration::from_millis(50);

    pub(crate) fn new(deadline: Instant, go_on: &'a dyn Fn() -> bool) -> Self {
        Self { deadline, go_on, asked: Cell::new(None) }
    }

    pub(crate) fn check(&self, inner: &Inner) -> Result<()> {
        check(self.deadline, inner)?;
        if self.asked.get().is_none_or(|asked| asked.elapsed() >= Self::ASKS_EVERY) {
            self.asked.set(Some(Instant::now()));
            if !(self.go_on)() {
                return Err(Error::Interrupted);
            }
        }
        Ok(())
    }
}

impl PastRow {
    /// Versions that can't be compared: the one that was written later.
    pub(super) fn compare_age(&self, other: &Self) -> Ordering {
        rv::compare(&self.rv, &other.rv).unwrap_or_else(|| self.seq.cmp(&other.seq))
    }
}

type Body = (u32, String, Vec<u8>);

/// What bodies decide and what they have: of the rows that surely match and of those of which only
/// bodies tell, those that do match, with the columns that are not indexed.
pub(super) fn read(
    db: &Connection,
    inner: &Inner,
    part: &Part,
    sure: RoaringBitmap,
    open: &RoaringBitmap,
    patience: &Patience<'_>,
) -> Result<(RoaringBitmap, Scanned)> {
    let matcher = Matcher::new(&part.expr, &part.known.set)?;
    if !part.is_scanned() {
        let found = bodies(db, inner, open, patience, |rows: &mut Vec<u32>, id, key, json| {
            rows.extend(matcher.matches(key, json)?.then_some(id));
            Ok(())
        })?;
        let found: RoaringBitmap = found.into_iter().flatten().collect();
        return Ok((sure | found, Scanned::default()));
    }
    let (columns, bytes) = (ColumnReader::new(part, Column::is_scanned)?, AtomicUsize::new(0));
    let all = sure | open;
    let found = bodies(db, inner, &all, patience, |gathered: &mut Gathered, id, key, json| {
        if open.contains(id) && !matcher.matches(key, json)? {
            return Ok(());
        }
        gathered.add(id, columns.read(key, json)?, &bytes)
    })?;
    let rows = found.iter().flat_map(|gathered| gathered.rows.iter().copied()).collect();
    Ok((rows, Scanned::of(found)))
}

/// Shows the bodies of these rows to `see`, on several threads where they are many; returns what
/// it made of them, one for each thread.
fn bodies<T: Default + Send>(
    db: &Connection,
    inner: &Inner,
    rows: &RoaringBitmap,
    patience: &Patience<'_>,
    see: impl Fn(&mut T, u32, &str, &[u8]) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let deadline = patience.deadline;
    let mut statement = db.prepare_cached(
        "SELECT o.key, v.body FROM object o JOIN version v ON v.seq = o.seq WHERE o.id = ?1",
    )?;
    let mut fetch = |id: u32| -> Result<Body> {
        let (key, body) = statement
            .query_row([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        // Here, where the dictionary can be read if it is a new one.
        inner.know_dictionary(db, &body)?;
        Ok((id, key, body))
    };
    let show = |made: &mut T, (id, key, body): &Body| -> Result<()> {
        check(deadline, inner)?;
        see(made, *id, key, &inner.decode_known(body)?)
    };
    let mut mine = T::default();
    if rows.len() < ALONE {
        for id in rows {
            patience.check(inner)?;
            show(&mut mine, &fetch(id)?)?;
        }
        return Ok(vec![mine]);
    }
    let (sender, receiver) = bounded::<Vec<Body>>(QUEUED);
    let work = || {
        let mut made = T::default();
        for batch in &receiver {
            batch.iter().try_for_each(|body| show(&mut made, body))?;
        }
        Ok::<_, Error>(made)
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (0..HELPERS).map(|_| scope.spawn(work)).collect();
        let mut batch = Vec::with_capacity(BATCH);
        let mut outcome = Ok(());
        for id in rows {
            match patience.check(inner).and_then(|()| fetch(id)) {
                Ok(body) => batch.push(body),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            if batch.len() == BATCH {
                let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
                // With the queue full the reader looks at bodies itself.
                match sender.try_send(full) {
                    Ok(()) => {}
                    Err(crossbeam_channel::TrySendError::Full(full)) => {
                        outcome = full.iter().try_for_each(|body| show(&mut mine, body));
                        if outcome.is_err() {
                            break;
                        }
                    }
                    // Its receiving end outlives the threads.
                    Err(crossbeam_channel::TrySendError::Disconnected(_)) => break,
                }
            }
        }
        if outcome.is_ok() {
            outcome = batch.iter().try_for_each(|body| show(&mut mine, body));
        }
        drop(sender);
        let mut all = Vec::with_capacity(helpers.len() + 1);
        for helper in helpers {
            let made = helper.join().map_err(|_| Error::Internal("a reader died".into()))?;
            all.push(made?);
        }
        outcome?;
        all.push(mine);
        Ok(all)
    })
}

/// The versions of that time, of all that changed since; with what did not match.
pub(super) fn past_rows(
    db: &Connection,
    inner: &Inner,
    part: &Part,
    changed: &Changed,
    access: Option<&Access>,
    patience: &Patience<'_>,
) -> Result<Vec<PastRow>> {
    let matcher = Matcher::new(&part.expr, &part.known.set)?;
    let columns = ColumnReader::new(part, |_| true)?;
    // Where all of them match and nothing of them is asked, the keys are all there is to know.
    let by_keys = part.expr == Expr::True && part.columns.is_empty();
    let mut statement = db.prepare_cached(
        "SELECT v.scope, coalesce(o.key, f.key), v.body, v.rv FROM version v
         LEFT JOIN object o ON o.id = v.object AND o.scope = v.scope
         LEFT JOIN free f ON f.id = v.object
         WHERE v.seq = ?1",
    )?;
    let mut rows = Vec::new();
    for (id, then) in changed {
        let Some(seq) = then else { continue };
        patience.check(inner)?;
        let (scope, key, body, rv): (i64, String, Vec<u8>, String) = statement
            .query_row(params![seq], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
        if !in_sources(part, scope, &key)
            || !access.is_none_or(|access| access.allows(key.as_bytes()))
        {
            continue;
        }
        let (holds, columns) = if by_keys {
            (true, Vec::new())
        } else {
            let json = inner.decode_in(db, &body)?;
            let holds = matcher.matches(&key, &json)?;
            (holds, if holds { columns.read(&key, &json)? } else { Vec::new() })
        };
        rows.push(PastRow { id: *id, key, rv, seq: *seq, matches: holds, columns });
    }
    Ok(rows)
}

fn in_sources(part: &Part, scope: i64, key: &str) -> bool {
    part.sources.iter().filter(|source| source.scope.id == scope).any(|source| {
        source.namespace.as_deref().is_none_or(|wanted| {
            key.split_once('/').is_some_and(|(namespace, _)| namespace == wanted)
        })
    })
}

/// Rust does not meet `SQLite`'s interrupt while it reads bodies.
fn check(deadline: Instant, inner: &Inner) -> Result<()> {
    inner.check()?;
    if Instant::now() < deadline {
        return Ok(());
    }
    Err(Error::QueryTimeout(inner.options.query_timeout.as_secs_f64()))
}
