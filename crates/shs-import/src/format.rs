//! What can be read.

use std::fmt;
use std::str::FromStr;

use shs_store::{Error, Result};

/// A form in which conversations come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Our own JSON and JSON Lines, which is the Python package's too.
    Transcripts,
    /// The rows of CSV that we write and the Python package writes.
    Csv,
    /// The Python package's database.
    PythonDatabase,
    /// Lines of `messages`: OpenAI's fine-tuning, TRL, Claude on Bedrock; and OpenAI's preference pairs.
    OpenAi,
    /// Lines of `conversations` with `from` and `value`.
    ShareGpt,
    /// Lines of `instruction`, `input` and `output`.
    Alpaca,
    /// ChatGPT's export.
    ChatGpt,
    /// Claude.ai's export.
    ClaudeAi,
    /// Open WebUI's export.
    OpenWebUi,
    /// The `logs.db` of the command `llm`.
    Llm,
    /// LangChain's `message_store` in SQLite.
    LangChain,
    /// The `SQLiteSession` of openai-agents.
    OpenAiAgents,
}

impl Format {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Transcripts,
        Self::Csv,
        Self::PythonDatabase,
        Self::OpenAi,
        Self::ShareGpt,
        Self::Alpaca,
        Self::ChatGpt,
        Self::ClaudeAi,
        Self::OpenWebUi,
        Self::Llm,
        Self::LangChain,
        Self::OpenAiAgents,
    ];

    /// The name, as a person gives it on a command line, and the key in metadata under which a source's own fields are
    /// kept.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transcripts => "transcripts",
            Self::Csv => "csv",
            Self::PythonDatabase => "python",
            Self::OpenAi => "openai",
            Self::ShareGpt => "sharegpt",
            Self::Alpaca => "alpaca",
            Self::ChatGpt => "chatgpt",
            Self::ClaudeAi => "claude",
            Self::OpenWebUi => "open-webui",
            Self::Llm => "llm",
            Self::LangChain => "langchain",
            Self::OpenAiAgents => "openai-agents",
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

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|format| format.as_str() == name).copied().ok_or_else(|| {
            Error::invalid(format!(
                "unknown source {:?}; known are: {}",
                name.chars().take(40).collect::<String>(),
                Self::ALL.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ")
            ))
        })
    }
}
