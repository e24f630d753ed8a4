//! Opening a database to read only: nothing is written, neither to it nor next to it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use shs_store::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteConnectOptions;

use super::{
    Place, Readers, behind_link, check_path, check_sqlite, connect_options, schema_version,
};
use crate::keep::with;
use crate::options::SqliteOptions;

/// The connections to a database that is only read.
///
/// # Errors
/// `NotFound` if there is none, `Unsupported` if it has to be migrated first.
pub(crate) async fn readers_only(options: &SqliteOptions) -> Result<Readers> {
    check_path(&options.path)?;
    if !options.path.exists() {
        let detail = format!("there is no file {}", options.path.display());
        return Err(Error::new(ErrorKind::NotFound, detail));
    }
    let connect = to_read(connect_options(options), &options.path).pragma("query_only", "ON");
    let place = Arc::new(Place::at(&options.path)?);
    place.opened();
    let readers = Readers::new(connect, options.readers, place);
    let mut reader = readers.acquire().await.map_err(Error::from)?;
    check_sqlite(&mut reader).await?;
    let version = schema_version(&mut reader).await;
    reader.end(&version);
    match version? {
        Some(_) => Ok(readers),
        None => {
            let detail = "the database is of an older version or of the Python package, and only read here; \
                          open it to write, which migrates it (shs migrate)";
            Err(Error::new(ErrorKind::Unsupported, detail))
        }
    }
}

/// A connection that only reads. Where nobody has the database open it takes no locks and makes no
/// files.
pub(crate) fn to_read(connect: SqliteConnectOptions, path: &Path) -> SqliteConnectOptions {
    connect.read_only(true).immutable(!is_open(path))
}

/// Whether somebody has a database open, or has left what SQLite has to bring into it.
pub(crate) fn is_open(path: &Path) -> bool {
    let database = behind_link(path);
    let length = |end: &str| fs::metadata(with(&database, end)).map(|about| about.len()).ok();
    // An empty log is that of a process that has it open, or a forgotten one.
    let has_log = length("-wal").is_some_and(|bytes| bytes > 0 || length("-shm").is_some());
    has_log || length("-journal").is_some_and(|bytes| bytes > 0)
}
