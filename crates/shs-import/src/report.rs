//! What became of what was read.

use std::fmt;

use serde::Serialize;

/// How many conversations came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// New ones, which are stored now.
    pub imported: u64,
    /// Those that are stored already, just so.
    pub already_there: u64,
    /// Those that took the place of an older state of theirs.
    pub updated: u64,
    /// Those that differ from what is stored under their id, which was left as it is.
    pub skipped: u64,
    /// Those that could not be read or stored, and files that could not.
    pub failed: u64,
    /// The messages of what is new or updated.
    pub messages: u64,
    /// What was told beside that: what was not understood and is kept in metadata, what is no
    /// conversation, characters that were broken.
    pub notes: u64,
}

impl Report {
    /// Adds what another import did.
    pub fn add(&mut self, other: Self) {
        self.imported += other.imported;
        self.already_there += other.already_there;
        self.updated += other.updated;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.messages += other.messages;
        self.notes += other.notes;
    }
}

/// Where in a source something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// The file, with the name inside of an archive behind a colon.
    pub file: String,
    /// The line, the JSON path, or the table and row; empty for the file as a whole.
    pub path: String,
    /// The byte at which it begins, or at which the damage is; counted from 0, in the text itself for an archive.
    pub byte: Option<u64>,
}

impl Place {
    /// A file as a whole.
    pub(crate) fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    pub(crate) fn at(&self, path: impl Into<String>, byte: Option<u64>) -> Self {
        Self { file: self.file.clone(), path: path.into(), byte }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        match self.byte {
            Some(byte) => write!(f, " (byte {byte})"),
            None => Ok(()),
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Something that is good to know: all of it was imported, or it is no conversation.
    Note,
    /// A conversation was left as it is stored.
    Skipped,
    /// A conversation, or a file, is not imported.
    Failed,
}

/// Something to tell of one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// How bad it is.
    pub severity: Severity,
    /// What, in words that hold nothing of the conversation.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
