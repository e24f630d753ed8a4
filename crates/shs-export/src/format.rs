//! The formats, by their names.

use std::fmt;
use std::str::FromStr;

use shs_store::{Error, Result};

/// How conversations are written.
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
}

impl Format {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Json, Self::JsonLines, Self::Csv, Self::Markdown, Self::Text];

    /// The name, as a person would give it on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Text => "text",
        }
    }

    /// How the name of such a file ends, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Text => "txt",
            other => other.as_str(),
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

    /// Reads a name or an extension.
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
