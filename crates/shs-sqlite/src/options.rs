//! How a database is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shs_store::{Clock, Durability, Result, SystemClock};

use crate::SqliteStore;

/// How to open a [`SqliteStore`].
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
///
/// use shs_sqlite::SqliteOptions;
///
/// # async fn open() -> shs_store::Result<()> {
/// let store = SqliteOptions::new("history.db")
///     .with_busy_timeout(Duration::from_secs(20))
///     .with_readers(8)
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) readers: u32,
    pub(crate) queue: usize,
    pub(crate) cache: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) is_read_only: bool,
}

impl SqliteOptions {
    /// Opens this file, which is created if it is missing; its folder must exist.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            durability: Durability::Full,
            busy_timeout: Duration::from_secs(10),
            readers: 4,
            queue: 1_024,
            cache: 16 * 1024 * 1024,
            clock: Arc::new(SystemClock),
            is_read_only: false,
        }
    }

    /// What an acknowledged write survives; [`Durability::Full`] unless said otherwise: `synchronous=FULL`,
    /// or `NORMAL`.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long a write waits for another process that holds the database; 10 seconds unless said otherwise.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many reads run at once, each on a connection of its own; 4 unless said otherwise, 1 at least.
    #[must_use]
    pub fn with_readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How many writes wait in the queue before callers are held back; 1,024 unless said otherwise, 1 at
    /// least.
    #[must_use]
    pub fn with_queue(mut self, queue: usize) -> Self {
        self.queue = queue.max(1);
        self
    }

    /// How many bytes of messages are kept in memory for reading; 16 MiB unless said otherwise, 0 for none.
    ///
    /// A session takes a quarter of it at most.
    #[must_use]
    pub fn with_cache(mut self, bytes: usize) -> Self {
        self.cache = bytes;
        self
    }

    /// Takes the time from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens it to read only: nothing is written, neither to the database nor next to it. So it
    /// works on a read-only file system, and beside processes that write.
    ///
    /// - Every write is [`Unsupported`](shs_store::ErrorKind::Unsupported).
    /// - A database that is missing is [`NotFound`](shs_store::ErrorKind::NotFound). One that would
    ///   have to be migrated, of an older version or of the Python package, is `Unsupported`:
    ///   opening it to write does that.
    /// - While nobody has the database open, it is read as it is: a process that begins to write
    ///   then is not seen, and what it overwrites while it is being read is
    ///   [`Corrupt`](shs_store::ErrorKind::Corrupt); open it again.
    /// - A search that finds the text index behind waits for the process that writes, as long as
    ///   [the busy timeout](Self::with_busy_timeout). If that has crashed, the search is
    ///   [`Unavailable`](shs_store::ErrorKind::Unavailable) until the database was opened to write.
    /// - SQLite reads a log that a process has left through `-shm`, which it makes if only the
    ///   `-wal` is there.
    #[must_use]
    pub fn with_read_only(mut self) -> Self {
        self.is_read_only = true;
        self
    }

    /// Opens the database.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(self) -> Result<SqliteStore> {
        SqliteStore::open_with(self).await
    }
}
