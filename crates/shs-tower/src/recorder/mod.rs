//! The recorder: a bounded queue and the task that stores what comes through it.

mod answered;
mod asked;
mod attachments;
mod conversations;
mod counts;
mod exchange;
mod guard;
mod memory;
mod name;
mod offer;
mod outlines;
mod patience;
mod place;
mod worker;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shs_store::{Result, Store};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use counts::Counts;
pub use exchange::Ending;
pub(crate) use exchange::{Captured, Encoded, Exchange, Question, Request, Response, Rest, Room};
pub(crate) use guard::{guarded, locked};
pub(crate) use memory::{Charge, Memory};

use self::conversations::Conversations;
use self::counts::Counters;
use self::worker::{Work, Worker, closed};

/// Keeps what [`RecordLayer`](crate::RecordLayer)s hear, in a store. Clones share one queue.
///
/// An exchange takes a place in the queue when its request arrives and keeps it until it is stored, so that there is room for
/// it however it ends. When all places are taken, requests go on unrecorded: they are counted as
/// [dropped](Counts::dropped), and a warning says so, once in an interval.
///
/// While the store is [unavailable](shs_store::ErrorKind::Unavailable), exchanges wait in the queue and are tried again.
///
/// Call [`shutdown`](Self::shutdown) before the program ends: what is in the queue then is lost otherwise. Dropping the
/// last clone lets the task finish what is in the queue, if the runtime lives on.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    counters: Arc<Counters>,
    rooms: Arc<Semaphore>,
    memory: Memory,
    options: RecorderOptions,
    work: mpsc::Sender<Work>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    is_open: AtomicBool,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("options", &self.shared.options)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// How a recorder works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderOptions {
    /// Exchanges that are under way or waiting to be stored at once; 8,192 unless said otherwise, at least 1.
    pub queue: usize,
    /// Bytes that exchanges take at once, from the first byte of their request until they are
    /// stored; 256 MiB unless said otherwise. Bodies count as they come, then also as what they are
    /// decoded to, and with what their JSON takes in memory. An exchange that finds no room passes
    /// unrecorded.
    ///
    /// Beside it, up to 4 exchanges are read at once: each takes a few times
    /// [`Limits::parsed`](crate::Limits::parsed) at most, and up to 24 MiB for each
    /// content-encoding.
    pub memory: usize,
    /// How long an exchange is tried again while the store is unavailable; a minute unless said otherwise.
    pub patience: Duration,
    /// How often it is said that exchanges are dropped, or requests do not say clearly whose they
    /// are; every 10 s unless said otherwise.
    pub warn_every: Duration,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self {
            queue: 8_192,
            memory: 256 * 1024 * 1024,
            patience: Duration::from_secs(60),
            warn_every: Duration::from_secs(10),
        }
    }
}

impl RecorderOptions {
    /// As many exchanges at once.
    #[must_use]
    pub fn with_queue(mut self, exchanges: usize) -> Self {
        self.queue = exchanges;
        self
    }

    /// So many bytes waiting at once.
    #[must_use]
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Tries again for so long.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Warns so often at most.
    #[must_use]
    pub fn with_warn_every(mut self, interval: Duration) -> Self {
        self.warn_every = interval;
        self
    }
}

impl Recorder {
    /// A recorder into this store.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::with_options(store, RecorderOptions::default())
    }

    /// A recorder with options.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn with_options(store: Arc<dyn Store>, mut options: RecorderOptions) -> Self {
        options.queue = options.queue.clamp(1, u32::MAX as usize / 2).min(Semaphore::MAX_PERMITS);
        let (work, given) = mpsc::channel(options.queue);
        let (flushes, to_flush) = mpsc::channel(1);
        let counters = Arc::new(Counters::new());
        let conversations = Conversations::new(store, options.patience);
        let worker = Worker::new(conversations, Arc::clone(&counters), options.warn_every);
        let worker = tokio::spawn(worker.run(given, to_flush));
        let shared = Shared {
            counters,
            rooms: Arc::new(Semaphore::new(options.queue)),
            memory: Memory::new(options.memory),
            options,
            work,
            flushes,
            is_open: AtomicBool::new(true),
            worker: Mutex::new(Some(worker)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What became of the exchanges so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.snapshot()
    }

    /// Waits until every exchange that has ended is stored, or has failed. Those under way are not waited for.
    ///
    /// # Cancel safety
    /// It can be dropped at any time; nothing but the waiting ends.
    pub async fn flush(&self) {
        let (flush, flushed) = oneshot::channel();
        if self.shared.flushes.send(flush).await.is_ok() {
            // A recorder that shuts down meanwhile has stored everything, or says that it has not.
            let _ = flushed.await;
        }
    }

    /// Takes no more exchanges, and waits until all that are under way have ended and are stored, up to this long.
    ///
    /// Returns how many were still open when the time was over: they are lost. Requests that come afterwards go on unrecorded.
    /// Shutting down again returns 0.
    ///
    /// # Cancel safety
    /// It can be dropped and called again.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        let shared = &self.shared;
        shared.is_open.store(false, Ordering::Release);
        let all = shared.options.queue;
        let drained = timeout(deadline, shared.rooms.acquire_many(all as u32)).await;
        let open = if drained.is_ok() { 0 } else { all - shared.rooms.available_permits() };
        shared.rooms.close();
        let worker = locked(&shared.worker).take();
        if let Some(worker) = worker {
            worker.abort();
            // It was told to end; that it did is all there is to know.
            let _ = worker.await;
            return open;
        }
        0
    }

    /// Takes a place in the queue, if there is one.
    pub(crate) fn admit(&self) -> Option<Room> {
        let shared = &self.shared;
        if shared.is_open.load(Ordering::Acquire)
            && let Ok(place) = Arc::clone(&shared.rooms).try_acquire_owned()
        {
            return Some(Room::new(place, shared.memory.charge()));
        }
        self.count_dropped();
        None
    }

    pub(crate) fn count_dropped(&self) {
        self.shared.counters.drop_one(self.shared.options.warn_every);
    }

    /// Counts a request that does not say clearly whose it is.
    pub(crate) fn count_unclear(&self) {
        self.shared.counters.unclear_one(self.shared.options.warn_every);
    }

    /// Hands an exchange over. Never waits: whoever has a place in the queue finds room in it.
    pub(crate) fn submit(&self, exchange: Exchange) {
        if self.shared.work.try_send(Work::Keep(Box::new(exchange))).is_err() {
            self.shared.counters.failed();
            tracing::error!("an exchange is lost: it ended after the recorder was shut down");
        }
    }

    /// Stores the messages of a request; `None` if it has none that can be read.
    pub(crate) async fn ahead(&self, request: Request) -> Result<Option<Question>> {
        let (reply, stored) = oneshot::channel();
        let work = Work::Ahead(Box::new(request), reply);
        self.shared.work.send(work).await.map_err(|_| closed())?;
        stored.await.map_err(|_| closed())?
    }
}
