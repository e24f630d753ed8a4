//! Nothing is without what it belongs to.

use shs_store::keeping::Finding;
use sqlx::{Row, SqliteConnection};

use crate::error::Failure;

/// What to find, in which table, and the statement that gives the rows' keys.
const LINKS: [(&str, &str, &str); 9] = [
    (
        "the message's session is missing",
        "messages",
        "SELECT key FROM messages WHERE session NOT IN (SELECT key FROM sessions)",
    ),
    (
        "the name of the message's model is missing",
        "messages",
        "SELECT key FROM messages WHERE model IS NOT NULL AND model NOT IN (SELECT key FROM models)",
    ),
    (
        "the session's tenant is missing",
        "sessions",
        "SELECT key FROM sessions WHERE tenant NOT IN (SELECT key FROM tenants)",
    ),
    (
        "the name of the session's user is missing in its tenant",
        "sessions",
        "SELECT key FROM sessions s WHERE user IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM users u WHERE u.key = s.user AND u.tenant = s.tenant)",
    ),
    (
        "the name of the session's project is missing in its tenant",
        "sessions",
        "SELECT key FROM sessions s WHERE project IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM projects p WHERE p.key = s.project AND p.tenant = s.tenant)",
    ),
    (
        "no session has the user",
        "users",
        "SELECT key FROM users WHERE key NOT IN (SELECT user FROM sessions WHERE user IS NOT NULL)",
    ),
    (
        "no session has the project",
        "projects",
        "SELECT key FROM projects WHERE key NOT IN (SELECT project FROM sessions WHERE project IS NOT NULL)",
    ),
    (
        "a tag that its session does not have",
        "session_tags",
        "SELECT session FROM (SELECT tenant, tag, session FROM session_tags EXCEPT \
         SELECT s.tenant, j.value, s.key FROM sessions s, \
         json_each(CASE WHEN json_valid(s.tags) THEN s.tags ELSE '[]' END) j)",
    ),
    (
        "a tag of the session is missing",
        "session_tags",
        "SELECT key FROM (SELECT s.tenant, j.value, s.key FROM sessions s, \
         json_each(CASE WHEN json_valid(s.tags) THEN s.tags ELSE '[]' END) j \
         EXCEPT SELECT tenant, tag, session FROM session_tags)",
    ),
];

pub(super) async fn check(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    for (what, table, sql) in LINKS {
        for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
            found.push(Finding::repairable(what).in_table(table).at_row(row.try_get(0)?));
        }
    }
    Ok(())
}
