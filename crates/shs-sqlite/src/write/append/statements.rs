//! The commands of an append. Each is one trip to the database, with several statements in it.
//!
//! sqlx runs the statements of a command one after the other and stops at the first that fails; its results are read
//! up to that of the last statement, so the command has succeeded only if all of them have, a `COMMIT` at its end included.

use std::collections::HashMap;

use futures::TryStreamExt;
use shs_store::{Message, SessionKey};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Either, Executor, Row};

use super::super::message;
use super::super::transaction::{
    MESSAGE_INSERT, Record, Totals, Transaction, bind_message, chunk_of, count, insert_sql,
};
use super::plan::{Found, New, Plan, Target};
use super::{AppendJob, Begin, Frame, Owner};
use crate::checksum::{add_to_totals, counter, recount, weight};
use crate::packed::PackedId;
use crate::row::{
    self, SessionRow, message_columns, message_joins, session_columns, session_joins, tenant,
    to_json,
};

const BEGIN: &str = "BEGIN IMMEDIATE;";
const COMMIT: &str = "COMMIT";

/// Reads what the plan is made of; begins the transaction if the appends are all there is.
pub(super) async fn find(
    transaction: &mut Transaction<'_>,
    jobs: &[&mut AppendJob],
    frame: Frame,
) -> Result<Found, sqlx::Error> {
    const SQL: &str = concat!(
        "SELECT ",
        counter!("arrival"),
        " FROM counters WHERE only_row = 1; SELECT j.key, s.user, s.project, ",
        session_columns!(),
        " FROM json_each(?) j CROSS JOIN sessions s ON s.tenant = ",
        tenant!("(j.value ->> 0)"),
        " AND s.id = j.value ->> 1",
        session_joins!(),
        "; SELECT ",
        message_columns!(),
        " FROM json_each(?) j CROSS JOIN sessions s ON s.tenant = ",
        tenant!("(j.value ->> 0)"),
        " AND s.id = j.value ->> 1 \
         CROSS JOIN messages m ON m.session = s.key AND m.id = coalesce(unhex(j.value ->> 2), j.value ->> 3)",
        message_joins!(),
    );
    let mut keys: Vec<SessionKey> =
        jobs.iter().map(|job| job.append.scope.key(&job.append.id)).collect();
    keys.sort_unstable();
    keys.dedup();
    let sessions: Vec<[&str; 2]> =
        keys.iter().map(|key| [key.tenant.as_str(), key.id.as_str()]).collect();
    let mut messages = Vec::with_capacity(jobs.len());
    for job in jobs {
        for new in &job.append.batch {
            let (hex, text) = PackedId::new(&new.id).pair();
            let tenant = job.append.scope.tenant_id().as_str();
            messages.push((tenant, job.append.id.as_str(), hex, text));
        }
    }
    let (sql, first) = match frame {
        // The first result is that of BEGIN.
        Frame::Whole => (format!("{BEGIN} {SQL}"), 1),
        Frame::Part => (SQL.to_owned(), 0),
    };
    let query = sqlx::query(AssertSqlSafe(sql)).bind(to_json(&sessions)).bind(to_json(&messages));
    let mut results = transaction.connection.fetch_many(query);
    let mut found = Found { arrival: 0, targets: HashMap::new(), digests: HashMap::new() };
    let mut ended = 0;
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Left(_) => ended += 1,
            Either::Right(row) if ended == first => found.arrival = row.try_get(0)?,
            Either::Right(row) if ended == first + 1 => {
                let at: i64 = row.try_get(0)?;
                let key = usize::try_from(at).ok().and_then(|at| keys.get(at));
                let key = key.ok_or(sqlx::Error::RowNotFound)?;
                found.targets.insert(key.clone(), target(&row)?);
            }
            Either::Right(row) => {
                let row = row::message(&row, 0)?;
                let digest = row.digest();
                found.digests.insert((row.session, row.message.id), digest);
            }
        }
    }
    Ok(found)
}

fn target(row: &SqliteRow) -> Result<Target, sqlx::Error> {
    let SessionRow { key, tenant, session, .. } = row::session(row, 3)?;
    Ok(Target {
        key,
        owner: Owner { tenant, user: row.try_get(1)?, project: row.try_get(2)? },
        user_id: session.user_id.map(Into::into),
        last_seq: session.last_seq,
        added: 0,
        tokens: 0,
        updated_at: session.updated_at,
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
        messages.push(stored.ok_or(sqlx::Error::RowNotFound)?.row.message);
    }
    Ok(messages)
}

/// Writes the new messages and all that follows from them but the index, and commits if the appends are all there is.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    plan: &Plan,
    frame: Frame,
    begin: Begin,
) -> Result<(), sqlx::Error> {
    const ARRIVAL: &str = concat!(
        "UPDATE counters SET arrival = CASE arrival WHEN ? THEN ? ELSE json('moved') END, \
         checksum = checksum + ",
        weight!(arrival),
        " * ? WHERE only_row = 1;"
    );
    let commit = if frame == Frame::Whole { COMMIT } else { "" };
    if plan.new.is_empty() {
        if !plan.repeated.is_empty() {
            transaction.pass_over_arrival().await?;
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
        count(&mut totals, new.owner.tenant, &new.message, model, 1);
        models.push(model);
    }
    let counts = Counts::new(plan, &totals);
    let mut at = 0;
    while at < plan.new.len() {
        let rows = chunk_of(plan.new.len() - at);
        let end = at + rows;
        let mut sql = String::new();
        let mut statements = 1;
        let (is_first, is_last) = (at == 0, end == plan.new.len());
        if is_first && begin == Begin::WithFirst {
            sql.push_str(BEGIN);
            statements += 1;
        }
        if is_first {
            sql.push_str(ARRIVAL);
            statements += 1;
        }
        sql.push_str(&insert_sql(MESSAGE_INSERT, rows));
        if is_last {
            sql.push(';');
            counts.push_to(&mut sql);
            sql.push_str(commit);
            statements += if frame == Frame::Whole { 3 } else { 2 };
        }
        let mut query = sqlx::query(AssertSqlSafe(sql));
        if is_first {
            let before = plan.first_arrival - 1;
            let count = plan.new.len() as i64;
            query = query.bind(before).bind(before + count).bind(count);
        }
        let first = plan.first_arrival + at as i64;
        for ((key, new), model) in (first..).zip(&plan.new[at..end]).zip(&models[at..end]) {
            query = bind_message(query, key, &record(new), *model);
        }
        if is_last {
            query = counts.bind(query);
        }
        transaction.command(query, statements).await?;
        at = end;
    }
    Ok(())
}

pub(super) fn record(new: &New) -> Record<'_> {
    let (session, tenant) = (new.key, new.owner.tenant);
    Record { message: &new.message, changed_from: None, session, tenant }
}

/// What appends add to the counts of sessions and to the totals.
struct Counts {
    /// A session's key, how many messages and tokens more, its last number and time.
    sessions: Vec<[i64; 5]>,
    /// As JSON: tenant, role, model, messages and tokens.
    totals: String,
}

impl Counts {
    /// How many sessions one statement counts. The rows over are empty, so that few statements stay prepared.
    const SIZES: [usize; 4] = [1, 16, 64, 512];

    fn new(plan: &Plan, totals: &Totals) -> Self {
        let session = |t: &Target| {
            [t.key, t.added, t.tokens, t.last_seq.get() as i64, t.updated_at.as_micros()]
        };
        let changed = plan.targets.values().filter(|target| target.added > 0);
        let total = |((tenant, role, model), (messages, tokens)): (&_, &_)| {
            [*tenant, *role, *model, *messages, *tokens]
        };
        let totals: Vec<[i64; 5]> = totals.iter().map(total).collect();
        Self { sessions: changed.map(session).collect(), totals: to_json(&totals) }
    }

    /// How many rows there are with the empty ones: the queue takes no more sessions at once than the largest size.
    fn rows(&self) -> usize {
        let fits = |size: &usize| *size >= self.sessions.len();
        Self::SIZES.into_iter().find(fits).unwrap_or(self.sessions.len())
    }

    fn push_to(&self, sql: &mut String) {
        const SESSIONS: &str = concat!(
            "UPDATE OR FAIL sessions SET ",
            recount!(
                message_count = "(message_count + j.column2)",
                total_tokens = "(total_tokens + j.column3)",
                last_seq = "j.column4",
                updated_at = "j.column5",
            ),
            " FROM (VALUES "
        );
        const TOTALS: &str = add_to_totals!(
            "SELECT value ->> 0 AS tenant, value ->> 1 AS role, value ->> 2 AS model, \
             value ->> 3 AS messages, value ->> 4 AS tokens FROM json_each(?)"
        );
        sql.push_str(SESSIONS);
        sql.push_str(&vec!["(?,?,?,?,?)"; self.rows()].join(","));
        sql.push_str(") j WHERE sessions.key = j.column1; ");
        sql.push_str(TOTALS);
        sql.push(';');
    }

    fn bind<'q>(&'q self, query: row::Query<'q>) -> row::Query<'q> {
        let query = self.sessions.iter().flatten().fold(query, |query, value| query.bind(value));
        let empty = (self.rows() - self.sessions.len()) * 5;
        let query = (0..empty).fold(query, |query, _| query.bind(None::<i64>));
        query.bind(self.totals.as_str())
    }
}
