//! Pairs of answers to one question, of which one is preferred.
//!
//! Pairs come from several answers to one request, and from forks that begin with another answer to the question that
//! their source was answered. The better answer is
//! 1. the one that people rated better ([`FEEDBACK_KEY`](super::FEEDBACK_KEY));
//! 2. of a fork and its source, the one with which the conversation went on, if only one did;
//! 3. of a fork and its source, the fork's, for somebody asked for it;
//! 4. of several answers to one request, the first, if the conversation went on behind them: that is the one
//!    which clients show and send back.
//!
//! Else there is no pair.

use std::cmp::Ordering;

use shs_store::{Message, Session};

use super::turn::{Speaker, Turn};
use super::{Conversation, Preparation, Reading, alternatives, finish, rounds};
use crate::report::{Reason, Tally};
use crate::training::Abilities;

/// A question with what was said before, a better answer and a worse one.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) question: Conversation,
    pub(crate) preferred: Turn,
    pub(crate) rejected: Turn,
}

impl Pair {
    /// How many messages it is made of.
    pub(crate) fn messages(&self) -> u64 {
        let mut messages: Vec<usize> =
            self.question.turns.iter().flat_map(|turn| turn.messages.clone()).collect();
        messages.sort_unstable();
        messages.dedup();
        messages.len() as u64 + 2
    }
}

/// What the source of a fork has in the place where the fork goes its own way.
#[derive(Debug)]
pub(crate) struct Fork {
    pub(crate) answer: Message,
    /// Whether a question follows there.
    pub(crate) went_on: bool,
}

/// Two answers by their places among the turns before which the question stands.
struct Candidate {
    before: usize,
    preferred: Turn,
    rejected: Turn,
}

/// The pairs of a session, or why one was not made. One is in memory at a time.
pub(crate) struct Pairs<'a> {
    session: &'a Session,
    turns: Vec<Turn>,
    candidates: std::vec::IntoIter<Result<Candidate, Reason>>,
    can: Abilities,
    preparation: &'a Preparation,
    /// What was left out of the session's messages.
    pub(crate) tally: Tally,
}

impl<'a> Pairs<'a> {
    pub(crate) fn of(
        session: &'a Session,
        reading: Reading<'a>,
        fork: Option<Fork>,
        can: Abilities,
        preparation: &'a Preparation,
    ) -> Self {
        // What was copied from the source is the source's.
        let mut candidates = of_choices(&reading.turns, reading.copied);
        if let Some(fork) = fork {
            candidates.extend(of_fork(&reading, fork));
        }
        let candidates = candidates.into_iter();
        let Reading { turns, tally, .. } = reading;
        Self { session, turns, candidates, can, preparation, tally }
    }

    fn pair(&self, candidate: Candidate) -> Result<Pair, Reason> {
        let Candidate { before, preferred, rejected } = candidate;
        check(&preferred, &rejected, self.preparation)?;
        let question = self.turns[..before].to_vec();
        let mut ignored = Tally::new(self.tally.messages());
        let question =
            question_of(self.session, question, self.can, self.preparation, &mut ignored)?;
        Ok(Pair { question, preferred, rejected })
    }
}

impl Iterator for Pairs<'_> {
    type Item = Result<Pair, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let candidate = self.candidates.next()?;
        Some(candidate.and_then(|candidate| self.pair(candidate)))
    }
}

fn of_choices(turns: &[Turn], own: usize) -> Vec<Result<Candidate, Reason>> {
    let mut candidates = Vec::new();
    for group in alternatives::groups(turns) {
        let answers = &turns[group.clone()];
        if answers[0].messages[0] < own {
            continue;
        }
        let went_on = turns[group.end..].iter().any(|turn| turn.speaker == Speaker::User);
        let best = alternatives::preferred(answers);
        for (at, other) in answers.iter().enumerate().filter(|(at, _)| *at != best) {
            let is_better = answers[best].feedback > other.feedback;
            candidates.push(if is_better || (went_on && best < at) {
                let (preferred, rejected) = (answers[best].clone(), other.clone());
                Ok(Candidate { before: group.start, preferred, rejected })
            } else {
                Err(Reason::NoPreference)
            });
        }
    }
    candidates
}

fn of_fork(reading: &Reading<'_>, fork: Fork) -> Option<Result<Candidate, Reason>> {
    let turns = &reading.turns;
    let at = turns.iter().position(|turn| turn.messages[0] >= reading.copied)?;
    let answer = &turns[at];
    let theirs = reading.alone(fork.answer);
    let [theirs] = &theirs[..] else { return None };
    let both = [answer, theirs];
    if both.iter().any(|turn| turn.speaker != Speaker::Assistant) {
        return None;
    }
    let went_on = turns.get(at + 1).is_some_and(|turn| turn.speaker == Speaker::User);
    let is_ours_better = match answer.feedback.total_cmp(&theirs.feedback) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => went_on || !fork.went_on,
    };
    let (ours, theirs) = (answer.clone(), theirs.clone());
    let (preferred, rejected) = if is_ours_better { (ours, theirs) } else { (theirs, ours) };
    Some(Ok(Candidate { before: at, preferred, rejected }))
}

/// What the answers are to: rounds that are sound, and a question.
fn question_of(
    session: &Session,
    mut turns: Vec<Turn>,
    can: Abilities,
    preparation: &Preparation,
    tally: &mut Tally,
) -> Result<Conversation, Reason> {
    let is_asked = |turn: &Turn| matches!(turn.speaker, Speaker::User | Speaker::System);
    let asked = turns.iter().rposition(|turn| !is_asked(turn)).map_or(0, |last| last + 1);
    let mut asked = turns.split_off(asked);
    // What the system says behind the question is not kept: a question is the last.
    asked.truncate(
        asked.iter().rposition(|turn| turn.speaker == Speaker::User).map_or(0, |at| at + 1),
    );
    asked.retain(|turn| rounds::unwanted(turn, can, preparation).is_none());
    if asked.last().is_none_or(|turn| turn.speaker != Speaker::User) {
        return Err(Reason::NoPair);
    }
    let history = alternatives::resolve(turns, tally);
    let history = rounds::settle(history, can, preparation, false, tally);
    if history.len() + 1 < preparation.min_turns as usize {
        return Err(Reason::TooFewTurns);
    }
    let turns = history.into_iter().flat_map(|round| round.turns).chain(asked).collect();
    finish(session, turns, Abilities { weights: false, ..can }, preparation, tally)
}

fn check(preferred: &Turn, rejected: &Turn, preparation: &Preparation) -> Result<(), Reason> {
    let both = [preferred, rejected];
    if !preparation.include_interrupted && both.iter().any(|turn| !turn.is_whole) {
        Err(Reason::Interrupted)
    } else if both.iter().any(|turn| turn.has_calls()) {
        Err(Reason::ToolCalls)
    } else if both.iter().any(|turn| turn.is_silent()) {
        Err(Reason::Empty)
    } else if preferred.text == rejected.text {
        Err(Reason::SameAnswer)
    } else {
        Ok(())
    }
}
