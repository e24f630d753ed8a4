//! Indexes, and the text index.

use shs_store::keeping::Finding;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::super::verify::{expected, is_of_search};
use super::quarantine::{self, Quarantine};
use crate::error::Failure;
use crate::write::{Transaction, execute};

/// Makes the indexes anew, out of the tables. Rows that a unique one cannot take, but for the first, go into quarantine.
pub(super) async fn make_anew(
    transaction: &mut Transaction<'_>,
    quarantine: &mut Quarantine,
) -> Result<(), Failure> {
    let expected = expected().await?;
    let indexes = || expected.iter().filter(|((kind, _), _)| kind == "index");
    for (_, name) in indexes().map(|(key, _)| key) {
        let drop = format!("DROP INDEX IF EXISTS {name}");
        sqlx::query(AssertSqlSafe(drop)).execute(&mut *transaction.connection).await?;
    }
    quarantine::move_repeated(transaction, quarantine).await?;
    for (_, sql) in indexes() {
        sqlx::query(AssertSqlSafe(sql.as_str())).execute(&mut *transaction.connection).await?;
    }
    // Those that tables have by themselves.
    for table in ["tenants", "users", "projects", "models", "sessions", "session_tags", "totals"] {
        let sql = format!("REINDEX {table}");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction.connection).await?;
    }
    Ok(())
}

/// Empties the text index, so that it is filled anew.
pub(super) async fn empty_search(
    transaction: &mut Transaction<'_>,
    findings: &[Finding],
) -> Result<(), Failure> {
    let connection = &mut *transaction.connection;
    if findings.iter().any(is_of_search) {
        make_search_anew(connection).await?;
    } else {
        execute(connection, "INSERT INTO search (search) VALUES ('delete-all')").await?;
    }
    execute(connection, "UPDATE counters SET indexed = 0").await?;
    Ok(())
}

/// Takes the text index away, also if it is so damaged that SQLite cannot do it by itself, and makes an empty one.
async fn make_search_anew(connection: &mut SqliteConnection) -> Result<(), Failure> {
    for sql in [
        "PRAGMA writable_schema = ON",
        "DELETE FROM sqlite_schema WHERE type = 'table' AND name = 'search'",
        "PRAGMA writable_schema = RESET",
    ] {
        execute(connection, sql).await?;
    }
    for table in parts_of_search(connection).await? {
        let drop = format!("DROP TABLE {table}");
        sqlx::query(AssertSqlSafe(drop)).execute(&mut *connection).await?;
    }
    let expected = expected().await?;
    let key = ("table".to_owned(), "search".to_owned());
    if let Some(sql) = expected.get(&key) {
        sqlx::query(AssertSqlSafe(sql.as_str())).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The tables that the text index is made of.
async fn parts_of_search(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    const SQL: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'search\\_%' ESCAPE '\\'";
    let rows = sqlx::query(SQL).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
