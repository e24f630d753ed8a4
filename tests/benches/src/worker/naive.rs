//! What one writes first: a pool of sqlx, two plain tables, and a transaction for each append.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shs_store::{MessageId, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Row, SqlitePool};

use super::crowd;
use crate::Result;
use crate::job::{EACH, Figures, Job, Operation};

const SCHEMA: &str = "
    CREATE TABLE sessions (id TEXT PRIMARY KEY, message_count INTEGER NOT NULL, updated_at INTEGER NOT NULL);
    CREATE TABLE messages (
        id TEXT PRIMARY KEY, session TEXT NOT NULL, seq INTEGER NOT NULL, role TEXT NOT NULL,
        content TEXT NOT NULL, timestamp INTEGER NOT NULL, UNIQUE (session, seq)
    );";

pub(super) async fn run(job: &Job, texts: Vec<String>) -> Result<Figures> {
    if job.operation != Operation::Append {
        return Err("the naive pool only appends".into());
    }
    let options = SqliteConnectOptions::new()
        .filename(job.folder.join("naive.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(60));
    let pool = SqlitePool::connect_with(options).await?;
    sqlx::raw_sql(SCHEMA).execute(&pool).await?;
    for caller in 0..job.callers {
        sqlx::query("INSERT INTO sessions VALUES (?, 0, 0)")
            .bind(session_id(caller))
            .execute(&pool)
            .await?;
    }
    let texts = Arc::new(texts);
    let call = |caller: usize, until| {
        let (pool, texts) = (pool.clone(), Arc::clone(&texts));
        async move {
            let session = session_id(caller);
            let mut count = 0;
            while Instant::now() < until {
                append(&pool, &session, &texts[(caller * 37 + count) % texts.len()]).await?;
                count += 1;
            }
            Ok(count)
        }
    };
    crowd(job.callers, job.seconds / 5.0, call).await?;
    let each = crowd(job.callers, job.seconds, call).await?;
    pool.close().await;
    Ok(Figures::from([(EACH.to_owned(), each)]))
}

fn session_id(caller: usize) -> String {
    format!("session-{caller}")
}

async fn append(pool: &SqlitePool, session: &str, text: &str) -> Result<()> {
    let now = Timestamp::now().as_micros();
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let seq: i64 = sqlx::query(
        "UPDATE sessions SET message_count = message_count + 1, updated_at = ? WHERE id = ? \
         RETURNING message_count",
    )
    .bind(now)
    .bind(session)
    .fetch_one(&mut *transaction)
    .await?
    .try_get(0)?;
    sqlx::query("INSERT INTO messages VALUES (?, ?, ?, 'user', ?, ?)")
        .bind(MessageId::generate().as_str())
        .bind(session)
        .bind(seq)
        .bind(text)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}
