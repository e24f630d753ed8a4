//! Keeps conversations in the memory of the process.
//!
//! [`MemoryStore`] keeps the whole contract of [`Store`] but durability: what it keeps ends with the process.
//! It is for tests and short-lived programs, and it is the model that the other backends are tested
//! against.
//!
//! # Examples
//! ```
//! use shs_memory::MemoryStore;
//! use shs_store::{NewMessage, NewSession, Store, StoreExt};
//!
//! # futures::executor::block_on(async {
//! let store = MemoryStore::new();
//! let session = store.create_session(NewSession::new().with_user("alice")).await?;
//! store.append(&session.id, NewMessage::user("Hello!")).await?;
//! assert_eq!(store.session(&session.id).await?.message_count, 1);
//! # Ok::<_, shs_store::Error>(())
//! # }).unwrap();
//! ```

mod state;

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use shs_store::{
    AppendOptions, Appended, Clock, Deleted, Error, Hit, ImportMode, Message, MessageId,
    MessagePatch, MessageQuery, NewMessage, NewSession, Page, Result, SearchQuery, Seq, Session,
    SessionId, SessionPatch, SessionQuery, Stats, StatsQuery, Store, SystemClock, Transcript,
};

use crate::state::State;

/// Keeps conversations in memory. Clones share what is kept.
///
/// One lock guards everything and no method waits inside it, so that every operation is one step for
/// all others. Memory grows with what is stored, by some three times its text, index included.
///
/// Writes do not touch the index of words. A search for a text first takes in what was written since the last one, while the
/// others wait, and then finds everything that was acknowledged: so the first search after many writes takes
/// the longer, about 100 ms for each megabyte of text, and a store that nobody searches has no index at all.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Arc<RwLock<State>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { clock: Arc::new(SystemClock), state: Arc::default() }
    }

    /// Takes the time from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Reads. A panic of another thread cannot have left the state half changed: see [`State`].
    fn read<T>(
        &self,
        op: &'static str,
        read: impl FnOnce(RwLockReadGuard<'_, State>) -> Result<T>,
    ) -> Result<T> {
        let state = self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let result = if state.closed { Err(Error::closed()) } else { read(state) };
        result.map_err(|error| error.with_store(Self::NAME).with_op(op))
    }

    fn write<T>(
        &self,
        op: &'static str,
        write: impl FnOnce(RwLockWriteGuard<'_, State>) -> Result<T>,
    ) -> Result<T> {
        let state = self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let result = if state.closed { Err(Error::closed()) } else { write(state) };
        result.map_err(|error| error.with_store(Self::NAME).with_op(op))
    }

    const NAME: &'static str = "memory";
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn create_session(&self, new: NewSession) -> Result<Session> {
        self.write("create_session", |mut state| state.create(new, self.clock.now()))
    }

    async fn session(&self, id: &SessionId) -> Result<Session> {
        self.read("session", |state| Ok(state.document(id)?.session().clone()))
    }

    async fn update_session(&self, id: &SessionId, patch: SessionPatch) -> Result<Session> {
        self.write("update_session", |mut state| {
            state.document_mut(id)?.update_session(patch, self.clock.now()).cloned()
        })
    }

    async fn delete_session(&self, id: &SessionId) -> Result<bool> {
        self.write("delete_session", |mut state| Ok(state.remove(id).is_some()))
    }

    async fn delete_user(&self, user_id: &str) -> Result<Deleted> {
        self.write("delete_user", |mut state| Ok(state.remove_user(user_id)))
    }

    async fn list_sessions(&self, query: &SessionQuery) -> Result<Page<Session>> {
        self.read("list_sessions", |state| query.page_of(state.sessions()))
    }

    async fn append_opts(
        &self,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        self.write("append", |mut state| state.append(id, batch, options, self.clock.now()))
    }

    async fn message(&self, id: &SessionId, message_id: &MessageId) -> Result<Message> {
        self.read("message", |state| state.document(id)?.message(message_id).cloned())
    }

    async fn messages(&self, id: &SessionId, query: &MessageQuery) -> Result<Page<Message>> {
        self.read("messages", |state| state.document(id)?.page(query))
    }

    async fn update_message(
        &self,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        self.write("update_message", |mut state| {
            state.update_message(id, message_id, patch, self.clock.now())
        })
    }

    async fn delete_message(&self, id: &SessionId, message_id: &MessageId) -> Result<bool> {
        self.write("delete_message", |mut state| {
            state.delete_message(id, message_id, self.clock.now())
        })
    }

    async fn fork(&self, id: &SessionId, up_to: Seq, new: NewSession) -> Result<Session> {
        self.write("fork", |mut state| state.fork(id, up_to, new, self.clock.now()))
    }

    async fn import(&self, transcript: Transcript, mode: ImportMode) -> Result<Session> {
        self.write("import", |mut state| state.import(transcript, mode))
    }

    async fn search(&self, query: &SearchQuery) -> Result<Page<Hit>> {
        // What is refused needs no index.
        let is_behind = |state: &State| {
            query.parsed_text()?;
            query.begins_after()?;
            Ok(state.is_behind(query))
        };
        if self.read("search", |state| is_behind(&state))? {
            return self.write("search", |mut state| {
                state.update_index()?;
                RwLockWriteGuard::downgrade(state).search(query)
            });
        }
        self.read("search", |state| state.search(query))
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats> {
        self.read("stats", |state| Ok(state.stats(query)))
    }

    async fn flush(&self) -> Result<()> {
        self.read("flush", |_| Ok(()))
    }

    async fn close(&self) -> Result<()> {
        self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner()).closed = true;
        Ok(())
    }
}
