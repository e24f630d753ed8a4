//! One message, and pages of a session's messages.

use futures::TryStreamExt;
use shs_store::query::{PageBuilder, Position};
use shs_store::{Error, Message, MessageId, MessageOrder, MessageQuery, Page, Seq, SessionId};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::filter;
use crate::error::Failure;
use crate::row::{self, message_columns, message_joins};

/// One message.
pub(crate) async fn message(
    connection: &mut SqliteConnection,
    id: &SessionId,
    message_id: &MessageId,
) -> Result<Message, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        message_columns!(),
        " FROM sessions s CROSS JOIN messages m ON m.session = s.key",
        message_joins!(),
        "WHERE s.id = ?1 AND m.id = ?2"
    );
    let row = sqlx::query(SQL)
        .bind(id.as_str())
        .bind(message_id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    match row {
        Some(row) => Ok(row::message(&row, 0)?.1),
        None => {
            session_key(connection, id).await?;
            Err(Error::message_not_found(id, message_id).into())
        }
    }
}

async fn session_key(connection: &mut SqliteConnection, id: &SessionId) -> Result<i64, Failure> {
    const SQL: &str = "SELECT key FROM sessions WHERE id = ?1";
    let row = sqlx::query(SQL).bind(id.as_str()).fetch_optional(connection).await?;
    Ok(row.ok_or_else(|| Error::session_not_found(id))?.try_get(0)?)
}

/// A page of a session's messages.
pub(crate) async fn messages(
    connection: &mut SqliteConnection,
    id: &SessionId,
    query: &MessageQuery,
) -> Result<Page<Message>, Failure> {
    let mut page = PageBuilder::new(query.page.checked_limit()?);
    let mut sql = build(id, query)?;
    {
        let mut rows = sql.build().fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let (_, message) = row::message(&row, 0)?;
            let (position, weight) = (Position::Seq(message.seq), message.weight());
            if !page.push(message, position, weight) {
                break;
            }
        }
    }
    let page = page.finish(query.fingerprint(id));
    if page.items.is_empty() {
        session_key(connection, id).await?;
    }
    Ok(page)
}

/// The statement for a page and one row more: a walk along the index by session and number.
fn build(id: &SessionId, query: &MessageQuery) -> Result<QueryBuilder<Sqlite>, Failure> {
    let position = match query.page.position(query.fingerprint(id))? {
        Some(Position::Seq(seq)) => Some(seq),
        Some(_) => return Err(Error::invalid("the cursor is not one of a list of messages").into()),
        None => None,
    };
    let newest = query.order == MessageOrder::Newest;
    let mut after = query.after_seq.unwrap_or(Seq::ZERO).get() as i64;
    let mut up_to = query.up_to_seq.unwrap_or(Seq::MAX).get() as i64;
    if let Some(position) = position {
        let position = position.get() as i64;
        if newest {
            up_to = up_to.min(position - 1);
        } else {
            after = after.max(position);
        }
    }
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        message_columns!(),
        " FROM messages m",
        message_joins!(),
        "WHERE m.session = (SELECT key FROM sessions WHERE id = "
    ));
    sql.push_bind(id.as_str().to_owned());
    sql.push(") AND m.seq > ").push_bind(after);
    sql.push(" AND m.seq <= ").push_bind(up_to);
    filter::kind(&mut sql, query.role, query.status, query.model.as_deref());
    filter::said(&mut sql, "+m.timestamp", query.since, query.until);
    sql.push(if newest { " ORDER BY m.seq DESC LIMIT " } else { " ORDER BY m.seq LIMIT " });
    sql.push_bind(i64::from(query.page.limit) + 1);
    sql.push(" OFFSET ").push_bind(i64::try_from(query.page.offset).unwrap_or(i64::MAX));
    Ok(sql)
}
