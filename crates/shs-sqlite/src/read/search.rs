//! Search across sessions.

use futures::TryStreamExt;
use shs_store::limits::MAX_RANKED;
use shs_store::query::{PageBuilder, Position};
use shs_store::text::{Clause, Query, Ranking};
use shs_store::{Hit, Page, Role, Scope, SearchOrder, SearchQuery, Status};
use sqlx::sqlite::SqliteRow;
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
    let limit = query.page.checked_limit()?;
    let after = query.begins_after(scope)?;
    if text.as_ref().is_some_and(Query::is_empty) {
        return Ok(Searched::Page(Page::new(Vec::new(), None)));
    }
    let way = Way::of(scope, query, is_shared);
    let mut chosen = Chosen::new(query, text.as_ref(), limit);
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
            if !chosen.push(&row)? {
                break;
            }
        }
    }
    let page = match chosen {
        Chosen::Hits { page, .. } => page,
        Chosen::Ranked { ranking, text } => best(connection, scope, query, text, ranking).await?,
    };
    let mut page = page.finish(query.fingerprint(scope));
    if query.order == SearchOrder::Rank {
        page.next = None;
    }
    Ok(Searched::Page(page))
}

/// What the rows of a search become.
enum Chosen<'q> {
    Hits {
        page: PageBuilder<Hit>,
        text: Option<&'q Query>,
        /// Of all, if the order is by rank, without a text to rank by.
        rank: Option<f64>,
    },
    Ranked {
        ranking: Ranking<'q>,
        text: &'q Query,
    },
}

impl<'q> Chosen<'q> {
    fn new(query: &SearchQuery, text: Option<&'q Query>, limit: usize) -> Self {
        match (query.order, text) {
            (SearchOrder::Rank, Some(text)) => Self::Ranked { ranking: Ranking::new(text), text },
            (order, text) => {
                let rank = (order == SearchOrder::Rank).then_some(0.0);
                Self::Hits { page: PageBuilder::new(limit), text, rank }
            }
        }
    }

    /// Takes a row; `false` if no more are wanted.
    fn push(&mut self, row: &SqliteRow) -> Result<bool, Failure> {
        match self {
            Self::Hits { page, text, rank } => {
                let (key, hit) = hit(row, *text, *rank)?;
                if text.is_some() && hit.snippet.matches.is_empty() {
                    return Err(without_words());
                }
                let weight = hit.message.weight();
                Ok(page.push(hit, Position::Arrival(key), weight))
            }
            Self::Ranked { ranking, .. } => {
                if !ranking.weigh(row.try_get(0)?, row.try_get(1)?) {
                    return Err(without_words());
                }
                Ok(!ranking.is_full())
            }
        }
    }
}

fn without_words() -> Failure {
    corrupt("search", "it names a message without the words").into()
}

/// A hit, and its number of arrival, from a row with the session and then the message.
fn hit(row: &SqliteRow, text: Option<&Query>, rank: Option<f64>) -> Result<(i64, Hit), Failure> {
    let session = row::session(row, 0)?.session;
    let MessageRow { key, message, .. } = row::message(row, 1)?;
    Ok((key, Hit::new(session, message, text, rank)))
}

/// The best of the messages that were weighed, as they are now: one that was changed meanwhile and
/// has lost the words, or was deleted, is left out.
async fn best(
    connection: &mut SqliteConnection,
    scope: &Scope,
    query: &SearchQuery,
    text: &Query,
    ranking: Ranking<'_>,
) -> Result<PageBuilder<Hit>, Failure> {
    let limit = query.page.checked_limit()?;
    let mut page = PageBuilder::new(limit);
    let offset = usize::try_from(query.page.offset).unwrap_or(usize::MAX);
    let ranked: Vec<(i64, f64)> = ranking.best_first().skip(offset).take(limit).collect();
    let keys: Vec<i64> = ranked.iter().map(|(key, _)| *key).collect();
    let mut sql =
        QueryBuilder::new(concat!("SELECT ", session_columns!(), ", ", message_columns!()));
    sql.push(" FROM json_each(").push_bind(row::to_json(&keys));
    sql.push(concat!(
        ") wanted CROSS JOIN messages m ON m.key = wanted.value \
         CROSS JOIN sessions s ON s.key = m.session",
        session_joins!(),
        message_joins!(),
        "WHERE TRUE"
    ));
    filter::kind(&mut sql, query.role, query.status, query.model.as_deref());
    filter::sessions(&mut sql, scope, &query.filter, true);
    filter::said(&mut sql, "+m.timestamp", query.since, query.until);
    sql.push(" ORDER BY wanted.key");
    let mut rows = sql.build().fetch(connection);
    let mut ranks = ranked.into_iter();
    while !page.is_full()
        && let Some(row) = rows.try_next().await?
    {
        let (key, mut hit) = hit(&row, Some(text), None)?;
        // The rows come in the order of the keys, and may lack some.
        hit.rank = ranks.by_ref().find(|(ranked, _)| *ranked == key).map(|(_, rank)| rank);
        if !hit.snippet.matches.is_empty() {
            let weight = hit.message.weight();
            page.push(hit, Position::Arrival(key), weight);
        }
    }
    Ok(page)
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
    let ranked = query.order == SearchOrder::Rank && text.is_some();
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        counter!("indexed"),
        ", ",
        counter!("arrival"),
        ", EXISTS (SELECT 1 FROM tenants WHERE key > 0) FROM counters WHERE only_row = 1; SELECT "
    ));
    sql.push(if ranked {
        "m.key, m.content"
    } else {
        concat!(session_columns!(), ", ", message_columns!())
    });
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
    sql.push(if ranked {
        " WHERE "
    } else {
        concat!(session_joins!(), message_joins!(), "WHERE ")
    });
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
    sql.push(" ORDER BY ").push(key);
    sql.push(if query.order == SearchOrder::Oldest { " LIMIT +" } else { " DESC LIMIT +" });
    if ranked {
        // Those beyond the bytes that are weighed are not asked for.
        sql.push_bind(MAX_RANKED as i64);
        return sql;
    }
    sql.push_bind(i64::from(query.page.limit) + 1);
    sql.push(" OFFSET +").push_bind(i64::try_from(query.page.offset).unwrap_or(i64::MAX));
    sql
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
