//! Whether the database is still where it was opened.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use shs_files::{Identity, create_new};
use shs_store::{Error, ErrorKind, Result};

use super::presence::behind_link;
use crate::keep::with;

/// The path of an open database, and which files were there.
///
/// SQLite goes on with a file that was moved away or removed, and with a log that was: what it
/// commits then, nobody finds at the path. So the writer looks after each commit, before it
/// acknowledges anything, whether both are still there.
#[derive(Debug)]
pub(crate) struct Place {
    database: PathBuf,
    log: PathBuf,
    /// Of the database, once it was opened.
    identity: OnceLock<Identity>,
}

impl Place {
    /// The place of a database, which is made empty if it is missing, so that nobody else can read
    /// it.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be made.
    pub(crate) fn prepare(path: &Path) -> Result<Self> {
        let unavailable = |error: io::Error| {
            let detail = format!("{} cannot be made", path.display());
            Error::new(ErrorKind::Unavailable, detail).with_source(error)
        };
        match create_new(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(unavailable(error));
            }
            Ok(_) | Err(_) => {}
        }
        Self::at(path)
    }

    /// The place of a database, as it is.
    ///
    /// # Errors
    /// `Unavailable` if the current folder is not known.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        // Whatever becomes the current folder; the log stands beside the file itself.
        let unavailable = |error: io::Error| {
            Error::new(ErrorKind::Unavailable, "the current folder is not known").with_source(error)
        };
        let database = std::path::absolute(behind_link(path)).map_err(unavailable)?;
        let log = with(&database, "-wal");
        Ok(Self { database, log, identity: OnceLock::new() })
    }

    /// Notes which file was opened.
    pub(crate) fn opened(&self) {
        if let Ok(identity) = Identity::at(&self.database) {
            // Only the first one counts.
            let _ = self.identity.set(identity);
        }
    }

    /// That the file at the path is the one that was opened, and that the log, which is there while
    /// a connection is open, is beside it.
    ///
    /// # Errors
    /// `Unavailable`, with what to do.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_database()?;
        Self::look(None, &self.log, "was moved or removed while the database was open")
    }

    /// That the file at the path is the one that was opened.
    ///
    /// # Errors
    /// `Unavailable`, with what to do.
    pub(crate) fn check_database(&self) -> Result<()> {
        let identity = self.identity.get().copied();
        Self::look(identity, &self.database, "was moved, removed or replaced while it was open")
    }

    fn look(identity: Option<Identity>, path: &Path, gone: &str) -> Result<()> {
        match Identity::is_at(identity, path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Self::gone(path, gone)),
            // What cannot be looked at now may be there.
            Err(error) => Err(Self::gone(path, "cannot be looked at").with_source(error)),
        }
    }

    fn gone(path: &Path, what: &str) -> Error {
        let detail = format!(
            "{} {what}, so nothing that is written is where it belongs; put it back, or open the store again",
            path.display()
        );
        Error::new(ErrorKind::Unavailable, detail)
    }
}
