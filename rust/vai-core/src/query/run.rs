//! A query, run: which scopes answer, which rows match, the part of them that is wanted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use roaring::RoaringBitmap;
use rusqlite::Connection;
use serde_json::Value as Json;

use super::columns::{Columns, Scanned};
use super::cursor::{self, Cursor, List};
use super::explain::Explain;
use super::facets::{self, Counted};
use super::merge::{self, Entry};
use super::order::Order;
use super::past::{self, Changed};
use super::plan::{self, Part, Read};
use super::request::{At, Request};
use super::rows::{self, ById, Found, Raw};
use super::scan::{self, PastRow, Patience};
use super::selected::{Selected, Version};
use super::steve::Chosen;
use super::walk::{LOOKS_EVERY, Walk};
use super::{access, eval, summary};
use crate::db::live::unix_ms;
use crate::error::{Error, Result};
use crate::postings::{Held, Index, Moment, Wanted};
use crate::store::{Inner, ScopeRow};

/// One attempt at a query in one snapshot.
pub(super) struct Run<'a> {
    db: &'a Connection,
    inner: &'a Inner,
    request: &'a Request,
    /// In the order of resource ids.
    parts: Vec<Part>,
    patience: Patience<'a>,
    explain: Explain,
    now: Moment,
    file: String,
    question: String,
    resumed: Option<Cursor>,
    /// The moment of the past that is asked for.
    then: Option<i64>,
    /// What ages count from, in milliseconds since 1970.
    clock_ms: i64,
}

/// What matches in one resource.
struct Matching {
    rows: RoaringBitmap,
    /// Rows of which only bodies tell.
    open: RoaringBitmap,
    past: Vec<PastRow>,
    /// What bodies had of `rows`, where they are ordered or counted by what is not indexed.
    scanned: Scanned,
}

impl<'a> Run<'a> {
    /// Reads what the request means in the snapshot of `db`.
    pub(super) fn new(
        db: &'a Connection,
        inner: &'a Inner,
        request: &'a Request,
        patience: Patience<'a>,
    ) -> Result<Self> {
        Self::within(db, inner, request, patience, None)
    }

    /// The same of what is in these namespaces; `None`: of those that the request chooses.
    pub(super) fn within(
        db: &'a Connection,
        inner: &'a Inner,
        request: &'a Request,
        patience: Patience<'a>,
        chosen: Option<&Chosen>,
    ) -> Result<Self> {
        let started = Instant::now();
        let (epoch, seq) = crate::store::position(db)?;
        let now = Moment { epoch, seq };
        let file = file_id(db)?;
        let question = cursor::question(request)?;
        let resumed = match request.cursor.as_str() {
            "" => None,
            token => Some(Cursor::decode(token, &file, &question)?),
        };
        let then = match (&resumed, request.at) {
            (Some(cursor), _) => {
                Some(past::seq_of(db, At::Position { epoch: cursor.epoch, seq: cursor.seq }, now)?)
            }
            (None, Some(at)) => Some(past::seq_of(db, at, now)?),
            (None, None) => None,
        };
        let clock_ms = match (&resumed, request.at, then) {
            (Some(cursor), ..) => cursor.clock_ms,
            (None, Some(At::Time { time_ms }), _) => time_ms,
            (None, _, Some(then)) => past::time_of(db, then)?.unwrap_or_else(unix_ms),
            (None, _, None) => unix_ms(),
        };
        let own;
        let chosen = if let Some(chosen) = chosen {
            chosen
        } else {
            let at = then.map(|seq| At::Position { epoch, seq });
            own = Chosen::of(db, inner, request, at, &patience)?;
            &own
        };
        let read = match (&resumed, then) {
            (Some(cursor), _) => Read::Again(&cursor.scopes),
            (None, Some(then)) => Read::Then(then),
            (None, None) => Read::Now,
        };
        let now_us = clock_ms.saturating_mul(1000);
        let parts = plan::parts(db, inner, request, chosen, now_us, &read)?;
        let mut explain = Explain::default();
        explain.note("planned", 0, Some(started));
        let run = Self {
            db,
            inner,
            request,
            parts,
            patience,
            explain,
            now,
            file,
            question,
            resumed,
            then,
            clock_ms,
        };
        if let Some(cursor) = &run.resumed {
            cursor.check_order(&plan::order(&run.parts))?;
        }
        if let Some(then) = then {
            past::check_reach(db, then, &run.scopes())?;
        }
        Ok(run)
    }

    /// `None`: another reader has taken the indexes past this snapshot; begin again, or be
    /// impatient.
    pub(super) fn go(mut self, patient: bool) -> Result<Option<Found>> {
        let place = self.resumed.as_ref().map_or(self.request.offset, |cursor| cursor.place);
        if let Some(cursor) = self.resumed.as_ref().filter(|_| !self.counts())
            && let Some(list) = self.inner.lists.get(cursor)
        {
            self.explain.note("list at hand", list.len(), None);
            return self.page_of(&list, cursor.seq, place).map(Some);
        }
        if let Some(walk) = self.walk() {
            return self.walked(&walk).map(Some);
        }
        let Some((held, matching)) = self.matched(patient)? else { return Ok(None) };
        let columns = self.columns(&held, &matching)?;
        let total = matching.iter().map(|found| len(&found.rows) + found.past.len()).sum();
        let counted = self.count(&columns, &matching)?;
        let started = Instant::now();
        let mut found = if let Some(then) = self.then {
            let list: List = Self::ordered(&columns, &matching, 0, usize::MAX).into();
            self.explain.note("ordered", list.len(), Some(started));
            drop(held);
            let page = self.page_of(&list, then, place)?;
            let cursor = self.cursor(then, 0);
            self.inner.lists.put(&cursor, list);
            page
        } else {
            let take = if self.request.limit == 0 { usize::MAX } else { self.request.limit };
            let ids = Self::ordered(&columns, &matching, place, take);
            self.explain.note("ordered", ids.len(), Some(started));
            drop(held);
            let next = place.saturating_add(ids.len());
            let started = Instant::now();
            let rows = self.bodies(&ids, None)?;
            self.explain.note("bodies read", rows.len(), Some(started));
            self.page(rows, total, self.now.seq, (next < total).then_some(next))?
        };
        found.counted = counted;
        found.explain = self.request.explain.then(|| self.explain.tell(&self.parts, total));
        Ok(Some(found))
    }

    /// The versions that match in the one resource that is asked for, in order; whatever others
    /// have taken past this snapshot.
    pub(super) fn versions(mut self) -> Result<Selected> {
        let versions: Vec<Version> = if let Some(walk) = self.walk() {
            let select = format!("SELECT {} FROM object o", Version::COLUMNS);
            self.read(&walk, &select, usize::MAX, Version::read)?
        } else {
            let (held, matching) = self
                .matched(false)?
                .ok_or_else(|| Error::Internal("a query found no moment".into()))?;
            let columns = self.columns(&held, &matching)?;
            let ids = Self::ordered(&columns, &matching, 0, usize::MAX);
            drop(columns);
            drop(held);
            let sql = format!("SELECT {} FROM object o WHERE o.id = ?1", Version::COLUMNS);
            let mut statement = self.db.prepare_cached(&sql)?;
            let mut versions = Vec::with_capacity(ids.len());
            for id in ids {
                self.look_at(versions.len())?;
                versions.push(statement.query_row([id], Version::read)?);
            }
            versions
        };
        let answered = self.answered();
        match self.parts.pop() {
            Some(part) => Ok(Selected::new(part.info, answered, &versions)),
            None => Err(Error::Internal("a query without a resource".into())),
        }
    }

    /// Whether anything is counted besides the rows.
    fn counts(&self) -> bool {
        self.parts.first().is_some_and(|part| part.counters.are_wanted(self.request))
    }

    fn walk(&self) -> Option<Walk> {
        if self.then.is_some() { None } else { Walk::of(&self.parts, self.request) }
    }

    fn read<T>(
        &self,
        walk: &Walk,
        select: &str,
        most: usize,
        take: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        walk.read(self.db, select, most, || self.patience.check(self.inner), take)
    }

    /// The page that a walk in key order gives.
    fn walked(&mut self, walk: &Walk) -> Result<Found> {
        let started = Instant::now();
        let most = if self.request.limit == 0 { usize::MAX } else { self.request.limit };
        let cells = self.request.cells;
        let select = if cells { rows::SELECT_WITH_CELLS } else { rows::SELECT };
        let take = |row: &rusqlite::Row<'_>| Raw::read(row, cells);
        let beside = (walk.is_long() && most == usize::MAX)
            .then(|| self.inner.pool.spare(&self.inner.files))
            .flatten();
        let read = match beside {
            None => self.read(walk, select, most, take)?,
            Some(beside) => {
                let beside = (beside, self.inner.options.query_timeout);
                let moment = (self.now.epoch, self.now.seq);
                let look = || self.patience.check(self.inner);
                walk.read_by_two(self.db, beside, moment, select, look, take)?
            }
        };
        self.explain.note("read in the order of keys", read.len(), Some(started));
        let (total, next) = (walk.total(read.len()), read.len());
        let mut found = self.page(read, total, self.now.seq, (next < total).then_some(next))?;
        found.explain = self.request.explain.then(|| self.explain.tell(&self.parts, total));
        Ok(found)
    }

    /// What matches in each part, with the indexes that tell its order. `None`: as of [`Self::go`].
    fn matched(&mut self, patient: bool) -> Result<Option<(Vec<Held>, Vec<Matching>)>> {
        let Some(mut held) = self.hold(patient)? else { return Ok(None) };
        let changed = match self.then {
            Some(then) if then < self.now.seq => self.changes_since(then)?,
            _ => self.parts.iter().map(|_| Changed::new()).collect(),
        };
        let mut matching = Vec::with_capacity(held.len());
        for (at, index) in held.iter().enumerate() {
            matching.push(self.matching(at, index, &changed[at])?);
        }
        let scans = self.parts.iter().any(Part::is_scanned);
        if scans || matching.iter().any(|found| !found.open.is_empty()) {
            // Others must not wait for bodies: whoever has gone on meanwhile leaves us an index of
            // our own.
            drop(held);
            for (at, found) in matching.iter_mut().enumerate() {
                self.decide(at, found)?;
            }
            held = self.hold(false)?.unwrap_or_default();
        }
        Ok(Some((held, matching)))
    }

    /// What the rows that match are ordered and counted by.
    fn columns<'h>(
        &'h self,
        held: &'h [Held],
        matching: &'h [Matching],
    ) -> Result<Vec<Columns<'h>>> {
        let parts = self.parts.iter().zip(held).zip(matching);
        parts
            .map(|((part, index), found)| Columns::new(part, index, &found.rows, &found.scanned))
            .collect()
    }

    fn cursor(&self, seq: i64, place: usize) -> Cursor {
        let moment = (self.now.epoch, seq);
        let mut cursor = Cursor::new(&self.file, moment, self.clock_ms, &self.question, place);
        cursor.order = plan::order(&self.parts);
        cursor.scopes = plan::read(&self.parts);
        cursor
    }

    fn scopes(&self) -> Vec<ScopeRow> {
        self.sources().into_iter().map(|source| source.scope).collect()
    }

    fn sources(&self) -> Vec<super::route::Source> {
        self.parts.iter().flat_map(|part| part.sources.clone()).collect()
    }

    fn hold(&mut self, patient: bool) -> Result<Option<Vec<Held>>> {
        let started = Instant::now();
        let wanted: Vec<Wanted> = self
            .parts
            .iter()
            .map(|part| Wanted {
                resource: part.id,
                needs: part.needs.clone(),
                known: Arc::clone(&part.known),
            })
            .collect();
        let held = self.inner.postings.hold(self.db, self.inner, &wanted, self.now, patient)?;
        if let Some(held) = &held {
            let keys = held.iter().map(|held| held.keys().len()).sum();
            self.explain.note("indexes brought to the snapshot", keys, Some(started));
        }
        Ok(held)
    }

    fn changes_since(&mut self, seq: i64) -> Result<Vec<Changed>> {
        let started = Instant::now();
        let mut changes = Vec::new();
        for part in &self.parts {
            changes.push(past::changed(self.db, seq, &part.sources)?);
        }
        let count = changes.iter().map(HashMap::len).sum();
        self.explain.note("changed since then", count, Some(started));
        Ok(changes)
    }

    fn matching(&mut self, at: usize, index: &Index, changed: &Changed) -> Result<Matching> {
        let part = &self.parts[at];
        let access = self.request.access.as_ref();
        let mut started = Instant::now();
        let mut all = access::rows_of(index.keys(), &part.sources);
        let mut earlier = Vec::new();
        if !changed.is_empty() {
            all -= past::ids(changed);
            earlier = scan::past_rows(self.db, self.inner, part, changed, access, &self.patience)?;
            self.explain.note("versions of that time", earlier.len(), Some(started));
            started = Instant::now();
        }
        let keys = index.keys();
        access::drop_older_copies(self.db, keys, &part.sources, &mut all, &mut earlier)?;
        earlier.retain(|row| row.matches);
        if let Some(access) = access {
            all = access::allowed(keys, access, &all);
        }
        let found = eval::evaluate(&part.expr, index, &all);
        let open = found.open();
        self.explain.note("matched in indexes", len(&found.sure), Some(started));
        Ok(Matching { rows: found.sure, open, past: earlier, scanned: Scanned::default() })
    }

    /// Reads the bodies that decide, and those that are ordered or counted by.
    fn decide(&mut self, at: usize, found: &mut Matching) -> Result<()> {
        let (part, open) = (&self.parts[at], std::mem::take(&mut found.open));
        let bodies = len(&open) + if part.is_scanned() { len(&found.rows) } else { 0 };
        if bodies == 0 {
            return Ok(());
        }
        let started = Instant::now();
        let sure = std::mem::take(&mut found.rows);
        (found.rows, found.scanned) =
            scan::read(self.db, self.inner, part, sure, &open, &self.patience)?;
        self.explain.scanned(part, bodies, started);
        Ok(())
    }

    /// Ids in order; of one resource without an order of all of them.
    fn ordered(
        columns: &[Columns<'_>],
        matching: &[Matching],
        skip: usize,
        take: usize,
    ) -> Vec<u32> {
        if let ([columns], [found]) = (columns, matching)
            && found.past.is_empty()
        {
            return Order::new(columns).part(&found.rows, skip, take);
        }
        if let ([columns], [found]) = (columns, matching) {
            let now = Order::new(columns).part(&found.rows, 0, skip.saturating_add(take));
            let mut ids = merge::with_past(columns, &now, &found.past);
            ids.truncate(skip.saturating_add(take));
            ids.drain(..skip.min(ids.len()));
            return ids;
        }
        let mut lists: Vec<Vec<Entry<'_>>> = Vec::new();
        for (columns, found) in columns.iter().zip(matching) {
            let upto = skip.saturating_add(take);
            let ids = Order::new(columns).part(&found.rows, 0, upto);
            lists.push(ids.into_iter().map(|id| Entry::now(columns, id)).collect());
            let past = found.past.iter().map(|row| Entry::past(columns.part, row));
            let mut past: Vec<_> = past.collect();
            past.sort_by(merge::compare);
            lists.push(past);
        }
        merge::merged(lists, skip, take)
    }

    fn count(
        &self,
        columns: &[Columns<'_>],
        matching: &[Matching],
    ) -> Result<serde_json::Map<String, Json>> {
        let mut counted = serde_json::Map::new();
        if !self.counts() {
            return Ok(counted);
        }
        let parts: Vec<Counted<'_>> = columns
            .iter()
            .zip(matching)
            .map(|(columns, found)| Counted { columns, rows: &found.rows, past: &found.past })
            .collect();
        let Some(first) = self.parts.first() else { return Ok(counted) };
        let counters = &first.counters;
        if !counters.facets.is_empty() {
            let mut facets = serde_json::Map::new();
            for (at, counter) in counters.facets.iter().enumerate() {
                let limit = self.request.facet_limit;
                let facet = facets::facet(
                    &parts,
                    &|counters| counters.facets.get(at),
                    counter.kind,
                    limit,
                )?;
                facets.insert(counter.asked.clone(), facet);
            }
            counted.insert("facets".into(), Json::Object(facets));
        }
        if let (Some(asked), Some(counter)) = (&self.request.distinct, &counters.distinct) {
            counted.insert("distinct".into(), facets::distinct(&parts, counter.kind, asked)?);
        }
        if !counters.summary.is_empty() {
            counted.insert("summary".into(), summary::summary(&parts)?);
        }
        if let Some(asked) = &self.request.group {
            counted.insert("groups".into(), facets::groups(&parts, &counters.grouping(asked))?);
        }
        Ok(counted)
    }

    /// A page of a whole list of the past.
    fn page_of(&mut self, list: &[u32], seq: i64, place: usize) -> Result<Found> {
        let limit = if self.request.limit == 0 { list.len() } else { self.request.limit };
        let end = place.saturating_add(limit).min(list.len());
        let ids = list.get(place.min(end)..end).unwrap_or_default();
        let started = Instant::now();
        let rows = self.bodies(ids, Some(seq))?;
        self.explain.note("bodies read", rows.len(), Some(started));
        if rows.len() != ids.len() {
            return Err(Error::Internal("a version that the history must have is missing".into()));
        }
        let next = (end < list.len()).then_some(end);
        let mut found = self.page(rows, list.len(), seq, next)?;
        found.known_since_ms = past::known_since(self.db, seq, &self.sources())?;
        found.explain = self.request.explain.then(|| self.explain.tell(&self.parts, list.len()));
        Ok(found)
    }

    fn bodies(&self, ids: &[u32], at: Option<i64>) -> Result<Vec<Raw>> {
        let mut rows = Vec::with_capacity(ids.len());
        let names: HashMap<i64, String> =
            self.parts.iter().map(|part| (part.id, part.info.name())).collect();
        let mut by_id = ById::new(self.db, &names, self.request.cells)?;
        for id in ids {
            self.look_at(rows.len())?;
            let row = match at {
                None => by_id.row(*id)?,
                Some(seq) => past::row_at(self.db, &mut by_id, *id, seq)?,
            };
            rows.extend(row);
        }
        Ok(rows)
    }

    /// Whether whoever asked still waits, after so many rows. A page is read at once: to ask for
    /// each would have it wait for Python.
    fn look_at(&self, rows: usize) -> Result<()> {
        if rows > 0 && rows.is_multiple_of(LOOKS_EVERY) {
            self.patience.check(self.inner)?;
        }
        Ok(())
    }

    /// The scopes that answered, ascending, and the resourceVersion of the only one.
    fn answered(&self) -> (Vec<i64>, String) {
        let sources = self.sources();
        let mut scopes: Vec<i64> = sources.iter().map(|source| source.scope.id).collect();
        scopes.sort_unstable();
        scopes.dedup();
        let resource_version = match (&*sources, scopes.as_slice()) {
            ([one, ..], [_]) => one.scope.rv.clone().unwrap_or_default(),
            _ => String::new(),
        };
        (scopes, resource_version)
    }

    fn page(&self, rows: Vec<Raw>, total: usize, seq: i64, next: Option<usize>) -> Result<Found> {
        let (scopes, resource_version) = self.answered();
        let cursor = next.map(|place| self.cursor(seq, place).encode()).transpose()?;
        Ok(Found {
            rows,
            total,
            cursor,
            epoch: self.now.epoch,
            seq,
            scopes,
            resource_version,
            project: self.request.project.clone(),
            sorted: self.parts.len() > 1 || self.parts.iter().any(|part| !part.sort.is_empty()),
            ..Found::default()
        })
    }
}

fn len(rows: &RoaringBitmap) -> usize {
    usize::try_from(rows.len()).unwrap_or(usize::MAX)
}

fn file_id(db: &Connection) -> Result<String> {
    let mut statement = db.prepare_cached("SELECT file_id FROM meta WHERE id = 1")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}
