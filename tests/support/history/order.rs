//! The one order of a session's messages, put together from everything that anybody was told of it.

use std::collections::{BTreeMap, HashMap};

use super::check::{Broken, Fault};
use super::{Entry, NEVER, What};

/// A message, and when it came and went.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// When somebody began to append it: it cannot be seen before.
    pub(super) began: u64,
    /// When that was acknowledged: it has to be seen afterwards.
    pub(super) acknowledged: u64,
    /// Its number, once somebody was told of it.
    pub(super) seq: Option<u64>,
    /// How many messages of its batch stand behind it.
    batch: usize,
    /// When its deletion began, and was acknowledged.
    pub(super) deletion: (u64, u64),
}

/// A session's messages.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) by_id: HashMap<String, Message>,
    pub(super) by_seq: BTreeMap<u64, String>,
}

impl Order {
    /// Puts the order together.
    pub(super) fn of(entries: &[Entry]) -> Result<Self, Broken> {
        let mut order = Self::default();
        for entry in entries {
            if let What::Append { ids, .. } = &entry.what {
                for (at, id) in ids.iter().enumerate() {
                    order.append(id, ids.len() - 1 - at, entry);
                }
            }
        }
        for entry in entries {
            match &entry.what {
                What::Append { ids, seqs } => order.number_batch(ids, seqs, entry)?,
                What::Read { messages, .. } => {
                    for (seq, id) in messages {
                        order.number(id, *seq, entry)?;
                    }
                }
                What::Delete { id } => {
                    let message = order.message_mut(id, entry)?;
                    message.deletion = (entry.began, entry.ended);
                }
                What::Count { .. } | What::Find { .. } => {}
            }
        }
        let given = order.by_seq.keys();
        if let Some((missing, _)) = (1..).zip(given).find(|(expected, seq)| expected != *seq) {
            return Err(Broken::new(Fault::Gap, format!("nobody has the number {missing}")));
        }
        Ok(order)
    }

    fn append(&mut self, id: &str, batch: usize, entry: &Entry) {
        let message = self.by_id.entry(id.to_owned()).or_insert(Message {
            began: NEVER,
            acknowledged: NEVER,
            seq: None,
            batch,
            deletion: (NEVER, NEVER),
        });
        message.began = message.began.min(entry.began);
        message.acknowledged = message.acknowledged.min(entry.ended);
    }

    fn number_batch(&mut self, ids: &[String], seqs: &[u64], entry: &Entry) -> Result<(), Broken> {
        if entry.ended == NEVER {
            return Ok(());
        }
        let consecutive = seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        if seqs.len() != ids.len() || !consecutive {
            return Err(Broken::at(
                entry,
                Fault::Torn,
                format!("a batch has the numbers {seqs:?}"),
            ));
        }
        for (id, seq) in ids.iter().zip(seqs) {
            self.number(id, *seq, entry)?;
        }
        Ok(())
    }

    fn message_mut(&mut self, id: &str, entry: &Entry) -> Result<&mut Message, Broken> {
        let unknown = || Broken::at(entry, Fault::Unknown, format!("nobody appended {id}"));
        self.by_id.get_mut(id).ok_or_else(unknown)
    }

    /// Notes the number of a message, which everybody has to be told the same.
    fn number(&mut self, id: &str, seq: u64, entry: &Entry) -> Result<(), Broken> {
        let before = self.message_mut(id, entry)?.seq.replace(seq);
        if let Some(before) = before.filter(|before| *before != seq) {
            let detail = format!("{id} has the numbers {before} and {seq}");
            return Err(Broken::at(entry, Fault::Doubled, detail));
        }
        match self.by_seq.insert(seq, id.to_owned()) {
            Some(other) if other != id => {
                let detail = format!("{other} and {id} have the number {seq}");
                Err(Broken::at(entry, Fault::Doubled, detail))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn at(&self, seq: u64) -> Option<&Message> {
        self.by_seq.get(&seq).map(|id| &self.by_id[id])
    }

    /// The last number of the batch of which a message is.
    pub(super) fn end_of_batch(&self, seq: u64) -> u64 {
        self.at(seq).map_or(seq, |message| seq + message.batch as u64)
    }
}
