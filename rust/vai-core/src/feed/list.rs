//! Lists and Tables: one page in, its objects out.

use super::ends::{EndFinder, Found};
use super::gunzip::Gunzip;
use super::item::{Builder, Fault, check_utf8};
use super::json::{Cursor, NO_COMMA_OR_BRACE, Read, Stop, skip_space};
use super::{FeedError, FeedOptions, Item, keep_buffer};
use crate::object::Scan;

/// What a page says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageMeta {
    /// `metadata.resourceVersion` of the list; empty if the server gave none, and then there is
    /// nothing to watch from.
    pub resource_version: String,
    /// `metadata.continue`; `None` on the last page.
    pub continue_token: Option<String>,
    /// `metadata.remainingItemCount`
    pub remaining: Option<u64>,
    /// Objects in this page.
    pub items: u64,
    /// `columnDefinitions` of a Table, JSON as sent.
    pub columns: Option<Vec<u8>>,
    /// `kind` of the list, for example `PodList` or `Table`.
    pub kind: String,
}

/// Reads one page of a list: `items` of a list, or `rows` of a Table whose objects are whole
/// (`includeObject=Object`) or `PartialObjectMetadata` (`includeObject=Metadata`).
#[derive(Debug)]
pub struct ListFeed {
    gunzip: Option<Gunzip>,
    page: Page,
}

impl ListFeed {
    /// A feed for one response.
    #[must_use]
    pub fn new(options: &FeedOptions) -> Self {
        Self { gunzip: options.gzip.then(Gunzip::new), page: Page::new(options) }
    }

    /// Takes the next bytes of the response and gives the objects that became complete.
    ///
    /// An error of the sink or of the response ends the feed; it must not be used any more.
    pub fn push<E: From<FeedError>>(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.gunzip {
            Some(gunzip) => gunzip.push(chunk, |bytes| self.page.push(bytes, sink)),
            None => self.page.push(chunk, sink),
        }
    }

    /// What is known of the page before its end: servers put `metadata` before the objects, so that
    /// the next page can be asked for while this one is still being read. `None` until it was seen.
    #[must_use]
    pub fn head(&self) -> Option<&PageMeta> {
        (!self.page.meta.resource_version.is_empty()).then_some(&self.page.meta)
    }

    /// Says that the response has ended.
    pub fn finish(mut self) -> Result<PageMeta, FeedError> {
        if let Some(gunzip) = &mut self.gunzip {
            gunzip.finish()?;
        }
        self.page.finish()
    }
}

/// The top-level keys that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Kind,
    Metadata,
    Items,
    Rows,
    Columns,
    Code,
    Reason,
    Message,
    Other,
}

/// What comes next in the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `{`
    Start,
    /// A key, or `}` in an empty object.
    FirstKey,
    /// A key.
    Key,
    /// `:`
    Colon(Key),
    /// The value of a key.
    Value(Key),
    /// An item, or `]` in an empty array.
    FirstItem { rows: bool },
    /// An item.
    Item { rows: bool },
    /// `,` or `]` behind an item.
    AfterItem { rows: bool },
    /// `,` or `}` behind a top-level value.
    AfterValue,
    /// Nothing but white space.
    End,
}

/// Why a step did not happen.
enum Halt {
    Incomplete,
    Fault(Fault),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Incomplete => Self::Incomplete,
            Stop::Malformed { at, problem } => Self::Fault(Fault { at, problem: problem.into() }),
        }
    }
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn fault<T>(problem: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Fault(Fault { at: 0, problem: problem.into() }))
}

/// The machine: it eats one token, small value or item at a time. What a chunk cuts is carried
/// over and parsed when its end has come.
#[derive(Debug)]
struct Page {
    builder: Builder,
    limit_bytes: usize,
    state: State,
    meta: PageMeta,
    status: StatusFields,
    seen_items: bool,
    carry: Vec<u8>,
    ends: EndFinder,
    /// Offset in the response of the next token: of `carry[0]` when something is carried.
    position: u64,
}

/// The fields of a Status, should the response be one.
#[derive(Debug, Default)]
struct StatusFields {
    code: Option<u16>,
    reason: Option<String>,
    message: Option<String>,
}

impl Page {
    fn new(options: &FeedOptions) -> Self {
        Self {
            builder: Builder::new(options),
            limit_bytes: options.max_object_bytes,
            state: State::Start,
            meta: PageMeta::default(),
            status: StatusFields::default(),
            seen_items: false,
            carry: Vec::new(),
            ends: EndFinder::new(false),
            position: 0,
        }
    }

    fn push<E: From<FeedError>>(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        if !self.carry.is_empty() {
            let Some((taken, item)) = self.complete_carry(rest)? else { return Ok(()) };
            rest = &rest[taken..];
            if let Some(item) = item {
                sink(item)?;
            }
        }
        loop {
            let space = skip_space(rest, 0);
            self.position += space as u64;
            rest = &rest[space..];
            if rest.is_empty() {
                return Ok(());
            }
            let Some((taken, item)) = self.checked_step(rest)? else {
                self.check_length(rest.len())?;
                self.carry.extend_from_slice(rest);
                self.ends.begin(rest);
                return Ok(());
            };
            self.position += taken as u64;
            rest = &rest[taken..];
            if let Some(item) = item {
                sink(item)?;
            }
        }
    }

    /// Adds to what is carried over; when that is complete, how many of the bytes it took.
    fn complete_carry(&mut self, bytes: &[u8]) -> Result<Option<(usize, Option<Item>)>, FeedError> {
        let carried = self.carry.len();
        let Found::End(end) = self.ends.feed(bytes) else {
            self.carry.extend_from_slice(bytes);
            if let Err(too_large) = self.check_length(self.carry.len()) {
                // If it went wrong before the limit, that is the better message.
                let carry = std::mem::take(&mut self.carry);
                return Err(self.checked_step(&carry).err().unwrap_or(too_large));
            }
            return Ok(None);
        };
        self.carry.extend_from_slice(&bytes[..end]);
        let mut carry = std::mem::take(&mut self.carry);
        let Some((taken, item)) = self.checked_step(&carry)? else {
            let problem = "brackets do not match".to_owned();
            return Err(FeedError::Malformed { position: self.position, problem });
        };
        // A token is at least what was carried of it, for that was incomplete. Only a number that
        // goes over into something else is shorter (`1x`).
        let Some(taken_here) = taken.checked_sub(carried) else {
            let position = self.position + taken as u64;
            let problem = NO_COMMA_OR_BRACE.to_owned();
            return Err(FeedError::Malformed { position, problem });
        };
        self.position += taken as u64;
        keep_buffer(&mut carry);
        self.carry = carry;
        Ok(Some((taken_here, item)))
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

    /// One step, its faults placed in the response; `None` if the bytes end before it is done.
    fn checked_step(&mut self, bytes: &[u8]) -> Result<Option<(usize, Option<Item>)>, FeedError> {
        match self.step(bytes) {
            Ok((taken, item)) => {
                self.check_length(taken)?;
                Ok(Some((taken, item)))
            }
            Err(Halt::Incomplete) => Ok(None),
            Err(Halt::Fault(Fault { at, problem })) => {
                self.check_length(at)?;
                Err(FeedError::Malformed { position: self.position + at as u64, problem })
            }
        }
    }

    /// Eats one token at the beginning of `bytes`, which is no white space.
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, Option<Item>), Halt> {
        let next = bytes[0];
        let (state, taken) = match (self.state, next) {
            (State::Start, b'{') => (State::FirstKey, 1),
            (State::Start, _) => return fault("expected a JSON object"),
            (State::FirstKey | State::AfterValue, b'}') => (State::End, 1),
            (State::FirstKey | State::Key, _) => self.key(bytes)?,
            (State::Colon(key), b':') => (State::Value(key), 1),
            (State::Colon(_), _) => return fault("expected ':' after a key"),
            (State::Value(key), _) => self.value(key, bytes)?,
            (State::FirstItem { .. } | State::AfterItem { .. }, b']') => (State::AfterValue, 1),
            (State::FirstItem { rows } | State::Item { rows }, _) => {
                let (taken, item) = self.item(rows, bytes)?;
                self.state = State::AfterItem { rows };
                return Ok((taken, Some(item)));
            }
            (State::AfterItem { rows }, b',') => (State::Item { rows }, 1),
            (State::AfterItem { .. }, _) => return fault("expected ',' or ']' behind an item"),
            (State::AfterValue, b',') => (State::Key, 1),
            (State::AfterValue, _) => return fault(NO_COMMA_OR_BRACE),
            (State::End, _) => return fault("something follows the list"),
        };
        self.state = state;
        Ok((taken, None))
    }

    fn key(&self, bytes: &[u8]) -> Result<(State, usize), Halt> {
        if bytes[0] != b'"' {
            return fault("expected a key in quotes");
        }
        let mut cursor = Cursor::new(bytes);
        let text = cursor.string()?;
        let key = match text.decode().as_ref() {
            "kind" => Key::Kind,
            "metadata" => Key::Metadata,
            "items" => Key::Items,
            "rows" => Key::Rows,
            "columnDefinitions" => Key::Columns,
            "code" => Key::Code,
            "reason" => Key::Reason,
            "message" => Key::Message,
            _ => Key::Other,
        };
        if matches!(key, Key::Items | Key::Rows) && self.seen_items {
            return fault("a second array of items");
        }
        Ok((State::Colon(key), cursor.pos))
    }

    /// Reads a top-level value, or enters the array of items.
    fn value(&mut self, key: Key, bytes: &[u8]) -> Result<(State, usize), Halt> {
        if matches!(key, Key::Items | Key::Rows) {
            let rows = key == Key::Rows;
            match bytes[0] {
                b'[' => {
                    self.seen_items = true;
                    return Ok((State::FirstItem { rows }, 1));
                }
                // An empty list of some servers.
                b'n' => self.seen_items = true,
                _ => return fault("the items are not an array"),
            }
        }
        let mut cursor = Cursor::new(bytes);
        match key {
            Key::Kind => self.meta.kind = string(&mut cursor)?.unwrap_or_default(),
            Key::Metadata => self.metadata(&mut cursor)?,
            Key::Columns => {
                let value = cursor.value()?;
                check_utf8(value)?;
                self.meta.columns = (value != b"null").then(|| value.to_vec());
            }
            Key::Code => self.status.code = number(&mut cursor)?,
            Key::Reason => self.status.reason = string(&mut cursor)?,
            Key::Message => self.status.message = string(&mut cursor)?,
            Key::Items | Key::Rows | Key::Other => drop(cursor.value()?),
        }
        Ok((State::AfterValue, cursor.pos))
    }

    /// Reads the list's own metadata. Nothing is kept of it before it is complete: half of it
    /// would look like a last page.
    fn metadata(&mut self, cursor: &mut Cursor<'_>) -> Read<()> {
        if cursor.peek()? != b'{' {
            return cursor.value().map(drop);
        }
        let mut version = None;
        let mut token = None;
        let mut remaining = None;
        cursor.object(|cursor, key| {
            if key.is(b"resourceVersion") {
                version = string(cursor)?;
            } else if key.is(b"continue") {
                token = string(cursor)?;
            } else if key.is(b"remainingItemCount") {
                remaining = number(cursor)?;
            } else {
                cursor.value()?;
            }
            Ok(())
        })?;
        self.meta.resource_version = version.unwrap_or_default();
        self.meta.continue_token = token.filter(|token| !token.is_empty());
        self.meta.remaining = remaining;
        Ok(())
    }

    /// Reads one item, or one row.
    fn item(&mut self, rows: bool, bytes: &[u8]) -> Result<(usize, Item), Halt> {
        let mut cursor = Cursor::new(bytes);
        let mut scan = Scan::default();
        let index = self.meta.items;
        let name = |scan: &Scan| match scan.key() {
            Some(key) => format!("item {index} ({key})"),
            None => format!("item {index}"),
        };
        let mut cells = None;
        let read = if rows {
            self.builder.row(&mut cursor, &mut scan).map(|row| {
                cells = row.cells;
                if !row.has_object {
                    scan.problem = Some("the row has no object".to_owned());
                }
            })
        } else {
            scan.object(&mut cursor, self.builder.wanted())
        };
        match read {
            Ok(()) => {}
            Err(Stop::Malformed { at, problem }) => {
                return Err(Fault { at, problem: format!("{}: {problem}", name(&scan)) }.into());
            }
            Err(stop @ Stop::Incomplete) => return Err(stop.into()),
        }
        check_utf8(&bytes[..cursor.pos]).map_err(|fault| Fault {
            problem: format!("{}: {}", name(&scan), fault.problem),
            ..fault
        })?;
        let item = self.builder.item(bytes, scan, cells).map_err(|fault| Fault {
            problem: format!("item {index}: {}", fault.problem),
            ..fault
        })?;
        self.meta.items += 1;
        Ok((cursor.pos, item))
    }

    fn finish(mut self) -> Result<PageMeta, FeedError> {
        if self.state != State::End {
            let carry = std::mem::take(&mut self.carry);
            if !carry.is_empty() {
                // Perhaps it went wrong long before it ended.
                self.checked_step(&carry)?;
            }
            return Err(FeedError::Truncated {
                position: self.position + carry.len() as u64,
                problem: match self.state {
                    State::Start => "there was nothing".to_owned(),
                    _ => format!("the list did not end; {} items were complete", self.meta.items),
                },
            });
        }
        if self.meta.kind == "Status" {
            let StatusFields { code, reason, message } = self.status;
            let message = message.unwrap_or_else(|| "the server sent a Status".to_owned());
            return Err(FeedError::Status { code, reason, message });
        }
        if !self.seen_items && !self.meta.kind.ends_with("List") && self.meta.kind != "Table" {
            return Err(FeedError::NotAList { kind: self.meta.kind });
        }
        Ok(self.meta)
    }
}

/// Reads a value; `None` if it is no string.
pub(super) fn string(cursor: &mut Cursor<'_>) -> Read<Option<String>> {
    if cursor.peek()? == b'"' {
        return Ok(Some(cursor.string()?.decode().into_owned()));
    }
    cursor.value()?;
    Ok(None)
}

/// Reads a value; `None` if it is no number of this type.
pub(super) fn number<N: std::str::FromStr>(cursor: &mut Cursor<'_>) -> Read<Option<N>> {
    let digits = cursor.value()?;
    Ok(std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()))
}
