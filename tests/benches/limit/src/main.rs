//! What SQLite can do at the most: the same schema, the same rows and the same index as the library's, written by
//! one connection through the C interface, with nothing around it.
//!
//! It takes a job as its only argument and prints figures, as every contestant does.

use std::error::Error;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};
use serde::Deserialize;
use shs_store::text::tokens;
use shs_store::{NewMessage, Timestamp};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SCHEMA: &str = concat!(
    include_str!("../../../../crates/shs-sqlite/src/open/schema/1.sql"),
    include_str!("../../../../crates/shs-sqlite/src/open/schema/2.sql"),
    include_str!("../../../../crates/shs-sqlite/src/open/schema/3.sql"),
    include_str!("../../../../crates/shs-sqlite/src/open/schema/4.sql"),
);
/// Most messages in one transaction, as in the library.
const MAX_BATCH: usize = 512;
/// Stands for a checksum, and takes as many bytes.
const CHECKSUM: i64 = u32::MAX as i64;
/// How many rows one statement puts into the index.
const ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// The part of a job that matters here.
#[derive(Deserialize)]
struct Job {
    folder: PathBuf,
    texts: PathBuf,
    seconds: f64,
    callers: usize,
}

fn main() -> Result<()> {
    let job: Job = serde_json::from_str(&std::env::args().nth(1).ok_or("usage: JOB")?)?;
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(&job.texts)?)?;
    let mut connection = open(&job)?;
    let seconds = Duration::from_secs_f64(job.seconds);
    let mut append = |length| {
        if job.callers == 1 {
            one_by_one(&mut connection, &texts, length)
        } else {
            in_groups(&mut connection, &texts, job.callers, length)
        }
    };
    append(seconds / 5)?;
    println!("{{\"each\":{}}}", append(seconds)?);
    Ok(())
}

fn open(job: &Job) -> Result<Connection> {
    let connection = Connection::open(job.folder.join("limit.db"))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;",
    )?;
    connection.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
    for caller in 0..job.callers {
        connection.execute(
            "INSERT INTO sessions (tenant, id, created_at, updated_at, message_count, total_tokens, last_seq) \
             VALUES (0, ?1, 0, 0, 0, 0, 0)",
            [session_id(caller)],
        )?;
    }
    Ok(connection)
}

fn session_id(caller: usize) -> String {
    format!("session-{caller}")
}

/// A message as the writer gets it.
struct Ready {
    caller: usize,
    message: NewMessage,
    /// The 16 bytes of its id.
    id: [u8; 16],
    tokens: String,
}

impl Ready {
    fn new(caller: usize, text: &str) -> Self {
        let message = NewMessage::user(text);
        let mut indexed = String::with_capacity(text.len() + 8);
        tokens(text, |token| {
            if !indexed.is_empty() {
                indexed.push(' ');
            }
            indexed.push_str(token);
        });
        let id = bytes_of(message.id.as_str());
        Self { caller, message, id, tokens: indexed }
    }
}

/// The bytes of a UUID.
fn bytes_of(uuid: &str) -> [u8; 16] {
    let number = u128::from_str_radix(&uuid.replace('-', ""), 16);
    number.expect("ids that are generated are UUIDs").to_be_bytes()
}

/// One caller who waits for each commit.
fn one_by_one(connection: &mut Connection, texts: &[String], length: Duration) -> Result<f64> {
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < length {
        write(connection, &[Ready::new(0, &texts[count % texts.len()])])?;
        count += 1;
    }
    Ok(begin.elapsed().as_secs_f64() / count as f64)
}

/// Many callers, each of whom waits for the commit of a group: this thread writes, another one plays them all, so
/// that no time goes into waking threads.
fn in_groups(
    connection: &mut Connection,
    texts: &[String],
    callers: usize,
    length: Duration,
) -> Result<f64> {
    let (queue, waiting) = mpsc::sync_channel(1_024);
    let (answers, answered) = mpsc::channel();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || call(texts, callers, begin + length, &queue, &answered));
        let count = work(connection, &waiting, &answers)?;
        Ok(begin.elapsed().as_secs_f64() / count as f64)
    })
}

fn call(
    texts: &[String],
    callers: usize,
    until: Instant,
    queue: &SyncSender<Ready>,
    answered: &Receiver<Vec<usize>>,
) {
    let mut text = texts.iter().cycle();
    let mut next = |caller| Ready::new(caller, text.next().expect("there are texts"));
    for caller in 0..callers {
        if queue.send(next(caller)).is_err() {
            return;
        }
    }
    while let Ok(group) = answered.recv() {
        for caller in group {
            if Instant::now() >= until || queue.send(next(caller)).is_err() {
                return;
            }
        }
    }
}

fn work(
    connection: &mut Connection,
    waiting: &Receiver<Ready>,
    answers: &Sender<Vec<usize>>,
) -> Result<usize> {
    let mut count = 0;
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        while group.len() < MAX_BATCH {
            let Ok(next) = waiting.try_recv() else { break };
            group.push(next);
        }
        write(connection, &group)?;
        count += group.len();
        // The callers leave at the end.
        let _ = answers.send(group.iter().map(|ready| ready.caller).collect());
    }
    Ok(count)
}

/// One transaction: what the library reads and writes for a group of appends.
fn write(connection: &mut Connection, group: &[Ready]) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let arrival: i64 = transaction
        .prepare_cached("SELECT arrival FROM counters WHERE only_row = 1")?
        .query_row([], |row| row.get(0))?;
    let mut sessions = Vec::with_capacity(group.len());
    {
        let mut find = transaction.prepare_cached(
            "SELECT key, last_seq FROM sessions WHERE tenant = 0 AND id = ?1",
        )?;
        let mut repeated = transaction
            .prepare_cached("SELECT key FROM messages WHERE session = ?1 AND id = ?2")?;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO messages (key, session, seq, id, role, status, timestamp, checksum, tokens, \
             model, latency_ms, digest, parts, metadata, extra, content) \
             VALUES (?1, ?2, ?3, ?4, 0, 1, ?5, ?6, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ?7)",
        )?;
        let mut update = transaction.prepare_cached(
            "UPDATE sessions SET message_count = message_count + 1, last_seq = ?2, updated_at = ?3 \
             WHERE key = ?1",
        )?;
        for (key, ready) in (arrival + 1..).zip(group) {
            let (session, last): (i64, i64) =
                find.query_row([session_id(ready.caller)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let id = &ready.id;
            if repeated.exists(params![session, id])? {
                return Err("an id was given twice".into());
            }
            let now = Timestamp::now().as_micros();
            let content = &ready.message.content;
            insert.execute(params![key, session, last + 1, id, now, CHECKSUM, content])?;
            update.execute(params![session, last + 1, now])?;
            sessions.push(session);
        }
    }
    index(&transaction, arrival + 1, group, &sessions)?;
    transaction
        .prepare_cached(
            "INSERT INTO totals (tenant, role, model, messages, tokens) VALUES (0, 0, 0, ?1, 0) \
             ON CONFLICT (tenant, role, model) DO UPDATE SET messages = messages + excluded.messages",
        )?
        .execute([group.len() as i64])?;
    transaction
        .prepare_cached("UPDATE counters SET arrival = arrival + ?1 WHERE only_row = 1")?
        .execute([group.len() as i64])?;
    Ok(transaction.commit()?)
}

fn index(
    transaction: &Transaction<'_>,
    first: i64,
    group: &[Ready],
    sessions: &[i64],
) -> Result<()> {
    let mut at = 0;
    while at < group.len() {
        let left = group.len() - at;
        let rows = ROWS.into_iter().find(|rows| *rows <= left).unwrap_or(1);
        let mut insert = bulk_insert(transaction, rows)?;
        for row in 0..rows {
            let scope = format!("s{} r0 t1", sessions[at + row]);
            insert.raw_bind_parameter(row * 3 + 1, first + (at + row) as i64)?;
            insert.raw_bind_parameter(row * 3 + 2, scope)?;
            insert.raw_bind_parameter(row * 3 + 3, group[at + row].tokens.as_str())?;
        }
        insert.raw_execute()?;
        at += rows;
    }
    Ok(())
}

fn bulk_insert<'t>(transaction: &'t Transaction<'_>, rows: usize) -> Result<CachedStatement<'t>> {
    let places = vec!["(?, ?, ?)"; rows].join(", ");
    let sql = format!("INSERT INTO search (rowid, scope, content) VALUES {places}");
    Ok(transaction.prepare_cached(&sql)?)
}
