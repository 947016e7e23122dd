//! Object rows and their derived rows, inside the writer's transaction.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::Hash;

use rusqlite::{Connection, OptionalExtension, params};

use super::body::{Body, Compressor};
use super::definitions::Known;
use super::prepare::{Derived, Prepared};
use super::rows::NewRows;
use super::state::State;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::redact::Redaction;
use crate::rv;
use crate::value::Value;

/// What a version row records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// There was no object of this name.
    Add = 1,
    /// The same object (same uid) in another state.
    Update = 2,
    /// The object is gone; the entry carries its last state.
    Delete = 3,
}

impl Op {
    pub(crate) fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Add,
            2 => Self::Update,
            _ => Self::Delete,
        }
    }

    /// `add`, `update` or `delete`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// `version.flags`: found by a relist, not told by a watch event.
pub(crate) const FLAG_RELIST: i64 = 1;
/// `object.flags`: only metadata is kept.
pub(crate) const FLAG_REDACTED: i64 = 1;

/// How a row comes about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) relist: bool,
    /// A new incarnation of the cluster counts its versions from a lower number.
    pub(crate) may_lower: bool,
}

impl Origin {
    pub(crate) const WATCH: Self = Self { relist: false, may_lower: false };
    pub(crate) const LIST: Self = Self { relist: true, may_lower: true };

    fn flags(self) -> i64 {
        if self.relist { FLAG_RELIST } else { 0 }
    }
}

/// One open transaction of the writer.
pub(crate) struct Writer<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) state: &'a mut State,
    pub(crate) codec: &'a Codec,
    pub(crate) now_ms: i64,
    /// Not yet inserted.
    pub(crate) rows: NewRows,
    pub(crate) compressor: Compressor,
}

struct Existing {
    id: i64,
    uid: String,
    rv: String,
    seq: i64,
    derived: i64,
    edition: i64,
    size: i64,
}

impl Writer<'_> {
    fn existing(&self, scope: i64, key: &str) -> Result<Option<Existing>> {
        let mut statement = self.db.prepare_cached(
            "SELECT id, uid, rv, seq, derived, edition, size FROM object
             WHERE scope = ?1 AND key = ?2",
        )?;
        let found = statement.query_row(params![scope, key], |row| {
            Ok(Existing {
                id: row.get(0)?,
                uid: row.get(1)?,
                rv: row.get(2)?,
                seq: row.get(3)?,
                derived: row.get(4)?,
                edition: row.get(5)?,
                size: row.get(6)?,
            })
        });
        Ok(found.optional()?)
    }

    /// The object's id, and whether it stands exactly so already: same uid and resourceVersion.
    pub(crate) fn find(&mut self, scope: i64, row: &Prepared) -> Result<Option<(i64, bool)>> {
        let Some(old) = self.existing(scope, &row.key)? else { return Ok(None) };
        let same = old.uid == row.uid
            && old.rv == row.rv
            && !self.rewritten(scope, row, &old, Origin::LIST)?;
        Ok(Some((old.id, same)))
    }

    /// Adds or updates an object. Returns its id.
    pub(crate) fn upsert(&mut self, scope: i64, row: &Prepared, origin: Origin) -> Result<i64> {
        // A list comes in the order of its keys.
        if origin.relist && self.is_beyond(scope, &row.key)? {
            return self.insert(scope, row, origin);
        }
        let Some(old) = self.existing(scope, &row.key)? else {
            return self.insert(scope, row, origin);
        };
        if !origin.may_lower && is_older(&row.rv, &old.rv) {
            return Ok(old.id);
        }
        if old.uid != row.uid {
            // Deleted and created again under one name: two changes, as the server made them.
            self.remove(scope, &row.key, &old, None, origin)?;
            return self.insert(scope, row, origin);
        }
        if old.rv == row.rv && !self.rewritten(scope, row, &old, origin)? {
            return Ok(old.id);
        }
        self.replace(scope, row, &old, origin)
    }

    /// Whether the key is greater than all of the scope, so that nothing can be there under it.
    fn is_beyond(&mut self, scope: i64, key: &str) -> Result<bool> {
        let state = self.state.scope(scope)?;
        if let Some(last) = &state.last_key {
            return Ok(last.as_str() < key);
        }
        let last: Option<String> = self
            .db
            .prepare_cached("SELECT max(key) FROM object WHERE scope = ?1")?
            .query_row([scope], |row| row.get(0))?;
        Ok(state.last_key.insert(last.unwrap_or_default()).as_str() < key)
    }

    /// Whether an object under the same uid and resourceVersion is another one all the same: a
    /// cluster restored from a backup gives its versions out again, for other content. Asked only
    /// by a list that replaces a checkpoint which no longer counts, for it reads the stored body.
    fn rewritten(
        &mut self,
        scope: i64,
        row: &Prepared,
        old: &Existing,
        origin: Origin,
    ) -> Result<bool> {
        if !origin.relist || self.state.scope(scope)?.void_reason.is_none() {
            return Ok(false);
        }
        let stored = self.body(old.seq)?;
        Ok(!row.body.is_same(&stored, self.codec)?)
    }

    fn insert(&mut self, scope: i64, row: &Prepared, origin: Origin) -> Result<i64> {
        let id = self.state.allocate_id(self.db)?;
        let frame = self.frame(scope, &row.body)?;
        let seq = self.log(scope, id, Op::Add, None, &row.rv, &frame, origin)?;
        let size = bytes(&frame);
        let state = self.state.scope(scope)?;
        state.objects += 1;
        state.body_bytes += size;
        if let Some(last) = &mut state.last_key
            && last.as_str() < row.key.as_str()
        {
            last.clone_from(&row.key);
        }
        let resource = state.resource;
        let flags = match state.redaction {
            Redaction::None => 0,
            Redaction::Metadata => FLAG_REDACTED,
        };
        let known = self.state.known(resource);
        let (derived, hash) = self.derived_by(&known, row)?;
        self.db
            .prepare_cached(
                "INSERT INTO object (id, scope, resource, key, uid, rv, created, seq, flags,
                                     derived, edition, size)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                id,
                scope,
                resource,
                row.key,
                row.uid,
                row.rv,
                row.created_s,
                seq,
                flags,
                hash,
                known.edition,
                size
            ])?;
        self.change_derived(resource, &known, id, &Derived::default(), &derived)?;
        self.set_cells(id, row.cells.as_deref())?;
        Ok(id)
    }

    fn replace(
        &mut self,
        scope: i64,
        row: &Prepared,
        old: &Existing,
        origin: Origin,
    ) -> Result<i64> {
        let resource = self.state.scope(scope)?.resource;
        let known = self.state.known(resource);
        let (derived, hash) = self.derived_by(&known, row)?;
        if old.derived != hash || old.edition != known.edition {
            let before = self.rows_of(&known, old)?;
            self.change_derived(resource, &known, old.id, &before, &derived)?;
        }
        let frame = self.frame(scope, &row.body)?;
        let seq = self.log(scope, old.id, Op::Update, Some(old.seq), &row.rv, &frame, origin)?;
        let size = bytes(&frame);
        let state = self.state.scope(scope)?;
        state.body_bytes += size - old.size;
        state.history_bytes += old.size;
        self.db
            .prepare_cached(
                "UPDATE object SET rv = ?2, seq = ?3, derived = ?4, edition = ?5, size = ?6
                 WHERE id = ?1",
            )?
            .execute(params![old.id, row.rv, seq, hash, known.edition, size])?;
        self.set_cells(old.id, row.cells.as_deref())?;
        Ok(old.id)
    }

    /// Deletes an object for a watch event, whose `last` is its final state.
    pub(crate) fn delete(&mut self, scope: i64, last: &Prepared, origin: Origin) -> Result<()> {
        let Some(old) = self.existing(scope, &last.key)? else { return Ok(()) };
        if old.uid != last.uid || (!origin.may_lower && is_older(&last.rv, &old.rv)) {
            return Ok(());
        }
        self.remove(scope, &last.key, &old, Some(last), origin)
    }

    /// Deletes an object that a list did not have any more: there is no resourceVersion for that.
    pub(crate) fn delete_unseen(&mut self, scope: i64, key: &str, origin: Origin) -> Result<()> {
        match self.existing(scope, key)? {
            Some(old) => self.remove(scope, key, &old, None, origin),
            None => Ok(()),
        }
    }

    fn remove(
        &mut self,
        scope: i64,
        key: &str,
        old: &Existing,
        last: Option<&Prepared>,
        origin: Origin,
    ) -> Result<()> {
        let resource = self.state.scope(scope)?.resource;
        let known = self.state.known(resource);
        let before = self.rows_of(&known, old)?;
        self.change_derived(resource, &known, old.id, &before, &Derived::default())?;
        let (rv, body) = match last {
            Some(last) => (last.rv.as_str(), self.frame(scope, &last.body)?),
            None => (old.rv.as_str(), Cow::Owned(self.body(old.seq)?)),
        };
        let seq = self.log(scope, old.id, Op::Delete, Some(old.seq), rv, &body, origin)?;
        let state = self.state.scope(scope)?;
        state.objects -= 1;
        state.body_bytes -= old.size;
        state.history_bytes += old.size + bytes(&body);
        for sql in ["DELETE FROM object WHERE id = ?1", "DELETE FROM cells WHERE object = ?1"] {
            self.db.prepare_cached(sql)?.execute([old.id])?;
        }
        self.db
            .prepare_cached(
                "INSERT INTO free (id, freed_seq, scope, key, uid) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![old.id, seq, scope, key, old.uid])?;
        Ok(())
    }

    /// Appends to the history, and marks the scope as written.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn log(
        &mut self,
        scope: i64,
        object: i64,
        op: Op,
        prev: Option<i64>,
        rv: &str,
        body: &[u8],
        origin: Origin,
    ) -> Result<i64> {
        let seq = self.state.next_seq();
        self.state.scope(scope)?.dirty = true;
        self.db
            .prepare_cached(
                "INSERT INTO version (seq, object, scope, op, flags, prev, time_ms, rv, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                seq,
                object,
                scope,
                op as i64,
                origin.flags(),
                prev,
                self.now_ms,
                rv,
                body
            ])?;
        Ok(seq)
    }

    /// A body as it is stored.
    pub(crate) fn frame<'b>(&mut self, scope: i64, body: &'b Body) -> Result<Cow<'b, [u8]>> {
        let resource = self.state.scope(scope)?.resource;
        self.compressor.frame(self.codec, resource, body)
    }

    fn body(&self, seq: i64) -> Result<Vec<u8>> {
        let mut statement = self.db.prepare_cached("SELECT body FROM version WHERE seq = ?1")?;
        Ok(statement.query_row([seq], |row| row.get(0))?)
    }

    /// Labels, fields and owners of a stored version, taken from its body again.
    pub(crate) fn derived_of(&self, known: &Known, seq: i64) -> Result<Derived> {
        let json = self.codec.decode(&self.body(seq)?)?;
        let (derived, _) = Derived::of_body(&json, &known.set)
            .ok_or_else(|| Error::Corrupt(format!("stored version {seq} is not JSON")))?;
        Ok(derived)
    }

    /// The rows that a stored object has: fields that came after it was written last, and that it
    /// was not yet brought up to, have none.
    fn rows_of(&self, known: &Known, object: &Existing) -> Result<Derived> {
        let mut derived = self.derived_of(known, object.seq)?;
        derived.retain_fields(|index| known.has(index, object.edition));
        Ok(derived)
    }

    /// What is derived of a row by today's fields, and its hash. A feed that began before they
    /// changed, or a list that was staged before, took others.
    fn derived_by<'r>(&self, known: &Known, row: &'r Prepared) -> Result<(Cow<'r, Derived>, i64)> {
        if row.edition == known.edition {
            return Ok((Cow::Borrowed(&row.derived), row.derived_hash));
        }
        let json = row.body.json(self.codec)?;
        let (derived, _) = Derived::of_body(&json, &known.set)
            .ok_or_else(|| Error::Corrupt(format!("the body of {} is not JSON", row.key)))?;
        let hash = derived.hash();
        Ok((Cow::Owned(derived), hash))
    }

    fn change_derived(
        &mut self,
        resource: i64,
        known: &Known,
        id: i64,
        old: &Derived,
        new: &Derived,
    ) -> Result<()> {
        let (gone_labels, gone_fields) =
            (without(&old.labels, &new.labels), without(&old.fields, &new.fields));
        for (name, value) in gone_labels {
            let field = self.state.label_id(self.db, resource, name)?;
            self.rows.delete_term(field, value, id);
        }
        for (name, value) in without(&new.labels, &old.labels) {
            let field = self.state.label_id(self.db, resource, name)?;
            self.rows.add_term(field, value, id);
        }
        for (index, value) in gone_fields {
            if let Some(field) = known.id(*index) {
                self.rows.delete_ord(field, value, id);
            }
        }
        for (index, _) in without(&old.invalid, &new.invalid) {
            self.db
                .prepare_cached("DELETE FROM invalid WHERE field = ?1 AND object = ?2")?
                .execute(params![known.id(*index), id])?;
        }
        self.add_fields(known, id, without(&new.fields, &old.fields))?;
        self.add_invalid(known, id, without(&new.invalid, &old.invalid))?;
        self.change_owners(id, old, new);
        Ok(())
    }

    pub(crate) fn add_fields<'v>(
        &mut self,
        known: &Known,
        id: i64,
        values: impl IntoIterator<Item = &'v (u16, Value)>,
    ) -> Result<()> {
        for (index, value) in values {
            if let Some(field) = known.id(*index) {
                self.rows.add_ord(field, value, id);
            }
        }
        if self.rows.is_full() { self.rows.insert(self.db) } else { Ok(()) }
    }

    pub(crate) fn add_invalid<'v>(
        &self,
        known: &Known,
        id: i64,
        found: impl IntoIterator<Item = &'v (u16, u32)>,
    ) -> Result<()> {
        for (index, found) in found {
            self.db
                .prepare_cached("INSERT INTO invalid (field, object, found) VALUES (?1, ?2, ?3)")?
                .execute(params![known.id(*index), id, found])?;
        }
        Ok(())
    }

    fn change_owners(&mut self, id: i64, old: &Derived, new: &Derived) {
        if old.owners == new.owners {
            return;
        }
        // All of them: two references may name one owner, and share a row.
        for owner in &old.owners {
            self.rows.delete_owner(&owner.0, id);
        }
        for owner in &new.owners {
            self.rows.add_owner(&owner.0, id);
        }
    }

    fn set_cells(&self, id: i64, cells: Option<&[u8]>) -> Result<()> {
        if let Some(cells) = cells {
            self.db
                .prepare_cached("INSERT OR REPLACE INTO cells (object, cells) VALUES (?1, ?2)")?
                .execute(params![id, cells])?;
        }
        Ok(())
    }
}

/// The entries of `all` that `others` lacks. Most are where they were.
fn without<'a, T: Eq + Hash>(all: &'a [T], others: &[T]) -> Vec<&'a T> {
    /// So many comparisons take less than making a set of 64.
    const FEW: usize = 2_048;
    let moved = all.iter().enumerate().filter(|(at, entry)| others.get(*at) != Some(entry));
    let mut moved: Vec<&T> = moved.map(|(_, entry)| entry).collect();
    if moved.len() * others.len() <= FEW {
        moved.retain(|entry| !others.contains(entry));
    } else {
        let others: HashSet<&T> = others.iter().collect();
        moved.retain(|entry| !others.contains(entry));
    }
    moved
}

/// Surely older; versions that can't be compared are taken as the server sends them.
fn is_older(candidate: &str, current: &str) -> bool {
    rv::compare(candidate, current) == Some(Ordering::Less)
}

fn bytes(body: &[u8]) -> i64 {
    i64::try_from(body.len()).unwrap_or(i64::MAX)
}
