//! Answers that are saved while they are being produced.

mod answer;
mod recording;
mod saver;

use std::future::IntoFuture;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;
use shs_store::{Error, MessageId, NewMessage, Result, Role, Status, Timestamp};

pub use answer::{Answer, FinishAnswer};
pub use recording::{Delta, Recording};

use crate::SessionHandle;

pub use shs_store::streaming::{ERROR_KEY, FIRST_TOKEN_KEY};

/// How an answer is saved while it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// Text is saved when so many bytes of it are new, or a sixteenth of what is saved if that is more, so
    /// that saving a long answer stays cheap; 1 KiB unless said otherwise.
    pub save_bytes: usize,
    /// Text is saved at the latest so long after it came, whether more follows or not; 250 ms unless said
    /// otherwise.
    pub save_every: Duration,
    /// How long after its last sign of life the writer is thought dead; 30 s unless said otherwise. It
    /// gives one at least every third of this time.
    pub lease: Duration,
    /// [`Answer::push`] waits while so many bytes are not saved; 1 MiB unless said otherwise.
    pub max_unsaved: usize,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            save_bytes: 1024,
            save_every: Duration::from_millis(250),
            lease: Duration::from_secs(30),
            max_unsaved: 1024 * 1024,
        }
    }
}

impl StreamOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Saves when so many bytes are new.
    #[must_use]
    pub fn with_save_bytes(mut self, save_bytes: usize) -> Self {
        self.save_bytes = save_bytes;
        self
    }

    /// Saves at the latest after this time.
    #[must_use]
    pub fn with_save_every(mut self, save_every: Duration) -> Self {
        self.save_every = save_every;
        self
    }

    /// Is thought dead after this time without a sign of life; at least 30 ms.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_millis(30));
        self
    }

    /// Makes [`Answer::push`] wait while so many bytes are not saved.
    #[must_use]
    pub fn with_max_unsaved(mut self, max_unsaved: usize) -> Self {
        self.max_unsaved = max_unsaved;
        self
    }
}

/// An answer to be begun; made by [`SessionHandle::stream`].
///
/// Say what is known of it, then [`begin`](Self::begin) it, or just await it.
#[derive(Clone, Debug)]
#[must_use = "nothing is written before it is begun"]
pub struct StartAnswer {
    session: SessionHandle,
    message: NewMessage,
    options: StreamOptions,
    mistake: Option<Error>,
}

impl StartAnswer {
    pub(crate) fn new(session: SessionHandle) -> Self {
        let now = session.tracker().store().now();
        let message =
            NewMessage::new(Role::Assistant, "").with_status(Status::Pending).with_timestamp(now);
        Self { session, message, options: StreamOptions::new(), mistake: None }
    }

    /// Gives the message's id; a new unique one otherwise.
    pub fn id(mut self, id: impl TryInto<MessageId, Error: Into<Error>>) -> Self {
        match id.try_into() {
            Ok(id) => self.message.id = id,
            Err(error) => self.mistake = self.mistake.or(Some(error.into())),
        }
        self
    }

    /// Says who speaks; the assistant otherwise.
    pub fn role(mut self, role: Role) -> Self {
        self.message.role = role;
        self
    }

    /// Sets the model that produces it.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.message.model = Some(model.into());
        self
    }

    /// Sets when it was said; now, by the store's clock, otherwise.
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.message.timestamp = timestamp;
        self
    }

    /// Sets one key of the metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.message.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets how it is saved while it grows.
    pub fn options(mut self, options: StreamOptions) -> Self {
        self.options = options;
        self
    }

    /// Writes the message, pending and without text, and begins to measure its time.
    ///
    /// # Errors
    /// As [`Turn::send`](crate::Turn::send); a [`Conflict`](shs_store::ErrorKind::Conflict) if the
    /// session has a message with this id, whatever its state: [`resume`](Self::resume) goes on
    /// with one; [`Unsupported`](shs_store::ErrorKind::Unsupported) if it is not called on a tokio
    /// runtime with its time enabled, because a task saves what comes.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message may have been written; it is marked as interrupted when its
    /// lease has run out.
    pub async fn begin(self) -> Result<Answer> {
        if let Some(mistake) = self.mistake {
            return Err(mistake.with_op("append").with_session(self.session.id()));
        }
        Answer::begin(self.session, self.message, self.options).await
    }

    /// Goes on with the answer of this id that is stored, behind its text: it is pending again,
    /// with a lease of this writer's. What else was said here (role, model, metadata, time) is not
    /// looked at.
    ///
    /// It can be resumed if it was interrupted, failed, or is pending and its writer's lease has
    /// run out. Of several who try at once, in whatever processes, one succeeds.
    ///
    /// # Errors
    /// [`NotFound`](shs_store::ErrorKind::NotFound) if there is no such message;
    /// [`Conflict`](shs_store::ErrorKind::Conflict) if it is delivered, is no answer that was begun
    /// with a lease, or somebody else writes it; [`Unsupported`](shs_store::ErrorKind::Unsupported)
    /// as for [`begin`](Self::begin), and for a session that is saved at its end.
    ///
    /// # Cancel safety
    /// If the future is dropped, the answer may be pending again, with nobody to write it; it is
    /// marked as interrupted when the lease has run out.
    pub async fn resume(self) -> Result<Answer> {
        if let Some(mistake) = self.mistake {
            return Err(mistake.with_op("append").with_session(self.session.id()));
        }
        Answer::resume(self.session, self.message, self.options).await
    }

    /// Begins the answer, and records a stream of text in it while it passes through: see [`Recording`].
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn record<S>(self, upstream: S) -> Result<Recording<S>>
    where
        S: futures::Stream<Item: Delta> + Send,
    {
        Ok(Recording::new(self.begin().await?, upstream))
    }
}

impl IntoFuture for StartAnswer {
    type Output = Result<Answer>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.begin())
    }
}
