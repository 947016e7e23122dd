//! The only place that opens a connection: creation, checks, pragmas.

pub(crate) mod bell;
pub mod claim;
pub(crate) mod consumers;
mod filesystem;
pub mod gate;
pub mod live;
pub mod lock;
mod schema;

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

pub(crate) use self::schema::SCHEMA_VERSION;
use crate::error::{Error, Result};

/// `-2000` would be `SQLite`'s own default of 2 MB; the writer's share of the 80 MB budget is 16 MB
/// (negative: KiB, <https://sqlite.org/pragma.html#pragma_cache_size>).
const WRITER_CACHE_KIB: i32 = 16 * 1024;
/// Four readers share 16 MB.
const READER_CACHE_KIB: i32 = 4 * 1024;
/// rusqlite keeps 16 statements, less than one kind of write needs.
const STATEMENT_CACHE: usize = 128;
/// A PASSIVE checkpoint of a WAL of 4 MB takes about as long.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_millis(20);
/// Only a checkpointer and short writers meet here; readers never wait in WAL mode.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Above it the WAL is truncated when it is reset (<https://sqlite.org/pragma.html#pragma_journal_size_limit>).
const JOURNAL_SIZE_LIMIT_BYTES: i64 = 64 * 1024 * 1024;
/// How many virtual machine steps pass between two looks at the clock: about 0.1 ms of work.
const STEPS_BETWEEN_LOOKS: i32 = 2_000;

/// The version of the `SQLite` that is compiled in.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// The files that belong to one cluster file.
#[derive(Clone, Debug)]
pub struct Files {
    /// The database.
    pub main: PathBuf,
    /// `FILE.lock`: the writer's lock ([`lock`]).
    pub lock: PathBuf,
    /// `FILE.live`: what the writer last knew of each scope ([`live`]).
    pub live: PathBuf,
    /// `FILE.consumers`: the positions of named consumers.
    pub consumers: PathBuf,
    /// `FILE-wal`: `SQLite`'s write-ahead log.
    pub wal: PathBuf,
}

impl Files {
    /// The folder must exist; links are resolved so that one file has one name.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| Error::Invalid(format!("{}: not the name of a file", path.display())))?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(|error| Error::io(folder, &error))?;
        let joined = folder.join(name);
        let main = joined.canonicalize().unwrap_or(joined);
        let with = |suffix: &str| {
            let mut text = main.clone().into_os_string();
            text.push(suffix);
            PathBuf::from(text)
        };
        Ok(Self {
            lock: with(".lock"),
            live: with(".live"),
            consumers: with(".consumers"),
            wal: with("-wal"),
            main,
        })
    }
}

/// A file or folder on a network filesystem is refused: WAL needs shared memory and locks that
/// work (<https://sqlite.org/wal.html>, disadvantage 2).
pub fn check_filesystem(files: &Files) -> Result<()> {
    let folder = files.main.parent().unwrap_or_else(|| Path::new("/"));
    match filesystem::network_kind(folder)? {
        None => Ok(()),
        Some(kind) => Err(Error::ReadOnly(format!(
            "{}: on a network filesystem ({kind}), where SQLite's locks and shared memory can't be trusted; choose a file on a local disk",
            files.main.display()
        ))),
    }
}

/// What the first bytes of an existing file say.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    Empty,
    Vai,
}

/// Reads the header itself, so that a foreign file is not touched by as much as a lock.
///
/// Never while this process has the file open: closing any descriptor of it drops `SQLite`'s locks.
fn read_header(path: &Path) -> Result<Header> {
    let mut head = [0_u8; 100];
    // Before it is opened: a pipe would be waited for.
    let metadata = path.metadata().map_err(|error| Error::io(path, &error))?;
    if !metadata.is_file() {
        return Err(Error::NotAVaiFile(format!("{}: not a regular file", path.display())));
    }
    let mut file =
        OpenOptions::new().read(true).open(path).map_err(|error| Error::io(path, &error))?;
    if metadata.size() == 0 {
        return Ok(Header::Empty);
    }
    let whole = file.read_exact(&mut head).is_ok();
    let number =
        |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if !whole || !head.starts_with(b"SQLite format 3\0") || number(68) != schema::APPLICATION_ID {
        return Err(Error::NotAVaiFile(format!(
            "{}: not a vai cluster file; it was not touched. Choose another path",
            path.display()
        )));
    }
    refuse_newer(path, number(60))?;
    Ok(Header::Vai)
}

/// Refuses what is no cluster file of ours, before as much as a lock is put beside it.
///
/// Never while this process has the file open, as [`read_header`].
fn refuse_foreign(files: &Files) -> Result<()> {
    if files.main.exists() {
        read_header(&files.main)?;
    }
    Ok(())
}

/// A reader can't bring a file up to this release's format.
fn refuse_older(path: &Path, version: i32) -> Result<()> {
    if version >= schema::SCHEMA_VERSION {
        return Ok(());
    }
    Err(Error::ReadOnly(format!(
        "{}: written by an older release of vai (format {version}, this release reads {}), and a reader can't convert it; open it once as its writer, with `vai sync --file` or vai.connect: nothing in it is lost",
        path.display(),
        schema::SCHEMA_VERSION
    )))
}

fn refuse_newer(path: &Path, version: i32) -> Result<()> {
    if version <= schema::SCHEMA_VERSION {
        return Ok(());
    }
    Err(Error::SchemaTooNew(format!(
        "{}: written by a newer release of vai (format {version}, this release knows {}); it was not touched. Upgrade vai-cache, or choose another file",
        path.display(),
        schema::SCHEMA_VERSION
    )))
}

/// Opens the file for its one writer, creating it if it isn't there. The caller holds the lock.
pub fn open_writer(files: &Files, already_open_here: bool) -> Result<Connection> {
    check_filesystem(files)?;
    let fresh =
        !files.main.exists() || (!already_open_here && read_header(&files.main)? == Header::Empty);
    if fresh {
        create_file(files)?;
    }
    let connection = connect(files, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    refuse_newer(&files.main, version(&connection)?)?;
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(Error::ReadOnly(format!(
            "{}: this user may not write it; a reader may still open it",
            files.main.display()
        )));
    }
    set_wal(&connection)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // The checkpointer decides when; a commit must not stop for it.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES)?;
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

/// Opens an existing file for reading; any number of processes of the same user may.
pub fn open_reader(files: &Files, already_open_here: bool) -> Result<Connection> {
    check_filesystem(files)?;
    if !already_open_here && read_header(&files.main)? == Header::Empty {
        return Err(Error::NotAVaiFile(format!(
            "{}: an empty file; start `vai sync` or `vai.connect` to fill it",
            files.main.display()
        )));
    }
    let connection = reader_connection(files)?;
    let version = as_reader(&connection).map_err(|error| unshared(files, error.into()))?;
    refuse_newer(&files.main, version)?;
    refuse_older(&files.main, version)?;
    Ok(connection)
}

fn as_reader(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    version(connection)
}

/// The format of a file, as its transaction sees it.
pub fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Says that the file is of this release's format.
pub fn set_version(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", schema::SCHEMA_VERSION)
}

/// The first statement needs the WAL's shared memory, which is made where nobody has it yet.
fn unshared(files: &Files, error: Error) -> Error {
    match error {
        Error::ReadOnly(_) => Error::ReadOnly(format!(
            "{}: SQLite needs to make shared memory beside it, and permission for that is denied; read it as the user who syncs it, or a copy made by `vai backup`",
            files.main.display()
        )),
        other => other,
    }
}

/// On a mount that can't be written there is no shared memory for the WAL: the file is read as
/// immutable if it has no WAL, else refused, since part of the data would be missing.
fn reader_connection(files: &Files) -> Result<Connection> {
    let folder = files.main.parent().unwrap_or_else(|| Path::new("/"));
    if !filesystem::is_read_only(folder)? {
        return connect(files, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|error| unshared(files, error));
    }
    if std::fs::metadata(&files.wal).is_ok_and(|wal| wal.size() > 0) {
        return Err(Error::ReadOnly(format!(
            "{}: on a read-only mount and with a write-ahead log that can't be read there; copy it with `vai backup` first",
            files.main.display()
        )));
    }
    let path = files.main.to_string_lossy();
    let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    #[expect(clippy::disallowed_methods, reason = "db is where connections are opened")]
    Ok(Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?)
}

/// A bare connection for checkpoints: they must neither wait for the writer's cache nor fill it.
pub fn open_checkpointer(files: &Files) -> Result<Connection> {
    let connection = connect(files, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// Whether there is a cluster file of any release at this path.
pub fn is_cluster_file(files: &Files) -> Result<bool> {
    let (_handle, open_here) = lock::register_reader(files);
    if open_here {
        return Ok(true);
    }
    if !files.main.exists() {
        return Ok(false);
    }
    match read_header(&files.main) {
        Ok(found) => Ok(found == Header::Vai),
        Err(Error::SchemaTooNew(_)) => Ok(true),
        Err(Error::NotAVaiFile(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// A new database that is none of ours: no log, and durable only once its maker synced it.
pub fn create_plain(path: &Path) -> Result<Connection> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io(path, &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    #[expect(clippy::disallowed_methods, reason = "db is where connections are opened")]
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// Writes the file anew and empties the WAL, so that nothing that was deleted is left in either.
///
/// `secure_delete` alone does not do it: what a page gave to its neighbours when the tree was
/// balanced stays in its unused middle (13 of 40 files of 1,500 mixed bodies kept a deleted one,
/// `cargo test -p vai-core --test store what_was_deleted` without the VACUUM). It needs free space
/// as large as the file.
///
/// # Errors
/// [`Error::Internal`] when a reader holds on to an old state for longer than the busy time-out.
pub fn scrub(files: &Files) -> Result<()> {
    let _pass = gate::enter();
    let connection = open_checkpointer(files)?;
    connection.execute_batch("VACUUM")?;
    // SQLite asks the busy handler for readers, but not where another checkpoint is under way.
    let end = Instant::now() + BUSY_TIMEOUT;
    loop {
        let busy: bool =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if !busy {
            return Ok(());
        }
        if Instant::now() >= end {
            break;
        }
        std::thread::sleep(BETWEEN_CHECKPOINTS);
    }
    Err(Error::Internal(format!(
        "{}: a reader holds an old state of the file, so what was deleted is still in the write-ahead log; end that reader (a backup under way?) and open the file again",
        files.main.display()
    )))
}

fn connect(files: &Files, mode: OpenFlags) -> Result<Connection> {
    #[expect(clippy::disallowed_methods, reason = "db is where connections are opened")]
    let connection =
        Connection::open_with_flags(&files.main, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // An I/O error under mmap is a signal in the host process.
    connection.pragma_update(None, "mmap_size", 0)?;
    // A damaged file may not run code of its schema (https://sqlite.org/security.html).
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

fn set_wal(connection: &Connection) -> Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    Err(Error::ReadOnly(format!(
        "the file's folder does not allow a write-ahead log (SQLite says journal mode {mode}); choose a file on a local disk"
    )))
}

/// Makes the file under another name first: a reader finds it whole or not at all.
fn create_file(files: &Files) -> Result<()> {
    let beside = |suffix: &str| {
        let mut name = files.main.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let new = beside(".new");
    for left in [&new, &beside(".new-journal")] {
        match std::fs::remove_file(left) {
            // Left by a writer that was killed while it made one; this one holds the lock now.
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(left, &error)),
        }
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(|error| Error::io(&new, &error))?;
    let mut connection = connect(&Files::of(&new)?, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    create(&mut connection)?;
    drop(connection);
    std::fs::rename(&new, &files.main).map_err(|error| Error::io(&files.main, &error))
}

fn create(connection: &mut Connection) -> Result<()> {
    connection.execute_batch(schema::CREATION_PRAGMAS)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(schema::SCHEMA)?;
    transaction.execute(
        "INSERT INTO meta (id, file_id, epoch, seq, clean, next_id, cluster)
         VALUES (1, lower(hex(randomblob(16))), 0, 0, 1, 1, NULL)",
        params![],
    )?;
    set_version(&transaction)?;
    transaction.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    transaction.commit()?;
    Ok(())
}

/// Runs `work`, interrupting its statements after `limit`.
pub fn within<T>(
    connection: &mut Connection,
    limit: Duration,
    work: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + limit;
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() >= end))?;
    let outcome = work(connection);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    outcome
}
