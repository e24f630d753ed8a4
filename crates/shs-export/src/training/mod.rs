//! The formats that models are trained on: one conversation, or one pair of answers, a line.

mod alpaca;
mod call;
mod claude;
mod dpo;
mod openai;
#[cfg(feature = "parquet")]
mod parquet;
mod sharegpt;
mod trl;

use serde::Serialize;
use shs_store::{Error, ErrorKind, Result};

#[cfg(feature = "parquet")]
pub(crate) use self::parquet::Rows;
use crate::Format;
use crate::prepare::{Conversation, Pair};

/// What a format can carry; what it cannot is dropped before, and counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abilities {
    /// Images in a question.
    pub(crate) images: bool,
    /// What a model thought.
    pub(crate) reasoning: bool,
    /// Tool calls and their results.
    pub(crate) tools: bool,
    /// Arguments of tools that are any JSON, or no JSON at all.
    pub(crate) any_arguments: bool,
    /// Answers that are not to be trained on.
    pub(crate) weights: bool,
    /// Messages of the system anywhere, rather than one text of it beside the messages.
    pub(crate) system_inside: bool,
    /// Whoever speaks, in any order, rather than questions and answers in turn.
    pub(crate) any_order: bool,
}

impl Abilities {
    pub(crate) fn of(format: Format) -> Self {
        let chat = Self {
            images: false,
            reasoning: false,
            tools: true,
            any_arguments: true,
            weights: false,
            system_inside: true,
            any_order: true,
        };
        let in_turn = Self { system_inside: false, any_order: false, ..chat };
        match format {
            Format::OpenAi => Self { images: true, weights: true, ..chat },
            Format::OpenAiDpo => Self { images: true, ..chat },
            Format::Trl => Self { reasoning: true, any_arguments: false, ..chat },
            Format::Parquet => Self { reasoning: true, ..chat },
            Format::ShareGpt => in_turn,
            _ => Self { tools: false, ..in_turn },
        }
    }
}

/// A conversation as a line, without the line break.
pub(crate) fn line(format: Format, conversation: &Conversation) -> Result<Vec<u8>> {
    match format {
        Format::OpenAi => json(&openai::Line::of(conversation)),
        Format::ShareGpt => json(&sharegpt::Line::of(conversation)),
        Format::Alpaca => json(&alpaca::Line::of(conversation)),
        Format::Claude => json(&claude::Line::of(conversation)),
        _ => json(&trl::Line::of(conversation)),
    }
}

/// A pair of answers as a line, without the line break.
pub(crate) fn pair(pair: &Pair) -> Result<Vec<u8>> {
    json(&dpo::Line::of(pair))
}

fn json(line: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(line).map_err(|error| {
        Error::new(ErrorKind::Internal, "a conversation has no JSON form").with_source(error)
    })
}

/// The rows of Parquet, in a build without it.
#[cfg(not(feature = "parquet"))]
#[derive(Debug)]
pub(crate) enum Rows {}

#[cfg(not(feature = "parquet"))]
impl Rows {
    pub(crate) fn new() -> Result<Self> {
        Err(Error::new(ErrorKind::Unsupported, "parquet is not built in"))
    }

    pub(crate) fn add(&mut self, _: &Conversation, _: &mut Vec<u8>) -> Result<()> {
        match *self {}
    }

    pub(crate) fn end(self, _: &mut Vec<u8>) -> Result<()> {
        match self {}
    }
}
