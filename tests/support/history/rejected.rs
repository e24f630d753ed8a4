//! Histories put together by hand: those that may be pass, and each that may not be is found out.

use super::{Entry, Fault, NEVER, What, check};

/// A history that is put together by hand; time is the place in it, each operation ending before the next begins.
#[derive(Clone, Default)]
struct History(Vec<Entry>);

impl History {
    fn then(mut self, task: usize, what: What) -> Self {
        let now = self.0.len() as u64 * 10;
        self.0.push(Entry { task, session: "s".to_owned(), began: now + 1, ended: now + 2, what });
        self
    }

    /// The last operation began while those before it, back to this one, had not ended.
    fn at_once_with(mut self, number: usize) -> Self {
        let began = self.0[number].began;
        self.0.last_mut().unwrap().began = began;
        self
    }

    fn unanswered(mut self) -> Self {
        self.0.last_mut().unwrap().ended = NEVER;
        self
    }

    fn append(self, ids: &[&str], first: u64) -> Self {
        let seqs = (first..).take(ids.len()).collect();
        self.then(0, What::Append { ids: ids.iter().map(|id| (*id).to_owned()).collect(), seqs })
    }

    fn read_by(self, task: usize, above: u64, up_to: u64, ids: &[(u64, &str)]) -> Self {
        let messages = ids.iter().map(|(seq, id)| (*seq, (*id).to_owned())).collect();
        self.then(task, What::Read { above, up_to, messages })
    }

    fn read(self, ids: &[(u64, &str)]) -> Self {
        self.read_by(1, 0, NEVER, ids)
    }

    fn count(self, messages: u64, last_seq: u64) -> Self {
        self.then(1, What::Count { messages, last_seq })
    }

    fn find(self, id: &str, found: bool) -> Self {
        self.then(1, What::Find { id: id.to_owned(), found })
    }

    fn delete(self, id: &str) -> Self {
        self.then(0, What::Delete { id: id.to_owned() })
    }

    fn fault(&self) -> Option<Fault> {
        check(&self.0).err().map(|broken| broken.fault)
    }
}

/// Two batches: `a`, and `b` with `c`.
fn good() -> History {
    History::default().append(&["a"], 1).append(&["b", "c"], 2)
}

const ALL: [(u64, &str); 3] = [(1, "a"), (2, "b"), (3, "c")];

#[test]
fn a_history_that_may_be_passes() {
    let history = good()
        .read(&ALL)
        .read_by(1, 1, 2, &ALL[1..2])
        .count(3, 3)
        .find("b", true)
        .append(&["b", "c"], 2)
        .delete("b")
        .find("b", false)
        .read(&[ALL[0], ALL[2]])
        .count(2, 3)
        .append(&["lost"], 4)
        .unanswered()
        .append(&["lost"], 4)
        .read(&[ALL[0], ALL[2], (4, "lost")]);
    let figures = check(&history.0).unwrap();
    assert_eq!((figures.operations, figures.appended, figures.unanswered), (14, 4, 1));
    // Who reads at once with an append may see it or not.
    assert_eq!(good().read(&ALL[..1]).at_once_with(1).read(&ALL).fault(), None);
    assert_eq!(good().read(&ALL).at_once_with(1).read(&ALL).fault(), None);
    // An append that nobody answered may have happened or not.
    let unanswered = || good().append(&["d"], 4).unanswered();
    assert_eq!(unanswered().read(&ALL).fault(), None);
    assert_eq!(unanswered().read(&[ALL[0], ALL[1], ALL[2], (4, "d")]).fault(), None);
}

#[test]
fn what_is_lost_is_found_out() {
    assert_eq!(good().read(&ALL[..1]).fault(), Some(Fault::Missing));
    assert_eq!(good().read(&[ALL[0], ALL[2]]).fault(), Some(Fault::Missing));
    assert_eq!(good().read(&ALL[1..]).fault(), Some(Fault::Missing));
    assert_eq!(good().find("c", false).fault(), Some(Fault::Missing));
    assert_eq!(good().count(1, 1).fault(), Some(Fault::Missing));
    assert_eq!(good().append(&["d"], 5).fault(), Some(Fault::Gap));
}

#[test]
fn a_hole_is_found_out_while_the_append_runs() {
    let history = good().read(&[ALL[0], ALL[2]]).at_once_with(0).read(&ALL);
    assert_eq!(history.fault(), Some(Fault::Missing));
}

#[test]
fn what_is_doubled_is_found_out() {
    let twice = [ALL[0], ALL[1], ALL[2], (4, "b")];
    assert_eq!(good().read(&twice).fault(), Some(Fault::Doubled));
    assert_eq!(good().append(&["b", "c"], 4).fault(), Some(Fault::Doubled));
    assert_eq!(good().append(&["d"], 3).fault(), Some(Fault::Doubled));
}

#[test]
fn what_is_reordered_is_found_out() {
    let swapped = [(1, "b"), (2, "a"), (3, "c")];
    assert_eq!(good().read(&swapped).fault(), Some(Fault::Doubled));
    assert_eq!(good().read(&[ALL[1], ALL[0], ALL[2]]).fault(), Some(Fault::Reordered));
    assert_eq!(good().read_by(1, 0, 2, &ALL).fault(), Some(Fault::Reordered));
    let late = History::default().append(&["b"], 2).append(&["a"], 1).read(&ALL[..2]);
    assert_eq!(late.fault(), Some(Fault::Reordered));
}

#[test]
fn a_stale_read_is_found_out() {
    let stale = good().append(&["d"], 4).read(&ALL);
    assert_eq!(stale.fault(), Some(Fault::Missing));
    let stale_page = good().append(&["d"], 4).read_by(1, 2, NEVER, &ALL[2..]);
    assert_eq!(stale_page.fault(), Some(Fault::Missing));
    assert_eq!(good().append(&["d"], 4).count(3, 3).fault(), Some(Fault::Missing));
}

#[test]
fn reads_that_go_backwards_are_found_out() {
    // The append runs all the time, so that only the first read says that it is there.
    let seen = || good().append(&["d"], 4).unanswered().read(&[ALL[0], ALL[1], ALL[2], (4, "d")]);
    assert_eq!(seen().read(&ALL).fault(), Some(Fault::Backwards));
    assert_eq!(seen().read_by(2, 0, NEVER, &ALL).fault(), Some(Fault::Backwards));
    assert_eq!(seen().count(3, 3).fault(), Some(Fault::Backwards));
    assert_eq!(seen().find("d", false).fault(), Some(Fault::Backwards));
}

#[test]
fn half_a_batch_is_found_out() {
    assert_eq!(good().read(&ALL[..2]).at_once_with(1).fault(), Some(Fault::Torn));
    assert_eq!(good().count(2, 2).at_once_with(1).fault(), Some(Fault::Torn));
    let mut apart = good();
    let What::Append { seqs, .. } = &mut apart.0[1].what else { unreachable!() };
    *seqs = vec![2, 4];
    assert_eq!(apart.fault(), Some(Fault::Torn));
}

#[test]
fn what_cannot_be_there_is_found_out() {
    assert_eq!(good().read(&[ALL[0], ALL[1], ALL[2], (4, "d")]).fault(), Some(Fault::Unknown));
    let early = History::default().append(&["a"], 1).read(&ALL).append(&["b", "c"], 2);
    assert_eq!(early.fault(), Some(Fault::Early));
    let early = History::default().append(&["a"], 1).count(3, 3).append(&["b", "c"], 2);
    assert_eq!(early.fault(), Some(Fault::Early));
    assert_eq!(good().delete("b").read(&ALL).fault(), Some(Fault::Undead));
    assert_eq!(good().delete("b").find("b", true).fault(), Some(Fault::Undead));
}

#[test]
fn wrong_counts_are_found_out() {
    assert_eq!(good().count(2, 3).fault(), Some(Fault::Miscounted));
    assert_eq!(good().count(4, 3).fault(), Some(Fault::Miscounted));
    assert_eq!(good().delete("b").count(3, 3).fault(), Some(Fault::Miscounted));
    assert_eq!(good().count(3, 4).fault(), Some(Fault::Gap));
}
