//! What a group of appends comes to: which messages are new, which are repeated, which batches are refused.

use std::collections::HashMap;
use std::sync::Arc;

use shs_store::document::plan_append;
use shs_store::model::ContentDigest;
use shs_store::{Appended, Error, Message, MessageId, Result, Seq, SessionKey, Timestamp};

use super::super::transaction::Owner;
use super::{Append, AppendJob};

/// What the database says before anything is written.
pub(super) struct Found {
    /// The last number of arrival that was given.
    pub(super) arrival: i64,
    /// The sessions that exist.
    pub(super) targets: HashMap<SessionKey, Target>,
    /// What was appended under the messages' ids, by session and id.
    pub(super) digests: HashMap<(i64, MessageId), ContentDigest>,
}

/// A session that is appended to, as it is and as it will be.
#[derive(Clone)]
pub(in crate::write) struct Target {
    pub(super) key: i64,
    pub(super) owner: Owner,
    /// The name of its user.
    pub(super) user_id: Option<Arc<str>>,
    pub(super) last_seq: Seq,
    pub(super) added: i64,
    pub(super) tokens: i64,
    pub(super) updated_at: Timestamp,
}

impl Target {
    /// The session as it is, with nothing to be added.
    pub(in crate::write) fn as_it_is(&self) -> Self {
        Self { added: 0, tokens: 0, ..self.clone() }
    }
}

/// What is to be written, and what each caller gets.
pub(super) struct Plan {
    pub(super) targets: HashMap<SessionKey, Target>,
    /// The new messages in their order of arrival.
    pub(super) new: Vec<New>,
    pub(super) first_arrival: i64,
    /// For each job, its messages, or why it is refused.
    slots: Vec<Result<Vec<Slot>>>,
    /// Messages that were stored before this group.
    pub(super) repeated: Vec<(i64, MessageId)>,
}

/// A new message, and where it came from.
pub(super) struct New {
    pub(super) message: Message,
    pub(super) job: usize,
    /// Its place in the job's batch.
    pub(super) at: usize,
    pub(super) key: i64,
    pub(super) owner: Owner,
}

/// A message of a batch.
enum Slot {
    /// The next of the new messages.
    New,
    /// This one of the new messages, which a batch before it in the group brought.
    Again(usize),
    /// This one of the repeated ones.
    Repeated(usize),
}

impl Plan {
    pub(super) fn make(jobs: &[&mut AppendJob], found: Found, now: Timestamp) -> Self {
        let Found { arrival, targets, digests } = found;
        let mut plan = Self {
            targets,
            new: Vec::new(),
            first_arrival: arrival + 1,
            slots: Vec::with_capacity(jobs.len()),
            repeated: Vec::new(),
        };
        let mut brought: HashMap<(i64, MessageId), usize> = HashMap::new();
        for (number, job) in jobs.iter().enumerate() {
            let slots = plan.add(number, job, now, &digests, &mut brought);
            plan.slots.push(slots);
        }
        plan
    }

    /// Whether a batch is refused.
    pub(super) fn refuses_any(&self) -> bool {
        self.slots.iter().any(Result::is_err)
    }

    /// The new message, if it is a single one, and its session's time.
    pub(super) fn only_one(&self) -> Option<(&New, Timestamp)> {
        let [new] = self.new.as_slice() else { return None };
        let target = self.targets.values().find(|target| target.key == new.key)?;
        Some((new, target.updated_at))
    }

    fn add(
        &mut self,
        number: usize,
        job: &AppendJob,
        now: Timestamp,
        digests: &HashMap<(i64, MessageId), ContentDigest>,
        brought: &mut HashMap<(i64, MessageId), usize>,
    ) -> Result<Vec<Slot>> {
        let Append { scope, id, batch, options } = &job.append;
        let target = self.targets.get_mut(&scope.key(id));
        let target = target.filter(|target| scope.has_user(target.user_id.as_deref()));
        let target = target.ok_or_else(|| Error::session_not_found(id))?;
        let (key, new) = (target.key, &self.new);
        let known = |message: &MessageId| {
            let place = (key, message.clone());
            let here = || brought.get(&place).map(|at| new[*at].message.digest());
            digests.get(&place).copied().or_else(here)
        };
        let seqs = plan_append(id, target.last_seq, batch, *options, known)?;
        let mut slots = Vec::with_capacity(batch.len());
        for (at, (new, seq)) in batch.iter().zip(seqs).enumerate() {
            let place = (target.key, new.id.clone());
            let Some(seq) = seq else {
                slots.push(match brought.get(&place) {
                    Some(new) => Slot::Again(*new),
                    None => {
                        self.repeated.push(place);
                        Slot::Repeated(self.repeated.len() - 1)
                    }
                });
                continue;
            };
            target.last_seq = seq;
            target.added += 1;
            target.tokens += new.tokens.map_or(0, i64::from);
            target.updated_at = target.updated_at.max(now);
            brought.insert(place, self.new.len());
            slots.push(Slot::New);
            let message = new.clone().into_message(seq);
            let (key, owner) = (target.key, target.owner);
            self.new.push(New { message, job: number, at, key, owner });
        }
        Ok(slots)
    }

    /// Notes for each job what its caller gets once this is committed.
    pub(super) fn give_outcomes(self, jobs: &mut [&mut AppendJob], repeated: Vec<Message>) {
        let again: HashMap<usize, Message> = self
            .slots
            .iter()
            .flatten()
            .flatten()
            .filter_map(|slot| match slot {
                Slot::Again(new) => Some((*new, self.new[*new].message.clone())),
                Slot::New | Slot::Repeated(_) => None,
            })
            .collect();
        let mut new = self.new.into_iter().map(|new| new.message);
        for (job, slots) in jobs.iter_mut().zip(self.slots) {
            job.outcome = Some(slots.map(|slots| {
                let inserted = slots.iter().filter(|slot| matches!(slot, Slot::New)).count();
                let message = |slot| match slot {
                    Slot::New => new.next().expect("slots stand in the order of the new messages"),
                    Slot::Again(at) => again[&at].clone(),
                    Slot::Repeated(at) => repeated[at].clone(),
                };
                Appended::new(slots.into_iter().map(message).collect(), inserted)
            }));
        }
    }
}
