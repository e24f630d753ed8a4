//! Every session and every message can be read, and is what a store writes.

use shs_store::keeping::Finding;
use shs_store::{Seq, SessionId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::error::Failure;
use crate::row::{self, message_columns, message_joins, session_columns, session_joins};

/// Rows that are read at a time.
const CHUNK: i64 = 256;

/// The sessions after a key, each with it.
const SESSIONS: &str = concat!(
    "SELECT s.key, ",
    session_columns!(),
    " FROM sessions s",
    session_joins!(),
    "WHERE s.key > ?1 ORDER BY s.key LIMIT +?2"
);

/// The messages after a key, each with it, its session's id, and what was appended under its own.
const MESSAGES: &str = concat!(
    "SELECT m.key, s.id, m.digest, ",
    message_columns!(),
    " FROM messages m LEFT JOIN sessions s ON s.key = m.session",
    message_joins!(),
    "WHERE m.key > ?1 ORDER BY m.key LIMIT +?2"
);

pub(super) async fn check(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    walk(connection, SESSIONS, |row, key| {
        if let Err(what) = session(row) {
            let finding = Finding::repairable(what).in_table("sessions").at_row(key);
            found.push(match row::id_of_session(row) {
                Some(id) => finding.of_session(&id),
                None => finding,
            });
        }
    })
    .await?;
    walk(connection, MESSAGES, |row, key| {
        if let Err(what) = message(row) {
            let mut finding = Finding::repairable(what).in_table("messages").at_row(key);
            if let Ok(id) = row::id(row, 1) {
                finding = finding.of_session(&id);
            }
            if let Ok((_, message)) = row::message(row, 3) {
                finding = finding.of_message(&message.id);
            }
            found.push(finding);
        }
    })
    .await
}

/// The keys of the rows that cannot be read: sessions, and messages.
pub(in crate::keep) async fn unreadable(
    connection: &mut SqliteConnection,
) -> Result<(Vec<i64>, Vec<i64>), Failure> {
    let (mut sessions, mut messages) = (Vec::new(), Vec::new());
    walk(connection, SESSIONS, |row, key| {
        if session(row).is_err() {
            sessions.push(key);
        }
    })
    .await?;
    walk(connection, MESSAGES, |row, key| {
        if message(row).is_err() {
            messages.push(key);
        }
    })
    .await?;
    Ok((sessions, messages))
}

/// Shows each row with its key.
async fn walk(
    connection: &mut SqliteConnection,
    sql: &'static str,
    mut show: impl FnMut(&SqliteRow, i64) + Send,
) -> Result<(), Failure> {
    let mut after = i64::MIN;
    loop {
        let rows = sqlx::query(sql).bind(after).bind(CHUNK).fetch_all(&mut *connection).await?;
        for row in &rows {
            after = row.try_get(0)?;
            show(row, after);
        }
        if (rows.len() as i64) < CHUNK {
            return Ok(());
        }
    }
}

/// What is wrong with a session, without its content.
fn session(row: &SqliteRow) -> Result<(), String> {
    let (_, session) = row::session(row, 1).map_err(|error| unread("session", &error))?;
    session.validate().map_err(|error| error.detail().to_owned())
}

/// What is wrong with a message, without its content.
fn message(row: &SqliteRow) -> Result<(), String> {
    let (_, message) = row::message(row, 3).map_err(|error| unread("message", &error))?;
    let digest: Result<&[u8], _> = row.try_get(2);
    digest.and_then(row::digest).map_err(|error| unread("message", &error))?;
    if message.seq == Seq::ZERO {
        return Err("the message has no number".to_owned());
    }
    message.validate().map_err(|error| error.detail().to_owned())
}

fn unread(what: &str, error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::ColumnDecode { index, .. } if index.parse::<usize>().is_err() => {
            format!("of the {what}, {index} cannot be read")
        }
        _ => format!("of the {what}, a value is not of its type"),
    }
}

/// An id, if it is one.
pub(super) fn session_id(row: &SqliteRow, at: usize) -> Option<SessionId> {
    row::id(row, at).ok()
}
