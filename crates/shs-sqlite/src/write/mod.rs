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

mod append;
mod copy;
mod message;
mod session;
mod transaction;

use std::sync::Arc;

use async_trait::async_trait;
use shs_store::{Clock, Durability, Error, ErrorKind, Result};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::append::Append;
pub(crate) use self::copy::{Fork, Import};
pub(crate) use self::message::{DeleteMessage, UpdateMessage};
pub(crate) use self::session::{Create, DeleteSession, DeleteUser, Flush, UpdateSession};
pub(crate) use self::transaction::Transaction;
use crate::error::{Failure, spoils_connection, translate};
use crate::open::next_writer;
use crate::options::SqliteOptions;

/// Most operations in one transaction.
const MAX_OPERATIONS: usize = 512;
/// Bytes of text at which a transaction is full.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Something to be done inside a transaction. It may be run again after a rollback.
pub(crate) trait Operation: Send + Sync + 'static {
    /// What the caller gets.
    type Output: Send + 'static;
    /// Whether its commit waits for the disk, also where a relaxed durability was chosen.
    const SYNC: bool = false;

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

    fn weight(&self) -> usize {
        match self {
            Self::Append(job) => job.weight(),
            Self::Other(OtherJob(job)) => job.weight(),
        }
    }

    fn needs_sync(&self) -> bool {
        match self {
            Self::Append(_) => false,
            Self::Other(OtherJob(job)) => job.needs_sync(),
        }
    }

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
}

/// The task's state.
pub(crate) struct Writer {
    options: SqliteOptions,
    connection: Option<SqliteConnection>,
}

impl Writer {
    pub(crate) fn new(options: SqliteOptions, connection: SqliteConnection) -> Self {
        Self { options, connection: Some(connection) }
    }

    /// Works until every sender of the queue is gone and the queue is empty; then closes the database.
    pub(crate) async fn work(mut self, mut queue: mpsc::Receiver<Queued>) {
        while let Some(first) = queue.recv().await {
            let mut bytes = first.weight();
            let mut batch = vec![first];
            while batch.len() < MAX_OPERATIONS && bytes < MAX_BYTES {
                let Ok(next) = queue.try_recv() else { break };
                bytes += next.weight();
                batch.push(next);
            }
            self.commit(batch).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "closing the database failed; everything acknowledged is in it");
        }
    }

    /// Runs a batch in one transaction, or, if that breaks, one by one, and answers everybody.
    async fn commit(&mut self, mut batch: Vec<Queued>) {
        match self.attempt(&mut batch).await {
            Ok(()) => batch.into_iter().for_each(Queued::answer),
            Err(Broken::Inside(_)) if batch.len() > 1 => {
                for job in batch {
                    let mut single = vec![job];
                    match self.attempt(&mut single).await {
                        Ok(()) => single.into_iter().for_each(Queued::answer),
                        Err(broken) => fail_all(single, &broken),
                    }
                }
            }
            Err(broken) => fail_all(batch, &broken),
        }
    }

    async fn attempt(&mut self, batch: &mut [Queued]) -> Result<(), Broken> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => next_writer(&self.options).await.map_err(Broken::Unopened)?,
        };
        let sync =
            self.options.durability == Durability::Relaxed && batch.iter().any(Queued::needs_sync);
        if sync && let Err(error) = execute(&mut connection, "PRAGMA synchronous = FULL").await {
            return Err(Broken::Outside(Arc::new(error)));
        }
        if let Err(error) = execute(&mut connection, "BEGIN IMMEDIATE").await {
            self.keep_unless_spoiled(connection, &error);
            return Err(Broken::Outside(Arc::new(error)));
        }
        if let Err(error) = run_all(&mut connection, &self.options.clock, batch).await {
            let rolled_back = execute(&mut connection, "ROLLBACK").await;
            if rolled_back.is_ok() {
                self.keep_unless_spoiled(connection, &error);
            }
            return Err(Broken::Inside(Arc::new(error)));
        }
        match execute(&mut connection, "COMMIT").await {
            Ok(()) => {
                // A new connection has the usual mode again.
                if !sync || execute(&mut connection, "PRAGMA synchronous = NORMAL").await.is_ok() {
                    self.connection = Some(connection);
                }
                Ok(())
            }
            // The connection goes with its transaction.
            Err(error) => Err(Broken::Outside(Arc::new(error))),
        }
    }

    fn keep_unless_spoiled(&mut self, connection: SqliteConnection, error: &sqlx::Error) {
        if !spoils_connection(error) {
            self.connection = Some(connection);
        }
    }
}

/// Why a batch was not committed.
enum Broken {
    /// No connection could be opened.
    Unopened(Error),
    /// It did not begin, or its end is unknown.
    Outside(Arc<sqlx::Error>),
    /// It was rolled back.
    Inside(Arc<sqlx::Error>),
}

fn fail_all(batch: Vec<Queued>, broken: &Broken) {
    for job in batch {
        job.fail(match broken {
            Broken::Unopened(error) => Error::new(error.kind(), error.detail().to_owned()),
            Broken::Outside(error) | Broken::Inside(error) => translate(error),
        });
    }
}

async fn run_all(
    connection: &mut SqliteConnection,
    clock: &Arc<dyn Clock>,
    batch: &mut [Queued],
) -> Result<(), sqlx::Error> {
    let mut transaction = Transaction::new(connection, Arc::clone(clock));
    let mut rest = batch;
    while let Some((first, _)) = rest.split_first() {
        if matches!(first, Queued::Append(_)) {
            let appends =
                rest.iter().take_while(|queued| matches!(queued, Queued::Append(_))).count();
            let (group, others) = rest.split_at_mut(appends);
            let mut jobs = group.iter_mut().filter_map(|queued| match queued {
                Queued::Append(job) => Some(job),
                Queued::Other(_) => None,
            });
            append::run(&mut transaction, &mut jobs).await?;
            rest = others;
        } else {
            let (first, others) = rest.split_first_mut().expect("it was found to be there");
            if let Queued::Other(OtherJob(job)) = first {
                job.run(&mut transaction).await?;
            }
            rest = others;
        }
    }
    Ok(())
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await.map(|_| ())
}
