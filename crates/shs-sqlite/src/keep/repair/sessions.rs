//! Sessions that cannot be read, and those that are missing.

use serde::de::DeserializeOwned;
use shs_store::{Map, SessionId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, TypeInfo, ValueRef};

use super::super::verify::unreadable;
use super::quarantine::Quarantine;
use crate::error::Failure;
use crate::write::Transaction;

/// Columns that may be empty, and whether what stands there can be kept.
type Check = fn(&SqliteRow, &str) -> bool;
const OPTIONAL: [(&str, Check); 6] = [
    ("title", is_text),
    ("tags", is_json::<Vec<String>>),
    ("metadata", is_json::<Map>),
    ("extra", is_json::<Map>),
    ("ended_at", is_time),
    ("forked_seq", is_number),
];

/// Copies the sessions that cannot be read into quarantine, and empties of each what cannot be read.
pub(super) async fn mend(
    transaction: &mut Transaction<'_>,
    quarantine: &mut Quarantine,
) -> Result<(), Failure> {
    const FIND: &str = "SELECT s.*, u.name AS user_name, p.name AS project_name FROM sessions s \
         LEFT JOIN users u ON u.key = s.user LEFT JOIN projects p ON p.key = s.project WHERE s.key = ?1";
    let unread = unreadable(transaction.connection).await?;
    for key in &unread.sessions {
        let row = sqlx::query(FIND).bind(key).fetch_one(&mut *transaction.connection).await?;
        quarantine.put("sessions", *key, &row)?;
        for (column, is_good) in OPTIONAL {
            if !is_good(&row, column) {
                set(transaction, *key, column, "NULL").await?;
            }
        }
        if !(is_id(&row, "forked_session") && is_number(&row, "forked_seq")) {
            set(transaction, *key, "forked_session", "NULL").await?;
            set(transaction, *key, "forked_seq", "NULL").await?;
        }
        for (column, name) in [("user", "user_name"), ("project", "project_name")] {
            if !is_text(&row, name) || !is_number(&row, column) {
                set(transaction, *key, column, "NULL").await?;
            }
        }
        for column in ["message_count", "total_tokens", "last_seq"] {
            if is_null(&row, column) || !is_number(&row, column) {
                set(transaction, *key, column, "0").await?;
            }
        }
        if is_null(&row, "id") || !is_id(&row, "id") {
            set(transaction, *key, "id", &recovered_id("?1")).await?;
        }
        for (column, from) in [("created_at", "min"), ("updated_at", "max")] {
            if is_null(&row, column) || !is_time(&row, column) {
                let times = format!(
                    "(SELECT coalesce({from}(timestamp), 0) FROM messages WHERE session = ?1 \
                     AND typeof(timestamp) = 'integer')"
                );
                set(transaction, *key, column, &times).await?;
            }
        }
    }
    // What can be read and is beyond a limit.
    let left = unreadable(transaction.connection).await?;
    for key in left.sessions {
        for column in
            ["title", "tags", "metadata", "extra", "ended_at", "forked_session", "user", "project"]
        {
            set(transaction, key, column, "NULL").await?;
        }
    }
    Ok(())
}

/// The tenant of a session whose own is not known: if there are several, one that nobody has, so
/// that no tenant is shown what may be another's.
const TENANT: &str = "iif(EXISTS (SELECT 1 FROM tenants WHERE key > 0), \
     (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'tenants'), 0)";

/// Makes sessions for messages whose own is missing.
pub(super) async fn recover(transaction: &mut Transaction<'_>) -> Result<(), Failure> {
    let sql = format!(
        "INSERT INTO sessions (key, tenant, id, created_at, updated_at, message_count, total_tokens, last_seq) \
         SELECT m.session, {TENANT}, {}, min(m.timestamp), max(m.timestamp), 0, 0, 0 FROM messages m \
         WHERE m.session NOT IN (SELECT key FROM sessions) GROUP BY m.session",
        recovered_id("m.session")
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction.connection).await?;
    Ok(())
}

/// An id for the session with a key, which no other one has.
fn recovered_id(key: &str) -> String {
    format!(
        "(SELECT CASE WHEN EXISTS (SELECT 1 FROM sessions WHERE id = 'recovered-' || {key}) \
         THEN 'recovered-' || {key} || '-' || lower(hex(randomblob(8))) ELSE 'recovered-' || {key} END)"
    )
}

async fn set(
    transaction: &mut Transaction<'_>,
    key: i64,
    column: &str,
    value: &str,
) -> Result<(), sqlx::Error> {
    let sql = format!("UPDATE sessions SET {column} = {value} WHERE key = ?1");
    sqlx::query(AssertSqlSafe(sql)).bind(key).execute(&mut *transaction.connection).await?;
    Ok(())
}

fn is_null(row: &SqliteRow, column: &str) -> bool {
    row.try_get_raw(column).is_ok_and(|value| value.is_null())
}

/// Whether a value has a type, or there is none.
fn has_type(row: &SqliteRow, column: &str, kind: &str) -> bool {
    row.try_get_raw(column).is_ok_and(|value| value.is_null() || value.type_info().name() == kind)
}

fn text<'r>(row: &'r SqliteRow, column: &str) -> Option<&'r str> {
    if has_type(row, column, "TEXT") { row.try_get(column).ok() } else { None }
}

fn is_text(row: &SqliteRow, column: &str) -> bool {
    is_null(row, column) || text(row, column).is_some()
}

fn is_id(row: &SqliteRow, column: &str) -> bool {
    is_null(row, column) || text(row, column).is_some_and(|text| SessionId::new(text).is_ok())
}

fn is_json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> bool {
    let is_read = |text: &str| serde_json::from_str::<T>(text).is_ok();
    is_null(row, column) || text(row, column).is_some_and(is_read)
}

fn is_number(row: &SqliteRow, column: &str) -> bool {
    let is_positive = || row.try_get::<i64, _>(column).is_ok_and(|number| number >= 0);
    is_null(row, column) || (has_type(row, column, "INTEGER") && is_positive())
}

fn is_time(row: &SqliteRow, column: &str) -> bool {
    let is_time =
        || row.try_get::<i64, _>(column).is_ok_and(|at| Timestamp::from_micros(at).is_ok());
    is_null(row, column) || (has_type(row, column, "INTEGER") && is_time())
}
