//! A copy of a database while others write to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shs_files::{folder_of, persist, persist_new, sync_file, take_after};
use shs_store::keeping::{BackedUp, Existing};
use shs_store::{Error, ErrorKind, Result};
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::NamedTempFile;

use super::copies::{draft, sync_folder_of, with};
use super::reader;
use crate::error::translate;
use crate::open::in_use;
use crate::row::unsigned;

/// Writes a copy of a database into a file, which appears whole or not at all.
///
/// It is a database of its own, in one file: what was committed when the copy began, and nothing after it. Others may read and write
/// meanwhile, in this process or in others; SQLite's log grows until the copy is done. It takes as much place as the content of
/// the database, and has the permissions of its file.
///
/// # Errors
/// - [`NotFound`](ErrorKind::NotFound) if there is no database.
/// - [`AlreadyExists`](ErrorKind::AlreadyExists) if there is a file at `target`, unless it is to be [replaced](Existing::Replace).
/// - [`InvalidInput`](ErrorKind::InvalidInput) if `target` is the database itself, or no file; or if the database is a copy,
///   without the log, of one that was open.
/// - [`Unavailable`](ErrorKind::Unavailable) if the copy cannot be written; [`Corrupt`](ErrorKind::Corrupt) if the database is damaged, or
///   is none of this library's; [`Unsupported`](ErrorKind::Unsupported) if a newer or an older version wrote it: this version
///   brings an older one up to date when it opens it.
///
/// # Cancel safety
/// If the future is dropped there is a whole backup, or none.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn backup(
    database: impl AsRef<Path>,
    target: impl AsRef<Path>,
    existing: Existing,
) -> Result<BackedUp> {
    let (database, target) = (database.as_ref(), target.as_ref());
    let made = make(database, target, existing).await;
    made.map_err(|error| error.with_store(crate::SqliteStore::NAME).with_op("backup"))
}

async fn make(database: &Path, target: &Path, existing: Existing) -> Result<BackedUp> {
    check_target(database, target, existing)?;
    if in_use::lacks_log(database) {
        let detail = format!(
            "{}: {}; back up the database itself, or open this one to write, if it is all that there is",
            database.display(),
            in_use::LACKS_LOG
        );
        return Err(Error::invalid(detail));
    }
    let mut connection = reader::open(database).await?;
    let draft = in_background(target, {
        let (database, target) = (database.to_owned(), target.to_owned());
        move || {
            let draft = draft(&target)?;
            take_after(draft.path(), &std::fs::metadata(database)?)?;
            Ok(draft)
        }
    })
    .await?;
    let path = draft.path().to_str().ok_or_else(|| {
        Error::invalid("the path of a backup of a database has to be valid UTF-8")
    })?;
    // SQLite writes into an empty file.
    let copied = sqlx::query("VACUUM INTO ?1").bind(path.to_owned()).execute(&mut connection).await;
    copied.map_err(|error| translate(&Arc::new(error)))?;
    // It only read.
    let _ = connection.close().await;
    let draft = in_background(target, move || {
        let mut draft = draft;
        in_use::unmark_file(draft.as_file_mut())?;
        Ok(draft)
    })
    .await?;
    let mut copy = reader::open(draft.path()).await?;
    let (sessions, messages) = counts(&mut copy).await?;
    let _ = copy.close().await;
    let target = target.to_owned();
    let bytes = publish(draft, target, existing).await?;
    Ok(BackedUp::new(sessions, messages, bytes))
}

/// Refuses what is to stay: a file that is there, what is none, and the database itself, with what belongs to it.
fn check_target(database: &Path, target: &Path, existing: Existing) -> Result<()> {
    if existing == Existing::Refuse && target.exists() {
        return Err(is_there(target));
    }
    if std::fs::metadata(target).is_ok_and(|about| !about.is_file()) {
        return Err(Error::invalid(format!("{} is not a file; name one", target.display())));
    }
    let Ok(database) = std::fs::canonicalize(database) else { return Ok(()) };
    let own = ["", "-wal", "-shm", "-journal", "-lock"].map(|rest| with(&database, rest));
    let targets = [std::fs::canonicalize(target).ok(), in_its_folder(target)];
    if targets.iter().flatten().any(|target| own.contains(target)) {
        let detail =
            format!("{} is the database itself; give the backup another name", target.display());
        return Err(Error::invalid(detail));
    }
    Ok(())
}

/// A path with its folder as it is without links.
fn in_its_folder(path: &Path) -> Option<PathBuf> {
    Some(std::fs::canonicalize(folder_of(path)).ok()?.join(path.file_name()?))
}

/// How many sessions and messages a database has.
pub(super) async fn counts(connection: &mut SqliteConnection) -> Result<(u64, u64)> {
    const SQL: &str = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM messages)";
    let read = async {
        let row = sqlx::query(SQL).fetch_one(connection).await?;
        Ok((unsigned(row.try_get(0)?)?, unsigned(row.try_get(1)?)?))
    };
    read.await.map_err(|error: sqlx::Error| translate(&Arc::new(error)))
}

/// Gives a draft its name, for good, and says how long it is.
async fn publish(draft: NamedTempFile, target: PathBuf, existing: Existing) -> Result<u64> {
    let name = target.clone();
    let published = move || {
        // Through a handle of its own, so that what another connection wrote is on disk too.
        sync_file(draft.path())?;
        let bytes = draft.as_file().metadata()?.len();
        if existing == Existing::Replace {
            persist(draft, &target)?;
        } else {
            persist_new(draft, &target)?;
        }
        sync_folder_of(&target)?;
        Ok(bytes)
    };
    in_background(&name, published).await
}

/// Works on files as one unit, which finishes even if the caller goes away.
pub(super) async fn in_background<T: Send + 'static>(
    target: &Path,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return is_there(target);
        }
        let detail = format!("{} cannot be written", target.display());
        Error::new(ErrorKind::Unavailable, detail).with_source(error)
    })
}

fn is_there(target: &Path) -> Error {
    let detail =
        format!("{} is there already; choose another name, or have it replaced", target.display());
    Error::new(ErrorKind::AlreadyExists, detail)
}
