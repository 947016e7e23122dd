//! What the threads of this process did between two moments (Linux only: elsewhere nothing is
//! printed of it).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

/// Of one thread: seconds on a processor, bytes given to `write`.
#[derive(Clone, Copy, Default)]
struct Work {
    seconds: f64,
    written: f64,
}

/// Where the threads stood.
pub(crate) struct Meter {
    before: BTreeMap<String, Work>,
}

/// What they did since.
pub(crate) struct Threads(BTreeMap<String, Work>);

impl Meter {
    pub(crate) fn start() -> Self {
        Self { before: threads() }
    }

    pub(crate) fn stop(self) -> Threads {
        let mut since = threads();
        for (name, work) in &mut since {
            let before = self.before.get(name).copied().unwrap_or_default();
            work.seconds -= before.seconds;
            work.written -= before.written;
        }
        Threads(since)
    }
}

impl Threads {
    /// Microseconds and written kilobytes for each of `count` things.
    pub(crate) fn per(&self, count: f64, what: &str) -> String {
        let mut text = format!("per {what}:");
        for (name, Work { seconds, written }) in &self.0 {
            let _ = write!(text, " {name} {:.1} µs", seconds * 1e6 / count);
            if *written > 0.0 {
                let _ = write!(text, " and {:.2} KB", written / 1e3 / count);
            }
            text.push(',');
        }
        text.trim_end_matches(',').to_owned()
    }
}

/// By name, and the ended ones together: their work is in the process's sums.
fn threads() -> BTreeMap<String, Work> {
    let mut found: BTreeMap<String, Work> = BTreeMap::new();
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return found };
    let mut alive = 0.0;
    for task in tasks.flatten().map(|entry| entry.path()) {
        let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
        let work = Work {
            seconds: on_processor(&task.join("schedstat")),
            written: number_behind(&task.join("io"), "wchar:"),
        };
        alive += work.seconds;
        let entry = found.entry(name.trim().to_owned()).or_default();
        entry.seconds += work.seconds;
        entry.written += work.written;
    }
    let ended = found.entry("ended threads".into()).or_default();
    ended.seconds = process_seconds() - alive;
    found
}

/// proc(5), `schedstat`: the first number is the time on a processor, in nanoseconds.
fn on_processor(path: &std::path::Path) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0) / 1e9
}

/// User and system time of all threads there were.
fn process_seconds() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9
}

fn number_behind(path: &std::path::Path, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim_end().parse().unwrap_or(0.0)
}

/// The resident memory of this process now and at its peak.
pub(crate) fn memory_mb() -> (f64, f64) {
    let status = std::path::Path::new("/proc/self/status");
    let kilobytes = |name| number_behind(status, name) * 1024.0 / 1e6;
    (kilobytes("VmRSS:"), kilobytes("VmHWM:"))
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
