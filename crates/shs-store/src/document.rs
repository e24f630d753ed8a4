//! A whole conversation with the rules of the contract: what a backend does to one session, as pure code.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::new_uuid;
use crate::limits::MAX_BATCH;
use crate::model::{AsHead, ContentDigest};
use crate::{
    AppendOptions, Appended, Error, ErrorKind, Expected, ForkPoint, Message, MessageId,
    MessagePatch, MessageQuery, NewMessage, NewSession, Page, Result, Scope, Seq, Session,
    SessionId, SessionPatch, Timestamp, Transcript,
};

/// A session with its messages, as a store keeps it; every change follows the contract of
/// [`Store`](crate::Store).
///
/// A backend that can hold a whole conversation in memory does all of its work with this; others take the
/// pieces that they need, such as [`check_batch`] and [`plan_append`]. What is read from its serialized form is
/// checked: a form that breaks a rule is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Document {
    revision: Revision,
    session: Session,
    records: Vec<Record>,
    seqs: HashMap<MessageId, Seq>,
}

/// Which state of a [`Document`] this is: unique, never used again, also after the session was deleted and
/// created anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(Uuid);

impl Revision {
    fn new() -> Self {
        Self(new_uuid())
    }
}

/// A message with what a store keeps beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The message.
    pub message: Message,
    /// When it arrived in the store, relative to all others: unique, and higher for later ones.
    pub arrival: i64,
    /// What was appended under its id, if the message was changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<ContentDigest>,
}

impl Record {
    /// What was appended under the message's id.
    pub fn digest(&self) -> ContentDigest {
        self.digest.unwrap_or_else(|| self.message.digest())
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    revision: Revision,
    session: Session,
    records: Vec<Record>,
}

impl TryFrom<Stored> for Document {
    type Error = Error;

    /// Refuses what is not as it was written: whoever works with a document relies on its rules.
    fn try_from(stored: Stored) -> Result<Self> {
        stored.check().map_err(|error| {
            Error::corrupt("a stored conversation is not as it was written")
                .with_session(&stored.session.id)
                .with_source(error)
        })?;
        Ok(Self::of(stored))
    }
}

impl Stored {
    /// What [`Transcript::new`] puts right is right.
    fn check(&self) -> Result<()> {
        let mut ids = HashSet::with_capacity(self.records.len());
        let (mut last, mut tokens) = (Seq::ZERO, 0);
        for Record { message, .. } in &self.records {
            if message.seq <= last || !ids.insert(&message.id) {
                return Err(Error::invalid("a number does not rise, or an id is there twice"));
            }
            message.validate()?;
            last = message.seq;
            tokens += message.tokens.map_or(0, u64::from);
        }
        let Session { message_count, total_tokens, last_seq, .. } = self.session;
        if (message_count, total_tokens) != (ids.len() as u64, tokens) || last_seq < last {
            return Err(Error::invalid("the session's counts are not those of its messages"));
        }
        self.session.validate()
    }
}

impl From<Document> for Stored {
    fn from(document: Document) -> Self {
        Self { revision: document.revision, session: document.session, records: document.records }
    }
}

impl Document {
    /// A new session without messages.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it breaks a limit, or names another user than
    /// the scope.
    pub fn create(scope: &Scope, mut new: NewSession, now: Timestamp) -> Result<Self> {
        scope.claim(&mut new.user_id)?;
        Ok(Self::assemble(new.into_session(now)?, Vec::new()))
    }

    /// A whole conversation; `arrival` gives each message its number of arrival.
    ///
    /// It is taken as it is. A store that imports it puts it through [`Transcript::new`] first, as its
    /// fields can have been changed since it was made.
    pub fn from_transcript(transcript: Transcript, mut arrival: impl FnMut() -> i64) -> Self {
        let records = transcript
            .messages
            .into_iter()
            .map(|message| Record { arrival: arrival(), digest: None, message })
            .collect();
        Self::assemble(transcript.session, records)
    }

    /// A session with its records, by rising number; for backends that keep them apart.
    pub fn assemble(session: Session, records: Vec<Record>) -> Self {
        Self::of(Stored { revision: Revision::new(), session, records })
    }

    fn of(stored: Stored) -> Self {
        let seqs = stored.records.iter().map(|r| (r.message.id.clone(), r.message.seq)).collect();
        Self { revision: stored.revision, session: stored.session, records: stored.records, seqs }
    }

    /// Which state this is.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Gives the state a new revision, as whoever saves it does first.
    pub fn renew(&mut self) {
        self.revision = Revision::new();
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The messages with what is kept beside them, by rising number.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The messages, by rising number.
    pub fn messages(&self) -> impl Iterator<Item = &Message> + Clone {
        self.records.iter().map(|record| &record.message)
    }

    /// The record of a message, if it is there.
    pub fn record(&self, id: &MessageId) -> Option<&Record> {
        self.seqs.get(id).and_then(|seq| self.record_at(*seq))
    }

    /// The record with this number, if it is there.
    pub fn record_at(&self, seq: Seq) -> Option<&Record> {
        self.index_of(seq).map(|at| &self.records[at])
    }

    /// The message, or that it is not found.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound).
    pub fn message(&self, id: &MessageId) -> Result<&Message> {
        self.record(id)
            .map(|record| &record.message)
            .ok_or_else(|| Error::message_not_found(&self.session.id, id))
    }

    fn index_of(&self, seq: Seq) -> Option<usize> {
        self.records.binary_search_by_key(&seq, |record| record.message.seq).ok()
    }

    fn index_of_id(&self, id: &MessageId) -> Option<usize> {
        self.seqs.get(id).and_then(|seq| self.index_of(*seq))
    }

    /// Changes the session.
    ///
    /// # Errors
    /// As [`SessionPatch::apply`].
    pub fn update_session(&mut self, patch: SessionPatch, now: Timestamp) -> Result<&Session> {
        patch.apply(&mut self.session, now)?;
        Ok(&self.session)
    }

    /// Appends a batch; `arrival` gives each new message its number of arrival.
    ///
    /// The new records are the last [`Appended::inserted`] of [`records`](Self::records).
    ///
    /// # Errors
    /// As [`Store::append_opts`](crate::Store::append_opts); nothing is changed then.
    pub fn append(
        &mut self,
        batch: Vec<NewMessage>,
        options: AppendOptions,
        now: Timestamp,
        mut arrival: impl FnMut() -> i64,
    ) -> Result<Appended> {
        check_batch(&batch).map_err(|error| error.with_session(&self.session.id))?;
        let plan = plan_append(&self.session.id, self.session.last_seq, &batch, options, |id| {
            self.record(id).map(Record::digest)
        })?;
        let mut messages = Vec::with_capacity(batch.len());
        let inserted = plan.iter().filter(|slot| slot.is_some()).count();
        for (new, slot) in batch.into_iter().zip(plan) {
            let Some(seq) = slot else {
                messages.push(self.message(&new.id)?.clone());
                continue;
            };
            let message = new.into_message(seq);
            self.seqs.insert(message.id.clone(), seq);
            self.session.count_in(&message);
            messages.push(message.clone());
            self.records.push(Record { message, arrival: arrival(), digest: None });
        }
        if inserted > 0 {
            self.session.touch(now);
        }
        Ok(Appended::new(messages, inserted))
    }

    /// Changes a message, and returns it as it was and as it is.
    ///
    /// # Errors
    /// As [`Store::update_message`](crate::Store::update_message); nothing is changed then.
    pub fn update_message(
        &mut self,
        id: &MessageId,
        patch: MessagePatch,
        now: Timestamp,
    ) -> Result<(Message, &Message)> {
        let Some(at) = self.index_of_id(id) else {
            return Err(Error::message_not_found(&self.session.id, id));
        };
        let mut changed = self.records[at].message.clone();
        patch.apply(&mut changed).map_err(|error| error.with_session(&self.session.id))?;
        let digest = self.records[at].digest();
        self.records[at].digest = Some(digest);
        let before = std::mem::replace(&mut self.records[at].message, changed);
        self.session.count_out(&before);
        self.session.count_in(&self.records[at].message);
        self.session.touch(now);
        Ok((before, &self.records[at].message))
    }

    /// Deletes a message and returns its record, or `None` if it is not there.
    pub fn delete_message(&mut self, id: &MessageId, now: Timestamp) -> Option<Record> {
        let at = self.index_of_id(id)?;
        let record = self.records.remove(at);
        self.seqs.remove(id);
        self.session.count_out(&record.message);
        self.session.touch(now);
        Some(record)
    }

    /// Copies the conversation up to a number; `arrival` gives each copy its number of arrival.
    ///
    /// # Errors
    /// As [`Store::fork`](crate::Store::fork), but for a taken id.
    pub fn fork(
        &self,
        scope: &Scope,
        up_to: Seq,
        new: NewSession,
        now: Timestamp,
        mut arrival: impl FnMut() -> i64,
    ) -> Result<Self> {
        let mut session = fork_session(scope, &self.session, up_to, new, now)?;
        let records: Vec<Record> = self
            .records
            .iter()
            .take_while(|record| record.message.seq <= up_to)
            .map(|record| Record { arrival: arrival(), ..record.clone() })
            .collect();
        for record in &records {
            session.count_in(&record.message);
        }
        Ok(Self::assemble(session, records))
    }

    /// A page of the messages.
    ///
    /// # Errors
    /// As [`Store::messages`](crate::Store::messages).
    pub fn page(&self, scope: &Scope, query: &MessageQuery) -> Result<Page<Message>> {
        query.page_of(
            scope,
            &self.session.id,
            &self.records,
            |record| &record.message,
            |record| Ok(record.message.clone()),
        )
    }

    /// The conversation without what a store keeps beside it.
    pub fn into_transcript(self) -> Transcript {
        let messages = self.records.into_iter().map(|record| record.message).collect();
        Transcript::new(self.session, messages).expect("a document keeps the rules of a transcript")
    }
}

impl Session {
    /// Counts a message that was stored; for backends.
    pub fn count_in(&mut self, message: &impl AsHead) {
        self.message_count += 1;
        self.total_tokens += message.tokens().map_or(0, u64::from);
        self.last_seq = self.last_seq.max(message.seq());
    }

    /// Counts a message that was removed; for backends.
    pub fn count_out(&mut self, message: &impl AsHead) {
        self.message_count -= 1;
        self.total_tokens -= message.tokens().map_or(0, u64::from);
    }
}

/// Checks a batch before it is looked at further: its size, each message's limits, that no id occurs
/// twice.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput).
pub fn check_batch(batch: &[NewMessage]) -> Result<()> {
    if batch.len() > MAX_BATCH {
        return Err(Error::invalid(format!(
            "a batch of {} messages; the limit is {MAX_BATCH}",
            batch.len()
        )));
    }
    // Most batches are one message, for which no table is made.
    let mut ids = HashSet::new();
    for new in batch {
        new.validate().map_err(|error| error.with_message(&new.id))?;
        if batch.len() > 1 && !ids.insert(&new.id) {
            return Err(
                Error::invalid("a message id occurs twice in one batch").with_message(&new.id)
            );
        }
    }
    Ok(())
}

/// Decides what an append stores: for each message of the batch the number that it gets, or `None` if it
/// is there already. `last_seq` is the session's; `find` returns what was appended under an id, if the session has it.
///
/// # Errors
/// [`Conflict`](ErrorKind::Conflict), as [`Store::append_opts`](crate::Store::append_opts) says.
pub fn plan_append(
    id: &SessionId,
    last_seq: Seq,
    batch: &[NewMessage],
    options: AppendOptions,
    find: impl Fn(&MessageId) -> Option<ContentDigest>,
) -> Result<Vec<Option<Seq>>> {
    let mut last = last_seq;
    let mut plan = Vec::with_capacity(batch.len());
    for new in batch {
        plan.push(match find(&new.id) {
            Some(digest) if digest == new.digest() => None,
            Some(_) => {
                let detail = "a message with this id is there with another role, content or parts";
                return Err(Error::new(ErrorKind::Conflict, detail)
                    .with_session(id)
                    .with_message(&new.id));
            }
            None if last == Seq::MAX => {
                return Err(
                    Error::invalid("the session's numbers are used up; fork it").with_session(id)
                );
            }
            None => {
                last = last.next();
                Some(last)
            }
        });
    }
    match options.expected {
        Some(Expected::LastSeq(seq)) if last != last_seq && seq != last_seq => {
            let detail = format!("the last seq is {last_seq}, not {seq} as expected");
            Err(Error::new(ErrorKind::Conflict, detail).with_session(id))
        }
        _ => Ok(plan),
    }
}

/// The session that a fork makes, without messages yet.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) if `up_to` is beyond the last number, a limit is
/// broken, or the new session names another user than the scope.
pub fn fork_session(
    scope: &Scope,
    source: &Session,
    up_to: Seq,
    mut new: NewSession,
    now: Timestamp,
) -> Result<Session> {
    if up_to > source.last_seq {
        let detail = format!("cannot fork at seq {up_to}; the last is {}", source.last_seq);
        return Err(Error::invalid(detail).with_session(&source.id));
    }
    scope.claim(&mut new.user_id)?;
    let mut session = new.inherit(source).into_session(now)?;
    session.forked_from = Some(ForkPoint { session_id: source.id.clone(), seq: up_to });
    session.last_seq = up_to;
    Ok(session)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_form_that_was_not_written_so_is_refused() {
        let mut document =
            Document::create(&Scope::DEFAULT, NewSession::new(), Timestamp::MIN).unwrap();
        let batch = ["a", "b"].map(|text| NewMessage::user(text).with_tokens(2));
        document.append(batch.to_vec(), AppendOptions::new(), Timestamp::MIN, || 1).unwrap();
        let form = serde_json::to_value(&document).unwrap();
        serde_json::from_value::<Document>(form.clone()).unwrap();
        let id = form["records"][0]["message"]["message_id"].clone();
        let changes = [
            ("/session/message_count", json!(1)),
            ("/session/total_tokens", json!(0)),
            ("/session/last_seq", json!(1)),
            ("/session/tags", json!([""])),
            ("/records/1/message/seq", json!(1)),
            ("/records/0/message/seq", json!(0)),
            ("/records/1/message/message_id", id),
            ("/records/1/message/model", json!("")),
            ("/records", Value::Array(Vec::new())),
        ];
        for (place, value) in changes {
            let mut changed = form.clone();
            *changed.pointer_mut(place).unwrap() = value;
            assert!(serde_json::from_value::<Document>(changed).is_err(), "{place}");
        }
    }
}
