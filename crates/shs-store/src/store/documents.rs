//! A store out of five methods over whole conversations.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use futures::lock::Mutex;

use super::{
    AdminStore, AppendOptions, Appended, Deleted, ImportMode, PendingStream, Store, Tenant,
    TenantQuery,
};
use crate::clock::new_uuid;
use crate::document::Revision;
use crate::{
    Clock, Document, Error, ErrorKind, Hit, Message, MessageId, MessagePatch, MessageQuery,
    NewMessage, NewSession, Page, PageRequest, Result, Scope, SearchOrder, SearchQuery, Seq,
    Session, SessionId, SessionKey, SessionPatch, SessionQuery, Stats, StatsQuery, Status,
    SystemClock, TenantId, Timestamp, Transcript,
};

/// The five methods from which [`Documents`] makes a full [`Store`].
///
/// It keeps whole conversations as [`Document`]s, which serialize with serde. That is the shortest way
/// to a backend of one's own: a key-value server, an object store, a table with one JSON column. It is right before
/// it is fast: each append loads and saves a conversation, each search reads all of the tenant's.
///
/// A conversation is stored under a [`SessionKey`]: two keys are the same if both the tenant and
/// the id are. Do not join the two with a separator that either may have in it. Users need not be
/// looked at here: [`Documents`] does that, on what was loaded.
///
/// # Cancel safety
/// A dropped future of [`save`](Self::save) or [`delete`](Self::delete) must have done all or nothing.
#[async_trait]
pub trait DocumentStore: Debug + Send + Sync + 'static {
    /// Loads a conversation; `None` if there is none.
    async fn load(&self, key: &SessionKey) -> Result<Option<Document>>;

    /// Saves a conversation durably, if what is stored still has this revision (`None`: if nothing is stored);
    /// `false`, and nothing is changed, if not. The check and the change are one step for all callers.
    async fn save(
        &self,
        key: &SessionKey,
        document: &Document,
        expected: Option<Revision>,
    ) -> Result<bool>;

    /// Deletes a conversation durably, if it still has this revision; `false`, and nothing is changed, if
    /// not.
    async fn delete(&self, key: &SessionKey, expected: Revision) -> Result<bool>;

    /// The keys of all conversations of a tenant, or of all tenants if none is named, in any order.
    async fn keys(&self, tenant: Option<&TenantId>) -> Result<Vec<SessionKey>>;

    /// Closes the storage. It is called once, and again only if it failed or its future was dropped.
    async fn close(&self) -> Result<()>;
}

/// Makes a full [`Store`] of a [`DocumentStore`].
///
/// Writers of one process take turns. Writers of several processes are told apart by the
/// revision: who comes second loads again, and gives up as [`Unavailable`](ErrorKind::Unavailable) after
/// 1,000 attempts.
#[derive(Debug)]
pub struct Documents<D> {
    inner: D,
    name: &'static str,
    clock: Arc<dyn Clock>,
    /// Whose turn it is to write; it holds whether the storage is closed.
    turn: Mutex<bool>,
    last_arrival: AtomicI64,
    closed: AtomicBool,
}

const MAX_ATTEMPTS: usize = 1_000;

impl<D: DocumentStore> Documents<D> {
    /// A store of this name, for its errors and spans, over `inner`.
    pub fn new(name: &'static str, inner: D) -> Self {
        Self {
            inner,
            name,
            clock: Arc::new(SystemClock),
            turn: Mutex::new(false),
            last_arrival: AtomicI64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Takes the time from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The storage inside.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    /// A number for a message that arrives now: the time in microseconds and twelve bits more, which tell
    /// apart what arrives at once, in one process by counting, between processes by chance.
    fn next_arrival(&self) -> i64 {
        let chance = i64::from(new_uuid().as_bytes()[15]) << 4;
        let now = (Timestamp::now().as_micros() << 12) | chance;
        let next = |last: i64| Some(now.max(last + 1));
        let before = self.last_arrival.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        before.map_or(now, |last| now.max(last + 1))
    }

    async fn load(&self, scope: &Scope, id: &SessionId) -> Result<Document> {
        let found = self.inner.load(&scope.key(id)).await?;
        let found = found.filter(|document| scope.has(document.session()));
        found.ok_or_else(|| Error::session_not_found(id))
    }

    async fn load_all(&self, tenant: &TenantId) -> Result<Vec<Document>> {
        let mut documents = Vec::new();
        for key in self.inner.keys(Some(tenant)).await? {
            // One that was deleted since the keys were listed is passed over.
            documents.extend(self.inner.load(&key).await?);
        }
        Ok(documents)
    }

    /// Loads, changes and saves, again if somebody else saved meanwhile. A change that returns `None` needs
    /// no saving.
    async fn change<T: Send>(
        &self,
        scope: &Scope,
        id: &SessionId,
        change: impl Fn(&mut Document) -> Result<(T, bool)> + Send + Sync,
    ) -> Result<T> {
        let _turn = self.turn.lock().await;
        self.check_open()?;
        for _ in 0..MAX_ATTEMPTS {
            let mut document = self.load(scope, id).await?;
            let revision = document.revision();
            let (result, changed) = change(&mut document)?;
            if !changed {
                return Ok(result);
            }
            document.renew();
            if self.inner.save(&scope.key(id), &document, Some(revision)).await? {
                return Ok(result);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the session is written to by too many at once"))
    }

    /// Saves a new conversation; whoever calls it has the turn.
    async fn create(&self, scope: &Scope, document: Document) -> Result<Session> {
        if self.inner.save(&scope.key(&document.session().id), &document, None).await? {
            return Ok(document.session().clone());
        }
        Err(Error::session_exists(&document.session().id))
    }

    /// Deletes a conversation in whatever state it is; returns how many messages went.
    async fn remove(
        &self,
        key: &SessionKey,
        wanted: impl Fn(&Session) -> bool + Send + Sync,
    ) -> Result<Option<u64>> {
        for _ in 0..MAX_ATTEMPTS {
            let document = self.inner.load(key).await?;
            let Some(document) = document.filter(|document| wanted(document.session())) else {
                return Ok(None);
            };
            if self.inner.delete(key, document.revision()).await? {
                return Ok(Some(document.session().message_count));
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the session is written to by too many at once"))
    }

    /// Deletes the conversations of a tenant that are wanted, one after the other; whoever calls it
    /// has the turn.
    async fn remove_all(
        &self,
        tenant: &TenantId,
        wanted: impl Fn(&Session) -> bool + Send + Sync,
    ) -> Result<Deleted> {
        let mut deleted = Deleted::default();
        for key in self.inner.keys(Some(tenant)).await? {
            if let Some(messages) = self.remove(&key, &wanted).await? {
                deleted.sessions += 1;
                deleted.messages += messages;
            }
        }
        Ok(deleted)
    }

    fn context(&self, op: &'static str) -> impl Fn(Error) -> Error + use<D> {
        let name = self.name;
        move |error| error.with_store(name).with_op(op)
    }
}

#[async_trait]
impl<D: DocumentStore> Store for Documents<D> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn create_session(&self, scope: &Scope, new: NewSession) -> Result<Session> {
        let create = async {
            let _turn = self.turn.lock().await;
            self.check_open()?;
            self.create(scope, Document::create(scope, new, self.clock.now())?).await
        };
        create.await.map_err(self.context("create_session"))
    }

    async fn session(&self, scope: &Scope, id: &SessionId) -> Result<Session> {
        let read = async {
            self.check_open()?;
            Ok(self.load(scope, id).await?.session().clone())
        };
        read.await.map_err(self.context("session"))
    }

    async fn update_session(
        &self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        self.change(scope, id, |document| {
            let session = document.update_session(patch.clone(), self.clock.now())?;
            Ok((session.clone(), true))
        })
        .await
        .map_err(self.context("update_session"))
    }

    async fn delete_session(&self, scope: &Scope, id: &SessionId) -> Result<bool> {
        let delete = async {
            let _turn = self.turn.lock().await;
            self.check_open()?;
            Ok(self.remove(&scope.key(id), |session| scope.has(session)).await?.is_some())
        };
        delete.await.map_err(self.context("delete_session"))
    }

    /// Deletes session after session: an error or a drop in the middle leaves the others, and a repetition
    /// goes on.
    async fn delete_user(&self, scope: &Scope, user_id: &str) -> Result<Deleted> {
        let delete = async {
            let _turn = self.turn.lock().await;
            self.check_open()?;
            let of_user = |session: &Session| {
                scope.has(session) && session.user_id.as_deref() == Some(user_id)
            };
            self.remove_all(scope.tenant_id(), of_user).await
        };
        delete.await.map_err(self.context("delete_user"))
    }

    async fn list_sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Page<Session>> {
        let list = async {
            self.check_open()?;
            let documents = self.load_all(scope.tenant_id()).await?;
            query.page_of(scope, documents.iter().map(Document::session))
        };
        list.await.map_err(self.context("list_sessions"))
    }

    async fn append_opts(
        &self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        self.change(scope, id, |document| {
            let now = self.clock.now();
            let appended = document.append(batch.clone(), options, now, || self.next_arrival())?;
            let changed = appended.inserted > 0;
            Ok((appended, changed))
        })
        .await
        .map_err(self.context("append"))
    }

    async fn message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<Message> {
        let read = async {
            self.check_open()?;
            self.load(scope, id).await?.message(message_id).cloned()
        };
        read.await.map_err(self.context("message"))
    }

    async fn messages(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        let read = async {
            self.check_open()?;
            self.load(scope, id).await?.page(scope, query)
        };
        read.await.map_err(self.context("messages"))
    }

    async fn update_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        self.change(scope, id, |document| {
            let now = self.clock.now();
            let (_, message) = document.update_message(message_id, patch.clone(), now)?;
            Ok((message.clone(), true))
        })
        .await
        .map_err(self.context("update_message"))
    }

    async fn delete_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        self.change(scope, id, |document| {
            let deleted = document.delete_message(message_id, self.clock.now()).is_some();
            Ok((deleted, deleted))
        })
        .await
        .map_err(self.context("delete_message"))
    }

    async fn fork(
        &self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session> {
        let fork = async {
            // The numbers of arrival are taken within the turn, so that no message that is stored
            // earlier has a later one.
            let _turn = self.turn.lock().await;
            self.check_open()?;
            let source = self.load(scope, id).await?;
            let fork = source.fork(scope, up_to, new, self.clock.now(), || self.next_arrival())?;
            self.create(scope, fork).await
        };
        fork.await.map_err(self.context("fork"))
    }

    async fn import(
        &self,
        scope: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        let import = async {
            let _turn = self.turn.lock().await;
            self.check_open()?;
            let mut transcript = Transcript::new(transcript.session, transcript.messages)?;
            scope.claim(&mut transcript.session.user_id)?;
            let mut document = Document::from_transcript(transcript, || self.next_arrival());
            if mode == ImportMode::CreateOnly {
                return self.create(scope, document).await;
            }
            for _ in 0..MAX_ATTEMPTS {
                let id = document.session().id.clone();
                let stored = self.inner.load(&scope.key(&id)).await?;
                mode.check(scope, &id, stored.as_ref().map(|stored| stored.session()))?;
                document.renew();
                let expected = stored.map(|stored| stored.revision());
                if self.inner.save(&scope.key(&id), &document, expected).await? {
                    return Ok(document.session().clone());
                }
            }
            Err(Error::new(ErrorKind::Unavailable, "the session is written to by too many at once"))
        };
        import.await.map_err(self.context("import"))
    }

    async fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
        let search = async {
            self.check_open()?;
            let text = query.parsed_text()?;
            let after = query.begins_after(scope)?;
            let documents = self.load_all(scope.tenant_id()).await?;
            let mut found = BTreeMap::new();
            for document in &documents {
                for record in document.records() {
                    let (session, message) = (document.session(), &record.message);
                    let fits = query.matches(scope, session, message)
                        && text.as_ref().is_none_or(|text| text.matches(&message.content));
                    if fits {
                        found.insert(record.arrival, (session, message));
                    }
                }
            }
            let numbers: Vec<i64> = match (query.order, after) {
                (SearchOrder::Oldest, Some(after)) => {
                    found.range((Excluded(after), Unbounded)).map(|(number, _)| *number).collect()
                }
                (SearchOrder::Oldest, None) => found.keys().copied().collect(),
                (_, Some(before)) => found.range(..before).rev().map(|(n, _)| *n).collect(),
                (_, None) => found.keys().rev().copied().collect(),
            };
            let load = |number: i64| {
                Ok(found
                    .get(&number)
                    .map(|(session, message)| ((*session).clone(), (*message).clone())))
            };
            query.page_of(scope, text.as_ref(), numbers.into_iter(), load)
        };
        search.await.map_err(self.context("search"))
    }

    async fn stats(&self, scope: &Scope, query: &StatsQuery) -> Result<Stats> {
        let count = async {
            self.check_open()?;
            let mut stats = Stats::default();
            for document in self.load_all(scope.tenant_id()).await? {
                stats.count_conversation(scope, query, document.session(), document.messages());
            }
            Ok(stats)
        };
        count.await.map_err(self.context("stats"))
    }

    async fn flush(&self) -> Result<()> {
        self.check_open().map_err(self.context("flush"))
    }

    async fn close(&self) -> Result<()> {
        // Whoever waits for a turn behind this is told that the store is closed.
        self.closed.store(true, Ordering::Release);
        let mut storage_closed = self.turn.lock().await;
        if !*storage_closed {
            self.inner.close().await.map_err(self.context("close"))?;
            *storage_closed = true;
        }
        Ok(())
    }
}

#[async_trait]
impl<D: DocumentStore> AdminStore for Documents<D> {
    async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        let list = async {
            self.check_open()?;
            let mut tenants: BTreeMap<TenantId, Tenant> = BTreeMap::new();
            for key in self.inner.keys(None).await? {
                let Some(document) = self.inner.load(&key).await? else { continue };
                let tenant = tenants
                    .entry(key.tenant)
                    .or_insert_with_key(|tenant| Tenant::new(tenant.clone(), 0, 0));
                tenant.sessions += 1;
                tenant.messages += document.session().message_count;
            }
            query.page_of(tenants.into_values().collect())
        };
        list.await.map_err(self.context("tenants"))
    }

    /// Deletes session after session, as [`delete_user`](Store::delete_user) does.
    async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted> {
        let delete = async {
            let _turn = self.turn.lock().await;
            self.check_open()?;
            self.remove_all(tenant, |_| true).await
        };
        delete.await.map_err(self.context("delete_tenant"))
    }

    async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
        let list = async {
            self.check_open()?;
            let after = PendingStream::begins_after(page)?.unwrap_or(i64::MIN);
            let mut found = BTreeMap::new();
            for key in self.inner.keys(None).await? {
                let Some(document) = self.inner.load(&key).await? else { continue };
                for record in document.records() {
                    if record.message.status == Status::Pending && record.arrival > after {
                        found.insert(record.arrival, (key.clone(), record.message.clone()));
                    }
                }
            }
            PendingStream::page_of(page, found.into_iter(), |(key, message)| {
                Ok(Some(PendingStream::new(key.tenant, key.id, message)))
            })
        };
        list.await.map_err(self.context("pending_streams"))
    }
}
