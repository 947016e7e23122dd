//! The rows of one value, or of one namespace.

use roaring::RoaringBitmap;

use super::column::NONE;

/// Up to so many rows are a list: a bitmap of a few takes three times as much, and longer to go
/// over. A list of so many is still quicker to insert into than a bitmap.
const FEW: usize = 64;

/// Row ids. Most values of a name, an address or a time have one row, those of a workload a few.
#[derive(Clone, Debug)]
pub(crate) enum Ids {
    One(u32),
    /// Ascending.
    #[expect(clippy::box_collection, reason = "16 bytes for each of 100,000 values, not 24")]
    Few(Box<Vec<u32>>),
    Many(Box<RoaringBitmap>),
}

impl Default for Ids {
    fn default() -> Self {
        Self::One(NONE)
    }
}

impl Ids {
    /// From ascending ids.
    pub(super) fn of(ids: &[u32]) -> Self {
        match ids {
            [] => Self::default(),
            [one] => Self::One(*one),
            few if few.len() <= FEW => Self::Few(Box::new(few.to_vec())),
            many => Self::Many(Box::new(many.iter().copied().collect())),
        }
    }

    pub(super) fn insert(&mut self, id: u32) {
        match self {
            Self::One(NONE) => *self = Self::One(id),
            Self::One(one) if *one == id => {}
            Self::One(one) => {
                *self = Self::Few(Box::new(vec![id.min(*one), id.max(*one)]));
            }
            Self::Few(ids) => {
                if let Err(at) = ids.binary_search(&id) {
                    ids.insert(at, id);
                }
                if ids.len() > FEW {
                    *self = Self::Many(Box::new(ids.iter().copied().collect()));
                }
            }
            Self::Many(ids) => {
                ids.insert(id);
            }
        }
    }

    pub(super) fn remove(&mut self, id: u32) {
        match self {
            Self::One(one) if *one == id => *self = Self::default(),
            Self::One(_) => {}
            Self::Few(ids) => {
                if let Ok(at) = ids.binary_search(&id) {
                    ids.remove(at);
                }
            }
            Self::Many(ids) => {
                ids.remove(id);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(NONE) => 0,
            Self::One(_) => 1,
            Self::Few(ids) => ids.len(),
            Self::Many(ids) => usize::try_from(ids.len()).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The least one.
    pub(super) fn first(&self) -> Option<u32> {
        match self {
            Self::One(NONE) => None,
            Self::One(one) => Some(*one),
            Self::Few(ids) => ids.first().copied(),
            Self::Many(ids) => ids.min(),
        }
    }

    /// Ascending.
    pub(super) fn to_vec(&self) -> Vec<u32> {
        match self {
            Self::One(NONE) => Vec::new(),
            Self::One(one) => vec![*one],
            Self::Few(ids) => ids.to_vec(),
            Self::Many(ids) => ids.iter().collect(),
        }
    }

    /// Adds these rows to a set.
    pub(crate) fn add_to(&self, set: &mut RoaringBitmap) {
        match self {
            Self::One(NONE) => {}
            Self::One(one) => {
                set.insert(*one);
            }
            Self::Few(ids) => set.extend(ids.iter()),
            Self::Many(ids) => *set |= &**ids,
        }
    }

    /// How many of these rows are in a set.
    pub(crate) fn count_in(&self, set: &RoaringBitmap) -> u64 {
        match self {
            Self::One(one) => u64::from(set.contains(*one)),
            Self::Few(ids) => ids.iter().map(|id| u64::from(set.contains(*id))).sum(),
            Self::Many(ids) => ids.intersection_len(set),
        }
    }

    /// Those of these rows that are in a set.
    pub(crate) fn within(&self, set: &RoaringBitmap) -> RoaringBitmap {
        match self {
            Self::One(one) => [*one].into_iter().filter(|id| set.contains(*id)).collect(),
            Self::Few(ids) => ids.iter().copied().filter(|id| set.contains(*id)).collect(),
            Self::Many(ids) => &**ids & set,
        }
    }

    /// What they take beside themselves.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Few(ids) => size_of::<Vec<u32>>() + ids.capacity() * size_of::<u32>(),
            Self::Many(ids) => ids.serialized_size() + size_of::<RoaringBitmap>(),
        }
    }
}

/// A set that is made of very many small ones: marking each row is quicker than to unite them.
#[derive(Default)]
pub(crate) struct Marks {
    bits: Vec<u8>,
    large: RoaringBitmap,
}

impl Marks {
    pub(crate) fn mark(&mut self, id: u32) {
        // u32 to usize is lossless on every platform that the crate supports.
        let at = id as usize / 8;
        if at >= self.bits.len() {
            self.bits.resize((at + 1).next_power_of_two(), 0);
        }
        self.bits[at] |= 1 << (id % 8);
    }

    pub(crate) fn mark_all(&mut self, ids: &Ids) {
        match ids {
            Ids::One(NONE) => {}
            Ids::One(one) => self.mark(*one),
            Ids::Few(ids) => ids.iter().for_each(|id| self.mark(*id)),
            Ids::Many(ids) => self.large |= &**ids,
        }
    }

    pub(crate) fn into_set(self) -> RoaringBitmap {
        RoaringBitmap::from_lsb0_bytes(0, &self.bits) | self.large
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_are_those_of_a_naive_set_whatever_they_are_kept_as(
            first in prop::collection::btree_set(0_u32..200, 0..120),
            steps in prop::collection::vec((any::<bool>(), 0_u32..200), 0..200),
            others in prop::collection::btree_set(0_u32..200, 0..120),
        ) {
            let mut model: BTreeSet<u32> = first.clone();
            let mut ids = Ids::of(&first.into_iter().collect::<Vec<_>>());
            for (add, id) in steps {
                if add {
                    ids.insert(id);
                    model.insert(id);
                } else {
                    ids.remove(id);
                    model.remove(&id);
                }
            }
            let others: RoaringBitmap = others.into_iter().collect();
            let wanted: RoaringBitmap = model.iter().copied().collect();
            prop_assert_eq!(ids.to_vec(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(ids.len(), model.len());
            prop_assert_eq!(ids.first(), model.first().copied());
            prop_assert_eq!(ids.within(&others), &wanted & &others);
            prop_assert_eq!(ids.count_in(&others), wanted.intersection_len(&others));
            let (mut added, mut marks) = (others.clone(), Marks::default());
            ids.add_to(&mut added);
            prop_assert_eq!(&added, &(&wanted | &others));
            marks.mark_all(&ids);
            marks.mark_all(&Ids::Many(Box::new(others)));
            prop_assert_eq!(marks.into_set(), added);
        }
    }
}
