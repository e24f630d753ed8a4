//! The schema and its versions.

use std::path::Path;
use std::sync::Arc;

use shs_store::{Clock, Error, ErrorKind, Result};
use sqlx::{Row, SqliteConnection};

use super::in_use::{APPLICATION_ID, OPEN};
use super::python;
use crate::error::Failure;
use crate::write::{Memory, Transaction, drop_digests, execute, seal};

/// Numbered from 1; each brings the schema from the version before to its own. Frozen once released.
pub(crate) const MIGRATIONS: [&str; 4] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
];
/// The version from which on rows have checksums.
const SEALED: usize = 3;

/// What a database file is.
enum Found {
    /// Nothing is in it.
    Empty,
    /// This library's, with this version of the schema.
    Ours(usize),
    /// The Python package's.
    Python,
}

/// Looks at a database before anything is changed in it.
///
/// # Errors
/// `Unsupported` if it is newer than this code, `Corrupt` if it is something else.
pub(crate) async fn check(connection: &mut SqliteConnection) -> Result<(), Failure> {
    find_now(connection).await.map(|_| ())
}

/// The version of a database of this library's that needs no migration; `None` for what has to be opened first.
///
/// # Errors
/// `Unsupported` if it is newer than this code, `Corrupt` if it is something else.
pub(crate) async fn schema_version(connection: &mut SqliteConnection) -> Result<Option<usize>> {
    match find_now(connection).await? {
        Found::Ours(version) if version == MIGRATIONS.len() => Ok(Some(version)),
        Found::Ours(_) | Found::Python | Found::Empty => Ok(None),
    }
}

/// Brings a database to the newest schema: a new one, an older one, the Python package's.
///
/// # Errors
/// `Unsupported` if it is newer than this code, `Corrupt` if it is something else.
pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    path: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<()> {
    let found = find_now(connection).await.map_err(Error::from)?;
    if let Found::Ours(version) = found
        && version == MIGRATIONS.len()
    {
        return Ok(());
    }
    let backup = match found {
        Found::Python => Some(python::back_up(connection, path).await?),
        _ => None,
    };
    // Looked at again inside the transaction: another process may have come first.
    let failed = |error: sqlx::Error| Error::from(Failure::from(error));
    execute(connection, "BEGIN IMMEDIATE").await.map_err(failed)?;
    match advance(connection, clock).await {
        Ok(found) => {
            execute(connection, "COMMIT").await.map_err(failed)?;
            if let (Some(backup), Found::Ours(_)) = (backup, found) {
                // Another process came first, and made a copy of its own.
                python::remove(&backup);
            }
            Ok(())
        }
        Err(failure) => {
            // The connection is given up by the caller, so a failed rollback needs no answer.
            let _ = execute(connection, "ROLLBACK").await;
            Err(failure.into())
        }
    }
}

/// Returns what it found.
async fn advance(
    connection: &mut SqliteConnection,
    clock: &Arc<dyn Clock>,
) -> Result<Found, Failure> {
    let found = find(connection).await?;
    match found {
        Found::Empty => {
            run(connection, clock, 0).await?;
            tracing::info!(version = MIGRATIONS.len(), "created a database");
        }
        Found::Ours(version) => {
            run(connection, clock, version).await?;
            if version < MIGRATIONS.len() {
                tracing::info!(from = version, to = MIGRATIONS.len(), "migrated a database");
            }
        }
        Found::Python => {
            python::set_aside(connection).await?;
            run(connection, clock, 0).await?;
            let mut memory = Memory::default();
            let mut transaction = Transaction::new(connection, Arc::clone(clock), &mut memory);
            let counts = python::migrate(&mut transaction).await?;
            tracing::info!(
                sessions = counts.sessions,
                messages = counts.messages,
                "migrated a database of the Python package"
            );
        }
    }
    Ok(found)
}

async fn run(
    connection: &mut SqliteConnection,
    clock: &Arc<dyn Clock>,
    from: usize,
) -> Result<(), Failure> {
    for migration in MIGRATIONS.iter().skip(from) {
        sqlx::raw_sql(*migration).execute(&mut *connection).await?;
    }
    if (1..SEALED).contains(&from) {
        let mut memory = Memory::default();
        let mut transaction = Transaction::new(connection, Arc::clone(clock), &mut memory);
        drop_digests(&mut transaction).await?;
        seal(&mut transaction).await?;
    }
    Ok(())
}

/// As [`find`], all of it at one moment: another process may just be making the database.
async fn find_now(connection: &mut SqliteConnection) -> Result<Found, Failure> {
    execute(connection, "BEGIN").await?;
    let found = find(connection).await;
    // Nothing was written; after some errors SQLite has ended the transaction by itself.
    let _ = execute(connection, "ROLLBACK").await;
    found
}

/// Looks at a database inside a transaction.
async fn find(connection: &mut SqliteConnection) -> Result<Found, Failure> {
    let application = number(connection, "PRAGMA application_id").await?;
    let version = number(connection, "PRAGMA user_version").await?;
    if application == APPLICATION_ID || application == OPEN {
        let known = MIGRATIONS.len();
        return match usize::try_from(version) {
            Ok(version) if version <= known => Ok(Found::Ours(version)),
            _ => {
                let detail = format!(
                    "the database has version {version} and this library knows up to {known}; \
                     use a newer version of the library"
                );
                Err(Error::new(ErrorKind::Unsupported, detail).into())
            }
        };
    }
    if number(connection, "SELECT count(*) FROM sqlite_master").await? == 0 {
        return Ok(Found::Empty);
    }
    if python::is_python(connection).await? {
        return Ok(Found::Python);
    }
    Err(Error::corrupt("the file is a database of another program; choose another path").into())
}

pub(super) async fn number(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<i64, sqlx::Error> {
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_records_what_the_code_checks() {
        assert!(MIGRATIONS[0].contains(&format!("PRAGMA application_id = {APPLICATION_ID:#x}")));
        for (migration, version) in MIGRATIONS.iter().zip(1..) {
            assert!(migration.contains(&format!("PRAGMA user_version = {version};")));
        }
    }
}
