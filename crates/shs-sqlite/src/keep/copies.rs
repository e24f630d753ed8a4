//! Copies of a database that stay beside it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use shs_store::{Error, ErrorKind, Result};

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
        let name = |suffix: &str| {
            let mut name = OsString::from(database);
            name.push(suffix);
            PathBuf::from(name)
        };
        let suffix = self.suffix();
        let names = std::iter::once(name(suffix))
            .chain((2..1_000).map(|number| name(&format!("{suffix}-{number}"))));
        for name in names {
            match OpenOptions::new().write(true).create_new(true).open(&name) {
                Ok(_) => return Ok(name),
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

/// All copies beside a database, by name.
pub(crate) fn copies(database: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(own) = database.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder_of(database))? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(own));
        if rest.is_some_and(|rest| Copy::ALL.iter().any(|copy| rest.starts_with(copy.suffix()))) {
            found.push(database.with_file_name(name));
        }
    }
    found.sort();
    Ok(found)
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Waits until names in the folder of a file are on disk. Windows does that by itself, and cannot open folders.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}
