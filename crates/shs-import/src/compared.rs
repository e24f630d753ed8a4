//! What is stored, compared with what comes: whether it is the same, and whether it may be replaced.

use std::collections::HashMap;
use std::fmt;

use shs_store::{SessionId, Timestamp, Transcript};

use crate::Format;
use crate::origin::{digest_of, is_marked, is_untouched};

/// A conversation that is stored, beside the one that comes under its id.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Whether it is the one that comes. Counts are the store's own.
    pub(crate) is_same: bool,
    /// Whether nothing but an import of the same source wrote to it.
    is_untouched: bool,
    /// Whether all that is stored is the beginning of what comes.
    is_beginning: bool,
    user_id: Option<String>,
    updated_at: Timestamp,
    messages: usize,
}

/// Why a conversation is left as it is stored.
#[derive(Debug)]
pub(crate) enum Skipped {
    IsOfAnother,
    Differs,
    IsNewer,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IsOfAnother => {
                "is there already and belongs to another user; --overwrite replaces it"
            }
            Self::Differs => "is there already and differs; --overwrite replaces it",
            Self::IsNewer => "is there already in a newer state; --overwrite replaces it",
        })
    }
}

impl Compared {
    pub(crate) fn with(there: &mut Transcript, new: &Transcript, format: Format) -> Self {
        let mut session = new.session.clone();
        session.message_count = there.session.message_count;
        session.total_tokens = there.session.total_tokens;
        session.last_seq = there.session.last_seq;
        let is_same = session == there.session && there.messages == new.messages;
        Self {
            is_same,
            // Of what is the same, which is what most of a repeated import is, nothing more is asked.
            is_untouched: !is_same && is_untouched(there, format),
            is_beginning: !is_same && new.messages.starts_with(&there.messages),
            user_id: there.session.user_id.clone(),
            updated_at: there.session.updated_at,
            messages: there.messages.len(),
        }
    }

    /// Why it is not replaced unasked.
    pub(crate) fn why_not_replaced(&self, new: &Transcript) -> Option<Skipped> {
        let updated_at = new.session.updated_at;
        // What was changed since has a later time.
        let is_older_state = self.is_beginning && self.updated_at <= updated_at;
        // Sources without times say by nothing else which is the older one.
        let has_more = self.updated_at == updated_at && self.messages > new.messages.len();
        if self.user_id.is_some() && self.user_id != new.session.user_id {
            Some(Skipped::IsOfAnother)
        } else if !self.is_untouched && !is_older_state {
            Some(Skipped::Differs)
        } else if self.updated_at > updated_at || has_more {
            Some(Skipped::IsNewer)
        } else {
            None
        }
    }
}

/// What a dry run would have stored: of each conversation as much as it takes to compare another one with it.
#[derive(Debug, Default)]
pub(crate) struct Planned(HashMap<SessionId, Plan>);

#[derive(Debug)]
struct Plan {
    digest: String,
    digest_of_messages: String,
    messages: usize,
    /// The source whose mark it has.
    format: Option<Format>,
    user_id: Option<String>,
    updated_at: Timestamp,
}

impl Planned {
    pub(crate) fn add(&mut self, new: &Transcript, format: Format) {
        let plan = Plan {
            digest: digest_of(new),
            digest_of_messages: digest_of(&new.messages),
            messages: new.messages.len(),
            format: is_marked(format).then_some(format),
            user_id: new.session.user_id.clone(),
            updated_at: new.session.updated_at,
        };
        self.0.insert(new.session.id.clone(), plan);
    }

    /// What would be stored by now under the id of what comes.
    pub(crate) fn compared(&self, new: &Transcript, format: Format) -> Option<Compared> {
        let plan = self.0.get(&new.session.id)?;
        let beginning = new.messages.get(..plan.messages);
        Some(Compared {
            is_same: plan.digest == digest_of(new),
            is_untouched: plan.format == Some(format),
            is_beginning: beginning
                .is_some_and(|messages| digest_of(&messages) == plan.digest_of_messages),
            user_id: plan.user_id.clone(),
            updated_at: plan.updated_at,
            messages: plan.messages,
        })
    }
}
