//! OpenAI's lines for supervised fine-tuning.

use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use crate::prepare::{Conversation, Speaker, Turn};

#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    tools: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
}

impl<'a> Line<'a> {
    pub(super) fn of(conversation: &'a Conversation) -> Self {
        Self {
            messages: conversation.turns.iter().map(Message::of).collect(),
            tools: &conversation.tools,
            // It goes with tools only.
            parallel_tool_calls: conversation
                .parallel_tool_calls
                .filter(|_| !conversation.tools.is_empty()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    /// `null` beside calls alone: readers take the key for granted.
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// With JSON in a string.
    tool_calls: Vec<Call<'a, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u8>,
}

impl<'a> Message<'a> {
    pub(super) fn of(turn: &'a Turn) -> Self {
        let is_answer = turn.speaker == Speaker::Assistant;
        let calls = turn.calls.iter().map(|call| Call::new(call, call.arguments_text()));
        Self {
            role: turn.speaker.role(),
            content: Content::of(turn),
            name: turn.name.as_deref().filter(|name| is_name(name)),
            tool_calls: calls.collect(),
            tool_call_id: turn.call_id.as_deref(),
            weight: turn.weight.filter(|_| is_answer),
        }
    }

    /// Without what belongs to supervised training.
    pub(super) fn plain(turn: &'a Turn) -> Self {
        Self { weight: None, ..Self::of(turn) }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Blocks(Vec<Block<'a>>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Url<'a> },
}

#[derive(Debug, Serialize)]
struct Url<'a> {
    url: &'a str,
}

impl<'a> Content<'a> {
    /// `None` for a tool call without a text.
    fn of(turn: &'a Turn) -> Option<Self> {
        if turn.images.is_empty() {
            let is_call_alone = turn.is_silent() && !turn.calls.is_empty();
            return (!is_call_alone).then_some(Self::Text(&turn.text));
        }
        let text = (!turn.is_silent()).then_some(Block::Text { text: &turn.text });
        let images = turn.images.iter().map(|url| Block::ImageUrl { image_url: Url { url } });
        Some(Self::Blocks(text.into_iter().chain(images).collect()))
    }
}

/// What the API takes as a participant's name.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
