//! The core alone, without Python: load, events, questions, opening, readers side by side.
//!
//! `make bench-core SIZE=10000` prepares the data and runs this; by hand:
//!
//! ```text
//! python -m bench.peers.data .cache/peers --pods 10000        # prints a folder
//! VAI_BENCH_DATA=FOLDER cargo bench -p vai-core [-- FILTER]
//! ```
#![expect(clippy::print_stderr, reason = "what is left out is said")]

mod access;
mod ask;
mod data;
mod readers;
mod store;

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use vai_core::store::{Mode, Store};

use crate::ask::Asked;
use crate::data::Data;

type Failure = Box<dyn std::error::Error>;

/// Events of one burst.
const BURST: usize = 1_000;
/// More than a commit interval, so that each lone event is alone.
const PAUSE: Duration = Duration::from_millis(15);

fn main() -> Result<(), Failure> {
    let Some(folder) = std::env::var_os("VAI_BENCH_DATA") else {
        return Err(
            "name the folder of the data in VAI_BENCH_DATA, or use `make bench-core`".into()
        );
    };
    let data = Data::read(Path::new(&folder))?;
    let mut criterion = Criterion::default().configure_from_args().without_plots();
    let name = format!("{} pods, {} labels", data.about.pods, data.about.labels);

    loads(&mut criterion, &name, &data)?;
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("vai.db");
    let (writer, scope) = store::create(&path)?;
    store::load(&writer, scope, &data)?;
    store::churn(&writer, scope, &data)?;
    let reader = Store::open(&path, Mode::Reader, store::options())?;
    questions(&mut criterion, &name, &data, &reader)?;
    access::pages(&mut criterion, &name, &data, &reader)?;
    openings(&mut criterion, &name, &data, &path)?;
    cursors(&mut criterion, &name, &data, &writer, scope, &path)?;
    readers::side_by_side(&mut criterion, &name, &data, &writer, scope)?;
    // Last: they change what the questions ask.
    events(&mut criterion, &name, &data, &writer, scope)?;
    criterion.final_summary();
    Ok(())
}

/// Runs `work` `times` times; criterion's closures can't return an error.
fn timed(times: u64, mut work: impl FnMut() -> Result<Duration, Failure>) -> Duration {
    let mut taken = Duration::ZERO;
    for _ in 0..times {
        match work() {
            Ok(one) => taken += one,
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(1);
            }
        }
    }
    taken
}

fn since(started: Instant) -> Duration {
    started.elapsed()
}

fn loads(criterion: &mut Criterion, name: &str, data: &Data) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group(format!("load, {name}"));
    group.sample_size(10).throughput(Throughput::Elements(data.about.pods));
    let scratch = tempfile::tempdir()?;
    group.bench_function("pages to durable", |bencher| {
        bencher.iter_custom(|times| {
            timed(times, || {
                let folder = tempfile::tempdir_in(scratch.path())?;
                let (writer, scope) = store::create(&folder.path().join("vai.db"))?;
                let started = Instant::now();
                store::load(&writer, scope, data)?;
                let taken = since(started);
                writer.close();
                Ok(taken)
            })
        });
    });
    group.finish();
    Ok(())
}

fn questions(
    criterion: &mut Criterion,
    name: &str,
    data: &Data,
    reader: &Store,
) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group(format!("ask, {name}"));
    group.sample_size(50).measurement_time(Duration::from_secs(2));
    for question in &data.questions {
        let asked = Asked::new(question);
        let total = asked.ask(reader, 0)?.total;
        if total != question.expected.total {
            let wanted = question.expected.total;
            return Err(format!("{}: {total} match, not {wanted}", question.name).into());
        }
        if question.limit == 0 {
            group.sample_size(10).throughput(Throughput::Bytes(data.about.json_bytes));
        }
        let mut number = 0;
        group.bench_function(&question.name, |bencher| {
            bencher.iter_custom(|times| {
                timed(times, || {
                    number += 1;
                    let started = Instant::now();
                    let answer = asked.ask(reader, number)?;
                    std::hint::black_box(&answer.body);
                    Ok(since(started) / u32::try_from(question.walk.max(1))?)
                })
            });
        });
    }
    group.finish();
    Ok(())
}

/// The second page of a cursor whose list nobody has any more: a past read.
fn cursors(
    criterion: &mut Criterion,
    name: &str,
    data: &Data,
    writer: &Store,
    scope: i64,
    path: &Path,
) -> Result<(), Failure> {
    /// Objects that change between the two pages.
    const CHANGED: usize = 1_000;
    let mut group = criterion.benchmark_group(format!("cursor, {name}"));
    group.sample_size(10);
    let asked = Asked::new(data.page()?);
    let first = Store::open(path, Mode::Reader, store::options())?;
    let page_two = asked.cursor(&first)?;
    first.close();
    let mut events = data.events()?;
    let mut watching = writer.begin_watch(scope, false)?;
    for _ in 0..CHANGED {
        watching.push(&events.one())?;
    }
    writer.flush()?;
    group.bench_function(format!("rebuilt, {CHANGED} changes later"), |bencher| {
        bencher.iter_custom(|times| {
            timed(times, || {
                // Each has the indexes in memory, and none the list.
                let reader = Store::open(path, Mode::Reader, store::options())?;
                asked.ask(&reader, 0)?;
                let started = Instant::now();
                asked.after(&reader, &page_two)?;
                let taken = since(started);
                reader.close();
                Ok(taken)
            })
        });
    });
    group.finish();
    Ok(())
}

/// A new handle and its first answer; the file is in the page cache.
fn openings(
    criterion: &mut Criterion,
    name: &str,
    data: &Data,
    path: &Path,
) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group(format!("open to first page, {name}"));
    group.sample_size(20);
    for wanted in ["no filter", "label = (33 %)"] {
        let asked = Asked::new(data.question(wanted)?);
        group.bench_function(wanted, |bencher| {
            bencher.iter_custom(|times| {
                timed(times, || {
                    let started = Instant::now();
                    let reader = Store::open(path, Mode::Reader, store::options())?;
                    asked.ask(&reader, 0)?;
                    let taken = since(started);
                    reader.close();
                    Ok(taken)
                })
            });
        });
    }
    group.finish();
    Ok(())
}

fn events(
    criterion: &mut Criterion,
    name: &str,
    data: &Data,
    writer: &Store,
    scope: i64,
) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group(format!("events, {name}"));
    let mut events = data.events()?;
    let mut watching = writer.begin_watch(scope, false)?;
    group.sample_size(10).throughput(Throughput::Elements(BURST as u64));
    group.bench_function("in bursts, until kept", |bencher| {
        bencher.iter_custom(|times| {
            timed(times, || {
                let lines: Vec<u8> = (0..BURST).flat_map(|_| events.one()).collect();
                let started = Instant::now();
                for chunk in lines.chunks(64 * 1024) {
                    watching.push(chunk)?;
                }
                writer.flush()?;
                Ok(since(started))
            })
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("one alone, until kept", |bencher| {
        bencher.iter_custom(|times| {
            timed(times, || {
                let line = events.one();
                std::thread::sleep(PAUSE);
                let started = Instant::now();
                watching.push(&line)?;
                writer.flush()?;
                Ok(since(started))
            })
        });
    });
    group.finish();
    Ok(())
}
