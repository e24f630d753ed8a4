//! From SQLite's errors to the store's.

use std::sync::Arc;

use shs_store::{Error, ErrorKind};

/// Why an operation inside a transaction did not happen.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was refused before it wrote anything; the transaction is as it was.
    Refused(Error),
    /// SQLite failed; the transaction has to be rolled back.
    Broken(sqlx::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Broken(error) => translate(&Arc::new(error)),
        }
    }
}

/// SQLite's primary result code (<https://www.sqlite.org/rescode.html>), if it is an error of SQLite's.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}

const ERROR: i32 = 1;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const AUTH: i32 = 23;
const NOTADB: i32 = 26;

/// Whether another connection holds the database.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(BUSY | LOCKED))
}

/// Whether the connection only reads. Where opening to write fails, SQLite opens a file to read
/// only, and keeps to that; so it is with the index of the log, which all connections of a process
/// share for as long as one is open.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(READONLY)
}

/// Whether the connection cannot be trusted after this error.
///
/// After these SQLite may have rolled back by itself, so that sqlx and SQLite disagree about the transaction; or it opened
/// the file to read only, as it does where opening to write fails, and keeps to that.
pub(crate) fn spoils_connection(error: &sqlx::Error) -> bool {
    match primary_code(error) {
        Some(code) => matches!(code, FULL | IOERR | NOMEM | CORRUPT | NOTADB | READONLY),
        // SQLite has read a value that is damaged: that says nothing of the connection.
        None => !matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)),
    }
}

/// Has the transaction rolled back for a reason that is not SQLite's: an operation cannot go on that has
/// written already.
pub(crate) fn undone(reason: Error) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(reason))
}

/// The store's error for one of sqlx's, which becomes its source.
pub(crate) fn translate(error: &Arc<sqlx::Error>) -> Error {
    if let sqlx::Error::Decode(reason) = &**error
        && let Some(reason) = reason.downcast_ref::<Error>()
    {
        return reason.clone();
    }
    let (kind, detail) = match &**error {
        sqlx::Error::Database(refusal) if is_damaged_index(refusal.message()) => {
            (ErrorKind::Corrupt, "the text index is damaged; restore a backup")
        }
        sqlx::Error::Database(refusal) if is_foreign_schema(error, refusal.message()) => {
            (ErrorKind::Corrupt, "the schema of the database is damaged; restore a backup")
        }
        sqlx::Error::Database(_) => describe(primary_code(error)),
        sqlx::Error::PoolTimedOut => {
            (ErrorKind::Unavailable, "all reading connections are busy; allow more, or try again")
        }
        sqlx::Error::PoolClosed => (ErrorKind::Closed, "the store is closed"),
        sqlx::Error::RowNotFound => {
            (ErrorKind::Corrupt, "a row is missing that every database here has")
        }
        sqlx::Error::Io(_) => (ErrorKind::Unavailable, "the database file cannot be used"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => (
            ErrorKind::Corrupt,
            "a stored value is damaged; verify the database, and repair it or restore a backup",
        ),
        _ => (ErrorKind::Internal, "SQLite could not be used"),
    };
    // The source says more, but never content: SQLite's messages name tables and columns.
    Error::new(kind, detail).with_source(Arc::clone(error))
}

/// Whether FTS5 complains of its tables, for which it has no code of its own.
fn is_damaged_index(message: &str) -> bool {
    message.starts_with("invalid fts5 file format")
}

/// Whether a statement does not fit the database, for which SQLite has no code of its own. All statements here are
/// constant, so that it is the schema that is wrong.
fn is_foreign_schema(error: &sqlx::Error, message: &str) -> bool {
    primary_code(error) == Some(ERROR) && !message.contains("transaction")
}

fn describe(code: Option<i32>) -> (ErrorKind, &'static str) {
    match code {
        Some(BUSY | LOCKED) => (
            ErrorKind::Unavailable,
            "the database is locked by another process for longer than the busy timeout",
        ),
        Some(READONLY) => (
            ErrorKind::Unavailable,
            "the database is read-only; allow writing to the file and to its folder",
        ),
        Some(IOERR) => (ErrorKind::Unavailable, "reading or writing the database file failed"),
        Some(FULL) => (ErrorKind::Unavailable, "the disk is full; free space and repeat"),
        Some(CANTOPEN) => (
            ErrorKind::Unavailable,
            "the database file cannot be opened; check that its folder exists and is writable",
        ),
        Some(AUTH) => (ErrorKind::Unavailable, "access to the database was denied"),
        Some(NOMEM) => (ErrorKind::Unavailable, "SQLite ran out of memory"),
        Some(CORRUPT) => (ErrorKind::Corrupt, "the database file is damaged; restore a backup"),
        Some(NOTADB) => (ErrorKind::Corrupt, "the file is not a SQLite database"),
        // What the schema demands holds by itself for all that the writer does.
        Some(CONSTRAINT) => {
            (ErrorKind::Corrupt, "the database contradicts itself; restore a backup")
        }
        Some(TOOBIG) => (ErrorKind::InvalidInput, "a value is too large for SQLite"),
        _ => (ErrorKind::Internal, "SQLite refused a statement"),
    }
}

/// A stored value that cannot be read.
pub(crate) fn corrupt(
    what: &'static str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: what.to_owned(), source: cause.into() }
}
