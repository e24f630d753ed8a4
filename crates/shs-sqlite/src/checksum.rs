//! What tells whether a row is the one that was written.
//!
//! SQLite's pages have no checksums: a bit that flips in a value is another value. So each session and each message has a
//! CRC-32 of its values, in the form in which they are read (`fields.rs`), and every reader checks it. Names that stand in
//! other tables are part of it, so that a key that has become another one is noticed too. To it is added, with a weight for
//! each, what a session counts: statements that add to the counts add to the checksum. Totals and counters, which are
//! nothing but counts, have such a sum alone, and names a CRC-32 of their own, for statistics.

use shs_store::model::ContentDigest;
use shs_store::{Message, Session};

use crate::fields::Joined;
use crate::packed::PackedId;
use crate::row::{json_of, json_of_list, role_code, status_code};

/// How much a count weighs in the checksum of its row.
macro_rules! weight {
    (message_count) => {
        3
    };
    (total_tokens) => {
        5
    };
    (last_seq) => {
        7
    };
    (updated_at) => {
        11
    };
    (edits) => {
        13
    };
    (tenant) => {
        17
    };
    (arrival) => {
        3
    };
    (sessions) => {
        5
    };
    (active) => {
        7
    };
    (indexed) => {
        11
    };
}

/// What a statement sets that changes counts of a session, or the counters: each to a value, and with them the checksum.
macro_rules! recount {
    ($($column:tt = $value:expr),+ $(,)?) => {
        concat!(
            $(stringify!($column), " = ", $value, ", ",)+
            "checksum = checksum",
            $(" + ", crate::checksum::weight!($column), " * (", $value, " - ", stringify!($column), ")"),+
        )
    };
}

/// The checksum that the counters should have.
macro_rules! checksum_of_counters {
    () => {
        "3 * arrival + 11 * indexed"
    };
}

/// A column of `counters`, or NULL if the checksum is not that of the row.
macro_rules! counter {
    ($column:literal) => {
        concat!(
            "iif(checksum = ",
            crate::checksum::checksum_of_counters!(),
            ", ",
            $column,
            ", NULL)"
        )
    };
}

/// The checksum that a row of totals should have.
macro_rules! checksum_of_totals {
    ($of:literal) => {
        concat!(
            "(3 * ",
            $of,
            "role + 5 * ",
            $of,
            "model + 7 * ",
            $of,
            "messages + 11 * ",
            $of,
            "tokens + 17 * ",
            $of,
            "tenant)"
        )
    };
}

/// What the checksum of a tenant is beside that of its name.
macro_rules! counts_of_tenant {
    ($of:literal) => {
        concat!("(5 * ", $of, "sessions + 7 * ", $of, "active)")
    };
}

/// A statement that adds to the totals, from a query for `tenant`, `role`, `model`, `messages` and
/// `tokens`.
macro_rules! add_to_totals {
    ($query:literal) => {
        concat!(
            "INSERT INTO totals (tenant, role, model, messages, tokens, checksum) \
             SELECT tenant, role, model, messages, tokens, ",
            crate::checksum::checksum_of_totals!(""),
            " FROM (",
            $query,
            ") added WHERE true ON CONFLICT (tenant, role, model) DO UPDATE SET messages = messages + excluded.messages, \
             tokens = tokens + excluded.tokens, \
             checksum = checksum + 7 * excluded.messages + 11 * excluded.tokens"
        )
    };
}

pub(crate) use {
    add_to_totals, checksum_of_counters, checksum_of_totals, counter, counts_of_tenant, recount,
    weight,
};

/// A message as its columns have it, with the JSON of those that are JSON.
pub(crate) struct MessageColumns<'m> {
    pub(crate) key: i64,
    pub(crate) session: i64,
    pub(crate) message: &'m Message,
    pub(crate) id: PackedId<'m>,
    pub(crate) digest: Option<ContentDigest>,
    pub(crate) parts: Option<String>,
    pub(crate) metadata: Option<String>,
    pub(crate) extra: Option<String>,
}

impl<'m> MessageColumns<'m> {
    pub(crate) fn new(
        key: i64,
        session: i64,
        message: &'m Message,
        digest: Option<ContentDigest>,
    ) -> Self {
        Self {
            key,
            session,
            message,
            id: PackedId::new(&message.id),
            digest,
            parts: json_of_list(&message.parts),
            metadata: json_of(&message.metadata),
            extra: json_of(&message.extra),
        }
    }

    pub(crate) fn checksum(&self) -> i64 {
        let message = self.message;
        let joined = Joined::for_text(message.content.len())
            .integer(self.key)
            .integer(self.session)
            .integer(message.seq.get() as i64)
            .integer(i64::from(self.id.is_uuid()))
            .bytes(self.id.as_bytes())
            .integer(role_code(message.role))
            .integer(status_code(message.status))
            .integer(message.timestamp.as_micros())
            .maybe_integer(message.tokens.map(i64::from))
            .maybe_bytes(message.model.as_ref())
            .integer(i64::from(self.digest.is_some()))
            .maybe_bytes(self.digest.as_ref().map(ContentDigest::as_bytes))
            .maybe_bytes(self.parts.as_ref())
            .maybe_bytes(self.metadata.as_ref())
            .maybe_bytes(self.extra.as_ref());
        of_message(&joined.ended(&message.content), message.latency_ms)
    }
}

/// The checksum of a message, of its columns as they are put together and the one that is not.
pub(crate) fn of_message(joined: &[u8], latency_ms: Option<f64>) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(joined);
    if let Some(latency) = latency_ms {
        // SQLite has no zero below zero.
        hasher.update(&(latency + 0.0).to_bits().to_le_bytes());
    }
    i64::from(hasher.finalize())
}

/// The checksum of a tenant's or model's name.
pub(crate) fn of_name(name: &str) -> i64 {
    i64::from(crc32fast::hash(name.as_bytes()))
}

/// The checksum of the name of a tenant's user or project.
pub(crate) fn of_name_in(tenant: i64, name: &str) -> i64 {
    of_name(name).wrapping_add(tenant.wrapping_mul(weight!(tenant)))
}

/// The checksum of a tenant's session that is to be written, whose messages were changed so many
/// times.
pub(crate) fn of_written_session(tenant: i64, session: &Session, edits: i64) -> i64 {
    let fork = session.forked_from.as_ref();
    let joined = Joined::default()
        .bytes(session.id.as_str().as_bytes())
        .maybe_bytes(session.user_id.as_ref())
        .maybe_bytes(session.project_id.as_ref())
        .maybe_bytes(session.title.as_ref().map(|title| format!("={title}")))
        .maybe_bytes(json_of_list(&session.tags))
        .maybe_bytes(json_of(&session.metadata))
        .maybe_bytes(json_of(&session.extra))
        .integer(session.created_at.as_micros())
        .maybe_integer(session.ended_at.map(|at| at.as_micros()))
        .maybe_bytes(fork.map(|fork| fork.session_id.as_str()))
        .maybe_integer(fork.map(|fork| fork.seq.get() as i64));
    of_session(&joined.broken(), tenant, session, edits)
}

/// The checksum of a session: of what it says, as the columns are put together, and what it counts.
pub(crate) fn of_session(joined: &[u8], tenant: i64, session: &Session, edits: i64) -> i64 {
    let counts = [
        (weight!(message_count), session.message_count as i64),
        (weight!(total_tokens), session.total_tokens as i64),
        (weight!(last_seq), session.last_seq.get() as i64),
        (weight!(updated_at), session.updated_at.as_micros()),
        (weight!(edits), edits),
        (weight!(tenant), tenant),
    ];
    let weighted = counts.into_iter().map(|(weight, count)| count.wrapping_mul(weight));
    weighted.fold(i64::from(crc32fast::hash(joined)), i64::wrapping_add)
}
