//! Moves the WAL into the file, on a thread and a connection of its own.
//!
//! PASSIVE from 4 MB; RESTART from 64 MB, again after every commit until it succeeds: many short
//! overlapping readers would otherwise keep a WAL growing for ever.

use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::db::{self, Files, gate};
use crate::error::{Error, Result};

/// `SQLite`'s own default is 1,000 pages of 4 KB (<https://sqlite.org/wal.html#ckpt>).
const PASSIVE_BYTES: u64 = 4 * 1024 * 1024;
const RESTART_BYTES: u64 = 64 * 1024 * 1024;
/// The writer waits as long as a RESTART waits for readers, so it tries often and briefly.
const RESTART_WAIT: Duration = Duration::from_millis(500);

pub(super) struct Checkpointer {
    wal: PathBuf,
    sender: Mutex<Option<Sender<()>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Checkpointer {
    pub(super) fn spawn(files: &Files) -> Result<Self> {
        let connection = db::open_checkpointer(files)?;
        let (sender, receiver) = bounded::<()>(1);
        let wal = files.wal.clone();
        let thread = std::thread::Builder::new()
            .name("vai-checkpointer".into())
            .spawn(move || {
                for () in receiver {
                    let _pass = gate::enter();
                    checkpoint(&connection, size(&wal));
                }
                let _pass = gate::enter();
                drop(connection);
            })
            .map_err(Error::internal)?;
        Ok(Self {
            wal: files.wal.clone(),
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// For handles that never write.
    pub(super) fn none() -> Self {
        Self { wal: PathBuf::new(), sender: Mutex::new(None), thread: Mutex::new(None) }
    }

    /// Called after each commit: wakes the thread when there is enough to do.
    pub(super) fn look(&self) {
        if size(&self.wal) >= PASSIVE_BYTES
            && let Some(sender) = &*self.sender.lock()
        {
            // Full: it is at work already.
            let _ = sender.try_send(());
        }
    }

    pub(super) fn stop(&self) {
        self.sender.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

fn size(wal: &std::path::Path) -> u64 {
    std::fs::metadata(wal).map_or(0, |found| found.len())
}

/// A checkpoint that can't finish now is tried again after the next commit.
fn checkpoint(connection: &Connection, wal_bytes: u64) {
    let (mode, wait) = if wal_bytes >= RESTART_BYTES {
        ("RESTART", RESTART_WAIT)
    } else {
        ("PASSIVE", Duration::ZERO)
    };
    let _ = connection.busy_timeout(wait);
    let _ = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
}
