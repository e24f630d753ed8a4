//! Copies of a database that stay beside it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use shs_files::{create_new, folder_of, sync_folder, take_after};
use shs_store::{Error, ErrorKind, Result};
use tempfile::NamedTempFile;

/// What the name of a copy has behind that of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    /// The database of the Python package, before it was migrated.
    Python,
    /// The database before it was repaired.
    BeforeRepair,
    /// The database before a backup was restored in its place.
    BeforeRestore,
    /// Rows that could not be read.
    Quarantine,
}

impl Copy {
    const ALL: [Self; 4] =
        [Self::Python, Self::BeforeRepair, Self::BeforeRestore, Self::Quarantine];

    fn suffix(self) -> &'static str {
        match self {
            Self::Python => ".python-backup",
            Self::BeforeRepair => ".before-repair",
            Self::BeforeRestore => ".before-restore",
            Self::Quarantine => ".quarantine",
        }
    }

    /// Makes an empty file `history.db.python-backup`, or that with a number, which nobody else takes then.
    pub(crate) fn reserve(self, database: &Path) -> Result<PathBuf> {
        let suffix = self.suffix();
        let names = std::iter::once(with(database, suffix))
            .chain((2..1_000).map(|number| with(database, &format!("{suffix}-{number}"))));
        for name in names {
            match create_new(&name).and_then(|_| take_after(&name, &fs::metadata(database)?)) {
                Ok(()) => return Ok(name),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let detail = "a copy of the database could not be written";
                    return Err(Error::new(ErrorKind::Unavailable, detail).with_source(error));
                }
            }
        }
        let detail = "too many copies of the database; remove some";
        Err(Error::new(ErrorKind::Unavailable, detail))
    }
}

/// All copies beside a database, by name, and drafts that a killed process left.
pub(crate) fn copies(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = beside(database)?;
    if fs::symlink_metadata(database).is_ok_and(|about| about.is_symlink()) {
        found.extend(beside(&fs::canonicalize(database)?)?);
    }
    found.sort();
    Ok(found)
}

fn beside(database: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(own) = database.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder_of(database))? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(own));
        let is_copy = |rest: &str| Copy::ALL.iter().any(|copy| rest.starts_with(copy.suffix()));
        let is_left =
            |name: &str| name.starts_with(&draft_prefix(database)) && name.ends_with(DRAFT);
        if rest.is_some_and(is_copy) || name.to_str().is_some_and(is_left) {
            found.push(database.with_file_name(name));
        }
    }
    Ok(found)
}

/// How the name of a draft ends, and how it begins: it tells for which file it is, should a killed process leave it.
const DRAFT: &str = ".draft";
fn draft_prefix(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

/// An empty file beside the place that it is for. Dropping it removes it.
pub(super) fn draft(target: &Path) -> io::Result<NamedTempFile> {
    shs_files::draft(folder_of(target), &draft_prefix(target), DRAFT)
}

/// A path with something behind its name.
pub(crate) fn with(path: &Path, rest: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(rest);
    name.into()
}

/// Waits until names in the folder of a file are on disk.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync_folder(folder_of(path))
}
