//! Between rows and the model.

use serde::Serialize;
use shs_store::model::ContentDigest;
use shs_store::{
    ForkPoint, Map, Message, MessageId, NewMessage, NewSession, Part, Role, Seq, Session,
    SessionId, Status, Timestamp,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite};

use crate::checksum;
use crate::error::corrupt;
use crate::fields::Fields;
use crate::packed::{UUID_BYTES, unpack_bytes, unpack_text};

/// The column that [`session`] reads, with the tables it comes from. What is behind the key and before the counts is what
/// `checksum.rs` hashes.
macro_rules! session_columns {
    () => {
        crate::fields::fields!(
            "s.checksum",
            "s.key",
            "s.id",
            crate::fields::maybe!("u.name"),
            crate::fields::maybe!("p.name"),
            crate::fields::maybe!("'=' || s.title"),
            crate::fields::maybe!("s.tags"),
            crate::fields::maybe!("s.metadata"),
            crate::fields::maybe!("s.extra"),
            "s.created_at",
            crate::fields::maybe!("s.ended_at"),
            crate::fields::maybe!("s.forked_session"),
            crate::fields::maybe!("s.forked_seq"),
            "s.updated_at",
            "s.message_count",
            "s.total_tokens",
            "s.last_seq",
            "s.tenant",
            "s.edits",
        )
    };
}

/// The joins that [`session_columns`] needs beside `sessions s`.
macro_rules! session_joins {
    () => {
        " LEFT JOIN users u ON u.key = s.user LEFT JOIN projects p ON p.key = s.project "
    };
}

/// The columns that [`message`] reads, in its order. A blob is not less than an empty one, and everything else is; the
/// latency stands alone, as no text of a float is sure to be the same float. What is behind the checksum is what
/// `checksum.rs` hashes.
macro_rules! message_columns {
    () => {
        concat!(
            crate::fields::fields!(
                "m.checksum",
                "m.key",
                "m.session",
                "m.seq",
                "m.id >= x''",
                "m.id",
                "m.role",
                "m.status",
                "m.timestamp",
                crate::fields::maybe!("m.tokens"),
                crate::fields::maybe!("mo.name"),
                "m.digest IS NOT NULL",
                crate::fields::maybe!("m.digest"),
                crate::fields::maybe!("m.parts"),
                crate::fields::maybe!("m.metadata"),
                crate::fields::maybe!("m.extra"),
                "m.content",
            ),
            ", m.latency_ms"
        )
    };
}

/// The joins that [`message_columns`] needs beside `messages m`.
macro_rules! message_joins {
    () => {
        " LEFT JOIN models mo ON mo.key = m.model "
    };
}

/// The key of the tenant with the name that a placeholder is bound to; NULL if there is none.
macro_rules! tenant {
    ($name:literal) => {
        concat!("iif(", $name, " = '', 0, (SELECT key FROM tenants WHERE name = ", $name, "))")
    };
}

pub(crate) use {message_columns, message_joins, session_columns, session_joins, tenant};

const DIGEST_BYTES: usize = 16;

type Decoded<T> = Result<T, sqlx::Error>;

/// A session as its row has it.
pub(crate) struct SessionRow {
    pub(crate) key: i64,
    /// The key of its tenant.
    pub(crate) tenant: i64,
    /// How often its messages were changed or deleted.
    pub(crate) edits: i64,
    pub(crate) session: Session,
    /// The checksum that it should have, and whether it has it.
    pub(crate) checksum: i64,
    pub(crate) is_sound: bool,
}

/// A message as its row has it.
pub(crate) struct MessageRow {
    pub(crate) key: i64,
    /// The key of its session.
    pub(crate) session: i64,
    pub(crate) message: Message,
    /// Of what was appended, if the message was changed since.
    pub(crate) changed_from: Option<ContentDigest>,
    /// The checksum that it should have, and whether it has it.
    pub(crate) checksum: i64,
    pub(crate) is_sound: bool,
}

impl MessageRow {
    /// Of what was appended.
    pub(crate) fn digest(&self) -> ContentDigest {
        self.changed_from.unwrap_or_else(|| self.message.digest())
    }
}

/// A session from the column at `at`.
///
/// # Errors
/// Also if its values are not those that were written.
pub(crate) fn session(row: &SqliteRow, at: usize) -> Decoded<SessionRow> {
    let read = any_session(row, at)?;
    if read.is_sound { Ok(read) } else { Err(unsound("sessions")) }
}

/// A message from the two columns from `at` on.
///
/// # Errors
/// Also if its values are not those that were written.
pub(crate) fn message(row: &SqliteRow, at: usize) -> Decoded<MessageRow> {
    let read = any_message(row, at)?;
    if read.is_sound { Ok(read) } else { Err(unsound("messages")) }
}

/// As [`session`], whatever its checksum.
pub(crate) fn any_session(row: &SqliteRow, at: usize) -> Decoded<SessionRow> {
    let mut fields = Fields::new(row, at)?;
    let (stored, key) = (fields.integer()?, fields.integer()?);
    let begin = fields.rest();
    let id = SessionId::new(fields.text()?).map_err(|e| corrupt("id", e))?;
    let (user, project) = (fields.maybe_text()?, fields.maybe_text()?);
    let title = fields.maybe_text()?.map(|marked| marked.strip_prefix('=').unwrap_or(marked));
    let (tags, metadata, extra) = (fields.json()?, fields.json()?, fields.json()?);
    let created_at = time(fields.integer()?)?;
    let new = NewSession::with_id(id);
    let mut session = new.into_session(created_at).map_err(|e| corrupt("sessions", e))?;
    session.user_id = user.map(str::to_owned);
    session.project_id = project.map(str::to_owned);
    session.title = title.map(str::to_owned);
    (session.tags, session.metadata, session.extra) = (tags, metadata, extra);
    session.ended_at = fields.maybe_integer()?.map(time).transpose()?;
    session.forked_from = match (fields.maybe_text()?, fields.maybe_integer()?) {
        (Some(source), forked_seq) => Some(ForkPoint {
            session_id: SessionId::new(source).map_err(|e| corrupt("forked_session", e))?,
            seq: seq(forked_seq.ok_or_else(|| corrupt("forked_seq", "it is missing"))?)?,
        }),
        (None, _) => None,
    };
    let joined = &begin[..begin.len() - fields.rest().len()];
    session.updated_at = time(fields.integer()?)?;
    session.message_count = unsigned(fields.integer()?)?;
    session.total_tokens = unsigned(fields.integer()?)?;
    session.last_seq = seq(fields.integer()?)?;
    let tenant = fields.integer()?;
    let edits = fields.last_integer()?;
    let checksum = checksum::of_session(joined, tenant, &session, edits);
    Ok(SessionRow { key, tenant, edits, session, checksum, is_sound: stored == checksum })
}

/// As [`message`], whatever its checksum.
pub(crate) fn any_message(row: &SqliteRow, at: usize) -> Decoded<MessageRow> {
    let mut fields = Fields::new(row, at)?;
    let stored = fields.integer()?;
    let joined = fields.rest();
    let (key, session, seq) = (fields.integer()?, fields.integer()?, seq(fields.integer()?)?);
    let id = match fields.integer()? {
        0 => unpack_text(fields.text()?)?,
        _ => unpack_bytes(fields.take(UUID_BYTES)?)?,
    };
    let (role, status) = (role(fields.integer()?)?, status(fields.integer()?)?);
    let timestamp = time(fields.integer()?)?;
    let tokens = fields.maybe_integer()?.map(u32::try_from).transpose();
    let tokens = tokens.map_err(|e| corrupt("tokens", e))?;
    let model = fields.maybe_text()?.map(str::to_owned);
    let changed_from = match fields.integer()? {
        0 => fields.bytes().map(|_| None)?,
        _ => Some(digest(fields.take(DIGEST_BYTES)?)?),
    };
    let (parts, metadata, extra) = (fields.json::<Vec<Part>>()?, fields.json()?, fields.json()?);
    let mut new = NewMessage::known(id, role, fields.last_text()?, timestamp).with_status(status);
    (new.tokens, new.model, new.latency_ms) = (tokens, model, row.try_get(at + 1)?);
    (new.parts, new.metadata, new.extra) = (parts, metadata, extra);
    let checksum = checksum::of_message(joined, new.latency_ms);
    let (message, is_sound) = (new.into_message(seq), stored == checksum);
    Ok(MessageRow { key, session, message, changed_from, checksum, is_sound })
}

fn unsound(table: &'static str) -> sqlx::Error {
    corrupt(table, "the checksum of a row is not that of its values")
}

pub(crate) fn id(row: &SqliteRow, at: usize) -> Decoded<SessionId> {
    SessionId::new(row.try_get::<&str, _>(at)?).map_err(|e| corrupt("id", e))
}

/// The id of a session of which something else may be unreadable, from the column of [`session_columns`] at 1.
pub(crate) fn id_of_session(row: &SqliteRow) -> Option<SessionId> {
    let mut fields = Fields::new(row, 1).ok()?;
    fields.bytes().ok()?;
    fields.integer().ok()?;
    SessionId::new(fields.text().ok()?).ok()
}

/// The id of a message of which something else may be unreadable, from the columns of [`message_columns`].
pub(crate) fn id_of_message(row: &SqliteRow, at: usize) -> Option<MessageId> {
    let mut fields = Fields::new(row, at).ok()?;
    for _checksum_key_session_seq in 0..4 {
        fields.bytes().ok()?;
    }
    match fields.integer().ok()? {
        0 => unpack_text(fields.text().ok()?).ok(),
        _ => unpack_bytes(fields.take(UUID_BYTES).ok()?).ok(),
    }
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

fn digest(bytes: &[u8]) -> Decoded<ContentDigest> {
    let bytes = <[u8; DIGEST_BYTES]>::try_from(bytes).map_err(|e| corrupt("digest", e))?;
    Ok(ContentDigest::from_bytes(bytes))
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
