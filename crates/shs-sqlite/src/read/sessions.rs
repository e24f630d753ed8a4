//! One session, and lists of sessions.

use futures::TryStreamExt;
use shs_store::query::PageBuilder;
use shs_store::{Error, Page, Scope, Session, SessionId, SessionOrder, SessionQuery, Timestamp};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::filter;
use crate::error::Failure;
use crate::row::{self, session_columns, session_joins, tenant};

/// One session.
pub(crate) async fn session(
    connection: &mut SqliteConnection,
    scope: &Scope,
    id: &SessionId,
) -> Result<Session, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        session_columns!(),
        " FROM sessions s",
        session_joins!(),
        "WHERE s.tenant = ",
        tenant!("?2"),
        " AND s.id = ?1"
    );
    let query = sqlx::query(SQL).bind(id.as_str()).bind(scope.tenant_id().as_str());
    let row = query.fetch_optional(connection).await?;
    let session = row.map(|row| row::session(&row, 0)).transpose()?.map(|row| row.session);
    let session = session.filter(|session| scope.has(session));
    Ok(session.ok_or_else(|| Error::session_not_found(id))?)
}

/// A page of sessions.
pub(crate) async fn list_sessions(
    connection: &mut SqliteConnection,
    scope: &Scope,
    query: &SessionQuery,
) -> Result<Page<Session>, Failure> {
    let limit = query.page.checked_limit()?;
    let mut page = PageBuilder::new(limit);
    let mut sql = build(scope, query)?;
    let mut rows = sql.build().fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let session = row::session(&row, 0)?.session;
        let position = query.position_of(&session);
        if !page.push(session, position, 0) {
            break;
        }
    }
    Ok(page.finish(query.fingerprint(scope)))
}

/// The statement for a page and one row more. Each list is a walk along one index from where the page begins, or,
/// where an index by tag, or by user and not by creation, finds the sessions, a sort of those.
fn build(scope: &Scope, query: &SessionQuery) -> Result<QueryBuilder<Sqlite>, Failure> {
    let filter = &query.filter;
    let has_user = scope.user_id().is_some() || filter.user_id.is_some();
    let is_owned = has_user || filter.project_id.is_some();
    let sorted = filter.has_tags() || (query.order == SessionOrder::Created && is_owned);
    let (time, id) = match (query.order, sorted) {
        (SessionOrder::Created, true) => ("+s.created_at", "+s.id"),
        (SessionOrder::Created, false) => ("s.created_at", "s.id"),
        (_, true) => ("+s.updated_at", "+s.id"),
        (_, false) => ("s.updated_at", "s.id"),
    };
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        session_columns!(),
        " FROM sessions s",
        session_joins!(),
        "WHERE ("
    ));
    // The first page is bounded too, so that it is a search along the index like the others.
    let (at, after) = match query.begins_after(scope)? {
        Some((at, id)) => (at.as_micros(), String::from(id)),
        None => (Timestamp::MAX.as_micros() + 1, String::new()),
    };
    sql.push(time).push(", ").push(id).push(") < (");
    sql.push_bind(at).push(", ").push_bind(after).push(")");
    filter::sessions(&mut sql, scope, filter, false);
    filter::said(&mut sql, time, query.since, query.until);
    match query.ended {
        Some(true) => drop(sql.push(" AND s.ended_at IS NOT NULL")),
        Some(false) => drop(sql.push(" AND s.ended_at IS NULL")),
        None => {}
    }
    sql.push(" ORDER BY ").push(time).push(" DESC, ").push(id).push(" DESC LIMIT +");
    sql.push_bind(i64::from(query.page.limit) + 1);
    sql.push(" OFFSET +").push_bind(i64::try_from(query.page.offset).unwrap_or(i64::MAX));
    Ok(sql)
}
