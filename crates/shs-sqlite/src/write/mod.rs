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
use shs_store::{Durability, Error, ErrorKind, Result};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::append::Append;
use self::append::Frame;
pub(crate) use self::copy::{Fork, Import};
pub(crate) use self::message::{DeleteMessage, UpdateMessage};
pub(crate) use self::session::{Create, DeleteSession, DeleteUser, Flush, UpdateSession};
pub(crate) use self::transaction::{Models, Transaction};
use crate::error::{Failure, is_busy, spoils_connection, translate};
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
    models: Models,
}

impl Writer {
    pub(crate) fn new(options: SqliteOptions, connection: SqliteConnection) -> Self {
        Self { options, connection: Some(connection), models: Models::default() }
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
        if let Err(broken) = self.run(&mut connection, batch).await {
            self.models.roll_back();
            let rolled_back = execute(&mut connection, "ROLLBACK").await;
            // It did not begin if another process was in the way; there is nothing to roll back then.
            if rolled_back.is_ok() || is_busy(broken.error()) {
                self.keep_unless_spoiled(connection, broken.error());
            }
            return Err(broken.into());
        }
        self.models.commit();
        // A new connection has the usual mode again.
        if !sync || execute(&mut connection, "PRAGMA synchronous = NORMAL").await.is_ok() {
            self.connection = Some(connection);
        }
        Ok(())
    }

    /// Begins, runs and commits a transaction.
    async fn run(
        &mut self,
        connection: &mut SqliteConnection,
        batch: &mut [Queued],
    ) -> Result<(), At> {
        let clock = Arc::clone(&self.options.clock);
        if batch.iter().all(|queued| matches!(queued, Queued::Append(_))) {
            let mut transaction = Transaction::new(connection, clock, &mut self.models);
            let mut jobs = appends(batch);
            return append::run(&mut transaction, &mut jobs, Frame::Whole).await.map_err(|error| {
                // Of these it is not known whether they came from the commit.
                if is_busy(&error) || spoils_connection(&error) {
                    At::Ends(error)
                } else {
                    At::Inside(error)
                }
            });
        }
        execute(connection, "BEGIN IMMEDIATE").await.map_err(At::Ends)?;
        let mut transaction = Transaction::new(connection, clock, &mut self.models);
        run_all(&mut transaction, batch).await.map_err(At::Inside)?;
        execute(connection, "COMMIT").await.map_err(At::Ends)
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

/// Where a transaction failed.
enum At {
    /// At its begin or its commit, or it is not known.
    Ends(sqlx::Error),
    /// Between the two.
    Inside(sqlx::Error),
}

impl At {
    fn error(&self) -> &sqlx::Error {
        match self {
            Self::Ends(error) | Self::Inside(error) => error,
        }
    }
}

impl From<At> for Broken {
    fn from(at: At) -> Self {
        match at {
            At::Ends(error) => Self::Outside(Arc::new(error)),
            At::Inside(error) => Self::Inside(Arc::new(error)),
        }
    }
}

async fn run_all(
    transaction: &mut Transaction<'_>,
    batch: &mut [Queued],
) -> Result<(), sqlx::Error> {
    let mut rest = batch;
    while !rest.is_empty() {
        let count = rest.iter().take_while(|queued| matches!(queued, Queued::Append(_))).count();
        let (group, others) = rest.split_at_mut(count.max(1));
        if let [Queued::Other(OtherJob(job))] = group {
            job.run(transaction).await?;
        } else {
            append::run(transaction, &mut appends(group), Frame::Part).await?;
        }
        rest = others;
    }
    Ok(())
}

/// The appends among some queued operations.
fn appends(queued: &mut [Queued]) -> Vec<&mut append::AppendJob> {
    let append = |queued| match queued {
        &mut Queued::Append(ref mut job) => Some(job),
        Queued::Other(_) => None,
    };
    queued.iter_mut().filter_map(append).collect()
}

/// Runs a statement without values.
pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await.map(|_| ())
}
