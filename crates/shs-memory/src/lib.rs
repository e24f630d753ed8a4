//! Keeps conversations in the memory of the process.
//!
//! [`MemoryStore`] keeps the whole contract of [`Store`] but durability: what it keeps ends with the process.
//! It is for tests and short-lived programs, and it is the model that the other backends are tested
//! against.
//!
//! # Examples
//! ```
//! use shs_memory::MemoryStore;
//! use shs_store::{NewMessage, NewSession, Scope, Store, StoreExt};
//!
//! # futures::executor::block_on(async {
//! let store = MemoryStore::new();
//! let scope = Scope::DEFAULT;
//! let session = store.create_session(&scope, NewSession::new().with_user("alice")).await?;
//! store.append(&scope, &session.id, NewMessage::user("Hello!")).await?;
//! assert_eq!(store.session(&scope, &session.id).await?.message_count, 1);
//! # Ok::<_, shs_store::Error>(())
//! # }).unwrap();
//! ```

mod state;

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use shs_store::{
    AdminStore, AppendOptions, Appended, Clock, Deleted, Error, Hit, ImportMode, Message,
    MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page, PageRequest,
    PendingStream, Result, Scope, SearchQuery, Seq, Session, SessionId, SessionPatch, SessionQuery,
    Stats, StatsQuery, Store, SystemClock, Tenant, TenantId, TenantQuery, Timestamp, Transcript,
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

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn create_session(&self, scope: &Scope, new: NewSession) -> Result<Session> {
        self.write("create_session", |mut state| state.create(scope, new, self.clock.now()))
    }

    async fn session(&self, scope: &Scope, id: &SessionId) -> Result<Session> {
        self.read("session", |state| Ok(state.of(scope).document(scope, id)?.session().clone()))
    }

    async fn update_session(
        &self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        self.write("update_session", |mut state| {
            state.document_mut(scope, id)?.update_session(patch, self.clock.now()).cloned()
        })
    }

    async fn delete_session(&self, scope: &Scope, id: &SessionId) -> Result<bool> {
        self.write("delete_session", |mut state| Ok(state.delete(scope, id)))
    }

    async fn delete_user(&self, scope: &Scope, user_id: &str) -> Result<Deleted> {
        self.write("delete_user", |mut state| Ok(state.delete_user(scope, user_id)))
    }

    async fn list_sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Page<Session>> {
        self.read("list_sessions", |state| query.page_of(scope, state.of(scope).sessions()))
    }

    async fn append_opts(
        &self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        self.write("append", |mut state| state.append(scope, id, batch, options, self.clock.now()))
    }

    async fn message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<Message> {
        self.read("message", |state| {
            state.of(scope).document(scope, id)?.message(message_id).cloned()
        })
    }

    async fn messages(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        self.read("messages", |state| state.of(scope).document(scope, id)?.page(scope, query))
    }

    async fn update_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        self.write("update_message", |mut state| {
            state.update_message(scope, id, message_id, patch, self.clock.now())
        })
    }

    async fn delete_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        self.write("delete_message", |mut state| {
            state.delete_message(scope, id, message_id, self.clock.now())
        })
    }

    async fn fork(
        &self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session> {
        self.write("fork", |mut state| state.fork(scope, id, up_to, new, self.clock.now()))
    }

    async fn import(
        &self,
        scope: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        self.write("import", |mut state| state.import(scope, transcript, mode))
    }

    async fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
        // What is refused needs no index.
        let is_behind = |state: &State| {
            query.parsed_text()?;
            query.begins_after(scope)?;
            Ok(state.of(scope).is_behind(query))
        };
        if self.read("search", |state| is_behind(&state))? {
            return self.write("search", |mut state| {
                state.update_index(scope)?;
                RwLockWriteGuard::downgrade(state).of(scope).search(scope, query)
            });
        }
        self.read("search", |state| state.of(scope).search(scope, query))
    }

    async fn stats(&self, scope: &Scope, query: &StatsQuery) -> Result<Stats> {
        self.read("stats", |state| Ok(state.of(scope).stats(scope, query)))
    }

    async fn flush(&self) -> Result<()> {
        self.read("flush", |_| Ok(()))
    }

    async fn close(&self) -> Result<()> {
        self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner()).closed = true;
        Ok(())
    }
}

#[async_trait]
impl AdminStore for MemoryStore {
    async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        self.read("tenants", |state| state.tenants(query))
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted> {
        self.write("delete_tenant", |mut state| Ok(state.delete_tenant(tenant)))
    }

    async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
        self.read("pending_streams", |state| state.pending_streams(page))
    }
}
