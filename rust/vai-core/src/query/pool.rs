//! Connections of readers: a read takes one, and gives it back before anything else happens.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::db::{self, Files, gate};
use crate::error::{Error, Result};

/// Memory decision: four readers share 16 MB of page cache.
const CONNECTIONS: usize = 4;

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    made: usize,
    closed: bool,
}

#[derive(Default)]
pub(crate) struct ReaderPool {
    pool: Mutex<Pool>,
    returned: Condvar,
}

impl ReaderPool {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a connection that was opened outside.
    pub(crate) fn give(&self, connection: Connection) {
        let mut pool = self.pool.lock();
        pool.made += 1;
        pool.idle.push(connection);
    }

    /// Runs `work` in one read transaction, interrupted after `limit`.
    pub(crate) fn with<T>(
        &self,
        files: &Files,
        limit: Option<Duration>,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let _pass = gate::enter();
        let mut connection = self.take(files)?;
        let outcome = run(&mut connection, limit, work);
        self.put_back(connection);
        outcome
    }

    /// A second connection for whoever has one, so long as none is waited for: readers that wait
    /// for each other's would wait for ever.
    pub(crate) fn spare(&self, files: &Files) -> Option<Spare<'_>> {
        let mut pool = self.pool.lock();
        if pool.closed {
            return None;
        }
        let idle = pool.idle.pop();
        let connection = if idle.is_some() {
            idle
        } else if pool.made < CONNECTIONS {
            pool.made += 1;
            drop(pool);
            db::open_reader(files, true).inspect_err(|_| self.pool.lock().made -= 1).ok()
        } else {
            None
        };
        connection.map(|connection| Spare { pool: self, connection: Some(connection) })
    }

    fn put_back(&self, connection: Connection) {
        let mut pool = self.pool.lock();
        if pool.closed || !connection.is_autocommit() {
            // A transaction that could not be ended (a failing disk) must not meet the next read.
            pool.made -= 1;
        } else {
            pool.idle.push(connection);
        }
        drop(pool);
        self.returned.notify_one();
    }

    fn take(&self, files: &Files) -> Result<Connection> {
        let mut pool = self.pool.lock();
        loop {
            if pool.closed {
                return Err(Error::Closed);
            }
            if let Some(connection) = pool.idle.pop() {
                return Ok(connection);
            }
            if pool.made < CONNECTIONS {
                pool.made += 1;
                break;
            }
            self.returned.wait(&mut pool);
        }
        drop(pool);
        db::open_reader(files, true).inspect_err(|_| self.pool.lock().made -= 1)
    }

    /// In a forked child: its copies of the parent's connections are left as they are, for closing
    /// one would meddle with the file (<https://sqlite.org/howtocorrupt.html>, 2.6).
    pub(crate) fn abandon(&self) {
        // A thread that held it at the fork holds it for ever.
        if let Some(mut pool) = self.pool.try_lock() {
            pool.closed = true;
            pool.idle.drain(..).for_each(std::mem::forget);
        }
    }

    /// Closes idle connections; busy ones close when their read ends.
    pub(crate) fn close(&self) {
        let _pass = gate::enter();
        let mut pool = self.pool.lock();
        pool.closed = true;
        let idle = std::mem::take(&mut pool.idle);
        pool.made -= idle.len();
        drop(pool);
        drop(idle);
        self.returned.notify_all();
    }
}

/// Goes back to its pool when it is dropped. Any thread may use it while the one that took it is
/// inside a read.
pub(crate) struct Spare<'p> {
    pool: &'p ReaderPool,
    connection: Option<Connection>,
}

impl Spare<'_> {
    /// Runs `work` in one read transaction, interrupted after `limit`.
    pub(crate) fn with<T>(
        &mut self,
        limit: Duration,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        run(self.connection.as_mut().ok_or(Error::Closed)?, Some(limit), work)
    }
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.put_back(connection);
        }
    }
}

fn run<T>(
    connection: &mut Connection,
    limit: Option<Duration>,
    work: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let Some(limit) = limit else {
        // VACUUM INTO and the like begin transactions of their own.
        return work(connection);
    };
    let outcome = db::within(connection, limit, |connection| {
        let transaction = connection.unchecked_transaction()?;
        let outcome = work(&transaction);
        // Nothing was written: ending it can't fail in a way that matters to the answer.
        let _ = transaction.finish();
        outcome
    });
    match outcome {
        Err(Error::QueryTimeout(_)) => Err(Error::QueryTimeout(limit.as_secs_f64())),
        other => other,
    }
}
