//! Search across sessions.

use futures::TryStreamExt;
use shs_store::limits::MAX_RANKED;
use shs_store::query::{PageBuilder, Position};
use shs_store::text::{Clause, Query};
use shs_store::{Hit, Page, SearchOrder, SearchQuery, Status};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::filter;
use crate::error::Failure;
use crate::row::{
    self, SESSION_WIDTH, message_columns, message_joins, role_code, session_columns, session_joins,
    status_code,
};

/// A page of hits.
pub(crate) async fn search(
    connection: &mut SqliteConnection,
    query: &SearchQuery,
) -> Result<Page<Hit>, Failure> {
    let text = query.parsed_text()?;
    let ranked = query.order == SearchOrder::Rank;
    let mut page = PageBuilder::new(query.page.checked_limit()?);
    let after = query.begins_after()?;
    if text.as_ref().is_some_and(Query::is_empty) {
        return Ok(page.finish(query.fingerprint()));
    }
    let Some(scope) = Scope::find(connection, query).await? else {
        return Ok(page.finish(query.fingerprint()));
    };
    let mut sql = build(query, text.as_ref(), &scope, after);
    let mut rows = sql.build().fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let rank: Option<f64> = if ranked { row.try_get(0)? } else { None };
        let (_, session) = row::session(&row, 1)?;
        let (key, message) = row::message(&row, 1 + SESSION_WIDTH)?;
        let weight = message.weight();
        // bm25() is lower for better matches.
        let rank = ranked.then(|| -rank.unwrap_or(0.0));
        let hit = Hit::new(session, message, text.as_ref(), rank);
        if !page.push(hit, Position::Arrival(key), weight) {
            break;
        }
    }
    let mut page = page.finish(query.fingerprint());
    if ranked {
        page.next = None;
    }
    Ok(page)
}

/// The tokens by which the index narrows a search.
#[derive(Default)]
struct Scope {
    tokens: Vec<String>,
}

impl Scope {
    /// The tokens for a query's filters; `None` if a name is not known, so that nothing can match.
    async fn find(
        connection: &mut SqliteConnection,
        query: &SearchQuery,
    ) -> Result<Option<Self>, Failure> {
        let names = [
            (
                's',
                "SELECT key FROM sessions WHERE id = ?1",
                query.session.as_ref().map(|id| id.as_str()),
            ),
            ('u', "SELECT key FROM users WHERE name = ?1", query.scope.user_id.as_deref()),
            ('p', "SELECT key FROM projects WHERE name = ?1", query.scope.project_id.as_deref()),
            ('m', "SELECT key FROM models WHERE name = ?1", query.model.as_deref()),
        ];
        let mut tokens = Vec::new();
        for (letter, sql, name) in names {
            let Some(name) = name else { continue };
            let row = sqlx::query(sql).bind(name).fetch_optional(&mut *connection).await?;
            let Some(row) = row else { return Ok(None) };
            tokens.push(format!("{letter}{}", row.try_get::<i64, _>(0)?));
        }
        tokens.extend(query.role.map(|role| format!("r{}", role_code(role))));
        tokens.extend(query.status.map(|status| format!("t{}", status_code(status))));
        Ok(Some(Self { tokens }))
    }
}

/// The statement for a page and one row more.
///
/// With a text or a filter that the index knows, the index finds the messages in their order of arrival; pending
/// messages have an index of their own; tags alone find their sessions' messages, which are sorted;
/// with none of these it is a walk along the messages.
fn build(
    query: &SearchQuery,
    text: Option<&Query>,
    scope: &Scope,
    after: Option<i64>,
) -> QueryBuilder<Sqlite> {
    let tags = &query.scope;
    let tagged = !tags.tags_any.is_empty() || !tags.tags_all.is_empty();
    let few_pending = query.status == Some(Status::Pending) && text.is_none();
    let indexed = (text.is_some() || !scope.tokens.is_empty()) && !few_pending;
    let ranked = query.order == SearchOrder::Rank;
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(if ranked && text.is_some() { "bm25(search, 0.0, 1.0), " } else { "NULL, " });
    sql.push(concat!(session_columns!(), ", ", message_columns!()));
    let key = if indexed {
        sql.push(" FROM search CROSS JOIN messages m ON m.key = search.rowid");
        sql.push(" CROSS JOIN sessions s ON s.key = m.session");
        "search.rowid"
    } else if tagged && !few_pending {
        sql.push(" FROM sessions s CROSS JOIN messages m ON m.session = s.key");
        "+m.key"
    } else {
        sql.push(" FROM messages m CROSS JOIN sessions s ON s.key = m.session");
        "m.key"
    };
    sql.push(concat!(session_joins!(), message_joins!(), "WHERE "));
    match (query.order, after) {
        (SearchOrder::Oldest, after) => {
            sql.push(key).push(" > ").push_bind(after.unwrap_or(0));
        }
        (_, after) => {
            sql.push(key).push(" < ").push_bind(after.unwrap_or(i64::MAX));
        }
    }
    if indexed {
        sql.push(" AND search MATCH ").push_bind(expression(text, scope));
    }
    if few_pending {
        // The literal lets SQLite see that the partial index applies.
        sql.push(" AND m.status = 0");
        filter::kind(&mut sql, query.role, None, query.model.as_deref());
        if let Some(session) = &query.session {
            sql.push(" AND s.id = ").push_bind(session.as_str().to_owned());
        }
        if let Some(user) = &query.scope.user_id {
            filter::user(&mut sql, "+s.user", user);
        }
        if let Some(project) = &query.scope.project_id {
            filter::project(&mut sql, "+s.project", project);
        }
    }
    filter::tags(&mut sql, &tags.tags_any, &tags.tags_all);
    filter::said(&mut sql, "+m.timestamp", query.since, query.until);
    if ranked && text.is_some() {
        bound_candidates(&mut sql, text, scope);
    }
    sql.push(match query.order {
        SearchOrder::Oldest => " ORDER BY ",
        SearchOrder::Rank if text.is_some() => " ORDER BY 1, ",
        _ => " ORDER BY ",
    });
    sql.push(key);
    sql.push(if query.order == SearchOrder::Oldest { " LIMIT " } else { " DESC LIMIT " });
    sql.push_bind(i64::from(query.page.limit) + 1);
    sql.push(" OFFSET ").push_bind(i64::try_from(query.page.offset).unwrap_or(i64::MAX));
    sql
}

/// Narrows a ranked search to the newest matches: weighing costs by the number of matches.
fn bound_candidates(sql: &mut QueryBuilder<Sqlite>, text: Option<&Query>, scope: &Scope) {
    sql.push(" AND search.rowid >= coalesce((SELECT rowid FROM search WHERE search MATCH ");
    sql.push_bind(expression(text, scope));
    sql.push(" ORDER BY rowid DESC LIMIT 1 OFFSET ").push_bind(MAX_RANKED as i64 - 1);
    sql.push("), 0)");
}

/// The query in FTS5's language (<https://www.sqlite.org/fts5.html#full_text_query_syntax>), of quoted
/// tokens only.
fn expression(text: Option<&Query>, scope: &Scope) -> String {
    let mut all: Vec<String> =
        scope.tokens.iter().map(|token| format!("scope : \"{token}\"")).collect();
    all.extend(text.iter().flat_map(|text| text.positive()).map(phrase));
    let wanted = all.join(" AND ");
    let unwanted: Vec<String> = text.iter().flat_map(|text| text.negative()).map(phrase).collect();
    if unwanted.is_empty() { wanted } else { format!("({wanted}) NOT ({})", unwanted.join(" OR ")) }
}

/// Tokens are letters and digits, so that quotes need no escaping.
fn phrase(clause: &Clause) -> String {
    let star = if clause.prefix { " *" } else { "" };
    format!("content : \"{}\"{star}", clause.tokens.join(" "))
}
