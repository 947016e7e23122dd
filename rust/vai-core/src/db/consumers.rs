//! `FILE.consumers`: the one small database that readers write.
//!
//! A rollback journal, for a write-ahead log would need shared memory and a checkpointer for files
//! of one page. It is kept and only its header zeroed, which saves two changes of the folder per
//! position (<https://sqlite.org/pragma.html#pragma_journal_mode>).

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Files, gate};
use crate::error::{Error, Result};

/// "vaic" in ASCII.
const APPLICATION_ID: i32 = 0x7661_6963;
/// Raised with every change of the format; a newer file is refused untouched.
const VERSION: i32 = 1;

/// `file_id` is that of the cluster file whose history `(epoch, seq)` is in: a file that was removed
/// and synced anew counts from the beginning. `resources` is a JSON list of `plural[.group]`.
const SCHEMA: &str = "
CREATE TABLE consumer (
    name TEXT PRIMARY KEY,
    file_id TEXT NOT NULL,
    resources TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    acked_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Opens it; `None` where there is none and none is to be made.
pub(crate) fn open(files: &Files, create: bool, busy: Duration) -> Result<Option<Connection>> {
    let _pass = gate::enter();
    if !files.consumers.exists() {
        if !create {
            return Ok(None);
        }
        // SQLite would make it as the umask says. Nobody has an existing one opened and closed
        // here, which would drop SQLite's locks on it: `create_new` does not open that at all.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&files.consumers) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(&files.consumers, &error)),
        }
    }
    let mut connection = connect(files, busy).map_err(|error| failed(files, error))?;
    prepare(files, &mut connection)?;
    Ok(Some(connection))
}

fn connect(files: &Files, busy: Duration) -> rusqlite::Result<Connection> {
    #[expect(clippy::disallowed_methods, reason = "db is where connections are opened")]
    let connection = Connection::open_with_flags(
        &files.consumers,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn prepare(files: &Files, connection: &mut Connection) -> Result<()> {
    let made = (|| {
        if number(connection, "application_id")? == 0 {
            // Whoever is second finds it made.
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let tables: i64 =
                transaction
                    .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables == 0 {
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
                transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            }
            transaction.commit()?;
        }
        connection.pragma_update_and_check(None, "journal_mode", "PERSIST", |_| Ok(()))?;
        Ok((number(connection, "application_id")?, number(connection, "user_version")?))
    })();
    let path = files.consumers.display();
    match made.map_err(|error| failed(files, error))? {
        (APPLICATION_ID, version) if version <= VERSION => Ok(()),
        (APPLICATION_ID, version) => Err(Error::SchemaTooNew(format!(
            "{path}: written by a newer release of vai (format {version}, this release knows {VERSION}); it was not touched. Upgrade vai-cache"
        ))),
        _ => Err(Error::NotAVaiFile(format!(
            "{path}: not vai's positions of named consumers; it was not touched. Move it away"
        ))),
    }
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

/// An error of `SQLite` about this file, and what to do.
pub(crate) fn failed(files: &Files, error: rusqlite::Error) -> Error {
    let path = files.consumers.display();
    let text = error.to_string();
    match Error::from(error) {
        Error::Corrupt(_) | Error::NotAVaiFile(_) => Error::Corrupt(format!(
            "{path}: the positions of named consumers can't be read ({text}); remove the file: each consumer then begins anew, with a snapshot"
        )),
        Error::ReadOnly(_) => Error::ReadOnly(format!(
            "{path}: can't be written ({text}); a named consumer keeps its position there, so the folder must be writable"
        )),
        Error::DiskFull(_) => Error::DiskFull(format!(
            "{path}: no space left on the device; the position was not recorded, so that the change will come again"
        )),
        Error::Internal(text) => Error::Internal(format!("{path}: {text}")),
        other => other,
    }
}

/// What tells the file from one that took its place.
pub(crate) fn identity(files: &Files) -> Option<(u64, u64)> {
    std::fs::metadata(&files.consumers).ok().map(|found| (found.dev(), found.ino()))
}
