//! Who has a database open.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use shs_files::{open_or_create, share, take_after, take_alone};
use shs_store::{Error, ErrorKind, Result};

use crate::keep::with;

/// A mark that this store has the database open, held as a shared lock on a file beside it.
///
/// The operating system takes the lock back when the process ends, however it ends. So whoever can
/// lock the file alone knows that nobody else is there.
#[derive(Debug)]
pub(crate) struct Presence {
    file: Option<File>,
}

/// The first to come, for as long as nobody else may come.
#[derive(Debug)]
pub(crate) struct Arrival {
    file: Option<File>,
    alone: bool,
}

impl Presence {
    /// Opens the lock file, which tells whether the folder can be written: SQLite only says that it cannot
    /// open the database.
    ///
    /// # Errors
    /// `Unavailable`, with the reason.
    pub(crate) fn prepare(database: &Path) -> Result<File> {
        let path = lock_path(database);
        let open = || {
            let is_new = !path.exists();
            let file = open_or_create(&path)?;
            // Whoever may open the database may come in.
            if is_new && let Ok(database) = fs::metadata(behind_link(database)) {
                take_after(&path, &database)?;
            }
            Ok(file)
        };
        open().map_err(|error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
                io::ErrorKind::PermissionDenied => {
                    "permission denied; the folder has to be writable"
                }
                io::ErrorKind::StorageFull => "the disk is full; free space and repeat",
                _ => "the folder has to exist and be writable",
            };
            let detail = format!("{} cannot be opened: {why}", path.display());
            Error::new(ErrorKind::Unavailable, detail).with_source(error)
        })
    }

    /// The lock file, locked so that nobody else comes in for as long as it is held.
    ///
    /// # Errors
    /// `Unavailable` if somebody has the database open, or the lock file cannot be made.
    pub(crate) fn alone(database: &Path) -> Result<File> {
        let file = Self::prepare(database)?;
        file.try_lock().map_err(|error| {
            let detail = format!(
                "{} is open in another process or store; close that first",
                database.display()
            );
            Error::new(ErrorKind::Unavailable, detail).with_source(error)
        })?;
        Ok(file)
    }

    /// Comes in. Blocks while another store that came in alone looks around, up to a time.
    ///
    /// Where the file system has no locks, nobody is ever known to be alone.
    ///
    /// # Errors
    /// `Unavailable` if somebody keeps the lock file locked for longer.
    pub(crate) fn arrive(file: File, database: &Path, timeout: Duration) -> Result<Arrival> {
        if file.try_lock().is_ok() {
            return Ok(Arrival { file: Some(file), alone: true });
        }
        let deadline = Instant::now() + timeout;
        loop {
            match file.try_lock_shared() {
                Ok(()) => return Ok(Arrival { file: Some(file), alone: false }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    let detail = format!(
                        "{} was locked by another process for longer than the busy timeout; find out which (on \
                         Linux: fuser {0}), and end it",
                        lock_path(database).display()
                    );
                    return Err(Error::new(ErrorKind::Unavailable, detail));
                }
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%error, "no file locks here; interrupted answers wait for their lease");
                    return Ok(Arrival { file: None, alone: false });
                }
            }
        }
    }
}

impl Presence {
    /// Leaves: whether nobody else has the database open. Then nobody comes in before it is dropped.
    pub(crate) fn leave(&self) -> bool {
        self.file.as_ref().is_some_and(take_alone)
    }
}

impl Arrival {
    /// Whether nobody else has the database open.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Lets others in.
    pub(crate) fn stay(self) -> Presence {
        let Self { file, alone } = self;
        // Between the two locks another may believe to be alone, rightly: this store has not written yet.
        let file = file.filter(|file| !alone || share(file).is_ok());
        Presence { file }
    }
}

/// Beside the database itself, as its log is: whoever comes by a link has to find the same one.
fn lock_path(database: &Path) -> PathBuf {
    with(&behind_link(database), "-lock")
}

/// The file that a link leads to, or else the path as it is.
pub(crate) fn behind_link(path: &Path) -> PathBuf {
    let is_link = fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    let real = is_link.then(|| fs::canonicalize(path).ok()).flatten();
    real.unwrap_or_else(|| path.to_owned())
}
