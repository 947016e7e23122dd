//! What waits for the writer's thread, bounded by what it holds: a few jobs of a list, which have
//! hundreds of objects each, or hundreds of a watch, which have a handful. So a burst of events is
//! committed in large transactions, and a list takes no more memory for it.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};
use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};

/// What waits, as it is held in memory: jobs of a list have at most 1 MB, of pods about 0.7 MB. 64 of
/// them raised the peak of a 500 MB page by 58 to 100 MB, 8 by 38 MB
/// (`tests/integration/test_memory.py`).
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What a job counts at least: a bookmark is kept in memory too.
const LEAST_BYTES: usize = 1024;

#[derive(Default)]
struct Waiting {
    bytes: usize,
    /// Who came, and whose turn it is: a large job must not wait while small ones pass it.
    came: u64,
    turn: u64,
    /// Nobody takes anything any more.
    closed: bool,
}

impl Waiting {
    /// One that is larger than all that may wait goes in when nothing does.
    fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= MOST_BYTES
    }
}

#[derive(Default)]
struct Gauge {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// The end of those who have work for the writer.
pub(super) struct Entrance<T> {
    sender: Sender<(T, usize)>,
    gauge: Arc<Gauge>,
}

/// The writer's end.
pub(super) struct Exit<T> {
    receiver: Receiver<(T, usize)>,
    gauge: Arc<Gauge>,
}

/// Both ends of a queue.
pub(super) fn queue<T>() -> (Entrance<T>, Exit<T>) {
    let (sender, receiver) = unbounded();
    let gauge = Arc::<Gauge>::default();
    (Entrance { sender, gauge: Arc::clone(&gauge) }, Exit { receiver, gauge })
}

impl<T> Entrance<T> {
    /// Waits while too much is queued, which slows a feed down.
    ///
    /// # Errors
    /// [`Error::Closed`] once the other end is gone.
    pub(super) fn push(&self, what: T, bytes: usize) -> Result<()> {
        let bytes = bytes.max(LEAST_BYTES);
        let mut waiting = self.gauge.waiting.lock();
        let mine = waiting.came;
        waiting.came += 1;
        while !waiting.closed && (waiting.turn != mine || !waiting.has_room(bytes)) {
            self.gauge.changed.wait(&mut waiting);
        }
        if waiting.closed {
            return Err(Error::Closed);
        }
        waiting.turn += 1;
        waiting.bytes += bytes;
        self.gauge.changed.notify_all();
        self.sender.send((what, bytes)).map_err(|_| Error::Closed)
    }

    /// The same, whatever is queued: the last word of a handle that closes.
    pub(super) fn push_at_once(&self, what: T) -> Result<()> {
        self.sender.send((what, 0)).map_err(|_| Error::Closed)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.gauge.waiting.lock().bytes == 0
    }
}

impl<T> Exit<T> {
    /// The next one, if it comes within `wait`.
    pub(super) fn pop(&self, wait: Duration) -> Result<T, RecvTimeoutError> {
        let (what, bytes) = if wait.is_zero() {
            self.receiver.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            })?
        } else {
            self.receiver.recv_timeout(wait)?
        };
        self.gauge.waiting.lock().bytes -= bytes;
        self.gauge.changed.notify_all();
        Ok(what)
    }
}

impl<T> Drop for Exit<T> {
    fn drop(&mut self) {
        self.gauge.waiting.lock().closed = true;
        self.gauge.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_queue_holds_many_small_ones_or_few_large_ones() {
        let (entrance, exit) = queue();
        let entrance = Arc::new(entrance);
        for number in 0..MOST_BYTES / LEAST_BYTES {
            entrance.push(number, 0).unwrap();
        }
        let more = Arc::clone(&entrance);
        let waiting = std::thread::spawn(move || more.push(usize::MAX, MOST_BYTES * 2));
        for number in 0..MOST_BYTES / LEAST_BYTES {
            assert_eq!(exit.pop(Duration::ZERO).unwrap(), number);
        }
        assert_eq!(exit.pop(Duration::from_secs(10)).unwrap(), usize::MAX);
        waiting.join().unwrap().unwrap();
        assert_eq!(exit.pop(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    }

    /// Waits until so many have come to the queue.
    fn came<T>(entrance: &Entrance<T>, count: u64) {
        while entrance.gauge.waiting.lock().came < count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn small_ones_do_not_pass_a_large_one_that_waits_for_room() {
        let (entrance, exit) = queue();
        entrance.push("first", MOST_BYTES / 2).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| entrance.push("large", MOST_BYTES).unwrap());
            came(&entrance, 2);
            // There is room for it, but it is not its turn.
            scope.spawn(|| entrance.push("small", 0).unwrap());
            came(&entrance, 3);
            let taken = [(); 3].map(|()| exit.pop(Duration::from_secs(10)).unwrap());
            assert_eq!(taken, ["first", "large", "small"]);
        });
    }

    #[test]
    fn what_waits_takes_no_more_than_its_bytes() {
        const JOBS: usize = 20;
        let (entrance, exit) = queue();
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..JOBS {
                scope.spawn(|| {
                    entrance.push((), MOST_BYTES / 4).unwrap();
                    most.fetch_max(entrance.gauge.waiting.lock().bytes, Ordering::Relaxed);
                });
            }
            came(&entrance, JOBS as u64);
            for _ in 0..JOBS {
                exit.pop(Duration::from_secs(10)).unwrap();
            }
        });
        assert_eq!(entrance.gauge.waiting.lock().bytes, 0);
        assert_eq!(most.into_inner(), MOST_BYTES);
    }

    #[test]
    fn who_waits_for_room_is_told_that_nobody_makes_it_any_more() {
        let (entrance, exit) = queue();
        entrance.push(0, MOST_BYTES).unwrap();
        let waiting = std::thread::spawn(move || entrance.push(1, MOST_BYTES));
        drop(exit);
        assert!(matches!(waiting.join().unwrap(), Err(Error::Closed)));
    }
}
