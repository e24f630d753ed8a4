//! Changes to what is stored. Backends apply them with the functions here, so that none differs.

use serde_json::Value;

use super::session::distinct;
use crate::streaming::StreamLease;
use crate::{Error, ErrorKind, Map, Message, Part, Result, Session, Status, Timestamp};

/// A change to metadata.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetadataPatch {
    /// Puts this object in the place of what is there.
    Replace(Map),
    /// Merges this object into what is there as RFC 7396 (JSON Merge Patch) says: objects are merged
    /// key by key, `null` removes a key, anything else replaces.
    Merge(Map),
}

impl MetadataPatch {
    fn apply(self, metadata: &mut Map) {
        match self {
            Self::Replace(map) => *metadata = map,
            Self::Merge(patch) => merge(metadata, patch),
        }
    }
}

fn merge(target: &mut Map, patch: Map) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(&key);
            }
            Value::Object(patch) => {
                let entry = target.entry(key).or_insert_with(|| Value::Object(Map::new()));
                if !entry.is_object() {
                    *entry = Value::Object(Map::new());
                }
                if let Value::Object(target) = entry {
                    merge(target, patch);
                }
            }
            other => {
                target.insert(key, other);
            }
        }
    }
}

/// A change to a session; what is not set stays.
///
/// # Examples
/// ```
/// use shs_store::SessionPatch;
///
/// let patch = SessionPatch::new().with_title("Billing").with_tag_added("urgent");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionPatch {
    /// The title, or `None` to remove it.
    pub title: Option<Option<String>>,
    /// All tags anew.
    pub tags: Option<Vec<String>>,
    /// Tags to add, after `tags`.
    pub add_tags: Vec<String>,
    /// Tags to remove, last.
    pub remove_tags: Vec<String>,
    /// The metadata.
    pub metadata: Option<MetadataPatch>,
    /// When it ended, or `None` to open it again.
    pub ended_at: Option<Option<Timestamp>>,
}

impl SessionPatch {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(Some(title.into()));
        self
    }

    /// Removes the title.
    #[must_use]
    pub fn without_title(mut self) -> Self {
        self.title = Some(None);
        self
    }

    /// Sets all tags anew.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a tag, if it is not there.
    #[must_use]
    pub fn with_tag_added(mut self, tag: impl Into<String>) -> Self {
        self.add_tags.push(tag.into());
        self
    }

    /// Removes a tag, if it is there.
    #[must_use]
    pub fn with_tag_removed(mut self, tag: impl Into<String>) -> Self {
        self.remove_tags.push(tag.into());
        self
    }

    /// Replaces the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map) -> Self {
        self.metadata = Some(MetadataPatch::Replace(metadata));
        self
    }

    /// Merges into the metadata (RFC 7396): `null` removes a key.
    #[must_use]
    pub fn with_metadata_merged(mut self, metadata: Map) -> Self {
        self.metadata = Some(MetadataPatch::Merge(metadata));
        self
    }

    /// Marks it as ended at this time.
    #[must_use]
    pub fn with_ended_at(mut self, ended_at: Timestamp) -> Self {
        self.ended_at = Some(Some(ended_at));
        self
    }

    /// Marks it as not ended.
    #[must_use]
    pub fn reopened(mut self) -> Self {
        self.ended_at = Some(None);
        self
    }

    /// Applies the change at this time; the session is as before if it fails.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the result breaks a limit.
    pub fn apply(self, session: &mut Session, now: Timestamp) -> Result<()> {
        let mut changed = session.clone();
        if let Some(title) = self.title {
            changed.title = title;
        }
        if let Some(tags) = self.tags {
            changed.tags = tags;
        }
        changed.tags.extend(self.add_tags);
        changed.tags = distinct(changed.tags);
        changed.tags.retain(|tag| !self.remove_tags.contains(tag));
        if let Some(metadata) = self.metadata {
            metadata.apply(&mut changed.metadata);
        }
        if let Some(ended_at) = self.ended_at {
            changed.ended_at = ended_at;
        }
        changed.touch(now);
        changed.validate().map_err(|error| error.with_session(&session.id))?;
        *session = changed;
        Ok(())
    }
}

/// A change to a message; what is not set stays. Role, id, number and time of a message never change.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MessagePatch {
    /// The whole content anew.
    pub content: Option<String>,
    /// All parts anew.
    pub parts: Option<Vec<Part>>,
    /// The status.
    pub status: Option<Status>,
    /// The tokens, or `None` to remove them.
    pub tokens: Option<Option<u32>>,
    /// The model, or `None` to remove it.
    pub model: Option<Option<String>>,
    /// The latency in milliseconds, or `None` to remove it.
    pub latency_ms: Option<Option<f64>>,
    /// The metadata.
    pub metadata: Option<MetadataPatch>,
    /// The status that the message must have for the change to be made.
    pub expected_status: Option<Status>,
    /// The writer whom the message's [lease](crate::streaming) must name for the change to be made.
    pub expected_writer: Option<String>,
}

impl MessagePatch {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the content.
    #[must_use]
    pub fn with_content(mut self, content: impl Into<String>) -> Self {
        self.content = Some(content.into());
        self
    }

    /// Sets the parts.
    #[must_use]
    pub fn with_parts(mut self, parts: Vec<Part>) -> Self {
        self.parts = Some(parts);
        self
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets the tokens.
    #[must_use]
    pub fn with_tokens(mut self, tokens: u32) -> Self {
        self.tokens = Some(Some(tokens));
        self
    }

    /// Sets the model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(Some(model.into()));
        self
    }

    /// Sets the latency, in milliseconds.
    #[must_use]
    pub fn with_latency_ms(mut self, latency_ms: f64) -> Self {
        self.latency_ms = Some(Some(latency_ms));
        self
    }

    /// Replaces the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map) -> Self {
        self.metadata = Some(MetadataPatch::Replace(metadata));
        self
    }

    /// Merges into the metadata (RFC 7396): `null` removes a key.
    #[must_use]
    pub fn with_metadata_merged(mut self, metadata: Map) -> Self {
        self.metadata = Some(MetadataPatch::Merge(metadata));
        self
    }

    /// Makes the change only if the message has this status; a [`Conflict`](ErrorKind::Conflict) if not.
    #[must_use]
    pub fn with_expected_status(mut self, status: Status) -> Self {
        self.expected_status = Some(status);
        self
    }

    /// Makes the change only if the message is this writer's, by its [lease](crate::streaming):
    /// it is pending, or was marked as interrupted since, and nobody else wrote it meanwhile. A
    /// [`Conflict`](ErrorKind::Conflict) if not.
    #[must_use]
    pub fn with_expected_writer(mut self, writer: impl Into<String>) -> Self {
        self.expected_writer = Some(writer.into());
        self
    }

    /// Applies the change; the message is as before if it fails.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if the message has not the expected status or writer,
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the result breaks a limit.
    pub fn apply(self, message: &mut Message) -> Result<()> {
        if let Some(expected) = self.expected_status.filter(|status| *status != message.status) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("the message is {}, not {expected} as expected", message.status),
            )
            .with_message(&message.id));
        }
        if let Some(expected) = &self.expected_writer
            && !StreamLease::is_of(message, expected)
        {
            let detail = "the message is written by somebody else, or by nobody";
            return Err(Error::new(ErrorKind::Conflict, detail).with_message(&message.id));
        }
        let mut changed = message.clone();
        if let Some(content) = self.content {
            changed.content = content;
        }
        if let Some(parts) = self.parts {
            changed.parts = parts;
        }
        if let Some(status) = self.status {
            changed.status = status;
        }
        if let Some(tokens) = self.tokens {
            changed.tokens = tokens;
        }
        if let Some(model) = self.model {
            changed.model = model;
        }
        if let Some(latency_ms) = self.latency_ms {
            changed.latency_ms = latency_ms;
        }
        if let Some(metadata) = self.metadata {
            metadata.apply(&mut changed.metadata);
        }
        changed.validate().map_err(|error| error.with_message(&message.id))?;
        *message = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_merges_as_rfc_7396_says() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let mut target = map(json!({"a": {"b": 1, "c": 2}, "d": [1], "e": 5}));
        MetadataPatch::Merge(map(
            json!({"a": {"b": null, "x": {"y": null}}, "d": 4, "e": {"f": 6}}),
        ))
        .apply(&mut target);
        assert_eq!(Value::Object(target), json!({"a": {"c": 2, "x": {}}, "d": 4, "e": {"f": 6}}));
    }

    #[test]
    fn a_patch_that_fails_changes_nothing() {
        let now = Timestamp::now();
        let mut session = crate::NewSession::new().with_tag("a").into_session(now).unwrap();
        let before = session.clone();
        let patch = SessionPatch::new().with_title("t").with_tag_added("");
        assert!(patch.apply(&mut session, now).is_err());
        assert_eq!(session, before);
    }
}
