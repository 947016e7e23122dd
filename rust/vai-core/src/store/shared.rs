//! What the threads of one open file share: dictionaries, the wake-up for new commits, and what
//! the reflectors told of their scopes.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::checkpointer::Checkpointer;
use crate::codec::Codec;
use crate::db::live::{self, Count, Live, LiveFile, Quiet, Reported, ScopeLive, Traffic};
use crate::error::{Error, Result};
use crate::feed::Event;

/// `FILE.live` is written at most this often, except when a state changes.
const LIVE_INTERVAL_S: f64 = 1.0;

#[derive(Default)]
struct Progress {
    epoch: i64,
    seq: i64,
    closed: bool,
}

struct Board {
    live: Live,
    written: f64,
    /// Something was told since.
    unwritten: bool,
    generation: u64,
}

/// Events of watches, counted by their type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct EventCounts {
    /// Objects that were new to a watch.
    pub added: u64,
    /// Objects that changed.
    pub modified: u64,
    /// Objects that went.
    pub deleted: u64,
    /// Bookmarks.
    pub bookmark: u64,
    /// Statuses that ended a watch.
    pub error: u64,
}

/// See the module.
pub(super) struct Shared {
    pub(super) codec: Codec,
    pub(super) checkpointer: Checkpointer,
    progress: Mutex<Progress>,
    advanced: Condvar,
    board: Mutex<Board>,
    told: Condvar,
    /// For readers in other processes; there once the file is open.
    file: OnceLock<LiveFile>,
    /// Scopes of which a batch failed, and why: nothing is proven of them until they begin again.
    distrusted: Mutex<HashMap<i64, Error>>,
    /// What came in watches since the file was opened.
    events: Mutex<HashMap<i64, EventCounts>>,
}

impl Shared {
    pub(super) fn new(
        checkpointer: Checkpointer,
        file_id: String,
        previous: Option<Live>,
        limit: Duration,
    ) -> Self {
        let live = Live {
            pid: std::process::id(),
            file_id,
            boot: live::boot_id().into(),
            scopes: inherited(previous),
            limit_s: limit.as_secs_f64(),
            traffic: Traffic { since: live::boottime_s(), ..Traffic::default() },
        };
        Self {
            codec: Codec::new(),
            checkpointer,
            progress: Mutex::default(),
            advanced: Condvar::new(),
            board: Mutex::new(Board { live, written: 0.0, unwritten: false, generation: 1 }),
            told: Condvar::new(),
            file: OnceLock::new(),
            distrusted: Mutex::default(),
            events: Mutex::default(),
        }
    }

    pub(super) fn distrust(&self, scope: i64, error: Error) {
        self.distrusted.lock().entry(scope).or_insert(error);
    }

    /// Why a batch of this scope, or of any, is not in the file.
    pub(super) fn lost(&self, scope: Option<i64>) -> Option<Error> {
        let distrusted = self.distrusted.lock();
        match scope {
            Some(scope) => distrusted.get(&scope).cloned(),
            None => distrusted.values().next().cloned(),
        }
    }

    /// The scope begins again; returns why it was distrusted, if it was.
    pub(super) fn trust(&self, scope: i64) -> Option<Error> {
        self.distrusted.lock().remove(&scope)
    }

    pub(super) fn count_events(&self, scope: i64, events: &[Event]) {
        let mut counts = self.events.lock();
        let count = counts.entry(scope).or_default();
        for event in events {
            match event {
                Event::Added(_) => count.added += 1,
                Event::Modified(_) => count.modified += 1,
                Event::Deleted(_) => count.deleted += 1,
                Event::Bookmark { .. } => count.bookmark += 1,
                Event::Error { .. } => count.error += 1,
                Event::Columns(_) | Event::Malformed { .. } => {}
            }
        }
    }

    pub(super) fn events(&self) -> HashMap<i64, EventCounts> {
        self.events.lock().clone()
    }

    /// Lets the board write `FILE.live` from now on.
    pub(super) fn attach(&self, file: LiveFile) -> Result<()> {
        let board = self.board.lock();
        file.write(&board.live)?;
        let _ = self.file.set(file);
        Ok(())
    }

    pub(super) fn committed(&self, epoch: i64, seq: i64) {
        let mut progress = self.progress.lock();
        progress.epoch = epoch;
        progress.seq = seq;
        self.advanced.notify_all();
        drop(progress);
        if let Some(file) = self.file.get() {
            file.ring(seq);
        }
    }

    pub(super) fn seq(&self) -> i64 {
        self.progress.lock().seq
    }

    pub(super) fn close(&self) {
        self.progress.lock().closed = true;
        self.advanced.notify_all();
        let mut board = self.board.lock();
        board.generation += 1;
        self.write(&mut board, live::boottime_s());
        self.told.notify_all();
    }

    /// Waits for a commit after `seq`; returns the last one, changed or not.
    pub(super) fn wait_seq(&self, seq: i64, timeout: Duration) -> Result<i64> {
        let end = Instant::now() + timeout;
        let mut progress = self.progress.lock();
        while progress.seq <= seq && !progress.closed {
            if self.advanced.wait_until(&mut progress, end).timed_out() {
                break;
            }
        }
        if progress.closed { Err(Error::Closed) } else { Ok(progress.seq) }
    }

    /// Waits until something was told after `generation`.
    pub(super) fn wait_told(&self, generation: u64, timeout: Duration) -> u64 {
        let end = Instant::now() + timeout;
        let mut board = self.board.lock();
        while board.generation <= generation {
            if self.told.wait_until(&mut board, end).timed_out() {
                break;
            }
        }
        board.generation
    }

    /// Changes what is known of a scope. A change of state is written at once, everything else
    /// within [`LIVE_INTERVAL_S`]: with what is told next, or else by [`Shared::write_what_waits`].
    fn tell(&self, scope: i64, change: impl FnOnce(&mut ScopeLive, f64)) {
        let now = live::boottime_s();
        let mut board = self.board.lock();
        let entry = board.live.scopes.entry(scope).or_insert_with(|| ScopeLive::new(now));
        let before = (entry.state, entry.reason.clone(), entry.check_note.clone());
        // A first proof makes an age where there was none; and what is no longer so must not be
        // found by who comes after a kill.
        let had = (entry.proof.is_some(), entry.quiet.is_some());
        entry.touched = now;
        change(entry, now);
        let changed = (before.0, &before.1, &before.2)
            != (entry.state, &entry.reason, &entry.check_note)
            || had.0 != entry.proof.is_some()
            || (had.1 && entry.quiet.is_none());
        if changed {
            board.generation += 1;
            self.told.notify_all();
        }
        board.unwritten = true;
        if changed || now - board.written >= LIVE_INTERVAL_S {
            self.write(&mut board, now);
        }
    }

    /// What was told and found `FILE.live` just written: on a quiet scope a proof follows what was
    /// heard within milliseconds, and is the last word for many seconds.
    pub(super) fn write_what_waits(&self) {
        let mut board = self.board.lock();
        let now = live::boottime_s();
        if board.unwritten && now - board.written >= LIVE_INTERVAL_S {
            self.write(&mut board, now);
        }
    }

    /// A stream that began behind a checkpoint has shown that no event of the scope follows it up
    /// to a bookmark. The rows that the checkpoint covers need not be durable yet: until they are,
    /// the file has an earlier one, of which this says nothing.
    pub(super) fn quiet(&self, scope: i64, from: &str, to: &str) {
        let quiet = Quiet { from: from.to_owned(), to: to.to_owned() };
        self.tell(scope, |entry, _| entry.quiet = Some(quiet));
    }

    /// How far rows with this checkpoint are complete.
    pub(super) fn reaches(&self, scope: i64, checkpoint: &str) -> Option<String> {
        let board = self.board.lock();
        Some(board.live.scopes.get(&scope)?.reaches(checkpoint)?.to_owned())
    }

    /// A list counts: its resourceVersion may be one that was given out before, in another life of
    /// the cluster.
    pub(super) fn listed(&self, scope: i64) {
        self.tell(scope, |entry, _| entry.quiet = None);
    }

    pub(super) fn set_state(&self, scope: i64, state: Reported, reason: &str) {
        self.tell(scope, |entry, now| {
            if entry.state != state {
                entry.since = now;
                entry.state = state;
            }
            if entry.reason != reason {
                reason.clone_into(&mut entry.reason);
            }
        });
    }

    pub(super) fn heard(&self, scope: i64) {
        self.tell(scope, |entry, now| entry.contact = Some(now));
    }

    pub(super) fn proven(&self, scope: i64, at: f64) {
        if self.distrusted.lock().contains_key(&scope) {
            return;
        }
        self.tell(scope, |entry, _| {
            entry.contact = Some(entry.contact.map_or(at, |contact| contact.max(at)));
            entry.proof = Some(entry.proof.map_or(at, |proof| proof.max(at)));
        });
        // Freshness changed though the state may not have: waits for `live` look again.
        let mut board = self.board.lock();
        board.generation += 1;
        self.told.notify_all();
    }

    /// Counts what was asked of the server. What is told next brings it into `FILE.live`.
    pub(super) fn count(&self, scope: i64, verb: &str, more: Count) {
        let mut board = self.board.lock();
        let verbs = board.live.traffic.scopes.entry(scope).or_default();
        if let Some(count) = verbs.get_mut(verb) {
            count.add(more);
        } else {
            verbs.insert(verb.to_owned(), more);
        }
        let now = live::boottime_s();
        board.unwritten = true;
        if now - board.written >= LIVE_INTERVAL_S {
            self.write(&mut board, now);
        }
    }

    /// The scope was compared with the server; a note says why it could not be.
    pub(super) fn checked(&self, scope: i64, note: &str) {
        self.tell(scope, |entry, now| {
            if note.is_empty() {
                entry.checked = Some(now);
            }
            note.clone_into(&mut entry.check_note);
        });
    }

    /// The last proof as a time that outlives this boot; `now_ms` is the wall clock.
    pub(super) fn proof_unix_ms(&self, scope: i64, now_ms: i64) -> Option<i64> {
        let proof = self.board.lock().live.scopes.get(&scope)?.proof?;
        let age_s = (live::boottime_s() - proof).max(0.0);
        #[expect(clippy::cast_possible_truncation, reason = "an age in milliseconds")]
        let past = (age_s * 1e3) as i64;
        Some(now_ms - past)
    }

    /// The rows are no longer what was proven: a restored cluster, a forgotten scope.
    pub(super) fn unprove(&self, scope: i64) {
        self.tell(scope, |entry, _| {
            entry.proof = None;
            entry.quiet = None;
        });
    }

    pub(super) fn drop_scope(&self, scope: i64) {
        let mut board = self.board.lock();
        board.live.scopes.remove(&scope);
        self.distrusted.lock().remove(&scope);
        let now = live::boottime_s();
        self.write(&mut board, now);
    }

    pub(super) fn live(&self) -> Live {
        self.board.lock().live.clone()
    }

    /// The same of some scopes, without what was asked of the server.
    pub(super) fn live_of(&self, scopes: impl Iterator<Item = i64>) -> Live {
        let board = self.board.lock();
        let live = &board.live;
        Live {
            pid: live.pid,
            file_id: live.file_id.clone(),
            boot: live.boot.clone(),
            scopes: scopes.filter_map(|id| Some((id, live.scopes.get(&id)?.clone()))).collect(),
            limit_s: live.limit_s,
            traffic: Traffic::default(),
        }
    }

    /// A failing write leaves readers with an older truth that ages by itself.
    fn write(&self, board: &mut Board, now: f64) {
        board.written = now;
        board.unwritten = false;
        if let Some(file) = self.file.get() {
            let _ = file.write(&board.live);
        }
    }
}

/// What a former writer of this boot left: its proofs still tell how old the rows are.
fn inherited(previous: Option<Live>) -> std::collections::BTreeMap<i64, ScopeLive> {
    let now = live::boottime_s();
    previous
        .filter(|live| live.boot == live::boot_id())
        .map(|live| live.scopes)
        .unwrap_or_default()
        .into_iter()
        .map(|(id, old)| {
            let fresh = ScopeLive {
                contact: old.contact,
                proof: old.proof,
                checked: old.checked,
                ..ScopeLive::new(now)
            };
            (id, fresh)
        })
        .collect()
}
