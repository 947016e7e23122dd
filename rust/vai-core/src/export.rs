//! Whole resources on their way out of the file, for other tools: one moment of all of them, in
//! key order, in bounded memory.
//!
//! A thread selects the versions, reads them, and hands on pieces of about 1 MB. It holds one read
//! transaction as long as whoever takes the pieces keeps up. When they don't (a pipe into a pager),
//! it ends the transaction, so that the write-ahead log can shrink, and goes on by the numbers of
//! the versions; what the history no longer has by then is an [`Error::Expired`].

mod columns;
mod fields;
mod record;
mod sqlite;
mod target;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use self::columns::Columns;
use self::fields::Layout;
pub use self::fields::{ColumnType, FieldColumn};
use self::sqlite::Database;
use crate::error::{Error, Result};
use crate::query::{self, Patience, Request};
use crate::store::{Resource, ScopeStatus, Store};

/// A piece is handed on when it has so many bytes; a larger object is a piece of its own.
const PIECE_BYTES: usize = 1024 * 1024;
/// A piece is given from hand to hand while the next one is made: 2 MB at a time. What was taken is
/// what the taker asked for knowingly, so that nothing is finished behind its back.
const PIECES: usize = 0;
/// How long the transaction waits for somebody to take a piece.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a thread without a transaction looks whether the file was closed.
const LOOK: Duration = Duration::from_millis(200);

/// What to export of one resource.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// A recorded `plural[.group]`.
    pub resource: String,
    /// `None`: whatever is kept.
    #[serde(default)]
    pub namespaces: Option<Vec<String>>,
    /// As kubectl's `-l` takes it; empty for everything.
    #[serde(default)]
    pub label_selector: String,
    /// As kubectl's `--field-selector` takes it; empty for everything.
    #[serde(default)]
    pub field_selector: String,
}

/// In which form the objects come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Pieces are lines, each a body as the server sent it.
    Lines,
    /// Pieces are JSON objects of columns, `{"name": [...], "body": [...], ...}`.
    Columns,
    /// Pieces only count; the rows go into a new `SQLite` database.
    Sqlite(PathBuf),
}

/// One resource of an export, known when the first piece comes.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// `plural[.group]`
    pub resource: String,
    /// `Pod`
    pub kind: String,
    /// `apps/v1`
    pub api_version: String,
    /// A name for it where dots are in the way: the plural, with the group only where two
    /// resources of the export share the plural.
    pub table: String,
    /// The catalogue's fields as columns; none in [`Form::Lines`].
    pub columns: Vec<FieldColumn>,
    /// Its objects, counted.
    pub objects: usize,
    /// How many of them are kept as metadata only.
    pub redacted: usize,
    /// Ids of the scopes that answered.
    pub scopes: Vec<i64>,
    /// Of the one scope that answered; empty if there were several.
    pub resource_version: String,
}

/// Some objects of one part.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// Index of the part.
    pub part: usize,
    /// How many objects.
    pub objects: usize,
    /// The objects in the form that was asked for; empty for [`Form::Sqlite`].
    pub bytes: Vec<u8>,
}

/// What came of waiting for a piece.
#[derive(Clone, Debug)]
pub enum Next {
    /// Here it is.
    Piece(Piece),
    /// None yet.
    Waiting,
    /// There are no more; a database is in its place now.
    End,
}

/// An export under way. Dropped, it ends, and leaves nothing half-made behind.
pub struct Export {
    parts: Vec<Part>,
    pieces: Option<Receiver<Result<Piece>>>,
    /// Nobody wants it any more.
    unwanted: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Begins an export; returns when it is known what belongs to it.
    pub fn export(&self, asks: Vec<Ask>, form: Form) -> Result<Export> {
        self.export_while(asks, form, &|| true)
    }

    /// The same as long as `go_on` says so; it is asked about every 50 ms until it is known what
    /// belongs to it.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where it said no.
    pub fn export_while(
        &self,
        asks: Vec<Ask>,
        form: Form,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Export> {
        self.inner.check()?;
        let (announce, announced) = bounded(1);
        let (sender, pieces) = bounded(PIECES);
        let store = self.clone();
        let unwanted = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&unwanted);
        let thread = std::thread::Builder::new()
            .name("vai-export".into())
            .spawn(move || {
                let exporter =
                    Exporter { store, announce: Some(announce), sender: &sender, unwanted: &gone };
                let outcome = exporter.run(&asks, &form);
                if let Err(error) = outcome {
                    // The cluster file is only read; what is full is where the database goes.
                    let error = match &form {
                        Form::Sqlite(target) => error.of_target(target),
                        Form::Lines | Form::Columns => error,
                    };
                    // Whoever asked is gone only if they want no more.
                    let _ = sender.send(Err(error));
                }
            })
            .map_err(Error::internal)?;
        let pieces = Some(pieces);
        let mut export = Export { parts: Vec::new(), pieces, unwanted, thread: Some(thread) };
        loop {
            match announced.recv_timeout(Patience::ASKS_EVERY) {
                Ok(parts) => {
                    export.parts = parts;
                    return Ok(export);
                }
                Err(RecvTimeoutError::Timeout) if go_on() => {}
                Err(RecvTimeoutError::Timeout) => return Err(Error::Interrupted),
                // It failed before there was anything to announce, and says why.
                Err(RecvTimeoutError::Disconnected) => match export.next(PATIENCE)? {
                    Next::Piece(_) | Next::Waiting | Next::End => {
                        return Err(Error::internal("the export ended before it began"));
                    }
                },
            }
        }
    }
}

impl Export {
    /// What it consists of, in the order that was asked for.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Waits for the next piece.
    pub fn next(&self, timeout: Duration) -> Result<Next> {
        let Some(pieces) = &self.pieces else { return Ok(Next::End) };
        match pieces.recv_timeout(timeout) {
            Ok(piece) => piece.map(Next::Piece),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Waiting),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::End),
        }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Nobody takes pieces any more: the thread ends with the next one.
        self.unwanted.store(true, Ordering::Relaxed);
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it is reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Why reading stopped.
enum Stop {
    End,
    /// Nobody took this piece in time.
    Slow(Piece),
    /// Nobody wants it any more.
    Gone,
}

/// Where the rows go.
enum Sink {
    Lines,
    Columns(Columns),
    Sqlite(Box<Database>),
}

struct Exporter<'a> {
    store: Store,
    announce: Option<Sender<Vec<Part>>>,
    sender: &'a Sender<Result<Piece>>,
    unwanted: &'a AtomicBool,
}

/// Where the walk is.
#[derive(Default)]
struct Walk {
    parts: Vec<Part>,
    infos: Vec<Resource>,
    layouts: Vec<Layout>,
    seqs: Vec<Vec<i64>>,
    part: usize,
    at: usize,
}

impl Exporter<'_> {
    fn run(mut self, asks: &[Ask], form: &Form) -> Result<()> {
        // Taken before the rows, it can only understate how fresh they are.
        let statuses = self.store.scope_status()?;
        let mut walk = None;
        let mut sink = match form {
            Form::Lines => Sink::Lines,
            Form::Columns => Sink::Columns(Columns::default()),
            Form::Sqlite(path) => Sink::Sqlite(Box::new(Database::create(path)?)),
        };
        loop {
            let inner = Arc::clone(&self.store.inner);
            let stop = inner.read_within(None, |db| {
                let transaction = db.unchecked_transaction()?;
                let walk = match &mut walk {
                    Some(walk) => walk,
                    none => none.insert(self.begin(&transaction, asks, &mut sink, &statuses)?),
                };
                let stop = self.read(&transaction, walk, &mut sink);
                // Nothing was written: ending it can't fail in a way that matters.
                let _ = transaction.finish();
                stop
            })?;
            match stop {
                Stop::End => break,
                Stop::Gone => return Ok(()),
                Stop::Slow(piece) => {
                    if !self.wait(piece)? {
                        return Ok(());
                    }
                }
            }
        }
        match sink {
            Sink::Sqlite(database) => {
                // Whoever does not take this last, empty piece does not want the database.
                let last = Piece { part: asks.len().saturating_sub(1), ..Piece::default() };
                if self.wait(last)? { database.finish() } else { Ok(()) }
            }
            Sink::Lines | Sink::Columns(_) => Ok(()),
        }
    }

    /// Selects everything in the one transaction, so that all parts are of one moment.
    fn begin(
        &mut self,
        db: &Connection,
        asks: &[Ask],
        sink: &mut Sink,
        statuses: &[ScopeStatus],
    ) -> Result<Walk> {
        let mut walk = Walk::default();
        let deadline = Instant::now() + self.store.inner.options.query_timeout;
        let wanted = || !self.unwanted.load(Ordering::Relaxed);
        for ask in asks {
            let request = Request {
                resources: vec![ask.resource.clone()],
                namespaces: ask.namespaces.clone(),
                label_selector: ask.label_selector.clone(),
                field_selector: ask.field_selector.clone(),
                ..Request::default()
            };
            let patience = Patience::new(deadline, &wanted);
            let found = query::selected(db, &self.store.inner, &request, patience)?;
            let layout = match sink {
                Sink::Lines => Layout::default(),
                Sink::Columns(_) | Sink::Sqlite(_) => {
                    let (id, _) = crate::store::scopes::resource_named(db, &ask.resource)?;
                    let fields = self.store.inner.fields_in(db, id)?;
                    Layout::new(fields.iter().map(|field| field.def.clone()))
                }
            };
            walk.parts.push(Part {
                resource: found.info.name(),
                kind: found.info.kind.clone(),
                api_version: found.info.api_version(),
                table: String::new(),
                columns: layout.columns.clone(),
                objects: found.seqs.len(),
                redacted: found.redacted,
                scopes: found.scopes,
                resource_version: found.resource_version,
            });
            walk.infos.push(found.info);
            walk.layouts.push(layout);
            walk.seqs.push(found.seqs);
        }
        for (part, table) in walk.parts.iter_mut().zip(table_names(&walk.infos)) {
            part.table = table;
        }
        if let Sink::Sqlite(database) = sink {
            let cluster = crate::store::scopes::cluster(db)?;
            for (part, info) in walk.parts.iter().zip(&walk.infos) {
                database.begin(part, info, statuses, cluster.as_ref())?;
            }
        }
        if let Some(announce) = self.announce.take() {
            // Whoever asked waits for it.
            let _ = announce.send(walk.parts.clone());
        }
        Ok(walk)
    }

    /// Reads on inside one transaction.
    fn read(&self, db: &Connection, walk: &mut Walk, sink: &mut Sink) -> Result<Stop> {
        while let Some(seqs) = walk.seqs.get(walk.part) {
            let (info, layout) = (&walk.infos[walk.part], &walk.layouts[walk.part]);
            let mut piece = Piece { part: walk.part, ..Piece::default() };
            let mut size = 0;
            while let Some(seq) = seqs.get(walk.at) {
                let body = self.body(db, *seq)?;
                size += body.len();
                match sink {
                    Sink::Lines => line(&mut piece.bytes, &body),
                    Sink::Columns(columns) => columns.add(info, layout, body)?,
                    Sink::Sqlite(database) => database.add(walk.part, info, layout, &body)?,
                }
                piece.objects += 1;
                walk.at += 1;
                if size >= PIECE_BYTES {
                    break;
                }
            }
            if let Sink::Columns(columns) = sink {
                piece.bytes = columns.take(layout)?;
            }
            if walk.at == seqs.len() {
                walk.part += 1;
                walk.at = 0;
            }
            if piece.objects == 0 {
                continue;
            }
            match self.sender.send_timeout(Ok(piece), PATIENCE) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(Ok(piece))) => return Ok(Stop::Slow(piece)),
                Err(_) => return Ok(Stop::Gone),
            }
        }
        Ok(Stop::End)
    }

    /// Holds a piece until somebody takes it; false if nobody wants it any more.
    fn wait(&self, piece: Piece) -> Result<bool> {
        let mut waiting = Ok(piece);
        loop {
            self.store.inner.check()?;
            match self.sender.send_timeout(waiting, LOOK) {
                Ok(()) => return Ok(true),
                Err(SendTimeoutError::Timeout(piece)) => waiting = piece,
                Err(SendTimeoutError::Disconnected(_)) => return Ok(false),
            }
        }
    }

    fn body(&self, db: &Connection, seq: i64) -> Result<Vec<u8>> {
        self.store.inner.check()?;
        let mut statement = db.prepare_cached("SELECT body FROM version WHERE seq = ?1")?;
        let frame: Option<Vec<u8>> = statement.query_row([seq], |row| row.get(0)).optional()?;
        let frame = frame.ok_or_else(|| Error::Expired {
            message: "an object changed while the export waited for its reader, and the history no longer has what it was; export to a file, or take the output faster".into(),
            oldest_seq: seq,
        })?;
        self.store.inner.decode_in(db, &frame)
    }
}

/// A body as a line: whatever stands between its tokens, a line break is not among it.
fn line(out: &mut Vec<u8>, body: &[u8]) {
    if body.contains(&b'\n') || body.contains(&b'\r') {
        // In JSON a raw line break can only be white space: strings have them escaped.
        out.extend(body.iter().map(|&byte| match byte {
            b'\n' | b'\r' => b' ',
            other => other,
        }));
    } else {
        out.extend_from_slice(body);
    }
    out.push(b'\n');
}

/// Names for tables and files: the plural; where two share it, those of a group carry the group.
fn table_names(infos: &[Resource]) -> Vec<String> {
    let mut once = HashSet::new();
    let shared: HashSet<&str> =
        infos.iter().map(|info| info.plural.as_str()).filter(|name| !once.insert(*name)).collect();
    infos
        .iter()
        .map(|info| {
            if shared.contains(info.plural.as_str()) && !info.group.is_empty() {
                format!("{}_{}", info.plural, info.group).replace(['.', '-'], "_")
            } else {
                info.plural.replace(['.', '-'], "_")
            }
        })
        .collect()
}
