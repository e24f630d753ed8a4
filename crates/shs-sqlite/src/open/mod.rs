//! Opening a database: connections, the schema, and what others left behind.

pub(crate) mod in_use;
mod migrate;
mod place;
mod presence;
mod python;
mod readers;
mod reading;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shs_store::{Durability, Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use self::migrate::migrate;
pub(crate) use self::migrate::{MIGRATIONS, schema_version};
pub(crate) use self::place::Place;
pub(crate) use self::presence::{Presence, behind_link};
pub(crate) use self::readers::{Reader, Readers};
pub(crate) use self::reading::{is_open, readers_only, to_read};
use crate::error::{Failure, is_busy, spoils_connection, translate};
use crate::options::SqliteOptions;
use crate::write::{VIEW, execute};

/// A WAL file longer than this is cut back when it is reset, in bytes.
const JOURNAL_SIZE_LIMIT: &str = "67108864";
/// Bytes of a page in a new database.
const PAGE_SIZE: u32 = 8_192;
/// Rows that SQLite may be ahead of whoever reads them: those of a usual page, so that it need not wait.
const ROWS_AHEAD: usize = 64;
/// Pages in the WAL at which a commit moves them into the database; 32 MB.
const AUTOCHECKPOINT: &str = "4000";

fn connect_options(options: &SqliteOptions) -> SqliteConnectOptions {
    let connect = SqliteConnectOptions::new()
        .filename(&options.path)
        .busy_timeout(options.busy_timeout)
        // Referential integrity is kept by the writer, in fewer lookups.
        .foreign_keys(false)
        .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT)
        .pragma("wal_autocheckpoint", AUTOCHECKPOINT)
        .page_size(PAGE_SIZE)
        .row_buffer_size(ROWS_AHEAD)
        .pragma("trusted_schema", "OFF")
        .synchronous(if options.durability == Durability::Relaxed {
            SqliteSynchronous::Normal
        } else {
            SqliteSynchronous::Full
        });
    // The test of the query plans listens to the statements.
    if cfg!(test) { connect } else { connect.disable_statement_logging() }
}

/// Opens the connection that writes, and the database: a new one, or one that is brought to the newest schema.
pub(crate) async fn first_writer(options: &SqliteOptions) -> Result<SqliteConnection> {
    let mut connection = connect(options, true).await?;
    check_sqlite(&mut connection).await?;
    check_database(&mut connection, options.busy_timeout).await?;
    switch_to_wal(&mut connection, options.busy_timeout).await?;
    migrate(&mut connection, &options.path, &options.clock).await?;
    if let Err(error) = in_use::mark(&mut connection).await {
        // Nothing but a copy of the file is recognized less well, and what is there can be read.
        tracing::warn!(%error, "the database could not be marked as open");
        if spoils_connection(&error) {
            let _ = connection.close().await;
            let mut connection = next_writer(options).await?;
            check_writable(&mut connection).await?;
            return Ok(connection);
        }
    }
    make_view(&mut connection).await?;
    Ok(connection)
}

/// That SQLite did not open the database to read only, as it does where opening to write fails. Of
/// all connections of a process, the first decides for the others.
async fn check_writable(connection: &mut SqliteConnection) -> Result<()> {
    let check = async {
        execute(connection, "BEGIN IMMEDIATE").await?;
        execute(connection, "ROLLBACK").await
    };
    check.await.map_err(|error| translate(&Arc::new(error)))
}

/// Opens the connection that writes once more; the file must exist.
pub(crate) async fn next_writer(options: &SqliteOptions) -> Result<SqliteConnection> {
    let mut connection = connect(options, false).await?;
    switch_to_wal(&mut connection, options.busy_timeout).await?;
    make_view(&mut connection).await?;
    Ok(connection)
}

/// Makes what the connection that writes has for itself.
async fn make_view(connection: &mut SqliteConnection) -> Result<()> {
    let made = sqlx::raw_sql(VIEW).execute(connection).await;
    made.map(|_| ()).map_err(|error| translate(&Arc::new(error)))
}

async fn connect(options: &SqliteOptions, create: bool) -> Result<SqliteConnection> {
    let connect = connect_options(options).create_if_missing(create);
    connect.connect().await.map_err(|error| translate(&Arc::new(error)))
}

/// Refuses what is not to be opened here, before its journal mode is changed.
async fn check_database(connection: &mut SqliteConnection, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        match migrate::check(connection).await {
            Err(Failure::Broken(error)) if is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            checked => return checked.map_err(Error::from),
        }
    }
}

/// The connections that read. They cannot write, and stay open.
pub(crate) fn readers(options: &SqliteOptions, place: Arc<Place>) -> Readers {
    let connect = connect_options(options).pragma("query_only", "ON");
    Readers::new(connect, options.readers, place)
}

/// Switches on the write-ahead log. SQLite may say "locked" here before any busy timeout applies, so it is
/// tried again until the timeout is over.
async fn switch_to_wal(connection: &mut SqliteConnection, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        // It names the mode before the commit that changes it, which may fail: so it is run to the end.
        match sqlx::query("PRAGMA journal_mode = WAL").fetch_all(&mut *connection).await {
            Ok(rows) => {
                let mode = rows.first().map_or(Ok(String::new()), |row| row.try_get(0));
                let mode = mode.map_err(|error| translate(&Arc::new(error)))?;
                if mode.eq_ignore_ascii_case("wal") {
                    return Ok(());
                }
                let detail = format!("SQLite uses the journal mode {mode} here and not WAL");
                return Err(Error::new(ErrorKind::Unsupported, detail));
            }
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return Err(translate(&Arc::new(error))),
        }
    }
}

/// The oldest SQLite without the WAL-reset bug (<https://www.sqlite.org/wal.html#walresetbug>), by which
/// two connections that write and checkpoint can damage the database.
const OLDEST_SQLITE: i64 = 3_051_003;

/// Refuses a SQLite that may damage the database; the one that is compiled in by default is newer.
pub(crate) async fn check_sqlite(connection: &mut SqliteConnection) -> Result<()> {
    let row = sqlx::query("SELECT sqlite_version()").fetch_one(connection).await;
    let version: String =
        row.and_then(|row| row.try_get(0)).map_err(|error| translate(&Arc::new(error)))?;
    let number = version
        .split('.')
        .take(3)
        .fold(0, |number, part| number * 1_000 + part.parse::<i64>().unwrap_or(0));
    if number < OLDEST_SQLITE {
        let detail = format!("SQLite {version} is too old; 3.51.3 or later is needed");
        return Err(Error::new(ErrorKind::Unsupported, detail));
    }
    Ok(())
}

/// Says clearly what is wrong with a path before SQLite says "unable to open database file".
///
/// Nothing is read or locked: closing a database file that SQLite has open in the same process would
/// release its locks (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
pub(crate) fn check_path(path: &Path) -> Result<()> {
    let unavailable = |detail: String| Err(Error::new(ErrorKind::Unavailable, detail));
    if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
        return Err(Error::invalid(
            "a database needs the path of a file; for memory use the memory backend",
        ));
    }
    if path.is_dir() {
        return unavailable(format!("{} is a folder; give the path of a file", path.display()));
    }
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    let shown = parent.display();
    match std::fs::metadata(parent) {
        Ok(about) if about.is_dir() => Ok(()),
        Ok(_) => unavailable(format!("{shown} is not a folder, and so no database can be in it")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            unavailable(format!("the folder {shown} does not exist; create it"))
        }
        Err(error) => unavailable(format!("the folder {shown} cannot be looked at: {error}")),
    }
}
