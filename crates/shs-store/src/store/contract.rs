//! The contract.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{AppendOptions, Appended, Deleted, ImportMode};
use crate::{
    Error, Hit, Message, MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page,
    Result, Scope, SearchQuery, Seq, Session, SessionId, SessionPatch, SessionQuery, Stats,
    StatsQuery, StreamedTranscript, Timestamp, Transcript,
};

/// Keeps conversations.
///
/// Every backend keeps the whole of this contract, and the suite of `shs-testkit` checks it sentence by
/// sentence. Use a store as `Arc<dyn Store>`; what can be written with the methods here, such as
/// appending one message or walking all pages as a stream, is in [`StoreExt`](crate::StoreExt).
///
/// # Scope
/// - Every method about data takes a [`Scope`]: a tenant and, optionally, one of its users. A
///   session is known by its tenant and its id; two tenants can use one id, and their sessions
///   never meet.
/// - Nothing of another tenant exists for a call: it is not found, listed, counted, searched,
///   forked from, changed or deleted, and no error tells that it is there.
/// - Within the scope of a user only that user's sessions exist. Those of other users, and those of
///   nobody, are as if they were not there; but an id is taken for the whole tenant, whoever has
///   it.
/// - The store checks the scope as part of the operation, not before it.
/// - A cursor belongs to the scope that it was made in.
/// - Work across tenants is another trait: [`AdminStore`](crate::AdminStore).
///
/// # Order
/// - Each appended message gets the session's last number plus one as its [`Seq`], and no number is given
///   twice within a session: a deleted message leaves its number empty.
/// - Callers that write to one session at once, from tasks or from processes, get their messages stored
///   one after the other; the messages of one batch get consecutive numbers.
/// - Times order nothing within a session.
///
/// # Atomicity and repetition
/// - Each operation happens whole or not at all, and others see all of it or nothing; but
///   [`delete_user`](Self::delete_user) may go session by session.
/// - An operation that fails changes nothing, with one exception: after
///   [`Unavailable`](crate::ErrorKind::Unavailable) it is not known whether a write was stored. Repeat it:
///   every write can be repeated, and says below what a repetition does.
///
/// # Durability
/// - When a write returns `Ok`, it survives the end of the process by any means and a loss of power, as far as
///   the backend has a disk at all, unless the user chose a relaxed durability by name.
/// - Whoever reads after a write returned sees it, in this process or in another.
///
/// # Cancel safety
/// - A future of any method can be dropped at any time. The store is then as if the operation had
///   happened whole, or not at all; it goes on working, and a repetition finds out.
///
/// # Errors
/// All methods fail with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the input breaks a limit of
/// [`limits`](crate::limits), [`Closed`](crate::ErrorKind::Closed) after [`close`](Self::close),
/// [`Unavailable`](crate::ErrorKind::Unavailable) if the storage cannot be used now (locked, full, read-only,
/// gone), and [`Corrupt`](crate::ErrorKind::Corrupt) if what is stored is damaged. What else a method fails
/// with stands with it. Where several errors apply, it is one of them.
///
/// If damage hides whose a session is, each user of the tenant who asks for that very id is told
/// `Corrupt`: to the one whose it is, [`NotFound`](crate::ErrorKind::NotFound) would be wrong, and
/// the others learn that there is something under the id, and nothing else.
///
/// An error names the store, the operation (by the method's name; `append` for [`append_opts`](Self::append_opts))
/// and, unless it is about the store as a whole, the ids; it never holds content.
///
/// # Time
/// `updated_at` of a session is set from the store's clock by every write that changes it, and never goes
/// back. An [`import`](Self::import) brings its own.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// The name of the backend, such as `"sqlite"`, as errors and spans carry it.
    fn name(&self) -> &'static str;

    /// The time of the store's clock, by which it sets its own times.
    fn now(&self) -> Timestamp;

    /// Creates a session without messages, and returns it.
    ///
    /// In the scope of a user it is that user's.
    ///
    /// # Errors
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if the id is taken in the tenant, also
    ///   when a repetition finds what an earlier attempt created, and also by a session that does
    ///   not exist within the scope.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput) if it names another user than the scope.
    async fn create_session(&self, scope: &Scope, new: NewSession) -> Result<Session>;

    /// Returns a session, its counts right.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    async fn session(&self, scope: &Scope, id: &SessionId) -> Result<Session>;

    /// Changes a session and returns it as it is then. Changes of two callers to different fields both hold.
    ///
    /// A repetition changes nothing more than `updated_at`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    async fn update_session(
        &self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session>;

    /// Deletes a session with its messages; `false` if there was none.
    ///
    /// Its messages are found by no search any more, and counted by no stats. Forks of it stay.
    async fn delete_session(&self, scope: &Scope, id: &SessionId) -> Result<bool>;

    /// Deletes all sessions of a user of the tenant, and says how many sessions and messages went;
    /// a repetition says zero, and so does another user's scope.
    ///
    /// Each session goes whole or not at all. If the call fails or is dropped, some may be gone and others
    /// not; a repetition deletes the rest.
    async fn delete_user(&self, scope: &Scope, user_id: &str) -> Result<Deleted>;

    /// Lists sessions in pages.
    ///
    /// Walking the pages in the order [`Created`](crate::SessionOrder::Created) repeats no session and skips
    /// none that was there throughout. In the order [`Updated`](crate::SessionOrder::Updated) this holds
    /// for every session that is not written to meanwhile; one that is moves to the front.
    async fn list_sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Page<Session>>;

    /// Appends messages to a session: all of them or, on any error, none.
    ///
    /// Returns the messages of the batch as they are stored. A message whose id the session has already
    /// is not stored again if its role, content and parts are those that were appended under this id: it is
    /// returned as it is stored, with whatever was changed since. So a batch can be repeated, in whole or
    /// in part, and stores nothing twice. An empty batch stores nothing. In a fork, messages are known by what
    /// was appended to its source; in an import, by what was imported.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the session does not exist; append never creates one.
    /// - [`Conflict`](crate::ErrorKind::Conflict) if a message's id is there with another role, content or
    ///   parts; or if the batch has something new and `options` expect another last number than there is.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput) if an id occurs twice in the batch.
    async fn append_opts(
        &self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
        options: AppendOptions,
    ) -> Result<Appended>;

    /// Returns one message.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the session or the message does not exist.
    async fn message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<Message>;

    /// Lists messages of a session in pages, by number.
    ///
    /// Walking the pages repeats no message and skips none that was there throughout. Messages
    /// that are appended meanwhile come last when walking from the oldest, and not at all when walking
    /// from the newest. A page may hold fewer messages than the limit when they are large:
    /// [`next`](Page::next) tells whether there are more.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the session does not exist.
    async fn messages(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>>;

    /// Changes a message and returns it as it is then. The session's tokens follow; search finds the new content
    /// and not the old.
    ///
    /// A repetition changes nothing more than the session's `updated_at`, unless the patch expects a status
    /// that it changes: then it is a conflict.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the session or the message does not exist,
    /// [`Conflict`](crate::ErrorKind::Conflict) if the message has not the status that the patch expects.
    async fn update_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message>;

    /// Deletes a message; `false` if the session has none with this id.
    ///
    /// Its number stays empty, and its id is free again.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the session does not exist.
    async fn delete_message(
        &self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool>;

    /// Copies a session up to a number, itself included, into a new session of the same tenant, and
    /// returns that.
    ///
    /// The copies keep ids, numbers, times and all else; numbering goes on after `up_to`.
    /// What `new` does not give (user, project, title, tags, metadata) is taken from the source;
    /// `forked_from` tells where it came from.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the source does not exist.
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if the new id is taken in the tenant.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput) if `up_to` is beyond the source's last
    ///   number, or `new` names another user than the scope.
    async fn fork(
        &self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session>;

    /// Stores a whole conversation as it is: ids, numbers, times, all fields. Its counts are computed anew,
    /// and its last number is that of its last message if that is higher.
    ///
    /// With [`ImportMode::Overwrite`] it takes the place of a session with the same id, whole; so it can be
    /// repeated. In the scope of a user, a session that names no user becomes that user's.
    ///
    /// # Errors
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if the id is taken in the tenant and
    ///   the mode is [`ImportMode::CreateOnly`], or the session that has it does not exist within
    ///   the scope and the mode is [`ImportMode::Overwrite`].
    /// - [`Conflict`](crate::ErrorKind::Conflict) if the mode is [`ImportMode::InPlaceOf`] and the session is not in that state, and
    ///   [`NotFound`](crate::ErrorKind::NotFound) if it does not exist.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput) if the numbers do not rise or an id
    ///   occurs twice, as [`Transcript::new`] says (check it again, as its fields can have been
    ///   changed since), or it names another user than the scope.
    async fn import(
        &self,
        scope: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session>;

    /// Stores a whole conversation as [`import`](Self::import) does, without having all of it in memory if the backend
    /// can. What the conversation's source holds in memory is its own.
    ///
    /// The source is asked for the messages once or several times. If that fails, nothing is stored.
    /// Unless a backend has its own, the messages are read to memory on the thread of the caller.
    ///
    /// # Errors
    /// Those of [`import`](Self::import), and those of the source.
    async fn import_streamed(
        &self,
        scope: &Scope,
        conversation: StreamedTranscript,
        mode: ImportMode,
    ) -> Result<Session> {
        let in_context = |error: Error| error.with_store(self.name()).with_op("import");
        self.import(scope, conversation.collect().map_err(in_context)?, mode).await
    }

    /// Finds messages of all sessions of the scope, by text and by filters, in pages.
    ///
    /// All backends find the same messages: see [`text`](crate::text). Every acknowledged message is found,
    /// at once. Walking the pages repeats no message and skips none that was there throughout.
    /// A search ordered by rank has one page; its ranks are those of
    /// [`text::Ranking`](crate::text::Ranking), and depend on nothing but the messages of the scope
    /// that match. Pages may be short, as those of [`messages`](Self::messages).
    async fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>>;

    /// Computes totals over the scope, without loading messages where the backend can.
    async fn stats(&self, scope: &Scope, query: &StatsQuery) -> Result<Stats>;

    /// Waits until everything that was acknowledged is on disk, also where a relaxed durability was chosen.
    async fn flush(&self) -> Result<()>;

    /// Flushes, ends all background work, and waits for it. Closing again does nothing.
    ///
    /// Writes that were accepted before are answered first. Afterwards every other method fails with
    /// [`Closed`](crate::ErrorKind::Closed). Closing one clone of a store closes them all.
    async fn close(&self) -> Result<()>;
}
