//! What is kept: the conversations of each tenant, the order of arrival, and the index.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use shs_store::document::Record;
use shs_store::text::FollowingIndex;
use shs_store::{
    AppendOptions, Appended, Deleted, Document, Error, Hit, ImportMode, Message, MessageId,
    MessagePatch, NewMessage, NewSession, Page, PageRequest, PendingStream, Result, Scope,
    SearchQuery, Seq, Session, SessionId, Stats, StatsQuery, Status, Tenant, TenantId, TenantQuery,
    Timestamp, Transcript,
};

/// Everything. Every method checks first and changes last, with nothing between that can fail.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Those that have sessions.
    tenants: HashMap<TenantId, Conversations>,
    /// What a tenant has that is not among them.
    nothing: Conversations,
    /// One order for all tenants.
    last_arrival: i64,
    pub(crate) closed: bool,
}

/// The conversations of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    documents: HashMap<SessionId, Document>,
    arrivals: BTreeMap<i64, (SessionId, Seq)>,
    /// Brought up to date by the next search.
    index: FollowingIndex,
}

impl State {
    /// What the tenant of a scope has.
    pub(crate) fn of(&self, scope: &Scope) -> &Conversations {
        self.tenants.get(scope.tenant_id()).unwrap_or(&self.nothing)
    }

    fn of_mut(&mut self, scope: &Scope) -> Option<&mut Conversations> {
        self.tenants.get_mut(scope.tenant_id())
    }

    pub(crate) fn document_mut(&mut self, scope: &Scope, id: &SessionId) -> Result<&mut Document> {
        visible(&mut self.own_mut(scope, id)?.documents, scope, id)
    }

    /// What the tenant of a scope has, for the work on this session.
    fn own_mut(&mut self, scope: &Scope, id: &SessionId) -> Result<&mut Conversations> {
        self.of_mut(scope).ok_or_else(|| Error::session_not_found(id))
    }

    pub(crate) fn create(
        &mut self,
        scope: &Scope,
        new: NewSession,
        now: Timestamp,
    ) -> Result<Session> {
        self.insert(scope, Document::create(scope, new, now)?)
    }

    fn insert(&mut self, scope: &Scope, document: Document) -> Result<Session> {
        let session = document.session().clone();
        if self.of(scope).documents.contains_key(&session.id) {
            return Err(Error::session_exists(&session.id));
        }
        let own = self.tenants.entry(scope.tenant_id().clone()).or_default();
        for record in document.records() {
            own.arrivals.insert(record.arrival, (session.id.clone(), record.message.seq));
        }
        own.documents.insert(session.id.clone(), document);
        Ok(session)
    }

    pub(crate) fn delete(&mut self, scope: &Scope, id: &SessionId) -> bool {
        let exists = self.of(scope).document(scope, id).is_ok();
        exists && self.remove(scope.tenant_id(), id).is_some()
    }

    /// Takes a conversation out, and its tenant with its last one.
    fn remove(&mut self, tenant: &TenantId, id: &SessionId) -> Option<Document> {
        let own = self.tenants.get_mut(tenant)?;
        let document = own.documents.remove(id)?;
        document.records().iter().for_each(|record| own.forget(record));
        if own.documents.is_empty() {
            self.tenants.remove(tenant);
        }
        Some(document)
    }

    pub(crate) fn delete_user(&mut self, scope: &Scope, user_id: &str) -> Deleted {
        self.delete_all(scope.tenant_id(), |session| {
            scope.has(session) && session.user_id.as_deref() == Some(user_id)
        })
    }

    pub(crate) fn delete_tenant(&mut self, tenant: &TenantId) -> Deleted {
        self.delete_all(tenant, |_| true)
    }

    fn delete_all(&mut self, tenant: &TenantId, wanted: impl Fn(&Session) -> bool) -> Deleted {
        let own = self.tenants.get(tenant).unwrap_or(&self.nothing);
        let wanted = own.sessions().filter(|session| wanted(session));
        let ids: Vec<SessionId> = wanted.map(|session| session.id.clone()).collect();
        let mut deleted = Deleted::default();
        for document in ids.iter().filter_map(|id| self.remove(tenant, id)) {
            deleted.sessions += 1;
            deleted.messages += document.session().message_count;
        }
        deleted
    }

    pub(crate) fn append(
        &mut self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
        now: Timestamp,
    ) -> Result<Appended> {
        let mut last_arrival = self.last_arrival;
        let Conversations { documents, arrivals, .. } = self.own_mut(scope, id)?;
        let document = visible(documents, scope, id)?;
        let appended = document.append(batch, options, now, || next(&mut last_arrival))?;
        let records = document.records();
        for record in &records[records.len() - appended.inserted..] {
            arrivals.insert(record.arrival, (id.clone(), record.message.seq));
        }
        self.last_arrival = last_arrival;
        Ok(appended)
    }

    pub(crate) fn update_message(
        &mut self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
        now: Timestamp,
    ) -> Result<Message> {
        let Conversations { documents, index, .. } = self.own_mut(scope, id)?;
        let document = visible(documents, scope, id)?;
        let (before, message) = document.update_message(message_id, patch, now)?;
        let message = message.clone();
        if before.content != message.content
            && let Some(record) = document.record(message_id)
        {
            index.change(record.arrival, &before.content);
        }
        Ok(message)
    }

    pub(crate) fn delete_message(
        &mut self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        now: Timestamp,
    ) -> Result<bool> {
        let own = self.own_mut(scope, id)?;
        let record = visible(&mut own.documents, scope, id)?.delete_message(message_id, now);
        record.iter().for_each(|record| own.forget(record));
        Ok(record.is_some())
    }

    pub(crate) fn fork(
        &mut self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
        now: Timestamp,
    ) -> Result<Session> {
        let mut last_arrival = self.last_arrival;
        let source = self.of(scope).document(scope, id)?;
        let fork = source.fork(scope, up_to, new, now, || next(&mut last_arrival))?;
        self.last_arrival = last_arrival;
        self.insert(scope, fork)
    }

    pub(crate) fn import(
        &mut self,
        scope: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        let mut transcript = Transcript::new(transcript.session, transcript.messages)?;
        scope.claim(&mut transcript.session.user_id)?;
        let id = transcript.session.id.clone();
        mode.check(scope, &id, self.of(scope).documents.get(&id).map(Document::session))?;
        let document = Document::from_transcript(transcript, || next(&mut self.last_arrival));
        self.remove(scope.tenant_id(), &id);
        self.insert(scope, document)
    }

    pub(crate) fn update_index(&mut self, scope: &Scope) -> Result<()> {
        self.of_mut(scope).map_or(Ok(()), Conversations::update_index)
    }

    pub(crate) fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        let tenant = |(tenant, own): (&TenantId, &Conversations)| {
            let sessions = own.documents.len() as u64;
            Tenant::new(tenant.clone(), sessions, own.arrivals.len() as u64)
        };
        query.page_of(self.tenants.iter().map(tenant).collect())
    }

    pub(crate) fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
        let after = PendingStream::begins_after(page)?.unwrap_or(i64::MIN);
        let mut found = BTreeMap::new();
        for (tenant, own) in &self.tenants {
            for document in own.documents.values() {
                for Record { message, arrival, .. } in document.records() {
                    if message.status == Status::Pending && *arrival > after {
                        found.insert(*arrival, (tenant, &document.session().id, message));
                    }
                }
            }
        }
        PendingStream::page_of(page, found.into_iter(), |(tenant, id, message)| {
            Ok(Some(PendingStream::new(tenant.clone(), id.clone(), message.clone())))
        })
    }
}

/// The conversation, if it exists within the scope.
fn visible<'d>(
    documents: &'d mut HashMap<SessionId, Document>,
    scope: &Scope,
    id: &SessionId,
) -> Result<&'d mut Document> {
    let found = documents.get_mut(id).filter(|document| scope.has(document.session()));
    found.ok_or_else(|| Error::session_not_found(id))
}

impl Conversations {
    /// The conversation, if it exists within the scope.
    pub(crate) fn document(&self, scope: &Scope, id: &SessionId) -> Result<&Document> {
        let found = self.documents.get(id).filter(|document| scope.has(document.session()));
        found.ok_or_else(|| Error::session_not_found(id))
    }

    /// The sessions of all users.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.documents.values().map(Document::session)
    }

    fn forget(&mut self, record: &Record) {
        self.index.remove(record.arrival, &record.message.content);
        self.arrivals.remove(&record.arrival);
    }

    /// Whether a search for this has to be preceded by [`State::update_index`].
    pub(crate) fn is_behind(&self, query: &SearchQuery) -> bool {
        query.text.is_some() && !self.index.is_current(&self.arrivals)
    }

    fn update_index(&mut self) -> Result<()> {
        let documents = &self.documents;
        self.index.follow(&self.arrivals, |_, (id, seq)| {
            let record = documents.get(id).and_then(|document| document.record_at(*seq));
            Ok(Cow::Borrowed(record.map_or("", |record| &record.message.content)))
        })
    }

    pub(crate) fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
        let text = query.parsed_text()?;
        let index = self.index.index();
        let numbers = query.candidates(scope, text.as_ref(), index, &self.arrivals)?;
        let load = |number: i64| {
            let Some((id, seq)) = self.arrivals.get(&number) else { return Ok(None) };
            let Some(document) = self.documents.get(id) else { return Ok(None) };
            let message = document.record_at(*seq).map(|record| &record.message);
            Ok(message
                .filter(|message| query.matches(scope, document.session(), *message))
                .map(|message| (document.session().clone(), message.clone())))
        };
        query.page_of(scope, text.as_ref(), numbers, load)
    }

    pub(crate) fn stats(&self, scope: &Scope, query: &StatsQuery) -> Stats {
        let mut stats = Stats::default();
        for document in self.documents.values() {
            stats.count_conversation(scope, query, document.session(), document.messages());
        }
        stats
    }
}

fn next(last: &mut i64) -> i64 {
    *last += 1;
    *last
}
