//! What the writer remembers between transactions. Everything here can be read from the file
//! again, and is, after a rollback: memory never runs ahead of what was committed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::build;
use super::definitions::{self, Known, KnownFields};
use crate::error::{Error, Result};
use crate::redact::Redaction;

/// Running sums and the checkpoint of one scope.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "columns of one row, and what follows from them")]
pub(crate) struct ScopeState {
    pub(crate) resource: i64,
    pub(crate) published: bool,
    pub(crate) rv: Option<String>,
    pub(crate) void_reason: Option<String>,
    pub(crate) incarnation: i64,
    pub(crate) floor: i64,
    /// Between the floor and here is nothing to prune: seen, not stored.
    pub(crate) kept_upto: i64,
    pub(crate) objects: i64,
    pub(crate) body_bytes: i64,
    pub(crate) history_bytes: i64,
    pub(crate) proven_ms: Option<i64>,
    pub(crate) redaction: Redaction,
    /// Values of these kinds never feed a dictionary.
    pub(crate) sensitive: bool,
    /// Events churn too much for a history; it only covers what followers need to catch up.
    pub(crate) brief_history: bool,
    pub(crate) dirty: bool,
    /// None of its keys is greater; not known before it is asked for.
    pub(crate) last_key: Option<String>,
    /// The list under way; jobs of an older one are refused.
    pub(crate) listing: u64,
}

/// Row ids fit u32 and are used again, lowest first, once no history can see them.
#[derive(Debug, Default)]
struct Ids {
    next: i64,
    reusable: BTreeSet<i64>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) epoch: i64,
    pub(crate) seq: i64,
    pub(crate) scopes: HashMap<i64, ScopeState>,
    ids: Ids,
    /// What `meta` holds of `seq` and the next id.
    saved: (i64, i64),
    /// Label keys of each resource.
    labels: HashMap<i64, HashMap<String, i64>>,
    known: KnownFields,
    /// Whether they are others than those that the feeds were told.
    known_changed: bool,
    /// Whether fields are to be built or dropped.
    pub(crate) pending: bool,
    /// Steps are taken one by one, by a test.
    pub(crate) builds_paused: bool,
    next_listing: u64,
}

/// The kinds whose values are credentials: Secrets and Rancher's tokens.
pub(crate) fn is_sensitive(group: &str, plural: &str) -> bool {
    matches!(
        (group, plural),
        ("", "secrets") | ("management.cattle.io" | "ext.cattle.io", "tokens" | "kubeconfigs")
    )
}

impl State {
    pub(crate) fn load(db: &Connection) -> Result<Self> {
        let (epoch, seq, next): (i64, i64, i64) =
            db.query_row("SELECT epoch, seq, next_id FROM meta WHERE id = 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let mut state = Self {
            epoch,
            seq,
            scopes: HashMap::new(),
            ids: Ids { next, reusable: BTreeSet::new() },
            saved: (seq, next),
            labels: HashMap::new(),
            known: definitions::load(db)?,
            known_changed: true,
            pending: build::pending(db)?,
            builds_paused: false,
            next_listing: 0,
        };
        state.load_scopes(db)?;
        state.load_reusable(db)?;
        Ok(state)
    }

    /// After scopes were added; what is known of the others stays, lists under way included.
    pub(crate) fn reload_scopes(&mut self, db: &Connection) -> Result<()> {
        let before = std::mem::take(&mut self.scopes);
        self.load_scopes(db)?;
        self.scopes.extend(before);
        Ok(())
    }

    /// Takes over what the file says after a rollback; lists under way stay valid.
    pub(crate) fn replace(&mut self, fresh: Self) {
        let before = std::mem::replace(self, fresh);
        self.next_listing = before.next_listing;
        self.builds_paused = before.builds_paused;
        for (id, scope) in &mut self.scopes {
            scope.listing = before.scopes.get(id).map_or(0, |scope| scope.listing);
        }
    }

    /// After definitions changed.
    pub(crate) fn reload_fields(&mut self, db: &Connection) -> Result<()> {
        self.known = definitions::load(db)?;
        self.known_changed = true;
        self.pending = build::pending(db)?;
        Ok(())
    }

    /// The fields of a resource; none where none are recorded.
    pub(crate) fn known(&self, resource: i64) -> Arc<Known> {
        self.known.get(&resource).map_or_else(Arc::default, Arc::clone)
    }

    /// Whether the writer's thread has steps of a build to take.
    pub(crate) fn builds(&self) -> bool {
        self.pending && !self.builds_paused
    }

    /// All fields, if they changed since the last time; asked after each commit.
    pub(crate) fn take_changed_fields(&mut self) -> Option<KnownFields> {
        std::mem::take(&mut self.known_changed).then(|| self.known.clone())
    }

    fn load_scopes(&mut self, db: &Connection) -> Result<()> {
        let mut statement = db.prepare_cached(
            "SELECT s.id, s.resource, s.published, s.rv, s.void_reason, s.incarnation, s.floor,
                    s.objects, s.body_bytes, s.history_bytes, s.proven_ms, s.redaction,
                    r.grp, r.plural
             FROM scope s JOIN resource r ON r.id = s.resource",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let group: String = row.get(12)?;
            let plural: String = row.get(13)?;
            let scope = ScopeState {
                resource: row.get(1)?,
                published: row.get(2)?,
                rv: row.get(3)?,
                void_reason: row.get(4)?,
                incarnation: row.get(5)?,
                floor: row.get(6)?,
                kept_upto: 0,
                objects: row.get(7)?,
                body_bytes: row.get(8)?,
                history_bytes: row.get(9)?,
                proven_ms: row.get(10)?,
                redaction: redaction_from(row.get(11)?),
                sensitive: is_sensitive(&group, &plural),
                brief_history: group.is_empty() && plural == "events",
                dirty: false,
                last_key: None,
                listing: 0,
            };
            self.scopes.insert(row.get(0)?, scope);
        }
        Ok(())
    }

    /// Ids whose deletion no history shows any more.
    pub(crate) fn load_reusable(&mut self, db: &Connection) -> Result<()> {
        let mut statement = db.prepare_cached(
            "SELECT f.id FROM free f LEFT JOIN scope s ON s.id = f.scope
             WHERE s.id IS NULL OR f.freed_seq < s.floor",
        )?;
        let ids = statement.query_map([], |row| row.get(0))?;
        self.ids.reusable = ids.collect::<std::result::Result<_, _>>()?;
        Ok(())
    }

    pub(crate) fn scope(&mut self, id: i64) -> Result<&mut ScopeState> {
        self.scopes.get_mut(&id).ok_or_else(|| {
            Error::Invalid(format!("scope {id} is not in the file; it was forgotten"))
        })
    }

    pub(crate) fn next_seq(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    /// A number for a new list; lists that began before no longer count.
    pub(crate) fn start_listing(&mut self, scope: i64) -> Result<u64> {
        self.next_listing += 1;
        let number = self.next_listing;
        self.scope(scope)?.listing = number;
        Ok(number)
    }

    pub(crate) fn allocate_id(&mut self, db: &Connection) -> Result<i64> {
        if let Some(id) = self.ids.reusable.pop_first() {
            db.prepare_cached("DELETE FROM free WHERE id = ?1")?.execute([id])?;
            return Ok(id);
        }
        let id = self.ids.next;
        if id > i64::from(u32::MAX) {
            return Err(Error::Internal("the file has no more row ids (2^32 objects)".into()));
        }
        self.ids.next += 1;
        Ok(id)
    }

    /// The id of a label key of a resource.
    pub(crate) fn label_id(&mut self, db: &Connection, resource: i64, key: &str) -> Result<i64> {
        let known = self.labels.entry(resource).or_default();
        if let Some(id) = known.get(key) {
            return Ok(*id);
        }
        let id = find_or_make_label(db, resource, key)?;
        known.insert(key.to_owned(), id);
        Ok(id)
    }

    /// What differs from what the file says, in words; lists under way are in memory alone.
    pub(crate) fn difference(&self, stored: &Self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut compare = |what: &str, memory: String, file: String| {
            if memory != file {
                wrong.push(format!("the writer's {what} is {memory}, the file says {file}"));
            }
        };
        let numbers = |state: &Self| format!("{:?}", (state.epoch, state.seq, state.ids.next));
        compare("position", numbers(self), numbers(stored));
        let reusable = |state: &Self| format!("{:?}", state.ids.reusable);
        compare("list of free ids", reusable(self), reusable(stored));
        let scopes = |state: &Self| {
            let sorted: BTreeMap<_, _> = state
                .scopes
                .iter()
                .map(|(id, scope)| {
                    let scope = scope.clone();
                    let memory = ScopeState {
                        listing: 0,
                        kept_upto: 0,
                        dirty: false,
                        last_key: None,
                        ..scope
                    };
                    (*id, memory)
                })
                .collect();
            format!("{sorted:?}")
        };
        compare("scopes", scopes(self), scopes(stored));
        let fields = |state: &Self| {
            let sorted: BTreeMap<_, _> =
                state.known.iter().map(|(id, known)| (*id, known.numbers())).collect();
            format!("{sorted:?}, {}", state.pending)
        };
        compare("fields", fields(self), fields(stored));
        wrong
    }

    /// Writes what changed of the scopes and the counters: the last step of every transaction.
    pub(crate) fn save(&mut self, db: &Connection) -> Result<()> {
        for (id, scope) in self.scopes.iter_mut().filter(|(_, scope)| scope.dirty) {
            db.prepare_cached(
                "UPDATE scope SET published = ?2, rv = ?3, void_reason = ?4, incarnation = ?5,
                        floor = ?6, objects = ?7, body_bytes = ?8, history_bytes = ?9,
                        proven_ms = ?10
                 WHERE id = ?1",
            )?
            .execute(params![
                id,
                scope.published,
                scope.rv,
                scope.void_reason,
                scope.incarnation,
                scope.floor,
                scope.objects,
                scope.body_bytes,
                scope.history_bytes,
                scope.proven_ms
            ])?;
            scope.dirty = false;
        }
        let now = (self.seq, self.ids.next);
        if now != self.saved {
            db.prepare_cached("UPDATE meta SET seq = ?1, next_id = ?2 WHERE id = 1")?
                .execute(params![now.0, now.1])?;
            self.saved = now;
        }
        Ok(())
    }
}

fn find_or_make_label(db: &Connection, resource: i64, key: &str) -> Result<i64> {
    let found = db
        .prepare_cached("SELECT id FROM field WHERE resource = ?1 AND kind = 0 AND name = ?2")?
        .query_row(params![resource, key], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    db.prepare_cached("INSERT INTO field (resource, kind, name) VALUES (?1, 0, ?2)")?
        .execute(params![resource, key])?;
    Ok(db.last_insert_rowid())
}

pub(crate) fn redaction_from(number: i64) -> Redaction {
    if number == 0 { Redaction::None } else { Redaction::Metadata }
}

pub(crate) fn redaction_number(redaction: Redaction) -> i64 {
    match redaction {
        Redaction::None => 0,
        Redaction::Metadata => 1,
    }
}

pub(crate) fn redaction_name(redaction: Redaction) -> &'static str {
    match redaction {
        Redaction::None => "none",
        Redaction::Metadata => "metadata",
    }
}
