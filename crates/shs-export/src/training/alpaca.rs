//! Alpaca's lines: the last question and its answer, and what was said before.

use serde::Serialize;

use crate::prepare::Conversation;

#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    instruction: &'a str,
    input: &'static str,
    output: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    system: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<[&'a str; 2]>,
}

impl<'a> Line<'a> {
    /// The conversation has questions and answers in turn, at least one of each.
    pub(super) fn of(conversation: &'a Conversation) -> Self {
        let rounds = conversation.turns.chunks_exact(2);
        let mut history: Vec<[&str; 2]> =
            rounds.map(|round| [round[0].text.as_str(), round[1].text.as_str()]).collect();
        let [instruction, output] = history.pop().unwrap_or_default();
        Self { instruction, input: "", output, system: &conversation.system, history }
    }
}
