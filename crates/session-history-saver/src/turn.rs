//! Adding a message.

use std::future::IntoFuture;

use futures::future::BoxFuture;
use serde_json::Value;
use shs_store::{
    Error, Expected, Map, Message, MessageId, NewMessage, Part, Result, Role, Status, Timestamp,
};

use crate::SessionHandle;

/// A message to be added to a session; made by [`SessionHandle::message`] and its short forms.
///
/// Say what is known of it, then await it. Its id is fixed when it is made, so that it can be
/// [sent](Self::send) again after an error without being stored twice.
///
/// # Examples
/// ```
/// # use session_history_saver::SessionTracker;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let history = SessionTracker::new(shs_memory::MemoryStore::new());
/// # let session = history.session().await?;
/// let turn = session.assistant("It is sunny.").tokens(4).metadata("city", "Paris");
/// turn.send().await?;
/// turn.send().await?;
/// assert_eq!(session.messages().await?.len(), 1);
/// # Ok::<_, session_history_saver::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is added before it is awaited"]
pub struct Turn {
    session: SessionHandle,
    message: NewMessage,
    expected: Option<Expected>,
    mistake: Option<Error>,
}

impl Turn {
    pub(crate) fn new(session: SessionHandle, role: Role, content: String) -> Self {
        let now = session.tracker().store().now();
        let message = NewMessage::new(role, content).with_timestamp(now);
        Self { session, message, expected: None, mistake: None }
    }

    /// Gives the id; a new unique one otherwise.
    pub fn id(mut self, id: impl TryInto<MessageId, Error: Into<Error>>) -> Self {
        match id.try_into() {
            Ok(id) => self.message.id = id,
            Err(error) => self.mistake = self.mistake.or(Some(error.into())),
        }
        self
    }

    /// Sets the tokens that it counts for.
    pub fn tokens(mut self, tokens: u32) -> Self {
        self.message.tokens = Some(tokens);
        self
    }

    /// Sets the model that produced it.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.message.model = Some(model.into());
        self
    }

    /// Sets how long the model took, in milliseconds.
    pub fn latency_ms(mut self, latency_ms: f64) -> Self {
        self.message.latency_ms = Some(latency_ms);
        self
    }

    /// Sets how far it has come; delivered otherwise.
    pub fn status(mut self, status: Status) -> Self {
        self.message.status = status;
        self
    }

    /// Sets one key of the metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.message.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets all keys of an object in the metadata.
    pub fn metadata_map(mut self, metadata: Map) -> Self {
        self.message.metadata.extend(metadata);
        self
    }

    /// Sets what plain text cannot carry.
    pub fn parts(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.message.parts = parts.into_iter().collect();
        self
    }

    /// Adds the message only if this holds: a [`Conflict`](shs_store::ErrorKind::Conflict) if not.
    /// A message that is stored already is returned whatever has come since.
    ///
    /// A session that is saved at its end numbers its messages then, and refuses this as
    /// [`Unsupported`](shs_store::ErrorKind::Unsupported).
    pub fn expect(mut self, expected: Expected) -> Self {
        self.expected = Some(expected);
        self
    }

    /// Sets when it was said; now, by the store's clock, otherwise.
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.message.timestamp = timestamp;
        self
    }

    /// Adds the message, and returns it as it is stored. Awaiting the turn itself does the same.
    ///
    /// It can be repeated, after an error or without one: the message is stored once.
    ///
    /// # Errors
    /// [`NotFound`](shs_store::ErrorKind::NotFound) if the session does not exist,
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if something breaks a
    /// [limit](shs_store::limits), [`Conflict`](shs_store::ErrorKind::Conflict) if the session has another
    /// message with this id.
    pub async fn send(&self) -> Result<Message> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone().with_op("append").with_session(self.session.id()));
        }
        match self.expected {
            Some(expected) => self.session.append_if(self.message.clone(), expected).await,
            None => self.session.append(self.message.clone()).await,
        }
    }
}

impl IntoFuture for Turn {
    type Output = Result<Message>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.send().await })
    }
}
