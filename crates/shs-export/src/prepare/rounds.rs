//! Questions with what answers them, and what has to go for a line to be valid.

use super::turn::{Speaker, Turn};
use super::{Preparation, SystemMessages};
use crate::report::{Reason, Tally};
use crate::training::Abilities;

/// Questions, one after the other, and all that follows up to the next question. What the system says stands
/// before whatever it was said before.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) turns: Vec<Turn>,
    pub(super) has_question: bool,
    /// Whether it ends in calls that nobody answered.
    is_open: bool,
    /// Why a turn of it is missing.
    lost: Option<Reason>,
    lost_question: bool,
}

/// The rounds that can be written. What is not is counted.
///
/// A round goes whole: of a question whose answer is dropped, nothing remains that would be trained on as
/// if it had no answer. What the system said there is kept for the rounds that follow. `may_end_open` tells
/// whether the last round may end in calls without results.
pub(super) fn settle(
    turns: Vec<Turn>,
    can: Abilities,
    preparation: &Preparation,
    may_end_open: bool,
    tally: &mut Tally,
) -> Vec<Round> {
    let mut system = Vec::new();
    let mut kept: Vec<Round> = Vec::new();
    let mut calls = 0;
    for mut round in rounds(turns, &mut system, can, preparation, tally) {
        match round.check(can, &mut calls) {
            Ok(()) => kept.push(round),
            Err(reason) => round.drop_to(&mut kept, reason, tally),
        }
    }
    // Calls without results may stand at the very end only.
    let last = kept.iter().rposition(|round| !round.is_of_system()).filter(|_| may_end_open);
    let mut sound: Vec<Round> = Vec::with_capacity(kept.len());
    for (at, round) in kept.into_iter().enumerate() {
        if round.is_open && Some(at) != last {
            round.drop_to(&mut sound, Reason::UnmatchedTool, tally);
        } else {
            sound.push(round);
        }
    }
    // A round that holds nothing but what the system said behind the others, or kept of a dropped one.
    let mut with_system: Vec<Round> = Vec::with_capacity(sound.len());
    for round in sound {
        match with_system.pop_if(|before| before.is_of_system()) {
            Some(before) => {
                let turns = before.turns.into_iter().chain(round.turns).collect();
                with_system.push(Round { turns, ..round });
            }
            None => with_system.push(round),
        }
    }
    if let Some(last) = with_system.pop_if(|round| round.is_of_system()) {
        last.turns.iter().for_each(|turn| tally.drop(&turn.messages, Reason::Unanswered));
    }
    system.iter().for_each(|turn: &Turn| tally.drop(&turn.messages, Reason::Unanswered));
    with_system
}

/// Parts the turns into rounds, without those that are not wanted. `system` keeps what the system says behind all.
fn rounds(
    turns: Vec<Turn>,
    system: &mut Vec<Turn>,
    can: Abilities,
    preparation: &Preparation,
    tally: &mut Tally,
) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    let mut before = None;
    for turn in turns {
        let unwanted = unwanted(&turn, can, preparation);
        if let Some(reason) = unwanted {
            tally.drop(&turn.messages, reason);
        }
        if turn.speaker == Speaker::System {
            system.extend(unwanted.is_none().then_some(turn));
            continue;
        }
        let is_question = turn.speaker == Speaker::User;
        if before.is_none() || (is_question && before != Some(Speaker::User)) {
            rounds.push(Round::default());
        }
        before = Some(turn.speaker);
        let Some(round) = rounds.last_mut() else { continue };
        if let Some(reason) = unwanted {
            round.lost = Some(reason);
            round.lost_question |= is_question;
            continue;
        }
        // Nothing may stand between a call and its result.
        if turn.speaker != Speaker::Tool {
            round.turns.append(system);
        }
        round.has_question |= is_question;
        round.turns.push(turn);
    }
    rounds
}

/// Why a turn is not wanted by itself.
pub(super) fn unwanted(turn: &Turn, can: Abilities, preparation: &Preparation) -> Option<Reason> {
    let is_answer = turn.speaker == Speaker::Assistant;
    if turn.speaker == Speaker::System && preparation.system == SystemMessages::Drop {
        Some(Reason::System)
    } else if !turn.is_whole && !preparation.include_interrupted {
        Some(Reason::Interrupted)
    } else if turn.is_empty() {
        Some(Reason::Empty)
    } else if is_answer && turn.weight == Some(0) && !can.weights {
        Some(Reason::Marked)
    } else {
        None
    }
}

impl Round {
    /// Whether it can be written, with ids for all calls and results.
    fn check(&mut self, can: Abilities, calls: &mut u64) -> Result<(), Reason> {
        let has_answer = self.turns.iter().any(|turn| turn.speaker == Speaker::Assistant);
        if !has_answer {
            return Err(self.lost.unwrap_or(Reason::Unanswered));
        }
        if !self.has_question && self.lost_question {
            return Err(self.lost.unwrap_or(Reason::Empty));
        }
        if !self.has_question && !can.any_order {
            return Err(Reason::BeforeQuestion);
        }
        self.match_calls(calls)?;
        let last = self.turns.iter().rfind(|turn| turn.speaker != Speaker::System);
        if last.is_none_or(|turn| turn.speaker != Speaker::Assistant) {
            return Err(self.lost.unwrap_or(Reason::Unanswered));
        }
        Ok(())
    }

    /// Gives each call an id of its own, and each result that of its call.
    fn match_calls(&mut self, calls: &mut u64) -> Result<(), Reason> {
        let why = self.lost.unwrap_or(Reason::UnmatchedTool);
        let mut open: Vec<super::Call> = Vec::new();
        for turn in &mut self.turns {
            match turn.speaker {
                Speaker::System => {}
                Speaker::Tool => {
                    let at = matching(&open, turn.call_id.as_deref()).ok_or(why)?;
                    let call = open.remove(at);
                    turn.call_id = Some(call.id);
                    turn.tool_name = Some(call.name);
                }
                Speaker::User | Speaker::Assistant if !open.is_empty() => return Err(why),
                Speaker::User => {}
                Speaker::Assistant => {
                    for at in 0..turn.calls.len() {
                        turn.calls[at].id = fresh_id(&turn.calls, at, calls);
                        if turn.calls[at].name.trim().is_empty() {
                            return Err(Reason::UnmatchedTool);
                        }
                    }
                    open.clone_from(&turn.calls);
                }
            }
        }
        self.is_open = !open.is_empty();
        if self.is_open && self.turns.last().is_some_and(|turn| turn.speaker == Speaker::Tool) {
            return Err(why);
        }
        Ok(())
    }

    /// Drops the round; what the system said stays, as a round that waits for the next one.
    fn drop_to(self, kept: &mut Vec<Self>, reason: Reason, tally: &mut Tally) {
        let (system, dropped): (Vec<Turn>, Vec<Turn>) =
            self.turns.into_iter().partition(|turn| turn.speaker == Speaker::System);
        dropped.iter().for_each(|turn| tally.drop(&turn.messages, reason));
        if !system.is_empty() {
            kept.push(Self { turns: system, ..Self::default() });
        }
    }

    fn is_of_system(&self) -> bool {
        self.turns.iter().all(|turn| turn.speaker == Speaker::System)
    }
}

/// The call that a result is of: by its id; or the first without one, where the result has the tool's name, or nothing.
fn matching(open: &[super::Call], id: Option<&str>) -> Option<usize> {
    let Some(id) = id else { return (!open.is_empty()).then_some(0) };
    let by_id = open.iter().position(|call| call.stored_id.as_deref() == Some(id));
    by_id.or_else(|| open.iter().position(|call| call.stored_id.is_none() && call.name == id))
}

/// The stored id, or a new one where there is none, or another call of the same turn has it.
fn fresh_id(calls: &[super::Call], at: usize, count: &mut u64) -> String {
    let taken = &calls[..at];
    let is_free = |id: &str| taken.iter().all(|call| call.id != id);
    if let Some(stored) = calls[at].stored_id.as_ref().filter(|id| is_free(id)) {
        return stored.clone();
    }
    loop {
        *count += 1;
        let id = format!("call_{count}");
        if is_free(&id) && calls.iter().all(|call| call.stored_id.as_ref() != Some(&id)) {
            return id;
        }
    }
}
