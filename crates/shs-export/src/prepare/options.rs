//! What is asked of an export beside its format.

use shs_store::{Error, Result};

use super::{Redaction, Split};
use crate::Format;

/// What becomes of messages of the system and of developers in training formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SystemMessages {
    /// They are written.
    #[default]
    Keep,
    /// They are dropped.
    Drop,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Preparation {
    pub(crate) min_turns: u32,
    pub(crate) include_interrupted: bool,
    pub(crate) system: SystemMessages,
    pub(crate) merge_roles: bool,
    pub(crate) dedupe: bool,
    pub(crate) split: Option<Split>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) redaction: Redaction,
}

impl Preparation {
    /// Refuses what makes no sense with a format.
    pub(crate) fn check(&self, format: Format) -> Result<()> {
        if format.is_for_training() {
            return Ok(());
        }
        let for_training = [
            (self.include_interrupted, "interrupted answers are chosen"),
            (self.system == SystemMessages::Drop, "messages of the system are dropped"),
            (self.merge_roles, "roles are merged"),
            (self.dedupe, "duplicates are dropped"),
            (self.max_tokens.is_some(), "tokens are limited"),
        ];
        match for_training.iter().find(|(is_asked, _)| *is_asked) {
            Some((_, what)) => Err(Error::invalid(format!(
                "{what} in formats for training only; {format} has all that is stored"
            ))),
            None => Ok(()),
        }
    }
}
