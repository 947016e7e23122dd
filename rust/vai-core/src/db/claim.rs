//! Who is the consumer of a name right now: an fcntl lock on `FILE.consumers.NAME.lock`.
//!
//! The lock falls with its process, however that ends, so that another one can go on at once. As
//! with the writer's lock ([`super::lock`]) fcntl locks say nothing within one process, and are
//! dropped by the close of any descriptor of the file: a registry holds the one descriptor of each
//! name, and says whether this process is the consumer already.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustix::fs::FlockOperation;
use rustix::process::{Flock, FlockType};

use super::gate;
use crate::error::{Error, Result};

struct Held {
    /// Closed with the entry, which gives the lock back.
    _file: File,
    /// A forked child inherits the entry, but not the lock.
    pid: u32,
    /// Tells a claim from an older one of the same name.
    number: u64,
    /// Whether the store that it was made for was closed: then it is free for the next one here.
    closed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Registry {
    held: HashMap<PathBuf, Held>,
    last: u64,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

fn registry() -> std::sync::MutexGuard<'static, Registry> {
    // A panic while it was held can't leave a half-written entry.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process is the consumer of a name, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    number: u64,
}

/// Why there is no claim: another one has it.
#[derive(Debug)]
pub enum Refusal {
    /// A process, with its id where the system tells.
    Taken(Option<i32>),
    /// The lock file can't be used.
    Failed(Error),
}

impl Claim {
    /// Takes the name whose lock is at `path`, for a store that says when it is `closed`.
    pub fn take(path: &Path, closed: &Arc<AtomicBool>) -> Result<Self, Refusal> {
        let _pass = gate::enter();
        let mut registry = registry();
        registry.last += 1;
        let number = registry.last;
        let me = std::process::id();
        if let Some(held) = registry.held.get_mut(path).filter(|held| held.pid == me) {
            if !held.closed.load(Ordering::Acquire) {
                return Err(Refusal::Taken(Some(me.cast_signed())));
            }
            held.number = number;
            held.closed = Arc::clone(closed);
            return Ok(Self { path: path.to_owned(), number });
        }
        registry.held.remove(path);
        let file = lock(path)?;
        let held = Held { _file: file, pid: me, number, closed: Arc::clone(closed) };
        registry.held.insert(path.to_owned(), held);
        // Not before: to drop a claim takes the registry's lock.
        Ok(Self { path: path.to_owned(), number })
    }

    /// Whether it still counts; not in a forked child, nor after another one here took over.
    #[must_use]
    pub fn counts(&self) -> bool {
        let _pass = gate::enter();
        registry().held.get(&self.path).is_some_and(|held| self.is(held))
    }

    /// Removes the lock file: whoever waits for it finds that out, and makes a new one.
    pub fn remove_file(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(&self.path, &error))
            }
            _ => Ok(()),
        }
    }

    fn is(&self, held: &Held) -> bool {
        held.number == self.number && held.pid == std::process::id()
    }
}

/// Whether somebody has the name whose lock is at `path`. Only looks: a claim taken for a moment
/// would turn away a consumer that starts in that moment.
pub fn is_taken(path: &Path) -> Result<bool> {
    let _pass = gate::enter();
    let registry = registry();
    let me = std::process::id();
    if let Some(held) = registry.held.get(path).filter(|held| held.pid == me) {
        return Ok(!held.closed.load(Ordering::Acquire));
    }
    // Not held here, so that the close of this descriptor drops nobody's lock.
    match File::open(path) {
        Ok(file) => {
            let asked = Flock::from(FlockType::WriteLock);
            let found = rustix::process::fcntl_getlk(&file, &asked);
            Ok(found.map_err(|error| Error::io(path, &error.into()))?.is_some())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(path, &error)),
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _pass = gate::enter();
        let mut registry = registry();
        if registry.held.get(&self.path).is_some_and(|held| self.is(held)) {
            registry.held.remove(&self.path);
        }
    }
}

/// The locked file. One that was removed between its opening and its locking is nobody's.
fn lock(path: &Path) -> Result<File, Refusal> {
    let failed = |error| Refusal::Failed(Error::io(path, &error));
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                return Err(Refusal::Taken(holder(&file)));
            }
            Err(error) => return Err(failed(error.into())),
        }
        let mine = file.metadata().map_err(failed)?;
        if std::fs::metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (mine.dev(), mine.ino()))
        {
            return Ok(file);
        }
    }
}

fn holder(file: &File) -> Option<i32> {
    let asked = Flock::from(FlockType::WriteLock);
    let lock = rustix::process::fcntl_getlk(file, &asked).ok().flatten()?;
    lock.pid.map(|pid| pid.as_raw_nonzero().get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Arc<AtomicBool> {
        Arc::new(AtomicBool::new(false))
    }

    #[test]
    fn a_name_is_taken_once_and_free_again_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.lock");
        let first = Claim::take(&path, &open()).unwrap();
        assert!(matches!(Claim::take(&path, &open()), Err(Refusal::Taken(Some(_)))));
        assert!(first.counts());
        assert!(is_taken(&path).unwrap());
        drop(first);
        assert!(!is_taken(&path).unwrap());
        assert!(Claim::take(&path, &open()).unwrap().counts());
    }

    #[test]
    fn the_claim_of_a_closed_store_is_free_and_then_no_longer_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.lock");
        let closed = open();
        let first = Claim::take(&path, &closed).unwrap();
        closed.store(true, Ordering::Release);
        assert!(first.counts(), "what its handler finished is still to be recorded");
        let second = Claim::take(&path, &open()).unwrap();
        assert!(!first.counts());
        drop(first);
        assert!(second.counts());
    }

    #[test]
    fn a_removed_lock_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.lock");
        let first = Claim::take(&path, &open()).unwrap();
        first.remove_file().unwrap();
        drop(first);
        assert!(Claim::take(&path, &open()).unwrap().counts());
        assert!(path.exists());
    }
}
