//! Indexes in memory: who has which value, and in which order, at a reader's exact snapshot.
//!
//! SQL answers what an index gives filter and order for; a label of a third of the rows took it
//! 34–65 ms, and bitmaps 2–25 µs (measured). So membership, counts and order are found here, and
//! bodies in the file.

mod column;
mod definitions;
mod follow;
mod keys;
mod values;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::lock_api::ArcRwLockReadGuard;
use parking_lot::{Mutex, RawRwLock, RwLock};
use rusqlite::Connection;

pub(crate) use self::column::NONE;
pub(crate) use self::definitions::Definitions;
pub(crate) use self::follow::{Index, Moment, Need};
pub(crate) use self::keys::Keys;
pub(crate) use self::values::{Ids, Values};
use crate::error::Result;
use crate::store::{FieldState, Inner};

/// What fields may take in memory all together, keys of queried resources included.
const BUDGET_BYTES: usize = 24 * 1024 * 1024;

/// An index that stays at a reader's moment while it is held.
pub(crate) type Held = ArcRwLockReadGuard<RawRwLock, Index>;

/// What a query needs of one resource.
pub(crate) struct Wanted {
    pub(crate) resource: i64,
    pub(crate) needs: Vec<Need>,
    pub(crate) known: Arc<Definitions>,
}

/// What the fields of a resource were made of, and what was made.
type Remembered = (Arc<[FieldState]>, Arc<Definitions>);

/// All indexes of one open file.
#[derive(Default)]
pub(crate) struct Postings {
    indexes: Mutex<HashMap<i64, Arc<RwLock<Index>>>>,
    definitions: Mutex<HashMap<i64, Remembered>>,
}

impl Postings {
    /// The fields of a resource in the snapshot of `db`.
    pub(crate) fn definitions(
        &self,
        db: &Connection,
        inner: &Inner,
        resource: i64,
    ) -> Result<Arc<Definitions>> {
        let states = inner.fields_in(db, resource)?;
        let mut known = self.definitions.lock();
        if let Some((of, found)) = known.get(&resource)
            && Arc::ptr_eq(of, &states)
        {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(Definitions::of(&states));
        known.insert(resource, (states, Arc::clone(&found)));
        Ok(found)
    }

    /// The indexes of these resources at `moment`, which the snapshot of `db` shows, in the order
    /// asked for.
    ///
    /// Another reader may have taken one of them past it already: then `None`, begin with a new
    /// snapshot; or, for who is not that patient, an index of its own.
    ///
    /// `wanted` is sorted by resource: readers that hold one index wait for another only upwards.
    pub(crate) fn hold(
        &self,
        db: &Connection,
        inner: &Inner,
        wanted: &[Wanted],
        moment: Moment,
        patient: bool,
    ) -> Result<Option<Vec<Held>>> {
        let mut held = Vec::with_capacity(wanted.len());
        for want in wanted {
            let index = Arc::clone(self.indexes.lock().entry(want.resource).or_default());
            match hold_one(db, inner, &index, moment, want)? {
                Some(guard) => held.push(guard),
                None if patient => return Ok(None),
                None => held.extend(hold_one(db, inner, &Arc::default(), moment, want)?),
            }
        }
        Ok(Some(held))
    }

    /// Drops what was not used for longest until all fits the budget. Call without holding any.
    pub(crate) fn tidy(&self) {
        let indexes: Vec<_> =
            self.indexes.lock().iter().map(|(id, i)| (*id, Arc::clone(i))).collect();
        let mut total = 0;
        let mut usage = Vec::new();
        for (resource, index) in &indexes {
            // One that is being brought forward is in use.
            let Some(index) = index.try_read() else { continue };
            total += index.key_bytes();
            for (need, used, bytes) in index.usage() {
                total += bytes;
                usage.push((used, bytes, *resource, need.clone()));
            }
        }
        usage.sort_unstable_by_key(|(used, ..)| *used);
        // The last query's own stay, whatever they take: it would load them again at once.
        let keep = usage.len().saturating_sub(KEPT);
        for (_, bytes, resource, need) in usage.into_iter().take(keep) {
            if total <= BUDGET_BYTES {
                break;
            }
            let found = indexes.iter().find(|(id, _)| *id == resource);
            if let Some(mut index) = found.and_then(|(_, index)| index.try_write()) {
                index.drop_values(&need);
                total = total.saturating_sub(bytes);
            }
        }
    }
}

/// Fields that are never dropped to make room: as many as a query of several sorts has.
const KEPT: usize = 4;

fn hold_one(
    db: &Connection,
    inner: &Inner,
    index: &Arc<RwLock<Index>>,
    moment: Moment,
    want: &Wanted,
) -> Result<Option<Held>> {
    let guard = index.read_arc();
    if guard.serves(moment, &want.needs, &want.known) {
        return Ok(Some(guard));
    }
    drop(guard);
    let mut guard = index.write_arc();
    let ahead = guard.moment().is_some_and(|at| at.epoch > moment.epoch || at.seq > moment.seq);
    if ahead {
        return Ok(None);
    }
    guard.bring(db, inner, want.resource, moment, &want.needs, &want.known)?;
    Ok(Some(parking_lot::ArcRwLockWriteGuard::downgrade(guard)))
}
