//! The formats, by their names.

use std::fmt;
use std::str::FromStr;

use shs_store::{Error, Result};

/// How conversations are written. The [crate] says what each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// One JSON object for one session, an array for several.
    Json,
    /// A JSON object on each line.
    JsonLines,
    /// A row for each message.
    Csv,
    /// A document for people.
    Markdown,
    /// Roles and contents.
    Text,
    /// One page for a browser.
    Html,
    /// OpenAI's lines for supervised fine-tuning.
    OpenAi,
    /// OpenAI's lines for preference tuning: pairs of answers.
    OpenAiDpo,
    /// The conversational lines of Hugging Face and TRL.
    Trl,
    /// ShareGPT's lines, as LLaMA-Factory reads them.
    ShareGpt,
    /// Alpaca's lines.
    Alpaca,
    /// The lines by which Claude is fine-tuned on Amazon Bedrock.
    Claude,
    /// What [`Trl`](Self::Trl) has, in columns. Written with the cargo feature `parquet` only.
    Parquet,
}

impl Format {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Json,
        Self::JsonLines,
        Self::Csv,
        Self::Markdown,
        Self::Text,
        Self::Html,
        Self::OpenAi,
        Self::OpenAiDpo,
        Self::Trl,
        Self::ShareGpt,
        Self::Alpaca,
        Self::Claude,
        Self::Parquet,
    ];

    /// The name, as a person would give it on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Text => "text",
            Self::Html => "html",
            Self::OpenAi => "openai",
            Self::OpenAiDpo => "openai-dpo",
            Self::Trl => "trl",
            Self::ShareGpt => "sharegpt",
            Self::Alpaca => "alpaca",
            Self::Claude => "claude",
            Self::Parquet => "parquet",
        }
    }

    /// How the name of such a file ends, without the dot. Training formats of lines share `jsonl`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Text => "txt",
            Self::OpenAi
            | Self::OpenAiDpo
            | Self::Trl
            | Self::ShareGpt
            | Self::Alpaca
            | Self::Claude => "jsonl",
            other => other.as_str(),
        }
    }

    /// Whether it is made to train a model on, rather than to read or to keep.
    pub fn is_for_training(self) -> bool {
        match self {
            Self::Json | Self::JsonLines | Self::Csv | Self::Markdown | Self::Text | Self::Html => {
                false
            }
            Self::OpenAi
            | Self::OpenAiDpo
            | Self::Trl
            | Self::ShareGpt
            | Self::Alpaca
            | Self::Claude
            | Self::Parquet => true,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Reads a name, or an extension; `jsonl` is [`JsonLines`](Self::JsonLines).
    fn from_str(name: &str) -> Result<Self> {
        let known = |format: &&Self| format.as_str() == name || format.extension() == name;
        Self::ALL.iter().find(known).copied().ok_or_else(|| {
            Error::invalid(format!(
                "unknown format {:?}; known are: {}",
                name.chars().take(40).collect::<String>(),
                Self::ALL.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ")
            ))
        })
    }
}
