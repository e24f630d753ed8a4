//! What was done to the files of a store.

use std::path::PathBuf;

use serde::Serialize;

use super::Finding;

/// What happens to a file or a store that is where another one is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Existing {
    /// It stays, and the operation fails.
    #[default]
    Refuse,
    /// The other one takes its place, at once. A store is kept beside it; a backup is not.
    Replace,
}

/// What erasing left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Erased {
    /// Copies beside the store, made when it was migrated, repaired or replaced. They are not looked into, and may hold what was
    /// deleted: remove them where that matters.
    pub copies: Vec<PathBuf>,
}

impl Erased {
    /// Erasing that left these copies alone.
    pub fn with_copies(copies: Vec<PathBuf>) -> Self {
        Self { copies }
    }
}

/// What is in a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackedUp {
    /// Sessions.
    pub sessions: u64,
    /// Messages in them.
    pub messages: u64,
    /// How long the file is.
    pub bytes: u64,
}

impl BackedUp {
    /// A backup of so many sessions and messages, in a file of so many bytes.
    pub fn new(sessions: u64, messages: u64, bytes: u64) -> Self {
        Self { sessions, messages, bytes }
    }
}

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Restored {
    /// Sessions.
    pub sessions: u64,
    /// Messages in them.
    pub messages: u64,
    /// Where the store is that was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
}

impl Restored {
    /// So many sessions and messages.
    pub fn new(sessions: u64, messages: u64) -> Self {
        Self { sessions, messages, kept: None }
    }

    /// The store that was there before is kept here.
    #[must_use]
    pub fn with_kept(mut self, kept: Option<PathBuf>) -> Self {
        self.kept = kept;
        self
    }
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Repaired {
    /// What was put right.
    pub fixed: Vec<Finding>,
    /// What was not.
    pub remaining: Vec<Finding>,
    /// Copies of what was changed, as it was before.
    pub kept: Vec<PathBuf>,
    /// Where that is which could not be read, as it was.
    pub quarantine: Vec<PathBuf>,
    /// How many rows or lines were put there.
    pub quarantined: u64,
}
