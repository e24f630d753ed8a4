//! One session, to talk in and to read.

use std::collections::HashSet;

use futures::TryStreamExt;
use futures::stream::BoxStream;
use shs_store::{
    AppendOptions, Error, ErrorKind, Expected, Message, MessageId, MessageQuery, NewMessage,
    NewSession, Page, Result, Role, Seq, Session, SessionId, SessionPatch, SessionStats, StoreExt,
};

use crate::streamed::{Delta, Recording};
use crate::{Answer, SessionTracker, StartAnswer, Turn};

/// A session: adds messages to it, reads them, ends it.
///
/// Clones are cheap and mean the same session. A handle keeps nothing open; dropping it does nothing, and
/// does not end the session.
///
/// # Examples
/// ```
/// # use session_history_saver::SessionTracker;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let history = SessionTracker::new(shs_memory::MemoryStore::new());
/// let session = history.session().await?;
/// session.user("Is it sunny in Paris?").await?;
/// session.assistant("It is.").tokens(3).latency_ms(120.0).await?;
/// assert_eq!(session.last(1).await?[0].content, "It is.");
/// # Ok::<_, session_history_saver::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct SessionHandle {
    tracker: SessionTracker,
    id: SessionId,
}

impl SessionHandle {
    pub(crate) fn new(tracker: SessionTracker, id: SessionId) -> Self {
        Self { tracker, id }
    }

    /// The session's id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The tracker that it came from.
    pub fn tracker(&self) -> &SessionTracker {
        &self.tracker
    }

    /// A message of the user.
    #[doc(alias = "add_user_message")]
    pub fn user(&self, content: impl Into<String>) -> Turn {
        self.message(Role::User, content)
    }

    /// A message of the assistant.
    #[doc(alias = "add_assistant_message")]
    pub fn assistant(&self, content: impl Into<String>) -> Turn {
        self.message(Role::Assistant, content)
    }

    /// A message of the system.
    #[doc(alias = "add_system_message")]
    pub fn system(&self, content: impl Into<String>) -> Turn {
        self.message(Role::System, content)
    }

    /// A message of a tool.
    pub fn tool(&self, content: impl Into<String>) -> Turn {
        self.message(Role::Tool, content)
    }

    /// A message of any role.
    #[doc(alias = "add_message")]
    pub fn message(&self, role: Role, content: impl Into<String>) -> Turn {
        Turn::new(self.clone(), role, content.into())
    }

    /// An answer that is saved while it is being produced: see [`Answer`](crate::Answer).
    pub fn stream(&self) -> StartAnswer {
        StartAnswer::new(self.clone())
    }

    /// Goes on with an answer that was interrupted or failed, behind the text that is stored: see
    /// [`StartAnswer::resume`].
    ///
    /// # Errors
    /// As [`StartAnswer::resume`].
    pub async fn resume_answer(
        &self,
        id: impl TryInto<MessageId, Error: Into<Error>> + Send,
    ) -> Result<Answer> {
        self.stream().id(id).resume().await
    }

    /// Records a stream of text as an answer while it passes through: see [`Recording`].
    ///
    /// # Errors
    /// As [`StartAnswer::begin`].
    pub async fn record_stream<S>(&self, upstream: S) -> Result<Recording<S>>
    where
        S: futures::Stream<Item: Delta> + Send,
    {
        self.stream().record(upstream).await
    }

    /// Adds a message, and returns it as it is stored; unsaved, it has the number [`Seq::ZERO`].
    ///
    /// Adding the same message again stores nothing, and returns it.
    ///
    /// # Errors
    /// As [`Turn::send`].
    pub async fn append(&self, message: NewMessage) -> Result<Message> {
        match self.tracker.unsaved().append(self.tracker.scope(), &self.id, message)? {
            Ok(message) => Ok(message),
            Err(message) => {
                self.tracker.store().append(self.tracker.scope(), &self.id, message).await
            }
        }
    }

    /// Adds a message if something holds that only the store can tell.
    pub(crate) async fn append_if(
        &self,
        message: NewMessage,
        expected: Expected,
    ) -> Result<Message> {
        if self.is_kept() {
            let detail = "a session that is saved at its end has no numbers to expect";
            return Err(Error::new(ErrorKind::Unsupported, detail).with_session(&self.id));
        }
        let options = AppendOptions::new().with_expected(expected);
        let (store, scope) = (self.tracker.store(), self.tracker.scope());
        let appended = store.append_opts(scope, &self.id, vec![message], options).await?;
        Ok(appended.messages.into_iter().next().expect("a batch of one returns one message"))
    }

    /// The session as it is now, without its messages; its counts hold unsaved messages too.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it does not exist.
    pub async fn info(&self) -> Result<Session> {
        let Some(draft) = self.tracker.unsaved().draft(self.tracker.scope(), &self.id) else {
            return self.tracker.store().session(self.tracker.scope(), &self.id).await;
        };
        let stored = self.tracker.store().find_session(self.tracker.scope(), &self.id).await?;
        let mut session = draft
            .session(stored, self.tracker.store().now())
            .map_err(|error| error.with_session(&self.id))?;
        for message in draft.messages() {
            session.message_count += 1;
            session.total_tokens += message.tokens.map_or(0, u64::from);
        }
        Ok(session)
    }

    /// All messages, as said. Unsaved ones come last, with the number [`Seq::ZERO`].
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn messages(&self) -> Result<Vec<Message>> {
        // What is unsaved first: what is saved between the two is then seen twice, and not missed.
        let draft = self.tracker.unsaved().draft(self.tracker.scope(), &self.id);
        let mut messages = match (self.stored_messages().await, &draft) {
            (Err(error), Some(draft)) if error.kind() == ErrorKind::NotFound && draft.is_new() => {
                Vec::new()
            }
            (stored, _) => stored?,
        };
        if let Some(draft) = draft {
            let known: HashSet<MessageId> =
                messages.iter().map(|message| message.id.clone()).collect();
            messages.extend(draft.messages().filter(|message| !known.contains(&message.id)));
        }
        Ok(messages)
    }

    /// The last messages, at most so many (1 to 1,000), as said; unsaved ones included.
    ///
    /// # Errors
    /// As [`StoreExt::last_messages`].
    pub async fn last(&self, count: u32) -> Result<Vec<Message>> {
        if !self.is_kept() {
            return self.tracker.store().last_messages(self.tracker.scope(), &self.id, count).await;
        }
        let mut messages = self.messages().await?;
        Ok(messages.split_off(messages.len().saturating_sub(count as usize)))
    }

    /// A page of the messages in the store, chosen by role, time, number and more.
    ///
    /// # Errors
    /// As [`Store::messages`](shs_store::Store::messages).
    pub async fn page(&self, query: MessageQuery) -> Result<Page<Message>> {
        self.tracker.store().messages(self.tracker.scope(), &self.id, &query).await
    }

    /// The messages in the store one after the other, loaded page by page.
    pub fn message_stream(&self, query: MessageQuery) -> BoxStream<'_, Result<Message>> {
        self.tracker.store().message_stream(self.tracker.scope(), &self.id, query)
    }

    /// The figures of the session, unsaved messages included.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it does not exist.
    pub async fn stats(&self) -> Result<SessionStats> {
        if !self.is_kept() {
            return self.tracker.store().session_stats(self.tracker.scope(), &self.id).await;
        }
        let session = self.info().await?;
        let messages = self.messages().await?;
        let duration = match messages.as_slice() {
            [first, .., last] => Some(last.timestamp.seconds_since(first.timestamp)),
            _ => None,
        };
        Ok(SessionStats::new(&session, duration))
    }

    /// Changes title, tags or metadata, and returns the session as it is then.
    ///
    /// # Errors
    /// As [`Store::update_session`](shs_store::Store::update_session).
    pub async fn update(&self, patch: SessionPatch) -> Result<Session> {
        let now = self.tracker.store().now();
        match self.tracker.unsaved().patch(self.tracker.scope(), &self.id, patch, now)? {
            Ok(()) => self.info().await,
            Err(patch) => {
                self.tracker.store().update_session(self.tracker.scope(), &self.id, patch).await
            }
        }
    }

    /// Sets the title.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn set_title(&self, title: impl Into<String> + Send) -> Result<Session> {
        let patch = SessionPatch::new().with_title(title);
        self.update(patch).await
    }

    /// Adds a tag, if the session does not have it.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn add_tag(&self, tag: impl Into<String> + Send) -> Result<Session> {
        let patch = SessionPatch::new().with_tag_added(tag);
        self.update(patch).await
    }

    /// Removes a tag, if the session has it.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn remove_tag(&self, tag: impl Into<String> + Send) -> Result<Session> {
        let patch = SessionPatch::new().with_tag_removed(tag);
        self.update(patch).await
    }

    /// Copies the session up to a number, itself included, into a new session that is active.
    ///
    /// What is unsaved is saved first. It is how an edited question or another answer is kept: fork before
    /// it, and go on in the copy.
    ///
    /// # Errors
    /// As [`save`](Self::save) and [`Store::fork`](shs_store::Store::fork).
    pub async fn fork(&self, up_to: Seq) -> Result<Self> {
        self.save().await?;
        let fork = self
            .tracker
            .store()
            .fork(self.tracker.scope(), &self.id, up_to, NewSession::new())
            .await?;
        self.tracker.resume(&fork.id).await
    }

    /// Saves what is unsaved, and goes on; with [`Saving::AtOnce`](crate::Saving::AtOnce) there is nothing
    /// to do.
    ///
    /// Messages are appended in batches of at most 10,000, each whole or not at all.
    ///
    /// # Errors
    /// As [`Store::create_session`](shs_store::Store::create_session) and
    /// [`Store::append_opts`](shs_store::Store::append_opts). What was not saved stays, and can be saved
    /// again: nothing is stored twice.
    ///
    /// # Cancel safety
    /// If the future is dropped, the same holds.
    pub async fn save(&self) -> Result<()> {
        let (store, scope) = (self.tracker.store(), self.tracker.scope());
        self.tracker.unsaved().save(&**store, scope, &self.id).await
    }

    /// Saves what is unsaved, and marks the session as ended.
    ///
    /// It only adds: messages that others wrote to the session stay. An ended session stays ended at the
    /// time of its first end. It still takes messages; they are saved at once.
    ///
    /// # Errors
    /// As [`save`](Self::save), and [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    ///
    /// # Cancel safety
    /// If the future is dropped, call it again: nothing is stored twice.
    #[doc(alias = "end_session")]
    pub async fn end(&self) -> Result<Session> {
        self.save().await?;
        let store = self.tracker.store();
        let mut session = store.session(self.tracker.scope(), &self.id).await?;
        if !session.is_ended() {
            let patch = SessionPatch::new().with_ended_at(store.now());
            session = store.update_session(self.tracker.scope(), &self.id, patch).await?;
        }
        while !self.tracker.unsaved().forget(self.tracker.scope(), &self.id) {
            // Something was added meanwhile.
            self.save().await?;
            session = store.session(self.tracker.scope(), &self.id).await?;
        }
        Ok(session)
    }

    /// Whether something may be unsaved.
    fn is_kept(&self) -> bool {
        self.tracker.unsaved().keeps(self.tracker.scope(), &self.id)
    }

    async fn stored_messages(&self) -> Result<Vec<Message>> {
        let query = MessageQuery::new().with_limit(1_000);
        self.message_stream(query).try_collect().await
    }
}
