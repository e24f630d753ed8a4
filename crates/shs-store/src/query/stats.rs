//! Totals, computed by the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SessionFilter;
use super::filter::{filter_methods, range_methods};
use crate::model::AsHead;
use crate::{Role, Scope, Session, Timestamp};

/// Asks for totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatsQuery {
    /// Whose and which sessions.
    pub filter: SessionFilter,
    /// Only messages said from this time on.
    pub since: Option<Timestamp>,
    /// Only messages said before this time.
    pub until: Option<Timestamp>,
}

impl StatsQuery {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    filter_methods!();
    range_methods!();

    /// Whether messages are counted by time.
    pub fn has_range(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }
}

/// Totals over sessions and messages.
///
/// With a time range, the messages are those said within it, and the sessions those with at least one
/// such message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions.
    pub sessions: u64,
    /// Sessions of these that were not ended.
    pub active_sessions: u64,
    /// Messages.
    pub messages: u64,
    /// Tokens.
    pub tokens: u64,
    /// Messages and tokens by role; roles without a message are missing.
    pub by_role: BTreeMap<Role, Usage>,
    /// Messages and tokens by model; messages without a model are in none.
    pub by_model: BTreeMap<String, Usage>,
}

impl Stats {
    /// Counts a session; for backends.
    pub fn count_session(&mut self, session: &Session) {
        self.sessions += 1;
        self.active_sessions += u64::from(!session.is_ended());
    }

    /// Counts what the query asks for in one conversation of the scope's tenant; for backends.
    pub fn count_conversation<'m, H: AsHead + 'm>(
        &mut self,
        scope: &Scope,
        query: &StatsQuery,
        session: &Session,
        messages: impl Iterator<Item = &'m H> + Clone,
    ) {
        if !scope.has(session) || !query.filter.matches(session) {
            return;
        }
        let counted = messages.filter(|message| query.in_range(message.timestamp()));
        if !query.has_range() || counted.clone().next().is_some() {
            self.count_session(session);
        }
        counted.for_each(|message| self.count_message(message));
    }

    /// Counts a message; for backends.
    pub fn count_message(&mut self, message: &impl AsHead) {
        let tokens = message.tokens().map_or(0, u64::from);
        self.count_usage(message.role(), message.model(), Usage { messages: 1, tokens });
    }

    /// Counts some messages of one role and model; for backends.
    pub fn count_usage(&mut self, role: Role, model: Option<&str>, usage: Usage) {
        self.messages += usage.messages;
        self.tokens += usage.tokens;
        self.by_role.entry(role).or_default().add(usage);
        if let Some(model) = model {
            match self.by_model.get_mut(model) {
                Some(entry) => entry.add(usage),
                None => {
                    self.by_model.insert(model.to_owned(), usage);
                }
            }
        }
    }
}

/// Messages and their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Messages.
    pub messages: u64,
    /// Tokens.
    pub tokens: u64,
}

impl Usage {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.tokens += other.tokens;
    }
}
