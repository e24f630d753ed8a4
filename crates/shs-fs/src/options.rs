//! How a folder is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shs_store::{Clock, Durability, Result, SystemClock};

use crate::FsStore;

/// How to open a [`FsStore`].
///
/// # Examples
/// ```no_run
/// use shs_fs::FsOptions;
/// use shs_store::Durability;
///
/// # async fn open() -> shs_store::Result<()> {
/// let store = FsOptions::new("history").with_durability(Durability::Relaxed).open().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FsOptions {
    pub(crate) folder: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) queue: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) journal: Option<u64>,
    pub(crate) is_read_only: bool,
}

impl FsOptions {
    /// Opens this folder, which is created, with its parents, if it is missing.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            durability: Durability::Full,
            queue: 1_024,
            clock: Arc::new(SystemClock),
            journal: None,
            is_read_only: false,
        }
    }

    /// What an acknowledged write survives; [`Durability::Full`] unless said otherwise.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many writes wait in the queue before callers are held back; 1,024 unless said otherwise, 1 at
    /// least.
    #[must_use]
    pub fn with_queue(mut self, queue: usize) -> Self {
        self.queue = queue.max(1);
        self
    }

    /// Takes the time from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Gives the journal this length in bytes, for tests that fill it.
    #[doc(hidden)]
    #[must_use]
    pub fn with_journal_bytes(mut self, bytes: u64) -> Self {
        self.journal = Some(bytes);
        self
    }

    /// Opens it to read only: nothing is written to the folder. So it works on a read-only file
    /// system, and beside a process that has the folder open, as it is at this moment.
    ///
    /// - Every write is [`Unsupported`](shs_store::ErrorKind::Unsupported).
    /// - A folder without a store is [`NotFound`](shs_store::ErrorKind::NotFound); files of the
    ///   Python package in one that wait to be migrated are `Unsupported`: opening it to write does
    ///   that.
    /// - What another process writes later is not seen, and a conversation that it writes anew may
    ///   not be found at its place any more, which is [`Corrupt`](shs_store::ErrorKind::Corrupt);
    ///   open it again.
    /// - Nobody can open the folder to write until this is closed, unless somebody had it open
    ///   before.
    /// - After a power cut, what is in the journal alone is
    ///   [`Unavailable`](shs_store::ErrorKind::Unavailable) until the folder was opened to write.
    #[must_use]
    pub fn with_read_only(mut self) -> Self {
        self.is_read_only = true;
        self
    }

    /// Opens the folder.
    ///
    /// # Errors
    /// As [`FsStore::open`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(self) -> Result<FsStore> {
        FsStore::open_with(self).await
    }
}
