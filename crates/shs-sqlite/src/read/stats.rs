//! Totals.

use shs_store::{Scope, Stats, StatsQuery, Usage};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::filter;
use crate::checksum::{self, checksum_of_totals, counts_of_tenant};
use crate::error::{Failure, corrupt};
use crate::row;

/// Totals: from kept counters for everything, else over the sessions or the range of time that the query
/// names.
pub(crate) async fn stats(
    connection: &mut SqliteConnection,
    scope: &Scope,
    query: &StatsQuery,
) -> Result<Stats, Failure> {
    let mut stats = Stats::default();
    for row in build(scope, query).build().fetch_all(connection).await? {
        let (first, second) = (row::unsigned(row.try_get(2)?)?, row::unsigned(row.try_get(3)?)?);
        match row.try_get::<Option<i64>, _>(0)? {
            None => {
                model(&row)?;
                (stats.sessions, stats.active_sessions) = (first, second);
            }
            Some(_) if first == 0 => {}
            Some(role) => {
                let usage = Usage { messages: first, tokens: second };
                stats.count_usage(row::role(role)?, model(&row)?, usage);
            }
        }
    }
    Ok(stats)
}

/// The name of a row's model, if it has one, or of a tenant.
fn model(row: &SqliteRow) -> Result<Option<&str>, sqlx::Error> {
    let (name, checksum): (Option<&str>, Option<i64>) = (row.try_get(1)?, row.try_get(4)?);
    if name.map(checksum::of_name) == checksum {
        return Ok(name);
    }
    Err(corrupt("models or tenants", "the checksum of a name is not that of its row"))
}

/// One statement, and so one state of the database: a row with the sessions and the active ones, whose role is
/// NULL, and a row with messages and tokens for each role and model, and the checksum of the model's name; -1 if there should
/// be one.
fn build(scope: &Scope, query: &StatsQuery) -> QueryBuilder<Sqlite> {
    let is_everything = scope.user_id().is_none() && query.filter.is_everything();
    match (is_everything, query.has_range()) {
        (true, false) => of_tenant(scope),
        (true, true) if scope.tenant_id().is_default() => in_range(query),
        // Through the tenant's sessions, so that it takes no longer for what others have.
        (true, true) | (false, _) => of_some(scope, query),
    }
}

/// The kept counts of a tenant, with what is left of its checksum beside them.
fn of_tenant(scope: &Scope) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(concat!(
        "SELECT NULL, name, sessions, active, checksum - ",
        counts_of_tenant!(""),
        " FROM tenants WHERE key = "
    ));
    filter::tenant(&mut sql, scope.tenant_id());
    sql.push(concat!(
        " UNION ALL SELECT t.role, mo.name, iif(t.checksum = ",
        checksum_of_totals!("t."),
        ", t.messages, NULL), t.tokens, iif(t.model = 0, NULL, ifnull(mo.checksum, -1)) \
         FROM totals t LEFT JOIN models mo ON mo.key = t.model WHERE t.tenant = ",
    ));
    filter::tenant(&mut sql, scope.tenant_id());
    sql
}

/// The default tenant's, through the index by time.
fn in_range(query: &StatsQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT NULL, NULL, count(*), coalesce(sum(s.ended_at IS NULL), 0), NULL FROM \
         (SELECT DISTINCT m.session FROM messages m WHERE true",
    );
    filter::said(&mut sql, "m.timestamp", query.since, query.until);
    sql.push(OF_DEFAULT_TENANT);
    sql.push(") found CROSS JOIN sessions s ON s.key = found.session UNION ALL ");
    sql.push(USAGE).push("messages m WHERE true");
    filter::said(&mut sql, "m.timestamp", query.since, query.until);
    sql.push(OF_DEFAULT_TENANT);
    sql.push(USAGE_END);
    sql
}

/// Narrows `messages m` to those of the default tenant, which need not be looked up if there is no
/// other one.
const OF_DEFAULT_TENANT: &str = " AND (NOT EXISTS (SELECT 1 FROM tenants WHERE key > 0) \
     OR m.session IN (SELECT key FROM sessions WHERE tenant = 0))";

fn of_some(scope: &Scope, query: &StatsQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT NULL, NULL, count(*), coalesce(sum(s.ended_at IS NULL), 0), NULL FROM sessions s WHERE true",
    );
    filter::sessions(&mut sql, scope, &query.filter, false);
    if query.has_range() {
        sql.push(" AND EXISTS (SELECT 1 FROM messages m WHERE m.session = s.key");
        filter::said(&mut sql, "+m.timestamp", query.since, query.until);
        sql.push(")");
    }
    sql.push(" UNION ALL ");
    sql.push(USAGE).push("sessions s CROSS JOIN messages m ON m.session = s.key WHERE true");
    filter::sessions(&mut sql, scope, &query.filter, false);
    filter::said(&mut sql, "+m.timestamp", query.since, query.until);
    sql.push(USAGE_END);
    sql
}

/// Messages and tokens by role and model, out of what follows.
const USAGE: &str = "SELECT g.role, mo.name, g.messages, g.tokens, \
     iif(g.model IS NULL, NULL, ifnull(mo.checksum, -1)) FROM \
     (SELECT m.role, m.model, count(*) AS messages, coalesce(sum(m.tokens), 0) AS tokens FROM ";
const USAGE_END: &str = " GROUP BY m.role, m.model) g LEFT JOIN models mo ON mo.key = g.model";
