//! The task that stores exchanges.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::ready;
use std::num::NonZero;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesOrdered, FuturesUnordered, StreamExt};
use shs_store::{Error, ErrorKind, NewMessage, Result, Role, SessionId};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::Instrument;
use uuid::Uuid;

use super::answered::answers;
use super::asked::{Asked, Unread};
use super::conversations::{Conversations, Kept, Tip, continued, tips};
use super::counts::Counters;
use super::exchange::{Ending, Exchange, Question, Request, Room};
use super::place::{Saying, turns};
use crate::decode::TokenUsage;

/// What the task is given.
#[derive(Debug)]
pub(super) enum Work {
    /// Store an exchange.
    Keep(Box<Exchange>),
    /// Store the messages of a request, and say when they are stored.
    Ahead(Box<Request>, oneshot::Sender<Result<Option<Question>>>),
}

impl Work {
    fn is_heavy(&self) -> bool {
        match self {
            Self::Keep(exchange) => exchange.is_heavy(),
            Self::Ahead(request, _) => request.is_heavy(),
        }
    }
}

/// Exchanges that are read at once, each on a thread of its own.
const MOST_READERS: usize = 4;

/// Sessions that are written to at once. What belongs to one session is written one after the other.
const MOST_AT_ONCE: usize = 256;

/// Where exchanges of one conversation queue up.
type Lane = [u8; 16];

pub(super) struct Worker {
    conversations: Arc<Conversations>,
    counters: Arc<Counters>,
    lanes: HashMap<Lane, VecDeque<Job>>,
    waiting: VecDeque<Lane>,
    running: FuturesUnordered<BoxFuture<'static, (Lane, u64)>>,
    /// Exchanges of whose requests the rest is awaited, with their numbers.
    awaiting: FuturesUnordered<BoxFuture<'static, (u64, Box<Exchange>)>>,
    /// What is being read, in the order in which it came: what goes on after an exchange must find
    /// it.
    reading: FuturesOrdered<BoxFuture<'static, (u64, Read)>>,
    readers: Arc<Semaphore>,
    /// The numbers of the jobs that are not done, and the tips of their conversations.
    open: BTreeMap<u64, Vec<Tip>>,
    /// The lanes and numbers of these jobs, by their tips: what goes on after them has to wait for them.
    tips: HashMap<Tip, (Lane, u64)>,
    next: u64,
    warn_every: Duration,
    flushes: VecDeque<(u64, oneshot::Sender<()>)>,
}

struct Job {
    number: u64,
    asked: Box<Asked>,
    task: Task,
}

/// What reading made of what was given.
enum Read {
    Job(Box<Asked>, Task),
    /// It has no turn to record.
    Unreadable(String),
    /// There is no memory for what it would become.
    NoMemory,
    Failed,
}

impl Read {
    fn of(given: Work) -> Self {
        match given {
            Work::Keep(exchange) => {
                Self::exchange(*exchange).unwrap_or_else(|unread| unread.into())
            }
            Work::Ahead(request, reply) => match Asked::read(*request) {
                Ok(asked) => Self::Job(Box::new(asked), Task::Ahead(reply)),
                Err(Unread::NoTurn(reason)) => {
                    // The request goes on; it has nothing to record.
                    let _ = reply.send(Ok(None));
                    Self::Unreadable(reason)
                }
                Err(Unread::NoMemory) => {
                    let full = Error::new(ErrorKind::Unavailable, "the recorder's memory is full");
                    let _ = reply.send(Err(full));
                    Self::NoMemory
                }
            },
        }
    }

    fn exchange(exchange: Exchange) -> std::result::Result<Self, Unread> {
        let Exchange { question, mut response, settings, mut room } = exchange;
        let (asked, stored_in) = match question {
            Question::Raw(request) => (Box::new(Asked::read(*request)?), None),
            Question::Stored(asked, session) => (asked, Some(session)),
        };
        if !response.decode(settings.limits.decoded) {
            return Err(Unread::NoMemory);
        }
        let (ending, usage) = (response.ending, response.reply.usage);
        let (answers, memory) = answers(&asked, response, &settings);
        room.hold(memory);
        Ok(Self::Job(asked, Task::Keep { answers, ending, usage, stored_in, room }))
    }
}

impl From<Unread> for Read {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::NoTurn(reason) => Self::Unreadable(reason),
            Unread::NoMemory => Self::NoMemory,
        }
    }
}

enum Task {
    Keep {
        answers: Vec<NewMessage>,
        ending: Ending,
        usage: Option<TokenUsage>,
        stored_in: Option<SessionId>,
        room: Room,
    },
    Ahead(oneshot::Sender<Result<Option<Question>>>),
}

impl Worker {
    pub(super) fn new(
        conversations: Conversations,
        counters: Arc<Counters>,
        warn_every: Duration,
    ) -> Self {
        let readers = available_parallelism().map_or(1, NonZero::get).min(MOST_READERS);
        Self {
            conversations: Arc::new(conversations),
            counters,
            lanes: HashMap::new(),
            waiting: VecDeque::new(),
            running: FuturesUnordered::new(),
            awaiting: FuturesUnordered::new(),
            reading: FuturesOrdered::new(),
            readers: Arc::new(Semaphore::new(readers)),
            warn_every,
            open: BTreeMap::new(),
            tips: HashMap::new(),
            next: 0,
            flushes: VecDeque::new(),
        }
    }

    /// Works until nobody can send any more, and everything that was sent is done.
    pub(super) async fn run(
        mut self,
        mut work: mpsc::Receiver<Work>,
        mut flushes: mpsc::Receiver<oneshot::Sender<()>>,
    ) {
        let mut more = true;
        while more
            || !self.running.is_empty()
            || !self.awaiting.is_empty()
            || !self.reading.is_empty()
        {
            tokio::select! {
                Some((lane, number)) = self.running.next() => self.done(lane, number),
                Some((number, exchange)) = self.awaiting.next() => {
                    self.read(number, Work::Keep(exchange));
                }
                Some((number, read)) = self.reading.next() => self.place(number, read),
                given = work.recv(), if more => match given {
                    Some(given) => self.take(given),
                    None => more = false,
                },
                Some(flush) = flushes.recv() => {
                    // What was sent before is in the queue by now.
                    while let Ok(given) = work.try_recv() {
                        self.take(given);
                    }
                    self.flushes.push_back((self.next, flush));
                }
            }
            self.start();
            self.answer_flushes();
        }
    }

    fn take(&mut self, given: Work) {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Vec::new());
        match given {
            Work::Keep(mut exchange) if exchange.is_unread() => {
                let reading = async move {
                    exchange.read_rest().await;
                    (number, exchange)
                };
                self.awaiting.push(reading.boxed());
            }
            given => self.read(number, given),
        }
    }

    /// Reads what is light at once, and what is heavy on a thread that nobody waits on.
    fn read(&mut self, number: u64, given: Work) {
        if !given.is_heavy() {
            let read = Read::of(given);
            if self.reading.is_empty() {
                self.place(number, read);
            } else {
                self.reading.push_back(ready((number, read)).boxed());
            }
            return;
        }
        let readers = Arc::clone(&self.readers);
        let reading = async move {
            let reader = readers.acquire_owned().await.expect("the readers are never closed");
            let read = spawn_blocking(move || {
                let read = Read::of(given);
                drop(reader);
                read
            });
            (number, read.await.unwrap_or(Read::Failed))
        };
        self.reading.push_back(reading.boxed());
    }

    /// Puts what is to be done into its lane.
    fn place(&mut self, number: u64, read: Read) {
        let job = match read {
            Read::Job(asked, task) => Some((asked, task)),
            Read::Unreadable(reason) => {
                tracing::debug!(reason, "a request is not recorded: it has no turn to record");
                self.counters.unreadable();
                None
            }
            Read::NoMemory => {
                self.counters.drop_one(self.warn_every);
                None
            }
            Read::Failed => {
                self.counters.failed();
                tracing::error!("an exchange is lost: it could not be read");
                None
            }
        };
        let Some((asked, task)) = job else {
            self.open.remove(&number);
            return;
        };
        let under_way = continued(&asked).find_map(|tip| self.tips.get(&tip));
        let lane = under_way.map_or_else(|| lane(&asked), |(lane, _)| *lane);
        let tips = match &task {
            Task::Keep { answers, .. } => tips(&asked, answers),
            Task::Ahead(_) => Vec::new(),
        };
        self.tips.extend(tips.iter().map(|tip| (*tip, (lane, number))));
        self.open.insert(number, tips);
        let job = Job { number, asked, task };
        match self.lanes.get_mut(&lane) {
            Some(jobs) => jobs.push_back(job),
            None => {
                self.lanes.insert(lane, VecDeque::from([job]));
                self.waiting.push_back(lane);
            }
        }
    }

    /// Starts what can be started.
    fn start(&mut self) {
        while self.running.len() < MOST_AT_ONCE {
            let Some(lane) = self.waiting.pop_front() else { return };
            let job = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front);
            let job = job.expect("a lane that waits has a job");
            let number = job.number;
            let (conversations, counters) =
                (Arc::clone(&self.conversations), Arc::clone(&self.counters));
            let span = job.asked.span.clone();
            let work = async move {
                work(job, &conversations, &counters).await;
                (lane, number)
            };
            // A store that panics takes one exchange with it, and not the task.
            let counters = Arc::clone(&self.counters);
            let work = AssertUnwindSafe(work.instrument(span)).catch_unwind().map(move |done| {
                done.unwrap_or_else(|_| {
                    counters.failed();
                    tracing::error!("the store panicked; an exchange is lost");
                    (lane, number)
                })
            });
            self.running.push(work.boxed());
        }
    }

    fn done(&mut self, lane: Lane, number: u64) {
        for tip in self.open.remove(&number).unwrap_or_default() {
            if self.tips.get(&tip).is_some_and(|(_, of)| *of == number) {
                self.tips.remove(&tip);
            }
        }
        match self.lanes.get(&lane) {
            Some(jobs) if jobs.is_empty() => drop(self.lanes.remove(&lane)),
            Some(_) => self.waiting.push_back(lane),
            None => {}
        }
    }

    fn answer_flushes(&mut self) {
        let first_open = self.open.keys().next().copied().unwrap_or(self.next);
        while self.flushes.front().is_some_and(|(before, _)| *before <= first_open) {
            if let Some((_, flush)) = self.flushes.pop_front() {
                // Whoever does not wait any more needs no answer.
                let _ = flush.send(());
            }
        }
    }
}

async fn work(job: Job, conversations: &Conversations, counters: &Counters) {
    let Job { asked, task, .. } = job;
    match task {
        Task::Ahead(reply) => {
            let kept = conversations.keep(&asked, &[], None).await;
            let stored = kept.map(|kept| {
                let (Kept::In(session) | Kept::Before(session)) = kept;
                Some(Question::Stored(asked, session))
            });
            // A request that was given up meanwhile is stored all the same; it says what the user asked.
            let _ = reply.send(stored);
        }
        Task::Keep { answers, ending, usage, stored_in, room } => {
            // A session that has a name is found by it again; it may be a fork that the conversation is in.
            let stored_in = stored_in.filter(|_| asked.session.is_none());
            let kept = conversations.keep(&asked, &answers, stored_in.as_ref()).await;
            tell(&asked, &answers, ending, usage, kept, counters);
            drop(room);
        }
    }
}

fn tell(
    asked: &Asked,
    answers: &[NewMessage],
    ending: Ending,
    usage: Option<TokenUsage>,
    kept: Result<Kept>,
    counters: &Counters,
) {
    let span = &asked.span;
    if let Some(usage) = usage {
        usage.prompt.map(|tokens| span.record("gen_ai.usage.input_tokens", tokens));
        usage.completion.map(|tokens| span.record("gen_ai.usage.output_tokens", tokens));
    }
    if let Some(model) = &asked.model {
        span.record("gen_ai.request.model", model);
    }
    if let Some(answer) = answers.first() {
        if let Some(model) = &answer.model {
            span.record("gen_ai.response.model", model);
        }
        let text = |key: &str| answer.metadata.get(key).and_then(|value| value.as_str());
        text(crate::keys::RESPONSE_ID).map(|id| span.record("gen_ai.response.id", id));
        let reasons = answers.iter().filter_map(|answer| {
            answer.metadata.get(crate::keys::FINISH_REASON).and_then(|reason| reason.as_str())
        });
        let reasons = reasons.collect::<Vec<_>>().join(",");
        if !reasons.is_empty() {
            span.record("gen_ai.response.finish_reasons", reasons);
        }
    }
    match kept {
        Ok(Kept::In(session)) => {
            span.record("gen_ai.conversation.id", session.as_str());
            counters.recorded();
            if ending == Ending::Aborted {
                counters.aborted();
            }
        }
        Ok(Kept::Before(session)) => {
            span.record("gen_ai.conversation.id", session.as_str());
            counters.repeated();
        }
        Err(error) => {
            counters.failed();
            tracing::error!(error = %chain(&error), exchange = %asked.exchange, "an exchange could not be stored");
        }
    }
}

/// An error and its causes, on one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Exchanges that may be of one conversation are in one lane.
fn lane(asked: &Asked) -> Lane {
    let seed = match (&asked.session, &asked.previous_response) {
        (Some(named), _) => format!("named {:?} {:?} {}", asked.scope, asked.principal(), named.id),
        (None, Some(previous)) => format!("after {:?} {previous}", asked.scope),
        (None, None) => {
            let first = asked.said.iter().position(|said| said.role == Role::Assistant);
            match first {
                Some(first) => {
                    let begins = Saying::chain(turns(&asked.said[..=first]));
                    format!("begins {:?} {begins:?}", asked.scope)
                }
                None => format!("new {}", asked.repeats.unwrap_or(asked.exchange)),
            }
        }
    };
    Uuid::new_v5(&Uuid::NAMESPACE_OID, seed.as_bytes()).into_bytes()
}

/// An error for a request whose turn could not be stored ahead.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the recorder was shut down")
}
