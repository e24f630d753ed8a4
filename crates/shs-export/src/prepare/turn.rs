//! One turn of a conversation, on its way from what is stored to what a format has.

use std::borrow::Cow;

use serde_json::{Map, Value};
use shs_store::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// The system, or a developer.
    System,
    User,
    Assistant,
    Tool,
}

impl Speaker {
    pub(crate) fn of(role: Role) -> Self {
        match role {
            Role::System | Role::Developer => Self::System,
            Role::User => Self::User,
            Role::Assistant => Self::Assistant,
            Role::Tool => Self::Tool,
        }
    }

    /// The word for it in formats that follow OpenAI.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) speaker: Speaker,
    /// The messages that it is of, by their places.
    pub(crate) messages: Vec<usize>,
    pub(crate) text: String,
    /// URLs.
    pub(crate) images: Vec<String>,
    pub(crate) reasoning: String,
    pub(crate) calls: Vec<Call>,
    /// Of a tool's result.
    pub(crate) call_id: Option<String>,
    pub(crate) tool_name: Option<String>,
    /// Who speaks, among several of that role.
    pub(crate) name: Option<String>,
    pub(crate) weight: Option<u8>,
    pub(crate) is_whole: bool,
    /// Whether it is one of several answers to one request.
    pub(crate) is_choice: bool,
    pub(crate) feedback: f64,
}

/// A tool's call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    /// The id as it is stored.
    pub(crate) stored_id: Option<String>,
    pub(crate) name: String,
    pub(crate) arguments: Option<Value>,
}

impl Turn {
    pub(crate) fn new(speaker: Speaker, message: usize) -> Self {
        Self {
            speaker,
            messages: vec![message],
            text: String::new(),
            images: Vec::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            call_id: None,
            tool_name: None,
            name: None,
            weight: None,
            is_whole: true,
            is_choice: false,
            feedback: 0.0,
        }
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.text.trim().is_empty()
    }

    pub(crate) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Whether it says nothing at all. A tool may well give nothing back.
    pub(crate) fn is_empty(&self) -> bool {
        self.speaker != Speaker::Tool
            && self.is_silent()
            && self.images.is_empty()
            && self.calls.is_empty()
    }

    pub(crate) fn has_objects_for_arguments(&self) -> bool {
        self.calls.iter().all(|call| call.arguments_json().is_object())
    }
}

impl Call {
    /// The arguments as text: JSON, or the text that they are.
    pub(crate) fn arguments_text(&self) -> String {
        match &self.arguments {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(json) => json.to_string(),
        }
    }

    /// The arguments as JSON, also where they are stored as text.
    pub(crate) fn arguments_json(&self) -> Cow<'_, Value> {
        match &self.arguments {
            None | Some(Value::Null) => Cow::Owned(Value::Object(Map::new())),
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(json) => Cow::Owned(json),
                Err(_) => Cow::Owned(Value::String(text.clone())),
            },
            Some(json) => Cow::Borrowed(json),
        }
    }
}
