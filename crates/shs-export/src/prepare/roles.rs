//! Roles that are merged, and brought in turn.

use super::turn::{Speaker, Turn};
use crate::report::{Reason, Tally};

/// What parts the texts of turns that are merged.
const BETWEEN: &str = "\n\n";

/// Merges turns of one role that follow each other. Results of tools stay apart.
pub(super) fn merged(turns: Vec<Turn>) -> Vec<Turn> {
    let mut merged: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns {
        let is_same = |last: &&mut Turn| {
            last.speaker == turn.speaker && turn.speaker != Speaker::Tool && !last.has_calls()
        };
        match merged.last_mut().filter(is_same) {
            Some(last) => merge(last, turn),
            None => merged.push(turn),
        }
    }
    merged
}

fn merge(turn: &mut Turn, more: Turn) {
    join(&mut turn.text, &more.text);
    join(&mut turn.reasoning, &more.reasoning);
    turn.messages.extend(more.messages);
    turn.images.extend(more.images);
    turn.calls.extend(more.calls);
    // What is not to be trained on makes all of it so.
    turn.weight = match (turn.weight, more.weight) {
        (Some(0), _) | (_, Some(0)) => Some(0),
        (weight, other) => weight.or(other),
    };
    turn.name = turn.name.take().filter(|name| more.name.as_ref() == Some(name));
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push_str(BETWEEN);
    }
    text.push_str(more);
}

/// Takes what the system says at the beginning out of the turns; what it says later is dropped.
pub(super) fn without_system(turns: Vec<Turn>, tally: &mut Tally) -> (String, Vec<Turn>) {
    let mut text = String::new();
    let mut others = Vec::with_capacity(turns.len());
    for turn in turns {
        if turn.speaker != Speaker::System {
            others.push(turn);
        } else if others.is_empty() {
            join(&mut text, &turn.text);
            tally.keep(&turn.messages);
        } else {
            tally.drop(&turn.messages, Reason::SystemInside);
        }
    }
    (text, others)
}

/// Whether questions and answers stand in turn. Results of tools stand in the place of a question, together.
pub(super) fn check_in_turn(turns: &[Turn]) -> Result<(), Reason> {
    let is_asked = |turn: &Turn| turn.speaker != Speaker::Assistant;
    let mut asks = true;
    let both_tools = |a: &Turn, b: &Turn| a.speaker == Speaker::Tool && b.speaker == Speaker::Tool;
    for group in turns.chunk_by(both_tools) {
        if is_asked(&group[0]) != asks {
            return Err(Reason::RolesRepeat);
        }
        asks = !asks;
    }
    if asks { Ok(()) } else { Err(Reason::RolesRepeat) }
}
