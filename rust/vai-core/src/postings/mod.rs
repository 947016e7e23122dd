//! Indexes in memory: who has which value, and in which order, at a reader's exact snapshot.
//!
//! SQL answers what an index gives filter and order for; a label of a third of the rows took it
//! 34–65 ms, and bitmaps 2–25 µs (measured). So membership, counts and order are found here, and
//! bodies in the file.

mod column;
mod definitions;
mod follow;
mod ids;
mod keys;
mod sets;
mod values;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::lock_api::ArcRwLockReadGuard;
use parking_lot::{Mutex, RawRwLock, RwLock};
use rusqlite::Connection;

pub(crate) use self::column::NONE;
pub(crate) use self::definitions::Definitions;
pub(crate) use self::follow::{Index, Moment, Need};
pub(crate) use self::ids::{Ids, Marks};
pub(crate) use self::keys::Keys;
pub(crate) use self::values::Values;
use crate::error::Result;
use crate::store::{FieldState, Inner};

/// What fields, keys of queried resources and rows that users may see take in memory together.
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
        let indexes: Vec<_> = self.indexes.lock().values().map(Arc::clone).collect();
        // One that is being brought forward is in use.
        let readable = || indexes.iter().filter_map(|index| Some((index, index.try_read()?)));
        let mut total: usize = readable().map(|(_, index)| index.bytes()).sum();
        if total <= BUDGET_BYTES {
            return;
        }
        let mut usage = Vec::new();
        for (at, index) in readable() {
            usage.extend(index.usage().map(|(part, used, bytes)| (used, bytes, at, part)));
        }
        usage.sort_unstable_by_key(|(used, ..)| *used);
        // The last query's own stay, whatever they take: it would load them again at once.
        let keep = usage.len().saturating_sub(KEPT);
        for (_, bytes, index, part) in usage.into_iter().take(keep) {
            if total <= BUDGET_BYTES {
                break;
            }
            if let Some(mut index) = index.try_write() {
                index.drop_part(&part);
                total = total.saturating_sub(bytes);
            }
        }
    }
}

/// What is never dropped to make room: as many fields as a query of several sorts has, and the rows
/// that its user may see.
const KEPT: usize = 5;

/// Counts uses, so that the least recently used is dropped first.
fn tick() -> u64 {
    static CLOCK: AtomicU64 = AtomicU64::new(0);
    CLOCK.fetch_add(1, Ordering::Relaxed)
}

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

#[cfg(test)]
mod tests {
    use roaring::RoaringBitmap;

    use super::*;

    #[test]
    fn what_users_may_see_of_many_resources_stays_within_the_budget() {
        let postings = Postings::default();
        let bytes =
            || postings.indexes.lock().values().map(|index| index.read().bytes()).sum::<usize>();
        // 8 containers of 8 KB: sixteen of them are what a resource may have.
        let rows: RoaringBitmap = (0..8 << 16).step_by(2).collect();
        let ask = |resource: i64, user: u8| {
            let index = Arc::clone(postings.indexes.lock().entry(resource).or_default());
            index.read().keys().set([user; 32], |_| true, || rows.clone());
            postings.tidy();
        };
        let mut most = 0;
        for resource in 0..100 {
            for user in 0..20 {
                ask(resource, user);
                most = most.max(bytes());
            }
        }
        assert!(most <= BUDGET_BYTES, "{most}");
        let there = |resource: i64, user: u8| {
            let index = Arc::clone(&postings.indexes.lock()[&resource]);
            index
                .read()
                .usage()
                .any(|(part, ..)| matches!(part, follow::Part::Set(name) if name == [user; 32]))
        };
        assert!(there(99, 19) && !there(0, 19));
    }
}
