//! The whole suite once more, in a tenant that has a name.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use shs_store::{
    AdminStore, AdminStoreExt, AppendOptions, Appended, Clock, Deleted, Hit, ImportMode, Message,
    MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page, PageRequest,
    PendingStream, Result, Scope, SearchQuery, Seq, Session, SessionId, SessionPatch, SessionQuery,
    Stats, StatsQuery, Store, StreamedTranscript, Tenant, TenantId, TenantQuery, Timestamp,
    Transcript,
};

use crate::Fixture;

/// A fixture whose stores keep the default tenant's data under a tenant with a name, and the other
/// way round. With it the suite shows that every rule holds in any tenant.
///
/// ```ignore
/// shs_testkit::conformance!(in_a_tenant, InTenant<MyFixture>);
/// ```
#[derive(Debug)]
pub struct InTenant<F>(F);

const NAME: &str = "Acme/ö \u{1f642}";

#[async_trait]
impl<F: Fixture> Fixture for InTenant<F> {
    type Store = Swapped<F::Store>;
    const DURABLE: bool = F::DURABLE;
    const SHARED: bool = F::SHARED;

    async fn new(clock: Arc<dyn Clock>) -> Self {
        Self(F::new(clock).await)
    }

    async fn open(&self) -> Result<Self::Store> {
        self.0.open().await.map(Swapped)
    }
}

/// A store in which two tenants have changed their names: see [`InTenant`].
#[derive(Debug)]
pub struct Swapped<S>(S);

fn swap(tenant: &TenantId) -> TenantId {
    match tenant.as_str() {
        "" => TenantId::new(NAME).expect("the name is valid"),
        NAME => TenantId::DEFAULT,
        _ => tenant.clone(),
    }
}

fn scope(scope: &Scope) -> Scope {
    let swapped = Scope::of(swap(scope.tenant_id()));
    match scope.user_id() {
        Some(user) => swapped.as_user(user).expect("a scope's user is valid"),
        None => swapped,
    }
}

/// The fingerprint of a cursor is that of its scope, so a cursor that a rule makes is made for the
/// other name. It is made again for the one beneath.
macro_rules! swapped_query {
    ($query:expr, $scope:expr, $fingerprint:expr) => {{
        let mut query = $query.clone();
        if let Some(cursor) = &query.page.after
            && let Ok(position) = cursor.decode($fingerprint(&query, $scope))
        {
            let inner = $fingerprint(&query, &scope($scope));
            query.page.after = Some(shs_store::Cursor::encode(inner, &position));
        } else if let Some(cursor) = &query.page.after
            && cursor.decode($fingerprint(&query, &scope($scope))).is_ok()
        {
            // It was made for the other of the two; to whoever looks it is a foreign one.
            query.page.after = Some(shs_store::Cursor::new("a foreign cursor"));
        }
        query
    }};
}

/// The other way: the cursor of a page beneath, for the name above.
macro_rules! swapped_page {
    ($page:expr, $query:expr, $scope:expr, $fingerprint:expr) => {{
        let mut page = $page;
        if let Some(next) = &page.next {
            let position = next.decode($fingerprint(&$query, &scope($scope)))?;
            page.next = Some(shs_store::Cursor::encode($fingerprint(&$query, $scope), &position));
        }
        page
    }};
}

#[async_trait]
impl<S: Store> Store for Swapped<S> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn create_session(&self, outer: &Scope, new: NewSession) -> Result<Session> {
        self.0.create_session(&scope(outer), new).await
    }

    async fn session(&self, outer: &Scope, id: &SessionId) -> Result<Session> {
        self.0.session(&scope(outer), id).await
    }

    async fn update_session(
        &self,
        outer: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        self.0.update_session(&scope(outer), id, patch).await
    }

    async fn delete_session(&self, outer: &Scope, id: &SessionId) -> Result<bool> {
        self.0.delete_session(&scope(outer), id).await
    }

    async fn delete_user(&self, outer: &Scope, user_id: &str) -> Result<Deleted> {
        self.0.delete_user(&scope(outer), user_id).await
    }

    async fn list_sessions(&self, outer: &Scope, query: &SessionQuery) -> Result<Page<Session>> {
        let fingerprint = SessionQuery::fingerprint;
        let query = swapped_query!(query, outer, fingerprint);
        let page = self.0.list_sessions(&scope(outer), &query).await?;
        Ok(swapped_page!(page, query, outer, fingerprint))
    }

    async fn append_opts(
        &self,
        outer: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        self.0.append_opts(&scope(outer), id, batch, options).await
    }

    async fn message(
        &self,
        outer: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<Message> {
        self.0.message(&scope(outer), id, message_id).await
    }

    async fn messages(
        &self,
        outer: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        let fingerprint = |query: &MessageQuery, scope: &Scope| query.fingerprint(scope, id);
        let query = swapped_query!(query, outer, fingerprint);
        let page = self.0.messages(&scope(outer), id, &query).await?;
        Ok(swapped_page!(page, query, outer, fingerprint))
    }

    async fn update_message(
        &self,
        outer: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        self.0.update_message(&scope(outer), id, message_id, patch).await
    }

    async fn delete_message(
        &self,
        outer: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        self.0.delete_message(&scope(outer), id, message_id).await
    }

    async fn fork(
        &self,
        outer: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session> {
        self.0.fork(&scope(outer), id, up_to, new).await
    }

    async fn import(
        &self,
        outer: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        self.0.import(&scope(outer), transcript, mode).await
    }

    async fn import_streamed(
        &self,
        outer: &Scope,
        conversation: StreamedTranscript,
        mode: ImportMode,
    ) -> Result<Session> {
        self.0.import_streamed(&scope(outer), conversation, mode).await
    }

    async fn search(&self, outer: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
        let fingerprint = SearchQuery::fingerprint;
        let query = swapped_query!(query, outer, fingerprint);
        let page = self.0.search(&scope(outer), &query).await?;
        Ok(swapped_page!(page, query, outer, fingerprint))
    }

    async fn stats(&self, outer: &Scope, query: &StatsQuery) -> Result<Stats> {
        self.0.stats(&scope(outer), query).await
    }

    async fn flush(&self) -> Result<()> {
        self.0.flush().await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

#[async_trait]
impl<S: AdminStore> AdminStore for Swapped<S> {
    async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        let inner = self.0.tenant_stream(TenantQuery::new().with_limit(1_000));
        let swapped =
            |tenant: Tenant| Tenant::new(swap(&tenant.id), tenant.sessions, tenant.messages);
        query.page_of(inner.map_ok(swapped).try_collect().await?)
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted> {
        self.0.delete_tenant(&swap(tenant)).await
    }

    async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
        let page = self.0.pending_streams(page).await?;
        Ok(page
            .map(|found| PendingStream::new(swap(&found.tenant), found.session_id, found.message)))
    }
}
