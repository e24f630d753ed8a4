//! All writing: one task takes operations from a bounded queue and commits many of them in one
//! transaction.
//!
//! A caller's future only waits for the answer, so dropping it cannot stop a write half way. The task takes
//! what waits in the queue, up to a limit, runs it inside one `BEGIN IMMEDIATE` transaction and answers
//! every caller after the `COMMIT` has returned.
//!
//! - An operation that is refused (not found, conflict, …) is refused before it wrote anything, and the
//!   others of the batch go on.
//! - If SQLite fails inside the transaction, it is rolled back and its operations run again one by one, so
//!   that only those that fail by themselves fail.
//! - If the `COMMIT` itself fails, it is not known what is on disk: all get `Unavailable`.
//! - A connection that SQLite and sqlx may disagree about is thrown away, and a new one opened.
//!
//! The text index follows behind the messages: see [`index`].

mod append;
mod copy;
mod erase;
mod index;
mod memory;
mod message;
mod queue;
mod seal;
mod session;
mod transaction;
mod writer;

use async_trait::async_trait;
use shs_store::{Error, ErrorKind, Result};
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::append::{Append, VIEW};
pub(crate) use self::copy::{Fork, Import, Imported};
pub(crate) use self::erase::{Erase, UNUSED_PROJECTS, UNUSED_TENANTS, UNUSED_USERS};
pub(crate) use self::index::CatchUp;
pub(crate) use self::memory::Memory;
pub(crate) use self::message::{DeleteMessage, UpdateMessage};
pub(crate) use self::seal::{drop_digests, seal};
pub(crate) use self::session::{
    Create, DeleteSession, DeleteTenant, DeleteUser, Flush, UpdateSession,
};
pub(crate) use self::transaction::{
    MARK, Owner, Transaction, content_tokens, owned_by, scope_tokens,
};
pub(crate) use self::writer::{Beside, Writer};
use crate::error::Failure;

/// Something to be done inside a transaction. It may be run again after a rollback.
pub(crate) trait Operation: Send + Sync + 'static {
    /// What the caller gets.
    type Output: Send + 'static;
    /// Whether its commit waits for the disk, also where a relaxed durability was chosen.
    const SYNC: bool = false;
    /// Whether it only brings up to date what follows from the messages.
    const FOLLOWS: bool = false;
    /// Whether the database is written anew after its commit.
    const ERASES: bool = false;

    /// Does it. A refusal must come before the first write.
    fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;

    /// Bytes of text that it writes, roughly.
    fn weight(&self) -> usize {
        0
    }
}

/// An operation and the caller who waits for it.
struct Job<O: Operation> {
    operation: O,
    outcome: Option<Result<O::Output>>,
    reply: oneshot::Sender<Result<O::Output>>,
}

/// A [`Job`] of any operation.
#[async_trait]
trait AnyJob: Send {
    /// Runs the operation and keeps its outcome.
    async fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error>;
    /// Gives the caller the outcome.
    fn answer(self: Box<Self>);
    /// Gives the caller an error in place of any outcome.
    fn fail(self: Box<Self>, error: Error);
    fn weight(&self) -> usize;
    fn needs_sync(&self) -> bool;
    /// Whether it may change what the writer remembers.
    fn changes(&self) -> bool;
    /// Whether the database is to be written anew after its commit.
    fn erases(&self) -> bool;
    /// What came of that is its outcome.
    fn set_erased(&mut self, erased: Result<()>);
}

#[async_trait]
impl<O: Operation> AnyJob for Job<O> {
    async fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error> {
        self.outcome = Some(match self.operation.run(transaction).await {
            Ok(output) => Ok(output),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let outcome = self.outcome.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Internal, "the operation was acknowledged without being run"))
        });
        // A caller who went away does not need the answer.
        let _ = self.reply.send(outcome);
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.reply.send(Err(error));
    }

    fn weight(&self) -> usize {
        self.operation.weight()
    }

    fn needs_sync(&self) -> bool {
        O::SYNC
    }

    fn changes(&self) -> bool {
        !O::FOLLOWS
    }

    fn erases(&self) -> bool {
        O::ERASES
    }

    fn set_erased(&mut self, erased: Result<()>) {
        if let (Some(Ok(_)), Err(error)) = (&self.outcome, erased) {
            self.outcome = Some(Err(error));
        }
    }
}

/// What waits in the queue. Appends are apart because neighbours are stored together.
pub(crate) enum Queued {
    Append(append::AppendJob),
    Other(OtherJob),
}

/// Any other operation.
pub(crate) struct OtherJob(Box<dyn AnyJob>);

impl Queued {
    /// An operation, and where its answer arrives.
    pub(crate) fn other<O: Operation>(
        operation: O,
    ) -> (Self, oneshot::Receiver<Result<O::Output>>) {
        let (reply, answer) = oneshot::channel();
        (Self::Other(OtherJob(Box::new(Job { operation, outcome: None, reply }))), answer)
    }

    fn needs_sync(&self) -> bool {
        match self {
            Self::Append(_) => false,
            Self::Other(OtherJob(job)) => job.needs_sync(),
        }
    }

    fn changes(&self) -> bool {
        match self {
            Self::Append(_) => false,
            Self::Other(OtherJob(job)) => job.changes(),
        }
    }

    fn erases(&self) -> bool {
        match self {
            Self::Append(_) => false,
            Self::Other(OtherJob(job)) => job.erases(),
        }
    }

    fn set_erased(&mut self, erased: Result<()>) {
        if let Self::Other(OtherJob(job)) = self
            && job.erases()
        {
            job.set_erased(erased);
        }
    }
}

impl queue::Job for Queued {
    fn answer(self) {
        match self {
            Self::Append(job) => job.answer(),
            Self::Other(OtherJob(job)) => job.answer(),
        }
    }

    fn fail(self, error: Error) {
        match self {
            Self::Append(job) => job.fail(error),
            Self::Other(OtherJob(job)) => job.fail(error),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Append(job) => job.weight(),
            Self::Other(OtherJob(job)) => job.weight(),
        }
    }
}

/// Answers every write to a store that was opened to read only, until it is closed.
pub(crate) async fn refuse(mut queue: mpsc::Receiver<Queued>) {
    while let Some(queued) = queue.recv().await {
        let detail = "the database was opened to read only; open it to write";
        queue::Job::fail(queued, Error::new(ErrorKind::Unsupported, detail));
    }
}

/// Runs a statement without values.
pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await.map(|_| ())
}
