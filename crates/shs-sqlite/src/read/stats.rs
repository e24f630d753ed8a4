//! Totals.

use shs_store::{Stats, StatsQuery, Usage};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::filter;
use crate::checksum::{self, checksum_of_totals, counter};
use crate::error::{Failure, corrupt};
use crate::row;

/// Totals: from kept counters for everything, else over the sessions or the range of time that the query
/// names.
pub(crate) async fn stats(
    connection: &mut SqliteConnection,
    query: &StatsQuery,
) -> Result<Stats, Failure> {
    let mut stats = Stats::default();
    for row in build(query).build().fetch_all(connection).await? {
        let (first, second) = (row::unsigned(row.try_get(2)?)?, row::unsigned(row.try_get(3)?)?);
        match row.try_get::<Option<i64>, _>(0)? {
            None => (stats.sessions, stats.active_sessions) = (first, second),
            Some(_) if first == 0 => {}
            Some(role) => {
                let usage = Usage { messages: first, tokens: second };
                stats.count_usage(row::role(role)?, model(&row)?, usage);
            }
        }
    }
    Ok(stats)
}

/// The name of a row's model, if it has one.
fn model(row: &SqliteRow) -> Result<Option<&str>, sqlx::Error> {
    let (name, checksum): (Option<&str>, Option<i64>) = (row.try_get(1)?, row.try_get(4)?);
    if name.map(checksum::of_name) == checksum {
        return Ok(name);
    }
    Err(corrupt("models", "the checksum of a name is not that of its row"))
}

/// One statement, and so one state of the database: a row with the sessions and the active ones, whose role is
/// NULL, and a row with messages and tokens for each role and model, and the checksum of the model's name; -1 if there should
/// be one.
fn build(query: &StatsQuery) -> QueryBuilder<Sqlite> {
    match (query.scope.is_everything(), query.has_range()) {
        (true, false) => QueryBuilder::new(concat!(
            "SELECT NULL, NULL, ",
            counter!("sessions"),
            ", ",
            counter!("active"),
            ", NULL FROM counters WHERE only_row = 1 UNION ALL \
             SELECT t.role, mo.name, iif(t.checksum = ",
            checksum_of_totals!("t."),
            ", t.messages, NULL), t.tokens, iif(t.model = 0, NULL, ifnull(mo.checksum, -1)) \
             FROM totals t LEFT JOIN models mo ON mo.key = t.model",
        )),
        (true, true) => in_range(query),
        (false, _) => in_scope(query),
    }
}

fn in_range(query: &StatsQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT NULL, NULL, count(*), coalesce(sum(s.ended_at IS NULL), 0), NULL FROM \
         (SELECT DISTINCT m.session FROM messages m WHERE true",
    );
    filter::said(&mut sql, "m.timestamp", query.since, query.until);
    sql.push(") found CROSS JOIN sessions s ON s.key = found.session UNION ALL ");
    sql.push(USAGE).push("messages m WHERE true");
    filter::said(&mut sql, "m.timestamp", query.since, query.until);
    sql.push(USAGE_END);
    sql
}

fn in_scope(query: &StatsQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT NULL, NULL, count(*), coalesce(sum(s.ended_at IS NULL), 0), NULL FROM sessions s WHERE true",
    );
    scope(&mut sql, query);
    if query.has_range() {
        sql.push(" AND EXISTS (SELECT 1 FROM messages m WHERE m.session = s.key");
        filter::said(&mut sql, "+m.timestamp", query.since, query.until);
        sql.push(")");
    }
    sql.push(" UNION ALL ");
    sql.push(USAGE).push("sessions s CROSS JOIN messages m ON m.session = s.key WHERE true");
    scope(&mut sql, query);
    filter::said(&mut sql, "+m.timestamp", query.since, query.until);
    sql.push(USAGE_END);
    sql
}

/// Messages and tokens by role and model, out of what follows.
const USAGE: &str = "SELECT g.role, mo.name, g.messages, g.tokens, \
     iif(g.model IS NULL, NULL, ifnull(mo.checksum, -1)) FROM \
     (SELECT m.role, m.model, count(*) AS messages, coalesce(sum(m.tokens), 0) AS tokens FROM ";
const USAGE_END: &str = " GROUP BY m.role, m.model) g LEFT JOIN models mo ON mo.key = g.model";

fn scope(sql: &mut QueryBuilder<Sqlite>, query: &StatsQuery) {
    let scope = &query.scope;
    let tagged = !scope.tags_any.is_empty() || !scope.tags_all.is_empty();
    if let Some(user) = &scope.user_id {
        filter::user(sql, if tagged { "+s.user" } else { "s.user" }, user);
    }
    if let Some(project) = &scope.project_id {
        let plus = tagged || scope.user_id.is_some();
        filter::project(sql, if plus { "+s.project" } else { "s.project" }, project);
    }
    filter::tags(sql, &scope.tags_any, &scope.tags_all);
}
