//! What writing costs: objects and events per second, and what each of them takes of the threads,
//! the log, the file and the memory. Where the figures of one round are wanted apart, as memory is,
//! a criterion benchmark has no place for them.
//!
//! `make bench-writing SIZE=20000` prepares the data and runs this; by hand:
//!
//! ```text
//! python -m bench.peers.data .cache/peers --pods 20000        # prints a folder
//! VAI_BENCH_DATA=FOLDER cargo bench -p vai-core --bench writing [-- load|events|lone|log] [-- ROUNDS]
//! ```
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(clippy::cast_precision_loss, reason = "figures to read")]

#[path = "../core/ask.rs"]
#[expect(dead_code, reason = "one question is enough here")]
mod ask;
#[path = "../core/data.rs"]
#[expect(dead_code, reason = "the answers are those of the other benchmark")]
mod data;
mod meter;
mod readers;
#[path = "../core/store.rs"]
#[expect(dead_code, reason = "bursts are measured here")]
mod store;

use std::path::Path;
use std::time::{Duration, Instant};

use vai_core::store::Store;

use crate::data::Data;
use crate::meter::{Meter, median, memory_mb};

type Failure = Box<dyn std::error::Error>;

const ROUNDS: usize = 5;
/// Events of one burst.
const BURST: usize = 2_500;
const LONE: usize = 200;
/// What the kernel hands over together while a burst lasts.
const BURST_CHUNK_BYTES: usize = 64 * 1024;
/// More than a commit interval, so that each lone event is alone.
const PAUSE: Duration = Duration::from_millis(15);

fn main() -> Result<(), Failure> {
    let Some(folder) = std::env::var_os("VAI_BENCH_DATA") else {
        return Err(
            "name the folder of the data in VAI_BENCH_DATA, or use `make bench-writing`".into()
        );
    };
    // cargo adds `--bench`.
    let given: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let rounds = given.iter().find_map(|arg| arg.parse().ok()).unwrap_or(ROUNDS);
    let named: Vec<&String> = given.iter().filter(|arg| arg.parse::<usize>().is_err()).collect();
    let wants = |part: &str| named.is_empty() || named.iter().any(|name| *name == part);

    let data = Data::read(Path::new(&folder))?;
    let about = &data.about;
    println!(
        "{} pods, {} labels, {} MB of JSON",
        about.pods,
        about.labels,
        about.json_bytes / 1_000_000
    );
    if wants("load") {
        loads(&data, rounds)?;
    }
    if !["events", "lone", "log"].into_iter().any(wants) {
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("vai.db");
    let (writer, scope) = store::create(&path)?;
    store::load(&writer, scope, &data)?;
    if wants("events") {
        bursts(&data, &writer, scope)?;
    }
    if wants("lone") {
        lone(&data, &writer, scope)?;
    }
    if wants("log") {
        readers::overlapping(&data, &writer, scope, &path)?;
    }
    writer.close();
    Ok(())
}

/// First loads, each into a new file: from list pages to what is published and durable.
fn loads(data: &Data, rounds: usize) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let pods = data.about.pods as f64;
    let mut seconds = Vec::new();
    for round in 0..rounds {
        let folder = tempfile::tempdir_in(scratch.path())?;
        let path = folder.path().join("vai.db");
        let (writer, scope) = store::create(&path)?;
        let meter = Meter::start();
        let started = Instant::now();
        store::load(&writer, scope, data)?;
        let taken = started.elapsed().as_secs_f64();
        let threads = meter.stop();
        if round == 0 {
            // Later rounds find memory that the first one left.
            let (now, peak) = memory_mb();
            println!("memory after a load: {now:.1} MB, at its peak {peak:.1} MB");
        }
        seconds.push(taken);
        println!("  load {:.0} objects/s; {}", pods / taken, threads.per(pods, "object"));
        writer.close();
        if round + 1 == rounds {
            let size = std::fs::metadata(&path)?.len() as f64;
            println!(
                "file: {:.1} MB, {:.4} of the JSON",
                size / 1e6,
                size / data.about.json_bytes as f64
            );
        }
    }
    println!("first load: {:.0} objects/s (median)", pods / median(&mut seconds));
    Ok(())
}

/// The events that `peers/data.py` prepared, as fast as they go: most change a pod, in random order.
fn bursts(data: &Data, writer: &Store, scope: i64) -> Result<(), Failure> {
    let events = data.burst()?;
    let lines: Vec<&[u8]> = events.split_inclusive(|byte| *byte == b'\n').collect();
    let mut watching = writer.begin_watch(scope, false)?;
    let mut seconds = Vec::new();
    for some in lines.chunks_exact(BURST.min(lines.len())) {
        let bytes = some.concat();
        let meter = Meter::start();
        let started = Instant::now();
        for chunk in bytes.chunks(BURST_CHUNK_BYTES) {
            watching.push(chunk)?;
        }
        writer.flush()?;
        let each = started.elapsed().as_secs_f64() / some.len() as f64;
        seconds.push(each);
        let threads = meter.stop();
        println!("  burst {:.0} events/s; {}", 1.0 / each, threads.per(some.len() as f64, "event"));
    }
    println!("events in bursts: {:.0} events/s (median)", 1.0 / median(&mut seconds));
    Ok(())
}

/// Each committed before the next one comes: at once, or after a while in which caches cool.
fn lone(data: &Data, writer: &Store, scope: i64) -> Result<(), Failure> {
    let mut events = data.events()?;
    let mut watching = writer.begin_watch(scope, false)?;
    for pause in [Duration::ZERO, PAUSE] {
        let mut seconds = Vec::new();
        let meter = Meter::start();
        for _ in 0..LONE {
            let line = events.one();
            std::thread::sleep(pause);
            let started = Instant::now();
            watching.push(&line)?;
            writer.flush()?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        println!("  lone {}", meter.stop().per(LONE as f64, "event"));
        let middle = median(&mut seconds);
        println!(
            "events one by one, {} ms apart: {:.3} ms until kept (median), {:.0}/s",
            pause.as_millis(),
            middle * 1e3,
            1.0 / middle
        );
    }
    Ok(())
}
