//! The connections that read.
//!
//! sqlx's pool asks a connection whether it is there whenever it comes back, which is a trip to the connection's thread
//! for every read. These are threads of this process; they are there.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::place::Place;
use crate::error::Failure;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Error, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a read waits for a connection.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that cannot write, up to a number. They are opened when they are needed, and stay open.
#[derive(Debug)]
pub(crate) struct Readers {
    connect: SqliteConnectOptions,
    /// Where a new connection has to find the database.
    place: Arc<Place>,
    count: u32,
    free: Semaphore,
    /// The last is used first: it remembers the pages that were read last.
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    pub(super) fn new(connect: SqliteConnectOptions, count: u32, place: Arc<Place>) -> Self {
        Self { connect, place, count, free: Semaphore::new(count as usize), idle: Mutex::default() }
    }

    /// A connection, which comes back when it is dropped.
    pub(crate) async fn acquire(&self) -> Result<Reader<'_>, Failure> {
        let permit = match self.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let waited = tokio::time::timeout(TIMEOUT, self.free.acquire()).await;
                waited.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)?
            }
        };
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = self.connect.connect().await?;
                // It may be another database by now.
                self.place.check_database()?;
                connection
            }
        };
        Ok(Reader { readers: self, connection: Some(connection), _permit: permit })
    }

    /// Closes all connections, once the reads have ended.
    pub(crate) async fn close(&self) {
        let all = self.free.acquire_many(self.count).await;
        self.free.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            // It wrote nothing that could be lost.
            let _ = connection.close().await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection while it reads.
pub(crate) struct Reader<'r> {
    readers: &'r Readers,
    /// There until it is given back.
    connection: Option<SqliteConnection>,
    /// Given back after the connection.
    _permit: SemaphorePermit<'r>,
}

impl Reader<'_> {
    /// Gives the connection back after a read that has ended.
    pub(crate) fn done(mut self) {
        self.readers.idle().extend(self.connection.take());
    }
}

impl Deref for Reader<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect("it is there until it is given back")
    }
}

impl DerefMut for Reader<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("it is there until it is given back")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // The read was given up. What it left running ends by itself, before the connection does anything else, so that
        // the others are to be used first.
        if let Some(connection) = self.connection.take() {
            self.readers.idle().insert(0, connection);
        }
    }
}
