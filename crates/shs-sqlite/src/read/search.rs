//! Search across sessions.

use futures::TryStreamExt;
use shs_store::limits::MAX_RANKED;
use shs_store::query::{PageBuilder, Position};
use shs_store::text::{Clause, Query};
use shs_store::{Hit, Page, Role, Scope, SearchOrder, SearchQuery, Status};
use sqlx::{Either, Executor, QueryBuilder, Row, Sqlite, SqliteConnection};

use super::filter;
use crate::checksum::counter;
use crate::error::{Failure, corrupt};
use crate::row::{
    self, MessageRow, message_columns, message_joins, role_code, session_columns, session_joins,
    status_code,
};
use crate::write::MARK;

/// What came of a search.
pub(crate) enum Searched {
    Page(Page<Hit>),
    /// The index has to be brought as far as this message first.
    Behind(i64),
    /// There are other tenants, so that the default one has to search as they do.
    Shared,
}

/// How a search may go about.
#[derive(Clone, Copy, Default)]
pub(crate) struct Search {
    /// The index has all messages up to this one; if none is said, it has to have all that there
    /// are.
    pub(crate) indexed: Option<i64>,
    /// Whether there are other tenants beside the default one, or may be.
    pub(crate) is_shared: bool,
}

/// A page of hits.
pub(crate) async fn search(
    connection: &mut SqliteConnection,
    scope: &Scope,
    query: &SearchQuery,
    Search { indexed, is_shared }: Search,
) -> Result<Searched, Failure> {
    let text = query.parsed_text()?;
    let ranked = query.order == SearchOrder::Rank;
    let has_words = text.as_ref().is_some_and(|text| text.positive().next().is_some());
    let mut page = PageBuilder::new(query.page.checked_limit()?);
    let after = query.begins_after(scope)?;
    if text.as_ref().is_some_and(Query::is_empty) {
        return Ok(Searched::Page(page.finish(query.fingerprint(scope))));
    }
    let way = Way::of(scope, query, is_shared);
    let mut sql = build(scope, query, way, text.as_ref(), after);
    {
        let mut results = connection.fetch_many(sql.build());
        // The first row says how far the index is, and whether there are other tenants.
        let mut is_first = true;
        while let Some(result) = results.try_next().await? {
            let Either::Right(row) = result else { continue };
            if std::mem::take(&mut is_first) {
                let (mark, arrival): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                if way == Way::Walk && row.try_get(2)? {
                    return Ok(Searched::Shared);
                }
                if way == Way::Index && mark < indexed.unwrap_or(arrival) {
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
    let mut page = page.finish(query.fingerprint(scope));
    if ranked {
        page.next = None;
    }
    Ok(Searched::Page(page))
}

/// By what the messages are found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The text index, in their order of arrival.
    Index,
    /// The index of pending messages.
    Pending,
    /// The sessions with a tag, whose messages are sorted.
    Tags,
    /// A walk along all messages, while all are of the default tenant.
    Walk,
}

impl Way {
    fn of(scope: &Scope, query: &SearchQuery, is_shared: bool) -> Self {
        let filter = &query.filter;
        let has_token = query.session.is_some()
            || scope.user_id().is_some()
            || filter.user_id.is_some()
            || filter.project_id.is_some()
            || query.role.is_some()
            || query.model.is_some();
        if query.text.is_some() {
            Self::Index
        } else if query.status == Some(Status::Pending) {
            Self::Pending
        } else if has_token || query.status.is_some() {
            Self::Index
        } else if filter.has_tags() {
            Self::Tags
        } else if is_shared || !scope.tenant_id().is_default() {
            Self::Index
        } else {
            Self::Walk
        }
    }
}

/// The statements for how far the index is, and then a page and one row more.
///
/// Each row is checked against the scope, though the tokens of the index are those of its tenant.
fn build(
    scope: &Scope,
    query: &SearchQuery,
    way: Way,
    text: Option<&Query>,
    after: Option<i64>,
) -> QueryBuilder<Sqlite> {
    let filter = &query.filter;
    let ranked = query.order == SearchOrder::Rank;
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        counter!("indexed"),
        ", ",
        counter!("arrival"),
        ", EXISTS (SELECT 1 FROM tenants WHERE key > 0) FROM counters WHERE only_row = 1; SELECT "
    ));
    sql.push(if ranked && text.is_some() { "bm25(search, 0.0, 1.0), " } else { "NULL, " });
    sql.push(concat!(session_columns!(), ", ", message_columns!()));
    let (from, key) = match way {
        Way::Index => (
            " FROM search CROSS JOIN messages m ON m.key = search.rowid \
             CROSS JOIN sessions s ON s.key = m.session",
            "search.rowid",
        ),
        Way::Tags => (" FROM sessions s CROSS JOIN messages m ON m.session = s.key", "+m.key"),
        Way::Pending | Way::Walk => {
            (" FROM messages m CROSS JOIN sessions s ON s.key = m.session", "m.key")
        }
    };
    sql.push(from);
    sql.push(concat!(session_joins!(), message_joins!(), "WHERE "));
    match (query.order, after) {
        (SearchOrder::Oldest, after) => {
            sql.push(key).push(" > ").push_bind(after.unwrap_or(0));
        }
        (_, after) => {
            sql.push(key).push(" < ").push_bind(after.unwrap_or(i64::MAX));
        }
    }
    if way == Way::Index {
        sql.push(" AND search MATCH ");
        push_expression(&mut sql, scope, query, text);
    }
    if way == Way::Pending {
        // The literal lets SQLite see that the partial index applies.
        sql.push(" AND m.status = 0");
        filter::kind(&mut sql, query.role, None, query.model.as_deref());
        if let Some(session) = &query.session {
            sql.push(" AND s.id = ").push_bind(session.as_str().to_owned());
        }
    }
    filter::sessions(&mut sql, scope, filter, true);
    filter::said(&mut sql, "+m.timestamp", query.since, query.until);
    if ranked && text.is_some() {
        bound_candidates(&mut sql, scope, query, text);
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
fn bound_candidates(
    sql: &mut QueryBuilder<Sqlite>,
    scope: &Scope,
    query: &SearchQuery,
    text: Option<&Query>,
) {
    sql.push(" AND search.rowid >= coalesce((SELECT rowid FROM search WHERE search MATCH ");
    push_expression(sql, scope, query, text);
    sql.push(" ORDER BY rowid DESC LIMIT 1 OFFSET +").push_bind(MAX_RANKED as i64 - 1);
    sql.push("), 0)");
}

/// The query in FTS5's language (<https://www.sqlite.org/fts5.html#full_text_query_syntax>), of quoted tokens only.
/// Names become the tokens of their keys; no key is 0, so that nothing has the token of a name that is not known.
///
/// For a tenant with a name each token has the mark before it, which SQLite replaces by the
/// tenant's key and the mark. A tenant that is not known is an x, which is no key.
fn push_expression(
    sql: &mut QueryBuilder<Sqlite>,
    scope: &Scope,
    query: &SearchQuery,
    text: Option<&Query>,
) {
    let is_named = !scope.tenant_id().is_default();
    let mark = if is_named { MARK.to_string() } else { String::new() };
    let fixed: Vec<String> = [
        query.role.map(|role| format!("scope : \"{mark}r{}\"", role_code(role))),
        query.status.map(|status| format!("scope : \"{mark}t{}\"", status_code(status))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let has_fixed = !fixed.is_empty();
    let phrase = |clause| phrase(clause, &mark);
    let phrases = text.iter().flat_map(|text| text.positive()).map(phrase);
    let mut wanted: Vec<String> = fixed.into_iter().chain(phrases).collect();
    let unwanted: Vec<String> = text.iter().flat_map(|text| text.negative()).map(phrase).collect();
    let filter = &query.filter;
    let names = [
        ("s", "sessions", "id", query.session.as_ref().map(|id| id.as_str())),
        ("u", "users", "name", scope.user_id()),
        ("u", "users", "name", filter.user_id.as_deref()),
        ("p", "projects", "name", filter.project_id.as_deref()),
        ("m", "models", "name", query.model.as_deref()),
    ];
    let is_narrowed = has_fixed || names.iter().any(|(.., name)| name.is_some());
    // A prefix of digits is one of other tenants' marks too. What they have must not count among
    // the candidates, and none of it has a token without a mark.
    let has_prefix = text.iter().flat_map(|text| text.positive()).any(|clause| clause.prefix);
    if !is_narrowed && (wanted.is_empty() || (has_prefix && !is_named)) {
        // Each message has one role.
        let roles = Role::ALL.iter().map(|role| format!("\"{mark}r{}\"", role_code(*role)));
        let roles: Vec<String> = roles.collect();
        wanted.push(format!("scope : ({})", roles.join(" OR ")));
    }
    sql.push(if is_named { "replace('(' || " } else { "('(' || " });
    sql.push_bind(wanted.join(" AND "));
    let mut is_first = wanted.is_empty();
    for (letter, table, column, name) in names {
        let Some(name) = name else { continue };
        sql.push(if std::mem::take(&mut is_first) { " ||" } else { " || ' AND' ||" });
        sql.push(" ' scope : \"' || ").push_bind(format!("{mark}{letter}"));
        sql.push(" || coalesce((SELECT key FROM ").push(table).push(" WHERE ").push(column);
        sql.push(" = ").push_bind(name.to_owned());
        if letter != "m" {
            sql.push(" AND tenant = ");
            filter::tenant(sql, scope.tenant_id());
        }
        sql.push("), 0) || '\"'");
    }
    sql.push(" || ')'");
    if !unwanted.is_empty() {
        sql.push(" || ").push_bind(format!(" NOT ({})", unwanted.join(" OR ")));
    }
    if is_named {
        sql.push(", ").push_bind(mark.clone()).push(", coalesce(");
        filter::tenant(sql, scope.tenant_id());
        sql.push(", 'x') || ").push_bind(mark);
    }
    sql.push(")");
}

/// Tokens are letters and digits, so that quotes need no escaping.
fn phrase(clause: &Clause, mark: &str) -> String {
    let star = if clause.prefix { " *" } else { "" };
    let tokens: Vec<String> = clause.tokens.iter().map(|token| format!("{mark}{token}")).collect();
    format!("content : \"{}\"{star}", tokens.join(" "))
}
