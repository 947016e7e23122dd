//! Readers beside each other and beside the writer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use vai_core::store::Store;

use crate::ask::Asked;
use crate::data::Data;
use crate::{Failure, since, timed};

/// Pages of one round.
const PAGES: usize = 200;
/// Events are handed over as a watch of a busy cluster brings them.
const EVENTS_PER_S: u64 = 1_000;
const EVENTS_AT_ONCE: u64 = 10;

/// The same pages by one thread and by four, alone and with the writer at work: criterion shows
/// pages per second.
pub(crate) fn side_by_side(
    criterion: &mut Criterion,
    name: &str,
    data: &Data,
    writer: &Store,
    scope: i64,
) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group(format!("readers, {name}"));
    group.sample_size(10).throughput(Throughput::Elements(PAGES as u64));
    let asked = Asked::new(data.page()?);
    for beside in ["alone", "beside the writer"] {
        for threads in [1, 4] {
            let stop = AtomicBool::new(beside == "alone");
            let outcome = std::thread::scope(|spawned| {
                let writing = spawned.spawn(|| write_until(&stop, data, writer, scope));
                group.bench_function(format!("{threads} threads, {beside}"), |bencher| {
                    bencher.iter_custom(|times| timed(times, || pages(threads, &asked, writer)));
                });
                stop.store(true, Ordering::Relaxed);
                writing.join().unwrap_or_else(|_| Err("the writer panicked".to_owned()))
            });
            outcome?;
        }
    }
    group.finish();
    Ok(())
}

fn pages(threads: usize, asked: &Asked<'_>, store: &Store) -> Result<Duration, Failure> {
    let left = AtomicUsize::new(PAGES);
    let failed = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while left
                    .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    if asked.ask(store, 0).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let taken = since(started);
    match failed.into_inner() {
        0 => Ok(taken),
        failed => Err(format!("{failed} pages failed").into()),
    }
}

/// Errors as texts: a boxed error can't leave its thread.
fn write_until(stop: &AtomicBool, data: &Data, writer: &Store, scope: i64) -> Result<(), String> {
    let told = |error: Failure| error.to_string();
    let mut events = data.events().map_err(told)?;
    let mut watching = writer.begin_watch(scope, false).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..EVENTS_AT_ONCE {
            watching.push(&events.one()).map_err(|error| error.to_string())?;
        }
        sent += EVENTS_AT_ONCE;
        let due = Duration::from_micros(sent * 1_000_000 / EVENTS_PER_S);
        std::thread::sleep(due.saturating_sub(since(started)));
    }
    Ok(())
}
