//! Whether a history is one that a store may have.

use std::collections::BTreeMap;
use std::fmt;

use super::order::{Message, Order};
use super::{Entry, NEVER, What};

/// What is wrong with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was acknowledged, or a number before one that was seen, is not seen: it is lost, or the read is stale.
    Missing,
    /// Somebody had seen more before: reads go backwards.
    Backwards,
    /// A message has two numbers, or a number two messages.
    Doubled,
    /// A number was never given to anything.
    Gap,
    /// An append that began after another was acknowledged stands before it, or a read is not by rising number.
    Reordered,
    /// Some of a batch are there, and others not.
    Torn,
    /// A message is seen before anybody appended it.
    Early,
    /// A message is seen that nobody appended.
    Unknown,
    /// A deleted message is seen.
    Undead,
    /// The session's counts are not those of its messages.
    Miscounted,
}

/// A history that no store may have.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What is wrong.
    pub fault: Fault,
    detail: String,
}

impl Broken {
    pub(super) fn new(fault: Fault, detail: String) -> Self {
        Self { fault, detail }
    }

    pub(super) fn at(entry: &Entry, fault: Fault, detail: String) -> Self {
        let Entry { task, session, began, ended, .. } = entry;
        let place = format!("task {task}, session {session}, from {began} to {ended}");
        Self::new(fault, format!("{detail} ({place})"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.fault, self.detail)
    }
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Operations.
    pub operations: usize,
    /// Messages that were appended and acknowledged, each once.
    pub appended: usize,
    /// Messages that were read.
    pub read: usize,
    /// Operations that were never answered.
    pub unanswered: usize,
}

/// Checks a history.
///
/// # Errors
/// With the first thing that is wrong.
pub fn check(entries: &[Entry]) -> Result<Figures, Broken> {
    let mut sessions: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        sessions.entry(&entry.session).or_default().push(entry.clone());
    }
    let mut figures = Figures { operations: entries.len(), ..Figures::default() };
    for entries in sessions.values_mut() {
        entries.sort_by_key(|entry| entry.began);
        let order = Order::of(entries)?;
        let known = known_before(entries, &order);
        let deletions = Deletions::of(&order);
        for (entry, known) in entries.iter().zip(known) {
            Observation { entry, known, order: &order, deletions: &deletions }.check()?;
        }
        for entry in entries.iter() {
            figures.unanswered += usize::from(entry.ended == NEVER);
            if let What::Read { messages, .. } = &entry.what {
                figures.read += messages.len();
            }
        }
        let acknowledged = order.by_id.values().filter(|message| message.acknowledged != NEVER);
        figures.appended += acknowledged.count();
    }
    Ok(figures)
}

/// What had been made known when an operation began: the highest number that was acknowledged, and that was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    acknowledged: u64,
    seen: u64,
}

/// For each operation, by its beginning, what had been made known by those that had ended.
fn known_before(entries: &[Entry], order: &Order) -> Vec<Known> {
    let mut ended: Vec<&Entry> = entries.iter().filter(|entry| entry.ended != NEVER).collect();
    ended.sort_by_key(|entry| entry.ended);
    let mut ended = ended.into_iter().peekable();
    let mut known = Known::default();
    let before = |entry: &Entry| -> Known {
        while let Some(earlier) = ended.next_if(|earlier| earlier.ended < entry.began) {
            match &earlier.what {
                What::Append { seqs, .. } => {
                    let last = seqs.iter().copied().max().unwrap_or(0);
                    known.acknowledged = known.acknowledged.max(last);
                }
                What::Read { messages, .. } => {
                    known.seen = known.seen.max(messages.last().map_or(0, |(seq, _)| *seq));
                }
                What::Count { last_seq, .. } => known.seen = known.seen.max(*last_seq),
                What::Find { id, found: true } => {
                    let seq = order.by_id.get(id).and_then(|message| message.seq);
                    known.seen = known.seen.max(seq.unwrap_or(0));
                }
                What::Find { found: false, .. } | What::Delete { .. } => {}
            }
        }
        known
    };
    entries.iter().map(before).collect()
}

/// When deletions began, and when they were acknowledged, each rising.
struct Deletions {
    began: Vec<u64>,
    acknowledged: Vec<u64>,
}

impl Deletions {
    fn of(order: &Order) -> Self {
        let deleted = || order.by_id.values().map(|message| message.deletion);
        let mut began: Vec<u64> = deleted().map(|(began, _)| began).collect();
        let mut acknowledged: Vec<u64> = deleted().map(|(_, acknowledged)| acknowledged).collect();
        began.sort_unstable();
        acknowledged.sort_unstable();
        Self { began, acknowledged }
    }

    fn before(times: &[u64], time: u64) -> u64 {
        times.partition_point(|at| *at < time) as u64
    }
}

/// One operation with what it has to agree with.
struct Observation<'a> {
    entry: &'a Entry,
    known: Known,
    order: &'a Order,
    deletions: &'a Deletions,
}

impl Observation<'_> {
    fn check(&self) -> Result<(), Broken> {
        match &self.entry.what {
            What::Append { ids, seqs } => self.check_append(ids, seqs),
            What::Read { above, up_to, messages } => self.check_read(*above, *up_to, messages),
            What::Count { messages, last_seq } => self.check_count(*messages, *last_seq),
            What::Find { id, found } => self.check_find(id, *found),
            What::Delete { .. } => Ok(()),
        }
    }

    fn broken(&self, fault: Fault, detail: String) -> Broken {
        Broken::at(self.entry, fault, detail)
    }

    /// Messages that are new stand behind all that was known when they were appended.
    fn check_append(&self, ids: &[String], seqs: &[u64]) -> Result<(), Broken> {
        let latest = self.known.acknowledged.max(self.known.seen);
        for (id, seq) in ids.iter().zip(seqs) {
            if self.order.by_id[id].began == self.entry.began && *seq <= latest {
                let detail = format!("{id} got {seq} when {latest} was known");
                return Err(self.broken(Fault::Reordered, detail));
            }
        }
        Ok(())
    }

    fn check_read(&self, above: u64, up_to: u64, read: &[(u64, String)]) -> Result<(), Broken> {
        let rising = read.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let inside = read.iter().all(|(seq, _)| (above + 1..=up_to).contains(seq));
        if !rising || !inside {
            return Err(self.broken(Fault::Reordered, format!("{read:?} is not by number")));
        }
        let last = read.last().map_or(above, |(seq, _)| *seq);
        let end = up_to.min(last.max(self.known.acknowledged).max(self.known.seen));
        let mut read = read.iter().peekable();
        for seq in above + 1..=end {
            match read.next_if(|(found, _)| *found == seq) {
                Some((_, id)) => self.may_be_seen(id, &self.order.by_id[id])?,
                None => self.may_be_missing(seq, last)?,
            }
        }
        if up_to == NEVER && last > 0 { self.ends_with_a_batch(last) } else { Ok(()) }
    }

    fn may_be_seen(&self, id: &str, message: &Message) -> Result<(), Broken> {
        if message.began > self.entry.ended {
            return Err(self.broken(Fault::Early, format!("{id} is seen before it is appended")));
        }
        if message.deletion.1 < self.entry.began {
            return Err(self.broken(Fault::Undead, format!("{id} was deleted")));
        }
        Ok(())
    }

    /// Only what somebody had begun to delete may be missing before the last number that is seen or known.
    fn may_be_missing(&self, seq: u64, last: u64) -> Result<(), Broken> {
        if self.order.at(seq).is_some_and(|message| message.deletion.0 < self.entry.ended) {
            return Ok(());
        }
        let acknowledged = self.known.acknowledged;
        let is_hole = seq <= acknowledged || seq < last;
        let fault = if is_hole { Fault::Missing } else { Fault::Backwards };
        Err(self.broken(fault, format!("{seq} is not seen; {acknowledged} was acknowledged")))
    }

    /// What is seen last is the end of a batch.
    fn ends_with_a_batch(&self, last: u64) -> Result<(), Broken> {
        for seq in last + 1..=self.order.end_of_batch(last) {
            let message = self.order.at(seq);
            if message.is_some_and(|message| message.deletion.0 >= self.entry.ended) {
                let detail = format!("{last} is seen, and {seq} of the same batch is not");
                return Err(self.broken(Fault::Torn, detail));
            }
        }
        Ok(())
    }

    fn check_count(&self, count: u64, last: u64) -> Result<(), Broken> {
        let Known { acknowledged, seen } = self.known;
        if last < acknowledged {
            let detail = format!("the last number is {last}; {acknowledged} was acknowledged");
            return Err(self.broken(Fault::Missing, detail));
        }
        if last < seen {
            let detail = format!("the last number is {last}; {seen} had been seen");
            return Err(self.broken(Fault::Backwards, detail));
        }
        if last > 0 {
            let Some(id) = self.order.by_seq.get(&last) else {
                return Err(self.broken(Fault::Gap, format!("nobody has the number {last}")));
            };
            if self.order.by_id[id].began > self.entry.ended {
                return Err(self.broken(Fault::Early, format!("{id} is counted too early")));
            }
            self.ends_with_a_batch(last)?;
        }
        let most =
            last - Deletions::before(&self.deletions.acknowledged, self.entry.began).min(last);
        let least = last - Deletions::before(&self.deletions.began, self.entry.ended).min(last);
        if !(least..=most).contains(&count) {
            let detail = format!("{count} are counted up to {last}, not {least} to {most}");
            return Err(self.broken(Fault::Miscounted, detail));
        }
        Ok(())
    }

    fn check_find(&self, id: &str, found: bool) -> Result<(), Broken> {
        let Some(message) = self.order.by_id.get(id) else {
            return Err(self.broken(Fault::Unknown, format!("nobody appended {id}")));
        };
        if found {
            return self.may_be_seen(id, message);
        }
        match message.seq {
            Some(seq) if seq <= self.known.acknowledged.max(self.known.seen) => {
                self.may_be_missing(seq, 0)
            }
            _ => Ok(()),
        }
    }
}
