//! A connection that changes nothing, to a database that is there.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shs_store::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::error::translate;
use crate::open::{check_path, check_sqlite, schema_version, to_read};

/// How long a connection waits for others.
const TIMEOUT: Duration = Duration::from_secs(10);

/// As [`open`], without a file next to the database while nobody has it open. Whoever begins to
/// write then is not seen.
pub(super) async fn look_at(path: &Path) -> Result<SqliteConnection> {
    connect(path, |connect| to_read(connect, path)).await
}

/// Opens a database of this library to read it.
///
/// # Errors
/// `NotFound` if there is none; `Corrupt` if the file is something else; `Unsupported` if a newer version wrote it, or none of this
/// library's has opened it yet.
pub(super) async fn open(path: &Path) -> Result<SqliteConnection> {
    connect(path, |connect| connect.read_only(true)).await
}

async fn connect(
    path: &Path,
    to_read: impl FnOnce(SqliteConnectOptions) -> SqliteConnectOptions,
) -> Result<SqliteConnection> {
    check_path(path)?;
    if !path.exists() {
        let detail = format!("there is no file {}", path.display());
        return Err(Error::new(ErrorKind::NotFound, detail));
    }
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(TIMEOUT)
        .foreign_keys(false)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging();
    let mut connection =
        to_read(connect).connect().await.map_err(|error| translate(&Arc::new(error)))?;
    if let Err(error) = check(&mut connection).await {
        // Whoever removes the file now finds it closed, as Windows wants it.
        let _ = connection.close().await;
        return Err(error);
    }
    Ok(connection)
}

async fn check(connection: &mut SqliteConnection) -> Result<()> {
    check_sqlite(connection).await?;
    if schema_version(connection).await?.is_none() {
        let detail = "the database is not of this version; open it once, which brings it there";
        return Err(Error::new(ErrorKind::Unsupported, detail));
    }
    Ok(())
}
