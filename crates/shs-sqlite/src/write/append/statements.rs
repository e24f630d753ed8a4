//! The commands of an append. Each is one trip to the database, with several statements in it.
//!
//! sqlx runs the statements of a command one after the other and stops at the first that fails; the stream of
//! its results is read to the end, so the command has succeeded only if all of them have, a `COMMIT` at its
//! end included.

use std::collections::HashMap;

use futures::TryStreamExt;
use shs_store::{Message, MessageId};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Either, Executor, Row};

use super::super::message;
use super::super::transaction::{
    MESSAGE_INSERT, Record, Totals, Transaction, bind_message, chunk_of, count, insert_sql,
};
use super::plan::{Found, New, Plan, Target};
use super::{AppendJob, Begin, Frame, SessionScope};
use crate::error::corrupt;
use crate::row::{self, to_json};

const BEGIN: &str = "BEGIN IMMEDIATE;";
const COMMIT: &str = "COMMIT";

/// Reads what the plan is made of, and the data version for which it stands; begins the transaction if the appends are
/// all there is.
pub(super) async fn find(
    transaction: &mut Transaction<'_>,
    jobs: &[&mut AppendJob],
    frame: Frame,
) -> Result<(Found, i64), sqlx::Error> {
    const SQL: &str = "SELECT arrival, (SELECT data_version FROM pragma_data_version) \
         FROM counters WHERE only_row = 1; \
         SELECT s.id, s.key, s.user, s.project, s.last_seq, s.updated_at \
         FROM json_each(?) j CROSS JOIN sessions s ON s.id = j.value; \
         SELECT m.session, m.id, m.digest FROM json_each(?) j \
         CROSS JOIN sessions s ON s.id = j.value ->> 0 \
         CROSS JOIN messages m ON m.session = s.key AND m.id = j.value ->> 1";
    let mut ids: Vec<&str> = jobs.iter().map(|job| job.append.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let messages: Vec<(&str, &str)> = jobs
        .iter()
        .flat_map(|job| {
            let session = job.append.id.as_str();
            job.append.batch.iter().map(move |new| (session, new.id.as_str()))
        })
        .collect();
    let (sql, first) = match frame {
        // The first result is that of BEGIN.
        Frame::Whole => (format!("{BEGIN} {SQL}"), 1),
        Frame::Part => (SQL.to_owned(), 0),
    };
    let query = sqlx::query(AssertSqlSafe(sql)).bind(to_json(&ids)).bind(to_json(&messages));
    let mut results = transaction.connection.fetch_many(query);
    let mut found = Found { arrival: 0, targets: HashMap::new(), digests: HashMap::new() };
    let (mut ended, mut data_version) = (0, 0);
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Left(_) => ended += 1,
            Either::Right(row) if ended == first => {
                found.arrival = row.try_get(0)?;
                data_version = row.try_get(1)?;
            }
            Either::Right(row) if ended == first + 1 => {
                found.targets.insert(row::id(&row, 0)?, target(&row)?);
            }
            Either::Right(row) => {
                let id =
                    MessageId::new(row.try_get::<&str, _>(1)?).map_err(|e| corrupt("id", e))?;
                found.digests.insert((row.try_get(0)?, id), row::digest(row.try_get(2)?)?);
            }
        }
    }
    Ok((found, data_version))
}

fn target(row: &SqliteRow) -> Result<Target, sqlx::Error> {
    Ok(Target {
        key: row.try_get(1)?,
        scope: SessionScope { user: row.try_get(2)?, project: row.try_get(3)? },
        last_seq: row::seq(row.try_get(4)?)?,
        added: 0,
        tokens: 0,
        updated_at: row::time(row.try_get(5)?)?,
    })
}

/// The repeated messages as they are stored.
pub(super) async fn repeated(
    transaction: &mut Transaction<'_>,
    plan: &Plan,
) -> Result<Vec<Message>, sqlx::Error> {
    let mut messages = Vec::with_capacity(plan.repeated.len());
    for (session, id) in &plan.repeated {
        let stored = message::find(transaction, *session, id).await?;
        messages.push(stored.ok_or(sqlx::Error::RowNotFound)?.message);
    }
    Ok(messages)
}

/// Writes the new messages and all that follows from them but the index, and commits if the appends are all there is.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    jobs: &[&mut AppendJob],
    plan: &Plan,
    frame: Frame,
    begin: Begin,
) -> Result<(), sqlx::Error> {
    const IF_VERSION: &str = "SELECT CASE (SELECT data_version FROM pragma_data_version) \
         WHEN ? THEN 1 ELSE json('another connection has written') END;";
    const COUNTS: &str = "UPDATE sessions SET message_count = message_count + j.added, \
         total_tokens = total_tokens + j.tokens, last_seq = j.last_seq, updated_at = j.updated_at \
         FROM (SELECT value ->> 0 AS key, value ->> 1 AS added, value ->> 2 AS tokens, \
         value ->> 3 AS last_seq, value ->> 4 AS updated_at FROM json_each(?)) j \
         WHERE sessions.key = j.key; \
         INSERT INTO totals (role, model, messages, tokens) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true \
         ON CONFLICT (role, model) DO UPDATE SET messages = messages + excluded.messages, \
         tokens = tokens + excluded.tokens; \
         UPDATE counters SET arrival = arrival + ? WHERE only_row = 1;";
    let commit = if frame == Frame::Whole { COMMIT } else { "" };
    if plan.new.is_empty() {
        if !plan.repeated.is_empty() {
            transaction.write_anyhow().await?;
        }
        if frame == Frame::Whole {
            sqlx::query(COMMIT).execute(&mut *transaction.connection).await?;
        }
        return Ok(());
    }
    let mut models = Vec::with_capacity(plan.new.len());
    let mut totals = Totals::new();
    for new in &plan.new {
        let model = match &new.message.model {
            Some(name) => Some(transaction.model_key(name).await?),
            None => None,
        };
        count(&mut totals, &new.message, model, 1);
        models.push(model);
    }
    let mut at = 0;
    while at < plan.new.len() {
        let rows = chunk_of(plan.new.len() - at);
        let end = at + rows;
        let mut sql = insert_sql(MESSAGE_INSERT, rows);
        let is_last = end == plan.new.len();
        if is_last {
            sql = format!("{sql}; {COUNTS} {commit}");
        }
        let version = match begin {
            Begin::IfVersion(version) if at == 0 => Some(version),
            _ => None,
        };
        if version.is_some() {
            sql = format!("{BEGIN} {IF_VERSION} {sql}");
        }
        let mut query = sqlx::query(AssertSqlSafe(sql));
        if let Some(version) = version {
            query = query.bind(version);
        }
        let first = plan.first_arrival + at as i64;
        for ((key, new), model) in (first..).zip(&plan.new[at..end]).zip(&models[at..end]) {
            query = bind_message(query, key, &record(jobs, new), *model);
        }
        if is_last {
            let totals: Vec<_> =
                totals.iter().map(|((role, model), (m, t))| (role, model, m, t)).collect();
            query = query
                .bind(to_json(&session_counts(plan)))
                .bind(to_json(&totals))
                .bind(plan.new.len() as i64);
        }
        query.execute(&mut *transaction.connection).await?;
        at = end;
    }
    Ok(())
}

fn record<'m>(jobs: &[&mut AppendJob], new: &'m New) -> Record<'m> {
    let digest = jobs[new.job].derived[new.at].digest;
    Record { message: &new.message, digest, session: new.key }
}

/// For each session that is added to: its key, how many messages and tokens more, its last number and time.
fn session_counts(plan: &Plan) -> Vec<(i64, i64, i64, u64, i64)> {
    let changed = plan.targets.values().filter(|target| target.added > 0);
    changed
        .map(|t| (t.key, t.added, t.tokens, t.last_seq.get(), t.updated_at.as_micros()))
        .collect()
}
