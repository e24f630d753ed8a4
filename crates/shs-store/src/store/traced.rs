//! Spans for every operation.

use async_trait::async_trait;
use tracing::field::Empty;
use tracing::{Span, instrument};

use super::{
    AdminStore, AppendOptions, Appended, Deleted, ImportMode, PendingStream, Store, Tenant,
    TenantQuery,
};
use crate::{
    Hit, Message, MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page, PageRequest,
    Result, Scope, SearchQuery, Seq, Session, SessionId, SessionPatch, SessionQuery, Stats,
    StatsQuery, StreamedTranscript, TenantId, Timestamp, Transcript,
};

/// Gives every operation of a store a `tracing` span at level DEBUG.
///
/// A span has the name of the operation prefixed by `shs.` and the fields `store`, `tenant`,
/// `session`, `message_id`, `count` and `limit`, where they apply, `outcome` (`ok` or `error`), and
/// `error.kind` after an error; never content, and no user's id.
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

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    #[instrument(name = "shs.create_session", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %new.id))]
    async fn create_session(&self, scope: &Scope, new: NewSession) -> Result<Session> {
        observe(self.inner.create_session(scope, new)).await
    }

    #[instrument(name = "shs.session", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id))]
    async fn session(&self, scope: &Scope, id: &SessionId) -> Result<Session> {
        observe(self.inner.session(scope, id)).await
    }

    #[instrument(name = "shs.update_session", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id))]
    async fn update_session(
        &self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        observe(self.inner.update_session(scope, id, patch)).await
    }

    #[instrument(name = "shs.delete_session", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id))]
    async fn delete_session(&self, scope: &Scope, id: &SessionId) -> Result<bool> {
        observe(self.inner.delete_session(scope, id)).await
    }

    #[instrument(name = "shs.delete_user", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty))]
    async fn delete_user(&self, scope: &Scope, user_id: &str) -> Result<Deleted> {
        observe(self.inner.delete_user(scope, user_id)).await
    }

    #[instrument(name = "shs.list_sessions", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, limit = query.page.limit))]
    async fn list_sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Page<Session>> {
        observe(self.inner.list_sessions(scope, query)).await
    }

    #[instrument(name = "shs.append", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id, count = batch.len()))]
    async fn append_opts(
        &self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        observe(self.inner.append_opts(scope, id, batch, options)).await
    }

    #[instrument(name = "shs.message", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id, message_id = %message_id))]
    async fn message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<Message> {
        observe(self.inner.message(scope, id, message_id)).await
    }

    #[instrument(name = "shs.messages", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id, limit = query.page.limit))]
    async fn messages(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        observe(self.inner.messages(scope, id, query)).await
    }

    #[instrument(name = "shs.update_message", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id, message_id = %message_id))]
    async fn update_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        observe(self.inner.update_message(scope, id, message_id, patch)).await
    }

    #[instrument(name = "shs.delete_message", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id, message_id = %message_id))]
    async fn delete_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        observe(self.inner.delete_message(scope, id, message_id)).await
    }

    #[instrument(name = "shs.fork", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %id, up_to = up_to.get()))]
    async fn fork(
        &self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session> {
        observe(self.inner.fork(scope, id, up_to, new)).await
    }

    #[instrument(name = "shs.import", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %transcript.session.id, count = transcript.messages.len()))]
    async fn import(
        &self,
        scope: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        observe(self.inner.import(scope, transcript, mode)).await
    }

    #[instrument(name = "shs.import", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, session = %conversation.session().id, count = conversation.session().message_count))]
    async fn import_streamed(
        &self,
        scope: &Scope,
        conversation: StreamedTranscript,
        mode: ImportMode,
    ) -> Result<Session> {
        observe(self.inner.import_streamed(scope, conversation, mode)).await
    }

    #[instrument(name = "shs.search", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty, limit = query.page.limit))]
    async fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
        observe(self.inner.search(scope, query)).await
    }

    #[instrument(name = "shs.stats", level = "debug", skip_all, fields(store = self.name(), tenant = %scope.tenant_id(), outcome = Empty, error.kind = Empty))]
    async fn stats(&self, scope: &Scope, query: &StatsQuery) -> Result<Stats> {
        observe(self.inner.stats(scope, query)).await
    }

    #[instrument(name = "shs.flush", level = "debug", skip_all, fields(store = self.name(), outcome = Empty, error.kind = Empty))]
    async fn flush(&self) -> Result<()> {
        observe(self.inner.flush()).await
    }

    #[instrument(name = "shs.close", level = "debug", skip_all, fields(store = self.name(), outcome = Empty, error.kind = Empty))]
    async fn close(&self) -> Result<()> {
        observe(self.inner.close()).await
    }
}

#[async_trait]
impl<S: AdminStore> AdminStore for TracedStore<S> {
    #[instrument(name = "shs.tenants", level = "debug", skip_all, fields(store = self.name(), outcome = Empty, error.kind = Empty, limit = query.page.limit))]
    async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        observe(self.inner.tenants(query)).await
    }

    #[instrument(name = "shs.delete_tenant", level = "debug", skip_all, fields(store = self.name(), tenant = %tenant, outcome = Empty, error.kind = Empty))]
    async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted> {
        observe(self.inner.delete_tenant(tenant)).await
    }

    #[instrument(name = "shs.pending_streams", level = "debug", skip_all, fields(store = self.name(), outcome = Empty, error.kind = Empty, limit = page.limit))]
    async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
        observe(self.inner.pending_streams(page)).await
    }
}

/// Notes in the current span what comes of an operation.
async fn observe<T>(operation: impl Future<Output = Result<T>>) -> Result<T> {
    let outcome = operation.await;
    let span = Span::current();
    match &outcome {
        Ok(_) => span.record("outcome", "ok"),
        Err(error) => span.record("outcome", "error").record("error.kind", error.kind().as_str()),
    };
    outcome
}
