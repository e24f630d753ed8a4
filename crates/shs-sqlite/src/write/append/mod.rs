//! Appending: neighbouring appends of the queue are stored together, in a few commands.

mod alone;
mod plan;
mod statements;

use std::collections::HashMap;

use shs_store::{
    AppendOptions, Appended, Error, ErrorKind, Message, NewMessage, Result, Scope, SessionId,
};
use tokio::sync::oneshot;

pub(crate) use self::alone::VIEW;
pub(super) use self::plan::Target;
use self::plan::{Found, New, Plan};
use super::execute;
use super::memory::Entry;
use super::transaction::{Owner, Transaction, content_tokens, kind_of, owned_by, scope_tokens};
use crate::error::{is_busy, spoils_connection};

/// A batch of messages for one session. It was checked before.
pub(crate) struct Append {
    pub(crate) scope: Scope,
    pub(crate) id: SessionId,
    pub(crate) batch: Vec<NewMessage>,
    pub(crate) options: AppendOptions,
}

/// An append and the caller who waits for it.
pub(crate) struct AppendJob {
    append: Append,
    /// The tokens of each message of the batch for the index, computed by the caller and not by the one writer.
    tokens: Vec<String>,
    outcome: Option<Result<Appended>>,
    reply: oneshot::Sender<Result<Appended>>,
}

impl Append {
    /// The append as it goes into the queue, and where its answer arrives.
    pub(crate) fn queued(self) -> (super::Queued, oneshot::Receiver<Result<Appended>>) {
        let (reply, answer) = oneshot::channel();
        let tokens = self.batch.iter().map(|new| content_tokens(&new.content)).collect();
        let job = AppendJob { append: self, tokens, outcome: None, reply };
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

/// Who begins and ends the transaction that appends are part of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// The appends are all there is: they begin it with their first command and commit it with their last.
    Whole,
    /// Somebody else.
    Part,
}

/// What stands before the first command that writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// The transaction has begun.
    Done,
    /// It begins with that command, which fails if the last number of arrival is not the one that the plan goes out from.
    WithFirst,
}

/// Runs a group of appends as if one after the other.
pub(super) async fn run(
    transaction: &mut Transaction<'_>,
    jobs: &mut [&mut AppendJob],
    frame: Frame,
) -> Result<(), sqlx::Error> {
    if frame == Frame::Part {
        transaction.memory.forget();
    } else if run_from_memory(transaction, jobs).await? {
        return Ok(());
    }
    let now = transaction.now();
    let found = statements::find(transaction, jobs, frame).await?;
    transaction.memory.look(found.arrival);
    let plan = Plan::make(jobs, found, now);
    let repeated = statements::repeated(transaction, &plan).await?;
    statements::write(transaction, &plan, frame, Begin::Done).await?;
    finish(transaction, jobs, plan, repeated, frame);
    Ok(())
}

/// Runs appends to sessions that are all remembered, in a transaction of their own which begins with a check that nobody
/// has written since. Returns whether that was possible; if not, nothing was done.
///
/// That no message is repeated is not known; the index of ids says so when it refuses one.
async fn run_from_memory(
    transaction: &mut Transaction<'_>,
    jobs: &mut [&mut AppendJob],
) -> Result<bool, sqlx::Error> {
    let keys = jobs.iter().map(|job| job.append.scope.key(&job.append.id));
    let Some((arrival, targets)) = transaction.memory.targets(keys) else {
        return Ok(false);
    };
    let found = Found { arrival, targets, digests: HashMap::new() };
    let plan = Plan::make(jobs, found, transaction.now());
    let has_key = |new: &New| match &new.message.model {
        Some(name) => transaction.memory.model(name).is_some(),
        None => true,
    };
    // A batch that is refused may be a repetition.
    if plan.new.is_empty() || plan.refuses_any() || !plan.new.iter().all(has_key) {
        return Ok(false);
    }
    let written = match plan.only_one() {
        Some((new, updated_at)) => {
            alone::write(transaction, new, plan.first_arrival, updated_at).await
        }
        None => statements::write(transaction, &plan, Frame::Whole, Begin::WithFirst).await,
    };
    match written {
        Ok(()) => {
            finish(transaction, jobs, plan, Vec::new(), Frame::Whole);
            Ok(true)
        }
        Err(error) if is_busy(&error) || spoils_connection(&error) => Err(error),
        Err(error) => {
            transaction.memory.forget();
            // If SQLite did that itself, the connection is not to be used again.
            let is_open = plan.only_one().is_none();
            if is_open && execute(transaction.connection, "ROLLBACK").await.is_err() {
                return Err(error);
            }
            Ok(false)
        }
    }
}

/// Notes the outcomes, and what there is to remember if the appends were committed.
fn finish(
    transaction: &mut Transaction<'_>,
    jobs: &mut [&mut AppendJob],
    mut plan: Plan,
    repeated: Vec<Message>,
    frame: Frame,
) {
    let memory = &mut *transaction.memory;
    memory.add_to_backlog(plan.new.len());
    if frame == Frame::Whole && plan.repeated.is_empty() {
        let before = plan.first_arrival - 1;
        let arrival = before + plan.new.len() as i64;
        let targets = std::mem::take(&mut plan.targets);
        let mut entries = Vec::with_capacity(plan.new.len());
        for (key, new) in (plan.first_arrival..).zip(&plan.new) {
            let model = new.message.model.as_ref().and_then(|name| memory.model(name));
            let scope = scope_tokens(new.key, new.owner, kind_of(&new.message, model));
            let content = std::mem::take(&mut jobs[new.job].tokens[new.at]);
            let content = owned_by(new.owner.tenant, content);
            entries.push(Entry { key, scope, content });
        }
        memory.learn((before, arrival), targets, entries);
    } else {
        memory.forget();
    }
    plan.give_outcomes(jobs, repeated);
}
