//! Sessions that end with the code that runs in them.

use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;
use serde_json::Value;
use shs_store::{Error, Result, Status};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::warn;

use crate::retry::retry_patiently;
use crate::{SessionHandle, StartSession};

/// Runs a body in a session and ends the session in every case.
pub(crate) async fn run_scoped<T, E, Body, Running>(
    session: SessionHandle,
    body: Body,
) -> Result<T, E>
where
    Body: FnOnce(SessionHandle) -> Running + Send,
    Running: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    let mut guard = EndOnDrop::new(session.clone());
    // The body is not looked at again after a panic but to drop it.
    let outcome = AssertUnwindSafe(async { body(session.clone()).await }).catch_unwind().await;
    let ended = session.end().await;
    if ended.is_ok() {
        guard.disarm();
    }
    match outcome {
        Ok(Ok(value)) => ended.map(|_| value).map_err(E::from),
        Ok(Err(error)) => Err(error),
        Err(panic) => resume_unwind(panic),
    }
}

/// Ends a session in a task, unless it was ended properly.
struct EndOnDrop {
    session: Option<SessionHandle>,
    runtime: Option<Handle>,
}

impl EndOnDrop {
    fn new(session: SessionHandle) -> Self {
        Self { session: Some(session), runtime: Handle::try_current().ok() }
    }

    fn disarm(&mut self) {
        self.session = None;
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let (Some(session), Some(runtime)) = (self.session.take(), &self.runtime) else { return };
        let tasks = session.tracker().clone();
        tasks.tasks().spawn(runtime, async move {
            if let Err(error) = retry_patiently(|| session.end()).await {
                warn!(session = %session.id(), %error, "a session could not be ended and stays active");
            }
        });
    }
}

/// Records each call of a function as a session of its own; made by [`SessionTracker::track`].
///
/// The session has the function's name as its title and in its metadata under `function`. The input
/// becomes the user's message, the returned value the assistant's with its latency. An error is stored as
/// a message of the system, `ERROR: …`, with the status `error`, and returned. The session ends in every
/// case, as in [`StartSession::scope`].
///
/// [`SessionTracker::track`]: crate::SessionTracker::track
///
/// # Examples
/// ```
/// # use session_history_saver::{Error, SessionTracker};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let history = SessionTracker::new(shs_memory::MemoryStore::new());
/// async fn answer(question: &str) -> Result<String, Error> {
///     Ok(format!("{question}? Yes."))
/// }
///
/// let answers = history.track("bot::answer").project("my-app");
/// assert_eq!(answers.call("Really", answer).await?, "Really? Yes.");
/// assert_eq!(history.stats().await?.messages, 2);
/// # Ok::<_, session_history_saver::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Track {
    start: StartSession,
}

impl Track {
    pub(crate) fn new(start: StartSession, function: String) -> Self {
        Self { start: start.title(function.clone()).metadata("function", function) }
    }

    /// Says whose calls they are.
    #[must_use]
    pub fn user(mut self, user_id: impl Into<String>) -> Self {
        self.start = self.start.user(user_id);
        self
    }

    /// Says to which project they belong.
    #[must_use]
    pub fn project(mut self, project_id: impl Into<String>) -> Self {
        self.start = self.start.project(project_id);
        self
    }

    /// Adds a tag to the sessions.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.start = self.start.tag(tag);
        self
    }

    /// Sets one key of the sessions' metadata, such as further arguments of the function.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.start = self.start.metadata(key, value);
        self
    }

    /// Calls the function and records the call.
    ///
    /// # Errors
    /// Whatever the function fails with; else, if the call cannot be recorded, that error. If recording
    /// the function's own error fails, the function's error is returned and the other one logged.
    ///
    /// # Cancel safety
    /// As [`StartSession::scope`]; the session then has the user's message only.
    pub async fn call<I, T, E, Function, Running>(
        &self,
        input: I,
        function: Function,
    ) -> Result<T, E>
    where
        I: AsRef<str> + Send,
        Function: FnOnce(I) -> Running + Send,
        Running: Future<Output = Result<T, E>> + Send,
        T: Display + Send,
        E: Display + From<Error> + Send,
    {
        // Each call is a session of its own.
        let start = self.start.clone().id(shs_store::SessionId::generate());
        let session = start.await?;
        run_scoped(session, |session| async move {
            let said = input.as_ref().to_owned();
            session.user(said).await?;
            let began = Instant::now();
            let outcome = function(input).await;
            let latency_ms = began.elapsed().as_secs_f64() * 1_000.0;
            // The texts are made before anything is awaited: values need not be `Sync`.
            let text = match &outcome {
                Ok(value) => Ok(value.to_string()),
                Err(error) => Err(format!("ERROR: {error}")),
            };
            match text {
                Ok(text) => {
                    session.assistant(text).latency_ms(latency_ms).await?;
                }
                Err(text) => {
                    if let Err(error) = session.system(text).status(Status::Error).await {
                        warn!(session = %session.id(), %error, "the error of a function could not be recorded");
                    }
                }
            }
            outcome
        })
        .await
    }
}
