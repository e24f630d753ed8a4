//! One message, and pages of a session's messages.

use std::sync::Arc;

use futures::TryStreamExt;
use shs_store::limits::MAX_PAGE;
use shs_store::query::{PageBuilder, Position};
use shs_store::{
    Error, Message, MessageId, MessageOrder, MessageQuery, Page, Scope, Seq, SessionId, SessionKey,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::cache::{Cache, Tail, Version};
use super::filter;
use super::gaps::Gaps;
use crate::error::{Failure, corrupt};
use crate::packed::PackedId;
use crate::row::{
    self, MessageRow, SessionRow, message_columns, message_joins, session_columns, session_joins,
    tenant,
};

/// Narrows `sessions s` to one of a scope: by its id, its tenant's name, and its user's name or
/// NULL.
macro_rules! in_scope {
    ($id:literal, $tenant:literal, $user:literal) => {
        concat!(
            "s.tenant = ",
            tenant!($tenant),
            " AND s.id = ",
            $id,
            " AND (",
            $user,
            " IS NULL OR s.user = (SELECT key FROM users WHERE tenant = s.tenant AND name = ",
            $user,
            "))"
        )
    };
}

/// One message.
pub(crate) async fn message(
    connection: &mut SqliteConnection,
    scope: &Scope,
    id: &SessionId,
    message_id: &MessageId,
) -> Result<Message, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        message_columns!(),
        " FROM sessions s CROSS JOIN messages m ON m.session = s.key",
        message_joins!(),
        "WHERE ",
        in_scope!("?1", "?2", "?3"),
        " AND m.id = ?4"
    );
    let query = PackedId::new(message_id).bind(in_scope(sqlx::query(SQL), scope, id));
    let row = query.fetch_optional(&mut *connection).await?;
    match row {
        Some(row) => Ok(row::message(&row, 0)?.message),
        None => {
            check_session(connection, scope, id).await?;
            Err(Error::message_not_found(id, message_id).into())
        }
    }
}

/// Binds what `in_scope!` needs.
fn in_scope<'q>(query: row::Query<'q>, scope: &'q Scope, id: &'q SessionId) -> row::Query<'q> {
    query.bind(id.as_str()).bind(scope.tenant_id().as_str()).bind(scope.user_id())
}

/// That there is such a session.
async fn check_session(
    connection: &mut SqliteConnection,
    scope: &Scope,
    id: &SessionId,
) -> Result<(), Failure> {
    const SQL: &str = concat!("SELECT key FROM sessions s WHERE ", in_scope!("?1", "?2", "?3"));
    let row = in_scope(sqlx::query(SQL), scope, id).fetch_optional(connection).await?;
    row.map(|_| ()).ok_or_else(|| Error::session_not_found(id).into())
}

/// A page of a session's messages.
pub(crate) async fn messages(
    connection: &mut SqliteConnection,
    cache: &Cache,
    scope: &Scope,
    id: &SessionId,
    query: &MessageQuery,
) -> Result<Page<Message>, Failure> {
    let key = scope.key(id);
    if let Some(tail) = cache.get(&key)
        && tail.may_have(scope, id, query)?
        && let Some(tail) = refresh(connection, cache, scope, &key, tail).await?
        && let Some(page) = tail.page(scope, id, query)?
    {
        return Ok(page);
    }
    let Read { version, last, page, over } = read(connection, scope, id, query).await?;
    if let Some(after) = end_of_tail(query, &page, over.as_ref()) {
        let mut tail = Tail::new(version, after, last);
        if query.order == MessageOrder::Newest {
            tail.extend(page.items.iter().chain(&over).rev(), last);
        } else {
            tail.extend(page.items.iter(), last);
        }
        cache.put(&key, Arc::new(tail));
    }
    Ok(page)
}

/// The message behind which a page, with the one message over, has everything that the session has.
fn end_of_tail(query: &MessageQuery, page: &Page<Message>, over: Option<&Message>) -> Option<Seq> {
    let mut everything = MessageQuery::new().with_limit(query.page.limit);
    everything.order = query.order;
    everything.after_seq = query.after_seq;
    if *query != everything {
        return None;
    }
    match (query.order, over) {
        _ if page.next.is_none() => Some(query.after_seq.unwrap_or(Seq::ZERO)),
        (MessageOrder::Newest, Some(oldest)) => Some(before(oldest.seq)),
        _ => None,
    }
}

fn before(seq: Seq) -> Seq {
    Seq::new(seq.get() - 1).unwrap_or(Seq::ZERO)
}

/// Brings a tail up to date, if its messages are still those of the session, and that is in the
/// scope.
async fn refresh(
    connection: &mut SqliteConnection,
    cache: &Cache,
    scope: &Scope,
    key: &SessionKey,
    tail: Arc<Tail>,
) -> Result<Option<Arc<Tail>>, Failure> {
    const SQL: &str = concat!(
        "SELECT s.key, s.edits, s.last_seq FROM sessions s WHERE ",
        in_scope!("?1", "?2", "?3")
    );
    let id = &key.id;
    let head = in_scope(sqlx::query(SQL), scope, id).fetch_optional(&mut *connection).await?;
    if let Some(head) = head {
        let (version, last) = version(&head)?;
        if version == tail.version && last == tail.last {
            return Ok(Some(tail));
        }
    }
    // Whoever may not see the session is refused here.
    let news = MessageQuery::new().with_after_seq(tail.last).with_limit(MAX_PAGE);
    let Read { version, last, page, .. } = read(connection, scope, id, &news).await?;
    cache.remove(key);
    if version != tail.version || page.next.is_some() {
        return Ok(None);
    }
    let mut tail = Tail::clone(&tail);
    tail.extend(page.items.iter(), last);
    let tail = Arc::new(tail);
    cache.put(key, Arc::clone(&tail));
    Ok(Some(tail))
}

/// A page as the database has it.
struct Read {
    version: Version,
    /// The last number of the session.
    last: Seq,
    page: Page<Message>,
    /// The message that would be the next, if there is one.
    over: Option<Message>,
}

async fn read(
    connection: &mut SqliteConnection,
    scope: &Scope,
    id: &SessionId,
    query: &MessageQuery,
) -> Result<Read, Failure> {
    let mut page = PageBuilder::new(query.page.checked_limit()?);
    let mut over = None;
    let mut sql = build(scope, id, query)?;
    let mut rows = sql.build().fetch(connection);
    let head = rows.try_next().await?.ok_or_else(|| Error::session_not_found(id))?;
    let SessionRow { key, edits, session, .. } = row::session(&head, 0)?;
    if !scope.has(&session) {
        return Err(Error::session_not_found(id).into());
    }
    let mut gaps = Gaps::new(&session, query, range(scope, id, query)?);
    while let Some(row) = rows.try_next().await? {
        let MessageRow { session, message, .. } = row::message(&row, 0)?;
        if session != key {
            return Err(corrupt("messages_seq", "it names a message of another session").into());
        }
        gaps.pass(message.seq)?;
        if page.is_full() {
            page.mark_more();
            over = Some(message);
            break;
        }
        let (position, weight) = (Position::Seq(message.seq), message.weight());
        page.push(message, position, weight);
    }
    if over.is_none() {
        gaps.end()?;
    }
    let version = Version { key, edits };
    let page = page.finish(query.fingerprint(scope, id));
    Ok(Read { version, last: session.last_seq, page, over })
}

/// The version of a session's messages, and its last number.
fn version(row: &SqliteRow) -> Result<(Version, Seq), sqlx::Error> {
    let version = Version { key: row.try_get(0)?, edits: row.try_get(1)? };
    Ok((version, row::seq(row.try_get(2)?)?))
}

/// Behind which number the page's messages are, and up to which.
fn range(scope: &Scope, id: &SessionId, query: &MessageQuery) -> Result<(u64, u64), Failure> {
    let mut after = query.after_seq.unwrap_or(Seq::ZERO).get();
    let mut up_to = query.up_to_seq.unwrap_or(Seq::MAX).get();
    match query.page.position(query.fingerprint(scope, id))? {
        Some(Position::Seq(position)) if query.order == MessageOrder::Newest => {
            up_to = up_to.min(position.get().saturating_sub(1));
        }
        Some(Position::Seq(position)) => after = after.max(position.get()),
        Some(_) => return Err(Error::invalid("the cursor is not one of a list of messages").into()),
        None => {}
    }
    Ok((after, up_to))
}

/// The statement for the session, in the first row, and then a page and one row more: a walk along the index
/// by session and number.
fn build(
    scope: &Scope,
    id: &SessionId,
    query: &MessageQuery,
) -> Result<QueryBuilder<Sqlite>, Failure> {
    let newest = query.order == MessageOrder::Newest;
    let (after, up_to) = range(scope, id, query)?;
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        session_columns!(),
        ", NULL FROM sessions s",
        session_joins!(),
        "WHERE s.tenant = "
    ));
    filter::tenant(&mut sql, scope.tenant_id());
    sql.push(" AND s.id = ").push_bind(id.as_str().to_owned());
    sql.push(concat!(
        " UNION ALL SELECT * FROM (SELECT ",
        message_columns!(),
        " FROM messages m",
        message_joins!(),
        "WHERE m.session = (SELECT key FROM sessions WHERE tenant = "
    ));
    filter::tenant(&mut sql, scope.tenant_id());
    sql.push(" AND id = ").push_bind(id.as_str().to_owned());
    sql.push(") AND m.seq > ").push_bind(after as i64);
    sql.push(" AND m.seq <= ").push_bind(up_to as i64);
    filter::kind(&mut sql, query.role, query.status, query.model.as_deref());
    filter::said(&mut sql, "+m.timestamp", query.since, query.until);
    sql.push(if newest { " ORDER BY m.seq DESC LIMIT +" } else { " ORDER BY m.seq LIMIT +" });
    sql.push_bind(i64::from(query.page.limit) + 1);
    sql.push(" OFFSET +").push_bind(i64::try_from(query.page.offset).unwrap_or(i64::MAX));
    sql.push(") found");
    Ok(sql)
}
