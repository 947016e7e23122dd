//! The writer's thread: the one place that changes the file, and group commit.
//!
//! A lone job is committed at once; while jobs keep coming there is at most one commit per
//! interval. Jobs that may fail for reasons of their own (a publish, a new scope) get a
//! transaction to themselves, so that they can't undo their neighbours; if one of several fails
//! all the same, each is tried again in a transaction of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use parking_lot::RwLock;
use rusqlite::{Connection, TransactionBehavior};

use super::apply::Writer;
use super::beginnings::{Beginnings, Touches};
use super::body::Compressor;
use super::definitions::KnownFields;
use super::queue::{Entrance, Exit, queue};
use super::rows::NewRows;
use super::shared::Shared;
use super::state::State;
use super::{build, checkpoint, prune};
use crate::consumers::Holds;
use crate::db::Files;
use crate::db::gate;
use crate::db::live::unix_ms;
use crate::error::{Error, Result};

/// Bytes of one transaction: more would not be quicker, and would hold the WAL up.
const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;
/// A list's rows wait so long for more of them, and a burst of events is taken so long: large
/// transactions dirty fewer pages, for the rows of a field lie together, not those of an object.
const PATIENCE: Duration = Duration::from_millis(100);
/// An idle writer looks this often whether history has grown too old.
const IDLE: Duration = Duration::from_secs(1);

/// Done again, alone, when the transaction that it shared failed: it must not count twice.
type Work = Box<dyn FnMut(&mut Writer<'_>) -> Result<()> + Send>;
type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// Work for the writer's thread; `done` is called once it is durable, or has failed.
pub(super) struct Job {
    /// `None` only waits for what was queued before.
    pub(super) work: Option<Work>,
    pub(super) done: Done,
    pub(super) bytes: usize,
    pub(super) alone: bool,
    /// Nobody waits for it: it is committed with as much as may come within [`PATIENCE`].
    pub(super) patient: bool,
    pub(super) touches: Touches,
}

enum Message {
    Job(Job),
    Stop,
}

/// The writer's thread as its clients see it.
pub(super) struct WriterHandle {
    queue: Entrance<Message>,
    thread: parking_lot::Mutex<Option<std::thread::JoinHandle<()>>>,
    pub(super) beginnings: Beginnings,
    /// Jobs that were queued, and not yet told that they are done.
    undone: Arc<AtomicUsize>,
}

/// The fields of each resource as of the last commit, for whoever takes objects apart.
pub(super) type Fields = Arc<RwLock<KnownFields>>;

/// What the writer's thread is told at its start.
pub(super) struct Setup {
    pub(super) connection: Connection,
    pub(super) state: State,
    pub(super) fields: Fields,
    pub(super) shared: Arc<Shared>,
    pub(super) files: Files,
    pub(super) commit_interval: Duration,
    pub(super) history: prune::Budget,
}

impl WriterHandle {
    pub(super) fn spawn(setup: Setup) -> Result<Self> {
        let (queue, jobs) = queue();
        let undone = Arc::<AtomicUsize>::default();
        let done = Arc::clone(&undone);
        let thread = std::thread::Builder::new()
            .name("vai-writer".into())
            .spawn(move || Thread::new(setup, done).run(&jobs))
            .map_err(Error::internal)?;
        let thread = parking_lot::Mutex::new(Some(thread));
        Ok(Self { queue, thread, beginnings: Beginnings::default(), undone })
    }

    /// Queues a job; blocks while the queue is full, which slows the feed down.
    pub(super) fn send(&self, job: Job) -> Result<()> {
        let bytes = job.bytes;
        self.beginnings.forget(job.touches);
        self.undone.fetch_add(1, Ordering::SeqCst);
        self.queue.push(Message::Job(job), bytes).inspect_err(|_| {
            self.undone.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// Whether all that was queued so far is done, so that nobody has to wait behind it.
    pub(super) fn is_idle(&self) -> bool {
        self.undone.load(Ordering::SeqCst) == 0
    }

    /// Runs `work`, which may change anything, in a transaction of its own and waits until it is
    /// durable.
    pub(super) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Touches::Everything, work)
    }

    /// The same of work that is known to touch less.
    pub(super) fn run<T: Send + 'static>(
        &self,
        touches: Touches,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = bounded(2);
        let value = reply.clone();
        let mut work = Some(work);
        self.send(Job {
            work: Some(Box::new(move |writer| {
                let work = work.take().ok_or_else(|| Error::internal("a job was run twice"))?;
                let found = work(writer)?;
                value.send(Ok(Some(found))).map_err(Error::internal)
            })),
            done: Box::new(move |outcome| {
                // The caller is gone only if its thread died.
                let _ = reply.send(outcome.map(|()| None));
            }),
            bytes: 0,
            alone: true,
            patient: false,
            touches,
        })?;
        let mut result = None;
        loop {
            match answer.recv().map_err(|_| Error::Closed)?? {
                Some(found) => result = Some(found),
                None => return result.ok_or_else(|| Error::internal("a job gave no result")),
            }
        }
    }

    /// Whether it waits for work, or will when it has done what it has.
    pub(super) fn has_time(&self) -> bool {
        self.queue.is_empty()
    }

    /// Commits what is queued and ends the thread.
    pub(super) fn stop(&self) {
        // Fails only when the thread has ended already.
        let _ = self.queue.push_at_once(Message::Stop);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// The jobs of one transaction.
struct Gathering {
    jobs: Vec<Job>,
    /// So many of them are done.
    done: usize,
    bytes: usize,
    /// More of them are waited for until then.
    due: Instant,
    /// When the transaction has to end though more are there: somebody waits for one of them.
    end: Option<Instant>,
    /// Whether somebody does.
    awaited: bool,
    /// Whether the one that is there must have the transaction for itself.
    alone: bool,
}

/// When a job that has just come is to be committed at the latest, as long as no other is there.
fn due(job: &Job, last_commit: Option<Instant>, interval: Duration) -> Instant {
    let now = Instant::now();
    if job.patient {
        return now + PATIENCE;
    }
    last_commit.map_or(now, |last| last + interval)
}

impl Gathering {
    fn new(due: Instant, first: Job) -> Self {
        let alone = first.alone;
        let mut made =
            Self { jobs: Vec::new(), done: 0, bytes: 0, due, end: None, awaited: false, alone };
        made.add(first, due);
        made
    }

    fn add(&mut self, job: Job, due: Instant) {
        self.bytes += job.bytes;
        self.due = self.due.min(due);
        if !job.patient {
            self.awaited = true;
        }
        self.jobs.push(job);
    }

    /// Whether it has a job that is to be committed when the interval is over.
    fn is_awaited(&self) -> bool {
        self.awaited && !self.alone
    }

    /// Takes jobs until the commit is due; returns what must not join them.
    fn gather(&mut self, queue: &Exit<Message>, due: impl Fn(&Job) -> Instant) -> Option<Message> {
        loop {
            let count = self.jobs.len();
            let other = self.next(queue, &due);
            if other.is_some() || self.jobs.len() == count {
                return other;
            }
        }
    }

    /// The transaction begins: it takes what comes meanwhile, but not for ever.
    fn begin(&mut self) {
        if self.awaited {
            self.end = Some(Instant::now() + PATIENCE);
        }
    }

    /// Does what came last.
    fn work(&mut self, writer: &mut Writer<'_>) -> Result<()> {
        writer.now_ms = unix_ms();
        for job in &mut self.jobs[self.done..] {
            if let Some(work) = &mut job.work {
                work(writer)?;
            }
        }
        self.done = self.jobs.len();
        Ok(())
    }

    /// Takes one more job, if there is one in time; returns what must not join the others.
    fn next(&mut self, queue: &Exit<Message>, due: impl Fn(&Job) -> Instant) -> Option<Message> {
        let now = Instant::now();
        let full = self.bytes >= TRANSACTION_BYTES;
        if self.alone || full || self.end.is_some_and(|end| end <= now) {
            return None;
        }
        match queue.pop(self.due.saturating_duration_since(now)) {
            Ok(Message::Job(job)) if !job.alone => {
                let due = due(&job);
                self.add(job, due);
                // It came into an open transaction of a list.
                if self.done > 0 && self.awaited && self.end.is_none() {
                    self.end = Some(now + PATIENCE);
                }
                None
            }
            other => other.ok(),
        }
    }

    /// Whether nothing came.
    fn is_done(&self) -> bool {
        self.done == self.jobs.len()
    }
}

struct Thread {
    setup: Setup,
    /// Memory may be ahead of the file: it is read again before anything is written.
    suspect: bool,
    last_commit: Option<Instant>,
    last_tidy: Option<Instant>,
    /// A failed step of the build waits so long: a full disk is not helped by trying at once.
    build_after: Option<Instant>,
    /// What named consumers still need.
    holds: Holds,
    undone: Arc<AtomicUsize>,
}

impl Thread {
    fn new(setup: Setup, undone: Arc<AtomicUsize>) -> Self {
        Self {
            undone,
            setup,
            suspect: false,
            last_commit: None,
            last_tidy: None,
            build_after: None,
            holds: Holds::default(),
        }
    }

    fn run(mut self, queue: &Exit<Message>) {
        'open: loop {
            let mut next = match queue.pop(self.patience()) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            while let Some(message) = next {
                next = match message {
                    Message::Job(job) => self.commit(job, queue),
                    Message::Stop => break 'open,
                };
            }
            self.tidy();
        }
        let _pass = gate::enter();
        self.close();
        drop(self);
    }

    /// Commits a job with those that come meanwhile; returns what must not join them.
    fn commit(&mut self, first: Job, queue: &Exit<Message>) -> Option<Message> {
        let mut gathering = Gathering::new(self.due(&first), first);
        let mut next = None;
        if gathering.is_awaited() {
            // With no transaction open: an interval may be long, and forks and checkpoints wait.
            next = gathering.gather(queue, |job| self.due(job));
        }
        let together = if gathering.jobs.iter().all(|job| job.work.is_none()) {
            Ok(())
        } else {
            self.last_commit = Some(Instant::now());
            let (last, interval) = (self.last_commit, self.setup.commit_interval);
            // Each is done as it comes, so that whoever prepares the next one works beside it.
            self.transact(|writer| {
                gathering.begin();
                loop {
                    gathering.work(writer)?;
                    if next.is_none() {
                        next = gathering.next(queue, |job| due(job, last, interval));
                    }
                    if next.is_some() || gathering.is_done() {
                        return Ok(());
                    }
                }
            })
        };
        let apart = together.is_err() && gathering.jobs.len() > 1;
        for mut job in gathering.jobs {
            // In order, and each told before the next one runs: what follows a failed batch of the
            // same stream has to know.
            let outcome = match &mut job.work {
                Some(work) if apart => self.transact(|writer| work(writer)),
                None if apart => Ok(()),
                _ => together.clone(),
            };
            (job.done)(outcome);
            self.undone.fetch_sub(1, Ordering::SeqCst);
        }
        next
    }

    fn due(&self, job: &Job) -> Instant {
        due(job, self.last_commit, self.setup.commit_interval)
    }

    fn transact(&mut self, work: impl FnOnce(&mut Writer<'_>) -> Result<()>) -> Result<()> {
        let _pass = gate::enter();
        if self.suspect {
            self.reload()?;
        }
        let Setup { connection, state, fields, shared, .. } = &mut self.setup;
        let outcome = (|| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut writer = Writer {
                db: &transaction,
                state: &mut *state,
                codec: &shared.codec,
                now_ms: unix_ms(),
                rows: NewRows::default(),
                compressor: Compressor::default(),
            };
            work(&mut writer)?;
            writer.rows.insert(&transaction)?;
            writer.state.save(&transaction)?;
            Ok(transaction.commit()?)
        })();
        if outcome.is_ok() {
            if let Some(known) = state.take_changed_fields() {
                *fields.write() = known;
            }
            shared.committed(state.epoch, state.seq);
        } else {
            self.suspect = true;
            // If even that fails, it is tried before the next transaction, which says why.
            let _ = self.reload();
        }
        outcome
    }

    /// Memory back to what the file says.
    fn reload(&mut self) -> Result<()> {
        let state = State::load(&self.setup.connection)?;
        self.setup.state.replace(state);
        self.suspect = false;
        Ok(())
    }

    /// How long to wait for a job before the next step.
    fn patience(&self) -> Duration {
        if !self.setup.state.builds() {
            return IDLE;
        }
        self.build_after.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Small steps that nobody waits for.
    fn tidy(&mut self) {
        self.setup.shared.write_what_waits();
        let pass = gate::enter();
        let turn = self.setup.shared.checkpointer.look();
        drop(pass);
        if let Some(turn) = turn {
            turn.wait();
        }
        let _pass = gate::enter();
        self.build();
        let budget = self.setup.history;
        let over = prune::over(&self.setup.state, budget);
        if self.last_tidy.is_some_and(|last| last.elapsed() < IDLE) && !over {
            return;
        }
        self.last_tidy = Some(Instant::now());
        let Setup { state, connection, files, .. } = &mut self.setup;
        // Above the budget of bytes nobody is waited for.
        let holds = if over { &[][..] } else { self.holds.look(files, connection) };
        if let Some(task) = prune::due(state, connection, budget, holds) {
            // A failed step is tried again with the next one; nothing was promised to anyone.
            let _ = self.transact(|writer| prune::step(writer, task));
        }
    }

    /// One step of the fields that are to be built or dropped.
    fn build(&mut self) {
        let waits = self.build_after.is_some_and(|at| Instant::now() < at);
        if waits || !self.setup.state.builds() {
            return;
        }
        // Nothing was promised to anyone; `Store::fields` shows that it does not get on.
        let outcome = self.transact(|writer| build::step(writer, i64::MAX));
        self.build_after = outcome.is_err().then(|| Instant::now() + IDLE);
    }

    fn close(&mut self) {
        let Setup { connection: db, shared, .. } = &self.setup;
        let now_ms = unix_ms();
        // What `FILE.live` knows until the next boot, for the time after it and for copies.
        let live = shared.live();
        for scope in live.scopes.keys() {
            let proven_ms = shared.proof_unix_ms(*scope, now_ms);
            let _ = db.execute(
                "UPDATE scope SET proven_ms = coalesce(?2, proven_ms) WHERE id = ?1",
                rusqlite::params![scope, proven_ms],
            );
        }
        let _ = checkpoint::go_further(db, &live);
        // Everything is committed; an unclean mark only costs readers their old positions.
        let _ =
            db.execute_batch("PRAGMA synchronous = FULL; UPDATE meta SET clean = 1 WHERE id = 1");
    }
}
