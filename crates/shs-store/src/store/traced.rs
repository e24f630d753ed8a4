//! Spans for every operation.

use async_trait::async_trait;
use tracing::instrument;

use super::{AppendOptions, Appended, Deleted, ImportMode, Store};
use crate::{
    Hit, Message, MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page, Result,
    SearchQuery, Seq, Session, SessionId, SessionPatch, SessionQuery, Stats, StatsQuery,
    Transcript,
};

/// Gives every operation of a store a `tracing` span at level DEBUG.
///
/// A span has the name of the operation prefixed by `shs.` and the fields `store`, `session`, `message` and
/// `count`, where they apply; never content.
#[derive(Clone, Debug)]
pub struct TracedStore<S> {
    inner: S,
}

impl<S: Store> TracedStore<S> {
    /// Wraps a store.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Gives the store back.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

#[async_trait]
impl<S: Store> Store for TracedStore<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    #[instrument(name = "shs.create_session", level = "debug", skip_all, fields(store = self.name(), session = %new.id))]
    async fn create_session(&self, new: NewSession) -> Result<Session> {
        self.inner.create_session(new).await
    }

    #[instrument(name = "shs.session", level = "debug", skip_all, fields(store = self.name(), session = %id))]
    async fn session(&self, id: &SessionId) -> Result<Session> {
        self.inner.session(id).await
    }

    #[instrument(name = "shs.update_session", level = "debug", skip_all, fields(store = self.name(), session = %id))]
    async fn update_session(&self, id: &SessionId, patch: SessionPatch) -> Result<Session> {
        self.inner.update_session(id, patch).await
    }

    #[instrument(name = "shs.delete_session", level = "debug", skip_all, fields(store = self.name(), session = %id))]
    async fn delete_session(&self, id: &SessionId) -> Result<bool> {
        self.inner.delete_session(id).await
    }

    #[instrument(name = "shs.delete_user", level = "debug", skip_all, fields(store = self.name()))]
    async fn delete_user(&self, user_id: &str) -> Result<Deleted> {
        self.inner.delete_user(user_id).await
    }

    #[instrument(name = "shs.list_sessions", level = "debug", skip_all, fields(store = self.name(), limit = query.page.limit))]
    async fn list_sessions(&self, query: &SessionQuery) -> Result<Page<Session>> {
        self.inner.list_sessions(query).await
    }

    #[instrument(name = "shs.append", level = "debug", skip_all, fields(store = self.name(), session = %id, count = batch.len()))]
    async fn append_opts(
        &self,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        self.inner.append_opts(id, batch, options).await
    }

    #[instrument(name = "shs.message", level = "debug", skip_all, fields(store = self.name(), session = %id, message = %message_id))]
    async fn message(&self, id: &SessionId, message_id: &MessageId) -> Result<Message> {
        self.inner.message(id, message_id).await
    }

    #[instrument(name = "shs.messages", level = "debug", skip_all, fields(store = self.name(), session = %id, limit = query.page.limit))]
    async fn messages(&self, id: &SessionId, query: &MessageQuery) -> Result<Page<Message>> {
        self.inner.messages(id, query).await
    }

    #[instrument(name = "shs.update_message", level = "debug", skip_all, fields(store = self.name(), session = %id, message = %message_id))]
    async fn update_message(
        &self,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        self.inner.update_message(id, message_id, patch).await
    }

    #[instrument(name = "shs.delete_message", level = "debug", skip_all, fields(store = self.name(), session = %id, message = %message_id))]
    async fn delete_message(&self, id: &SessionId, message_id: &MessageId) -> Result<bool> {
        self.inner.delete_message(id, message_id).await
    }

    #[instrument(name = "shs.fork", level = "debug", skip_all, fields(store = self.name(), session = %id, up_to = up_to.get()))]
    async fn fork(&self, id: &SessionId, up_to: Seq, new: NewSession) -> Result<Session> {
        self.inner.fork(id, up_to, new).await
    }

    #[instrument(name = "shs.import", level = "debug", skip_all, fields(store = self.name(), session = %transcript.session.id, count = transcript.messages.len()))]
    async fn import(&self, transcript: Transcript, mode: ImportMode) -> Result<Session> {
        self.inner.import(transcript, mode).await
    }

    #[instrument(name = "shs.search", level = "debug", skip_all, fields(store = self.name(), limit = query.page.limit))]
    async fn search(&self, query: &SearchQuery) -> Result<Page<Hit>> {
        self.inner.search(query).await
    }

    #[instrument(name = "shs.stats", level = "debug", skip_all, fields(store = self.name()))]
    async fn stats(&self, query: &StatsQuery) -> Result<Stats> {
        self.inner.stats(query).await
    }

    #[instrument(name = "shs.flush", level = "debug", skip_all, fields(store = self.name()))]
    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    #[instrument(name = "shs.close", level = "debug", skip_all, fields(store = self.name()))]
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
