//! Between rows and the model.

use serde::Serialize;
use serde::de::DeserializeOwned;
use shs_store::model::ContentDigest;
use shs_store::{
    ForkPoint, Map, Message, NewMessage, NewSession, Part, Role, Seq, Session, SessionId, Status,
    Timestamp,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite};

use crate::error::corrupt;
use crate::packed::unpack;

/// The columns that [`session`] reads, in its order, with the tables they come from.
macro_rules! session_columns {
    () => {
        "s.key, s.id, u.name, p.name, s.title, s.tags, s.metadata, s.extra, s.created_at, \
         s.updated_at, s.ended_at, s.forked_session, s.forked_seq, s.message_count, \
         s.total_tokens, s.last_seq"
    };
}

/// The joins that [`session_columns`] needs beside `sessions s`.
macro_rules! session_joins {
    () => {
        " LEFT JOIN users u ON u.key = s.user LEFT JOIN projects p ON p.key = s.project "
    };
}

/// The columns that [`message`] reads, in its order.
macro_rules! message_columns {
    () => {
        "m.key, m.seq, m.id, m.role, m.status, m.timestamp, m.tokens, mo.name, m.latency_ms, \
         m.parts, m.metadata, m.extra, m.content"
    };
}

/// The joins that [`message_columns`] needs beside `messages m`.
macro_rules! message_joins {
    () => {
        " LEFT JOIN models mo ON mo.key = m.model "
    };
}

pub(crate) use {message_columns, message_joins, session_columns, session_joins};

/// How many columns [`session_columns`] has.
pub(crate) const SESSION_WIDTH: usize = 16;

type Decoded<T> = Result<T, sqlx::Error>;

/// A session from the columns from `at` on, with its key.
pub(crate) fn session(row: &SqliteRow, at: usize) -> Decoded<(i64, Session)> {
    let new = NewSession::with_id(id(row, at + 1)?);
    let created_at = time(row.try_get(at + 8)?)?;
    let mut session = new.into_session(created_at).map_err(|e| corrupt("sessions", e))?;
    session.user_id = row.try_get(at + 2)?;
    session.project_id = row.try_get(at + 3)?;
    session.title = row.try_get(at + 4)?;
    session.tags = json(row, at + 5)?;
    session.metadata = json(row, at + 6)?;
    session.extra = json(row, at + 7)?;
    session.updated_at = time(row.try_get(at + 9)?)?;
    session.ended_at = row.try_get::<Option<i64>, _>(at + 10)?.map(time).transpose()?;
    let forked_session: Option<String> = row.try_get(at + 11)?;
    session.forked_from = match forked_session {
        Some(source) => Some(ForkPoint {
            session_id: SessionId::new(source).map_err(|e| corrupt("forked_session", e))?,
            seq: seq(row.try_get(at + 12)?)?,
        }),
        None => None,
    };
    session.message_count = unsigned(row.try_get(at + 13)?)?;
    session.total_tokens = unsigned(row.try_get(at + 14)?)?;
    session.last_seq = seq(row.try_get(at + 15)?)?;
    Ok((row.try_get(at)?, session))
}

/// A message from the columns from `at` on, with its key.
pub(crate) fn message(row: &SqliteRow, at: usize) -> Decoded<(i64, Message)> {
    let id = unpack(row, at + 2)?;
    let mut new = NewMessage::new(role(row.try_get(at + 3)?)?, row.try_get::<String, _>(at + 12)?)
        .with_id(id)
        .with_status(status(row.try_get(at + 4)?)?)
        .with_timestamp(time(row.try_get(at + 5)?)?);
    new.tokens = row
        .try_get::<Option<i64>, _>(at + 6)?
        .map(u32::try_from)
        .transpose()
        .map_err(|e| corrupt("tokens", e))?;
    new.model = row.try_get(at + 7)?;
    new.latency_ms = row.try_get(at + 8)?;
    new.parts = json::<Vec<Part>>(row, at + 9)?;
    new.metadata = json(row, at + 10)?;
    new.extra = json(row, at + 11)?;
    Ok((row.try_get(at)?, new.into_message(seq(row.try_get(at + 1)?)?)))
}

pub(crate) fn id(row: &SqliteRow, at: usize) -> Decoded<SessionId> {
    SessionId::new(row.try_get::<&str, _>(at)?).map_err(|e| corrupt("id", e))
}

pub(crate) fn time(micros: i64) -> Decoded<Timestamp> {
    Timestamp::from_micros(micros).map_err(|e| corrupt("time", e))
}

pub(crate) fn seq(number: i64) -> Decoded<Seq> {
    Seq::new(unsigned(number)?).map_err(|e| corrupt("seq", e))
}

pub(crate) fn unsigned(number: i64) -> Decoded<u64> {
    u64::try_from(number).map_err(|e| corrupt("a count", e))
}

pub(crate) fn digest(bytes: &[u8]) -> Decoded<ContentDigest> {
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|e| corrupt("digest", e))?;
    Ok(ContentDigest::from_bytes(bytes))
}

fn json<T: DeserializeOwned + Default>(row: &SqliteRow, at: usize) -> Decoded<T> {
    match row.try_get::<Option<&str>, _>(at)? {
        Some(text) => serde_json::from_str(text).map_err(|e| corrupt("a JSON column", e)),
        None => Ok(T::default()),
    }
}

/// JSON for a column that is NULL where there is nothing.
pub(crate) fn json_of(map: &Map) -> Option<String> {
    (!map.is_empty()).then(|| to_json(map))
}

/// JSON for a column that is NULL where there is nothing.
pub(crate) fn json_of_list<T: Serialize>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| to_json(list))
}

/// JSON of what always serializes: strings, numbers, and JSON values with string keys.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("plain values serialize")
}

/// The number that stands for a role in the database.
pub(crate) fn role_code(role: Role) -> i64 {
    match role {
        Role::User => 0,
        Role::Assistant => 1,
        Role::System => 2,
        Role::Tool => 3,
        Role::Developer => 4,
    }
}

pub(crate) fn role(code: i64) -> Decoded<Role> {
    let found = Role::ALL.iter().find(|role| role_code(**role) == code);
    found.copied().ok_or_else(|| corrupt("role", format!("no role has the number {code}")))
}

/// The number that stands for a status in the database.
pub(crate) fn status_code(status: Status) -> i64 {
    match status {
        Status::Pending => 0,
        Status::Delivered => 1,
        Status::Error => 2,
        Status::Interrupted => 3,
    }
}

fn status(code: i64) -> Decoded<Status> {
    let found = Status::ALL.iter().find(|status| status_code(**status) == code);
    found.copied().ok_or_else(|| corrupt("status", format!("no status has the number {code}")))
}

/// What a query binds values with.
pub(crate) type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;
