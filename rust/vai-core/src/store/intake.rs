//! The inside of a list: pages are taken apart, prepared and handed to the writer, on a thread of
//! their own, so that the network is never waited for with work to do, nor the other way round.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::Inner;
use super::prepare::{Prepared, prepare};
use crate::codec::{self, Encoder};
use crate::error::{Error, Result};
use crate::feed::{FeedOptions, Item, ListFeed, PageMeta};

/// Objects of one job for the writer: with pods of 5 KB about 100 KB of compressed bodies.
const BATCH_OBJECTS: usize = 256;
/// Large objects make smaller batches.
const BATCH_BYTES: usize = 1024 * 1024;
/// Response bytes that wait to be taken apart; half of the feed's share of the memory.
const QUEUED_BYTES: usize = 4 * 1024 * 1024;

/// Where what was taken apart goes, and how many bytes it takes.
pub(super) type Deliver = Box<dyn FnMut(Taken, usize) -> Result<()> + Send>;

/// What of a list is ready for the writer.
pub(super) enum Taken {
    Rows(Arc<[Prepared]>),
    /// Of a streaming list: deleted while the stream was on its way.
    Gone(Box<Prepared>),
}

enum Step {
    Begin {
        gzip: bool,
    },
    Chunk(Vec<u8>),
    /// A streaming list begins, which is taken apart by who reads it, by the fields of an edition.
    Stream {
        edition: i64,
    },
    Item {
        item: Box<Item>,
        gone: bool,
    },
    End,
    Settle,
}

#[derive(Default)]
struct Progress {
    queued_bytes: usize,
    /// Pages begun here, and the last one that the thread knows the head of: it may be behind.
    begun: u64,
    head: Option<(u64, PageMeta)>,
    settled: bool,
    failed: Option<Error>,
}

#[derive(Default)]
struct Desk {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Desk {
    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock());
        self.changed.notify_all();
    }

    /// Waits until `ready` gives something or the intake has failed.
    fn wait<T>(&self, mut ready: impl FnMut(&mut Progress) -> Option<T>) -> Result<T> {
        let mut progress = self.progress.lock();
        loop {
            if let Some(error) = &progress.failed {
                return Err(error.clone());
            }
            if let Some(found) = ready(&mut progress) {
                return Ok(found);
            }
            self.changed.wait(&mut progress);
        }
    }
}

/// The intake as the list sees it. Dropping it ends its thread.
pub(super) struct Intake {
    steps: crossbeam_channel::Sender<Step>,
    desk: Arc<Desk>,
}

impl Intake {
    pub(super) fn spawn(
        inner: Arc<Inner>,
        resource: i64,
        options: FeedOptions,
        sensitive: bool,
        deliver: Deliver,
    ) -> Result<Self> {
        let (steps, receiver) = crossbeam_channel::unbounded();
        let desk = Arc::new(Desk::default());
        let mut worker = Worker::new(inner, resource, options, sensitive, deliver);
        let told = Arc::clone(&desk);
        std::thread::Builder::new()
            .name("vai-list".into())
            .spawn(move || {
                for step in receiver {
                    if let Err(error) = worker.take(step, &told) {
                        told.update(|progress| progress.failed = Some(error));
                        return;
                    }
                }
            })
            .map_err(Error::internal)?;
        Ok(Self { steps, desk })
    }

    pub(super) fn begin_page(&self, gzip: bool) -> Result<()> {
        self.desk.update(|progress| progress.begun += 1);
        self.send(Step::Begin { gzip })
    }

    /// Queues response bytes; waits while too many are queued.
    pub(super) fn push(&self, chunk: &[u8]) -> Result<()> {
        self.make_room(chunk.len())?;
        self.send(Step::Chunk(chunk.to_vec()))
    }

    /// Queues an object of a streaming list, or the last state of one that was deleted meanwhile;
    /// waits while too many are queued.
    pub(super) fn item(&self, item: Item, gone: bool) -> Result<()> {
        self.make_room(item.body.len())?;
        self.send(Step::Item { item: Box::new(item), gone })
    }

    fn make_room(&self, bytes: usize) -> Result<()> {
        self.desk.wait(|progress| {
            if progress.begun == 0 {
                return Some(Err(Error::Invalid("no page was begun".into())));
            }
            let fits = progress.queued_bytes == 0 || progress.queued_bytes + bytes <= QUEUED_BYTES;
            fits.then(|| {
                progress.queued_bytes += bytes;
                Ok(())
            })
        })?
    }

    /// A streaming list begins: its objects come by `item`, with the fields of that edition.
    pub(super) fn begin_stream(&self, edition: i64) -> Result<()> {
        self.desk.update(|progress| progress.begun += 1);
        self.send(Step::Stream { edition })
    }

    /// The response has ended. Returns as soon as the page's head is known; what may still be wrong
    /// with its objects is told by the next call.
    pub(super) fn end_page(&self) -> Result<PageMeta> {
        self.send(Step::End)?;
        self.desk.wait(|progress| {
            let (page, head) = progress.head.as_ref()?;
            (*page == progress.begun).then(|| head.clone())
        })
    }

    /// Waits until everything was handed to the writer.
    pub(super) fn settle(&self) -> Result<()> {
        self.desk.update(|progress| progress.settled = false);
        self.send(Step::Settle)?;
        self.desk.wait(|progress| progress.settled.then_some(()))
    }

    fn send(&self, step: Step) -> Result<()> {
        // The thread has ended only if it failed, and said why.
        self.steps.send(step).or_else(|_| self.desk.wait(|_| None::<()>))
    }
}

struct Worker {
    inner: Arc<Inner>,
    resource: i64,
    options: FeedOptions,
    deliver: Deliver,
    /// The page that is being taken apart, counted from 1.
    page: u64,
    /// Of the fields that the page's feed takes.
    edition: i64,
    feed: Option<ListFeed>,
    batch: Batch,
    /// Rows that were handed over. Where they are dropped last their memory is given back: on this
    /// thread, which took it, that is cheap, and keeps the writer's from waiting for the allocator.
    delivered: Vec<Arc<[Prepared]>>,
}

/// Objects on their way to the writer, and the samples for a dictionary before there is one.
struct Batch {
    encoder: Encoder,
    rows: Vec<Prepared>,
    bytes: usize,
    /// `None` once the resource has its dictionary or must not have one.
    waiting: Option<Vec<Item>>,
    waiting_bytes: usize,
}

impl Worker {
    fn new(
        inner: Arc<Inner>,
        resource: i64,
        options: FeedOptions,
        sensitive: bool,
        deliver: Deliver,
    ) -> Self {
        let codec = &inner.shared.codec;
        let batch = Batch {
            encoder: codec.encoder(resource),
            rows: Vec::new(),
            bytes: 0,
            waiting: (!sensitive && !codec.has_own(resource)).then(Vec::new),
            waiting_bytes: 0,
        };
        Self {
            inner,
            resource,
            options,
            deliver,
            page: 0,
            edition: 0,
            feed: None,
            batch,
            delivered: Vec::new(),
        }
    }

    fn take(&mut self, step: Step, desk: &Desk) -> Result<()> {
        match step {
            Step::Begin { gzip } => {
                // Items that wait for a dictionary were taken apart by the fields of an edition,
                // which then is that of all that wait.
                if self.batch.waiting.as_ref().is_none_or(Vec::is_empty) {
                    let known = self.inner.known(self.resource);
                    self.edition = known.edition;
                    self.options.fields = Arc::clone(&known.set);
                }
                self.page += 1;
                self.feed = Some(ListFeed::new(&FeedOptions { gzip, ..self.options.clone() }));
                Ok(())
            }
            Step::Chunk(bytes) => self.chunk(&bytes, desk),
            Step::Stream { edition } => {
                self.edition = edition;
                Ok(())
            }
            Step::Item { item, gone } => {
                let bytes = item.body.len();
                if gone {
                    self.gone(*item)?;
                } else {
                    self.item(*item)?;
                }
                desk.update(|progress| progress.queued_bytes -= bytes);
                Ok(())
            }
            Step::End => self.end_page(desk),
            Step::Settle => {
                self.train()?;
                self.send()?;
                desk.update(|progress| progress.settled = true);
                Ok(())
            }
        }
    }

    fn chunk(&mut self, bytes: &[u8], desk: &Desk) -> Result<()> {
        let Some(mut feed) = self.feed.take() else { return Ok(()) };
        feed.push(bytes, &mut |item| self.item(item))?;
        let head = feed.head().map(|head| (self.page, head.clone()));
        self.feed = Some(feed);
        desk.update(|progress| {
            progress.queued_bytes -= bytes.len();
            if head.is_some() {
                progress.head = head;
            }
        });
        Ok(())
    }

    fn end_page(&mut self, desk: &Desk) -> Result<()> {
        let Some(feed) = self.feed.take() else { return Ok(()) };
        let meta = feed.finish()?;
        if let Some(columns) = &meta.columns {
            self.inner.put_columns(self.resource, columns)?;
        }
        desk.update(|progress| progress.head = Some((self.page, meta)));
        Ok(())
    }

    fn item(&mut self, item: Item) -> Result<()> {
        match &mut self.batch.waiting {
            Some(waiting) => {
                self.batch.waiting_bytes += item.body.len();
                waiting.push(item);
                if self.batch.waiting_bytes >= codec::MAX_SAMPLE_BYTES {
                    self.train()?;
                }
                Ok(())
            }
            None => self.prepare(item),
        }
    }

    /// Behind all that came before it.
    fn gone(&mut self, item: Item) -> Result<()> {
        self.train()?;
        self.send()?;
        let row = prepare(item, self.edition, Some(&mut self.batch.encoder))?;
        let bytes = row.memory_bytes();
        (self.deliver)(Taken::Gone(Box::new(row)), bytes)
    }

    fn prepare(&mut self, item: Item) -> Result<()> {
        let busy = !self.inner.writer()?.has_time();
        let row = prepare(item, self.edition, busy.then_some(&mut self.batch.encoder))?;
        self.batch.bytes += row.memory_bytes();
        self.batch.rows.push(row);
        if self.batch.rows.len() >= BATCH_OBJECTS || self.batch.bytes >= BATCH_BYTES {
            self.send()?;
        }
        Ok(())
    }

    /// Makes the resource's dictionary of the objects that waited for it, if they are enough.
    fn train(&mut self) -> Result<()> {
        let Some(waiting) = self.batch.waiting.take() else { return Ok(()) };
        self.batch.waiting_bytes = 0;
        if waiting.len() >= codec::MIN_SAMPLES {
            self.inner.train(self.resource, &waiting)?;
            self.batch.encoder = self.inner.shared.codec.encoder(self.resource);
        }
        waiting.into_iter().try_for_each(|item| self.prepare(item))
    }

    /// Hands the gathered rows over.
    fn send(&mut self) -> Result<()> {
        if self.batch.rows.is_empty() {
            return Ok(());
        }
        let rows: Arc<[Prepared]> = self.batch.rows.drain(..).collect();
        self.delivered.retain(|rows| Arc::strong_count(rows) > 1);
        self.delivered.push(Arc::clone(&rows));
        (self.deliver)(Taken::Rows(rows), std::mem::take(&mut self.batch.bytes))
    }
}
