//! A backup becomes the database.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shs_files::{copy_over, own_like_folder, persist, rename, take_after};
use shs_store::keeping::{Existing, Restored};
use shs_store::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use tempfile::NamedTempFile;

use super::backup::{counts, in_background};
use super::copies::{Copy, draft, sync_folder_of, with};
use super::{reader, verify};
use crate::error::translate;
use crate::open::{Presence, behind_link, check_path, in_use};
use crate::write::execute;

/// How every SQLite database begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Puts a [backup](super::backup()) where a database is to be.
///
/// The backup is copied beside the place and [verified](super::verify()) there first; then it takes the place at once. So whenever this
/// is interrupted, there is the database that was there, or the restored one, whole. A database that was there is kept as
/// `history.db.before-restore`, or that with a number.
///
/// # Errors
/// - [`NotFound`](ErrorKind::NotFound) if there is no backup.
/// - [`Corrupt`](ErrorKind::Corrupt) if the backup is damaged, cut off, or no database of this library.
/// - [`InvalidInput`](ErrorKind::InvalidInput) if it is a database in use, or a copy of one without its log. A database that nobody
///   closed, as its process was killed, counts as in use.
/// - [`AlreadyExists`](ErrorKind::AlreadyExists) if there is a database with sessions, unless it is to be
///   [replaced](Existing::Replace).
/// - [`Unavailable`](ErrorKind::Unavailable) if the database is open anywhere, or the disk cannot be written.
///
/// # Cancel safety
/// If the future is dropped, the database is the one that was there or the restored one.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn restore(
    backup: impl AsRef<Path>,
    database: impl AsRef<Path>,
    existing: Existing,
) -> Result<Restored> {
    // Where a link leads to is what others open, by it or without it.
    let database = behind_link(database.as_ref());
    let restored = put(backup.as_ref(), &database, existing).await;
    restored.map_err(|error| error.with_store(crate::SqliteStore::NAME).with_op("restore"))
}

async fn put(backup: &Path, database: &Path, existing: Existing) -> Result<Restored> {
    check_path(database)?;
    check_backup(backup)?;
    let draft = in_background(database, {
        let (backup, database) = (backup.to_owned(), database.to_owned());
        move || copy_beside(&backup, &database)
    })
    .await?;
    let checked = check_draft(draft.path()).await;
    for rest in ["-wal", "-shm"] {
        let _ = fs::remove_file(with(draft.path(), rest));
    }
    let (sessions, messages) = checked?;
    let alone = Presence::alone(database)?;
    let is_whole = match is_there(database)? {
        false => None,
        true => Some(look_at(database, existing).await?),
    };
    let kept = in_background(database, {
        let database = database.to_owned();
        move || {
            let kept = is_whole.map(|is_whole| keep(&database, is_whole)).transpose()?;
            for rest in ["-wal", "-shm"] {
                remove(&with(&database, rest))?;
            }
            persist(draft, &database)?;
            sync_folder_of(&database)?;
            drop(alone);
            Ok(kept)
        }
    })
    .await?;
    Ok(Restored::new(sessions, messages).with_kept(kept))
}

/// That a file looks like a backup, and is not a database in use.
fn check_backup(backup: &Path) -> Result<()> {
    let unreadable = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        let detail = format!("{} cannot be read", backup.display());
        Error::new(kind, detail).with_source(error)
    };
    if is_there(&with(backup, "-wal"))? {
        let detail =
            format!("{} is a database in use; make a backup of it first", backup.display());
        return Err(Error::invalid(detail));
    }
    let mut head = Vec::new();
    let file = File::open(backup).map_err(unreadable)?;
    file.take(in_use::HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
    if in_use::is_marked(&head) {
        let detail = format!(
            "{} was copied while the database was open, without its log {}, which may have the newest \
             messages; make a backup of the database, or copy it while nobody has it open",
            backup.display(),
            with(backup, "-wal").display()
        );
        return Err(Error::invalid(detail));
    }
    if head.starts_with(MAGIC) {
        return Ok(());
    }
    Err(Error::corrupt(format!("{} is not a backup of a database", backup.display())))
}

/// A copy of the backup in the database's folder, on disk.
fn copy_beside(backup: &Path, database: &Path) -> io::Result<NamedTempFile> {
    let mut draft = draft(database)?;
    io::copy(&mut File::open(backup)?, draft.as_file_mut())?;
    match fs::metadata(database) {
        Ok(replaced) => take_after(draft.path(), &replaced)?,
        Err(_) => own_like_folder(draft.path())?,
    }
    draft.as_file().sync_all()?;
    Ok(draft)
}

/// That the copy is as a database should be; returns how many sessions and messages it has.
async fn check_draft(draft: &Path) -> Result<(u64, u64)> {
    let verified = verify(draft).await.map_err(|error| match error.kind() {
        ErrorKind::Corrupt => {
            let detail = "the backup is damaged, and nothing was restored";
            Error::corrupt(detail).with_source(error)
        }
        _ => error,
    });
    if let Some(finding) = verified?.first() {
        let detail = format!("the backup is damaged, and nothing was restored: {finding}");
        return Err(Error::corrupt(detail));
    }
    let mut connection = reader::open(draft).await?;
    let counts = counts(&mut connection).await;
    let _ = connection.close().await;
    counts
}

/// Whether there is a file that is not empty.
fn is_there(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(about) => Ok(about.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            let detail = format!("{} cannot be looked at", path.display());
            Err(Error::new(ErrorKind::Unavailable, detail).with_source(error))
        }
    }
}

/// Refuses a database that is to stay, and brings everything of it into its one file. Returns whether that was possible, which it
/// is not with a damaged one.
async fn look_at(database: &Path, existing: Existing) -> Result<bool> {
    let sessions = match reader::open(database).await {
        Ok(mut connection) => {
            let counts = counts(&mut connection).await;
            let _ = connection.close().await;
            counts.map(|(sessions, _)| sessions)
        }
        Err(error) => Err(error),
    };
    if existing == Existing::Refuse && sessions.as_ref().ok() != Some(&0) {
        let detail = format!(
            "there is a store at {} already; have it replaced, by which it is kept beside it",
            database.display()
        );
        return Err(Error::new(ErrorKind::AlreadyExists, detail));
    }
    match fold(database).await.map_err(|error| translate(&Arc::new(error))) {
        Ok(is_folded) => Ok(is_folded),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
        Err(error) => Err(error),
    }
}

/// Brings the log into the database, and does without one. This fails while any other connection is open.
async fn fold(database: &Path) -> Result<bool, sqlx::Error> {
    let connect = SqliteConnectOptions::new()
        .filename(database)
        .busy_timeout(Duration::from_secs(10))
        .disable_statement_logging();
    let mut connection = connect.connect().await?;
    // All of it is in the one file then.
    in_use::unmark(&mut connection).await?;
    execute(&mut connection, "PRAGMA journal_mode = DELETE").await?;
    let has_log = has_log(&mut connection).await?;
    connection.close().await?;
    Ok(!has_log)
}

async fn has_log(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("PRAGMA journal_mode").fetch_one(connection).await?;
    Ok(row.try_get::<String, _>(0)?.eq_ignore_ascii_case("wal"))
}

/// Gives what is there another name beside its own, and leaves it under its own. Of a damaged database the log is kept too.
fn keep(database: &Path, is_whole: bool) -> io::Result<PathBuf> {
    let kept = Copy::BeforeRestore.reserve(database).map_err(io::Error::other)?;
    let linked = with(&kept, "-link");
    let is_linked =
        is_whole && fs::hard_link(database, &linked).and_then(|()| rename(&linked, &kept)).is_ok();
    if !is_linked {
        copy_raw(database, &kept)?;
    }
    sync_folder_of(database)?;
    Ok(kept)
}

/// Copies a database's file, and its log if it has one, as they are.
pub(super) fn copy_raw(database: &Path, to: &Path) -> io::Result<()> {
    copy_over(database, to)?;
    let log = with(database, "-wal");
    if fs::metadata(&log).is_ok_and(|about| about.len() > 0) {
        copy_over(&log, &with(to, "-wal"))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
