//! Recording a stream that passes through.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use serde_json::Value;
use shs_store::{Map, Message, MessageId, MessagePatch, Result, Status};
use tokio::sync::oneshot;
use tracing::warn;

use super::{Answer, ERROR_KEY};

/// An item of a stream that can be recorded: text, or the error that ends it.
pub trait Delta {
    /// The text.
    ///
    /// # Errors
    /// If the item is an error: that, in words.
    fn delta(&self) -> Result<&str, String>;
}

impl Delta for String {
    fn delta(&self) -> Result<&str, String> {
        Ok(self)
    }
}

impl Delta for &str {
    fn delta(&self) -> Result<&str, String> {
        Ok(self)
    }
}

impl<T: AsRef<str>, E: Display> Delta for Result<T, E> {
    fn delta(&self) -> Result<&str, String> {
        self.as_ref().map(AsRef::as_ref).map_err(ToString::to_string)
    }
}

/// A stream of text that is recorded as an [`Answer`] while it passes through unchanged; made by
/// [`SessionHandle::record_stream`](crate::SessionHandle::record_stream).
///
/// When the stream ends, the answer is finished, and the end is passed on when that is saved. An item that is an
/// error ends the answer as [failed](Answer::fail); what follows is passed on and not recorded. If
/// the stream is dropped before its end, the answer is interrupted, with all text that had come.
///
/// Recording never disturbs the stream: if something cannot be saved, that is logged at level WARN and
/// the items pass on. The text is kept, and saved as soon as the store can be written.
///
/// # Examples
/// ```
/// # use session_history_saver::SessionTracker;
/// use futures::{StreamExt, stream};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let history = SessionTracker::new(shs_memory::MemoryStore::new());
/// # let session = history.session().await?;
/// let model = stream::iter(["It ", "is ", "sunny."]);
/// let words: Vec<_> = session.record_stream(model).await?.collect().await;
/// assert_eq!(words, ["It ", "is ", "sunny."]);
/// assert_eq!(session.last(1).await?[0].content, "It is sunny.");
/// # Ok::<_, session_history_saver::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Recording<S> {
    answer: Answer,
    upstream: Pin<Box<S>>,
    state: State,
}

#[derive(Debug)]
enum State {
    Recording,
    /// Passes on what follows an error.
    Passing,
    /// The stream has ended, and its end is being saved.
    Ending(oneshot::Receiver<Result<Message>>),
    Ended,
}

impl<S> Recording<S> {
    pub(super) fn new(answer: Answer, upstream: S) -> Self {
        Self { answer, upstream: Box::pin(upstream), state: State::Recording }
    }

    /// The id of the message that is recorded.
    pub fn id(&self) -> &MessageId {
        self.answer.id()
    }

    fn warn(&self, error: &shs_store::Error) {
        warn!(message = %self.answer.id(), %error, "a stream could not be recorded");
    }

    fn record<T: Delta>(&mut self, item: &T) {
        match item.delta() {
            Ok(text) => {
                if let Err(error) = self.answer.push_now(text) {
                    self.warn(&error);
                }
            }
            Err(error) => {
                let metadata = Map::from_iter([(ERROR_KEY.to_owned(), Value::from(error))]);
                let patch =
                    MessagePatch::new().with_status(Status::Error).with_metadata_merged(metadata);
                // It is saved whether waited for or not.
                drop(self.answer.begin_end(patch));
                self.state = State::Passing;
            }
        }
    }
}

impl<S: Stream<Item: Delta>> Stream for Recording<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Recording => match ready!(this.upstream.as_mut().poll_next(cx)) {
                    Some(item) => {
                        this.record(&item);
                        return Poll::Ready(Some(item));
                    }
                    None => {
                        let patch = MessagePatch::new().with_status(Status::Delivered);
                        this.state = State::Ending(this.answer.begin_end(patch));
                    }
                },
                State::Passing => return this.upstream.as_mut().poll_next(cx),
                State::Ending(outcome) => {
                    let outcome = ready!(Pin::new(outcome).poll(cx));
                    this.state = State::Ended;
                    if let Ok(Err(error)) = outcome {
                        this.warn(&error);
                    }
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}
