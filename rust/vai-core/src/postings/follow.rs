//! One resource in memory, brought exactly to a reader's snapshot.
//!
//! What is in memory is a cache over the file and never the truth: it follows the history (the
//! objects that changed are read again, whatever happened to them in between), and is loaded anew
//! where the history does not reach back.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension, params};

use super::definitions::Definitions;
use super::keys::Keys;
use super::values::Values;
use super::{sets, tick};
use crate::error::{Error, Result};
use crate::feed::json::Cursor;
use crate::object::{Scan, Wanted};
use crate::redact::Redaction;
use crate::store::posting::{self, Posting};
use crate::store::{Inner, ScopeRow, scopes};
use crate::value::{Type, Value};

/// What a query needs of a resource in memory, besides its keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Need {
    /// A label key.
    Label(String),
    /// A field, by its canonical name.
    Field(String),
    /// The order of names.
    Names,
    /// Namespaces as values.
    Namespaces,
}

/// The moment that a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) epoch: i64,
    pub(crate) seq: i64,
}

/// What changed is read object by object (15 µs each with a body of 5 KB); loading reads rows in
/// order (0.3 µs each). Between them it is the number of objects that decides.
const RELOAD_SHARE: usize = 16;
/// Following is always worth it for so few.
const FEW_CHANGES: usize = 256;

/// What of an index can be dropped alone.
pub(super) enum Part {
    Values(Need),
    Set(sets::Name),
}

struct Loaded {
    /// Row of `field`; a field that was defined anew has another one.
    field: Option<i64>,
    values: Values,
    used: AtomicU64,
    bytes: usize,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Index {
    at: Option<Moment>,
    keys: Keys,
    loaded: HashMap<Need, Loaded>,
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(key) => write!(f, "labels[{key}]"),
            Self::Field(name) => f.write_str(name),
            Self::Names => f.write_str("names"),
            Self::Namespaces => f.write_str("namespaces"),
        }
    }
}

impl Index {
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The values of a field or label; loaded before by [`Self::bring`].
    pub(crate) fn values(&self, need: &Need) -> Result<&Values> {
        let loaded = self
            .loaded
            .get(need)
            .ok_or_else(|| Error::Internal(format!("{need:?} was not loaded")))?;
        loaded.used.store(tick(), Ordering::Relaxed);
        Ok(&loaded.values)
    }

    /// The same; `None` for what is not in memory.
    pub(crate) fn loaded(&self, need: &Need) -> Option<&Values> {
        self.values(need).ok()
    }

    /// The moment that it shows.
    pub(crate) fn moment(&self) -> Option<Moment> {
        self.at
    }

    /// Whether a reader of this moment can use it as it is.
    pub(crate) fn serves(&self, moment: Moment, needs: &[Need], known: &Definitions) -> bool {
        self.at == Some(moment)
            && self.keys.is_ranked()
            && needs.iter().all(|need| match need {
                Need::Names => self.keys.has_names(),
                need => self.loaded.get(need).is_some_and(|loaded| {
                    loaded.values.is_ranked() && known.is_current(need, loaded.field)
                }),
            })
    }

    /// Brings it to the snapshot of `db`, which is at `moment`, with what is needed in memory.
    pub(crate) fn bring(
        &mut self,
        db: &Connection,
        inner: &Inner,
        resource: i64,
        moment: Moment,
        needs: &[Need],
        known: &Definitions,
    ) -> Result<()> {
        let kept = scopes::scopes(db, Some(resource))?;
        if !self.follow(db, inner, resource, moment, &kept, known)? {
            self.load_keys(db, &kept)?;
        }
        self.at = Some(moment);
        self.keys.rank_all();
        for need in needs {
            if *need == Need::Names {
                self.keys.rank_names();
                continue;
            }
            let field = known.row_of(db, resource, need)?;
            let current = self.loaded.get(need).is_some_and(|loaded| loaded.field == field);
            if !current {
                let values = match need {
                    Need::Namespaces => self.namespace_values(),
                    need => {
                        let values = load_values(db, field, known.type_of(need), &self.keys)?;
                        let others = known.counts_others(need).then(|| load_others(db, field));
                        values.with_others(others.transpose()?.unwrap_or_default())
                    }
                };
                let bytes = values.bytes();
                let used = AtomicU64::new(tick());
                self.loaded.insert(need.clone(), Loaded { field, values, used, bytes });
            }
        }
        for need in needs {
            if let Some(loaded) = self.loaded.get_mut(need) {
                loaded.values.rank_all();
            }
        }
        Ok(())
    }

    fn load_keys(&mut self, db: &Connection, kept: &[ScopeRow]) -> Result<()> {
        // Until it is whole it shows no moment.
        self.at = None;
        self.loaded.clear();
        let mut rows = Vec::new();
        let mut statement = db.prepare_cached(
            "SELECT id, key FROM object INDEXED BY object_scope_key WHERE scope = ?1 ORDER BY key",
        )?;
        for scope in kept {
            let found = statement.query_map([scope.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for row in found {
                let (id, key) = row?;
                rows.push((id, scope.id, key));
            }
        }
        self.keys = Keys::load(rows);
        Ok(())
    }

    /// Takes in what changed since its moment; `false` if that is not worth it, or not known.
    fn follow(
        &mut self,
        db: &Connection,
        inner: &Inner,
        resource: i64,
        moment: Moment,
        kept: &[ScopeRow],
        known: &Definitions,
    ) -> Result<bool> {
        let Some(at) = self.at.filter(|at| at.epoch == moment.epoch && at.seq <= moment.seq) else {
            return Ok(false);
        };
        if at.seq == moment.seq {
            return Ok(true);
        }
        let floors = kept.iter().map(|scope| scope.floor);
        let floor = floors.fold(scopes::resource_floor(db, resource)?, i64::max);
        if floor > at.seq {
            return Ok(false);
        }
        let most = FEW_CHANGES.max(self.keys.len() / RELOAD_SHARE);
        let Some(changed) = changed(db, kept, at.seq, most)? else {
            return Ok(false);
        };
        // A failure in between leaves a mixture: it shows no moment until it is loaded anew.
        self.at = None;
        // A label that nobody had may have rows now.
        self.loaded.retain(|need, loaded| {
            let written = loaded.field.is_some() || *need == Need::Namespaces;
            written && known.is_current(need, loaded.field)
        });
        self.take_in(db, inner, resource, &changed, known)?;
        Ok(true)
    }

    fn take_in(
        &mut self,
        db: &Connection,
        inner: &Inner,
        resource: i64,
        changed: &[u32],
        known: &Definitions,
    ) -> Result<()> {
        let mut statement = db.prepare_cached(
            "SELECT o.scope, o.key, v.body FROM object o JOIN version v ON v.seq = o.seq
             WHERE o.id = ?1 AND o.resource = ?2",
        )?;
        let mut moved = Vec::with_capacity(changed.len());
        for id in changed {
            let now = statement
                .query_row(params![id, resource], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
                })
                .optional()?;
            let Some((scope, key, body)) = now else {
                for loaded in self.loaded.values_mut() {
                    loaded.values.set(*id, &[]);
                    loaded.values.set_other(*id, false);
                }
                moved.push((*id, None));
                continue;
            };
            if !self.loaded.is_empty() {
                let mut now =
                    values_of(&key, &inner.decode_in(db, &body)?, known, self.loaded.keys())?;
                for (need, loaded) in &mut self.loaded {
                    let (values, others) = now.remove(need).unwrap_or_default();
                    loaded.values.set(*id, &values);
                    loaded.values.set_other(*id, others);
                }
            }
            moved.push((*id, Some((scope, key))));
        }
        let moved: Vec<(u32, Option<(i64, &str)>)> = moved
            .iter()
            .map(|(id, now)| (*id, now.as_ref().map(|(scope, key)| (*scope, key.as_str()))))
            .collect();
        self.keys.apply(&moved);
        Ok(())
    }

    fn namespace_values(&self) -> Values {
        Values::of_runs(self.keys.namespaces().map(|(name, ids)| (Value::text(name), ids.to_vec())))
    }

    /// (what, when it was used last, bytes) of all that can be dropped alone.
    pub(super) fn usage(&self) -> impl Iterator<Item = (Part, u64, usize)> {
        let fields = self.loaded.iter().map(|(need, loaded)| {
            (Part::Values(need.clone()), loaded.used.load(Ordering::Relaxed), loaded.bytes)
        });
        let sets = self.keys.kept_sets().into_iter();
        fields.chain(sets.map(|(name, used, bytes)| (Part::Set(name), used, bytes)))
    }

    pub(super) fn drop_part(&mut self, part: &Part) {
        match part {
            Part::Values(need) => {
                self.loaded.remove(need);
            }
            Part::Set(name) => self.keys.drop_set(name),
        }
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes() + self.loaded.values().map(|loaded| loaded.bytes).sum::<usize>()
    }
}

/// Distinct objects that changed after `seq`; `None` for more than `most`.
fn changed(db: &Connection, kept: &[ScopeRow], seq: i64, most: usize) -> Result<Option<Vec<u32>>> {
    let mut found = HashSet::new();
    let mut statement = db.prepare_cached(
        "SELECT object FROM version INDEXED BY version_scope_seq WHERE scope = ?1 AND seq > ?2",
    )?;
    for scope in kept {
        let mut rows = statement.query([scope.id, seq])?;
        while let Some(row) = rows.next()? {
            found.insert(row.get::<_, u32>(0)?);
            if found.len() > most {
                return Ok(None);
            }
        }
    }
    let mut ids: Vec<u32> = found.into_iter().collect();
    ids.sort_unstable();
    Ok(Some(ids))
}

/// The values of one field or label; none where it was never written.
fn load_values(
    db: &Connection,
    field: Option<i64>,
    kind: Option<Type>,
    keys: &Keys,
) -> Result<Values> {
    let Some(field) = field else { return Ok(Values::load([])) };
    let kind = kind.unwrap_or(Type::Text);
    let mut statement = db.prepare_cached("SELECT rows FROM posting WHERE id = ?1")?;
    let mut posting = Posting::default();
    // Bytes sort as values do; most values are those of many blocks.
    let mut bytes = Vec::new();
    let mut found: Vec<(Range<usize>, i64, u64)> = Vec::new();
    let ids = keys.ids();
    let mut blocks: Vec<i64> = ids.iter().map(|id| posting::block_of(i64::from(id))).collect();
    blocks.dedup();
    for block in blocks {
        let mut rows = statement.query([posting::row_id(block, field)])?;
        let Some(row) = rows.next()? else { continue };
        posting.decode(row.get_ref(0)?)?;
        for (value, bits) in posting.iter() {
            let start = bytes.len();
            bytes.extend_from_slice(value);
            found.push((start..bytes.len(), block, bits));
        }
    }
    found.sort_by(|one, other| bytes[one.0.clone()].cmp(&bytes[other.0.clone()]));
    let mut runs = Vec::new();
    for same in found.chunk_by(|one, other| bytes[one.0.clone()] == bytes[other.0.clone()]) {
        let Some((value, ..)) = same.first() else { continue };
        let objects = same.iter().flat_map(|(_, block, bits)| posting::objects(*block, *bits));
        let ids: Vec<u32> = objects.filter_map(|id| u32::try_from(id).ok()).collect();
        runs.push((posting::read(kind, posting.kind(), &bytes[value.clone()])?, ids));
    }
    Ok(Values::of_runs(runs))
}

/// The rows where something stands that can't be read as the field's type.
fn load_others(db: &Connection, field: Option<i64>) -> Result<RoaringBitmap> {
    let mut statement =
        db.prepare_cached("SELECT object FROM invalid WHERE field = ?1 ORDER BY object")?;
    let rows = statement.query_map([field], |row| row.get::<_, u32>(0))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// What an object has of each of these, and whether something else stands there, read from its
/// body.
fn values_of<'n>(
    key: &str,
    json: &[u8],
    known: &Definitions,
    needs: impl Iterator<Item = &'n Need>,
) -> Result<HashMap<Need, (Vec<Value>, bool)>> {
    let mut scan = Scan::default();
    let wanted = Wanted { fields: &known.set, redact: Redaction::None };
    scan.object(&mut Cursor::new(json), wanted)
        .map_err(|_| Error::Corrupt(format!("the body of {key} is not JSON")))?;
    let mut found = HashMap::new();
    for need in needs {
        let mut others = false;
        let values: Vec<Value> = match need {
            Need::Label(wanted) => scan
                .labels
                .iter()
                .filter(|(label, _)| label == wanted)
                .map(|(_, value)| Value::text(value))
                .collect(),
            Need::Field(name) => match known.set.index_of(name) {
                Some(index) => {
                    others = known.counts_others(need)
                        && scan.values.invalid.iter().any(|(found, _)| *found == index);
                    let fields = scan.values.fields.iter().filter(|(found, _)| *found == index);
                    fields.map(|(_, value)| value.clone()).collect()
                }
                None => Vec::new(),
            },
            Need::Namespaces => key
                .split_once('/')
                .map(|(namespace, _)| Value::text(namespace))
                .into_iter()
                .collect(),
            Need::Names => continue,
        };
        found.insert(need.clone(), (values, others));
    }
    Ok(found)
}
