//! One conversation, without its messages.

use serde::{Deserialize, Serialize};

use super::null_as_default;
use crate::limits::{
    MAX_TITLE_BYTES, check_bytes, check_extra, check_map, check_optional_name, check_tags,
};
use crate::{Map, Result, Seq, SessionId, Timestamp};

/// A stored session: everything about a conversation but its messages.
///
/// Its JSON form is the Python package's, key for key, plus `ended_at`, `forked_from` and `last_seq`;
/// keys that are not known here are kept in [`extra`](Self::extra) and written back. The form with the
/// messages in it is [`Transcript`](crate::Transcript).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    /// The id, unique within the store.
    #[serde(rename = "session_id", default = "SessionId::generate")]
    pub id: SessionId,
    /// Whose conversation it is.
    pub user_id: Option<String>,
    /// The project, application or tenant that it belongs to.
    pub project_id: Option<String>,
    /// Labels, in the order given, each once.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tags: Vec<String>,
    /// The application's own data.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Map,
    /// What people call it.
    pub title: Option<String>,
    /// When it was started.
    #[serde(default = "Timestamp::now")]
    pub created_at: Timestamp,
    /// When it was last written to. It never goes back.
    #[serde(default = "Timestamp::now")]
    pub updated_at: Timestamp,
    /// When it was ended, if it was. An ended session still takes messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The session that it was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkPoint>,
    /// How many messages it has. The store keeps it right.
    #[serde(default)]
    pub message_count: u64,
    /// The sum of its messages' tokens. The store keeps it right.
    #[serde(default)]
    pub total_tokens: u64,
    /// The highest number that a message of it ever had; [`Seq::ZERO`] before the first.
    #[serde(default)]
    pub last_seq: Seq,
    /// JSON keys that this version does not know.
    #[serde(flatten)]
    pub extra: Map,
}

/// The keys of a session's JSON form, those of a [`Transcript`](crate::Transcript) included.
const KEYS: [&str; 15] = [
    "session_id",
    "user_id",
    "project_id",
    "tags",
    "metadata",
    "title",
    "created_at",
    "updated_at",
    "ended_at",
    "forked_from",
    "message_count",
    "total_tokens",
    "last_seq",
    "duration_seconds",
    "messages",
];

impl Session {
    /// Checks every limit of [`limits`](crate::limits).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming what breaks which limit.
    pub fn validate(&self) -> Result<()> {
        check_optional_name("a user id", self.user_id.as_deref())?;
        check_optional_name("a project id", self.project_id.as_deref())?;
        check_tags(&self.tags)?;
        if let Some(title) = &self.title {
            check_bytes("a title", title.len(), MAX_TITLE_BYTES)?;
        }
        check_map("the metadata of a session", &self.metadata)?;
        check_extra("an unknown key of a session", &self.extra, &KEYS)
    }

    /// Whether it has been ended.
    pub fn is_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Notes a write at this time: `updated_at` moves forward, and never back.
    pub fn touch(&mut self, now: Timestamp) {
        self.updated_at = self.updated_at.max(now);
    }
}

/// Where a forked session branched off.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForkPoint {
    /// The session that was forked.
    pub session_id: SessionId,
    /// The number up to which its messages were copied.
    pub seq: Seq,
}

/// A session to be created.
///
/// # Examples
/// ```
/// use shs_store::NewSession;
///
/// let new = NewSession::new().with_user("alice").with_project("support-bot").with_tag("billing");
/// assert_eq!(new.user_id.as_deref(), Some("alice"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewSession {
    /// The id: a new one unless the caller gives it.
    pub id: SessionId,
    /// Whose conversation it is.
    pub user_id: Option<String>,
    /// The project, application or tenant that it belongs to.
    pub project_id: Option<String>,
    /// What people call it.
    pub title: Option<String>,
    /// Labels; repeated ones are stored once.
    pub tags: Vec<String>,
    /// The application's own data.
    pub metadata: Map,
    /// When it was started; the store's clock if not given.
    pub created_at: Option<Timestamp>,
}

impl Default for NewSession {
    fn default() -> Self {
        Self::new()
    }
}

impl NewSession {
    /// A session with a new id and nothing else.
    pub fn new() -> Self {
        Self::with_id(SessionId::generate())
    }

    /// A session with this id and nothing else.
    pub fn with_id(id: SessionId) -> Self {
        Self {
            id,
            user_id: None,
            project_id: None,
            title: None,
            tags: Vec::new(),
            metadata: Map::new(),
            created_at: None,
        }
    }

    /// Sets the user.
    #[must_use]
    pub fn with_user(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// Sets the project.
    #[must_use]
    pub fn with_project(mut self, project_id: impl Into<String>) -> Self {
        self.project_id = Some(project_id.into());
        self
    }

    /// Sets the title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Sets the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the time of its start.
    #[must_use]
    pub fn with_created_at(mut self, created_at: Timestamp) -> Self {
        self.created_at = Some(created_at);
        self
    }

    /// The session as it is stored at first, checked against every limit.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming what breaks which limit.
    pub fn into_session(self, now: Timestamp) -> Result<Session> {
        let created_at = self.created_at.unwrap_or(now);
        let session = Session {
            id: self.id,
            user_id: self.user_id,
            project_id: self.project_id,
            tags: distinct(self.tags),
            metadata: self.metadata,
            title: self.title,
            created_at,
            updated_at: now,
            ended_at: None,
            forked_from: None,
            message_count: 0,
            total_tokens: 0,
            last_seq: Seq::ZERO,
            extra: Map::new(),
        };
        session.validate().map_err(|error| error.with_session(&session.id))?;
        Ok(session)
    }

    /// Takes from `source` whatever is not given here, as a fork does: user, project, title, tags,
    /// metadata. Times are not taken.
    #[must_use]
    pub fn inherit(mut self, source: &Session) -> Self {
        self.user_id = self.user_id.or_else(|| source.user_id.clone());
        self.project_id = self.project_id.or_else(|| source.project_id.clone());
        self.title = self.title.or_else(|| source.title.clone());
        if self.tags.is_empty() {
            self.tags.clone_from(&source.tags);
        }
        if self.metadata.is_empty() {
            self.metadata.clone_from(&source.metadata);
        }
        self
    }
}

/// Keeps the first of each tag.
pub(crate) fn distinct(tags: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    tags.into_iter().filter(|tag| seen.insert(tag.clone())).collect()
}
