//! The keys of one resource in memory: their order, their namespaces, and their text in one arena
//! that a substring is found in at the speed of memory.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use memchr::memmem;
use roaring::RoaringBitmap;

use super::column::{Column, NONE};
use super::ids::Ids;
use super::sets::{Name, Sets};

/// Where a key is in the arena; a removed one has no id.
#[derive(Clone, Copy, Debug)]
struct Slot {
    start: u32,
    /// Length of `namespace/`; 0 for cluster-scoped objects.
    prefix: u16,
    id: u32,
}

/// Between two keys, so that no match spans them: no key has it.
const SEPARATOR: u8 = 0;
/// A share of dead text, one in so many, that is worth a new arena.
const DEAD_SHARE: usize = 4;
/// A set is brought forward past so many keys that came or went, and behind them made again.
const BROUGHT_PAST: usize = 16;

/// The rows of a namespace, and its place among the namespaces as texts, which is not the order of
/// keys: there `team-a/x` comes before `team/x`.
#[derive(Debug, Default)]
struct Namespace {
    ids: Ids,
    rank: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    arena: Vec<u8>,
    slots: Vec<Slot>,
    dead: usize,
    slot_of: Column,
    /// Ids in the order of their keys; of one key in several scopes, in the order of ids.
    order: Vec<u32>,
    /// id → index in `order`; behind by what was added since `ranked`.
    rank: Column,
    ranked: bool,
    /// Ids in the order of their names; only where somebody asked for it.
    by_name: Option<Vec<u32>>,
    /// By a hash: who may see thousands of namespaces names them all with every question.
    namespaces: HashMap<Box<str>, Namespace>,
    /// The names of namespaces in order; empty once one came or went, until [`Self::rank_all`].
    namespace_order: Vec<Box<str>>,
    scopes: HashMap<i64, RoaringBitmap>,
    sets: Sets,
    /// How many ids have come or gone, and the last of them.
    moves: u64,
    moved: VecDeque<u32>,
}

impl Keys {
    /// From rows in any order.
    pub(crate) fn load(rows: impl IntoIterator<Item = (u32, i64, String)>) -> Self {
        let mut keys = Self::default();
        for (id, scope, key) in rows {
            keys.put_text(id, &key);
            keys.scopes.entry(scope).or_default().insert(id);
            keys.order.push(id);
        }
        let mut order = std::mem::take(&mut keys.order);
        // Lists arrive in key order, scope by scope: runs that the stable sort merges.
        order.sort_by(|a, b| keys.compare_keys(*a, *b));
        keys.order = order;
        keys.rank_all();
        keys
    }

    /// The objects, counted.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// `namespace/name`, or `name`; empty for an id that is not there.
    pub(crate) fn key(&self, id: u32) -> &[u8] {
        self.slot(id).map_or(&[], |(at, slot)| self.text(at, slot))
    }

    /// `name`
    pub(crate) fn name(&self, id: u32) -> &[u8] {
        self.slot(id).map_or(&[], |(at, slot)| &self.text(at, slot)[usize::from(slot.prefix)..])
    }

    fn slot(&self, id: u32) -> Option<(usize, Slot)> {
        let at = self.slot_of.get(id);
        let at = (at != NONE).then_some(at as usize)?;
        self.slots.get(at).map(|slot| (at, *slot))
    }

    fn text(&self, at: usize, slot: Slot) -> &[u8] {
        let next = self.slots.get(at + 1).map_or(self.arena.len(), |next| next.start as usize);
        &self.arena[slot.start as usize..next - 1]
    }

    /// Ids in key order.
    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }

    /// id → its place in [`Self::order`]. Only after [`Self::rank_all`].
    pub(crate) fn rank(&self, id: u32) -> u32 {
        debug_assert!(self.ranked);
        self.rank.get(id)
    }

    /// Brings the ranks up to what was added and removed.
    pub(crate) fn rank_all(&mut self) {
        if self.ranked {
            return;
        }
        for (rank, id) in (0..).zip(&self.order) {
            self.rank.set(*id, rank);
        }
        if self.namespace_order.len() != self.namespaces.len() {
            self.rank_namespaces();
        }
        self.ranked = true;
    }

    fn rank_namespaces(&mut self) {
        self.namespace_order = self.namespaces.keys().cloned().collect();
        self.namespace_order.sort_unstable();
        for (rank, name) in (0..).zip(&self.namespace_order) {
            if let Some(namespace) = self.namespaces.get_mut(name) {
                namespace.rank = rank;
            }
        }
    }

    /// Makes the order of names, which is kept from then on.
    pub(crate) fn rank_names(&mut self) {
        if self.by_name.is_none() {
            let mut order = self.order.clone();
            order.sort_by(|a, b| self.compare_names(*a, *b));
            self.by_name = Some(order);
        }
    }

    /// Ids in the order of names, then of keys; empty before [`Self::rank_names`].
    pub(crate) fn by_name(&self) -> &[u32] {
        self.by_name.as_deref().unwrap_or_default()
    }

    /// Whether [`Self::by_name`] may be asked.
    pub(crate) fn has_names(&self) -> bool {
        self.by_name.is_some()
    }

    fn compare_names(&self, a: u32, b: u32) -> Ordering {
        self.name(a).cmp(self.name(b)).then_with(|| self.compare_keys(a, b))
    }

    fn compare_keys(&self, a: u32, b: u32) -> Ordering {
        self.key(a).cmp(self.key(b)).then(a.cmp(&b))
    }

    /// The place of a row's namespace among all; [`NONE`] without one. After [`Self::rank_all`].
    pub(crate) fn namespace_rank(&self, id: u32) -> u32 {
        let name = self.slot(id).map_or("", |(at, slot)| self.namespace_of(at, slot));
        self.namespaces.get(name).map_or(NONE, |namespace| namespace.rank)
    }

    /// Whether [`Self::rank`] may be asked.
    pub(crate) fn is_ranked(&self) -> bool {
        self.ranked
    }

    /// The rows of a scope.
    pub(crate) fn scope(&self, scope: i64) -> Option<&RoaringBitmap> {
        self.scopes.get(&scope)
    }

    /// All rows.
    pub(crate) fn ids(&self) -> RoaringBitmap {
        self.scopes.values().fold(RoaringBitmap::new(), |all, ids| all | ids)
    }

    /// The rows of a namespace.
    pub(crate) fn namespace(&self, namespace: &str) -> Option<&Ids> {
        self.namespaces.get(namespace).map(|found| &found.ids)
    }

    /// All namespaces that have a row, in order. Only after [`Self::rank_all`].
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (&str, &Ids)> {
        debug_assert!(self.ranked);
        self.namespace_order.iter().filter_map(|name| {
            let found = self.namespaces.get(name)?;
            Some((&**name, &found.ids))
        })
    }

    /// The ids of a namespace in the order of their names. Only after [`Self::rank_all`].
    pub(crate) fn in_order(&self, namespace: &str) -> &[u32] {
        let Some(ids) = self.namespace(namespace) else { return &[] };
        let Some(one) = ids.first().map(|id| self.rank(id) as usize) else { return &[] };
        // They lie together, so that all are near any of them.
        let near = one.saturating_sub(ids.len() - 1)..self.order.len().min(one + ids.len());
        let start = self.order[near.clone()].partition_point(|id| {
            let key = self.key(*id);
            let ordered = key.iter().cmp(namespace.as_bytes().iter().chain(b"/"));
            ordered.is_lt()
        });
        let start = near.start + start;
        self.order.get(start..start + ids.len()).unwrap_or_default()
    }

    /// A set that follows from the keys alone: the one at hand, or `make`. `holds` says whether a
    /// key belongs to it.
    pub(crate) fn set(
        &self,
        name: Name,
        holds: impl Fn(&[u8]) -> bool,
        make: impl FnOnce() -> RoaringBitmap,
    ) -> Arc<RoaringBitmap> {
        let held = self.sets.get(&name).and_then(|(rows, at)| {
            let behind = usize::try_from(self.moves - at).ok()?;
            Some((rows, self.moved.len().checked_sub(behind)?))
        });
        let rows = match held {
            Some((rows, first)) if first == self.moved.len() => return rows,
            Some((rows, first)) => {
                let mut rows = RoaringBitmap::clone(&rows);
                for id in self.moved.range(first..) {
                    // Of one that is gone it is empty.
                    let key = self.key(*id);
                    if !key.is_empty() && holds(key) {
                        rows.insert(*id);
                    } else {
                        rows.remove(*id);
                    }
                }
                rows
            }
            None => make(),
        };
        let rows = Arc::new(rows);
        self.sets.put(name, Arc::clone(&rows), self.moves);
        rows
    }

    /// What [`Self::set`] keeps: (which, when it was used last, bytes).
    pub(super) fn kept_sets(&self) -> Vec<(Name, u64, usize)> {
        self.sets.usage()
    }

    pub(super) fn drop_set(&self, name: &Name) {
        self.sets.forget(name);
    }

    /// The ids of a key: several where scopes keep copies.
    pub(crate) fn find<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let first = self.order.partition_point(|id| self.key(*id) < key);
        self.order[first..].iter().copied().take_while(move |id| self.key(*id) == key)
    }

    /// Ids whose name has these bytes somewhere.
    pub(crate) fn names_with(&self, needle: &[u8]) -> RoaringBitmap {
        if needle.contains(&SEPARATOR) {
            return RoaringBitmap::new();
        }
        if needle.is_empty() {
            return self.scopes.values().flatten().collect();
        }
        let finder = memmem::Finder::new(needle);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(hit) = self.arena.get(from..).and_then(|rest| finder.find(rest)) {
            let hit = from + hit;
            let at = self.slots.partition_point(|slot| slot.start as usize <= hit) - 1;
            let slot = self.slots[at];
            if hit < slot.start as usize + usize::from(slot.prefix) {
                // In the namespace: the name may have it too.
                from = hit + 1;
                continue;
            }
            if slot.id != NONE {
                found.push(slot.id);
            }
            from = self.slots.get(at + 1).map_or(self.arena.len(), |next| next.start as usize);
        }
        found.sort_unstable();
        found.into_iter().collect()
    }

    /// Ids whose name passes.
    pub(crate) fn names_that(&self, accepts: impl Fn(&str) -> bool) -> RoaringBitmap {
        let mut found: Vec<u32> = self
            .order
            .iter()
            .copied()
            .filter(|id| std::str::from_utf8(self.name(*id)).is_ok_and(&accepts))
            .collect();
        found.sort_unstable();
        found.into_iter().collect()
    }

    /// Takes in what changed: (id, where it is now). Keys never change under an id that lives on.
    pub(crate) fn apply(&mut self, changes: &[(u32, Option<(i64, &str)>)]) {
        let mut added = Vec::new();
        let mut removed = RoaringBitmap::new();
        for (id, now) in changes {
            let there = self.slot_of.get(*id) != NONE;
            let same = now.is_some_and(|(scope, key)| {
                there
                    && self.key(*id) == key.as_bytes()
                    && self.scopes.get(&scope).is_some_and(|ids| ids.contains(*id))
            });
            if same {
                continue;
            }
            if there {
                self.forget(*id);
                removed.insert(*id);
            }
            if let Some((scope, key)) = now {
                self.put_text(*id, key);
                self.scopes.entry(*scope).or_default().insert(*id);
                added.push(*id);
            }
        }
        if added.is_empty() && removed.is_empty() {
            return;
        }
        self.ranked = false;
        for id in &removed {
            self.rank.set(id, NONE);
        }
        for id in removed.iter().chain(added.iter().copied()) {
            self.moves += 1;
            self.moved.push_back(id);
        }
        self.moved.drain(..self.moved.len().saturating_sub(BROUGHT_PAST));
        let order = std::mem::take(&mut self.order);
        self.order = self.merge(order, &removed, &mut added, Self::compare_keys);
        if let Some(order) = self.by_name.take() {
            self.by_name = Some(self.merge(order, &removed, &mut added, Self::compare_names));
        }
        if self.dead * DEAD_SHARE > self.slots.len() {
            self.compact();
        }
    }

    fn forget(&mut self, id: u32) {
        let Some((at, slot)) = self.slot(id) else { return };
        let namespace = self.namespace_of(at, slot).to_owned();
        if let Some(found) = self.namespaces.get_mut(namespace.as_str()) {
            found.ids.remove(id);
            if found.ids.is_empty() {
                self.namespaces.remove(namespace.as_str());
                self.namespace_order.clear();
            }
        }
        for ids in self.scopes.values_mut() {
            ids.remove(id);
        }
        self.slots[at].id = NONE;
        self.slot_of.set(id, NONE);
        self.dead += 1;
    }

    fn namespace_of(&self, at: usize, slot: Slot) -> &str {
        let length = usize::from(slot.prefix).saturating_sub(1);
        std::str::from_utf8(&self.text(at, slot)[..length]).unwrap_or_default()
    }

    fn put_text(&mut self, id: u32, key: &str) {
        let prefix = key.find('/').map_or(0, |slash| slash + 1);
        // The arena of 4 billion bytes would need as many objects as ids can count.
        let start = u32::try_from(self.arena.len()).unwrap_or(NONE);
        let slot = Slot { start, prefix: u16::try_from(prefix).unwrap_or_default(), id };
        self.slot_of.set(id, u32::try_from(self.slots.len()).unwrap_or(NONE));
        self.slots.push(slot);
        self.arena.extend_from_slice(key.as_bytes());
        self.arena.push(SEPARATOR);
        if let Some(namespace) = key.get(..prefix.saturating_sub(1)).filter(|_| prefix > 0) {
            if let Some(found) = self.namespaces.get_mut(namespace) {
                found.ids.insert(id);
            } else {
                let ids = Ids::One(id);
                self.namespaces.insert(namespace.into(), Namespace { ids, rank: NONE });
                self.namespace_order.clear();
            }
        }
    }

    /// An order without what went and with what came. What went may have no text any more.
    fn merge(
        &self,
        mut before: Vec<u32>,
        removed: &RoaringBitmap,
        added: &mut [u32],
        compare: impl Fn(&Self, u32, u32) -> Ordering,
    ) -> Vec<u32> {
        if !removed.is_empty() {
            before.retain(|id| !removed.contains(*id));
        }
        added.sort_by(|a, b| compare(self, *a, *b));
        let mut merged = Vec::with_capacity(before.len() + added.len());
        let mut rest = before.as_slice();
        for id in added.iter() {
            let upto = rest.partition_point(|old| compare(self, *old, *id).is_lt());
            merged.extend_from_slice(&rest[..upto]);
            merged.push(*id);
            rest = &rest[upto..];
        }
        merged.extend_from_slice(rest);
        merged
    }

    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len());
        let mut slots = Vec::with_capacity(self.order.len());
        for id in &self.order {
            let Some((at, slot)) = self.slot(*id) else { continue };
            let start = u32::try_from(arena.len()).unwrap_or(NONE);
            arena.extend_from_slice(self.text(at, slot));
            arena.push(SEPARATOR);
            slots.push(Slot { start, ..slot });
        }
        for (at, slot) in (0..).zip(&slots) {
            self.slot_of.set(slot.id, at);
        }
        (self.arena, self.slots, self.dead) = (arena, slots, 0);
    }

    /// What it takes in memory, about: it is asked for after each query, so it must not walk over
    /// thousands of namespaces.
    pub(crate) fn bytes(&self) -> usize {
        /// Per id in a set of a few thousand: an array container has two bytes, a list four.
        const IN_SET: usize = 3;
        /// A set with one container, its place in the map and its name.
        const SET: usize = 128;
        let sets = self.namespaces.len() + self.scopes.len();
        self.arena.capacity()
            + self.slots.capacity() * size_of::<Slot>()
            + self.order.capacity() * size_of::<u32>()
            + self.slot_of.bytes()
            + self.by_name.as_ref().map_or(0, |order| order.capacity() * size_of::<u32>())
            + self.rank.bytes()
            // Each id is in the set of its scope and in that of its namespace.
            + 2 * IN_SET * self.order.len()
            + SET * sets
            + self.sets.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn checked(keys: &Keys, model: &BTreeMap<u32, (i64, String)>) {
        let mut wanted: Vec<(&str, u32)> =
            model.iter().map(|(id, (_, key))| (key.as_str(), *id)).collect();
        wanted.sort_unstable();
        assert_eq!(keys.order(), wanted.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        for (rank, (key, id)) in (0..).zip(&wanted) {
            assert_eq!((keys.key(*id), keys.rank(*id)), (key.as_bytes(), rank));
            let space = key.split_once('/').map(|(space, _)| space);
            assert!(space.is_none_or(|space| keys.in_order(space).contains(id)));
            assert!(keys.scope(model[id].0).unwrap().contains(*id));
        }
        for (space, _) in keys.namespaces() {
            let begins = |key: &str| key.split_once('/').is_some_and(|(own, _)| own == space);
            let own = wanted.iter().filter(|(key, _)| begins(key)).map(|(_, id)| *id);
            assert_eq!(keys.in_order(space), own.collect::<Vec<_>>());
        }
        let has_a = |key: &[u8]| key.contains(&b'a');
        let naive = || wanted.iter().filter(|(key, _)| has_a(key.as_bytes())).map(|(_, id)| *id);
        assert_eq!(*keys.set([7; 32], has_a, || naive().collect()), naive().collect());
        let mut named = wanted.clone();
        named.sort_by_key(|(key, id)| (key.rsplit('/').next().unwrap(), *key, *id));
        assert_eq!(keys.by_name(), named.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        for needle in ["a", "b-a", "ab"] {
            let found = keys.names_with(needle.as_bytes());
            let naive = model
                .iter()
                .filter(|(_, (_, key))| key.rsplit('/').next().unwrap().contains(needle))
                .map(|(id, _)| *id);
            assert_eq!(found, naive.collect::<RoaringBitmap>(), "{needle}");
        }
    }

    proptest! {
        #[test]
        fn order_and_substrings_are_those_of_a_naive_map(
            first in prop::collection::btree_map(0_u32..3_000, (0_i64..2, "([ab-]{1,3}/)?[ab-]{1,5}"), 0..60),
            steps in prop::collection::vec(
                prop::collection::vec((0_u32..60, prop::option::of((0_i64..2, "([ab-]{1,3}/)?[ab-]{1,5}"))), 0..20),
                0..6,
            ),
        ) {
            let mut model = first.clone();
            let mut keys = Keys::load(first.into_iter().map(|(id, (scope, key))| (id, scope, key)));
            keys.rank_names();
            checked(&keys, &model);
            for step in steps {
                let step: BTreeMap<u32, _> = step.into_iter().collect();
                let changes: Vec<_> = step
                    .iter()
                    .map(|(id, now)| (*id, now.as_ref().map(|(scope, key)| (*scope, key.as_str()))))
                    .collect();
                keys.apply(&changes);
                keys.rank_all();
                for (id, now) in step {
                    match now {
                        Some(now) => { model.insert(id, now); }
                        None => { model.remove(&id); }
                    }
                }
                checked(&keys, &model);
            }
        }
    }
}
