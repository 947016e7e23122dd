//! When what was written is committed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vai_core::store::Options;

use crate::bytes::{Pod, event};
use crate::file::{load, options, spec, writer};

const INTERVAL: Duration = Duration::from_millis(300);

#[test]
fn events_that_keep_coming_are_committed_once_an_interval_and_a_lone_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Options { commit_interval: INTERVAL, ..options() };
    let store = writer(&folder.path().join("x.db"), slow);
    let scope = store.ensure_scope(spec("pods", None, "")).unwrap();
    load(&store, scope, &[], 1);
    let mut watching = store.begin_watch(scope, false).unwrap();
    let mut rv = 1;
    let mut next = || {
        rv += 1;
        event("ADDED", &Pod::new(&format!("a/p{rv}"), &format!("u{rv}"), rv))
    };
    std::thread::sleep(2 * INTERVAL);
    let started = Instant::now();
    watching.push(&next()).unwrap();
    store.flush().unwrap();
    assert!(started.elapsed() < INTERVAL, "a lone event waited {:?}", started.elapsed());

    std::thread::sleep(2 * INTERVAL);
    let (rounds, ended) = (5, AtomicBool::new(false));
    let commits = std::thread::scope(|threads| {
        let counting = threads.spawn(|| {
            let (mut commits, mut last) = (0, store.position().unwrap().1);
            while !ended.load(Ordering::Relaxed) {
                let now = store.wait_seq(last, INTERVAL / 4).unwrap();
                commits += u32::from(now > last);
                last = now;
            }
            commits
        });
        let until = Instant::now() + rounds * INTERVAL;
        while Instant::now() < until {
            watching.push(&next()).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        ended.store(true, Ordering::Relaxed);
        counting.join().unwrap()
    });
    // The first one at once, then one for each interval; counted wrongly there were two for each.
    assert!((2..=rounds + 2).contains(&commits), "{commits} commits in {rounds} intervals");
}
