//! What follows from sessions and messages.

use sqlx::Row;

use crate::error::Failure;
use crate::write::{Transaction, UNUSED_PROJECTS, UNUSED_USERS, execute};

/// How many numbers of arrival are passed over where it is not known which was the last.
const FIRST_ARRIVAL: &str = "INSERT INTO counters (only_row, arrival, sessions, active) \
     SELECT 1, (SELECT coalesce(max(key), 0) + 1000 FROM messages), 0, 0 \
     WHERE NOT EXISTS (SELECT 1 FROM counters)";

/// Makes names, counts, tags, totals and counters anew.
pub(super) async fn make_anew(transaction: &mut Transaction<'_>) -> Result<(), Failure> {
    for sql in [
        "UPDATE sessions SET user = NULL WHERE user NOT IN (SELECT key FROM users)",
        "UPDATE sessions SET project = NULL WHERE project NOT IN (SELECT key FROM projects)",
        "UPDATE messages SET model = NULL WHERE model NOT IN (SELECT key FROM models)",
        UNUSED_USERS,
        UNUSED_PROJECTS,
        "UPDATE sessions SET \
         message_count = (SELECT count(*) FROM messages m WHERE m.session = sessions.key), \
         total_tokens = (SELECT coalesce(sum(m.tokens), 0) FROM messages m WHERE m.session = sessions.key), \
         last_seq = max(last_seq, (SELECT coalesce(max(m.seq), 0) FROM messages m WHERE m.session = sessions.key))",
        "DELETE FROM session_tags",
        "INSERT INTO session_tags (tag, session) SELECT DISTINCT j.value, s.key FROM sessions s, json_each(s.tags) j",
        "DELETE FROM totals",
        "INSERT INTO totals (role, model, messages, tokens) \
         SELECT role, coalesce(model, 0), count(*), coalesce(sum(tokens), 0) FROM messages GROUP BY 1, 2",
        FIRST_ARRIVAL,
        "UPDATE counters SET sessions = (SELECT count(*) FROM sessions), \
         active = (SELECT count(*) FROM sessions WHERE ended_at IS NULL), \
         arrival = max(arrival, (SELECT coalesce(max(key), 0) FROM messages)) + 1",
    ] {
        execute(transaction.connection, sql).await?;
    }
    Ok(())
}

/// The last number of arrival.
pub(super) async fn arrival(transaction: &mut Transaction<'_>) -> Result<i64, sqlx::Error> {
    const SQL: &str = "SELECT arrival FROM counters WHERE only_row = 1";
    sqlx::query(SQL).fetch_one(&mut *transaction.connection).await?.try_get(0)
}
