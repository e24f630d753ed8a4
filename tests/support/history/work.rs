//! Tasks that work on shared sessions through the public interface, and note what they called and were answered.

use std::error::Error;

use futures::TryStreamExt;
use session_history_saver::{
    ErrorKind, Message, MessageQuery, NewMessage, Scope, SearchQuery, Seq, SessionId, SessionOrder,
    SessionQuery, StatsQuery, Store, StoreExt,
};

use super::{Clock, Entry, NEVER, What};
use crate::power::Dice;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Takes down what a task does.
pub trait Log: Send {
    /// A write begins; if its process is killed, nothing else is known of it.
    fn begin(&mut self, entry: &Entry);
    /// An operation has ended, or was given up without an answer.
    fn end(&mut self, entry: Entry);
}

impl Log for Vec<Entry> {
    fn begin(&mut self, _: &Entry) {}

    fn end(&mut self, entry: Entry) {
        self.push(entry);
    }
}

/// The message with an id, which says all of it: whoever repeats an append makes the same.
///
/// # Panics
/// If the id is not valid.
pub fn message(id: &str) -> NewMessage {
    let words = "word ".repeat(id.len() % 7);
    NewMessage::user(format!("{id} {words}")).with_id(id.parse().expect("the id is valid"))
}

/// A task, and what it works on.
#[derive(Debug)]
pub struct Task {
    /// Its number, which no other has.
    pub number: usize,
    /// What its messages' ids begin with: letters and digits that no other's do.
    pub name: String,
    /// The sessions that it works on.
    pub sessions: Vec<SessionId>,
    /// Where its dice begin.
    pub seed: u64,
    /// How many operations it does.
    pub operations: usize,
    /// Whether it deletes messages of its own.
    pub deletes: bool,
}

impl Task {
    /// Does all of its operations.
    ///
    /// # Errors
    /// If one fails; but what failed as unavailable is repeated.
    pub async fn run(self, store: &dyn Store, clock: Clock, log: &mut dyn Log) -> Result<()> {
        let dice = Dice::new(self.seed.wrapping_add(self.number as u64));
        let (sent, read) = (Vec::new(), Vec::new());
        let mut worker =
            Worker { task: self, store, clock, log, dice, named: 0, done: 0, sent, read };
        while worker.done < worker.task.operations {
            worker.step().await?;
        }
        Ok(())
    }
}

/// How many earlier batches may be repeated, and how many messages that were read may be looked for.
const REMEMBERED: usize = 50;
/// How often what failed as unavailable is tried.
const ATTEMPTS: usize = 100;

struct Worker<'a> {
    task: Task,
    store: &'a dyn Store,
    clock: Clock,
    log: &'a mut dyn Log,
    dice: Dice,
    named: usize,
    done: usize,
    /// Batches that were acknowledged.
    sent: Vec<(SessionId, Vec<String>)>,
    /// Messages that were read.
    read: Vec<(SessionId, u64, String)>,
}

impl Worker<'_> {
    async fn step(&mut self) -> Result<()> {
        let session = self.task.sessions[self.dice.below(self.task.sessions.len())].clone();
        match self.dice.below(20) {
            8 if !self.sent.is_empty() => {
                let (session, ids) = self.sent[self.dice.below(self.sent.len())].clone();
                self.append(&session, ids).await
            }
            9..=11 => self.read_newest(&session).await,
            12..=14 if !self.read.is_empty() => {
                let (session, seq, _) = self.read[self.dice.below(self.read.len())].clone();
                self.read_above(&session, seq).await
            }
            15..=16 => self.count(&session).await,
            17 => self.list().await,
            18 if !self.read.is_empty() => {
                let (session, _, id) = self.read[self.dice.below(self.read.len())].clone();
                self.find(&session, id).await
            }
            19 if self.task.deletes && !self.sent.is_empty() => self.delete().await,
            _ => {
                let count = 1 + self.dice.below(4);
                let ids = (0..count).map(|at| format!("{}n{}", self.task.name, self.named + at));
                let ids: Vec<_> = ids.collect();
                self.named += count;
                self.append(&session, ids.clone()).await?;
                remember(&mut self.sent, (session, ids));
                Ok(())
            }
        }
    }

    /// An entry that begins now.
    fn begin(&mut self, session: &SessionId, what: What) -> Result<Entry> {
        let began = self.clock.tick()?;
        Ok(Entry {
            task: self.task.number,
            session: session.to_string(),
            began,
            ended: NEVER,
            what,
        })
    }

    /// An entry that has ended.
    fn end(&mut self, began: Entry, what: What) -> Result<()> {
        let ended = self.clock.tick()?;
        self.log.end(Entry { ended, what, ..began });
        self.done += 1;
        Ok(())
    }

    async fn append(&mut self, session: &SessionId, ids: Vec<String>) -> Result<()> {
        let mut attempts = 0;
        loop {
            let what = What::Append { ids: ids.clone(), seqs: Vec::new() };
            let entry = self.begin(session, what)?;
            self.log.begin(&entry);
            let batch = ids.iter().map(|id| message(id)).collect();
            match self.store.append_all(&Scope::DEFAULT, session, batch).await {
                Ok(appended) => {
                    let seqs = appended.messages.iter().map(|message| message.seq.get()).collect();
                    return self.end(entry, What::Append { ids, seqs });
                }
                Err(error) if error.kind() == ErrorKind::Unavailable && attempts < ATTEMPTS => {
                    self.log.end(entry);
                    attempts += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the last messages, and now and then the page before them.
    async fn read_newest(&mut self, session: &SessionId) -> Result<()> {
        let limit = 1 + self.dice.below(20) as u32;
        let mut query = MessageQuery::new().newest_first().with_limit(limit);
        let mut up_to = NEVER;
        loop {
            let read = What::Read { above: 0, up_to, messages: Vec::new() };
            let entry = self.begin(session, read)?;
            let page = self.store.messages(&Scope::DEFAULT, session, &query).await?;
            let lowest = page.items.last().map(|message| message.seq.get());
            let above = match (&page.next, lowest) {
                (Some(_), Some(lowest)) => lowest - 1,
                _ => 0,
            };
            let messages: Vec<_> = page.items.iter().rev().map(place).collect();
            self.note(session, &messages);
            self.end(entry, What::Read { above, up_to, messages })?;
            match page.next.filter(|_| self.dice.below(2) == 0) {
                Some(next) => query = query.with_after(next),
                None => return Ok(()),
            }
            up_to = above;
        }
    }

    /// Reads what follows a number, page by page.
    async fn read_above(&mut self, session: &SessionId, mut above: u64) -> Result<()> {
        let limit = 1 + self.dice.below(20) as u32;
        let mut query = MessageQuery::new().with_after_seq(Seq::new(above)?).with_limit(limit);
        for _ in 0..3 {
            let read = What::Read { above, up_to: NEVER, messages: Vec::new() };
            let entry = self.begin(session, read)?;
            let page = self.store.messages(&Scope::DEFAULT, session, &query).await?;
            let messages: Vec<_> = page.items.iter().map(place).collect();
            let last = messages.last().map_or(above, |(seq, _)| *seq);
            let up_to = if page.next.is_some() { last } else { NEVER };
            self.note(session, &messages);
            self.end(entry, What::Read { above, up_to, messages })?;
            let Some(next) = page.next else { break };
            query = query.with_after(next);
            above = last;
        }
        Ok(())
    }

    fn note(&mut self, session: &SessionId, messages: &[(u64, String)]) {
        if let Some((seq, id)) = messages.first() {
            remember(&mut self.read, (session.clone(), *seq, id.clone()));
        }
    }

    async fn count(&mut self, session: &SessionId) -> Result<()> {
        let entry = self.begin(session, What::Count { messages: 0, last_seq: 0 })?;
        let session = self.store.session(&Scope::DEFAULT, session).await?;
        let (messages, last_seq) = (session.message_count, session.last_seq.get());
        self.end(entry, What::Count { messages, last_seq })
    }

    /// Walks the list of sessions: each has its counts, and none is left out.
    async fn list(&mut self) -> Result<()> {
        let mut query = SessionQuery::new().with_order(SessionOrder::Created).with_limit(3);
        let mut listed = Vec::new();
        loop {
            let session = self.task.sessions[0].clone();
            let entry = self.begin(&session, What::Count { messages: 0, last_seq: 0 })?;
            let page = self.store.list_sessions(&Scope::DEFAULT, &query).await?;
            let ended = self.clock.tick()?;
            for session in page.items {
                let (messages, last_seq) = (session.message_count, session.last_seq.get());
                let what = What::Count { messages, last_seq };
                let session = session.id.to_string();
                self.log.end(Entry { session: session.clone(), ended, what, ..entry.clone() });
                if listed.contains(&session) {
                    return Err(format!("{session} is listed twice").into());
                }
                listed.push(session);
            }
            match page.next {
                Some(next) => query = query.with_after(next),
                None => break,
            }
        }
        self.done += 1;
        let missing =
            self.task.sessions.iter().find(|id| !listed.iter().any(|name| name == id.as_str()));
        missing.map_or(Ok(()), |id| Err(format!("{id} is not listed").into()))
    }

    async fn find(&mut self, session: &SessionId, id: String) -> Result<()> {
        let entry = self.begin(session, What::Find { id: id.clone(), found: false })?;
        let query = SearchQuery::new(&id).with_session(session.clone());
        let hits = self.store.search(&Scope::DEFAULT, &query).await?.items;
        if hits.len() > 1 {
            return Err(format!("{id} is found {} times", hits.len()).into());
        }
        self.end(entry, What::Find { id, found: hits.len() == 1 })
    }

    /// Deletes a message of a batch, which is not repeated any more then.
    async fn delete(&mut self) -> Result<()> {
        let (session, mut ids) = self.sent.remove(self.dice.below(self.sent.len()));
        let id = ids.remove(self.dice.below(ids.len()));
        let what = What::Delete { id: id.clone() };
        let entry = self.begin(&session, what.clone())?;
        self.log.begin(&entry);
        if !self.store.delete_message(&Scope::DEFAULT, &session, &id.parse()?).await? {
            return Err(format!("{id} was not there to be deleted").into());
        }
        self.end(entry, what)
    }
}

fn remember<T>(all: &mut Vec<T>, one: T) {
    if all.len() == REMEMBERED {
        all.remove(0);
    }
    all.push(one);
}

fn place(message: &Message) -> (u64, String) {
    (message.seq.get(), message.id.to_string())
}

/// Reads everything when all tasks have ended; the entries are part of the history.
///
/// # Errors
/// If it cannot be read, or the totals are not those of the sessions.
pub async fn audit(store: &dyn Store, clock: &mut Clock, task: usize) -> Result<Vec<Entry>> {
    let sessions = SessionQuery::new().with_order(SessionOrder::Created);
    let sessions: Vec<_> = store.session_stream(&Scope::DEFAULT, sessions).try_collect().await?;
    let mut entries = Vec::new();
    let mut total = 0;
    for session in sessions {
        let began = clock.tick()?;
        let query = MessageQuery::new().with_limit(1_000);
        let all: Vec<_> =
            store.message_stream(&Scope::DEFAULT, &session.id, query).try_collect().await?;
        if let Some(other) = all.iter().find(|one| one.content != message(one.id.as_str()).content)
        {
            return Err(format!("{} is not whole", other.id).into());
        }
        let messages = all.iter().map(place).collect();
        let read = What::Read { above: 0, up_to: NEVER, messages };
        let (messages, last_seq) = (session.message_count, session.last_seq.get());
        for what in [read, What::Count { messages, last_seq }] {
            let (session, ended) = (session.id.to_string(), clock.tick()?);
            entries.push(Entry { task, session, began, ended, what });
        }
        total += messages;
    }
    let stats = store.stats(&Scope::DEFAULT, &StatsQuery::new()).await?;
    if stats.messages != total {
        return Err(format!("stats count {} messages, not {total}", stats.messages).into());
    }
    Ok(entries)
}
