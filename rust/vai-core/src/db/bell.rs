//! Wakes readers for what the writer of another process committed or told.
//!
//! Both end in a write to `FILE.live` (`LiveFile::ring`, `LiveFile::write`), after the fact, and
//! inotify says so to whoever listens. One descriptor for all waits of an open file: of the threads
//! that wait, one stands at the descriptor and wakes the others. Where there is no inotify (macOS,
//! or the user's `fs.inotify.max_user_instances` is used up), and while there is no `FILE.live`,
//! waits look again at short intervals instead.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Without a bell: how often a wait looks. Two SQL steps of 10 µs.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// With one: file systems of sandboxes may take the watch and never tell anything.
const TRUST: Duration = Duration::from_secs(1);

/// One per open file that only reads.
#[derive(Debug)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rang: Condvar,
    #[cfg(target_os = "linux")]
    line: linux::Line,
}

#[derive(Debug, Default)]
struct State {
    rings: u64,
    /// A thread stands at the descriptor.
    attended: bool,
    closed: bool,
}

impl Bell {
    /// Listens from the first wait on.
    pub(crate) fn new(live: PathBuf) -> Self {
        #[cfg(not(target_os = "linux"))]
        drop(live);
        Self {
            state: Mutex::default(),
            rang: Condvar::new(),
            #[cfg(target_os = "linux")]
            line: linux::Line::new(live),
        }
    }

    /// Take it before looking: what happens after the look is not missed.
    pub(crate) fn rings(&self) -> u64 {
        self.listen();
        self.state.lock().rings
    }

    /// Waits for one more ring than `seen`, until `end`, or until it is worth looking anyway.
    pub(crate) fn wait(&self, seen: u64, end: Instant) {
        let now = Instant::now();
        let patience = if self.listens() { TRUST } else { LOOK_AGAIN };
        let end = end.min(now + patience);
        let mut state = self.state.lock();
        while state.rings == seen && !state.closed && Instant::now() < end {
            if state.attended || !self.listens() {
                self.rang.wait_until(&mut state, end);
                continue;
            }
            state.attended = true;
            drop(state);
            let rang = self.attend(end.saturating_duration_since(Instant::now()));
            state = self.state.lock();
            state.attended = false;
            state.rings += u64::from(rang);
            // Also without a ring: somebody else has to stand at the descriptor now.
            self.rang.notify_all();
        }
    }

    /// Ends every wait, now and later.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.rang.notify_all();
        self.dismiss();
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unused_self, reason = "as on Linux, where there is something to listen to")]
impl Bell {
    fn listen(&self) {}

    fn listens(&self) -> bool {
        false
    }

    fn attend(&self, _limit: Duration) -> bool {
        false
    }

    fn dismiss(&self) {}
}

#[cfg(target_os = "linux")]
impl Bell {
    fn listen(&self) {
        self.line.listen();
    }

    fn listens(&self) -> bool {
        self.line.listens()
    }

    fn attend(&self, limit: Duration) -> bool {
        self.line.attend(limit)
    }

    fn dismiss(&self) {
        self.line.dismiss();
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

    /// The descriptor, and another one that ends the wait at it.
    #[derive(Debug)]
    pub(super) struct Line {
        live: PathBuf,
        ends: OnceLock<Option<Ends>>,
        /// The watch is on the file that has the name; it goes with that file.
        watching: AtomicBool,
    }

    #[derive(Debug)]
    struct Ends {
        events: OwnedFd,
        dismissal: OwnedFd,
    }

    impl Line {
        pub(super) fn new(live: PathBuf) -> Self {
            Self { live, ends: OnceLock::new(), watching: AtomicBool::new(false) }
        }

        fn ends(&self) -> Option<&Ends> {
            self.ends.get_or_init(open).as_ref()
        }

        /// Idempotent. What fails now (no file yet) is tried again by the next wait.
        pub(super) fn listen(&self) {
            let Some(ends) = self.ends().filter(|_| !self.listens()) else { return };
            let wanted = WatchFlags::MODIFY | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
            let added = inotify::add_watch(&ends.events, &self.live, wanted);
            self.watching.store(added.is_ok(), Ordering::Release);
        }

        pub(super) fn listens(&self) -> bool {
            self.watching.load(Ordering::Acquire)
        }

        /// Whether something happened; by one thread at a time.
        pub(super) fn attend(&self, limit: Duration) -> bool {
            let Some(ends) = self.ends() else { return false };
            let mut watched = [
                PollFd::new(&ends.events, PollFlags::IN),
                PollFd::new(&ends.dismissal, PollFlags::IN),
            ];
            let limit = Timespec::try_from(limit).ok();
            // Interrupted by a signal: the caller has the time in view.
            if poll(&mut watched, limit.as_ref()).is_err() || watched[0].revents().is_empty() {
                return false;
            }
            self.take(ends);
            true
        }

        /// Empties the descriptor; all that waits in it is one ring.
        fn take(&self, ends: &Ends) {
            let mut space = [MaybeUninit::uninit(); 4096];
            let mut told = inotify::Reader::new(&ends.events, &mut space);
            while let Ok(event) = told.next() {
                let lost = ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
                if event.events().intersects(lost) {
                    self.watching.store(false, Ordering::Release);
                }
            }
        }

        pub(super) fn dismiss(&self) {
            if let Some(Some(ends)) = self.ends.get() {
                // A counter that is full wakes as well.
                let _ = rustix::io::write(&ends.dismissal, &1_u64.to_ne_bytes());
            }
        }
    }

    fn open() -> Option<Ends> {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        let dismissal = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).ok()?;
        Some(Ends { events, dismissal })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// As a reader waits: look, then wait for a ring.
    fn waits_for(bell: &Bell, looked: &AtomicUsize, here: impl Fn() -> bool) -> Duration {
        let start = Instant::now();
        loop {
            let seen = bell.rings();
            looked.fetch_add(1, Ordering::Relaxed);
            if here() || start.elapsed() > LONG {
                return start.elapsed();
            }
            bell.wait(seen, start + LONG);
        }
    }

    #[test]
    fn all_who_wait_wake_for_one_write_and_look_seldom_before() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("x.live");
        std::fs::write(&live, b"0").unwrap();
        let (bell, looked) = (Arc::new(Bell::new(live.clone())), Arc::new(AtomicUsize::new(0)));
        let waits: Vec<_> = (0..4)
            .map(|_| {
                let (bell, looked, live) = (Arc::clone(&bell), Arc::clone(&looked), live.clone());
                thread::spawn(move || {
                    waits_for(&bell, &looked, || std::fs::read(&live).unwrap() == b"1")
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(500));
        let before = looked.load(Ordering::Relaxed);
        std::fs::write(&live, b"1").unwrap();
        for wait in waits {
            assert!(wait.join().unwrap() < LONG);
        }
        // At 20 ms each it would have been a hundred.
        assert!((4..=12).contains(&before), "{before}");
    }

    #[test]
    fn a_file_that_comes_later_or_anew_is_listened_to() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("x.live");
        let (bell, looked) = (Bell::new(live.clone()), AtomicUsize::new(0));
        let _ = bell.rings();
        assert!(!bell.listens(), "there is no file");
        for _ in 0..2 {
            let writer = thread::spawn({
                let live = live.clone();
                move || {
                    thread::sleep(Duration::from_millis(50));
                    std::fs::write(live, b"1").unwrap();
                }
            });
            assert!(waits_for(&bell, &looked, || live.exists()) < LONG);
            writer.join().unwrap();
            let seen = bell.rings();
            assert!(bell.listens());
            std::fs::remove_file(&live).unwrap();
            bell.wait(seen, Instant::now() + LONG);
            assert!(!bell.listens(), "the file is gone, and so is its watch");
        }
    }

    #[test]
    fn closing_ends_the_waits() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("x.live");
        std::fs::write(&live, b"0").unwrap();
        let bell = Arc::new(Bell::new(live));
        let waits: Vec<_> = (0..2)
            .map(|_| {
                let bell = Arc::clone(&bell);
                thread::spawn(move || bell.wait(bell.rings(), Instant::now() + LONG))
            })
            .collect();
        thread::sleep(Duration::from_millis(100));
        assert!(waits.iter().all(|wait| !wait.is_finished()));
        bell.close();
        for wait in waits {
            wait.join().unwrap();
        }
    }
}
