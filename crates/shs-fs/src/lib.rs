//! Keeps conversations in human-readable files.
//!
//! [`FsStore`] keeps the whole contract of [`Store`] in one folder. Each conversation is a file of JSON lines: the
//! session first, then a line for each message or change, which is only ever added at the end. It can be read with
//! any editor, copied, and kept in version control.
//!
//! # How it works
//!
//! - One thread writes. It takes changes from a bounded queue, writes many callers' lines into their files and into one
//!   journal, waits once for the disk, for the journal, and answers then.
//! - The journal, `.journal`, has its length from the beginning, 256 KiB, and 16 MiB at the most after it was full a few
//!   times. When it is full, and at `flush`, the files themselves are synced. After a power cut the next opening writes
//!   what it holds into the files; `close` removes it. Do not delete it while the folder is not closed: it may be the
//!   only place of what was acknowledged.
//! - Each line carries a checksum. A torn last line, which was never acknowledged, is cut off
//!   before the next write and never read as data; any other damage is a
//!   [`Corrupt`](ErrorKind::Corrupt) error of that session that names file, line and byte, and so
//!   is a line that no store writes, whatever its checksum. The content of messages is not looked
//!   at before it is read.
//! - What is made or written anew as a whole (new sessions, forks, imports, a file without a deleted message) is
//!   staged beside its place, synced and renamed.
//! - A search's cursor is a message's number in the order of arrival. Before a deletion takes away
//!   the highest one, `.arrivals` notes that it was given. Leave it in the folder, or a cursor from
//!   before may pass over what is stored later. A conversation's file can be put back into its
//!   folder, but not into another one, where its numbers are taken: then it cannot be read until it
//!   is repaired. Open it in a folder of its own, and [import](Store::import) it from there.
//! - Memory holds the sessions and, for each message, everything but its content, some 500 bytes; the first search
//!   reads all files, and each other one what was written since the last, into an index of their words.
//!
//! One process at a time has a folder open to write: the file `shs-fs.format` is locked (on
//! Windows, where a locked file cannot be read, an empty one beside it: `shs-fs.format.lock`).
//! Others can [read it](FsOptions::with_read_only) meanwhile. For several that write there is
//! `shs-sqlite`.
//!
//! The files of the default tenant stand in the folder itself, those of another one in
//! `tenants/TENANT`. A file belongs to the tenant in whose folder it is.
//!
//! A file that cannot be read, because it is damaged or has another name than its session, is an
//! error for whoever asks for that session, and is told in the log when the folder is opened. The
//! others go on without it: lists, searches and stats do not have it. [`verify`] says what is wrong
//! with it, and [`repair`] keeps what can be read.
//!
//! A folder of the Python package `session-history-saver` opens as it is: each `NAME.json` becomes a file of
//! ours, and stays beside it as `NAME.json.python-backup`.
//!
//! What is done with the folder as a whole: [`backup`](fn@backup) and [`restore`], [`verify`] and [`repair`], and
//! [`FsStore::erase`], after which nothing of what was deleted remains in it. Copies that these make are `NAME.before-repair`, and
//! `FOLDER.before-restore` beside the folder; lines that cannot be read are moved into `NAME.quarantine`.
//!
//! # Examples
//! ```
//! use shs_fs::FsStore;
//! use shs_store::{NewMessage, NewSession, Scope, Store, StoreExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> shs_store::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("history");
//! let store = FsStore::open(&path).await?;
//! let acme = Scope::tenant("acme")?;
//! let session = store.create_session(&acme, NewSession::new().with_user("alice")).await?;
//! store.append(&acme, &session.id, NewMessage::user("I was double-charged.")).await?;
//! store.close().await?;
//!
//! let store = FsStore::open(&path).await?;
//! assert_eq!(store.last_messages(&acme, &session.id, 10).await?[0].content, "I was double-charged.");
//! # Ok(())
//! # }
//! ```

mod arrivals;
mod conversation;
mod disk;
mod entries;
mod folder;
mod journal;
mod keep;
mod line;
mod name;
mod open;
mod options;
mod outline;
mod python;
mod state;
mod sync;
mod work;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use async_trait::async_trait;
use shs_store::document::check_batch;
use shs_store::keeping::{BackedUp, Erased, Existing};
use shs_store::{
    AdminStore, AdminStoreExt, AppendOptions, Appended, Clock, Deleted, Error, ErrorKind, Hit,
    ImportMode, Message, MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page,
    PageRequest, PendingStream, Result, Scope, SearchQuery, Seq, Session, SessionId, SessionKey,
    SessionPatch, SessionQuery, Stats, StatsQuery, Store, StreamedTranscript, Tenant, TenantId,
    TenantQuery, Timestamp, Transcript,
};
use tokio::sync::mpsc;

use crate::disk::Disk;
pub use crate::keep::{backup, repair, restore, verify};
use crate::line::Draft;
pub use crate::options::FsOptions;
use crate::state::State;
use crate::work::Work;
use crate::writer::{Job, Shared};

/// Keeps conversations in files. Clones share the folder.
#[derive(Clone, Debug)]
pub struct FsStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// `None` once it is closed: with it go the memory and the folder's lock.
    shared: Mutex<Option<Arc<Shared>>>,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    clock: Arc<dyn Clock>,
    /// What `close` ends; `None` once it has.
    writer: tokio::sync::Mutex<Option<Writer>>,
    is_read_only: bool,
}

/// The writing thread.
#[derive(Debug)]
enum Writer {
    Running(JoinHandle<()>),
    /// Somebody waits for its end; whether it came to it without a panic.
    Ending(tokio::task::JoinHandle<bool>),
}

impl FsStore {
    const NAME: &'static str = "fs";

    /// Opens a folder with the defaults of [`FsOptions`]; it is created if it is missing.
    ///
    /// # Errors
    /// - [`Unavailable`](ErrorKind::Unavailable) if the folder cannot be made, read or written, or is open in another
    ///   process or store.
    /// - [`Corrupt`](ErrorKind::Corrupt) if the journal or the note of numbers is damaged, or a
    ///   `.json` file is not the Python package's. A conversation's file that is damaged is no
    ///   error here, but for whoever asks for that conversation.
    /// - [`Unsupported`](ErrorKind::Unsupported) if a newer version of this library wrote it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(folder: impl AsRef<Path>) -> Result<Self> {
        FsOptions::new(folder).open().await
    }

    async fn open_with(options: FsOptions) -> Result<Self> {
        let (queue, disk) = (options.queue, Disk::new(options.journal));
        let is_read_only = options.is_read_only;
        let open = move || {
            let shared =
                if is_read_only { open::open_to_read(options)? } else { open::open(options)? };
            Ok(Arc::new(shared))
        };
        let shared = blocking(open).await.map_err(|e| context(e, "open"))?;
        let (sender, receiver) = mpsc::channel(queue);
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("shs-fs".to_owned())
            .spawn(move || match is_read_only {
                true => writer::wait(receiver),
                false => writer::work(&for_writer, disk, receiver),
            })
            .map_err(|error| {
                let error = Error::new(ErrorKind::Internal, "no thread could be started")
                    .with_source(error);
                context(error, "open")
            })?;
        let inner = Inner {
            clock: Arc::clone(&shared.clock),
            shared: Mutex::new(Some(shared)),
            queue: Mutex::new(Some(sender)),
            writer: tokio::sync::Mutex::new(Some(Writer::Running(writer))),
            is_read_only,
        };
        let store = Self { inner: Arc::new(inner) };
        if is_read_only {
            return Ok(store);
        }
        // Nobody else has the folder open, so all leases are of the dead.
        let interrupted = store
            .interrupt_all_stale_streams(Timestamp::MAX)
            .await
            .map_err(|error| context(error, "open"))?;
        if interrupted > 0 {
            tracing::info!(interrupted, "marked streamed answers whose writer died");
        }
        Ok(store)
    }

    /// Makes sure that nothing of what was deleted remains in the files: sessions, messages, and what messages and sessions said
    /// before they were updated.
    ///
    /// Conversations' files that hold more than what is stored are written anew, and the journal is removed; readers and writers
    /// wait meanwhile. What is kept of a replaced content is a digest, by which a repeated append is known. Nothing is said
    /// about what the file system or the disk keep of blocks that are free, nor about copies: the answer names those
    /// that are known.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if a file cannot be written, or a conversation not be read: what was deleted is
    /// deleted then, but its text may remain in the files until this is repeated.
    ///
    /// # Cancel safety
    /// Once it was taken up it is done whether the future is dropped or not.
    pub async fn erase(&self) -> Result<Erased> {
        self.write("erase", None, |work| work.erase().map(Erased::with_copies)).await
    }

    /// Writes a copy of the folder into a file while it is being worked with: see [`backup`](fn@backup).
    ///
    /// Readers and writers wait for no more than the opening of one file at a time.
    ///
    /// # Errors
    /// As [`backup`](fn@backup), and [`Closed`](ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Once begun it is done whether the future is dropped or not.
    pub async fn backup(
        &self,
        target: impl AsRef<Path> + Send,
        existing: Existing,
    ) -> Result<BackedUp> {
        let target = target.as_ref().to_owned();
        let go = async {
            let shared = self.shared()?;
            blocking(move || keep::back_up(&shared, &target, existing)).await
        };
        go.await.map_err(|error| context(error, "backup"))
    }

    fn shared(&self) -> Result<Arc<Shared>> {
        let shared = self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.clone().ok_or_else(Error::closed)
    }

    /// Hands a change to the writing thread and waits for its answer.
    async fn write<T: Send + 'static>(
        &self,
        op: &'static str,
        session: Option<SessionKey>,
        change: impl FnOnce(&mut Work<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let send = async {
            let queue = {
                let queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.clone().ok_or_else(Error::closed)?
            };
            if self.inner.is_read_only {
                let detail = "the folder was opened to read only; open it to write";
                return Err(Error::new(ErrorKind::Unsupported, detail));
            }
            let (job, answer) = Job::new(session.clone(), change);
            let stopped =
                || Error::new(ErrorKind::Internal, "the writer has stopped; open the store again");
            queue.send(job).await.map_err(|_| stopped())?;
            // It is not known whether it was stored.
            let unanswered = || {
                let detail =
                    "the writer stopped during this write; open the store again, and repeat it";
                Error::new(ErrorKind::Unavailable, detail)
            };
            answer.await.map_err(|_| unanswered())?
        };
        send.await.map_err(|error| match &session {
            Some(key) => context(error, op).with_session(&key.id),
            None => context(error, op),
        })
    }

    /// Reads in one go on a thread for blocking work.
    async fn read<T: Send + 'static>(
        &self,
        op: &'static str,
        read: impl FnOnce(&Shared, RwLockReadGuard<'_, State>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let go = async {
            let shared = self.shared()?;
            blocking(move || {
                let state = shared.state.read().unwrap_or_else(PoisonError::into_inner);
                read(&shared, state)
            })
            .await
        };
        go.await.map_err(|error| context(error, op))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, "the work on the files was ended").with_source(error))
    })
}

fn context(error: Error, op: &'static str) -> Error {
    error.with_store(FsStore::NAME).with_op(op)
}

#[async_trait]
impl Store for FsStore {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    async fn create_session(&self, scope: &Scope, new: NewSession) -> Result<Session> {
        let scope = scope.clone();
        self.write("create_session", None, move |work| work.create(&scope, new)).await
    }

    async fn session(&self, scope: &Scope, id: &SessionId) -> Result<Session> {
        let (scope, id) = (scope.clone(), id.clone());
        let session = move |_: &Shared, state: RwLockReadGuard<'_, State>| {
            Ok(state.of(&scope).visible(&scope, &id)?.session.clone())
        };
        self.read("session", session).await
    }

    async fn update_session(
        &self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        let (scope, session) = (scope.clone(), id.clone());
        let key = scope.key(id);
        let change = move |work: &mut Work<'_>| work.update_session(&scope, &session, patch);
        self.write("update_session", Some(key), change).await
    }

    async fn delete_session(&self, scope: &Scope, id: &SessionId) -> Result<bool> {
        let (scope, session) = (scope.clone(), id.clone());
        let key = scope.key(id);
        let change = move |work: &mut Work<'_>| work.delete_session(&scope, &session);
        self.write("delete_session", Some(key), change).await
    }

    async fn delete_user(&self, scope: &Scope, user_id: &str) -> Result<Deleted> {
        let (scope, user_id) = (scope.clone(), user_id.to_owned());
        self.write("delete_user", None, move |work| work.delete_user(&scope, &user_id)).await
    }

    async fn list_sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Page<Session>> {
        let (scope, query) = (scope.clone(), query.clone());
        self.read("list_sessions", move |_, state| state.of(&scope).list(&scope, &query)).await
    }

    async fn append_opts(
        &self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended> {
        check_batch(&batch).map_err(|error| context(error.with_session(id), "append"))?;
        let (scope, session) = (scope.clone(), id.clone());
        let key = scope.key(id);
        let (batch, drafts): (Vec<_>, Vec<_>) = batch.into_iter().map(Draft::of).unzip();
        // They are freed here, where they were made: allocators have the writer wait for callers' locks else.
        let drafts = Arc::new(drafts);
        let for_writer = Arc::clone(&drafts);
        let change =
            move |work: &mut Work<'_>| work.append((&scope, &session), batch, &for_writer, options);
        self.write("append", Some(key), change).await
    }

    async fn message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<Message> {
        let (scope, id, message_id) = (scope.clone(), id.clone(), message_id.clone());
        self.read("message", move |shared, state| {
            state.of(&scope).visible(&scope, &id)?.message(&shared.folder, &message_id)
        })
        .await
    }

    async fn messages(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        let (scope, id, query) = (scope.clone(), id.clone(), query.clone());
        self.read("messages", move |shared, state| {
            state.of(&scope).messages(&shared.folder, &scope, &id, &query)
        })
        .await
    }

    async fn update_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        let (scope, session, message_id) = (scope.clone(), id.clone(), message_id.clone());
        self.write("update_message", Some(scope.key(id)), move |work| {
            work.update_message(&scope, &session, &message_id, patch)
        })
        .await
    }

    async fn delete_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        let (scope, session, message_id) = (scope.clone(), id.clone(), message_id.clone());
        self.write("delete_message", Some(scope.key(id)), move |work| {
            work.delete_message(&scope, &session, &message_id)
        })
        .await
    }

    async fn fork(
        &self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session> {
        let (scope, session) = (scope.clone(), id.clone());
        self.write("fork", None, move |work| work.fork(&scope, &session, up_to, new)).await
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
        let scope = scope.clone();
        self.write("import", None, move |work| work.import(&scope, transcript, mode)).await
    }

    /// No other write of the store is made while the source hands on the messages.
    async fn import_streamed(
        &self,
        scope: &Scope,
        conversation: StreamedTranscript,
        mode: ImportMode,
    ) -> Result<Session> {
        let scope = scope.clone();
        self.write("import", None, move |work| work.import_streamed(&scope, &conversation, mode))
            .await
    }

    /// The first search with a text reads all files, each other one what was written since the last.
    async fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
        let (scope, query) = (scope.clone(), query.clone());
        let go = async {
            let shared = self.shared()?;
            blocking(move || search(&shared, &scope, &query)).await
        };
        go.await.map_err(|error| context(error, "search"))
    }

    async fn stats(&self, scope: &Scope, query: &StatsQuery) -> Result<Stats> {
        let (scope, query) = (scope.clone(), query.clone());
        self.read("stats", move |_, state| Ok(state.of(&scope).stats(&scope, &query))).await
    }

    async fn flush(&self) -> Result<()> {
        self.write("flush", None, |work| work.flush()).await
    }

    /// Gives the folder free for others too.
    async fn close(&self) -> Result<()> {
        // Who writes now holds a sender of its own and is answered; nobody new gets one.
        drop(self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut writer = self.inner.writer.lock().await;
        if let Some(Writer::Running(thread)) = writer.take_if(|w| matches!(w, Writer::Running(_))) {
            *writer =
                Some(Writer::Ending(tokio::task::spawn_blocking(move || thread.join().is_ok())));
        }
        // It stays in its place if this future is dropped.
        if let Some(Writer::Ending(end)) = writer.as_mut() {
            let ended = end.await;
            *writer = None;
            let shared = self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner).take();
            let unlocked = shared.map_or(Ok(()), |shared| shared.folder.unlock());
            if !matches!(ended, Ok(true)) || unlocked.is_err() {
                let error = Error::new(ErrorKind::Internal, "the writer failed");
                return Err(context(error, "close"));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl AdminStore for FsStore {
    async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        let query = query.clone();
        self.read("tenants", move |_, state| state.tenants(&query)).await
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted> {
        let tenant = tenant.clone();
        self.write("delete_tenant", None, move |work| work.delete_tenant(&tenant)).await
    }

    async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
        let page = page.clone();
        let list = move |shared: &Shared, state: RwLockReadGuard<'_, State>| {
            state.pending_streams(&shared.folder, &page)
        };
        self.read("pending_streams", list).await
    }
}

fn search(shared: &Shared, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
    let state = shared.state.read().unwrap_or_else(PoisonError::into_inner);
    // What is refused needs no index.
    query.parsed_text()?;
    query.begins_after(scope)?;
    let own = state.of(scope);
    if !own.is_behind(query) {
        return own.search(&shared.folder, scope, query);
    }
    drop(state);
    let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
    state.update_index(scope, &shared.folder)?;
    RwLockWriteGuard::downgrade(state).of(scope).search(&shared.folder, scope, query)
}
