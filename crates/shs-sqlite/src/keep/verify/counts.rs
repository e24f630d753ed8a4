//! Counts that are kept are what the rows come to.

use shs_store::keeping::Finding;
use sqlx::{Row, SqliteConnection};

use super::rows::session_id;
use crate::checksum::{self, checksum_of_counters, checksum_of_totals, counts_of_tenant};
use crate::error::Failure;

/// Sessions whose counts are not those of their messages.
const WRONG_SESSIONS: &str = "SELECT s.key, s.id, s.message_count IS NOT c.messages, \
     s.total_tokens IS NOT c.tokens, s.last_seq < c.last FROM sessions s CROSS JOIN \
     (SELECT key, (SELECT count(*) FROM messages m WHERE m.session = t.key) AS messages, \
     (SELECT coalesce(sum(m.tokens), 0) FROM messages m WHERE m.session = t.key) AS tokens, \
     (SELECT coalesce(max(m.seq), 0) FROM messages m WHERE m.session = t.key) AS last \
     FROM sessions t) c ON c.key = s.key \
     WHERE s.message_count IS NOT c.messages OR s.total_tokens IS NOT c.tokens OR s.last_seq < c.last";

pub(super) async fn check(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    check_sessions(connection, found).await?;
    check_totals(connection, found).await?;
    check_tenants(connection, found).await?;
    check_counters(connection, found).await
}

async fn check_sessions(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    for row in sqlx::query(WRONG_SESSIONS).fetch_all(connection).await? {
        for (at, what) in [
            (2, "message_count is not the number of its messages"),
            (3, "total_tokens is not the sum of its messages' tokens"),
            (4, "last_seq is lower than the number of a message"),
        ] {
            if row.try_get::<Option<bool>, _>(at)?.unwrap_or(true) {
                let finding =
                    Finding::repairable(what).in_table("sessions").at_row(row.try_get(0)?);
                found.push(match session_id(&row, 1) {
                    Some(id) => finding.of_session(&id),
                    None => finding,
                });
            }
        }
    }
    Ok(())
}

async fn check_totals(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    const SQL: &str = "WITH kept AS (SELECT tenant, role, model, messages, tokens FROM totals \
         WHERE messages <> 0 OR tokens <> 0), \
         counted AS (SELECT s.tenant, m.role, coalesce(m.model, 0), count(*), coalesce(sum(m.tokens), 0) \
         FROM messages m CROSS JOIN sessions s ON s.key = m.session GROUP BY 1, 2, 3) \
         SELECT (SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)) \
         + (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept))";
    const CHECKSUMS: &str =
        concat!("SELECT count(*) FROM totals WHERE checksum <> ", checksum_of_totals!(""));
    for (sql, what) in [
        (SQL, "messages or tokens by tenant, role and model are not what the messages come to"),
        (CHECKSUMS, "the checksum of a row is not that of its values"),
    ] {
        let different: i64 = sqlx::query(sql).fetch_one(&mut *connection).await?.try_get(0)?;
        if different > 0 {
            found.push(Finding::repairable(what).in_table("totals"));
        }
    }
    Ok(())
}

async fn check_tenants(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    const SQL: &str = concat!(
        "SELECT t.key, t.name, t.checksum - ",
        counts_of_tenant!("t."),
        ", t.sessions IS NOT (SELECT count(*) FROM sessions s WHERE s.tenant = t.key), \
         t.active IS NOT (SELECT count(*) FROM sessions s WHERE s.tenant = t.key AND s.ended_at IS NULL), \
         t.sessions = 0 AND t.key <> 0 FROM tenants t"
    );
    let mut has_default = false;
    for row in sqlx::query(SQL).fetch_all(connection).await? {
        let key: i64 = row.try_get(0)?;
        has_default |= key == 0;
        let name: Option<&str> = row.try_get(1).ok();
        let is_sound = name.is_some_and(|name| {
            (key == 0) == name.is_empty() && row.try_get(2).ok() == Some(checksum::of_name(name))
        });
        let wrong = [
            (!is_sound, "the name or the checksum is not that of its values"),
            (row.try_get(3)?, "sessions is not the number of sessions"),
            (row.try_get(4)?, "active is not the number of sessions that have not ended"),
            (row.try_get(5)?, "no session has the tenant"),
        ];
        for (is_wrong, what) in wrong {
            if is_wrong {
                found.push(Finding::repairable(what).in_table("tenants").at_row(key));
            }
        }
    }
    if !has_default {
        found.push(Finding::repairable("the default tenant is missing").in_table("tenants"));
    }
    Ok(())
}

async fn check_counters(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    const SQL: &str = concat!(
        "SELECT (SELECT count(*) FROM counters), \
         (SELECT arrival < (SELECT coalesce(max(key), 0) FROM messages) FROM counters), \
         (SELECT indexed > arrival OR indexed < 0 FROM counters), \
         (SELECT checksum <> ",
        checksum_of_counters!(),
        " FROM counters)"
    );
    let row = sqlx::query(SQL).fetch_one(connection).await?;
    if row.try_get::<i64, _>(0)? != 1 {
        found.push(Finding::repairable("it has not one row").in_table("counters"));
        return Ok(());
    }
    for (at, what) in [
        (1, "arrival is lower than the key of a message"),
        (2, "indexed is beyond the last message"),
        (3, "the checksum is not that of its values"),
    ] {
        if row.try_get::<bool, _>(at)? {
            found.push(Finding::repairable(what).in_table("counters").at_row(1));
        }
    }
    Ok(())
}
