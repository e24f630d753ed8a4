//! The task that saves a streamed answer.

use std::borrow::Cow;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::select;
use serde_json::Value;
use shs_store::clock::new_uuid;
use shs_store::limits::MAX_CONTENT_BYTES;
use shs_store::streaming::StreamLease;
use shs_store::{
    AppendOptions, Error, ErrorKind, Message, MessageId, MessagePatch, MetadataPatch, NewMessage,
    Result, Scope, Seq, Status, Store,
};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::{FIRST_TOKEN_KEY, StreamOptions};
use crate::SessionHandle;
use crate::retry::{retry_briefly, retry_patiently};

/// What the writer and the saving task share. Text is in here from the moment it came; the queue between
/// the two is this text, which has the limit of a message's content.
#[derive(Debug)]
pub(super) struct Saver {
    session: SessionHandle,
    message: NewMessage,
    /// Whether the message is in the store; otherwise it joins the unsaved ones when it ends.
    stored: bool,
    writer: String,
    options: StreamOptions,
    began: Instant,
    progress: Mutex<Progress>,
    /// Wakes the task.
    wake: Notify,
    /// Counts attempts to save, for those who wait for room.
    attempts: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Progress {
    text: String,
    /// Bytes of the text that are in the store.
    saved: usize,
    /// When the oldest text came that no save has taken.
    dirty_since: Option<Instant>,
    first_text: Option<Duration>,
    /// What saving failed with, to be told once.
    failure: Option<Error>,
    /// Why nothing can be saved any more.
    gone: Option<Error>,
    ending: Option<Ending>,
    /// No one is left to call.
    abandoned: bool,
    ended: Option<Message>,
}

/// How an answer is to end, and who wants to know.
#[derive(Debug)]
pub(super) struct Ending {
    patch: MessagePatch,
    reply: Option<oneshot::Sender<Result<Message>>>,
}

impl Ending {
    pub(super) fn new(
        patch: MessagePatch,
        reply: Option<oneshot::Sender<Result<Message>>>,
    ) -> Self {
        Self { patch, reply }
    }

    fn interrupted() -> Self {
        Self::new(MessagePatch::new().with_status(Status::Interrupted), None)
    }

    fn tell(reply: Option<oneshot::Sender<Result<Message>>>, outcome: Result<Message>) {
        if let Some(reply) = reply {
            // Whoever asked may not wait any more.
            drop(reply.send(outcome));
        }
    }
}

impl Saver {
    /// Writes the pending message.
    pub(super) async fn begin(
        session: SessionHandle,
        message: NewMessage,
        options: StreamOptions,
    ) -> Result<Self> {
        let saver = Self::new(session, message, options);
        if saver.stored {
            let mut message = saver.message.clone();
            message.metadata.extend(saver.lease());
            let (store, scope) = saver.store();
            let batch = vec![message];
            let appended =
                store.append_opts(scope, saver.session.id(), batch, AppendOptions::new()).await?;
            if appended.inserted == 0 {
                return Err(saver.taken());
            }
        } else {
            saver.message.validate().map_err(|error| saver.located(error))?;
            let unsaved = saver.session.tracker().unsaved();
            let draft = unsaved.draft(saver.session.tracker().scope(), saver.session.id());
            if draft.is_some_and(|draft| draft.has(&saver.message.id)) {
                return Err(saver.taken());
            }
        }
        Ok(saver)
    }

    /// Takes the message over that is stored, if nobody writes it.
    pub(super) async fn resume(
        session: SessionHandle,
        id: MessageId,
        options: StreamOptions,
    ) -> Result<Self> {
        if session.tracker().unsaved().keeps(session.tracker().scope(), session.id()) {
            let detail = "an answer of a session that is saved at its end cannot be resumed";
            let error = Error::new(ErrorKind::Unsupported, detail);
            return Err(error.with_session(session.id()).with_message(&id));
        }
        let (tracker, session_id) = (session.tracker().clone(), session.id().clone());
        let (store, scope) = (tracker.store(), tracker.scope());
        let stored = store.message(scope, &session_id, &id).await?;
        let message = NewMessage::from(stored.clone());
        let saver = Self::new(session, message, options);
        let patch = MessagePatch::new()
            .with_status(Status::Pending)
            .with_expected_status(stored.status)
            .with_metadata_merged(saver.lease());
        let patch = match (stored.status, StreamLease::of(&stored)) {
            (Status::Interrupted | Status::Error, _) => patch,
            (Status::Pending, Some(lease)) if lease.until < store.now() => {
                patch.with_expected_writer(lease.writer)
            }
            (Status::Pending, Some(_)) => {
                return Err(saver.refused(
                    "somebody writes the answer; it can be resumed once it is interrupted",
                ));
            }
            (Status::Pending, None) => {
                return Err(saver
                    .refused("the message is pending, but not as an answer that was begun here"));
            }
            (status, _) => {
                return Err(saver.refused(format!("the answer is {status}, and not interrupted")));
            }
        };
        let resumed = store.update_message(scope, &session_id, &id, patch).await?;
        {
            let mut progress = saver.lock();
            progress.saved = resumed.content.len();
            progress.text = resumed.content;
        }
        Ok(saver)
    }

    fn new(session: SessionHandle, message: NewMessage, options: StreamOptions) -> Self {
        let tracker = session.tracker();
        Self {
            stored: !tracker.unsaved().keeps(tracker.scope(), session.id()),
            session,
            message,
            writer: new_uuid().to_string(),
            options,
            began: Instant::now(),
            progress: Mutex::default(),
            wake: Notify::new(),
            attempts: watch::Sender::new(0),
        }
    }

    pub(super) fn session(&self) -> &SessionHandle {
        &self.session
    }

    fn store(&self) -> (&dyn Store, &Scope) {
        let tracker = self.session.tracker();
        (&**tracker.store(), tracker.scope())
    }

    fn taken(&self) -> Error {
        self.refused("the session has a message with this id; resume it, or begin under another id")
    }

    fn refused(&self, detail: impl Into<Cow<'static, str>>) -> Error {
        self.located(Error::new(ErrorKind::Conflict, detail).with_op("append"))
    }

    pub(super) fn message_id(&self) -> &MessageId {
        &self.message.id
    }

    pub(super) fn text(&self) -> String {
        self.lock().text.clone()
    }

    /// Takes text.
    pub(super) fn push(&self, text: &str) -> Result<()> {
        let mut progress = self.lock();
        if progress.ended.is_some() || progress.ending.is_some() {
            return Err(self.located(Error::invalid("the answer has ended")));
        }
        if progress.text.len() + text.len() > MAX_CONTENT_BYTES {
            let detail = format!("the answer would have more than {MAX_CONTENT_BYTES} bytes");
            return Err(self.located(Error::invalid(detail)));
        }
        if text.is_empty() {
            return Ok(());
        }
        progress.first_text.get_or_insert_with(|| self.began.elapsed());
        progress.text.push_str(text);
        let was_clean = progress.dirty_since.is_none();
        progress.dirty_since.get_or_insert_with(Instant::now);
        let wake = was_clean || self.is_enough(&progress);
        drop(progress);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits while too much is unsaved, and tells what saving failed with.
    pub(super) async fn wait_for_room(&self) -> Result<()> {
        let mut attempts = self.attempts.subscribe();
        loop {
            {
                let mut progress = self.lock();
                if let Some(error) = progress.failure.take().or_else(|| progress.gone.clone()) {
                    return Err(error);
                }
                let unsaved = progress.text.len() - progress.saved;
                if !self.stored || unsaved <= self.options.max_unsaved || progress.ended.is_some() {
                    return Ok(());
                }
            }
            // The sender is a field of self.
            let _ = attempts.changed().await;
        }
    }

    /// Asks for the end.
    pub(super) fn end(&self, ending: Ending) {
        let mut progress = self.lock();
        if let Some(ended) = &progress.ended {
            let outcome = if ending.patch.status == Some(ended.status) {
                Ok(ended.clone())
            } else {
                let detail = format!("the answer has ended as {}", ended.status);
                Err(self.located(Error::new(ErrorKind::Conflict, detail)))
            };
            return Ending::tell(ending.reply, outcome);
        }
        if let Some(gone) = &progress.gone {
            return Ending::tell(ending.reply, Err(gone.clone()));
        }
        if progress.ending.is_some() {
            let detail = "the answer is being ended already";
            let error = self.located(Error::new(ErrorKind::Conflict, detail));
            return Ending::tell(ending.reply, Err(error));
        }
        progress.ending = Some(ending);
        drop(progress);
        self.wake.notify_one();
    }

    /// Ends it as interrupted, unless it ends otherwise already.
    pub(super) fn abandon(&self) {
        let mut progress = self.lock();
        progress.abandoned = true;
        if progress.ending.is_none() {
            progress.ending = Some(Ending::interrupted());
        }
        drop(progress);
        self.wake.notify_one();
    }

    /// The task: saves what comes, renews the lease, and ends the message.
    pub(super) async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut renewed = Instant::now();
        let mut stopped = false;
        loop {
            {
                let stop = async {
                    if stopped || stopping.wait_for(|stop| *stop).await.is_err() {
                        pending::<()>().await;
                    }
                };
                let (wake, stop) = (pin!(self.wake.notified()), pin!(stop));
                // Which of them it was is found out below.
                let _ = timeout_at(self.next_due(renewed), select(wake, stop)).await;
            }
            if !stopped && *stopping.borrow() {
                stopped = true;
                self.abandon();
            }
            if let Some(ending) = self.take_ending() {
                if self.finish(ending).await {
                    return;
                }
                continue;
            }
            if self.stored && (self.is_due() || renewed.elapsed() >= self.renewal()) {
                renewed = Instant::now();
                self.save().await;
            }
        }
    }

    /// When there will be something to do without being woken.
    fn next_due(&self, renewed: Instant) -> Instant {
        let progress = self.lock();
        if !self.stored || progress.gone.is_some() {
            // Only the end is waited for.
            return Instant::now() + Duration::from_secs(24 * 60 * 60);
        }
        let renewal = renewed + self.renewal();
        match progress.dirty_since {
            Some(since) => renewal.min(since + self.options.save_every),
            None => renewal,
        }
    }

    /// How often the lease is renewed.
    fn renewal(&self) -> Duration {
        (self.options.lease / 3).max(Duration::from_millis(10))
    }

    fn is_due(&self) -> bool {
        let progress = self.lock();
        let Some(since) = progress.dirty_since else { return false };
        since.elapsed() >= self.options.save_every || self.is_enough(&progress)
    }

    fn is_enough(&self, progress: &Progress) -> bool {
        let enough = self.options.save_bytes.max(progress.saved / 16);
        // Not after a failure: then the time decides.
        progress.failure.is_none() && progress.text.len() - progress.saved >= enough
    }

    /// Saves the text so far, and with it a new lease.
    async fn save(&self) {
        let text = {
            let mut progress = self.lock();
            if progress.gone.is_some() {
                return;
            }
            progress.dirty_since = None;
            progress.text.clone()
        };
        let saved = text.len();
        let patch = MessagePatch::new().with_content(text).with_metadata_merged(self.lease());
        let outcome = self.update(patch).await;
        let mut progress = self.lock();
        match outcome {
            Ok(_) => {
                progress.saved = saved;
                progress.failure = None;
            }
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                progress.gone = Some(error);
            }
            Err(error) => {
                progress.failure = Some(error);
                progress.dirty_since.get_or_insert_with(Instant::now);
            }
        }
        drop(progress);
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    fn take_ending(&self) -> Option<MessagePatch> {
        let progress = self.lock();
        progress.ending.as_ref().map(|ending| ending.patch.clone())
    }

    /// Ends the message; `true` if the task is done.
    async fn finish(&self, patch: MessagePatch) -> bool {
        let (gone, abandoned) = {
            let progress = self.lock();
            (progress.gone.clone(), progress.abandoned)
        };
        let patch = self.completed(patch);
        let attempt = || self.write_end(patch.clone());
        let outcome = match gone {
            Some(gone) => Err(gone),
            None if abandoned => retry_patiently(attempt).await,
            None => retry_briefly(attempt).await,
        };
        let mut progress = self.lock();
        let reply = progress.ending.take().and_then(|ending| ending.reply);
        if let Ok(message) = &outcome {
            progress.ended = Some(message.clone());
        }
        let over = match &outcome {
            Ok(_) => true,
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                progress.gone = Some(error.clone());
                progress.abandoned
            }
            Err(error) if progress.abandoned && (abandoned || !error.is_retryable()) => {
                let unsaved = progress.text.len() - progress.saved;
                error!(session = %self.session.id(), message_id = %self.message.id, %error, unsaved,
                    "the end of a streamed answer could not be saved");
                true
            }
            Err(_) if progress.abandoned => {
                // It was abandoned while its end was tried briefly: try patiently.
                progress.ending = Some(Ending::new(patch, None));
                self.wake.notify_one();
                false
            }
            Err(_) => false,
        };
        drop(progress);
        Ending::tell(reply, outcome);
        self.attempts.send_modify(|attempts| *attempts += 1);
        over
    }

    /// The last change of the message: all text, latency, time to the first text, and no lease.
    fn completed(&self, patch: MessagePatch) -> MessagePatch {
        let progress = self.lock();
        let mut metadata = match &patch.metadata {
            Some(MetadataPatch::Merge(metadata)) => metadata.clone(),
            _ => shs_store::Map::new(),
        };
        metadata.extend(StreamLease::removal());
        if let Some(first) = progress.first_text {
            metadata.insert(FIRST_TOKEN_KEY.to_owned(), Value::from(milliseconds(first)));
        }
        let mut patch = patch.with_content(progress.text.clone()).with_metadata_merged(metadata);
        patch.latency_ms.get_or_insert_with(|| Some(milliseconds(self.began.elapsed())));
        patch
    }

    async fn write_end(&self, patch: MessagePatch) -> Result<Message> {
        if self.stored {
            return self.update(patch).await;
        }
        let mut message = self.message.clone().into_message(Seq::ZERO);
        patch.apply(&mut message).map_err(|error| self.located(error))?;
        self.session.append(message.into()).await
    }

    /// Changes the message, if it is still this writer's.
    async fn update(&self, patch: MessagePatch) -> Result<Message> {
        let (store, scope) = self.store();
        let (session, id) = (self.session.id(), &self.message.id);
        let patch = patch.with_expected_writer(&*self.writer);
        let pending = patch.clone().with_expected_status(Status::Pending);
        match store.update_message(scope, session, id, pending).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let stored = store.message(scope, session, id).await?;
                let is_done = patch.status == Some(stored.status)
                    && patch.content.as_ref() == Some(&stored.content);
                match stored.status {
                    // An earlier attempt was stored although it was reported as failed.
                    _ if is_done => Ok(stored),
                    // This writer was thought dead, but lives; if another one went on with the
                    // message meanwhile, it stays as that one left it.
                    Status::Interrupted => {
                        let mut patch = patch.with_expected_status(Status::Interrupted);
                        patch.status.get_or_insert(Status::Pending);
                        store.update_message(scope, session, id, patch).await
                    }
                    _ => Err(error),
                }
            }
            outcome => outcome,
        }
    }

    fn lease(&self) -> shs_store::Map {
        let until = self.store().0.now().saturating_add(self.options.lease);
        StreamLease { writer: self.writer.clone(), until }.metadata()
    }

    fn located(&self, error: Error) -> Error {
        error.with_session(self.session.id()).with_message(&self.message.id)
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        // No method leaves it half changed.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
