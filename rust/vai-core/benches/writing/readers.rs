//! The log while others read.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use vai_core::store::{Mode, Store};

use crate::ask::Asked;
use crate::data::Data;
use crate::{Failure, store};

/// The WAL's largest size while 400 short readers overlap, so that at no moment nobody reads.
pub(crate) fn overlapping(
    data: &Data,
    writer: &Store,
    scope: i64,
    path: &Path,
) -> Result<(), Failure> {
    const READERS: usize = 400;
    const HANDLES: usize = 8;
    let wal = path.with_extension("db-wal");
    let asked = Asked::new(data.page()?);
    let handles: Vec<Store> = (0..HANDLES)
        .map(|_| Store::open(path, Mode::Reader, store::options()))
        .collect::<Result<_, _>>()?;
    let mut events = data.events()?;
    let mut watching = writer.begin_watch(scope, false)?;
    let stop = AtomicBool::new(false);
    let (read, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut largest = 0;
    let outcome = std::thread::scope(|spawned| {
        for handle in &handles {
            spawned.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if asked.ask(handle, 0).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut write = || -> Result<(), Failure> {
            // As long as it takes for 400 readers, and for what would make a WAL of 200 MB.
            let mut written = 0;
            while read.load(Ordering::Relaxed) < READERS || written < 200 << 20 {
                let event = events.one();
                written += event.len();
                watching.push(&event)?;
                largest = largest.max(std::fs::metadata(&wal)?.len());
            }
            Ok(())
        };
        let outcome = write();
        stop.store(true, Ordering::Relaxed);
        outcome
    });
    outcome?;
    handles.iter().for_each(Store::close);
    println!(
        "log beside {} short overlapping readers: {:.1} MB at its largest ({} failed)",
        read.into_inner(),
        largest as f64 / 1e6,
        failed.into_inner()
    );
    Ok(())
}
