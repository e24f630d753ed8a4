//! An append of one message to a session that is remembered, by one statement.
//!
//! sqlx tells of every statement of a command that has ended, and each time its thread wakes the writer, which then waits
//! for the next. Of an append alone that was the largest part, but for the disk. So it is a row of a view, from which a
//! trigger of the writer's own connection makes what follows. Without a transaction around it, the statement is one by
//! itself: SQLite ends it after the commit, and undoes it if that fails.

use shs_store::Timestamp;

use super::super::transaction::{Transaction, bind_message};
use super::plan::New;
use super::statements::record;
use crate::checksum::{add_to_totals, recount};

/// Makes the view of the connection that writes. The names of the columns are those of messages.
pub(crate) const VIEW: &str = concat!(
    "CREATE TEMP VIEW appended (key, session, seq, id, role, status, timestamp, checksum, tokens, \
     model, latency_ms, digest, parts, metadata, extra, content, updated_at, tenant) \
     AS SELECT 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0; \
     CREATE TEMP TRIGGER append INSTEAD OF INSERT ON appended BEGIN \
     SELECT RAISE(ABORT, 'moved') FROM counters WHERE only_row = 1 AND arrival <> NEW.key - 1; \
     INSERT INTO messages (key, session, seq, id, role, status, timestamp, checksum, tokens, model, \
     latency_ms, digest, parts, metadata, extra, content) \
     VALUES (NEW.key, NEW.session, NEW.seq, NEW.id, NEW.role, NEW.status, NEW.timestamp, NEW.checksum, NEW.tokens, \
     NEW.model, NEW.latency_ms, NEW.digest, NEW.parts, NEW.metadata, NEW.extra, NEW.content); \
     UPDATE counters SET ",
    recount!(arrival = "NEW.key"),
    " WHERE only_row = 1; UPDATE sessions SET ",
    recount!(
        message_count = "(message_count + 1)",
        total_tokens = "(total_tokens + ifnull(NEW.tokens, 0))",
        last_seq = "NEW.seq",
        updated_at = "NEW.updated_at",
    ),
    " WHERE key = NEW.session; ",
    add_to_totals!(
        "SELECT NEW.tenant AS tenant, NEW.role AS role, ifnull(NEW.model, 0) AS model, 1 AS messages, \
         ifnull(NEW.tokens, 0) AS tokens"
    ),
    "; END"
);

/// Writes and commits the one message of a plan. Fails if the last number of arrival is not the one that the plan goes out
/// from; nothing is written then.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    new: &New,
    key: i64,
    updated_at: Timestamp,
) -> Result<(), sqlx::Error> {
    const SQL: &str =
        "INSERT INTO appended VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let model = match &new.message.model {
        Some(name) => Some(transaction.model_key(name).await?),
        None => None,
    };
    let query = bind_message(sqlx::query(SQL), key, &record(new), model);
    let query = query.bind(updated_at.as_micros()).bind(new.owner.tenant);
    transaction.command(query, 1).await
}
