//! Faults on demand.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use shs_store::{
    AdminStore, AppendOptions, Appended, Deleted, Error, ErrorKind, Hit, ImportMode, Message,
    MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page, PageRequest,
    PendingStream, Result, Scope, SearchQuery, Seq, Session, SessionId, SessionPatch, SessionQuery,
    Stats, StatsQuery, Store, Tenant, TenantId, TenantQuery, Timestamp, Transcript,
};

/// An operation of a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Store::create_session`].
    CreateSession,
    /// [`Store::session`].
    Session,
    /// [`Store::update_session`].
    UpdateSession,
    /// [`Store::delete_session`].
    DeleteSession,
    /// [`Store::delete_user`].
    DeleteUser,
    /// [`Store::list_sessions`].
    ListSessions,
    /// [`Store::append_opts`].
    Append,
    /// [`Store::message`].
    Message,
    /// [`Store::messages`].
    Messages,
    /// [`Store::update_message`].
    UpdateMessage,
    /// [`Store::delete_message`].
    DeleteMessage,
    /// [`Store::fork`].
    Fork,
    /// [`Store::import`].
    Import,
    /// [`Store::search`].
    Search,
    /// [`Store::stats`].
    Stats,
    /// [`Store::flush`].
    Flush,
    /// [`Store::close`].
    Close,
    /// [`AdminStore::tenants`].
    Tenants,
    /// [`AdminStore::delete_tenant`].
    DeleteTenant,
    /// [`AdminStore::pending_streams`].
    PendingStreams,
}

impl Operation {
    /// The name of the operation, as errors carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateSession => "create_session",
            Self::Session => "session",
            Self::UpdateSession => "update_session",
            Self::DeleteSession => "delete_session",
            Self::DeleteUser => "delete_user",
            Self::ListSessions => "list_sessions",
            Self::Append => "append",
            Self::Message => "message",
            Self::Messages => "messages",
            Self::UpdateMessage => "update_message",
            Self::DeleteMessage => "delete_message",
            Self::Fork => "fork",
            Self::Import => "import",
            Self::Search => "search",
            Self::Stats => "stats",
            Self::Flush => "flush",
            Self::Close => "close",
            Self::Tenants => "tenants",
            Self::DeleteTenant => "delete_tenant",
            Self::PendingStreams => "pending_streams",
        }
    }

    /// Whether the operation changes what is stored.
    pub const fn is_write(self) -> bool {
        matches!(
            self,
            Self::CreateSession
                | Self::UpdateSession
                | Self::DeleteSession
                | Self::DeleteUser
                | Self::Append
                | Self::UpdateMessage
                | Self::DeleteMessage
                | Self::Fork
                | Self::Import
                | Self::DeleteTenant
        )
    }
}

/// A fault to be injected into a [`FaultStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// All writes if `None`.
    operation: Option<Operation>,
    moment: Moment,
    /// Calls to let pass before the fault.
    pass: usize,
    repeats: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

impl Fault {
    const fn new(operation: Option<Operation>, moment: Moment) -> Self {
        Self { operation, moment, pass: 0, repeats: false }
    }

    /// The next call of the operation fails, and nothing is done.
    pub const fn before(operation: Operation) -> Self {
        Self::new(Some(operation), Moment::Before)
    }

    /// The next call of the operation is done, and then its answer is lost.
    pub const fn after(operation: Operation) -> Self {
        Self::new(Some(operation), Moment::After)
    }

    /// The next call that writes fails, and nothing is done.
    pub const fn before_write() -> Self {
        Self::new(None, Moment::Before)
    }

    /// The next call that writes is done, and then its answer is lost.
    pub const fn after_write() -> Self {
        Self::new(None, Moment::After)
    }

    /// Lets so many calls pass first.
    #[must_use]
    pub const fn after_passing(mut self, calls: usize) -> Self {
        self.pass = calls;
        self
    }

    /// Happens again at every further call, until the faults are [cleared](FaultStore::clear).
    #[must_use]
    pub const fn every_time(mut self) -> Self {
        self.repeats = true;
        self
    }

    fn concerns(&self, operation: Operation) -> bool {
        self.operation.map_or(operation.is_write(), |own| own == operation)
    }
}

/// Makes chosen calls of a store fail as [`Unavailable`](ErrorKind::Unavailable), before or after they are done.
///
/// Without faults it does what the store inside does. A call that fails by itself keeps its own error.
///
/// # Examples
/// ```
/// use shs_memory::MemoryStore;
/// use shs_store::{ErrorKind, NewMessage, NewSession, Scope, Store, StoreExt};
/// use shs_testkit::{Fault, FaultStore, Operation};
///
/// # futures::executor::block_on(async {
/// let store = FaultStore::new(MemoryStore::new());
/// let id = store.create_session(&Scope::DEFAULT, NewSession::new()).await?.id;
/// let message = NewMessage::user("Hello!");
///
/// store.inject(Fault::after(Operation::Append));
/// let lost = store.append(&Scope::DEFAULT, &id, message.clone()).await.unwrap_err();
/// assert_eq!(lost.kind(), ErrorKind::Unavailable);
/// // It was stored, and repeating it stores nothing twice.
/// store.append(&Scope::DEFAULT, &id, message).await?;
/// assert_eq!(store.session(&Scope::DEFAULT, &id).await?.message_count, 1);
/// # Ok::<_, shs_store::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct FaultStore<S> {
    inner: S,
    faults: Mutex<Vec<Fault>>,
}

impl<S: Store> FaultStore<S> {
    /// Wraps a store, without faults.
    pub fn new(inner: S) -> Self {
        Self { inner, faults: Mutex::default() }
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Adds a fault. Of several that concern a call, the one that was added first happens.
    pub fn inject(&self, fault: Fault) {
        self.faults().push(fault);
    }

    /// Takes all faults away that have not happened.
    pub fn clear(&self) {
        self.faults().clear();
    }

    fn faults(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When this call fails, if it does.
    fn next(&self, operation: Operation) -> Option<Moment> {
        let mut faults = self.faults();
        let at = faults.iter().position(|fault| fault.concerns(operation))?;
        if faults[at].pass > 0 {
            faults[at].pass -= 1;
            return None;
        }
        let moment = faults[at].moment;
        if !faults[at].repeats {
            faults.remove(at);
        }
        Some(moment)
    }

    async fn call<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let lost = |detail| {
            Err(Error::new(ErrorKind::Unavailable, detail)
                .with_store(self.inner.name())
                .with_op(operation.as_str()))
        };
        match self.next(operation) {
            None => call.await,
            Some(Moment::Before) => lost("an injected fault; nothing was done"),
            Some(Moment::After) => {
                call.await?;
                lost("an injected fault; the answer was lost")
            }
        }
    }
}

#[async_trait]
impl<S: Store> Store for FaultStore<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn create_session(&self, scope: &Scope, new: NewSession) -> Result<Session> {
        self.call(Operation::CreateSession, self.inner.create_session(scope, new)).await
    }

    async fn session(&self, scope: &Scope, id: &SessionId) -> Result<Session> {
        self.call(Operation::Session, self.inner.session(scope, id)).await
    }

    async fn update_session(
        &self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        self.call(Operation::UpdateSession, self.inner.update_session(scope, id, patch)).await
    }

    async fn delete_session(&self, scope: &Scope, id: &SessionId) -> Result<bool> {
        self.call(Operation::DeleteSession, self.inner.delete_session(scope, id)).await
    }

    async fn delete_user(&self, scope: &Scope, user_id: &str) -> Result<Deleted> {
        self.call(Operation::DeleteUser, self.inner.delete_user(scope, user_id)).await
    }

    async fn list_sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Page<Session>> {
        self.call(Operation::ListSessions, self.inner.list_sessions(scope, query)).await
    }

    async fn append_opts(
        &self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        self.call(Operation::Append, self.inner.append_opts(scope, id, batch, options)).await
    }

    async fn message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<Message> {
        self.call(Operation::Message, self.inner.message(scope, id, message_id)).await
    }

    async fn messages(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        self.call(Operation::Messages, self.inner.messages(scope, id, query)).await
    }

    async fn update_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        let call = self.inner.update_message(scope, id, message_id, patch);
        self.call(Operation::UpdateMessage, call).await
    }

    async fn delete_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        self.call(Operation::DeleteMessage, self.inner.delete_message(scope, id, message_id)).await
    }

    async fn fork(
        &self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session> {
        self.call(Operation::Fork, self.inner.fork(scope, id, up_to, new)).await
    }

    async fn import(
        &self,
        scope: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        self.call(Operation::Import, self.inner.import(scope, transcript, mode)).await
    }

    async fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
        self.call(Operation::Search, self.inner.search(scope, query)).await
    }

    async fn stats(&self, scope: &Scope, query: &StatsQuery) -> Result<Stats> {
        self.call(Operation::Stats, self.inner.stats(scope, query)).await
    }

    async fn flush(&self) -> Result<()> {
        self.call(Operation::Flush, self.inner.flush()).await
    }

    async fn close(&self) -> Result<()> {
        self.call(Operation::Close, self.inner.close()).await
    }
}

#[async_trait]
impl<S: AdminStore> AdminStore for FaultStore<S> {
    async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        self.call(Operation::Tenants, self.inner.tenants(query)).await
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted> {
        self.call(Operation::DeleteTenant, self.inner.delete_tenant(tenant)).await
    }

    async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
        self.call(Operation::PendingStreams, self.inner.pending_streams(page)).await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use shs_memory::MemoryStore;
    use shs_store::StoreExt;

    use super::*;

    fn store() -> (FaultStore<MemoryStore>, SessionId) {
        let store = FaultStore::new(MemoryStore::new());
        let id = block_on(store.create_session(&Scope::DEFAULT, NewSession::new())).unwrap().id;
        (store, id)
    }

    #[test]
    fn a_fault_before_a_call_leaves_it_undone_and_happens_once() {
        let (store, id) = store();
        block_on(async {
            store.inject(Fault::before(Operation::Append));
            let error =
                store.append(&Scope::DEFAULT, &id, NewMessage::user("a")).await.unwrap_err();
            assert!(error.is_retryable());
            assert_eq!((error.store(), error.op()), (Some("memory"), Some("append")));
            assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap().message_count, 0);
            store.append(&Scope::DEFAULT, &id, NewMessage::user("a")).await.unwrap();
        });
    }

    #[test]
    fn a_fault_after_a_call_loses_the_answer_only() {
        let (store, id) = store();
        block_on(async {
            store.inject(Fault::after_write());
            assert_eq!(
                store.session(&Scope::DEFAULT, &id).await.unwrap().message_count,
                0,
                "a read is no write"
            );
            store.append(&Scope::DEFAULT, &id, NewMessage::user("a")).await.unwrap_err();
            assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap().message_count, 1);
        });
    }

    #[test]
    fn the_nth_call_or_every_call_can_fail() {
        let (store, id) = store();
        block_on(async {
            store.inject(Fault::before(Operation::Session).after_passing(2));
            let mut failed = Vec::new();
            for _ in 0..5 {
                failed.push(store.session(&Scope::DEFAULT, &id).await.is_err());
            }
            assert_eq!(failed, [false, false, true, false, false]);
            store.inject(Fault::before_write().every_time());
            for _ in 0..3 {
                assert!(store.delete_session(&Scope::DEFAULT, &id).await.is_err());
            }
            store.clear();
            assert!(store.delete_session(&Scope::DEFAULT, &id).await.unwrap());
        });
    }

    #[test]
    fn a_call_that_fails_by_itself_keeps_its_error() {
        let (store, _) = store();
        store.inject(Fault::after(Operation::Session));
        let missing = SessionId::generate();
        let error = block_on(store.session(&Scope::DEFAULT, &missing)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
