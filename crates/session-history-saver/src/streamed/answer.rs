//! The writing side of a streamed answer.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;
use shs_store::{
    Error, ErrorKind, Map, Message, MessageId, MessagePatch, NewMessage, Part, Result, Status,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::saver::{Ending, Saver};
use super::{ERROR_KEY, StreamOptions};
use crate::SessionHandle;

/// An answer that is saved while it is being produced.
///
/// A pending message is written before the first word. What is [pushed](Self::push) is saved in the
/// background, several pieces at a time (see [`StreamOptions`]), and at the latest 250 ms after it came. Then
/// one of these happens:
///
/// | | the message is left |
/// |---|---|
/// | [`finish`](Self::finish) | delivered, with its latency |
/// | [`fail`](Self::fail) | in error, with all text that came |
/// | the answer is dropped, or the [tracker closed](crate::SessionTracker::close) | interrupted, with all text that came |
/// | the process dies | with what was last saved; interrupted once its lease has run out, or the store is opened |
///
/// Its metadata carry a [lease](shs_store::streaming) while it is pending, and the time to the first text under
/// [`FIRST_TOKEN_KEY`](super::FIRST_TOKEN_KEY) afterwards.
///
/// A task on the tokio runtime does the saving, also after the answer was dropped. Let
/// [`SessionTracker::close`](crate::SessionTracker::close) wait for it before the runtime ends; a runtime that
/// shuts down without it is like a process that dies. If the store cannot be written for more than six
/// seconds after a drop, the text since the last save is lost, which is logged at level ERROR.
///
/// # When someone else changes the message
/// If it was marked as interrupted, its writer was thought dead: the writer lives and goes on, the
/// message is pending again. If it is delivered or in error, someone else has completed it on
/// purpose, and if it is pending with another's lease, someone has
/// [resumed](super::StartAnswer::resume) it: that stays, and `push` and `finish` fail with
/// [`Conflict`](ErrorKind::Conflict). The text is then still in [`text`](Self::text).
///
/// # With save-at-end
/// With [`Saving::AtEnd`](crate::Saving::AtEnd), the text stays in memory and the message joins the unsaved
/// ones of the session when the answer ends.
///
/// # Examples
/// ```
/// # use session_history_saver::SessionTracker;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let history = SessionTracker::new(shs_memory::MemoryStore::new());
/// # let session = history.session().await?;
/// let mut answer = session.stream().model("claude-3-sonnet").begin().await?;
/// for word in ["It ", "is ", "sunny."] {
///     answer.push(word).await?;
/// }
/// let message = answer.finish().tokens(4).await?;
/// assert_eq!(message.content, "It is sunny.");
/// # Ok::<_, session_history_saver::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "an answer that is dropped is interrupted"]
pub struct Answer {
    saver: Arc<Saver>,
}

impl Answer {
    pub(super) async fn begin(
        session: SessionHandle,
        message: NewMessage,
        options: StreamOptions,
    ) -> Result<Self> {
        let runtime = runtime(&session)?;
        let saver = Saver::begin(session, message, options).await?;
        Ok(Self::run(saver, &runtime))
    }

    pub(super) async fn resume(
        session: SessionHandle,
        message: NewMessage,
        options: StreamOptions,
    ) -> Result<Self> {
        let runtime = runtime(&session)?;
        let saver = Saver::resume(session, message.id, options).await?;
        Ok(Self::run(saver, &runtime))
    }

    fn run(saver: Saver, runtime: &Handle) -> Self {
        let tracker = saver.session().tracker().clone();
        let saver = Arc::new(saver);
        let stopping = tracker.tasks().stopping();
        tracker.tasks().spawn(runtime, Arc::clone(&saver).run(stopping));
        Self { saver }
    }

    /// The message's id.
    pub fn id(&self) -> &MessageId {
        self.saver.message_id()
    }

    /// All text that came so far, saved or not.
    pub fn text(&self) -> String {
        self.saver.text()
    }

    /// Adds text. It is saved in the background; this waits only while a lot is unsaved.
    ///
    /// # Errors
    /// The text is taken in any case, but for these two:
    /// - [`InvalidInput`](ErrorKind::InvalidInput) if the answer has ended, or would be longer than a
    ///   message can be.
    ///
    /// Any other error tells that saving failed, once for each failure. An
    /// [`Unavailable`](ErrorKind::Unavailable) store is tried again, with all text, by itself. For
    /// [`NotFound`](ErrorKind::NotFound) the message was deleted, for [`Conflict`](ErrorKind::Conflict) someone
    /// else has completed it: nothing is saved any more.
    ///
    /// # Cancel safety
    /// Once the future was polled the text is taken; dropping it then only stops the waiting.
    pub async fn push(&mut self, text: impl AsRef<str> + Send) -> Result<()> {
        self.saver.push(text.as_ref())?;
        self.saver.wait_for_room().await
    }

    /// Completes the answer: to be awaited, after saying what is known of it now.
    ///
    /// It can be repeated: after an error to try again, after success to get the same message.
    pub fn finish(&mut self) -> FinishAnswer<'_> {
        FinishAnswer { answer: self, patch: MessagePatch::new(), metadata: Map::new() }
    }

    /// Ends the answer as failed, with all text that came, and with `error` in the metadata under
    /// [`ERROR_KEY`].
    ///
    /// # Errors
    /// As [`FinishAnswer`].
    pub async fn fail(&mut self, error: impl fmt::Display + Send) -> Result<Message> {
        let metadata = Map::from_iter([(ERROR_KEY.to_owned(), Value::from(error.to_string()))]);
        let patch = MessagePatch::new().with_status(Status::Error).with_metadata_merged(metadata);
        self.end(patch).await
    }

    pub(super) async fn end(&mut self, patch: MessagePatch) -> Result<Message> {
        let outcome = self.begin_end(patch);
        outcome.await.unwrap_or_else(|_| {
            let detail = "the runtime ended before the answer was saved";
            Err(Error::new(ErrorKind::Unavailable, detail))
        })
    }

    /// Asks for the end, and does not wait for it.
    pub(super) fn begin_end(&self, patch: MessagePatch) -> oneshot::Receiver<Result<Message>> {
        let (tx, outcome) = oneshot::channel();
        self.saver.end(Ending::new(patch, Some(tx)));
        outcome
    }

    /// Adds text without waiting, whatever is unsaved.
    pub(super) fn push_now(&self, text: &str) -> Result<()> {
        self.saver.push(text)
    }
}

/// The runtime for the task that saves.
fn runtime(session: &SessionHandle) -> Result<Handle> {
    Handle::try_current().map_err(|error| {
        Error::new(ErrorKind::Unsupported, "a streamed answer needs a tokio runtime")
            .with_session(session.id())
            .with_source(error)
    })
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.saver.abandon();
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("id", self.id()).finish_non_exhaustive()
    }
}

/// An answer about to be completed; made by [`Answer::finish`].
///
/// Awaiting it saves all text, sets the status `delivered` and the latency, and returns the message.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) if something breaks a limit,
/// [`Conflict`](ErrorKind::Conflict) if someone else has completed the message,
/// [`NotFound`](ErrorKind::NotFound) if it was deleted, [`Unavailable`](ErrorKind::Unavailable) if the
/// store cannot be written even after a third of a second. The answer is then still open: finish
/// again, or drop it.
///
/// # Cancel safety
/// Once the future was polled the answer ends as asked, whether it is waited for or not.
#[derive(Debug)]
#[must_use = "nothing is saved before it is awaited"]
pub struct FinishAnswer<'a> {
    answer: &'a mut Answer,
    patch: MessagePatch,
    metadata: Map,
}

impl FinishAnswer<'_> {
    /// Sets the tokens that it counts for.
    pub fn tokens(mut self, tokens: u32) -> Self {
        self.patch = self.patch.with_tokens(tokens);
        self
    }

    /// Sets the model that produced it, if it was not known before.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.patch = self.patch.with_model(model);
        self
    }

    /// Sets how long the model took, in milliseconds; the time since the beginning otherwise.
    pub fn latency_ms(mut self, latency_ms: f64) -> Self {
        self.patch = self.patch.with_latency_ms(latency_ms);
        self
    }

    /// Sets what plain text cannot carry.
    pub fn parts(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.patch = self.patch.with_parts(parts.into_iter().collect());
        self
    }

    /// Sets one key of the metadata; `null` removes it.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

impl<'a> IntoFuture for FinishAnswer<'a> {
    type Output = Result<Message>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { answer, patch, metadata } = self;
        let patch = patch.with_status(Status::Delivered).with_metadata_merged(metadata);
        Box::pin(answer.end(patch))
    }
}
