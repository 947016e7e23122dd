//! A Kubernetes List of rows as bytes.
//!
//! Each stored frame tells how long its body is, so the place of every body is known before the
//! first one is read: threads decompress right into the answer, and nothing is copied.

use parking_lot::Mutex;

use super::request::Project;
use super::rows::Rows;
use crate::codec::{self, Codec};
use crate::error::{Error, Result};

/// Threads that decompress a long list; the goals are set for two cores.
const THREADS: usize = 2;
/// Answer that a thread takes at once. With less, starting a thread (50 µs) takes longer than
/// decompressing on the one that is there.
const RUN_BYTES: usize = 1024 * 1024;

/// A List of the rows of one page: its length is known, its bytes are not made yet.
pub struct ListJson<'a> {
    codec: &'a Codec,
    head: Vec<u8>,
    items: Vec<Item<'a>>,
    len: usize,
}

enum Item<'a> {
    Frame {
        frame: &'a [u8],
        len: usize,
    },
    /// A part of a body.
    Text(Vec<u8>),
}

impl Item<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Frame { len, .. } => *len,
            Self::Text(text) => text.len(),
        }
    }

    fn write(&self, codec: &Codec, out: &mut [u8]) -> Result<()> {
        match self {
            Self::Frame { frame, .. } => codec.decode_into(frame, out),
            Self::Text(text) => {
                out.copy_from_slice(text);
                Ok(())
            }
        }
    }
}

/// Items that lie together, and where they go.
type Run<'a, 'o> = (&'a [Item<'a>], &'o mut [u8]);

const TAIL: &[u8] = b"]}";

impl Rows {
    /// A Kubernetes List of the rows. Bodies are decompressed in place, not parsed.
    pub fn list_json(
        &self,
        kind: &str,
        api_version: &str,
        continue_token: &str,
    ) -> Result<ListJson<'_>> {
        let mut meta = serde_json::Map::new();
        meta.insert("resourceVersion".into(), self.resource_version().into());
        if !continue_token.is_empty() {
            meta.insert("continue".into(), continue_token.into());
        }
        let mut head = serde_json::json!({
            "apiVersion": api_version, "kind": kind, "metadata": meta
        })
        .to_string()
        .into_bytes();
        head.pop();
        head.extend_from_slice(b",\"items\":[");
        let whole = *self.project() == Project::Body;
        let mut items = Vec::with_capacity(self.len());
        for frame in self.frames() {
            self.inner().know_frame(frame)?;
            items.push(if whole {
                Item::Frame { frame, len: codec::body_len(frame)? }
            } else {
                Item::Text(self.project().of(self.inner().decode(frame)?)?)
            });
        }
        let commas = items.len().saturating_sub(1);
        let len = head.len() + items.iter().map(Item::len).sum::<usize>() + commas + TAIL.len();
        Ok(ListJson { codec: self.inner().codec(), head, items, len })
    }
}

impl ListJson<'_> {
    /// Bytes of the List.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a List has braces at least")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The List as a vector.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        // The zeroes of a large vector are pages that the kernel has not given out yet.
        let mut out = vec![0; self.len];
        self.write(&mut out)?;
        Ok(out)
    }

    /// Writes the List to `out`, which has [`Self::len`] bytes; a long one with two threads.
    pub fn write(&self, out: &mut [u8]) -> Result<()> {
        if out.len() != self.len {
            return Err(Error::Internal(format!(
                "a List of {} bytes does not fit {}",
                self.len,
                out.len()
            )));
        }
        let (head, rest) = out.split_at_mut(self.head.len());
        head.copy_from_slice(&self.head);
        let (items, tail) = rest.split_at_mut(rest.len() - TAIL.len());
        tail.copy_from_slice(TAIL);
        if items.len() < 2 * RUN_BYTES {
            return self.write_run((&self.items, items));
        }
        let runs = Mutex::new(self.runs(items).into_iter());
        let work = || {
            // The lock is held while a run is taken, not while it is written.
            while let Some(run) = { runs.lock().next() } {
                self.write_run(run)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..THREADS).map(|_| scope.spawn(work)).collect();
            let mine = work();
            others.into_iter().fold(mine, |outcome, other| {
                let theirs = other.join().map_err(|_| Error::Internal("a thread panicked".into()));
                outcome.and(theirs.flatten())
            })
        })
    }

    /// Cuts the items and their places into runs; a run ends where an item does, before a comma.
    fn runs<'o>(&self, mut out: &'o mut [u8]) -> Vec<Run<'_, 'o>> {
        let mut runs = Vec::with_capacity(out.len() / RUN_BYTES + 1);
        let (mut first, mut bytes) = (0, 0);
        for (at, item) in self.items.iter().enumerate() {
            bytes += item.len() + usize::from(at > first);
            let last = at + 1 == self.items.len();
            if bytes < RUN_BYTES && !last {
                continue;
            }
            let (place, rest) = std::mem::take(&mut out).split_at_mut(bytes);
            runs.push((&self.items[first..=at], place));
            out = rest;
            if let Some((comma, rest)) = std::mem::take(&mut out).split_first_mut() {
                *comma = b',';
                out = rest;
            }
            (first, bytes) = (at + 1, 0);
        }
        runs
    }

    fn write_run(&self, (items, mut out): Run<'_, '_>) -> Result<()> {
        for (at, item) in items.iter().enumerate() {
            let comma = usize::from(at > 0);
            let (place, rest) = out.split_at_mut(comma + item.len());
            place[..comma].fill(b',');
            item.write(self.codec, &mut place[comma..])?;
            out = rest;
        }
        Ok(())
    }
}
