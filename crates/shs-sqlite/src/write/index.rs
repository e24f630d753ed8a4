//! The text index follows the messages: `counters.indexed` says how far.
//!
//! A message above that mark is not in the index, and whoever changes or deletes it leaves the index alone.
//! The mark moves in the transaction that puts the messages below it into the index, so the two never
//! contradict each other, whenever a process ends. A search that finds the mark behind has it moved first.

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Row};

use super::Operation;
use super::memory::Entry;
use super::transaction::{Owner, Transaction, content_tokens, owned_by, scope_tokens};
use crate::checksum::{counter, recount};
use crate::error::Failure;

/// Most messages that one transaction puts into the index.
const MAX_MESSAGES: usize = 2 * MAX_ROWS;
/// How many rows one statement inserts.
const ROWS: [usize; 4] = [1, 8, 64, MAX_ROWS];
const MAX_ROWS: usize = 512;
/// Bytes of tokens at which no more are put into it.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Moves the mark, by a limited number of messages; the output says where it is.
pub(crate) struct CatchUp;

impl Operation for CatchUp {
    type Output = i64;
    const FOLLOWS: bool = true;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<i64, Failure> {
        const MARK: &str = concat!(
            "SELECT ",
            counter!("indexed"),
            ", ",
            counter!("arrival"),
            " FROM counters WHERE only_row = 1"
        );
        const MOVE: &str =
            concat!("UPDATE counters SET ", recount!(indexed = "?1"), " WHERE only_row = 1");
        let row = sqlx::query(MARK).fetch_one(&mut *transaction.connection).await?;
        let (indexed, arrival): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if indexed >= arrival {
            transaction.memory.set_backlog(0);
            return Ok(indexed);
        }
        let mut entries = transaction.memory.take_unindexed(indexed, arrival, MAX_ROWS);
        let mut mark = entries.last().map_or(indexed, |entry| entry.key);
        if entries.is_empty() {
            let is_all;
            (entries, is_all) = read(transaction, indexed).await?;
            // Behind the last message there may be numbers that no message has.
            mark = if is_all { arrival } else { entries.last().map_or(arrival, |entry| entry.key) };
        }
        insert(transaction, &entries).await?;
        sqlx::query(MOVE).bind(mark).execute(&mut *transaction.connection).await?;
        transaction.memory.set_backlog((arrival - mark) as u64);
        Ok(mark)
    }
}

/// The first messages after a key, as the index takes them, and whether there are no more.
async fn read(
    transaction: &mut Transaction<'_>,
    after: i64,
) -> Result<(Vec<Entry>, bool), sqlx::Error> {
    const SQL: &str = "SELECT m.key, m.session, s.user, s.project, m.role, m.status, m.model, m.content, s.tenant \
         FROM messages m CROSS JOIN sessions s ON s.key = m.session \
         WHERE m.key > ?1 ORDER BY m.key LIMIT +?2";
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let query = sqlx::query(SQL).bind(after).bind(MAX_MESSAGES as i64);
    let mut rows = query.fetch(&mut *transaction.connection);
    while let Some(row) = rows.try_next().await? {
        let owner =
            Owner { tenant: row.try_get(8)?, user: row.try_get(2)?, project: row.try_get(3)? };
        let kind = (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
        let content = owned_by(owner.tenant, content_tokens(row.try_get(7)?));
        bytes += content.len();
        let scope = scope_tokens(row.try_get(1)?, owner, kind);
        entries.push(Entry { key: row.try_get(0)?, scope, content });
        if bytes >= MAX_BYTES {
            break;
        }
    }
    let is_all = entries.len() < MAX_MESSAGES && bytes < MAX_BYTES;
    Ok((entries, is_all))
}

/// Puts messages into the index, by few statements: each makes FTS5 write what the one before it has left in memory, as a
/// segment that has to be merged with the others.
async fn insert(transaction: &mut Transaction<'_>, entries: &[Entry]) -> Result<(), sqlx::Error> {
    for entries in entries.chunks(MAX_ROWS) {
        // A few sizes, so that the statements stay prepared; the rows over are empty.
        let rows = ROWS.into_iter().find(|rows| *rows >= entries.len()).unwrap_or(MAX_ROWS);
        let values = vec!["(?,?,?)"; rows].join(",");
        let mut insert = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO search (rowid, scope, content) SELECT * FROM (VALUES {values}) added \
             WHERE column1 IS NOT NULL"
        )));
        for Entry { key, scope, content } in entries {
            insert = insert.bind(key).bind(scope.as_str()).bind(content.as_str());
        }
        insert.execute(&mut *transaction.connection).await?;
    }
    Ok(())
}
