//! The writer's lock: an fcntl lock on `FILE.lock`.
//!
//! An flock would stay held by forked children. An fcntl lock is dropped when *any* descriptor of
//! its file is closed in the process, so each process opens `FILE.lock` once and never closes it;
//! a registry finds the descriptor again. Within one process fcntl locks never conflict, so the
//! registry also says whether this process is the writer.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::fs::FlockOperation;
use rustix::process::{Flock, FlockType};

use super::Files;
use crate::error::{Error, Result};

struct Entry {
    file: File,
    /// The process that holds the lock through this entry; a forked child inherits the entry
    /// but not the lock.
    held_by: Option<u32>,
    /// Open handles of this process, writers and readers.
    handles: usize,
}

static REGISTRY: LazyLock<Mutex<HashMap<PathBuf, Entry>>> = LazyLock::new(Mutex::default);

fn registry() -> std::sync::MutexGuard<'static, HashMap<PathBuf, Entry>> {
    // A panic while it was held can't leave a half-written entry.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who writes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Nobody,
    ThisProcess,
    Other(Option<i32>),
}

/// An open handle on a file, counted so that the file itself is never opened beside `SQLite`.
#[derive(Debug)]
pub struct Handle {
    path: PathBuf,
    writer: bool,
}

/// Registers a reader. Returns also whether this process had the file open before.
pub fn register_reader(files: &Files) -> (Handle, bool) {
    let mut entries = registry();
    let before = match open_entry(&mut entries, files, false) {
        Ok(entry) => {
            entry.handles += 1;
            entry.handles > 1
        }
        // A reader of a folder that it can't write has no lock file to look at.
        Err(_) => false,
    };
    (Handle { path: files.lock.clone(), writer: false }, before)
}

/// Takes the writer's lock, or says who has it.
pub fn acquire_writer(files: &Files) -> Result<(Handle, bool)> {
    let mut entries = registry();
    let entry = open_entry(&mut entries, files, true)?;
    let me = std::process::id();
    if entry.held_by == Some(me) {
        return Err(running(files, Some(me.cast_signed()), "this very process"));
    }
    match rustix::fs::fcntl_lock(&entry.file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
            let pid = holder_pid(&entry.file);
            let who = pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
            return Err(running(files, pid, &who));
        }
        Err(error) => return Err(Error::io(&files.lock, &error.into())),
    }
    entry.held_by = Some(me);
    entry.handles += 1;
    Ok((Handle { path: files.lock.clone(), writer: true }, entry.handles > 1))
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
    let mut entries = registry();
    let Ok(entry) = open_entry(&mut entries, files, false) else {
        return Holder::Nobody;
    };
    if entry.held_by == Some(std::process::id()) {
        return Holder::ThisProcess;
    }
    match rustix::process::fcntl_getlk(&entry.file, &Flock::from(FlockType::WriteLock)) {
        Ok(None) => Holder::Nobody,
        Ok(Some(lock)) => Holder::Other(lock.pid.map(|pid| pid.as_raw_nonzero().get())),
        Err(_) => Holder::Other(None),
    }
}

fn holder_pid(file: &File) -> Option<i32> {
    let asked = Flock::from(FlockType::WriteLock);
    let lock = rustix::process::fcntl_getlk(file, &asked).ok().flatten()?;
    lock.pid.map(|pid| pid.as_raw_nonzero().get())
}

/// The process's one descriptor for the lock file; opened anew only when the file was replaced.
fn open_entry<'a>(
    entries: &'a mut HashMap<PathBuf, Entry>,
    files: &Files,
    create: bool,
) -> Result<&'a mut Entry> {
    let path = &files.lock;
    let replaced =
        entries.get(path).is_some_and(|entry| entry.handles == 0 && !same(&entry.file, path));
    if replaced {
        // No handle is open, so nobody's lock is lost with the old descriptor.
        entries.remove(path);
    }
    if !entries.contains_key(path) {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| Error::io(path, &error))?;
        entries.insert(path.clone(), Entry { file, held_by: None, handles: 0 });
    }
    entries.get_mut(path).ok_or_else(|| Error::internal("the lock registry lost an entry"))
}

fn same(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut entries = registry();
        let Some(entry) = entries.get_mut(&self.path) else { return };
        entry.handles = entry.handles.saturating_sub(1);
        if self.writer && entry.held_by == Some(std::process::id()) {
            entry.held_by = None;
            // Fails only for a closed descriptor, and ours is open.
            let _ = rustix::fs::fcntl_lock(&entry.file, FlockOperation::NonBlockingUnlock);
        }
    }
}
