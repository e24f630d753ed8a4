//! The text index has the messages' words, and no others.

use std::hash::{DefaultHasher, Hash, Hasher};

use futures::TryStreamExt;
use shs_store::keeping::Finding;
use sqlx::{Row, SqliteConnection};

use crate::error::Failure;
use crate::write::{Owner, content_tokens, execute, owned_by, scope_tokens};

/// Rows that are read at a time.
const CHUNK: i64 = 256;
/// Most messages that are searched.
const MOST_SEARCHED: i64 = 4_096;
/// Words by which a message is searched.
const WORDS: usize = 8;

/// The index's two columns.
const SCOPE: &str = "scope";
const CONTENT: &str = "content";

pub(super) async fn check(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    const MARK: &str = "SELECT indexed FROM counters WHERE only_row = 1";
    let Some(row) = sqlx::query(MARK).fetch_optional(&mut *connection).await? else {
        return Ok(());
    };
    let mark: i64 = row.try_get(0)?;
    check_strays(connection, mark, found).await?;
    let expected = check_messages(connection, mark, found).await?;
    if expected != words_of_index(connection).await? {
        found.push(finding("its words are not those of the messages"));
    }
    Ok(())
}

fn finding(what: impl Into<std::borrow::Cow<'static, str>>) -> Finding {
    Finding::repairable(what).in_table("search")
}

/// Entries that no message has, or that are beyond the mark.
async fn check_strays(
    connection: &mut SqliteConnection,
    mark: i64,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    const SQL: &str = "SELECT id FROM search_docsize WHERE id > ?1 \
         OR id NOT IN (SELECT m.key FROM messages m CROSS JOIN sessions s ON s.key = m.session)";
    for row in sqlx::query(SQL).bind(mark).fetch_all(connection).await? {
        found.push(
            finding("it has a message that is not there, or not to be indexed yet")
                .at_row(row.try_get(0)?),
        );
    }
    Ok(())
}

/// Compares each message with its entry; returns what the words of all come to.
async fn check_messages(
    connection: &mut SqliteConnection,
    mark: i64,
    found: &mut Vec<Finding>,
) -> Result<u64, Failure> {
    const COUNT: &str = "SELECT count(*) FROM messages WHERE key <= ?1";
    const SQL: &str = "SELECT m.key, m.session, s.user, s.project, m.role, m.status, m.model, m.content, d.sz, s.tenant \
         FROM messages m CROSS JOIN sessions s ON s.key = m.session LEFT JOIN search_docsize d ON d.id = m.key \
         WHERE m.key > ?1 AND m.key <= ?2 ORDER BY m.key LIMIT +?3";
    let count: i64 = sqlx::query(COUNT).bind(mark).fetch_one(&mut *connection).await?.try_get(0)?;
    let step = (count / MOST_SEARCHED).max(1);
    let (mut after, mut number, mut sum) = (i64::MIN, 0, 0_u64);
    loop {
        let query = sqlx::query(SQL).bind(after).bind(mark).bind(CHUNK);
        let rows = query.fetch_all(&mut *connection).await?;
        for row in &rows {
            after = row.try_get(0)?;
            number += 1;
            // What cannot be read is found where rows are looked at.
            let Some((scope, content)) = tokens(row) else { continue };
            sum = sum.wrapping_add(words(SCOPE, &scope)).wrapping_add(words(CONTENT, &content));
            let size: Option<&[u8]> = row.try_get(8)?;
            let Some(size) = size else {
                found.push(finding("it lacks a message").at_row(after));
                continue;
            };
            if numbers(size) != [count_of(&scope), count_of(&content)] {
                found.push(finding("it has another number of words of a message").at_row(after));
            } else if number % step == 0 && !finds(connection, after, &scope, &content).await? {
                found.push(finding("it does not find a message by its words").at_row(after));
            }
        }
        if (rows.len() as i64) < CHUNK {
            return Ok(sum);
        }
    }
}

/// The tokens of a message, as the index takes them.
fn tokens(row: &sqlx::sqlite::SqliteRow) -> Option<(String, String)> {
    let (user, project) = (row.try_get(2).ok()?, row.try_get(3).ok()?);
    let owner = Owner { tenant: row.try_get(9).ok()?, user, project };
    let kind = (row.try_get(4).ok()?, row.try_get(5).ok()?, row.try_get(6).ok()?);
    let content = owned_by(owner.tenant, content_tokens(row.try_get(7).ok()?));
    Some((scope_tokens(row.try_get(1).ok()?, owner, kind), content))
}

/// Whether a search for a message's scope and its first words finds it.
async fn finds(
    connection: &mut SqliteConnection,
    key: i64,
    scope: &str,
    content: &str,
) -> Result<bool, sqlx::Error> {
    const SQL: &str = "SELECT 1 FROM search WHERE search MATCH ?1 AND rowid = ?2";
    let mut text: Vec<String> =
        scope.split(' ').map(|token| format!("scope : \"{token}\"")).collect();
    let first: Vec<&str> = content.split(' ').take(WORDS).filter(|word| !word.is_empty()).collect();
    if !first.is_empty() {
        text.push(format!("content : \"{}\"", first.join(" ")));
    }
    let query = sqlx::query(SQL).bind(text.join(" AND ")).bind(key);
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// What the words of the whole index come to.
async fn words_of_index(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    const SQL: &str = "SELECT term, col, cnt FROM temp.words";
    // A table of this connection alone.
    execute(connection, "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, search, col)")
        .await?;
    let mut sum = 0_u64;
    {
        let mut rows = sqlx::query(SQL).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let (term, column, count): (&str, &str, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            sum = sum.wrapping_add(word(column, term).wrapping_mul(count as u64));
        }
    }
    Ok(sum)
}

/// A number for some words, in whatever order.
fn words(column: &str, tokens: &str) -> u64 {
    let each = tokens.split(' ').filter(|token| !token.is_empty());
    each.fold(0, |sum, token| sum.wrapping_add(word(column, token)))
}

fn word(column: &str, token: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (column, token).hash(&mut hasher);
    hasher.finish()
}

fn count_of(tokens: &str) -> u64 {
    tokens.split(' ').filter(|token| !token.is_empty()).count() as u64
}

/// The numbers of an entry's words by column: SQLite's variable-length integers, of at most nine bytes.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    let (mut number, mut length) = (0_u64, 0);
    for byte in bytes {
        length += 1;
        if length == 9 {
            number = number << 8 | u64::from(*byte);
        } else {
            number = number << 7 | u64::from(byte & 0x7f);
        }
        if length == 9 || byte & 0x80 == 0 {
            numbers.push(number);
            (number, length) = (0, 0);
        }
    }
    numbers
}
