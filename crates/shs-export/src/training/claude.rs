//! The lines by which Claude is fine-tuned on Amazon Bedrock: questions and answers in turn, and no other key.

use serde::Serialize;

use crate::prepare::Conversation;

#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    system: &'a str,
    messages: Vec<Message<'a>>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn of(conversation: &'a Conversation) -> Self {
        let messages = conversation
            .turns
            .iter()
            .map(|turn| Message { role: turn.speaker.role(), content: &turn.text });
        Self { system: &conversation.system, messages: messages.collect() }
    }
}
