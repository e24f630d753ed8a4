//! ShareGPT's lines, as LLaMA-Factory reads them: whoever asks and whoever answers speak in turn.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::prepare::{Conversation, Speaker, Turn};

#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    conversations: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    system: &'a str,
    /// JSON in a string.
    #[serde(skip_serializing_if = "String::is_empty")]
    tools: String,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    from: &'static str,
    value: Cow<'a, str>,
}

#[derive(Serialize)]
struct Call<'a> {
    name: &'a str,
    arguments: Cow<'a, Value>,
}

impl<'a> Line<'a> {
    pub(super) fn of(conversation: &'a Conversation) -> Self {
        let turns = conversation.turns.chunk_by(|a, b| {
            a.speaker == Speaker::Tool && b.speaker == Speaker::Tool // answers to calls at once
        });
        let tools = &conversation.tools;
        Self {
            conversations: turns.map(message).collect(),
            system: &conversation.system,
            tools: if tools.is_empty() { String::new() } else { text(tools) },
        }
    }
}

/// A turn, or the results of several tools that were called at once.
fn message(turns: &[Turn]) -> Message<'_> {
    let turn = &turns[0];
    match turn.speaker {
        Speaker::Tool if turns.len() == 1 => {
            Message { from: "observation", value: turn.text.as_str().into() }
        }
        Speaker::Tool => {
            let results: Vec<&str> = turns.iter().map(|turn| turn.text.as_str()).collect();
            Message { from: "observation", value: text(&results).into() }
        }
        Speaker::Assistant if !turn.calls.is_empty() => {
            let calls = turn
                .calls
                .iter()
                .map(|call| Call { name: &call.name, arguments: call.arguments_json() });
            let calls: Vec<_> = calls.collect();
            let value = if let [call] = &calls[..] { text(call) } else { text(&calls) };
            Message { from: "function_call", value: value.into() }
        }
        Speaker::Assistant => Message { from: "gpt", value: turn.text.as_str().into() },
        Speaker::User | Speaker::System => {
            Message { from: "human", value: turn.text.as_str().into() }
        }
    }
}

fn text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("JSON values with string keys always serialize")
}
