//! Keeps conversations in one SQLite file.
//!
//! [`SqliteStore`] keeps the whole contract of [`Store`]. SQLite is compiled in; nothing has to be installed.
//!
//! # How it works
//!
//! - One task writes. It takes operations from a bounded queue and commits many callers' in one
//!   transaction; each caller is answered after the commit. So a write costs one wait for the disk, and
//!   64 callers at once share it.
//! - Reads run on connections of their own and never wait for the writer (WAL).
//! - Commits wait for the disk (`synchronous=FULL`), unless [`Durability::Relaxed`](shs_store::Durability::Relaxed) is chosen.
//! - The newest messages of the sessions that were read last are kept in memory
//!   ([16 MiB](SqliteOptions::with_cache) unless said otherwise). Each read still asks the file whether they
//!   changed and what came since.
//! - Each row has a checksum, which is checked when it is read: what was not written so, because a bit has flipped or somebody
//!   has changed it by hand, is [`Corrupt`](shs_store::ErrorKind::Corrupt). So read the file with any SQLite tool, and write it
//!   with none; or have [`repair`] accept what was written.
//! - Several processes may have the file open; writers take turns, for as long as
//!   [the busy timeout](SqliteOptions::with_busy_timeout).
//! - Search is an FTS5 index over the tokens of [`shs_store::text`]. It follows behind the messages: an append does not
//!   wait for it. The writer brings it up to date when nothing was written for a quarter of a second, and whenever 512
//!   messages are missing; a search that finds it behind has it brought up to date first, so it finds every
//!   acknowledged message. While nothing can be written (a full disk, another process that keeps the file locked), a
//!   search that needs this fails as a write does.
//! - Tenants share the tables and the text index. Keys begin with the tenant's number, and each word
//!   of a named tenant's message is in the index under that number: so a search of one tenant finds
//!   nothing of another. Ranks are not FTS5's, which depend on all that is stored, but those of
//!   [`Ranking`](shs_store::text::Ranking).
//! - [Opened to read only](SqliteOptions::with_read_only), nothing is written, neither to the file
//!   nor next to it.
//!
//! # Files
//!
//! For `history.db` there are `history.db-wal` and `history.db-shm`, which belong to it while it is open, and
//! `history.db-lock`, which tells stores apart that have it open. The file has to be on a local disk: SQLite's
//! log does not work on network file systems.
//!
//! The log is moved into the database whenever it has 32 MB. It grows beyond that while somebody reads inside one long
//! transaction, and is cut back to 64 MB afterwards. Nothing here reads so: a stream or an export that waits for its consumer
//! holds no snapshot.
//!
//! New files are their owner's alone to read; one that is there keeps its access rights, and files
//! beside it take after it.
//!
//! When the database or its log is moved away, removed or replaced while a store has it open, every
//! write fails as [`Unavailable`](shs_store::ErrorKind::Unavailable), until it is put back or the
//! store opened again: nothing is acknowledged that is not at its place. (On Windows the system
//! does not allow it.)
//!
//! A database of the Python package `session-history-saver` opens as it is: its content is moved into the
//! schema here, and the old database stays beside it as `history.db.python-backup`. The Python package
//! cannot open the new one.
//!
//! What is done with the file as a whole: [`backup`](fn@backup) and [`restore`], [`verify`] and [`repair`], and
//! [`SqliteStore::erase`], after which nothing of what was deleted remains in it. Copies that these make are
//! `history.db.before-repair` and `history.db.before-restore`; what cannot be read is moved into `history.db.quarantine`.
//!
//! # Examples
//! ```
//! use shs_sqlite::SqliteStore;
//! use shs_store::{NewMessage, NewSession, Scope, SearchQuery, Store, StoreExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> shs_store::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("history.db");
//! let store = SqliteStore::open(&path).await?;
//! let acme = Scope::tenant("acme")?;
//! let session = store.create_session(&acme, NewSession::new().with_user("alice")).await?;
//! store.append(&acme, &session.id, NewMessage::user("I was double-charged.")).await?;
//! let found = store.search(&acme, &SearchQuery::new("charged")).await?;
//! assert_eq!(found.items[0].session.user_id.as_deref(), Some("alice"));
//! store.close().await?;
//! # Ok(())
//! # }
//! ```

mod checksum;
mod error;
mod fields;
mod keep;
mod open;
mod options;
mod packed;
#[cfg(test)]
mod plans;
mod read;
mod row;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use shs_store::document::check_batch;
use shs_store::keeping::{BackedUp, Erased, Existing};
use shs_store::{
    AdminStore, AdminStoreExt, AppendOptions, Appended, Clock, Deleted, Error, ErrorKind, Hit,
    ImportMode, Message, MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page,
    PageRequest, PendingStream, Result, Scope, SearchQuery, Seq, Session, SessionId, SessionPatch,
    SessionQuery, Stats, StatsQuery, Store, StreamedTranscript, Tenant, TenantId, TenantQuery,
    Timestamp, Transcript,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use crate::keep::{backup, repair, restore, verify};
use crate::open::{Place, Presence, Reader, Readers};
pub use crate::options::SqliteOptions;
use crate::read::{Cache, Search, Searched};
use crate::write::{Operation, Queued, Writer};

/// Keeps conversations in one SQLite file. Clones share the connection.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    clock: Arc<dyn Clock>,
    readers: Arc<Readers>,
    cache: Cache,
    /// Whether there were other tenants than the default one, once.
    is_shared: AtomicBool,
    /// What `close` ends; `None` once it has.
    running: tokio::sync::Mutex<Option<Running>>,
    /// How long a search waits for the index, if this store cannot bring it up to date itself.
    waits_for_index: Option<Duration>,
}

#[derive(Debug)]
struct Running {
    writer: JoinHandle<()>,
    /// The writer's, once it is known.
    presence: Arc<OnceLock<Presence>>,
}

/// Reads with one of the store's connections.
macro_rules! read {
    ($store:expr, $op:literal, $read:expr) => {{
        let read = async {
            let mut connection = $store.reader().await?;
            let read = $read;
            let outcome = read(&mut connection).await.map_err(Error::from);
            connection.end(&outcome);
            outcome
        };
        read.await.map_err(|error: Error| context(error, $op))
    }};
}

impl SqliteStore {
    const NAME: &'static str = "sqlite";

    /// Opens a file with the defaults of [`SqliteOptions`]; it is created if it is missing.
    ///
    /// # Errors
    /// - [`Unavailable`](ErrorKind::Unavailable) if the file cannot be opened or written, or is locked by another
    ///   process for longer than the busy timeout.
    /// - [`Corrupt`](ErrorKind::Corrupt) if it is not a SQLite database, or one of another program, or damaged.
    /// - [`Unsupported`](ErrorKind::Unsupported) if a newer version of this library wrote it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        SqliteOptions::new(path).open().await
    }

    /// Makes sure that nothing of what was deleted remains in the files: sessions, messages, what messages and sessions said before
    /// they were updated, their words in the text index, and names of users, projects and models that nothing has any more.
    ///
    /// The text index is merged, the database is written anew as a whole, and its log is emptied. So it takes the time and, for as
    /// long, the place of a copy of the database; writes wait meanwhile, those of other processes up to their busy
    /// timeout. What was deleted before it is called is erased, whoever deleted it. Nothing is said about what the file system or
    /// the disk keep of blocks that are free, nor about copies: the answer names those that are known.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if another process writes or reads in one transaction for longer than the busy
    /// timeout, or the disk is full: what was deleted is deleted then, but its text may remain in the files until this is repeated.
    ///
    /// # Cancel safety
    /// Once it was taken up it is done whether the future is dropped or not.
    pub async fn erase(&self) -> Result<Erased> {
        self.write("erase", write::Erase).await?;
        let path = self.inner.path.clone();
        let listed = tokio::task::spawn_blocking(move || keep::copies(&path)).await;
        let listed = listed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        listed.map(Erased::with_copies).map_err(|error| {
            let detail = "everything is erased, but copies beside the database cannot be listed";
            context(Error::new(ErrorKind::Unavailable, detail).with_source(error), "erase")
        })
    }

    /// Writes a copy of the database into a file while it is being worked with: see [`backup`](fn@backup).
    ///
    /// It has everything that was acknowledged when this was called, by whichever process.
    ///
    /// # Errors
    /// As [`backup`](fn@backup), and [`Closed`](ErrorKind::Closed).
    pub async fn backup(
        &self,
        target: impl AsRef<Path> + Send,
        existing: Existing,
    ) -> Result<BackedUp> {
        self.queue().map_err(|error| context(error, "backup"))?;
        backup(&self.inner.path, target.as_ref(), existing).await
    }

    async fn open_with(options: SqliteOptions) -> Result<Self> {
        Self::try_open(options).await.map_err(|error| context(error, "open"))
    }

    /// Opens a database to read only; whoever wants to write is told so.
    async fn open_to_read(options: SqliteOptions) -> Result<Self> {
        let readers = open::readers_only(&options).await?;
        let (queue, receiver) = mpsc::channel(options.queue);
        let writer = tokio::spawn(write::refuse(receiver));
        let inner = Inner {
            readers: Arc::new(readers),
            queue: Mutex::new(Some(queue)),
            cache: Cache::new(options.cache),
            running: tokio::sync::Mutex::new(Some(Running { writer, presence: Arc::default() })),
            waits_for_index: Some(options.busy_timeout),
            is_shared: AtomicBool::new(false),
            clock: options.clock,
            path: options.path,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Searches again until whoever writes has brought the index as far as this message.
    async fn search_later(
        &self,
        scope: &Scope,
        query: &SearchQuery,
        up_to: i64,
        timeout: Duration,
    ) -> Result<Page<Hit>> {
        let deadline = Instant::now() + timeout;
        // Which any search may do.
        let way = Search { indexed: Some(up_to), is_shared: true };
        loop {
            let searched =
                read!(self, "search", async |c: &mut _| read::search(c, scope, query, way).await);
            match searched? {
                Searched::Page(page) => return Ok(page),
                Searched::Behind(_) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Searched::Behind(_) | Searched::Shared => {
                    let detail = "the text index lacks the last messages, and nobody brings it up to date; open the \
                                  database once to write (shs migrate)";
                    return Err(context(Error::new(ErrorKind::Unavailable, detail), "search"));
                }
            }
        }
    }

    async fn try_open(options: SqliteOptions) -> Result<Self> {
        if options.is_read_only {
            return Self::open_to_read(options).await;
        }
        open::check_path(&options.path)?;
        let lock = Presence::prepare(&options.path)?;
        // Before the file is opened: whoever replaces it keeps others out meanwhile.
        let (path, timeout) = (options.path.clone(), options.busy_timeout);
        let arrive = move || Presence::arrive(lock, &path, timeout);
        let arrival = tokio::task::spawn_blocking(arrive).await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, "opening was ended").with_source(error))
        })?;
        let place = Arc::new(Place::prepare(&options.path)?);
        if arrival.is_alone() && open::in_use::lacks_log(&options.path) {
            tracing::warn!(path = %options.path.display(), "{}", open::in_use::LACKS_LOG);
        }
        let connection = open::first_writer(&options).await?;
        place.opened();
        tracing::info!(path = %options.path.display(), alone = arrival.is_alone(), "opened a database");
        let readers = Arc::new(open::readers(&options, Arc::clone(&place)));
        let (queue, receiver) = mpsc::channel(options.queue);
        let cache = Cache::new(options.cache);
        let (path, clock) = (options.path.clone(), Arc::clone(&options.clock));
        let presence = Arc::new(OnceLock::new());
        let beside =
            write::Beside { place, presence: Arc::clone(&presence), readers: Arc::clone(&readers) };
        let writer = Writer::new(options, connection, beside);
        let writer = tokio::spawn(writer.work(receiver));
        let running = tokio::sync::Mutex::new(Some(Running { writer, presence }));
        let is_shared = AtomicBool::new(false);
        let queue = Mutex::new(Some(queue));
        let inner =
            Inner { path, queue, clock, readers, cache, is_shared, running, waits_for_index: None };
        let store = Self { inner: Arc::new(inner) };
        if arrival.is_alone() {
            // Nobody else comes in before this is done, so all leases are of the dead.
            let interrupted = store.interrupt_all_stale_streams(Timestamp::MAX).await?;
            if interrupted > 0 {
                tracing::info!(interrupted, "marked streamed answers whose writer died");
            }
        }
        if let Some(running) = store.inner.running.lock().await.as_mut() {
            // It is set here alone.
            let _ = running.presence.set(arrival.stay());
        }
        Ok(store)
    }

    fn queue(&self) -> Result<mpsc::Sender<Queued>> {
        let queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clone().ok_or_else(Error::closed)
    }

    /// Hands a write to the writer and waits for its answer.
    async fn send<T>(
        &self,
        op: &'static str,
        (queued, answer): (Queued, oneshot::Receiver<Result<T>>),
    ) -> Result<T> {
        let send = async {
            let stopped =
                || Error::new(ErrorKind::Internal, "the writer has stopped; open the store again");
            self.queue()?.send(queued).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| unanswered())?
        };
        send.await.map_err(|error| context(error, op))
    }

    async fn write<O: Operation>(&self, op: &'static str, operation: O) -> Result<O::Output> {
        self.send(op, Queued::other(operation)).await
    }

    /// As [`write`](Self::write), about one session.
    async fn write_to<O: Operation>(
        &self,
        op: &'static str,
        id: &SessionId,
        operation: O,
    ) -> Result<O::Output> {
        self.write(op, operation).await.map_err(|error| error.with_session(id))
    }

    async fn store_whole(
        &self,
        scope: &Scope,
        conversation: write::Imported,
        mode: ImportMode,
    ) -> Result<Session> {
        let id = conversation.session().id.clone();
        self.write_to("import", &id, write::Import { scope: scope.clone(), conversation, mode })
            .await
    }

    /// A connection to read with.
    async fn reader(&self) -> Result<Reader<'_>> {
        self.queue()?;
        self.inner.readers.acquire().await.map_err(Error::from)
    }
}

/// The writer ended with a write in its hands: it is not known whether that was stored.
fn unanswered() -> Error {
    let detail = "the writer stopped during this write; open the store again, and repeat it";
    Error::new(ErrorKind::Unavailable, detail)
}

fn context(error: Error, op: &'static str) -> Error {
    error.with_store(SqliteStore::NAME).with_op(op)
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    async fn create_session(&self, scope: &Scope, new: NewSession) -> Result<Session> {
        let scope = scope.clone();
        self.write("create_session", write::Create { scope, new }).await
    }

    async fn session(&self, scope: &Scope, id: &SessionId) -> Result<Session> {
        read!(self, "session", async |connection: &mut _| read::session(connection, scope, id)
            .await)
        .map_err(|error| error.with_session(id))
    }

    async fn update_session(
        &self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        let update = write::UpdateSession { scope: scope.clone(), id: id.clone(), patch };
        self.write_to("update_session", id, update).await
    }

    async fn delete_session(&self, scope: &Scope, id: &SessionId) -> Result<bool> {
        let delete = write::DeleteSession { scope: scope.clone(), id: id.clone() };
        self.write_to("delete_session", id, delete).await
    }

    async fn delete_user(&self, scope: &Scope, user_id: &str) -> Result<Deleted> {
        let delete = write::DeleteUser { scope: scope.clone(), user_id: user_id.to_owned() };
        self.write("delete_user", delete).await
    }

    async fn list_sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Page<Session>> {
        read!(self, "list_sessions", async |c: &mut _| read::list_sessions(c, scope, query).await)
    }

    async fn append_opts(
        &self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        check_batch(&batch).map_err(|error| context(error.with_session(id), "append"))?;
        let append = write::Append { scope: scope.clone(), id: id.clone(), batch, options };
        self.send("append", append.queued()).await.map_err(|error| error.with_session(id))
    }

    async fn message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<Message> {
        read!(self, "message", async |c: &mut _| read::message(c, scope, id, message_id).await)
            .map_err(|error| error.with_session(id))
    }

    async fn messages(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        read!(self, "messages", async |c: &mut _| read::messages(
            c,
            &self.inner.cache,
            scope,
            id,
            query
        )
        .await)
        .map_err(|error| error.with_session(id))
    }

    async fn update_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        let (scope, message) = (scope.clone(), message_id.clone());
        let update = write::UpdateMessage { scope, id: id.clone(), message, patch };
        self.write_to("update_message", id, update).await
    }

    async fn delete_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        let delete = write::DeleteMessage {
            scope: scope.clone(),
            id: id.clone(),
            message: message_id.clone(),
        };
        self.write_to("delete_message", id, delete).await
    }

    async fn fork(
        &self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session> {
        let fork = write::Fork { scope: scope.clone(), id: id.clone(), up_to, new };
        self.write_to("fork", id, fork).await
    }

    async fn import(
        &self,
        scope: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        // It may have been changed since it was made.
        let transcript = Transcript::new(transcript.session, transcript.messages)
            .map_err(|error| context(error, "import"))?;
        self.store_whole(scope, write::Imported::Whole(transcript), mode).await
    }

    /// No other write of the store is made while the source hands on the messages.
    async fn import_streamed(
        &self,
        scope: &Scope,
        conversation: StreamedTranscript,
        mode: ImportMode,
    ) -> Result<Session> {
        self.store_whole(scope, write::Imported::Streamed(conversation), mode).await
    }

    async fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
        let is_shared = self.inner.is_shared.load(Ordering::Relaxed);
        let mut way = Search { indexed: None, is_shared };
        // At most once for each of the two.
        for _ in 0..3 {
            let searched =
                read!(self, "search", async |c: &mut _| read::search(c, scope, query, way).await);
            match searched? {
                Searched::Page(page) => return Ok(page),
                Searched::Shared => {
                    way.is_shared = true;
                    self.inner.is_shared.store(true, Ordering::Relaxed);
                }
                Searched::Behind(arrival) => {
                    if let Some(timeout) = self.inner.waits_for_index {
                        return self.search_later(scope, query, arrival, timeout).await;
                    }
                    while self.write("search", write::CatchUp).await? < arrival {}
                    way.indexed = Some(arrival);
                }
            }
        }
        let detail = "the text index fell back while it was searched; repeat the search";
        Err(context(Error::new(ErrorKind::Internal, detail), "search"))
    }

    async fn stats(&self, scope: &Scope, query: &StatsQuery) -> Result<Stats> {
        read!(self, "stats", async |c: &mut _| read::stats(c, scope, query).await)
    }

    async fn flush(&self) -> Result<()> {
        self.write("flush", write::Flush).await
    }

    /// Closes the database file too, once every clone's operations have ended.
    async fn close(&self) -> Result<()> {
        // Who writes now holds a sender of its own and is answered; nobody new gets one.
        drop(self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut running = self.inner.running.lock().await;
        if let Some(Running { writer, .. }) = running.as_mut() {
            self.inner.readers.close().await;
            let ended = writer.await;
            *running = None;
            ended.map_err(|error| {
                context(
                    Error::new(ErrorKind::Internal, "the writer failed").with_source(error),
                    "close",
                )
            })?;
            tracing::info!("closed a database");
        }
        Ok(())
    }
}

#[async_trait]
impl AdminStore for SqliteStore {
    async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        read!(self, "tenants", async |c: &mut _| read::tenants(c, query).await)
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted> {
        self.write("delete_tenant", write::DeleteTenant(tenant.clone())).await
    }

    async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
        read!(self, "pending_streams", async |c: &mut _| read::pending_streams(c, page).await)
    }
}
