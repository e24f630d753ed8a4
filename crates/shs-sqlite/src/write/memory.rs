//! What the writer remembers from one transaction to the next, so that it need not ask the database.

use std::collections::{HashMap, VecDeque};

use shs_store::SessionKey;

use super::append::Target;

/// Most sessions that are remembered.
const MAX_SESSIONS: usize = 4_096;
/// Most bytes of tokens that are remembered.
const MAX_TOKENS: usize = 4 * 1024 * 1024;

/// What is known without asking.
#[derive(Default)]
pub(crate) struct Memory {
    /// The keys of models' names. They stand for as long as nobody else writes, who may erase a name.
    models: HashMap<String, i64>,
    /// Names whose keys are gone if the transaction is rolled back.
    uncommitted: Vec<String>,
    /// What stands only for as long as nobody else writes.
    known: Option<Known>,
    /// How many messages may be missing in the text index; `None` if nobody has looked.
    backlog: Option<u64>,
}

/// What the last append left behind.
struct Known {
    /// The last number of arrival. Every transaction moves it, but for those that only fill the index; so while it is
    /// this, nobody else has written.
    arrival: i64,
    sessions: HashMap<SessionKey, Target>,
    /// The last messages to arrive, which are not in the text index yet.
    unindexed: VecDeque<Entry>,
    /// Bytes of their tokens.
    tokens: usize,
}

/// A message as the text index takes it.
pub(super) struct Entry {
    pub(super) key: i64,
    /// The tokens by which the index filters.
    pub(super) scope: String,
    /// The tokens of the content.
    pub(super) content: String,
}

impl Memory {
    /// The transaction was committed.
    pub(super) fn commit(&mut self) {
        self.uncommitted.clear();
    }

    /// The transaction was rolled back.
    pub(super) fn roll_back(&mut self) {
        for name in self.uncommitted.drain(..) {
            self.models.remove(&name);
        }
        self.known = None;
        self.backlog = None;
    }

    /// Something else than an append is written, or by another connection.
    pub(super) fn forget(&mut self) {
        self.known = None;
        self.models.clear();
    }

    /// The last number of arrival is this, as was read inside a transaction.
    pub(super) fn look(&mut self, arrival: i64) {
        if self.known.as_ref().is_none_or(|known| known.arrival != arrival) {
            self.forget();
        }
    }

    pub(super) fn model(&self, name: &str) -> Option<i64> {
        self.models.get(name).copied()
    }

    pub(super) fn learn_model(&mut self, name: &str, key: i64) {
        self.models.insert(name.to_owned(), key);
        self.uncommitted.push(name.to_owned());
    }

    /// What appends to these sessions have to know, if all of it is known: the last number of arrival, for which it
    /// stands, and the sessions.
    pub(super) fn targets(
        &self,
        keys: impl Iterator<Item = SessionKey>,
    ) -> Option<(i64, HashMap<SessionKey, Target>)> {
        let known = self.known.as_ref()?;
        let target = |key: SessionKey| {
            let target = known.sessions.get(&key)?.as_it_is();
            Some((key, target))
        };
        Some((known.arrival, keys.map(target).collect::<Option<_>>()?))
    }

    /// Appends were committed, which moved the last number of arrival, and by which the sessions are like this now.
    pub(super) fn learn(
        &mut self,
        (before, arrival): (i64, i64),
        targets: HashMap<SessionKey, Target>,
        entries: Vec<Entry>,
    ) {
        let known = match &mut self.known {
            Some(known) if known.arrival == before => known,
            known => known.insert(Known {
                arrival,
                sessions: HashMap::new(),
                unindexed: VecDeque::new(),
                tokens: 0,
            }),
        };
        known.arrival = arrival;
        if known.sessions.len() + targets.len() > MAX_SESSIONS {
            known.sessions.clear();
        }
        known.sessions.extend(targets);
        for entry in entries {
            known.tokens += entry.content.len();
            known.unindexed.push_back(entry);
        }
        if known.tokens > MAX_TOKENS {
            // They are read from the database then.
            known.unindexed.clear();
            known.tokens = 0;
        }
    }

    /// Takes messages out that follow a key without a gap, so many at most, if the last number of arrival is the one
    /// remembered.
    pub(super) fn take_unindexed(&mut self, after: i64, arrival: i64, most: usize) -> Vec<Entry> {
        let Some(known) = &mut self.known else { return Vec::new() };
        if known.arrival != arrival {
            self.known = None;
            return Vec::new();
        }
        let is_done = |entry: &Entry| entry.key <= after;
        let done = known.unindexed.iter().take_while(|entry| is_done(entry)).count();
        let rest = known.unindexed.iter().skip(done).take(most);
        let next = rest.zip(after + 1..).take_while(|(entry, key)| entry.key == *key).count();
        let taken: Vec<Entry> = known.unindexed.drain(..done + next).skip(done).collect();
        known.tokens = known.unindexed.iter().map(|entry| entry.content.len()).sum();
        taken
    }

    /// How many messages may be missing in the text index; `None` if nobody has looked.
    pub(super) fn backlog(&self) -> Option<u64> {
        self.backlog
    }

    /// So many messages more may be missing.
    pub(super) fn add_to_backlog(&mut self, messages: usize) {
        self.backlog = self.backlog.map(|backlog| backlog + messages as u64);
    }

    /// So many were missing after somebody looked.
    pub(super) fn set_backlog(&mut self, messages: u64) {
        self.backlog = Some(messages);
    }
}
