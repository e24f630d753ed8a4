//! The conversational lines of Hugging Face and TRL.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use crate::prepare::{Conversation, Turn};

#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    tools: &'a [Value],
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    /// There always: templates of models read it without asking.
    content: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// With an object, not a string.
    tool_calls: Vec<Call<'a, Cow<'a, Value>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

impl<'a> Line<'a> {
    pub(super) fn of(conversation: &'a Conversation) -> Self {
        Self {
            messages: conversation.turns.iter().map(message).collect(),
            tools: &conversation.tools,
        }
    }
}

fn message(turn: &Turn) -> Message<'_> {
    let calls = turn.calls.iter().map(|call| Call::new(call, call.arguments_json()));
    Message {
        role: turn.speaker.role(),
        content: &turn.text,
        thinking: &turn.reasoning,
        tool_calls: calls.collect(),
        name: turn.tool_name.as_deref(),
        tool_call_id: turn.call_id.as_deref(),
    }
}
