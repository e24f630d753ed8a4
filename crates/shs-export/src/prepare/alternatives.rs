//! Several answers to one question, of which one is preferred.
//!
//! An answer that is whole goes before one that is not; among those, the one that people rated best
//! ([`FEEDBACK_KEY`](super::FEEDBACK_KEY)); else the first, which clients show and send back.

use std::cmp::Ordering;
use std::ops::Range;

use super::turn::{Speaker, Turn};
use crate::report::{Reason, Tally};

/// Where several answers to one request stand: two or more, one after the other.
pub(super) fn groups(turns: &[Turn]) -> Vec<Range<usize>> {
    let is_answer = |turn: &Turn| turn.speaker == Speaker::Assistant && turn.is_choice;
    let mut groups = Vec::new();
    let mut from = 0;
    for run in turns.chunk_by(|a, b| is_answer(a) && is_answer(b)) {
        if run.len() > 1 {
            groups.push(from..from + run.len());
        }
        from += run.len();
    }
    groups
}

/// Which of several answers is preferred.
pub(super) fn preferred(answers: &[Turn]) -> usize {
    let better = |a: &Turn, b: &Turn| {
        a.is_whole.cmp(&b.is_whole).then(a.feedback.total_cmp(&b.feedback)) == Ordering::Greater
    };
    (1..answers.len())
        .fold(0, |best, at| if better(&answers[at], &answers[best]) { at } else { best })
}

/// Keeps the preferred answer of each group.
pub(super) fn resolve(turns: Vec<Turn>, tally: &mut Tally) -> Vec<Turn> {
    let mut is_dropped = vec![false; turns.len()];
    for group in groups(&turns) {
        let kept = group.start + preferred(&turns[group.clone()]);
        group.filter(|at| *at != kept).for_each(|at| is_dropped[at] = true);
    }
    let mut kept = Vec::with_capacity(turns.len());
    for (turn, is_dropped) in turns.into_iter().zip(is_dropped) {
        if is_dropped {
            tally.drop(&turn.messages, Reason::Alternative);
        } else {
            kept.push(turn);
        }
    }
    kept
}
