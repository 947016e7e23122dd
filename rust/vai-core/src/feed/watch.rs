//! Watch streams: frames in, events out.

use std::borrow::Cow;

use memchr::memmem;

use super::ends::{EndFinder, Found};
use super::gunzip::Gunzip;
use super::item::{Builder, check_utf8};
use super::json::{Cursor, Stop, skip_space};
use super::list::{number, string};
use super::{FeedError, FeedOptions, Item, keep_buffer};
use crate::object::Scan;

/// One event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The object is new to this watch.
    Added(Item),
    /// The object changed.
    Modified(Item),
    /// The object is gone; this is its last state.
    Deleted(Item),
    /// Nothing older than this version will come.
    Bookmark {
        /// The version reached.
        resource_version: String,
        /// The bookmark ends the initial events (`sendInitialEvents=true`).
        initial_events_end: bool,
    },
    /// The server ended the watch.
    Error {
        /// The Status object, JSON as sent.
        status: Vec<u8>,
        /// HTTP code of the Status, 410 for an expired version.
        code: Option<u16>,
        /// Machine-readable reason.
        reason: Option<String>,
    },
    /// `columnDefinitions` of a Table, JSON as sent. The server sends them in the first event of
    /// a watch only; they come before that event.
    Columns(Vec<u8>),
    /// A frame that cannot be used; the watch goes on behind it.
    Malformed {
        /// The frame's beginning, at most [`MAX_EXCERPT_BYTES`]; empty where the scope is
        /// redacted.
        excerpt: String,
        /// What is wrong; never a value.
        problem: String,
        /// `namespace/name` where it could be read.
        key: Option<String>,
    },
}

/// As much of a malformed frame as is quoted: enough to see what it was.
pub const MAX_EXCERPT_BYTES: usize = 200;

/// How often a frame that looks cut off is parsed at once; then only when it has doubled, so that
/// a frame of many odd lines costs no quadratic time.
const EAGER_SUSPICIONS: u32 = 64;

/// Reads one watch response: frames `{"type": …, "object": …}`, one to a line as kube-apiserver
/// writes them, or without anything between them.
///
/// A frame that is wrong in itself is reported as [`Event::Malformed`]. If it is also no JSON,
/// its end is unknown, and reading goes on at the next line that begins with `{`.
#[derive(Debug)]
pub struct WatchFeed {
    gunzip: Option<Gunzip>,
    frames: Frames,
}

impl WatchFeed {
    /// A feed for one response.
    #[must_use]
    pub fn new(options: &FeedOptions) -> Self {
        Self { gunzip: options.gzip.then(Gunzip::new), frames: Frames::new(options) }
    }

    /// Takes the next bytes of the response and gives the events that became complete.
    ///
    /// An error of the sink or of the response ends the feed; it must not be used any more.
    pub fn push<E: From<FeedError>>(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.gunzip {
            Some(gunzip) => gunzip.push(chunk, |bytes| self.frames.push(bytes, sink)),
            None => self.frames.push(chunk, sink),
        }
    }

    /// Says that the response has ended; inside a frame that is an error.
    pub fn finish(&mut self) -> Result<(), FeedError> {
        if let Some(gunzip) = &mut self.gunzip {
            gunzip.finish()?;
        }
        self.frames.finish()
    }
}

/// What stands between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A frame comes next, or has begun (then something is carried).
    Frame,
    /// Behind a malformed frame, looking for a line that begins with `{`.
    Lost { after_line_feed: bool },
}

#[derive(Debug)]
struct Frames {
    builder: Builder,
    limit_bytes: usize,
    place: Place,
    carry: Vec<u8>,
    ends: EndFinder,
    suspicions: u32,
    /// A suspicion is looked into only when this much is carried.
    look_again_at: usize,
    /// Offset in the response of the next byte, or of `carry[0]` when something is carried.
    position: u64,
}

/// What parsing at the beginning of some bytes gave.
enum Parsed {
    /// A frame that took this many bytes.
    Frame(usize),
    Incomplete,
    /// No JSON; what is wrong and the frame's end are at this position or later.
    Broken {
        at: usize,
        problem: &'static str,
        key: Option<String>,
    },
}

impl Frames {
    fn new(options: &FeedOptions) -> Self {
        Self {
            builder: Builder::new(options),
            limit_bytes: options.max_object_bytes,
            place: Place::Frame,
            carry: Vec::new(),
            ends: EndFinder::new(true),
            suspicions: 0,
            look_again_at: 0,
            position: 0,
        }
    }

    fn push<E: From<FeedError>>(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut input = Cow::Borrowed(chunk);
        let mut events = Vec::new();
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            if let Place::Lost { after_line_feed } = self.place {
                at += self.find_line(rest, after_line_feed);
            } else if self.carry.is_empty() {
                at += self.read_frame(rest, &mut events)?;
            } else if let Some(again) = self.read_carry(rest, &mut at, &mut events)? {
                // Rare: whole lines were taken for the rest of a malformed frame.
                input = Cow::Owned([&again, &input[at..]].concat());
                at = 0;
            }
            for event in events.drain(..) {
                sink(event)?;
            }
        }
        Ok(())
    }

    /// Skips to a line that begins with `{`; returns the bytes skipped.
    fn find_line(&mut self, bytes: &[u8], after_line_feed: bool) -> usize {
        let skipped = if after_line_feed && bytes[0] == b'{' {
            self.place = Place::Frame;
            0
        } else if let Some(line_feed) = memmem::find(bytes, b"\n{") {
            self.place = Place::Frame;
            line_feed + 1
        } else {
            self.place = Place::Lost { after_line_feed: bytes.ends_with(b"\n") };
            bytes.len()
        };
        self.position += skipped as u64;
        skipped
    }

    /// Reads a frame (or white space) that begins in these bytes; returns how many were used.
    fn read_frame(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<usize, FeedError> {
        let space = skip_space(bytes, 0);
        self.position += space as u64;
        let frame = &bytes[space..];
        if frame.is_empty() {
            return Ok(space);
        }
        let used = match self.parse(frame, events) {
            Parsed::Frame(taken) => {
                self.check_length(taken)?;
                taken
            }
            Parsed::Incomplete => {
                self.check_length(frame.len())?;
                self.carry.extend_from_slice(frame);
                self.ends.begin(frame);
                self.suspicions = 0;
                self.look_again_at = 0;
                return Ok(bytes.len());
            }
            Parsed::Broken { at, problem, key } => {
                self.check_length(at)?;
                events.push(self.malformed(&frame[..=at.min(frame.len() - 1)], problem, key));
                self.resync(frame)
            }
        };
        self.position += used as u64;
        Ok(space + used)
    }

    /// Finds where to go on after the malformed frame at the beginning of these bytes.
    fn resync(&mut self, frame: &[u8]) -> usize {
        // Not at its very first byte, or it would be read for ever.
        if let Some(line_feed) = memmem::find(frame, b"\n{") {
            return line_feed + 1;
        }
        self.place = Place::Lost { after_line_feed: frame.ends_with(b"\n") };
        frame.len()
    }

    /// Adds to the frame that is carried over, and moves `at` behind what was used. If the frame
    /// turns out malformed, returns the bytes of it that must be read again, if any.
    fn read_carry(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        events: &mut Vec<Event>,
    ) -> Result<Option<Vec<u8>>, FeedError> {
        let found = self.ends.feed(bytes);
        let (Found::End(taken) | Found::Suspect(taken)) = found else {
            *at += bytes.len();
            self.carry.extend_from_slice(bytes);
            return self.check_carry().map(|()| None);
        };
        *at += taken;
        self.carry.extend_from_slice(&bytes[..taken]);
        if matches!(found, Found::Suspect(_)) {
            self.suspicions += 1;
            if self.suspicions > EAGER_SUSPICIONS && self.carry.len() < self.look_again_at {
                return self.check_carry().map(|()| None);
            }
            self.look_again_at = 2 * self.carry.len();
        }
        let mut carry = std::mem::take(&mut self.carry);
        let mut again = None;
        match self.parse(&carry, events) {
            Parsed::Frame(used) => {
                self.check_length(used)?;
                self.position += used as u64;
                // A delimiter behind a frame that is a mere number is of no interest.
                *at -= carry.len() - used;
            }
            Parsed::Incomplete => {
                self.carry = carry;
                return self.check_carry().map(|()| None);
            }
            Parsed::Broken { at: wrong, problem, key } => {
                self.check_length(wrong)?;
                events.push(self.malformed(&carry[..=wrong.min(carry.len() - 1)], problem, key));
                let used = self.resync(&carry);
                self.position += used as u64;
                again = (used < carry.len()).then(|| carry[used..].to_vec());
            }
        }
        keep_buffer(&mut carry);
        self.carry = carry;
        Ok(again)
    }

    fn check_carry(&self) -> Result<(), FeedError> {
        self.check_length(self.carry.len())
    }

    fn check_length(&self, length: usize) -> Result<(), FeedError> {
        if length > self.limit_bytes {
            return Err(FeedError::TooLarge {
                position: self.position,
                limit_bytes: self.limit_bytes,
            });
        }
        Ok(())
    }

    /// Parses the frame at the beginning of these bytes and adds its events.
    fn parse(&self, bytes: &[u8], events: &mut Vec<Event>) -> Parsed {
        let mut cursor = Cursor::new(bytes);
        let mut scan = Scan::default();
        let mut kind = None;
        let mut has_object = false;
        let read = cursor.object(|cursor, key| {
            if key.is(b"type") {
                kind = string(cursor)?;
                Ok(())
            } else if key.is(b"object") {
                has_object = true;
                scan.object(cursor, self.builder.wanted())
            } else {
                cursor.value().map(drop)
            }
        });
        match read {
            Ok(()) => {}
            Err(Stop::Incomplete) => return Parsed::Incomplete,
            Err(Stop::Malformed { at, problem }) => {
                return Parsed::Broken { at, problem, key: scan.key() };
            }
        }
        let frame = &bytes[..cursor.pos];
        let key = scan.key();
        let read = match check_utf8(frame) {
            Err(fault) => Err(fault.problem),
            Ok(()) if !has_object => Err("the event has no object".to_owned()),
            Ok(()) => self.event(frame, kind.as_deref(), scan, events),
        };
        if let Err(problem) = read {
            events.push(self.malformed(frame, &problem, key));
        }
        Parsed::Frame(frame.len())
    }

    /// Makes the events of a frame.
    fn event(
        &self,
        frame: &[u8],
        kind: Option<&str>,
        scan: Scan,
        events: &mut Vec<Event>,
    ) -> Result<(), String> {
        let wrap = match kind {
            Some("ADDED") => Event::Added,
            Some("MODIFIED") => Event::Modified,
            Some("DELETED") => Event::Deleted,
            Some("ERROR") => {
                events.push(error_event(&frame[scan.span]));
                return Ok(());
            }
            Some("BOOKMARK") => return self.bookmark(frame, &scan, events),
            _ => return Err("unknown type of event".to_owned()),
        };
        if !scan.is_table() {
            let item = self.builder.item(frame, scan, None).map_err(|fault| fault.problem)?;
            events.push(wrap(item));
            return Ok(());
        }
        let rows = self.table(frame, &scan, events)?;
        if rows.is_empty() {
            return Err("the Table has no row".to_owned());
        }
        events.extend(rows.into_iter().map(wrap));
        Ok(())
    }

    /// The items of a Table that came in an event; its columns are added to the events.
    fn table(
        &self,
        frame: &[u8],
        table: &Scan,
        events: &mut Vec<Event>,
    ) -> Result<Vec<Item>, String> {
        columns(frame, table, events);
        let mut items = Vec::new();
        self.each_row(frame, table, |rows, scan, cells| {
            items.push(self.builder.item(rows, scan, cells).map_err(|fault| fault.problem)?);
            Ok(())
        })?;
        Ok(items)
    }

    /// Scans the rows of a Table. The ranges given count from the slice given.
    fn each_row(
        &self,
        frame: &[u8],
        table: &Scan,
        mut each: impl FnMut(&[u8], Scan, Option<std::ops::Range<usize>>) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(rows) = table.rows.clone() else { return Ok(()) };
        let rows = &frame[rows];
        if rows == b"null" {
            return Ok(());
        }
        let mut cursor = Cursor::new(rows);
        let mut wrong = Ok(());
        let read = cursor.array(|cursor| {
            let mut scan = Scan::default();
            let row = self.builder.row(cursor, &mut scan)?;
            if !row.has_object {
                scan.problem = Some("the row has no object".to_owned());
            }
            if wrong.is_ok() {
                wrong = each(rows, scan, row.cells);
            }
            Ok(())
        });
        match read {
            Ok(()) => wrong,
            Err(Stop::Incomplete) => Err("the Table's rows are no array of objects".to_owned()),
            Err(Stop::Malformed { problem, .. }) => Err(format!("the Table's rows: {problem}")),
        }
    }

    /// A bookmark: an object of the resource's kind with nothing but a resourceVersion, or a
    /// Table made of it. The Table carries the version in its own metadata and the annotation in
    /// its row's (`asTable` in apiserver's `endpoints/handlers/response.go`, `ConvertToTable` in
    /// `registry/rest/table.go`).
    fn bookmark(&self, frame: &[u8], scan: &Scan, events: &mut Vec<Event>) -> Result<(), String> {
        let mut version = scan.resource_version.clone();
        let mut initial_events_end = scan.initial_events_end;
        if scan.is_table() {
            columns(frame, scan, events);
            self.each_row(frame, scan, |_, row, _| {
                initial_events_end |= row.initial_events_end;
                if version.is_none() {
                    version.clone_from(&row.resource_version);
                }
                Ok(())
            })?;
        }
        let resource_version = version.ok_or("the bookmark has no resourceVersion")?;
        events.push(Event::Bookmark { resource_version, initial_events_end });
        Ok(())
    }

    fn malformed(&self, frame: &[u8], problem: &str, key: Option<String>) -> Event {
        let excerpt = if self.builder.may_quote() {
            let mut excerpt =
                String::from_utf8_lossy(&frame[..frame.len().min(MAX_EXCERPT_BYTES)]).into_owned();
            // A character that was cut became U+FFFD, which may be longer.
            excerpt.truncate(excerpt.floor_char_boundary(MAX_EXCERPT_BYTES));
            excerpt
        } else {
            String::new()
        };
        Event::Malformed { excerpt, problem: problem.to_owned(), key }
    }

    fn finish(&mut self) -> Result<(), FeedError> {
        let lost_in_line = self.place == Place::Lost { after_line_feed: false };
        if self.carry.is_empty() && !lost_in_line {
            return Ok(());
        }
        Err(FeedError::Truncated {
            position: self.position + self.carry.len() as u64,
            problem: "the watch ended inside an event".to_owned(),
        })
    }
}

/// Adds the columns, unless the server left them out (as null in every event but the first).
fn columns(frame: &[u8], table: &Scan, events: &mut Vec<Event>) {
    if let Some(span) = table.columns.clone() {
        let columns = &frame[span];
        if columns.first() == Some(&b'[') && columns != b"[]" {
            events.push(Event::Columns(columns.to_vec()));
        }
    }
}

/// The event of an ERROR frame; what is no Status gives no code and no reason.
fn error_event(status: &[u8]) -> Event {
    let mut code = None;
    let mut reason = None;
    let read = Cursor::new(status).object(|cursor, key| {
        if key.is(b"code") {
            code = number(cursor)?;
        } else if key.is(b"reason") {
            reason = string(cursor)?;
        } else {
            cursor.value()?;
        }
        Ok(())
    });
    // Not an object: then there is nothing to read in it.
    if read.is_err() {
        (code, reason) = (None, None);
    }
    Event::Error { status: status.to_vec(), code, reason }
}
