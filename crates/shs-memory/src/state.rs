//! What is kept: the conversations, the order of arrival, and the index.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use shs_store::document::Record;
use shs_store::text::FollowingIndex;
use shs_store::{
    AppendOptions, Appended, Deleted, Document, Error, Hit, ImportMode, Message, MessageId,
    MessagePatch, NewMessage, NewSession, Page, Result, SearchQuery, Seq, Session, SessionId,
    Stats, StatsQuery, Timestamp, Transcript,
};

/// All conversations. Every method checks first and changes last, with nothing between that can fail.
#[derive(Debug, Default)]
pub(crate) struct State {
    documents: HashMap<SessionId, Document>,
    arrivals: BTreeMap<i64, (SessionId, Seq)>,
    /// Brought up to date by the next search.
    index: FollowingIndex,
    last_arrival: i64,
    pub(crate) closed: bool,
}

impl State {
    pub(crate) fn document(&self, id: &SessionId) -> Result<&Document> {
        self.documents.get(id).ok_or_else(|| Error::session_not_found(id))
    }

    pub(crate) fn document_mut(&mut self, id: &SessionId) -> Result<&mut Document> {
        self.documents.get_mut(id).ok_or_else(|| Error::session_not_found(id))
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.documents.values().map(Document::session)
    }

    pub(crate) fn create(&mut self, new: NewSession, now: Timestamp) -> Result<Session> {
        self.insert(Document::create(new, now)?)
    }

    fn insert(&mut self, document: Document) -> Result<Session> {
        let session = document.session().clone();
        if self.documents.contains_key(&session.id) {
            return Err(Error::session_exists(&session.id));
        }
        for record in document.records() {
            self.arrivals.insert(record.arrival, (session.id.clone(), record.message.seq));
        }
        self.documents.insert(session.id.clone(), document);
        Ok(session)
    }

    pub(crate) fn remove(&mut self, id: &SessionId) -> Option<Document> {
        let document = self.documents.remove(id)?;
        document.records().iter().for_each(|record| self.forget(record));
        Some(document)
    }

    fn forget(&mut self, record: &Record) {
        self.index.remove(record.arrival, &record.message.content);
        self.arrivals.remove(&record.arrival);
    }

    pub(crate) fn remove_user(&mut self, user_id: &str) -> Deleted {
        let of_user = |session: &&Session| session.user_id.as_deref() == Some(user_id);
        let ids: Vec<SessionId> =
            self.sessions().filter(of_user).map(|session| session.id.clone()).collect();
        let mut deleted = Deleted::default();
        for document in ids.iter().filter_map(|id| self.remove(id)) {
            deleted.sessions += 1;
            deleted.messages += document.session().message_count;
        }
        deleted
    }

    pub(crate) fn append(
        &mut self,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
        now: Timestamp,
    ) -> Result<Appended> {
        let mut last_arrival = self.last_arrival;
        let document = self.documents.get_mut(id).ok_or_else(|| Error::session_not_found(id))?;
        let appended = document.append(batch, options, now, || next(&mut last_arrival))?;
        self.last_arrival = last_arrival;
        let records = document.records();
        for record in &records[records.len() - appended.inserted..] {
            self.arrivals.insert(record.arrival, (id.clone(), record.message.seq));
        }
        Ok(appended)
    }

    pub(crate) fn update_message(
        &mut self,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
        now: Timestamp,
    ) -> Result<Message> {
        let document = self.documents.get_mut(id).ok_or_else(|| Error::session_not_found(id))?;
        let (before, message) = document.update_message(message_id, patch, now)?;
        let message = message.clone();
        if before.content != message.content
            && let Some(record) = document.record(message_id)
        {
            self.index.change(record.arrival, &before.content);
        }
        Ok(message)
    }

    pub(crate) fn delete_message(
        &mut self,
        id: &SessionId,
        message_id: &MessageId,
        now: Timestamp,
    ) -> Result<bool> {
        let record = self.document_mut(id)?.delete_message(message_id, now);
        record.iter().for_each(|record| self.forget(record));
        Ok(record.is_some())
    }

    pub(crate) fn fork(
        &mut self,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
        now: Timestamp,
    ) -> Result<Session> {
        let mut last_arrival = self.last_arrival;
        let fork = self.document(id)?.fork(up_to, new, now, || next(&mut last_arrival))?;
        self.last_arrival = last_arrival;
        self.insert(fork)
    }

    pub(crate) fn import(&mut self, transcript: Transcript, mode: ImportMode) -> Result<Session> {
        let transcript = Transcript::new(transcript.session, transcript.messages)?;
        let id = transcript.session.id.clone();
        mode.check(&id, self.documents.get(&id).map(Document::session))?;
        let document = Document::from_transcript(transcript, || next(&mut self.last_arrival));
        self.remove(&id);
        self.insert(document)
    }

    /// Whether a search for this has to be preceded by [`update_index`](Self::update_index).
    pub(crate) fn is_behind(&self, query: &SearchQuery) -> bool {
        query.text.is_some() && !self.index.is_current(&self.arrivals)
    }

    pub(crate) fn update_index(&mut self) -> Result<()> {
        let documents = &self.documents;
        self.index.follow(&self.arrivals, |_, (id, seq)| {
            let record = documents.get(id).and_then(|document| document.record_at(*seq));
            Ok(Cow::Borrowed(record.map_or("", |record| &record.message.content)))
        })
    }

    pub(crate) fn search(&self, query: &SearchQuery) -> Result<Page<Hit>> {
        let text = query.parsed_text()?;
        let index = self.index.index();
        let numbers = query.candidates(text.as_ref(), index, &self.arrivals)?;
        let load = |number: i64| {
            let Some((id, seq)) = self.arrivals.get(&number) else { return Ok(None) };
            let document = self.document(id)?;
            let message = document.record_at(*seq).map(|record| &record.message);
            Ok(message
                .filter(|message| query.matches(document.session(), message))
                .map(|message| (document.session().clone(), message.clone())))
        };
        let rank = |number| text.as_ref().map_or(0.0, |text| index.rank(text, number));
        query.page_of(text.as_ref(), numbers, load, rank)
    }

    pub(crate) fn stats(&self, query: &StatsQuery) -> Stats {
        let mut stats = Stats::default();
        for document in self.documents.values() {
            stats.count_conversation(query, document.session(), document.messages());
        }
        stats
    }
}

fn next(last: &mut i64) -> i64 {
    *last += 1;
    *last
}
