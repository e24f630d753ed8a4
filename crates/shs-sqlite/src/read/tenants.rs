//! What is asked across tenants.

use futures::TryStreamExt;
use shs_store::query::{PageBuilder, Position};
use shs_store::{Page, PageRequest, PendingStream, Tenant, TenantId, TenantQuery};
use sqlx::{Row, SqliteConnection};

use crate::checksum::{self, checksum_of_totals, counts_of_tenant};
use crate::error::{Failure, corrupt};
use crate::row::{
    self, MessageRow, message_columns, message_joins, session_columns, session_joins,
};

/// A page of tenants that have sessions.
pub(crate) async fn tenants(
    connection: &mut SqliteConnection,
    query: &TenantQuery,
) -> Result<Page<Tenant>, Failure> {
    // No name is less than the empty one, and NULL is before it.
    const SQL: &str = concat!(
        "SELECT t.name, t.sessions, (SELECT coalesce(sum(iif(o.checksum = ",
        checksum_of_totals!("o."),
        ", o.messages, NULL)), 0) FROM totals o WHERE o.tenant = t.key), t.checksum - ",
        counts_of_tenant!("t."),
        " FROM tenants t WHERE t.name >= ?1 AND t.name IS NOT ?2 AND t.sessions > 0 \
         ORDER BY t.name LIMIT +?3 OFFSET +?4"
    );
    let mut page = PageBuilder::new(query.page.checked_limit()?);
    let after = query.begins_after()?;
    let mut rows = sqlx::query(SQL)
        .bind(after.as_ref().map_or("", TenantId::as_str))
        .bind(after.as_ref().map(TenantId::as_str))
        .bind(i64::from(query.page.limit) + 1)
        .bind(i64::try_from(query.page.offset).unwrap_or(i64::MAX))
        .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (name, checksum): (&str, i64) = (row.try_get(0)?, row.try_get(3)?);
        if checksum != checksum::of_name(name) {
            return Err(
                corrupt("tenants", "the checksum of a row is not that of its values").into()
            );
        }
        let id = TenantId::new(name).map_err(|error| corrupt("tenants", error))?;
        let (sessions, messages) =
            (row::unsigned(row.try_get(1)?)?, row::unsigned(row.try_get(2)?)?);
        let position = Position::Tenant(id.clone());
        if !page.push(Tenant::new(id, sessions, messages), position, 0) {
            break;
        }
    }
    Ok(query.finish(page))
}

/// A page of pending messages with a lease.
pub(crate) async fn pending_streams(
    connection: &mut SqliteConnection,
    request: &PageRequest,
) -> Result<Page<PendingStream>, Failure> {
    // The literal lets SQLite see that the partial index applies.
    const SQL: &str = concat!(
        "SELECT t.name, ",
        session_columns!(),
        ", ",
        message_columns!(),
        " FROM messages m CROSS JOIN sessions s ON s.key = m.session \
         CROSS JOIN tenants t ON t.key = s.tenant",
        session_joins!(),
        message_joins!(),
        "WHERE m.status = 0 AND m.key > ?1 ORDER BY m.key"
    );
    let after = PendingStream::begins_after(request)?.unwrap_or(0);
    let mut found = Vec::new();
    {
        let mut rows = sqlx::query(SQL).bind(after).fetch(&mut *connection);
        let limit = request.checked_limit()?;
        while found.len() <= limit
            && let Some(row) = rows.try_next().await?
        {
            let tenant = TenantId::new(row.try_get::<&str, _>(0)?)
                .map_err(|error| corrupt("tenants", error))?;
            let session_id = row::session(&row, 1)?.session.id;
            let MessageRow { key, message, .. } = row::message(&row, 2)?;
            if message.metadata.contains_key(shs_store::streaming::STREAM_KEY) {
                found.push((key, PendingStream::new(tenant, session_id, message)));
            }
        }
    }
    Ok(PendingStream::page_of(request, found.into_iter(), |pending| Ok(Some(pending)))?)
}
