//! The filter by properties of the session, shared by all queries.

use serde::{Deserialize, Serialize};

use crate::Session;

/// Which sessions of a [scope](crate::Scope) a query is about. Everything that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionFilter {
    /// Sessions of this user.
    pub user_id: Option<String>,
    /// Sessions of this project.
    pub project_id: Option<String>,
    /// Sessions with at least one of these tags; no condition if empty.
    pub tags_any: Vec<String>,
    /// Sessions with all of these tags.
    pub tags_all: Vec<String>,
}

impl SessionFilter {
    /// Every session.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every session is meant.
    pub fn is_everything(&self) -> bool {
        self.user_id.is_none() && self.project_id.is_none() && !self.has_tags()
    }

    /// Whether some tags are asked for; for backends.
    pub fn has_tags(&self) -> bool {
        !self.tags_any.is_empty() || !self.tags_all.is_empty()
    }

    /// Whether the session is one of them.
    pub fn matches(&self, session: &Session) -> bool {
        let same =
            |wanted: &Option<String>, actual: &Option<String>| wanted.is_none() || wanted == actual;
        same(&self.user_id, &session.user_id)
            && same(&self.project_id, &session.project_id)
            && (self.tags_any.is_empty()
                || self.tags_any.iter().any(|tag| session.tags.contains(tag)))
            && self.tags_all.iter().all(|tag| session.tags.contains(tag))
    }
}

/// Gives a query with a `filter` field the methods that narrow it.
macro_rules! filter_methods {
    () => {
        /// Only sessions of this user.
        #[must_use]
        pub fn with_user(mut self, user_id: impl Into<String>) -> Self {
            self.filter.user_id = Some(user_id.into());
            self
        }

        /// Only sessions of this project.
        #[must_use]
        pub fn with_project(mut self, project_id: impl Into<String>) -> Self {
            self.filter.project_id = Some(project_id.into());
            self
        }

        /// Only sessions with at least one of these tags.
        #[must_use]
        pub fn with_any_tag(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
            self.filter.tags_any.extend(tags.into_iter().map(Into::into));
            self
        }

        /// Only sessions with all of these tags.
        #[must_use]
        pub fn with_all_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
            self.filter.tags_all.extend(tags.into_iter().map(Into::into));
            self
        }

        /// Only sessions that pass this filter.
        #[must_use]
        pub fn with_filter(mut self, filter: $crate::SessionFilter) -> Self {
            self.filter = filter;
            self
        }
    };
}

/// Gives a query with `since` and `until` fields the methods that set them.
macro_rules! range_methods {
    () => {
        /// Only from this time on.
        #[must_use]
        pub fn with_since(mut self, since: $crate::Timestamp) -> Self {
            self.since = Some(since);
            self
        }

        /// Only before this time.
        #[must_use]
        pub fn with_until(mut self, until: $crate::Timestamp) -> Self {
            self.until = Some(until);
            self
        }

        /// Whether a time is in the range: from `since` on, before `until`.
        pub fn in_range(&self, at: $crate::Timestamp) -> bool {
            self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
        }
    };
}

/// Gives a query with a `page` field the methods that choose the page.
macro_rules! page_methods {
    () => {
        /// At most so many items on the page: 1 to 1,000.
        #[must_use]
        pub fn with_limit(mut self, limit: u32) -> Self {
            self.page.limit = limit;
            self
        }

        /// The page that follows this cursor.
        #[must_use]
        pub fn with_after(mut self, cursor: $crate::Cursor) -> Self {
            self.page.after = Some(cursor);
            self
        }

        /// Passes over so many items first. A cursor does the same at no cost, and skips nothing.
        #[must_use]
        pub fn with_offset(mut self, offset: u64) -> Self {
            self.page.offset = offset;
            self
        }
    };
}

pub(crate) use page_methods;
pub(super) use {filter_methods, range_methods};
