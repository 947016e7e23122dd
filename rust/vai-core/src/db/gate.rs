//! A gate that lets a fork wait until no thread is inside `SQLite` or holds a lock of this crate.
//!
//! A forked child has one thread and a copy of every mutex as it was: one that another thread held,
//! `SQLite`'s own static ones included, stays locked for ever. So a thread enters the gate for as
//! long as it works on a file, and whoever forks closes the gate first. There is nothing here but
//! two atomics: a lock would have the fault that it is to prevent.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static CLOSED: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// A fork is worth waiting for, but not for ever: reads end at their deadline (30 s by default),
/// and a child that never opens a file needs no gate at all.
const PATIENCE: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_micros(50);

thread_local! {
    /// A thread that is inside may enter again while the gate is closed.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Proof of being inside; leaves when dropped.
#[derive(Debug)]
pub struct Pass {
    // Leaving counts in the thread that entered.
    not_send: PhantomData<*const ()>,
}

/// Enters, waiting while a fork is under way.
#[must_use]
pub fn enter() -> Pass {
    let pass = Pass { not_send: PhantomData };
    if DEPTH.get() == 0 {
        loop {
            INSIDE.fetch_add(1, Ordering::SeqCst);
            if !CLOSED.load(Ordering::SeqCst) {
                break;
            }
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            std::thread::sleep(GLANCE);
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    pass
}

impl Drop for Pass {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Before a fork: closes the gate and waits until nobody is inside.
pub fn before_fork() {
    let end = Instant::now() + PATIENCE;
    while CLOSED.swap(true, Ordering::SeqCst) && Instant::now() < end {
        std::thread::sleep(GLANCE);
    }
    while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        std::thread::sleep(GLANCE);
    }
}

/// After a fork, in the parent: opens the gate.
pub fn after_fork_in_parent() {
    CLOSED.store(false, Ordering::SeqCst);
}

/// After a fork, in the child: nobody is inside, whatever the copy of the counter says.
pub fn after_fork_in_child() {
    INSIDE.store(0, Ordering::SeqCst);
    CLOSED.store(false, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_waits_for_those_inside_and_holds_up_those_outside() {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let inside = std::thread::spawn(move || {
            let _outer = enter();
            ready.send(()).unwrap();
            may_go.recv().unwrap();
            let _again = enter();
        });
        is_ready.recv().unwrap();
        let forking = std::thread::spawn(before_fork);
        while !CLOSED.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let late = std::thread::spawn(|| {
            let _pass = enter();
        });
        assert!(!forking.is_finished());
        go.send(()).unwrap();
        inside.join().unwrap();
        forking.join().unwrap();
        assert!(!late.is_finished());
        after_fork_in_parent();
        late.join().unwrap();
    }
}
