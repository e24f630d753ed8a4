//! Who has a database open.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use shs_store::{Error, ErrorKind, Result};

use crate::keep::with;

/// A mark that this store has the database open, held as a shared lock on a file beside it.
///
/// The operating system takes the lock back when the process ends, however it ends. So whoever can
/// lock the file alone knows that nobody else is there.
#[derive(Debug)]
pub(crate) struct Presence {
    /// Kept for its lock.
    _file: Option<File>,
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
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| {
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

    /// Comes in. Blocks while another store that came in alone looks around.
    ///
    /// Where the file system has no locks, nobody is ever known to be alone.
    pub(crate) fn arrive(file: File) -> Arrival {
        let alone = file.try_lock().is_ok();
        if !alone && let Err(error) = file.lock_shared() {
            tracing::warn!(%error, "no file locks here; interrupted answers wait for their lease");
            return Arrival { file: None, alone: false };
        }
        Arrival { file: Some(file), alone }
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
        let file =
            file.filter(|file| !alone || file.unlock().and_then(|()| file.lock_shared()).is_ok());
        Presence { _file: file }
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
