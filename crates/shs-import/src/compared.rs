//! What is stored, compared with what comes: whether it is the same, and whether it may be replaced.

use std::collections::HashMap;
use std::fmt;

use shs_store::{Session, SessionId, Timestamp, Transcript};

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
    messages: u64,
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
        let is_same = is_same(&there.session, &new.session) && there.messages == new.messages;
        Self {
            is_same,
            // Of what is the same, which is what most of a repeated import is, nothing more is asked.
            is_untouched: !is_same && is_untouched(there, format),
            is_beginning: !is_same && new.messages.starts_with(&there.messages),
            user_id: there.session.user_id.clone(),
            updated_at: there.session.updated_at,
            messages: there.session.message_count,
        }
    }

    /// Of a conversation that comes without a mark, by whether it begins with all that is stored.
    pub(crate) fn by_beginning(there: &Session, new: &Session, is_beginning: bool) -> Self {
        let is_whole = there.message_count == new.message_count;
        Self {
            is_same: is_beginning && is_whole && is_same(there, new),
            is_untouched: false,
            is_beginning,
            user_id: there.user_id.clone(),
            updated_at: there.updated_at,
            messages: there.message_count,
        }
    }

    /// Why it is not replaced unasked.
    pub(crate) fn why_not_replaced(&self, new: &Session) -> Option<Skipped> {
        // What was changed since has a later time.
        let is_older_state = self.is_beginning && self.updated_at <= new.updated_at;
        // Sources without times say by nothing else which is the older one.
        let has_more = self.updated_at == new.updated_at && self.messages > new.message_count;
        if self.user_id.is_some() && self.user_id != new.user_id {
            Some(Skipped::IsOfAnother)
        } else if !self.is_untouched && !is_older_state {
            Some(Skipped::Differs)
        } else if self.updated_at > new.updated_at || has_more {
            Some(Skipped::IsNewer)
        } else {
            None
        }
    }
}

/// Whether two sessions are the same; counts are the store's own.
fn is_same(there: &Session, new: &Session) -> bool {
    let mut new = new.clone();
    new.message_count = there.message_count;
    new.total_tokens = there.total_tokens;
    new.last_seq = there.last_seq;
    new == *there
}

/// What a dry run would have stored: of each conversation as much as it takes to compare another one with it.
#[derive(Debug, Default)]
pub(crate) struct Planned(HashMap<SessionId, Plan>);

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    session_digest: String,
    messages_digest: String,
    pub(crate) messages: u64,
    /// The source whose mark it has.
    format: Option<Format>,
    user_id: Option<String>,
    updated_at: Timestamp,
}

impl Planned {
    /// Adds a conversation, with the digest of all of its messages.
    pub(crate) fn add(&mut self, new: &Session, messages_digest: String, format: Format) {
        let plan = Plan {
            session_digest: digest_of(new),
            messages_digest,
            messages: new.message_count,
            format: is_marked(format).then_some(format),
            user_id: new.user_id.clone(),
            updated_at: new.updated_at,
        };
        self.0.insert(new.id.clone(), plan);
    }

    /// What would be stored by now under an id.
    pub(crate) fn get(&self, id: &SessionId) -> Option<Plan> {
        self.0.get(id).cloned()
    }
}

impl Plan {
    /// It, beside what comes and the digest of as many messages of that as it has; `None` if that
    /// has fewer.
    pub(crate) fn compared(self, new: &Session, digest: Option<&str>, format: Format) -> Compared {
        let is_beginning = digest == Some(self.messages_digest.as_str());
        let is_whole = self.messages == new.message_count;
        Compared {
            is_same: is_beginning && is_whole && self.session_digest == digest_of(new),
            is_untouched: self.format == Some(format),
            is_beginning,
            user_id: self.user_id,
            updated_at: self.updated_at,
            messages: self.messages,
        }
    }
}
