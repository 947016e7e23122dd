//! `FILE.live`: what the writer last knew of each scope, for readers in other processes.
//!
//! It is outside the WAL, so that an idle cluster costs no page writes, and is written without
//! fsync at most once a second. What it says is told, with its moment, *by the code that read the
//! bytes*: of one that hangs it says so. A new boot or a dead writer makes it a memory of the past,
//! never a claim.
//!
//! It has the bookmarks too ([`Quiet`]): the checkpoint in the database moves with rows alone.
//!
//! Layout: length (8 bytes, little endian), hash of the text (8 bytes), number of the text (8 bytes:
//! another one each time), the bell (8 bytes: written after each commit, never read), JSON text. A
//! reader that meets a half-written one reads again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const HEAD_BYTES: usize = 32;
/// Where the number of the text is.
const NUMBER_AT: u64 = 16;
/// Where the bell is.
const BELL_AT: u64 = 24;
/// Tries of a reader against a writer that writes once a second: two would do.
const READ_TRIES: usize = 20;

/// What the reflector last told of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reported {
    /// A list is under way: the first one, or one that will replace what is there.
    Listing,
    /// Rows are complete as of their age; the stream has not yet shown to be past the present.
    CatchingUp,
    /// The stream is open and was proven; how long ago tells the age.
    Live,
    /// The server answers, but not so that the rows could be proven.
    Stale,
    /// The server is not heard.
    Offline,
    /// 401 or 403 after credentials were refreshed.
    Forbidden,
    /// The server serves the resource no longer.
    Gone,
}

impl Reported {
    /// A state by its name, `catching-up` for example; `None` for no such name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::from(text)).ok()
    }
}

/// No event of the scope lies between these resourceVersions: rows that are complete as of the first
/// are so as of the second. That is true of the cluster, whatever became of the file meanwhile: who
/// finds a checkpoint of `from` there may go on from `to`, after a kill, a crash of the machine or in
/// an older copy of the file as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// What the last event, or the list, left as the checkpoint.
    pub from: String,
    /// The last bookmark.
    pub to: String,
}

/// One scope's entry. Times are `CLOCK_BOOTTIME` in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeLive {
    /// What the reflector said last.
    pub state: Reported,
    /// Why, in words for a person; empty where there is nothing to say.
    pub reason: String,
    /// When `state` was entered.
    pub since: f64,
    /// When the reflector last told anything: a hanging one stops.
    pub touched: f64,
    /// When the server was last heard.
    pub contact: Option<f64>,
    /// As of when the rows were last proven complete.
    pub proof: Option<f64>,
    /// When the rows were last compared with the server's.
    #[serde(default)]
    pub checked: Option<f64>,
    /// Why the last comparison could not be made; empty where it was.
    #[serde(default)]
    pub check_note: String,
    /// How far the stream has shown that nothing happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Quiet>,
}

impl ScopeLive {
    pub(crate) fn new(now: f64) -> Self {
        Self {
            state: Reported::CatchingUp,
            reason: String::new(),
            since: now,
            touched: now,
            contact: None,
            proof: None,
            checked: None,
            check_note: String::new(),
            quiet: None,
        }
    }

    /// How far rows with this checkpoint are complete.
    #[must_use]
    pub fn reaches(&self, checkpoint: &str) -> Option<&str> {
        let quiet = self.quiet.as_ref().filter(|quiet| quiet.from == checkpoint)?;
        Some(&quiet.to)
    }
}

/// Requests of one verb, counted since the writer began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Requests that went out.
    pub requests: u64,
    /// Bytes of answers as they came from the connection, heads included, above TLS.
    pub received_bytes: u64,
    /// Of the requests: those that repeat one that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Answers 429 (Too Many Requests).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub throttled: u64,
}

/// What is rare is not written: the file of 200 scopes is written a dozen times a second.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Count {
    /// Adds another count to this one.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.received_bytes += other.received_bytes;
        self.retries += other.retries;
        self.throttled += other.throttled;
    }
}

/// What the writer asked the server for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Since when it counts: `CLOCK_BOOTTIME` in seconds.
    pub since: f64,
    /// By the id of the scope, then by verb; 0 is what is asked for the cluster as a whole.
    pub scopes: BTreeMap<i64, BTreeMap<String, Count>>,
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The process that wrote it.
    pub pid: u32,
    /// `meta.file_id` of the database: what stands beside another one says nothing of it.
    #[serde(default)]
    pub file_id: String,
    /// The boot that all times count from: [`boot_id`].
    pub boot: String,
    /// By the id of the scope.
    pub scopes: BTreeMap<i64, ScopeLive>,
    /// The writer proves its scopes within this many seconds.
    #[serde(default)]
    pub limit_s: f64,
    /// What it asked the server for.
    #[serde(default)]
    pub traffic: Traffic,
}

/// Writes the file in place; the descriptor stays open.
#[derive(Debug)]
pub struct LiveFile {
    file: File,
}

impl LiveFile {
    /// Opens the file, making it (0600) if it is not there. What it says stays until the first
    /// write.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| Error::io(path, &error))?;
        Ok(Self { file })
    }

    /// Replaces what the file says. Without fsync: after a crash of the machine it is worth
    /// nothing.
    pub fn write(&self, live: &Live) -> Result<()> {
        let text = serde_json::to_vec(live).map_err(Error::internal)?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + text.len());
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&hash(&text));
        // Nanoseconds of a clock that only goes forward: no two writes have the same.
        bytes.extend_from_slice(&boottime_s().to_bits().to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&text);
        self.file.write_all_at(&bytes, 0).map_err(Error::internal)
    }

    /// Wakes the readers of other processes, who listen to writes ([`super::bell`]): something was
    /// committed. They look for themselves; one that hears nothing looks a second later.
    pub fn ring(&self, seq: i64) {
        let _ = self.file.write_all_at(&seq.to_le_bytes(), BELL_AT);
    }
}

/// A number that changes whenever the writer told something; 0 where there is no file.
#[must_use]
pub fn number(path: &Path) -> u64 {
    let mut bytes = [0; 8];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut bytes, NUMBER_AT))
        .map_or(0, |()| u64::from_le_bytes(bytes))
}

/// The last whole state; `None` where there is none or it stays half-written.
#[must_use]
pub fn read(path: &Path) -> Option<Live> {
    for attempt in 0..READ_TRIES {
        if attempt > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let bytes = std::fs::read(path).ok()?;
        if let Some(live) = parse(&bytes) {
            return Some(live);
        }
    }
    None
}

fn parse(bytes: &[u8]) -> Option<Live> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let length = usize::try_from(u64::from_le_bytes(head[..8].try_into().ok()?)).ok()?;
    let text = rest.get(..length)?;
    (hash(text) == head[8..16]).then(|| serde_json::from_slice(text).ok()).flatten()
}

fn hash(text: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(text);
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

/// Seconds since boot; goes on while the machine sleeps and is the same in every process.
#[must_use]
pub fn boottime_s() -> f64 {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    // macOS' monotonic clock goes on during sleep.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(CLOCK);
    #[expect(clippy::cast_precision_loss, reason = "seconds since boot are far below 2^52")]
    let whole = now.tv_sec as f64;
    #[expect(clippy::cast_precision_loss, reason = "below 10^9")]
    let nanos = now.tv_nsec as f64;
    whole + nanos / 1e9
}

/// Names this boot of the machine, so that times of another one are not compared.
#[must_use]
pub fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(
            // Without /proc: the minute of the boot.
            |_| {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds are below 2^52")]
                let now_s = unix_ms() as f64 / 1e3;
                format!("{:.0}", (now_s - boottime_s()) / 60.0)
            },
            |text| text.trim().to_owned(),
        )
    })
}

/// Milliseconds since 1970, for what has to be told across boots.
#[must_use]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_was_written_and_never_half_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.live");
        let file = LiveFile::create(&path).unwrap();
        let mut live = Live { pid: 7, boot: "b".into(), ..Live::default() };
        live.scopes.insert(1, ScopeLive { reason: "x".repeat(500), ..ScopeLive::new(1.0) });
        file.write(&live).unwrap();
        assert_eq!(read(&path), Some(live.clone()));
        live.scopes.clear();
        file.write(&live).unwrap();
        assert_eq!(read(&path), Some(live.clone()), "a shorter text over a longer one");
        let told = number(&path);
        file.ring(7);
        assert_eq!((read(&path), number(&path)), (Some(live.clone()), told), "nothing was told");
        file.write(&live).unwrap();
        assert_ne!(number(&path), told);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEAD_BYTES + 4] ^= 1;
        assert_eq!(parse(&bytes), None);
        assert_eq!(parse(&bytes[..10]), None);
    }
}
