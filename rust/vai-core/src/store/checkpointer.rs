//! Moves the WAL into the file, on a thread and a connection of its own.
//!
//! PASSIVE whenever 1,000 pages wait; RESTART from 52 MB, again and again until it succeeds: many
//! short overlapping readers would otherwise keep a WAL growing for ever. The writer stands back for
//! a RESTART: it needs the write lock, and a writer that commits one large transaction after the
//! other leaves it no moment.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::db::{self, Files, gate};
use crate::error::{Error, Result};

/// `SQLite`'s own default (<https://sqlite.org/wal.html#ckpt>): 4 MB.
const PASSIVE_PAGES: u64 = 1_000;
/// 52 MB: the log stays below 64 MB with what is written until the RESTART gets its turn.
const RESTART_PAGES: u64 = 13 * 1024;
/// The writer waits as long as a RESTART waits for readers, so it tries often and briefly. Queries
/// may take longer: then it is tried again 4 MB later.
const RESTART_WAIT: Duration = Duration::from_millis(500);

/// What is in the log. Its file's size does not tell: a log that was moved is begun anew in the
/// same file, and each commit after the first 4 MB would look as if there were 4 MB to move.
#[derive(Clone, Copy, Debug, Default)]
struct Log {
    /// Counts how often it was begun anew.
    round: u64,
    pages: u64,
    /// Those that are in the file too.
    moved: u64,
    /// After a RESTART that readers kept from succeeding, the next one waits for so many pages.
    restart_from: u64,
}

impl Log {
    /// One begun anew by a commit that is larger than all of the log before it looks as if it had
    /// grown: only its header would tell, read again after each commit. What is in it is then moved
    /// later, when 1,000 pages more than those before have come; the RESTART goes by all pages.
    fn committed(&mut self, pages: u64) {
        if pages < self.pages {
            *self = Self { round: self.round + 1, ..Self::default() };
        }
        self.pages = pages;
    }

    fn is_due(self) -> bool {
        self.pages.saturating_sub(self.moved) >= PASSIVE_PAGES || self.must_restart()
    }

    fn must_restart(self) -> bool {
        self.pages >= RESTART_PAGES.max(self.restart_from)
    }

    /// A checkpoint that began when the log was as `before` has moved so many pages.
    fn checkpointed(&mut self, before: Self, moved: u64, restarted: bool) {
        if self.round != before.round {
            // Begun anew meanwhile: what was moved is in it no longer.
            return;
        }
        self.moved = moved;
        if restarted {
            // The next commit writes its first page.
            *self = Self { round: self.round + 1, ..Self::default() };
        } else if before.must_restart() {
            self.restart_from = self.pages + PASSIVE_PAGES;
        }
    }
}

/// Who wants to know when it is done.
type Wake = Option<Sender<()>>;

pub(super) struct Checkpointer {
    log: Arc<Mutex<Log>>,
    sender: Mutex<Option<Sender<Wake>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Checkpointer {
    pub(super) fn spawn(files: &Files) -> Result<Self> {
        let connection = db::open_checkpointer(files)?;
        let (sender, receiver) = bounded::<Wake>(1);
        let log = Arc::<Mutex<Log>>::default();
        let seen = Arc::clone(&log);
        let thread = std::thread::Builder::new()
            .name("vai-checkpointer".into())
            .spawn(move || {
                for wake in receiver {
                    let pass = gate::enter();
                    checkpoint(&connection, &seen);
                    drop(pass);
                    if let Some(waiting) = wake {
                        // Who no longer waits has gone on.
                        let _ = waiting.try_send(());
                    }
                }
                let _pass = gate::enter();
                drop(connection);
            })
            .map_err(Error::internal)?;
        Ok(Self { log, sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// For handles that never write.
    pub(super) fn none() -> Self {
        Self { log: Arc::default(), sender: Mutex::new(None), thread: Mutex::new(None) }
    }

    /// Has the writer's connection tell of its commits.
    pub(super) fn follow(&self, writer: &mut Connection) -> Result<()> {
        let log = Arc::clone(&self.log);
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            log.lock().committed(u64::try_from(pages).unwrap_or_default());
            Ok(())
        }))?;
        Ok(())
    }

    /// Called after each commit: wakes the thread when there is enough to do. Where the log has to
    /// be begun anew, the writer waits for what this returns.
    pub(super) fn look(&self) -> Option<Turn> {
        let log = *self.log.lock();
        if !log.is_due() {
            return None;
        }
        let sender = self.sender.lock().clone()?;
        if !log.must_restart() {
            // Full: it is at work already.
            let _ = sender.try_send(None);
            return None;
        }
        let (done, waiting) = bounded(1);
        sender.send_timeout(Some(done), RESTART_WAIT).ok()?;
        Some(Turn(waiting))
    }

    pub(super) fn stop(&self) {
        self.sender.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// A RESTART that is to have the file for itself.
pub(super) struct Turn(Receiver<()>);

impl Turn {
    /// Returns when it is over; outside of the [`gate`], which the checkpointer has to pass.
    pub(super) fn wait(self) {
        // A disk that takes longer than that is not waited for.
        let _ = self.0.recv_timeout(2 * RESTART_WAIT);
    }
}

/// A checkpoint that can't finish now is tried again after a later commit.
fn checkpoint(connection: &Connection, log: &Mutex<Log>) {
    let before = *log.lock();
    let restart = before.must_restart();
    let (mode, wait) =
        if restart { ("RESTART", RESTART_WAIT) } else { ("PASSIVE", Duration::ZERO) };
    let _ = connection.busy_timeout(wait);
    // <https://sqlite.org/pragma.html#pragma_wal_checkpoint>: busy, pages in the log, pages moved.
    let done = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(2)?))
    });
    if let Ok((busy, moved)) = done {
        let moved = u64::try_from(moved).unwrap_or_default();
        log.lock().checkpointed(before, moved, restart && !busy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_moved_is_left_alone_until_it_has_grown_again() {
        let mut log = Log::default();
        log.committed(999);
        assert!(!log.is_due());
        log.committed(1_200);
        assert!(log.is_due());
        log.checkpointed(log, 1_200, false);
        assert!(!log.is_due());
        // A reader keeps it from being begun anew.
        log.committed(2_199);
        assert!(!log.is_due());
        log.committed(2_200);
        assert!(log.is_due());
    }

    #[test]
    fn a_log_begun_anew_while_it_was_moved_has_all_its_pages_to_move() {
        let mut log = Log::default();
        log.committed(1_200);
        let before = log;
        log.committed(7);
        log.checkpointed(before, 1_200, false);
        log.committed(1_007);
        assert!(log.is_due());
    }

    #[test]
    fn a_large_log_is_restarted_though_all_of_it_was_moved() {
        let mut log = Log::default();
        log.committed(RESTART_PAGES);
        assert!(log.must_restart() && log.is_due());
        // Readers were in the way: not again with every commit.
        log.checkpointed(log, RESTART_PAGES, false);
        log.committed(RESTART_PAGES + 1);
        assert!(!log.must_restart() && !log.is_due());
        log.committed(RESTART_PAGES + PASSIVE_PAGES);
        assert!(log.must_restart() && log.is_due());
        log.checkpointed(log, RESTART_PAGES + PASSIVE_PAGES, true);
        assert!(!log.is_due());
        log.committed(RESTART_PAGES - 1);
        assert!(log.is_due() && !log.must_restart());
    }
}
