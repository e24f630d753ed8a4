//! Appending: neighbouring appends of the queue are stored together, in a few commands.

mod plan;
mod statements;

use shs_store::model::ContentDigest;
use shs_store::{AppendOptions, Appended, Error, ErrorKind, NewMessage, Result, SessionId};
use tokio::sync::oneshot;

use self::plan::Plan;
use super::transaction::{SessionScope, Transaction, content_tokens};

/// A batch of messages for one session. It was checked before.
pub(crate) struct Append {
    pub(crate) id: SessionId,
    pub(crate) batch: Vec<NewMessage>,
    pub(crate) options: AppendOptions,
}

/// An append and the caller who waits for it.
pub(crate) struct AppendJob {
    append: Append,
    /// For each message of the batch.
    derived: Vec<Derived>,
    outcome: Option<Result<Appended>>,
    reply: oneshot::Sender<Result<Appended>>,
}

/// What is computed from a message by its caller, and not by the one writer.
struct Derived {
    digest: ContentDigest,
    /// The tokens for the index.
    tokens: String,
}

impl Append {
    /// The append as it goes into the queue, and where its answer arrives.
    pub(crate) fn queued(self) -> (super::Queued, oneshot::Receiver<Result<Appended>>) {
        let (reply, answer) = oneshot::channel();
        let derive = |new: &NewMessage| Derived {
            digest: new.digest(),
            tokens: content_tokens(&new.content),
        };
        let derived = self.batch.iter().map(derive).collect();
        let job = AppendJob { append: self, derived, outcome: None, reply };
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

/// Runs a group of appends as if one after the other.
pub(super) async fn run(
    transaction: &mut Transaction<'_>,
    jobs: &mut [&mut AppendJob],
    frame: Frame,
) -> Result<(), sqlx::Error> {
    let now = transaction.now();
    let found = statements::find(transaction, jobs, frame).await?;
    let plan = Plan::make(jobs, found, now);
    let repeated = statements::repeated(transaction, &plan).await?;
    statements::write(transaction, jobs, &plan, frame).await?;
    plan.give_outcomes(jobs, repeated);
    Ok(())
}
