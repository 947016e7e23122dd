//! Sets of rows that follow from their keys alone, kept for whoever asks for them again: who may
//! see thousands of namespaces names them with every question.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::tick;

/// What the sets of one resource may take: 64 sets over 100,000 rows. They count towards what all
/// indexes may take together, so that those of other resources can push them out.
const MOST_BYTES: usize = 1024 * 1024;
/// A set beside its rows.
const SET_BYTES: usize = 128;

/// Tells what is asked for apart: a digest that nobody can make two questions of.
pub(crate) type Name = [u8; 32];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sets {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    sets: HashMap<Name, Set>,
    bytes: usize,
}

#[derive(Debug)]
struct Set {
    rows: Arc<RoaringBitmap>,
    /// The moment that it is of, as its owner counts them.
    at: u64,
    used: u64,
    bytes: usize,
}

impl Held {
    fn forget(&mut self, name: &Name) {
        if let Some(set) = self.sets.remove(name) {
            self.bytes -= set.bytes;
        }
    }
}

impl Sets {
    /// A set, and the moment it is of.
    pub(super) fn get(&self, name: &Name) -> Option<(Arc<RoaringBitmap>, u64)> {
        let mut held = self.held.lock();
        let set = held.sets.get_mut(name)?;
        set.used = tick();
        Some((Arc::clone(&set.rows), set.at))
    }

    pub(super) fn put(&self, name: Name, rows: Arc<RoaringBitmap>, at: u64) {
        let bytes = rows.serialized_size() + SET_BYTES;
        let mut held = self.held.lock();
        held.forget(&name);
        held.bytes += bytes;
        held.sets.insert(name, Set { rows, at, used: tick(), bytes });
        while held.bytes > MOST_BYTES {
            let oldest = held.sets.iter().min_by_key(|(_, set)| set.used);
            let Some(name) = oldest.map(|(name, _)| *name) else { break };
            held.forget(&name);
        }
    }

    /// (which, when it was used last, bytes) of all.
    pub(super) fn usage(&self) -> Vec<(Name, u64, usize)> {
        let held = self.held.lock();
        held.sets.iter().map(|(name, set)| (*name, set.used, set.bytes)).collect()
    }

    pub(super) fn forget(&self, name: &Name) {
        self.held.lock().forget(name);
    }

    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.held.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_used_last_stay_within_their_bytes() {
        let sets = Sets::default();
        // 16 containers of 8 KB each.
        let rows: Arc<RoaringBitmap> = Arc::new((0..16 << 16).step_by(2).collect());
        for name in 0..10 {
            sets.put([name; 32], Arc::clone(&rows), 1);
            sets.get(&[0; 32]);
            let each: usize = sets.usage().iter().map(|(_, _, bytes)| bytes).sum();
            assert_eq!(sets.bytes(), each);
            assert!(each <= MOST_BYTES);
        }
        let there: Vec<u8> = (0..10).filter(|name| sets.get(&[*name; 32]).is_some()).collect();
        assert_eq!(there, [0, 4, 5, 6, 7, 8, 9]);
        sets.put([9; 32], Arc::clone(&rows), 2);
        assert_eq!(sets.get(&[9; 32]).map(|(_, at)| at), Some(2));
        sets.forget(&[9; 32]);
        assert!(sets.get(&[9; 32]).is_none());
    }

    #[test]
    fn lists_that_nobody_asks_for_again_do_not_add_up() {
        let sets = Sets::default();
        for user in 0..50_000_u32 {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&user.to_le_bytes());
            sets.put(name, Arc::default(), 0);
        }
        assert!(sets.bytes() <= MOST_BYTES);
        assert!(sets.usage().len() <= MOST_BYTES / SET_BYTES);
    }
}
