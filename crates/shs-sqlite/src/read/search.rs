//! Search across sessions.

use futures::TryStreamExt;
use shs_store::limits::MAX_RANKED;
use shs_store::query::{PageBuilder, Position};
use shs_store::text::{Clause, Query};
use shs_store::{Hit, Page, SearchOrder, SearchQuery, Status};
use sqlx::{Either, Executor, QueryBuilder, Row, Sqlite, SqliteConnection};

use super::filter;
use crate::checksum::counter;
use crate::error::{Failure, corrupt};
use crate::row::{
    self, MessageRow, message_columns, message_joins, role_code, session_columns, session_joins,
    status_code,
};

/// What came of a search.
pub(crate) enum Searched {
    Page(Page<Hit>),
    /// The index has to be brought as far as this message first.
    Behind(i64),
}

/// A page of hits, from an index that has all messages up to one, or if none is said, all that there are.
pub(crate) async fn search(
    connection: &mut SqliteConnection,
    query: &SearchQuery,
    indexed: Option<i64>,
) -> Result<Searched, Failure> {
    let text = query.parsed_text()?;
    let ranked = query.order == SearchOrder::Rank;
    let has_words = text.as_ref().is_some_and(|text| text.positive().next().is_some());
    let mut page = PageBuilder::new(query.page.checked_limit()?);
    let after = query.begins_after()?;
    if text.as_ref().is_some_and(Query::is_empty) {
        return Ok(Searched::Page(page.finish(query.fingerprint())));
    }
    let mut sql = build(query, text.as_ref(), after);
    {
        let mut results = connection.fetch_many(sql.build());
        // The first row says how far the index is.
        let mut is_first = true;
        while let Some(result) = results.try_next().await? {
            let Either::Right(row) = result else { continue };
            if std::mem::take(&mut is_first) {
                let (mark, arrival): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                if mark < indexed.unwrap_or(arrival) && uses_index(query) {
                    return Ok(Searched::Behind(arrival));
                }
                continue;
            }
            let rank: Option<f64> = if ranked { row.try_get(0)? } else { None };
            let session = row::session(&row, 1)?.session;
            let MessageRow { key, message, .. } = row::message(&row, 2)?;
            let weight = message.weight();
            // bm25() is lower for better matches.
            let rank = ranked.then(|| -rank.unwrap_or(0.0));
            let hit = Hit::new(session, message, text.as_ref(), rank);
            if has_words && hit.snippet.matches.is_empty() {
                return Err(corrupt("search", "it names a message without the words").into());
            }
            if !page.push(hit, Position::Arrival(key), weight) {
                break;
            }
        }
    }
    let mut page = page.finish(query.fingerprint());
    if ranked {
        page.next = None;
    }
    Ok(Searched::Page(page))
}

/// Whether the text index finds the messages; pending ones alone have an index of their own.
fn uses_index(query: &SearchQuery) -> bool {
    if query.text.is_some() {
        return true;
    }
    let scope = &query.scope;
    let has_token = query.session.is_some()
        || scope.user_id.is_some()
        || scope.project_id.is_some()
        || query.role.is_some()
        || query.status.is_some()
        || query.model.is_some();
    has_token && query.status != Some(Status::Pending)
}

/// The statements for how far the index is, and then a page and one row more.
///
/// With a text or a filter that the index knows, the index finds the messages in their order of arrival; pending
/// messages have an index of their own; tags alone find their sessions' messages, which are sorted;
/// with none of these it is a walk along the messages.
fn build(query: &SearchQuery, text: Option<&Query>, after: Option<i64>) -> QueryBuilder<Sqlite> {
    let tags = &query.scope;
    let tagged = !tags.tags_any.is_empty() || !tags.tags_all.is_empty();
    let indexed = uses_index(query);
    let few_pending = query.status == Some(Status::Pending) && !indexed;
    let ranked = query.order == SearchOrder::Rank;
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        counter!("indexed"),
        ", ",
        counter!("arrival"),
        " FROM counters WHERE only_row = 1; SELECT "
    ));
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
        sql.push(" AND search MATCH ");
        push_expression(&mut sql, query, text);
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
        bound_candidates(&mut sql, query, text);
    }
    sql.push(match query.order {
        SearchOrder::Oldest => " ORDER BY ",
        SearchOrder::Rank if text.is_some() => " ORDER BY 1, ",
        _ => " ORDER BY ",
    });
    sql.push(key);
    sql.push(if query.order == SearchOrder::Oldest { " LIMIT +" } else { " DESC LIMIT +" });
    sql.push_bind(i64::from(query.page.limit) + 1);
    sql.push(" OFFSET +").push_bind(i64::try_from(query.page.offset).unwrap_or(i64::MAX));
    sql
}

/// Narrows a ranked search to the newest matches: weighing costs by the number of matches.
fn bound_candidates(sql: &mut QueryBuilder<Sqlite>, query: &SearchQuery, text: Option<&Query>) {
    sql.push(" AND search.rowid >= coalesce((SELECT rowid FROM search WHERE search MATCH ");
    push_expression(sql, query, text);
    sql.push(" ORDER BY rowid DESC LIMIT 1 OFFSET +").push_bind(MAX_RANKED as i64 - 1);
    sql.push("), 0)");
}

/// The query in FTS5's language (<https://www.sqlite.org/fts5.html#full_text_query_syntax>), of quoted tokens only.
/// Names become the tokens of their keys; no key is 0, so that nothing has the token of a name that is not known.
fn push_expression(sql: &mut QueryBuilder<Sqlite>, query: &SearchQuery, text: Option<&Query>) {
    let fixed = [
        query.role.map(|role| format!("scope : \"r{}\"", role_code(role))),
        query.status.map(|status| format!("scope : \"t{}\"", status_code(status))),
    ];
    let phrases = text.iter().flat_map(|text| text.positive()).map(phrase);
    let wanted: Vec<String> = fixed.into_iter().flatten().chain(phrases).collect();
    let unwanted: Vec<String> = text.iter().flat_map(|text| text.negative()).map(phrase).collect();
    let names = [
        ("'s", "sessions WHERE id = ", query.session.as_ref().map(|id| id.as_str())),
        ("'u", "users WHERE name = ", query.scope.user_id.as_deref()),
        ("'p", "projects WHERE name = ", query.scope.project_id.as_deref()),
        ("'m", "models WHERE name = ", query.model.as_deref()),
    ];
    sql.push("('(' || ").push_bind(wanted.join(" AND "));
    let mut is_first = wanted.is_empty();
    for (letter, table, name) in names {
        let Some(name) = name else { continue };
        sql.push(if std::mem::take(&mut is_first) { " ||" } else { " || ' AND' ||" });
        sql.push(" ' scope : \"' || ")
            .push(letter)
            .push("' || coalesce((SELECT key FROM ")
            .push(table);
        sql.push_bind(name.to_owned()).push("), 0) || '\"'");
    }
    sql.push(" || ')'");
    if !unwanted.is_empty() {
        sql.push(" || ").push_bind(format!(" NOT ({})", unwanted.join(" OR ")));
    }
    sql.push(")");
}

/// Tokens are letters and digits, so that quotes need no escaping.
fn phrase(clause: &Clause) -> String {
    let star = if clause.prefix { " *" } else { "" };
    format!("content : \"{}\"{star}", clause.tokens.join(" "))
}
