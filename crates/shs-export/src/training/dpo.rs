//! OpenAI's lines for preference tuning.

use serde::Serialize;
use serde_json::Value;

use super::openai::Message;
use crate::prepare::Pair;

#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    input: Input<'a>,
    preferred_output: [Message<'a>; 1],
    non_preferred_output: [Message<'a>; 1],
}

#[derive(Debug, Serialize)]
struct Input<'a> {
    messages: Vec<Message<'a>>,
    tools: &'a [Value],
    parallel_tool_calls: bool,
}

impl<'a> Line<'a> {
    pub(super) fn of(pair: &'a Pair) -> Self {
        Self {
            input: Input {
                messages: pair.question.turns.iter().map(Message::plain).collect(),
                tools: &pair.question.tools,
                parallel_tool_calls: pair.question.parallel_tool_calls.unwrap_or(true),
            },
            preferred_output: [Message::plain(&pair.preferred)],
            non_preferred_output: [Message::plain(&pair.rejected)],
        }
    }
}
