//! The writer's lock: an fcntl lock on `FILE.lock`.
//!
//! An flock would stay held by forked children. An fcntl lock is dropped when *any* descriptor of
//! its file is closed in the process, so each process opens `FILE.lock` once and never closes it;
//! a registry finds the descriptor again. Within one process fcntl locks never conflict, so the
//! registry also says whether this process is the writer.
//!
//! The lock is taken exclusively, and becomes a shared one when its holder has written
//! `FILE.live`: in between, what that file says is the word of the writer before, who may have
//! died a moment ago. Both kinds keep another writer out, for it asks for the exclusive one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::fs::FlockOperation;
use rustix::process::{Flock, FlockType};

use super::{Files, gate};
use crate::error::{Error, Result};

struct Lock {
    file: File,
    /// The process that holds the lock through this descriptor; a forked child inherits the
    /// descriptor but not the lock.
    held_by: Option<u32>,
    /// Whether the holder has written `FILE.live`.
    told: bool,
}

/// Both by the path of the lock file.
#[derive(Default)]
struct Registry {
    locks: HashMap<PathBuf, Lock>,
    /// Open handles of this process, writers and readers; also of files that have no lock file, as
    /// a backup, or one in a folder that can't be written.
    handles: HashMap<PathBuf, usize>,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

fn registry() -> std::sync::MutexGuard<'static, Registry> {
    // A panic while it was held can't leave a half-written entry.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who writes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No process holds the lock.
    Nobody,
    /// A process, with its id where the system tells, has the lock but has told nothing yet.
    Starting(Option<i32>),
    /// A handle of this very process.
    ThisProcess,
    /// Another process, with its id where the system tells.
    Other(Option<i32>),
}

/// An open handle on a file, counted so that the file itself is never opened beside `SQLite`.
#[derive(Debug)]
pub struct Handle {
    path: PathBuf,
    writer: bool,
}

/// Registers a reader. Returns also whether this process had the file open before.
#[must_use]
pub fn register_reader(files: &Files) -> (Handle, bool) {
    let _pass = gate::enter();
    registry().count(files, false)
}

/// Takes the writer's lock, or says who has it.
pub fn acquire_writer(files: &Files) -> Result<(Handle, bool)> {
    let _pass = gate::enter();
    let mut registry = registry();
    if registry.unused(&files.lock) {
        super::refuse_foreign(files)?;
    }
    let lock = registry.lock(files, true)?;
    let me = std::process::id();
    if lock.held_by == Some(me) {
        return Err(running(files, Some(me.cast_signed()), "this very process"));
    }
    match rustix::fs::fcntl_lock(&lock.file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
            let pid = holder_pid(&lock.file);
            let who = pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
            return Err(running(files, pid, &who));
        }
        Err(error) => return Err(Error::io(&files.lock, &error.into())),
    }
    lock.held_by = Some(me);
    lock.told = false;
    Ok(registry.count(files, true))
}

fn running(files: &Files, pid: Option<i32>, who: &str) -> Error {
    let message = format!(
        "{}: {who} writes this file already; read it with vai.open or `vai get`, or stop that writer first",
        files.main.display()
    );
    Error::WriterRunning { message, pid }
}

/// Who holds the writer's lock right now.
#[must_use]
pub fn holder(files: &Files) -> Holder {
    let _pass = gate::enter();
    let mut registry = registry();
    let Ok(lock) = registry.lock(files, false) else {
        return Holder::Nobody;
    };
    let me = std::process::id();
    if lock.held_by == Some(me) {
        return if lock.told {
            Holder::ThisProcess
        } else {
            Holder::Starting(Some(me.cast_signed()))
        };
    }
    match rustix::process::fcntl_getlk(&lock.file, &Flock::from(FlockType::WriteLock)) {
        Ok(None) => Holder::Nobody,
        Ok(Some(found)) => {
            let pid = found.pid.map(|pid| pid.as_raw_nonzero().get());
            if found.typ == FlockType::ReadLock {
                Holder::Other(pid)
            } else {
                Holder::Starting(pid)
            }
        }
        Err(_) => Holder::Other(None),
    }
}

fn holder_pid(file: &File) -> Option<i32> {
    let asked = Flock::from(FlockType::WriteLock);
    let lock = rustix::process::fcntl_getlk(file, &asked).ok().flatten()?;
    lock.pid.map(|pid| pid.as_raw_nonzero().get())
}

impl Registry {
    /// Whether no handle is open in this process.
    fn unused(&self, lock: &Path) -> bool {
        self.handles.get(lock).is_none_or(|handles| *handles == 0)
    }

    /// One handle more; also whether there was one before.
    fn count(&mut self, files: &Files, writer: bool) -> (Handle, bool) {
        let handles = self.handles.entry(files.lock.clone()).or_default();
        *handles += 1;
        (Handle { path: files.lock.clone(), writer }, *handles > 1)
    }

    /// The process's one descriptor for the lock file; opened anew only when the file was replaced.
    fn lock(&mut self, files: &Files, create: bool) -> Result<&mut Lock> {
        let path = &files.lock;
        if self.unused(path) && self.locks.get(path).is_some_and(|lock| !same(&lock.file, path)) {
            // No handle is open, so nobody's lock is lost with the old descriptor.
            self.locks.remove(path);
        }
        match self.locks.entry(path.clone()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(create)
                    .truncate(false)
                    .mode(0o600)
                    .open(path)
                    .map_err(|error| Error::io(path, &error))?;
                Ok(place.insert(Lock { file, held_by: None, told: false }))
            }
        }
    }
}

impl Handle {
    /// `FILE.live` is this writer's from now on.
    pub fn told(&self) -> Result<()> {
        let _pass = gate::enter();
        let mut registry = registry();
        let Some(lock) = registry.locks.get_mut(&self.path).filter(|_| self.writer) else {
            return Err(Error::Internal("only the writer tells".into()));
        };
        rustix::fs::fcntl_lock(&lock.file, FlockOperation::NonBlockingLockShared)
            .map_err(|error| Error::io(&self.path, &error.into()))?;
        lock.told = true;
        Ok(())
    }
}

fn same(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _pass = gate::enter();
        let mut registry = registry();
        if let Some(handles) = registry.handles.get_mut(&self.path) {
            *handles = handles.saturating_sub(1);
        }
        let Some(lock) = registry.locks.get_mut(&self.path).filter(|_| self.writer) else { return };
        if lock.held_by == Some(std::process::id()) {
            lock.held_by = None;
            // Fails only for a closed descriptor, and ours is open.
            let _ = rustix::fs::fcntl_lock(&lock.file, FlockOperation::NonBlockingUnlock);
        }
    }
}
