//! Every session and every message can be read, and is what a store writes.

use shs_store::keeping::Finding;
use shs_store::{Seq, SessionId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::checksum;
use crate::error::Failure;
use crate::row::{
    self, MessageRow, SessionRow, message_columns, message_joins, session_columns, session_joins,
};

/// Rows that are read at a time.
const CHUNK: i64 = 256;

/// What is wrong with a row that can be read, and that nobody has written so.
const UNSOUND: &str = "its checksum is not that of its values";

/// The names after a key, each with it, its checksum, and its tenant.
const NAMES: [(&str, &str); 3] = [
    (
        "users",
        "SELECT key, name, checksum, tenant FROM users WHERE key > ?1 ORDER BY key LIMIT +?2",
    ),
    (
        "projects",
        "SELECT key, name, checksum, tenant FROM projects WHERE key > ?1 ORDER BY key LIMIT +?2",
    ),
    ("models", "SELECT key, name, checksum, 0 FROM models WHERE key > ?1 ORDER BY key LIMIT +?2"),
];

/// The sessions after a key, each with it, and whether what has to be a text is one.
const SESSIONS: &str = concat!(
    "SELECT s.key, ",
    session_columns!(),
    ", typeof(s.id) = 'text' AND typeof(u.name) IN ('text', 'null') AND typeof(p.name) IN ('text', 'null') \
     AND typeof(s.title) IN ('text', 'null') AND typeof(s.forked_session) IN ('text', 'null') \
     FROM sessions s",
    session_joins!(),
    "WHERE s.key > ?1 ORDER BY s.key LIMIT +?2"
);

/// The messages after a key, each with it, its session's id, and whether what has to be a text is one.
const MESSAGES: &str = concat!(
    "SELECT m.key, s.id, ",
    message_columns!(),
    ", typeof(m.id) IN ('text', 'blob') AND typeof(mo.name) IN ('text', 'null') AND typeof(m.content) = 'text' \
     FROM messages m LEFT JOIN sessions s ON s.key = m.session",
    message_joins!(),
    "WHERE m.key > ?1 ORDER BY m.key LIMIT +?2"
);

pub(super) async fn check(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    for (table, sql) in NAMES {
        walk(connection, sql, |row, key| {
            let (tenant, name) = (row.try_get(3).unwrap_or(0), row.try_get::<&str, _>(1));
            let checksum = |name| Some(checksum::of_name_in(tenant, name));
            if name.is_ok_and(|name| row.try_get(2).ok() != checksum(name)) {
                found.push(Finding::repairable(UNSOUND).in_table(table).at_row(key));
            }
        })
        .await?;
    }
    walk(connection, SESSIONS, |row, key| {
        if let Some(what) = session(row).finding() {
            let finding = Finding::repairable(what).in_table("sessions").at_row(key);
            found.push(match row::id_of_session(row) {
                Some(id) => finding.of_session(&id),
                None => finding,
            });
        }
    })
    .await?;
    walk(connection, MESSAGES, |row, key| {
        if let Some(what) = message(row).finding() {
            let mut finding = Finding::repairable(what).in_table("messages").at_row(key);
            if let Ok(id) = row::id(row, 1) {
                finding = finding.of_session(&id);
            }
            if let Some(id) = row::id_of_message(row, 2) {
                finding = finding.of_message(&id);
            }
            found.push(finding);
        }
    })
    .await
}

/// The keys of some rows.
#[derive(Debug, Default)]
pub(in crate::keep) struct Keys {
    pub(in crate::keep) sessions: Vec<i64>,
    pub(in crate::keep) messages: Vec<i64>,
}

/// The rows that cannot be read.
pub(in crate::keep) async fn unreadable(
    connection: &mut SqliteConnection,
) -> Result<Keys, Failure> {
    those(connection, |state| matches!(state, State::Unreadable(_))).await
}

/// The rows that can be read and are not as they were written.
pub(in crate::keep) async fn unsound(connection: &mut SqliteConnection) -> Result<Keys, Failure> {
    those(connection, |state| matches!(state, State::Unsound)).await
}

async fn those(
    connection: &mut SqliteConnection,
    is_one: fn(&State) -> bool,
) -> Result<Keys, Failure> {
    let mut keys = Keys::default();
    walk(connection, SESSIONS, |row, key| {
        if is_one(&session(row)) {
            keys.sessions.push(key);
        }
    })
    .await?;
    walk(connection, MESSAGES, |row, key| {
        if is_one(&message(row)) {
            keys.messages.push(key);
        }
    })
    .await?;
    Ok(keys)
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

/// How a row is.
enum State {
    Sound,
    /// It can be read, but something else was written.
    Unsound,
    /// What is wrong with it, without its content.
    Unreadable(String),
}

impl State {
    fn of(checked: Result<bool, String>) -> Self {
        match checked {
            Ok(true) => Self::Sound,
            Ok(false) => Self::Unsound,
            Err(what) => Self::Unreadable(what),
        }
    }

    fn finding(self) -> Option<String> {
        match self {
            Self::Sound => None,
            Self::Unsound => Some(UNSOUND.to_owned()),
            Self::Unreadable(what) => Some(what),
        }
    }
}

fn session(row: &SqliteRow) -> State {
    State::of(check_session(row))
}

fn message(row: &SqliteRow) -> State {
    State::of(check_message(row))
}

/// Whether a session is as it was written.
fn check_session(row: &SqliteRow) -> Result<bool, String> {
    let unread = |error| unread("session", &error);
    let SessionRow { session, is_sound, .. } = row::any_session(row, 1).map_err(unread)?;
    check_types(row.try_get(2).map_err(unread)?)?;
    session.validate().map_err(|error| error.detail().to_owned())?;
    Ok(is_sound)
}

/// Whether a message is as it was written.
fn check_message(row: &SqliteRow) -> Result<bool, String> {
    let unread = |error| unread("message", &error);
    let MessageRow { message, is_sound, .. } = row::any_message(row, 2).map_err(unread)?;
    check_types(row.try_get(4).map_err(unread)?)?;
    if message.seq == Seq::ZERO {
        return Err("the message has no number".to_owned());
    }
    message.validate().map_err(|error| error.detail().to_owned())?;
    Ok(is_sound)
}

fn check_types(are_texts: bool) -> Result<(), String> {
    if are_texts { Ok(()) } else { Err("a text is not of its type".to_owned()) }
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
