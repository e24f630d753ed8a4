//! What is done with a store's files as a whole: erasing what was deleted, backing up, restoring, checking and repairing.
//!
//! The functions here take the store by its [`Location`] and open it by themselves. A program that has the store open already
//! calls the methods of the same names of the backend's own type, such as those of `sqlite::SqliteStore`: it is a clone of that
//! which it gives to a [`SessionTracker`](crate::SessionTracker).

use std::io::Read;
use std::path::Path;

use shs_store::{Error, ErrorKind, Result};

use crate::Location;
use crate::location::not_in_this_build;

pub use shs_store::keeping::{BackedUp, Erased, Existing, Finding, Repaired, Restored};

/// Makes sure that nothing of what was deleted remains in the files of a store.
///
/// What that takes, and what is left alone, is said at the backends' methods: `sqlite::SqliteStore::erase`, `fs::FsStore::erase`.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no store; [`Unsupported`](ErrorKind::Unsupported) if it is in memory, or its backend not
/// in this build; [`Unavailable`](ErrorKind::Unavailable) if something hinders it: what was deleted is deleted then, but its text may
/// remain in the files until this is repeated. Else as the backend's `open`.
#[cfg_attr(
    not(any(feature = "fs", feature = "sqlite")),
    allow(clippy::unused_async, reason = "the backends with files work asynchronously")
)]
pub async fn erase(location: &Location) -> Result<Erased> {
    check(location, "erase")?;
    match location {
        #[cfg(feature = "fs")]
        Location::Fs(folder) => {
            let store = shs_fs::FsStore::open(folder).await?;
            let erased = store.erase().await;
            shs_store::Store::close(&store).await?;
            erased
        }
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => {
            let store = shs_sqlite::SqliteStore::open(path).await?;
            let erased = store.erase().await;
            shs_store::Store::close(&store).await?;
            erased
        }
        #[allow(unreachable_patterns, reason = "with all backends none is left")]
        absent => Err(not_in_this_build(absent)),
    }
}

/// Writes a copy of a store into a file, which appears whole or not at all, while others are at work on the store.
///
/// Of each conversation it has everything that was acknowledged when this was called. It is a database for a SQLite store, and a
/// tar archive for a folder: see `sqlite::backup`, `fs::backup`.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no store; [`AlreadyExists`](ErrorKind::AlreadyExists) if there is a file at `target`, unless
/// it is to be [replaced](Existing::Replace); [`Unsupported`](ErrorKind::Unsupported) if the store is in memory, or its backend not in this
/// build. Else as the backends say.
#[cfg_attr(
    not(any(feature = "fs", feature = "sqlite")),
    allow(clippy::unused_async, unused_variables, reason = "the backends with files use it")
)]
pub async fn backup(
    location: &Location,
    target: impl AsRef<Path> + Send,
    existing: Existing,
) -> Result<BackedUp> {
    check(location, "backup")?;
    match location {
        #[cfg(feature = "fs")]
        Location::Fs(folder) => shs_fs::backup(folder, target.as_ref(), existing).await,
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => shs_sqlite::backup(path, target.as_ref(), existing).await,
        #[allow(unreachable_patterns, reason = "with all backends none is left")]
        absent => Err(not_in_this_build(absent)),
    }
}

/// Makes a store of a [backup](backup()), which is checked first.
///
/// What a backup is of is told by its content. Where there is a store already it is kept beside the new one, and only replaced if
/// that was [asked for](Existing::Replace); one without conversations gives way. Whenever this is interrupted, there is the store that was
/// there or the restored one, whole.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) if the backup is damaged, cut off, or none; [`InvalidInput`](ErrorKind::InvalidInput) if it is of another
/// backend than the location's; [`NotFound`](ErrorKind::NotFound) if there is none; [`AlreadyExists`](ErrorKind::AlreadyExists) if there is a
/// store and it is not to be replaced; [`Unavailable`](ErrorKind::Unavailable) if it is open anywhere. Else as the backends say.
#[cfg_attr(
    not(any(feature = "fs", feature = "sqlite")),
    allow(clippy::unused_async, unused_variables, reason = "the backends with files use it")
)]
pub async fn restore(
    backup: impl AsRef<Path> + Send,
    location: &Location,
    existing: Existing,
) -> Result<Restored> {
    let backup = backup.as_ref();
    location.check()?;
    let backend = backend_of(backup).map_err(|error| error.with_op("restore"))?;
    if location.path().is_some() && backend != location.backend() {
        let detail = format!(
            "{} is a backup of a store {backend}:…, and cannot become {location}; restore it as {backend}:… \
             and copy that",
            backup.display()
        );
        return Err(Error::invalid(detail).with_op("restore"));
    }
    match location {
        Location::Memory => Err(no_files("restore")),
        #[cfg(feature = "fs")]
        Location::Fs(folder) => shs_fs::restore(backup, folder, existing).await,
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => shs_sqlite::restore(backup, path, existing).await,
        #[allow(unreachable_patterns, reason = "with all backends none is left")]
        absent => Err(not_in_this_build(absent)),
    }
}

/// Checks everything that a store promises on what is in its files, and returns what is not so; nothing for a healthy store.
///
/// Nothing is changed, and others may be at work. What is checked stands at `sqlite::verify` and `fs::verify`.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no store; [`Unsupported`](ErrorKind::Unsupported) if it is in memory, or its backend not
/// in this build. Else as the backends say.
#[cfg_attr(
    not(any(feature = "fs", feature = "sqlite")),
    allow(clippy::unused_async, reason = "the backends with files work asynchronously")
)]
pub async fn verify(location: &Location) -> Result<Vec<Finding>> {
    check(location, "verify")?;
    match location {
        #[cfg(feature = "fs")]
        Location::Fs(folder) => shs_fs::verify(folder).await,
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => shs_sqlite::verify(path).await,
        #[allow(unreachable_patterns, reason = "with all backends none is left")]
        absent => Err(not_in_this_build(absent)),
    }
}

/// Puts right what [`verify`] finds and can be put right. What is changed is copied first, and what cannot be read is put aside as it
/// is: see `sqlite::repair` and `fs::repair`. A healthy store is left as it is.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no store; [`Unavailable`](ErrorKind::Unavailable) if it is open anywhere;
/// [`Unsupported`](ErrorKind::Unsupported) if it is in memory, or its backend not in this build. Else as the backends say.
#[cfg_attr(
    not(any(feature = "fs", feature = "sqlite")),
    allow(clippy::unused_async, reason = "the backends with files work asynchronously")
)]
pub async fn repair(location: &Location) -> Result<Repaired> {
    check(location, "repair")?;
    match location {
        #[cfg(feature = "fs")]
        Location::Fs(folder) => shs_fs::repair(folder).await,
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => shs_sqlite::repair(path).await,
        #[allow(unreachable_patterns, reason = "with all backends none is left")]
        absent => Err(not_in_this_build(absent)),
    }
}

/// Which backend a file is a backup of, by how it begins.
fn backend_of(backup: &Path) -> Result<&'static str> {
    const DATABASE: &[u8] = b"SQLite format 3\0";
    const ARCHIVE: &[u8] = b"shs-fs.format\0";
    let mut head = Vec::new();
    let read = std::fs::File::open(backup)
        .and_then(|file| file.take(DATABASE.len() as u64).read_to_end(&mut head));
    if let Err(error) = read {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        let detail = format!("{} cannot be read", backup.display());
        return Err(Error::new(kind, detail).with_source(error));
    }
    if head.starts_with(DATABASE) {
        Ok("sqlite")
    } else if head.starts_with(ARCHIVE) {
        Ok("fs")
    } else {
        Err(Error::corrupt(format!("{} is not a backup", backup.display())))
    }
}

fn no_files(op: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, "a store in memory has no files").with_op(op)
}

/// Refuses what has no files, or none yet.
fn check(location: &Location, op: &'static str) -> Result<()> {
    location.check()?;
    let Some(path) = location.path() else { return Err(no_files(op)) };
    if path.exists() {
        return Ok(());
    }
    let detail = format!("there is no store at {location}");
    Err(Error::new(ErrorKind::NotFound, detail).with_op(op))
}
