//! The tracker: the way into a history.

use std::sync::Arc;
use std::time::Duration;

use shs_store::{
    AdminStore, Deleted, Error, Hit, Message, Page, Result, Scope, SearchQuery, Session, SessionId,
    SessionKey, SessionPatch, SessionQuery, SessionStats, Stats, StatsQuery, Store, TenantId,
    TracedStore,
};

use tokio::runtime::Handle;

use crate::export::{Export, Format};
use crate::tasks::Tasks;
use crate::unsaved::Unsaved;
use crate::{Config, Saving, SessionHandle, StartSession, Track, open_admin_store, sweep};

/// Keeps conversations in a store: starts, resumes and ends sessions, finds them again, exports and imports.
///
/// Clones are cheap, and share the store and what is not saved yet. A tracker is made to be kept for the
/// life of a program and shared by its tasks; end it with [`close`](Self::close).
///
/// # Saving at the end
/// With [`Saving::AtEnd`], a session and its messages stay in the memory of this process until
/// [`SessionHandle::end`] or [`SessionHandle::save`]. Reading through a handle, or with
/// [`get`](Self::get), [`messages`](Self::messages) and [`session_stats`](Self::session_stats), shows
/// them, the messages with the number [`Seq::ZERO`](shs_store::Seq::ZERO), because it is the store that
/// numbers them; lists, search, totals and exports show what is in the store. Saving only
/// appends: what others wrote to the session stays. What is not saved when the process ends is lost.
///
/// # Examples
/// ```
/// use session_history_saver::{Config, Location, SessionTracker};
///
/// # if cfg!(not(feature = "memory")) { return; }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let history = SessionTracker::open(Config::new().with_location(Location::Memory)).await?;
/// let session = history.session().user("alice").title("Billing").start().await?;
/// session.user("I was double-charged.").await?;
/// session.assistant("I can see it. Fixed.").tokens(18).model("claude-3-sonnet").await?;
/// session.end().await?;
///
/// assert_eq!(history.session_stats(session.id()).await?.message_count, 2);
/// history.close().await?;
/// # Ok::<_, session_history_saver::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct SessionTracker {
    store: Arc<dyn Store>,
    scope: Scope,
    defaults: Arc<Defaults>,
    unsaved: Arc<Unsaved>,
    tasks: Arc<Tasks>,
}

#[derive(Clone, Debug, Default)]
struct Defaults {
    user: Option<String>,
    project: Option<String>,
    saving: Saving,
}

impl SessionTracker {
    /// Opens the store that the configuration names, with a [`TracedStore`] around it.
    ///
    /// Streamed answers whose writer has died are marked as interrupted, now and every 30 s: see
    /// [`sweep_streams`](Self::sweep_streams).
    ///
    /// # Errors
    /// As [`open_store`](crate::open_store), and as [`sweep_streams`](Self::sweep_streams).
    ///
    /// # Panics
    /// Outside a tokio runtime with its time enabled, unless the
    /// [configuration](Config::without_sweep) says not to sweep.
    pub async fn open(config: Config) -> Result<Self> {
        let store = Arc::new(TracedStore::new(open_admin_store(config.location()).await?));
        let defaults = Defaults {
            user: config.default_user().map(str::to_owned),
            project: config.default_project().map(str::to_owned),
            saving: config.saving(),
        };
        let tracker = Self::with_store(Arc::<TracedStore<_>>::clone(&store));
        match config.sweep() {
            Some(every) => tracker.sweep_streams(store, every).await?,
            None => drop(store),
        }
        Ok(Self { defaults: Arc::new(defaults), ..tracker })
    }

    /// Keeps conversations in this store, which may be your own.
    ///
    /// Wrap it in a [`TracedStore`] to have a span for each operation, as [`open`](Self::open) does.
    pub fn new(store: impl Store) -> Self {
        Self::with_store(Arc::new(store))
    }

    /// Keeps conversations in this store, which may be shared.
    pub fn with_store(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            scope: Scope::DEFAULT,
            defaults: Arc::default(),
            unsaved: Arc::default(),
            tasks: Arc::default(),
        }
    }

    /// This tracker, in the scope of a tenant: everything that is done through it, and through the
    /// handles that come from it, stays in the tenant.
    ///
    /// # Errors
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if the name is not valid (see [`TenantId`]),
    /// or if this tracker is in the scope of another tenant or of a user already: a scope can be
    /// narrowed, not left.
    ///
    /// # Examples
    /// ```
    /// # use session_history_saver::SessionTracker;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let history = SessionTracker::new(shs_memory::MemoryStore::new());
    /// let alice = history.tenant("acme")?.as_user("alice")?;
    /// let session = alice.session().id("chat-1").await?;
    /// assert_eq!(session.info().await?.user_id.as_deref(), Some("alice"));
    ///
    /// // To everybody else it is not there.
    /// let bob = history.tenant("acme")?.as_user("bob")?;
    /// assert!(bob.get(session.id()).await.is_err());
    /// assert!(history.get(session.id()).await.is_err());
    /// assert!(bob.tenant("beta").is_err());
    /// # Ok::<_, session_history_saver::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn tenant(&self, tenant: impl TryInto<TenantId, Error: Into<Error>>) -> Result<Self> {
        let scope = Scope::tenant(tenant)?;
        if self.scope != Scope::DEFAULT && self.scope != scope {
            let detail =
                "the tracker is in a scope that it cannot leave; begin with the one of the store";
            return Err(Error::invalid(detail));
        }
        Ok(Self { scope, ..self.clone() })
    }

    /// This tracker, in the scope of one user of its tenant: sessions that are started through it
    /// are that user's, and other users' sessions are not there.
    ///
    /// # Errors
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if the id is not 1 to 255 bytes of text
    /// without control characters, or if this tracker is in the scope of another user already.
    pub fn as_user(&self, user_id: impl AsRef<str>) -> Result<Self> {
        let scope = self.scope.as_user(user_id)?;
        if !self.scope.has_user(scope.user_id()) {
            let detail = "the tracker is in the scope of another user, which it cannot leave";
            return Err(Error::invalid(detail));
        }
        Ok(Self { scope, ..self.clone() })
    }

    /// Whose sessions this tracker is about; the default tenant's, of all users, unless it was
    /// narrowed.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Marks streamed answers as interrupted whose writer has died, now and then for as long as
    /// this tracker, or a clone of it, is not closed: those of all tenants in `store`, which has to
    /// be this tracker's.
    ///
    /// [`open`](Self::open) does so unless the [configuration](Config::without_sweep) says
    /// otherwise. It is for trackers that were made over a store of your own. An error of a later
    /// round is logged, and the next round tries again.
    ///
    /// # Errors
    /// As
    /// [`AdminStoreExt::interrupt_all_stale_streams`](shs_store::AdminStoreExt::interrupt_all_stale_streams),
    /// of the first round.
    ///
    /// # Panics
    /// Outside a tokio runtime with its time enabled.
    pub async fn sweep_streams(&self, store: Arc<dyn AdminStore>, every: Duration) -> Result<()> {
        sweep::once(&*store).await?;
        let stopping = self.tasks.stopping();
        self.tasks.spawn(&Handle::current(), sweep::run(store, every, stopping));
        Ok(())
    }

    /// This tracker, with a user for sessions that are started without one.
    #[must_use]
    pub fn with_default_user(mut self, user_id: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.defaults).user = Some(user_id.into());
        self
    }

    /// This tracker, with a project for sessions that are started without one.
    #[must_use]
    pub fn with_default_project(mut self, project_id: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.defaults).project = Some(project_id.into());
        self
    }

    /// This tracker, with messages saved then.
    #[must_use]
    pub fn with_saving(mut self, saving: Saving) -> Self {
        Arc::make_mut(&mut self.defaults).saving = saving;
        self
    }

    /// The store, for everything that the tracker has no short form for. It is not bound to the
    /// [scope](Self::scope): pass that to its methods.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Begins an export: of all sessions, unless [one](Export::session) or [some](Export::sessions) are
    /// chosen.
    #[doc(alias = "export_session")]
    pub fn export(&self, format: Format) -> Export {
        Export::new(Arc::clone(&self.store), format).scope(self.scope.clone())
    }

    /// When messages are saved.
    pub fn saving(&self) -> Saving {
        self.defaults.saving
    }

    /// Begins to describe a session to be started.
    #[doc(alias = "start_session")]
    #[doc(alias = "track_session")]
    pub fn session(&self) -> StartSession {
        // In the scope of a user, a session is that user's, whoever is the default.
        let user = match self.scope.user_id() {
            Some(user) => Some(user.to_owned()),
            None => self.defaults.user.clone(),
        };
        StartSession::new(self.clone(), user, self.defaults.project.clone())
    }

    /// Records calls of a function as sessions, under this name: see [`Track`].
    pub fn track(&self, function: impl Into<String>) -> Track {
        Track::new(self.session(), function.into())
    }

    /// A handle to a session, without looking whether it is there: its operations find out.
    ///
    /// Messages added with it are saved at once, unless the session was started or resumed with
    /// [`Saving::AtEnd`].
    pub fn handle(&self, id: &SessionId) -> SessionHandle {
        SessionHandle::new(self.clone(), id.clone())
    }

    /// Goes on with a session; one that was ended is active again.
    ///
    /// # Errors
    /// [`NotFound`](shs_store::ErrorKind::NotFound) if there is none.
    #[doc(alias = "resume_session")]
    pub async fn resume(&self, id: &SessionId) -> Result<SessionHandle> {
        let session = self.get(id).await?;
        if session.is_ended() {
            self.store.update_session(&self.scope, id, SessionPatch::new().reopened()).await?;
        }
        if self.saving() == Saving::AtEnd {
            self.unsaved.resume(&self.scope, session);
        }
        Ok(self.handle(id))
    }

    /// Saves what is unsaved of a session and marks it as ended: see [`SessionHandle::end`].
    ///
    /// # Errors
    /// As [`SessionHandle::end`].
    #[doc(alias = "end_session")]
    pub async fn end(&self, id: &SessionId) -> Result<Session> {
        self.handle(id).end().await
    }

    /// A session, without its messages.
    ///
    /// # Errors
    /// [`NotFound`](shs_store::ErrorKind::NotFound) if there is none;
    /// [`StoreExt::find_session`](shs_store::StoreExt::find_session) makes that a `None`.
    #[doc(alias = "get_session")]
    pub async fn get(&self, id: &SessionId) -> Result<Session> {
        self.handle(id).info().await
    }

    /// All messages of a session, as said.
    ///
    /// # Errors
    /// [`NotFound`](shs_store::ErrorKind::NotFound) if there is no such session.
    #[doc(alias = "get_messages")]
    pub async fn messages(&self, id: &SessionId) -> Result<Vec<Message>> {
        self.handle(id).messages().await
    }

    /// A page of the sessions in the store.
    ///
    /// # Errors
    /// As [`Store::list_sessions`].
    #[doc(alias = "list_sessions")]
    pub async fn list(&self, query: SessionQuery) -> Result<Page<Session>> {
        self.store.list_sessions(&self.scope, &query).await
    }

    /// A page of the messages in the store that match, each with its session.
    ///
    /// A plain string is a query as well: `history.search("double charge")`.
    ///
    /// # Errors
    /// As [`Store::search`].
    pub async fn search(&self, query: impl Into<SearchQuery> + Send) -> Result<Page<Hit>> {
        let query = query.into();
        self.store.search(&self.scope, &query).await
    }

    /// Totals over everything in the scope.
    ///
    /// `active_sessions` counts the sessions in the store that were not ended, by whichever process; in
    /// the Python package it is the number of sessions in the memory of this one.
    ///
    /// # Errors
    /// As [`Store::stats`].
    pub async fn stats(&self) -> Result<Stats> {
        self.stats_of(StatsQuery::new()).await
    }

    /// Totals over what the query asks for.
    ///
    /// # Errors
    /// As [`Store::stats`].
    pub async fn stats_of(&self, query: StatsQuery) -> Result<Stats> {
        self.store.stats(&self.scope, &query).await
    }

    /// The figures of one session.
    ///
    /// # Errors
    /// [`NotFound`](shs_store::ErrorKind::NotFound) if there is none.
    pub async fn session_stats(&self, id: &SessionId) -> Result<SessionStats> {
        self.handle(id).stats().await
    }

    /// Deletes a session with all its messages, saved or not; `false` if there was none.
    ///
    /// # Errors
    /// As [`Store::delete_session`].
    #[doc(alias = "delete_session")]
    pub async fn delete(&self, id: &SessionId) -> Result<bool> {
        let deleted = self.store.delete_session(&self.scope, id).await?;
        // A session that exists only here was there too.
        let draft = self.unsaved.remove(&self.scope, id);
        let never_saved = draft.is_some_and(|draft| draft.is_new());
        Ok(deleted || never_saved)
    }

    /// Deletes all sessions of a user of the tenant, saved or not, and says what was deleted from
    /// the store.
    ///
    /// # Errors
    /// As [`Store::delete_user`].
    pub async fn delete_user(&self, user_id: &str) -> Result<Deleted> {
        self.unsaved.remove_user(&self.scope, user_id);
        self.store.delete_user(&self.scope, user_id).await
    }

    /// Waits until everything that was acknowledged is on disk: see [`Store::flush`].
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub async fn flush(&self) -> Result<()> {
        self.store.flush().await
    }

    /// Ends the work of this tracker and all its clones, and closes the store.
    ///
    /// Streamed answers that are still open are saved as interrupted, sessions that are unsaved are saved but
    /// not ended, and tasks that end sessions or save answers are waited for. Closing again does nothing.
    ///
    /// # Errors
    /// As [`SessionHandle::save`] and [`Store::close`]. If a session cannot be saved, the store stays
    /// open, and closing can be tried again; answers that are begun by then are interrupted at once.
    ///
    /// # Cancel safety
    /// If the future is dropped, whatever was begun goes on; call it again to wait for it.
    pub async fn close(&self) -> Result<()> {
        self.tasks.stop().await;
        for SessionKey { tenant, id } in self.unsaved.keys() {
            let scope = Scope::of(tenant);
            self.unsaved.save(&*self.store, &scope, &id).await?;
            self.unsaved.forget(&scope, &id);
        }
        self.store.close().await
    }

    pub(crate) fn unsaved(&self) -> &Unsaved {
        &self.unsaved
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}
