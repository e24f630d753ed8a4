//! Starting a session.

use std::future::{Future, IntoFuture};

use futures::future::BoxFuture;
use serde_json::Value;
use shs_store::{Error, Map, NewSession, Result, SessionId, StoreExt, Timestamp};

use crate::scope::run_scoped;
use crate::{Saving, SessionHandle, SessionTracker};

/// A session to be started; made by [`SessionTracker::session`].
///
/// Say what is known of it, then [`start`](Self::start) it, or just await it; or run a
/// [`scope`](Self::scope) in it. What is not valid is told then.
#[derive(Clone, Debug)]
#[must_use = "nothing is started before it is awaited"]
pub struct StartSession {
    tracker: SessionTracker,
    new: NewSession,
    given_id: bool,
    mistake: Option<Error>,
}

impl StartSession {
    pub(crate) fn new(
        tracker: SessionTracker,
        user: Option<String>,
        project: Option<String>,
    ) -> Self {
        let mut new = NewSession::new();
        new.user_id = user;
        new.project_id = project;
        Self { tracker, new, given_id: false, mistake: None }
    }

    /// Gives the id; a new unique one otherwise.
    pub fn id(mut self, id: impl TryInto<SessionId, Error: Into<Error>>) -> Self {
        match id.try_into() {
            Ok(id) => (self.new.id, self.given_id) = (id, true),
            Err(error) => self.mistake = self.mistake.or(Some(error.into())),
        }
        self
    }

    /// Says whose conversation it is; the tracker's default otherwise.
    pub fn user(mut self, user_id: impl Into<String>) -> Self {
        self.new.user_id = Some(user_id.into());
        self
    }

    /// Says to which project it belongs; the tracker's default otherwise.
    pub fn project(mut self, project_id: impl Into<String>) -> Self {
        self.new.project_id = Some(project_id.into());
        self
    }

    /// Sets the title.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.new.title = Some(title.into());
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.new.tags.push(tag.into());
        self
    }

    /// Adds tags.
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.new.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Sets one key of the metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.new.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets all keys of an object in the metadata.
    pub fn metadata_map(mut self, metadata: Map) -> Self {
        self.new.metadata.extend(metadata);
        self
    }

    /// Sets the time of its start; now otherwise.
    pub fn created_at(mut self, created_at: Timestamp) -> Self {
        self.new.created_at = Some(created_at);
        self
    }

    /// Starts the session.
    ///
    /// With [`Saving::AtEnd`] it is created in the store when it is saved.
    ///
    /// # Errors
    /// [`AlreadyExists`](shs_store::ErrorKind::AlreadyExists) if the id that was given is taken,
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if something breaks a
    /// [limit](shs_store::limits).
    pub async fn start(self) -> Result<SessionHandle> {
        if let Some(mistake) = self.mistake {
            return Err(mistake.with_op("create_session"));
        }
        let Self { tracker, new, given_id, .. } = self;
        let id = new.id.clone();
        match tracker.saving() {
            Saving::AtOnce => {
                tracker.store().create_session(tracker.scope(), new).await?;
            }
            Saving::AtEnd => {
                let (store, scope) = (tracker.store(), tracker.scope());
                if given_id && store.find_session(&scope.without_user(), &id).await?.is_some() {
                    return Err(Error::session_exists(&id).with_op("create_session"));
                }
                tracker.unsaved().start(scope, new, store.now())?;
            }
        }
        Ok(tracker.handle(&id))
    }

    /// Starts the session, runs `body` in it, and ends it in every case.
    ///
    /// The session is ended when the body succeeds, when it fails, when it panics (the panic goes
    /// on afterwards), and when this future is dropped before it is done.
    ///
    /// # Errors
    /// As [`start`](Self::start); whatever the body fails with; and if the body succeeds, as
    /// [`SessionHandle::end`].
    ///
    /// # Cancel safety
    /// If the future is dropped, a task on the tokio runtime that it was running on ends the session;
    /// [`SessionTracker::close`] waits for it. If it was not running on a tokio runtime, or if that
    /// is shutting down, the session stays active.
    ///
    /// # Examples
    /// ```
    /// # use session_history_saver::{Error, SessionTracker};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let history = SessionTracker::new(shs_memory::MemoryStore::new());
    /// let id = history
    ///     .session()
    ///     .user("bob")
    ///     .scope(|session| async move {
    ///         session.user("Hello").await?;
    ///         session.assistant("Hi!").await?;
    ///         Ok::<_, Error>(session.id().clone())
    ///     })
    ///     .await?;
    /// assert!(history.get(&id).await?.is_ended());
    /// # Ok::<_, session_history_saver::Error>(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "track_session")]
    pub async fn scope<T, E, Body, Running>(self, body: Body) -> Result<T, E>
    where
        Body: FnOnce(SessionHandle) -> Running + Send,
        Running: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<Error> + Send,
    {
        let session = self.start().await?;
        run_scoped(session, body).await
    }
}

impl IntoFuture for StartSession {
    type Output = Result<SessionHandle>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}
