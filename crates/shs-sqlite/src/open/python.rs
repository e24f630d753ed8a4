//! The database of the Python package `session-history-saver` 1.0.
//!
//! It is recognized by its two tables. Its old content is copied to a file beside it, moved into our
//! schema inside one transaction, and recounted: its `message_count` and `total_tokens` can be wrong, and its
//! `sort_order` can repeat, in which case the order of the rows decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use shs_files::sync_file;
use shs_store::{Error, ErrorKind, Result, Scope, SessionId, python};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, TypeInfo, ValueRef};

use crate::error::{Failure, translate};
use crate::keep::{Copy, sync_folder_of};
use crate::write::{Import, Imported, Operation, Transaction};

/// What was migrated.
pub(super) struct Counts {
    pub(super) sessions: u64,
    pub(super) messages: u64,
}

/// Whether a database is the Python package's.
pub(super) async fn is_python(connection: &mut SqliteConnection) -> Result<bool, Failure> {
    const SQL: &str = "SELECT count(*) FROM pragma_table_info('sessions') s, pragma_table_info('messages') m \
         WHERE s.name IN ('session_id', 'tags', 'updated_at') \
         AND m.name IN ('message_id', 'session_id', 'sort_order')";
    let found: i64 = sqlx::query(SQL).fetch_one(connection).await?.try_get(0)?;
    Ok(found == 9)
}

/// Copies the database to a file beside it, whole and on disk, before it is touched.
///
/// Returns where it is.
pub(super) async fn back_up(connection: &mut SqliteConnection, path: &Path) -> Result<PathBuf> {
    let backup = Copy::Python.reserve(path)?;
    let copied = copy(connection, &backup).await;
    if copied.is_err() {
        remove(&backup);
    }
    copied.map(|()| backup)
}

/// Removes a copy that is of no use.
pub(super) fn remove(backup: &Path) {
    if let Err(error) = std::fs::remove_file(backup) {
        tracing::warn!(%error, backup = %backup.display(), "a needless copy could not be removed");
    }
}

async fn copy(connection: &mut SqliteConnection, backup: &Path) -> Result<()> {
    let target = backup.to_str().ok_or_else(|| {
        Error::invalid("the path of a Python package's database has to be valid UTF-8")
    })?;
    // In a log of its own, the database may be newer than its main file: SQLite itself copies both.
    sqlx::query("VACUUM INTO ?1")
        .bind(target.to_owned())
        .execute(connection)
        .await
        .map_err(|error| translate(&Arc::new(error)))?;
    let sync = || {
        sync_file(backup)?;
        // Its name too.
        sync_folder_of(backup)
    };
    sync().map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the copy of the old database could not be written")
            .with_source(error)
    })?;
    tracing::info!(backup = %backup.display(), "copied a database of the Python package");
    Ok(())
}

/// Moves the old tables out of the way of the new ones.
pub(super) async fn set_aside(connection: &mut SqliteConnection) -> Result<(), Failure> {
    const INDEXES: [&str; 4] = [
        "DROP INDEX IF EXISTS idx_messages_session",
        "DROP INDEX IF EXISTS idx_sessions_user",
        "DROP INDEX IF EXISTS idx_sessions_project",
        "DROP INDEX IF EXISTS idx_sessions_updated",
    ];
    // Messages first, so that renaming the sessions does not rewrite a reference into them.
    const RENAMES: [&str; 3] = [
        "ALTER TABLE messages RENAME TO python_messages",
        "ALTER TABLE sessions RENAME TO python_sessions",
        "CREATE INDEX python_order ON python_messages (session_id, sort_order)",
    ];
    for sql in INDEXES.into_iter().chain(RENAMES) {
        sqlx::query(sql).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Moves everything from the old tables, last written session last, and drops them.
pub(super) async fn migrate(transaction: &mut Transaction<'_>) -> Result<Counts, Failure> {
    // Messages without a session are kept too, in one made for them. Ids can be of any type, and NULL.
    const SESSIONS: &str = "SELECT * FROM (SELECT session_id, user_id, project_id, title, tags, metadata, created_at, updated_at, \
         rowid, 1 FROM python_sessions ORDER BY updated_at, rowid) UNION ALL \
         SELECT session_id, NULL, NULL, NULL, NULL, NULL, min(timestamp), max(timestamp), min(rowid), 0 \
         FROM python_messages m WHERE NOT EXISTS \
         (SELECT 1 FROM python_sessions s WHERE s.session_id IS m.session_id) GROUP BY session_id";
    const DROPS: [&str; 3] =
        ["DROP INDEX python_order", "DROP TABLE python_messages", "DROP TABLE python_sessions"];
    let mut counts = Counts { sessions: 0, messages: 0 };
    let sessions = sqlx::query(SESSIONS).fetch_all(&mut *transaction.connection).await?;
    let mut has_nameless = false;
    for row in sessions {
        let id = value(&row, 0)?;
        // Of several sessions without an id, the first has the messages.
        let messages = if id.is_null() && std::mem::replace(&mut has_nameless, true) {
            Vec::new()
        } else {
            messages(transaction, row.try_get(8)?, row.try_get(9)?).await?
        };
        let session = json!({
            "session_id": id,
            "user_id": value(&row, 1)?,
            "project_id": value(&row, 2)?,
            "title": value(&row, 3)?,
            "tags": parsed(value(&row, 4)?),
            "metadata": parsed(value(&row, 5)?),
            "created_at": value(&row, 6)?,
            "updated_at": value(&row, 7)?,
            "messages": messages,
        });
        let mut transcript = python::transcript(session)?;
        if transaction.session_exists(&Scope::DEFAULT.key(&transcript.session.id)).await? {
            // Two ids that differ in their type only: 1 and '1'.
            transcript.session.id = SessionId::generate();
        }
        counts.sessions += 1;
        counts.messages += transcript.session.message_count;
        let conversation = Imported::Whole(transcript);
        Import { scope: Scope::DEFAULT, conversation, mode: Default::default() }
            .run(transaction)
            .await?;
    }
    for sql in DROPS {
        sqlx::query(sql).execute(&mut *transaction.connection).await?;
    }
    Ok(counts)
}

/// The messages, in order, that have the session id of a row: one of the sessions, or one of the messages.
async fn messages(
    transaction: &mut Transaction<'_>,
    row: i64,
    is_session: bool,
) -> Result<Vec<Value>, Failure> {
    const OF_SESSION: &str = "SELECT message_id, role, content, timestamp, metadata, status, tokens, model, latency_ms \
         FROM python_messages WHERE session_id IS (SELECT session_id FROM python_sessions WHERE rowid = ?1) \
         ORDER BY sort_order, rowid";
    const OF_MESSAGE: &str = "SELECT message_id, role, content, timestamp, metadata, status, tokens, model, latency_ms \
         FROM python_messages WHERE session_id IS (SELECT session_id FROM python_messages WHERE rowid = ?1) \
         ORDER BY sort_order, rowid";
    let sql = if is_session { OF_SESSION } else { OF_MESSAGE };
    let rows = sqlx::query(sql).bind(row).fetch_all(&mut *transaction.connection).await?;
    rows.iter()
        .map(|row| {
            Ok(json!({
                "message_id": value(row, 0)?,
                "role": value(row, 1)?,
                "content": value(row, 2)?,
                "timestamp": value(row, 3)?,
                "metadata": parsed(value(row, 4)?),
                "status": value(row, 5)?,
                "tokens": value(row, 6)?,
                "model": value(row, 7)?,
                "latency_ms": value(row, 8)?,
            }))
        })
        .collect()
}

/// A column of whatever type the row has there: SQLite keeps what Python gave it.
fn value(row: &SqliteRow, at: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" => row.try_get_unchecked::<i64, _>(at)?.into(),
        "REAL" => row.try_get_unchecked::<f64, _>(at)?.into(),
        "BLOB" => String::from_utf8_lossy(row.try_get_unchecked::<&[u8], _>(at)?).into(),
        _ => row.try_get_unchecked::<String, _>(at)?.into(),
    })
}

/// JSON in a column; what is no JSON, such as Python's `NaN`, stays text.
fn parsed(column: Value) -> Value {
    match column {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    }
}
