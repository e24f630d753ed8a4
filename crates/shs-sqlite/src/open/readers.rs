//! The connections that read.
//!
//! sqlx's pool asks a connection whether it is there whenever it comes back, which is a trip to the connection's thread
//! for every read. These are threads of this process; they are there.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::place::Place;
use crate::error::Failure;
use shs_store::ErrorKind;
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
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The last is used first: it remembers the pages that were read last.
    connections: Vec<SqliteConnection>,
    /// How often all that were open were given up.
    renewals: u64,
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
        let (idle, renewals) = {
            let mut idle = self.idle();
            (idle.connections.pop(), idle.renewals)
        };
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = self.connect.connect().await?;
                // It may be another database by now.
                self.place.check_database()?;
                connection
            }
        };
        Ok(Reader { readers: self, connection: Some(connection), renewals, _permit: permit })
    }

    /// Has every connection closed that is open now, those that read once they have ended.
    pub(crate) async fn renew(&self) {
        let old = {
            let mut idle = self.idle();
            idle.renewals += 1;
            std::mem::take(&mut idle.connections)
        };
        close_all(old).await;
    }

    /// Closes all connections, once the reads have ended.
    pub(crate) async fn close(&self) {
        let all = self.free.acquire_many(self.count).await;
        self.free.close();
        drop(all);
        let idle = std::mem::take(&mut self.idle().connections);
        close_all(idle).await;
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close_all(connections: Vec<SqliteConnection>) {
    for connection in connections {
        // It wrote nothing that could be lost.
        let _ = connection.close().await;
    }
}

/// A connection while it reads.
pub(crate) struct Reader<'r> {
    readers: &'r Readers,
    /// There until it is given back.
    connection: Option<SqliteConnection>,
    renewals: u64,
    /// Given back after the connection.
    _permit: SemaphorePermit<'r>,
}

impl Reader<'_> {
    /// Gives the connection back after a read that has ended; or closes it, if the read failed by
    /// what may be the connection's.
    pub(crate) fn end<T>(mut self, outcome: &shs_store::Result<T>) {
        use ErrorKind::{Corrupt, Internal, Unavailable};
        let is_good = outcome
            .as_ref()
            .err()
            .is_none_or(|error| !matches!(error.kind(), Unavailable | Corrupt | Internal));
        let connection = self.connection.take();
        if is_good {
            self.give_back(connection, Vec::push);
        }
    }

    /// Puts a connection among those that are idle, unless all of its time were given up.
    fn give_back(
        &self,
        connection: Option<SqliteConnection>,
        put: fn(&mut Vec<SqliteConnection>, SqliteConnection),
    ) {
        let mut idle = self.readers.idle();
        if let Some(connection) = connection
            && idle.renewals == self.renewals
        {
            put(&mut idle.connections, connection);
        }
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
        let connection = self.connection.take();
        self.give_back(connection, |idle, connection| idle.insert(0, connection));
    }
}
