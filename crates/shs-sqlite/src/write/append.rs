//! Appending: neighbouring appends of the queue are stored together, in a few statements.

use std::collections::HashMap;

use shs_store::document::plan_append;
use shs_store::model::ContentDigest;
use shs_store::{
    AppendOptions, Appended, Error, ErrorKind, Message, MessageId, NewMessage, Result, Seq,
    SessionId, Timestamp,
};
use sqlx::Row;
use tokio::sync::oneshot;

use super::transaction::{Record, SessionScope, Transaction};
use crate::error::corrupt;
use crate::row::{self, message_columns, message_joins, to_json};

/// A batch of messages for one session. It was checked before.
pub(crate) struct Append {
    pub(crate) id: SessionId,
    pub(crate) batch: Vec<NewMessage>,
    pub(crate) options: AppendOptions,
}

/// An append and the caller who waits for it.
pub(crate) struct AppendJob {
    append: Append,
    digests: Vec<ContentDigest>,
    outcome: Option<Result<Appended>>,
    reply: oneshot::Sender<Result<Appended>>,
}

impl Append {
    /// The append as it goes into the queue, and where its answer arrives. The digests are computed here, by
    /// the caller, and not by the one writer.
    pub(crate) fn queued(self) -> (super::Queued, oneshot::Receiver<Result<Appended>>) {
        let (reply, answer) = oneshot::channel();
        let digests = self.batch.iter().map(NewMessage::digest).collect();
        let job = AppendJob { append: self, digests, outcome: None, reply };
        (super::Queued::Append(job), answer)
    }
}

impl AppendJob {
    pub(super) fn weight(&self) -> usize {
        self.append.batch.iter().map(|new| new.content.len()).sum()
    }

    pub(super) fn answer(self) {
        let outcome = self.outcome.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Internal, "the append was acknowledged without being run"))
        });
        let _ = self.reply.send(outcome);
    }

    pub(super) fn fail(self, error: Error) {
        let _ = self.reply.send(Err(error.with_session(&self.append.id)));
    }
}

/// A session that is appended to, as it is now and as it will be.
struct Target {
    key: i64,
    scope: SessionScope,
    last_seq: Seq,
    added: i64,
    tokens: i64,
    updated_at: Timestamp,
}

/// A message of a batch: stored by this transaction, or before it.
enum Slot {
    New(usize),
    Stored(MessageId),
}

/// Runs a group of appends as if one after the other.
pub(super) async fn run(
    transaction: &mut Transaction<'_>,
    jobs: &mut dyn SendIterator<'_>,
) -> Result<(), sqlx::Error> {
    let mut jobs: Vec<&mut AppendJob> = jobs.collect();
    let now = transaction.now();
    let mut targets = targets(transaction, &jobs).await?;
    let mut digests = stored_digests(transaction, &jobs, &targets).await?;
    let mut messages: Vec<Message> = Vec::new();
    let mut origins: Vec<(SessionId, ContentDigest)> = Vec::new();
    let mut slots: Vec<Option<Vec<Slot>>> = Vec::with_capacity(jobs.len());
    for job in &mut jobs {
        job.outcome = None;
        let Append { id, batch, options } = &job.append;
        let Some(target) = targets.get_mut(id) else {
            job.outcome = Some(Err(Error::session_not_found(id)));
            slots.push(None);
            continue;
        };
        let known = |message: &MessageId| digests.get(&(target.key, message.clone())).copied();
        let plan = match plan_append(id, target.last_seq, batch, *options, known) {
            Ok(plan) => plan,
            Err(error) => {
                job.outcome = Some(Err(error));
                slots.push(None);
                continue;
            }
        };
        let mut filled = Vec::with_capacity(plan.len());
        for ((new, digest), seq) in batch.iter().zip(&job.digests).zip(plan) {
            let Some(seq) = seq else {
                filled.push(Slot::Stored(new.id.clone()));
                continue;
            };
            target.last_seq = seq;
            target.added += 1;
            target.tokens += new.tokens.map_or(0, i64::from);
            target.updated_at = target.updated_at.max(now);
            digests.insert((target.key, new.id.clone()), *digest);
            filled.push(Slot::New(messages.len()));
            messages.push(new.clone().into_message(seq));
            origins.push((id.clone(), *digest));
        }
        slots.push(Some(filled));
    }
    let records: Vec<Record<'_>> = messages
        .iter()
        .zip(&origins)
        .map(|(message, (id, digest))| {
            let target = &targets[id];
            Record { message, digest: *digest, session: target.key, scope: target.scope }
        })
        .collect();
    transaction.insert_messages(&records).await?;
    if records.is_empty() {
        transaction.write_anyhow().await?;
    }
    drop(records);
    update_sessions(transaction, &targets).await?;
    let mut messages: Vec<Option<Message>> = messages.into_iter().map(Some).collect();
    for (number, filled) in slots.into_iter().enumerate() {
        let Some(filled) = filled else { continue };
        let id = jobs[number].append.id.clone();
        let key = targets[&id].key;
        let mut appended = Vec::with_capacity(filled.len());
        let mut inserted = 0;
        for slot in filled {
            appended.push(match slot {
                Slot::New(at) => {
                    inserted += 1;
                    messages[at].take().expect("each new message belongs to one slot")
                }
                Slot::Stored(message) => load(transaction, key, &message).await?,
            });
        }
        jobs[number].outcome = Some(Ok(Appended::new(appended, inserted)));
    }
    Ok(())
}

/// An iterator over jobs that can be handed across an await.
pub(super) trait SendIterator<'j>: Iterator<Item = &'j mut AppendJob> + Send {}
impl<'j, I: Iterator<Item = &'j mut AppendJob> + Send> SendIterator<'j> for I {}

/// The sessions that the jobs append to; those that do not exist are missing.
async fn targets(
    transaction: &mut Transaction<'_>,
    jobs: &[&mut AppendJob],
) -> Result<HashMap<SessionId, Target>, sqlx::Error> {
    const SQL: &str = "SELECT s.id, s.key, s.user, s.project, s.last_seq, s.updated_at \
         FROM json_each(?1) j CROSS JOIN sessions s ON s.id = j.value";
    let mut ids: Vec<&str> = jobs.iter().map(|job| job.append.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query(SQL).bind(to_json(&ids)).fetch_all(&mut *transaction.connection).await?;
    let mut targets = HashMap::with_capacity(rows.len());
    for row in rows {
        let target = Target {
            key: row.try_get(1)?,
            scope: SessionScope { user: row.try_get(2)?, project: row.try_get(3)? },
            last_seq: row::seq(row.try_get(4)?)?,
            added: 0,
            tokens: 0,
            updated_at: row::time(row.try_get(5)?)?,
        };
        targets.insert(row::id(&row, 0)?, target);
    }
    Ok(targets)
}

/// What was appended before under the ids of the jobs' messages, by session and id.
async fn stored_digests(
    transaction: &mut Transaction<'_>,
    jobs: &[&mut AppendJob],
    targets: &HashMap<SessionId, Target>,
) -> Result<HashMap<(i64, MessageId), ContentDigest>, sqlx::Error> {
    const SQL: &str = "SELECT m.session, m.id, m.digest FROM json_each(?1) j \
         CROSS JOIN messages m ON m.session = j.value ->> 0 AND m.id = j.value ->> 1";
    let mut wanted: Vec<(i64, &str)> = Vec::new();
    for job in jobs {
        if let Some(target) = targets.get(&job.append.id) {
            wanted.extend(job.append.batch.iter().map(|new| (target.key, new.id.as_str())));
        }
    }
    let mut digests = HashMap::new();
    if wanted.is_empty() {
        return Ok(digests);
    }
    let rows =
        sqlx::query(SQL).bind(to_json(&wanted)).fetch_all(&mut *transaction.connection).await?;
    for row in rows {
        let id = MessageId::new(row.try_get::<&str, _>(1)?).map_err(|e| corrupt("id", e))?;
        digests.insert((row.try_get(0)?, id), row::digest(row.try_get(2)?)?);
    }
    Ok(digests)
}

async fn update_sessions(
    transaction: &mut Transaction<'_>,
    targets: &HashMap<SessionId, Target>,
) -> Result<(), sqlx::Error> {
    const SQL: &str = "UPDATE sessions SET message_count = message_count + ?2, \
         total_tokens = total_tokens + ?3, last_seq = ?4, updated_at = ?5 WHERE key = ?1";
    for target in targets.values().filter(|target| target.added > 0) {
        sqlx::query(SQL)
            .bind(target.key)
            .bind(target.added)
            .bind(target.tokens)
            .bind(target.last_seq.get() as i64)
            .bind(target.updated_at.as_micros())
            .execute(&mut *transaction.connection)
            .await?;
    }
    Ok(())
}

async fn load(
    transaction: &mut Transaction<'_>,
    session: i64,
    id: &MessageId,
) -> Result<Message, sqlx::Error> {
    const SQL: &str = concat!(
        "SELECT ",
        message_columns!(),
        " FROM messages m",
        message_joins!(),
        "WHERE m.session = ?1 AND m.id = ?2"
    );
    let row = sqlx::query(SQL)
        .bind(session)
        .bind(id.as_str())
        .fetch_one(&mut *transaction.connection)
        .await?;
    Ok(row::message(&row, 0)?.1)
}
