//! What the watches of the scopes begin with, remembered while no job can have changed it.
//!
//! A watch of a quiet scope is renewed every few seconds and leaves nothing for the writer. To ask
//! that thread each time where the scope stands would wake it for an answer that is known.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::feed::FeedOptions;

/// Where a scope stands, and how its events are to be read.
#[derive(Clone)]
pub(super) struct Beginning {
    /// The scope's last list; a later one makes a watch void.
    pub(super) number: u64,
    /// `None` where it does not count.
    pub(super) checkpoint: Option<String>,
    pub(super) resource: i64,
    /// Of the fields in `options`.
    pub(super) edition: i64,
    pub(super) options: FeedOptions,
}

/// What a job of the writer may change of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touches {
    Nothing,
    Scope(i64),
    Everything,
}

#[derive(Default)]
struct Known {
    scopes: HashMap<i64, Beginning>,
    /// Moves with every job that changes something.
    age: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Beginnings(Mutex<Known>);

impl Beginnings {
    pub(super) fn of(&self, scope: i64) -> Option<Beginning> {
        self.0.lock().scopes.get(&scope).cloned()
    }

    /// To be asked before looking, for `keep`.
    pub(super) fn age(&self) -> u64 {
        self.0.lock().age
    }

    /// Remembers what was found, unless a job was queued since `age`.
    pub(super) fn keep(&self, scope: i64, found: Beginning, age: u64) {
        let mut known = self.0.lock();
        if known.age == age {
            known.scopes.insert(scope, found);
        }
    }

    /// A job is about to be queued.
    pub(super) fn forget(&self, what: Touches) {
        let mut known = self.0.lock();
        match what {
            Touches::Nothing => return,
            Touches::Scope(scope) => {
                known.scopes.remove(&scope);
            }
            Touches::Everything => known.scopes.clear(),
        }
        known.age += 1;
    }
}
