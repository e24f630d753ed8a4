//! What cannot be read is put aside as it is.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use shs_store::Result;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Row, TypeInfo, ValueRef};

use super::super::backup::in_background;
use super::super::copies::{Copy, sync_folder_of};
use super::super::verify::{unreadable, unsound};
use crate::error::Failure;
use crate::write::Transaction;

const MESSAGE: &str = "SELECT * FROM messages WHERE key = ?1";

/// Rows that are put aside.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    lines: Vec<Value>,
}

impl Quarantine {
    /// Puts a row aside.
    pub(super) fn put(
        &mut self,
        table: &str,
        key: i64,
        row: &SqliteRow,
    ) -> Result<(), sqlx::Error> {
        let mut values = Map::new();
        for (at, column) in row.columns().iter().enumerate() {
            values.insert(column.name().to_owned(), value(row, at)?);
        }
        self.lines.push(json!({ "table": table, "row": key, "values": values }));
        Ok(())
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Writes them into a new file beside the database, for good; returns which, if there are any.
    pub(super) async fn write(self, database: &Path) -> Result<Option<PathBuf>> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let path = Copy::Quarantine.reserve(database)?;
        let target = path.clone();
        let written = move || {
            let mut file = File::options().write(true).open(&target)?;
            for line in &self.lines {
                writeln!(file, "{line}")?;
            }
            file.sync_all()?;
            sync_folder_of(&target)
        };
        in_background(&path, written).await?;
        Ok(Some(path))
    }
}

/// A value as it is: a number, a text, or else what it is called and its bytes as hexadecimal digits.
fn value(row: &SqliteRow, at: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" => row.try_get_unchecked::<i64, _>(at)?.into(),
        "REAL" => row.try_get_unchecked::<f64, _>(at)?.into(),
        _ => {
            let bytes: Vec<u8> = row.try_get_unchecked(at)?;
            match String::from_utf8(bytes) {
                Ok(text) if kind == "TEXT" => text.into(),
                Ok(text) => json!({ "type": kind, "hex": hexadecimal(text.as_bytes()) }),
                Err(error) => json!({ "type": kind, "hex": hexadecimal(error.as_bytes()) }),
            }
        }
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Moves the messages that cannot be read out of their table.
pub(super) async fn move_messages(
    transaction: &mut Transaction<'_>,
    quarantine: &mut Quarantine,
) -> Result<(), Failure> {
    for key in unreadable(transaction.connection).await?.messages {
        move_message(transaction, quarantine, key).await?;
    }
    Ok(())
}

/// Copies the rows that can be read and are not as they were written; they stay where they are.
pub(super) async fn copy_unsound(
    transaction: &mut Transaction<'_>,
    quarantine: &mut Quarantine,
) -> Result<(), Failure> {
    const SESSION: &str = "SELECT * FROM sessions WHERE key = ?1";
    let unsound = unsound(transaction.connection).await?;
    for (table, sql, keys) in
        [("sessions", SESSION, unsound.sessions), ("messages", MESSAGE, unsound.messages)]
    {
        for key in keys {
            let row = sqlx::query(sql).bind(key).fetch_one(&mut *transaction.connection).await?;
            quarantine.put(table, key, &row)?;
        }
    }
    Ok(())
}

/// Moves those messages out of their table that have the number or the id of another one in their session.
pub(super) async fn move_repeated(
    transaction: &mut Transaction<'_>,
    quarantine: &mut Quarantine,
) -> Result<(), Failure> {
    const SQL: &str = "SELECT key FROM (SELECT key, \
         row_number() OVER (PARTITION BY session, seq ORDER BY key) AS by_seq, \
         row_number() OVER (PARTITION BY session, id ORDER BY key) AS by_id FROM messages) \
         WHERE by_seq > 1 OR by_id > 1";
    for row in sqlx::query(SQL).fetch_all(&mut *transaction.connection).await? {
        move_message(transaction, quarantine, row.try_get(0)?).await?;
    }
    Ok(())
}

async fn move_message(
    transaction: &mut Transaction<'_>,
    quarantine: &mut Quarantine,
    key: i64,
) -> Result<(), Failure> {
    const DELETE: &str = "DELETE FROM messages WHERE key = ?1";
    let row = sqlx::query(MESSAGE).bind(key).fetch_one(&mut *transaction.connection).await?;
    quarantine.put("messages", key, &row)?;
    sqlx::query(DELETE).bind(key).execute(&mut *transaction.connection).await?;
    Ok(())
}
