//! What follows from sessions and messages.

use sqlx::Row;

use crate::error::Failure;
use crate::write::{Transaction, UNUSED_PROJECTS, UNUSED_TENANTS, UNUSED_USERS, execute};

/// How many numbers of arrival are passed over where it is not known which was the last.
const FIRST_ARRIVAL: &str = "INSERT INTO counters (only_row, arrival) \
     SELECT 1, (SELECT coalesce(max(key), 0) + 1000 FROM messages) \
     WHERE NOT EXISTS (SELECT 1 FROM counters)";

/// Makes names, counts, tags, totals and counters anew.
pub(super) async fn make_anew(transaction: &mut Transaction<'_>) -> Result<(), Failure> {
    for sql in [
        "UPDATE OR IGNORE tenants SET name = '' WHERE key = 0",
        "INSERT INTO tenants (key, name, sessions, active, checksum) SELECT 0, '', 0, 0, 0 \
         WHERE NOT EXISTS (SELECT 1 FROM tenants WHERE key = 0)",
        "INSERT INTO tenants (key, name, sessions, active, checksum) \
         SELECT DISTINCT tenant, 'recovered-' || tenant || '-' || lower(hex(randomblob(8))), 0, 0, 0 \
         FROM sessions WHERE tenant NOT IN (SELECT key FROM tenants)",
        // A name belongs to the tenant whose sessions have it.
        "UPDATE OR IGNORE users SET tenant = coalesce((SELECT s.tenant FROM sessions s WHERE s.user = users.key), tenant)",
        "UPDATE OR IGNORE projects SET \
         tenant = coalesce((SELECT s.tenant FROM sessions s WHERE s.project = projects.key), tenant)",
        "UPDATE sessions SET user = NULL WHERE user IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM users u WHERE u.key = sessions.user AND u.tenant = sessions.tenant)",
        "UPDATE sessions SET project = NULL WHERE project IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM projects p WHERE p.key = sessions.project AND p.tenant = sessions.tenant)",
        "UPDATE messages SET model = NULL WHERE model NOT IN (SELECT key FROM models)",
        UNUSED_USERS,
        UNUSED_PROJECTS,
        UNUSED_TENANTS,
        "UPDATE sessions SET \
         message_count = (SELECT count(*) FROM messages m WHERE m.session = sessions.key), \
         total_tokens = (SELECT coalesce(sum(m.tokens), 0) FROM messages m WHERE m.session = sessions.key), \
         last_seq = max(last_seq, (SELECT coalesce(max(m.seq), 0) FROM messages m WHERE m.session = sessions.key))",
        "DELETE FROM session_tags",
        "INSERT INTO session_tags (tenant, tag, session) \
         SELECT DISTINCT s.tenant, j.value, s.key FROM sessions s, json_each(s.tags) j",
        "DELETE FROM totals",
        "INSERT INTO totals (tenant, role, model, messages, tokens) \
         SELECT s.tenant, m.role, coalesce(m.model, 0), count(*), coalesce(sum(m.tokens), 0) \
         FROM messages m CROSS JOIN sessions s ON s.key = m.session GROUP BY 1, 2, 3",
        "UPDATE tenants SET sessions = (SELECT count(*) FROM sessions s WHERE s.tenant = tenants.key), \
         active = (SELECT count(*) FROM sessions s WHERE s.tenant = tenants.key AND s.ended_at IS NULL)",
        FIRST_ARRIVAL,
        "UPDATE counters SET arrival = max(arrival, (SELECT coalesce(max(key), 0) FROM messages)) + 1",
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
