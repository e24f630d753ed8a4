//! The connection that writes: one transaction for each batch.

use std::sync::{Arc, OnceLock};

use shs_store::Durability;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc;

use super::append::{self, AppendJob, Frame};
use super::erase::compact;
use super::queue::{self, Broken, Engine, Rest};
use super::{CatchUp, Memory, OtherJob, Queued, Transaction, execute};
use crate::error::{is_busy, is_read_only, spoils_connection, translate};
use crate::open::{Place, Presence, Readers, in_use, next_writer};
use crate::options::SqliteOptions;

/// Messages that are missing in the text index before the writer puts them there without a pause.
const MAX_BACKLOG: u64 = 512;

/// The task's state.
pub(crate) struct Writer {
    options: SqliteOptions,
    beside: Beside,
    connection: Option<SqliteConnection>,
    memory: Memory,
    /// Whether the index could not be brought up to date, and nothing was written since.
    has_index_failed: bool,
}

/// What else there is of a store that writes.
pub(crate) struct Beside {
    pub(crate) place: Arc<Place>,
    /// Who else is there; unknown while the store is opened.
    pub(crate) presence: Arc<OnceLock<Presence>>,
    pub(crate) readers: Arc<Readers>,
}

impl Writer {
    pub(crate) fn new(
        options: SqliteOptions,
        connection: SqliteConnection,
        beside: Beside,
    ) -> Self {
        let (memory, connection) = (Memory::default(), Some(connection));
        Self { options, beside, connection, memory, has_index_failed: false }
    }

    /// Works until every sender of the queue is gone and the queue is empty; then closes the database.
    pub(crate) async fn work(self, queue: mpsc::Receiver<Queued>) {
        queue::work(self, queue).await;
    }

    /// Begins, runs and commits a transaction.
    async fn run(
        &mut self,
        connection: &mut SqliteConnection,
        batch: &mut [Queued],
    ) -> Result<(), At> {
        let clock = Arc::clone(&self.options.clock);
        if batch.iter().all(|queued| matches!(queued, Queued::Append(_))) {
            let mut transaction = Transaction::new(connection, clock, &mut self.memory);
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
        let changes = batch.iter().any(Queued::changes);
        let mut transaction = Transaction::new(connection, clock, &mut self.memory);
        if changes {
            transaction.memory.forget();
            transaction.pass_over_arrival().await.map_err(At::Inside)?;
        }
        run_all(&mut transaction, batch).await.map_err(At::Inside)?;
        execute(connection, "COMMIT").await.map_err(At::Ends)
    }
}

impl Engine for Writer {
    type Job = Queued;

    async fn attempt(&mut self, batch: &mut [Queued]) -> Result<(), Broken> {
        self.has_index_failed = false;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                // To a new connection everything was written by another one.
                self.memory.forget();
                self.beside.place.check_database().map_err(Broken::Outside)?;
                next_writer(&self.options).await.map_err(Broken::Outside)?
            }
        };
        let sync =
            self.options.durability == Durability::Relaxed && batch.iter().any(Queued::needs_sync);
        if sync && let Err(error) = execute(&mut connection, "PRAGMA synchronous = FULL").await {
            let _ = connection.close().await;
            return Err(Broken::Outside(translate(&Arc::new(error))));
        }
        let mut done = self.run(&mut connection, batch).await;
        if done.as_ref().is_err_and(|broken| is_read_only(broken.error())) {
            // So it was opened while the disk failed, or the connections are that were open then.
            self.memory.roll_back();
            let _ = connection.close().await;
            self.beside.readers.renew().await;
            self.beside.place.check_database().map_err(Broken::Outside)?;
            connection = next_writer(&self.options).await.map_err(Broken::Outside)?;
            done = self.run(&mut connection, batch).await;
        }
        if let Err(broken) = done {
            self.memory.roll_back();
            let rolled_back = execute(&mut connection, "ROLLBACK").await;
            // It did not begin if another process was in the way; there is nothing to roll back then.
            if (rolled_back.is_ok() || is_busy(broken.error()))
                && !spoils_connection(broken.error())
            {
                self.connection = Some(connection);
            } else {
                // What it fails with says no more, but the file is left alone when it has ended.
                let _ = connection.close().await;
            }
            return Err(broken.into());
        }
        self.memory.commit();
        let place = self.beside.place.check();
        if place.is_ok() && batch.iter().any(Queued::erases) {
            let (erased, is_usable) = compact(&mut connection).await;
            batch.iter_mut().for_each(|queued| queued.set_erased(erased.clone()));
            if !is_usable {
                let _ = connection.close().await;
                return Ok(());
            }
        }
        if let Err(error) = place {
            // It is the right one again once the file is put back.
            self.connection = Some(connection);
            return Err(Broken::Outside(error));
        }
        // A new connection has the usual mode again.
        if !sync || execute(&mut connection, "PRAGMA synchronous = NORMAL").await.is_ok() {
            self.connection = Some(connection);
        } else {
            let _ = connection.close().await;
        }
        Ok(())
    }

    fn rest(&self) -> Rest {
        match self.memory.backlog() {
            _ if self.has_index_failed => Rest::None,
            Some(0) => Rest::None,
            Some(MAX_BACKLOG..) => Rest::Now,
            Some(_) | None => Rest::Later,
        }
    }

    async fn do_rest(&mut self) {
        let (catch_up, _) = Queued::other(CatchUp);
        if let Err(Broken::Inside(error) | Broken::Outside(error)) =
            self.attempt(&mut [catch_up]).await
        {
            // Whoever searches tries again and is told.
            self.has_index_failed = true;
            tracing::warn!(%error, "the text index could not be brought up to date");
        }
    }

    async fn end(mut self) {
        while !matches!(self.rest(), Rest::None) {
            self.do_rest().await;
        }
        let Some(mut connection) = self.connection.take() else { return };
        let is_last = self.beside.presence.get().is_some_and(Presence::leave);
        if is_last
            && self.beside.place.check().is_ok()
            && let Err(error) = in_use::unmark(&mut connection).await
        {
            tracing::warn!(%error, "the database stays marked as open");
        }
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "closing the database failed; everything acknowledged is in it");
        }
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
            At::Ends(error) => Self::Outside(translate(&Arc::new(error))),
            At::Inside(error) => Self::Inside(translate(&Arc::new(error))),
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
fn appends(queued: &mut [Queued]) -> Vec<&mut AppendJob> {
    let append = |queued| match queued {
        &mut Queued::Append(ref mut job) => Some(job),
        Queued::Other(_) => None,
    };
    queued.iter_mut().filter_map(append).collect()
}
