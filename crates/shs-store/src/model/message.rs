//! One turn of a conversation.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::null_as_default;
use crate::limits::{MAX_CONTENT_BYTES, check_bytes, check_extra, check_map, check_optional_name};
use crate::{Error, Map, MessageId, Part, Result, Role, Seq, Status, Timestamp};

/// A stored message.
///
/// Its JSON form is the Python package's, key for key, plus `seq` and `parts`; keys that are not known
/// here are kept in [`extra`](Self::extra) and written back. Reading JSON without `message_id` or
/// `timestamp` makes new ones, as the Python package does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// The id, unique within the session.
    #[serde(rename = "message_id", default = "MessageId::generate")]
    pub id: MessageId,
    /// The number within the session; the order of the conversation.
    #[serde(default)]
    pub seq: Seq,
    /// Who speaks.
    pub role: Role,
    /// The text that people read and search.
    pub content: String,
    /// What plain text cannot carry; empty for a plain text message.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub parts: Vec<Part>,
    /// When it was said.
    #[serde(default = "Timestamp::now")]
    pub timestamp: Timestamp,
    /// The application's own data.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Map,
    /// How far it has come.
    #[serde(default, deserialize_with = "null_as_default")]
    pub status: Status,
    /// Tokens that it counts for.
    pub tokens: Option<u32>,
    /// The model that produced it.
    pub model: Option<String>,
    /// How long the model took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// JSON keys that this version does not know.
    #[serde(flatten)]
    pub extra: Map,
}

impl Message {
    /// Checks every limit of [`limits`](crate::limits).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming what breaks which limit.
    pub fn validate(&self) -> Result<()> {
        Fields {
            content: &self.content,
            parts: &self.parts,
            metadata: &self.metadata,
            extra: &self.extra,
            model: self.model.as_deref(),
            latency_ms: self.latency_ms,
        }
        .validate()
    }

    /// Numbers it, if it has no number, as the one after the `last`, and checks that it can follow
    /// that; then it is the last one.
    pub(super) fn follow(&mut self, last: &mut Seq) -> Result<()> {
        if self.seq == Seq::ZERO {
            self.seq = last.next();
        }
        if self.seq <= *last {
            let detail = format!("seq {} follows seq {last}; it must rise", self.seq);
            return Err(Error::invalid(detail));
        }
        self.validate()?;
        *last = self.seq;
        Ok(())
    }

    /// What makes two messages with one id the same message: see [`ContentDigest`].
    pub fn digest(&self) -> ContentDigest {
        ContentDigest::of(self.role, &self.content, &self.parts)
    }

    /// Bytes of text that it carries, roughly; what [`PAGE_BYTES`](crate::limits::PAGE_BYTES) counts.
    ///
    /// The content counts exactly; parts and metadata count where there are any.
    pub fn weight(&self) -> usize {
        let mut weight = self.content.len();
        if !self.parts.is_empty() {
            weight += serde_json::to_string(&self.parts).map_or(0, |json| json.len());
        }
        if !self.metadata.is_empty() {
            weight += serde_json::to_string(&self.metadata).map_or(0, |json| json.len());
        }
        weight
    }
}

/// A message to be appended; the store gives it its [`Seq`].
///
/// # Examples
/// ```
/// use shs_store::{NewMessage, Status};
///
/// let message = NewMessage::assistant("It is fixed.")
///     .with_tokens(18)
///     .with_model("claude-3-sonnet")
///     .with_latency_ms(410.0);
/// assert_eq!(message.status, Status::Delivered);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewMessage {
    /// The id: a new one unless the caller gives it. A retry with the same id stores nothing twice.
    pub id: MessageId,
    /// Who speaks.
    pub role: Role,
    /// The text that people read and search.
    pub content: String,
    /// What plain text cannot carry.
    pub parts: Vec<Part>,
    /// When it was said: now, unless the caller gives it.
    pub timestamp: Timestamp,
    /// The application's own data.
    pub metadata: Map,
    /// How far it has come: delivered, unless the caller says otherwise.
    pub status: Status,
    /// Tokens that it counts for.
    pub tokens: Option<u32>,
    /// The model that produced it.
    pub model: Option<String>,
    /// How long the model took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// JSON keys that this version does not know.
    pub extra: Map,
}

impl NewMessage {
    /// A message with a new id, said now.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self::known(MessageId::generate(), role, content, Timestamp::now())
    }

    /// A message that has its id and its time already; for backends, which read it.
    pub fn known(
        id: MessageId,
        role: Role,
        content: impl Into<String>,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            id,
            role,
            content: content.into(),
            parts: Vec::new(),
            timestamp,
            metadata: Map::new(),
            status: Status::Delivered,
            tokens: None,
            model: None,
            latency_ms: None,
            extra: Map::new(),
        }
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }

    /// A message of the assistant.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// A message of the system.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }

    /// A message of a tool.
    pub fn tool(content: impl Into<String>) -> Self {
        Self::new(Role::Tool, content)
    }

    /// Gives the id.
    #[must_use]
    pub fn with_id(mut self, id: MessageId) -> Self {
        self.id = id;
        self
    }

    /// Sets the parts.
    #[must_use]
    pub fn with_parts(mut self, parts: Vec<Part>) -> Self {
        self.parts = parts;
        self
    }

    /// Sets the time.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// Sets the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Sets the tokens.
    #[must_use]
    pub fn with_tokens(mut self, tokens: u32) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Sets the model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets the latency, in milliseconds.
    #[must_use]
    pub fn with_latency_ms(mut self, latency_ms: f64) -> Self {
        self.latency_ms = Some(latency_ms);
        self
    }

    /// The message as it is stored under this number.
    pub fn into_message(self, seq: Seq) -> Message {
        Message {
            id: self.id,
            seq,
            role: self.role,
            content: self.content,
            parts: self.parts,
            timestamp: self.timestamp,
            metadata: self.metadata,
            status: self.status,
            tokens: self.tokens,
            model: self.model,
            latency_ms: self.latency_ms,
            extra: self.extra,
        }
    }

    /// What makes two messages with one id the same message: see [`ContentDigest`].
    pub fn digest(&self) -> ContentDigest {
        ContentDigest::of(self.role, &self.content, &self.parts)
    }

    /// Checks every limit of [`limits`](crate::limits).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming what breaks which limit.
    pub fn validate(&self) -> Result<()> {
        Fields {
            content: &self.content,
            parts: &self.parts,
            metadata: &self.metadata,
            extra: &self.extra,
            model: self.model.as_deref(),
            latency_ms: self.latency_ms,
        }
        .validate()
    }
}

/// The keys of a message's JSON form.
const KEYS: [&str; 11] = [
    "message_id",
    "seq",
    "role",
    "content",
    "parts",
    "timestamp",
    "metadata",
    "status",
    "tokens",
    "model",
    "latency_ms",
];

/// The fields of a message that have limits.
struct Fields<'a> {
    content: &'a str,
    parts: &'a [Part],
    metadata: &'a Map,
    extra: &'a Map,
    model: Option<&'a str>,
    latency_ms: Option<f64>,
}

impl Fields<'_> {
    fn validate(&self) -> Result<()> {
        check_bytes("the content of a message", self.content.len(), MAX_CONTENT_BYTES)?;
        Part::check_all(self.parts)?;
        check_map("the metadata of a message", self.metadata)?;
        check_extra("an unknown key of a message", self.extra, &KEYS)?;
        check_model(self.model, self.latency_ms)
    }
}

/// Checks what is said of the model.
pub(super) fn check_model(model: Option<&str>, latency_ms: Option<f64>) -> Result<()> {
    check_optional_name("a model name", model)?;
    if latency_ms.is_some_and(|latency| !latency.is_finite() || latency < 0.0) {
        return Err(Error::invalid("latency_ms is not a finite number from 0 up"));
    }
    Ok(())
}

impl From<Message> for NewMessage {
    /// The same message without its number, to be appended elsewhere.
    fn from(message: Message) -> Self {
        Self {
            id: message.id,
            role: message.role,
            content: message.content,
            parts: message.parts,
            timestamp: message.timestamp,
            metadata: message.metadata,
            status: message.status,
            tokens: message.tokens,
            model: message.model,
            latency_ms: message.latency_ms,
            extra: message.extra,
        }
    }
}

/// A digest of a message's role, content and parts, as they were when it was appended.
///
/// Backends keep it with each message. An append that repeats an id is a repetition if the digest is the
/// same, also when the message was updated since, and a conflict if it differs. It is a UUID version 5,
/// which is to say 122 bits of SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentDigest(Uuid);

impl ContentDigest {
    const NAMESPACE: Uuid = Uuid::from_u128(0x5e55_1095_4157_4f72_8d16_e57c_0de0_0001);

    fn of(role: Role, content: &str, parts: &[Part]) -> Self {
        let mut bytes = Vec::with_capacity(content.len() + 16);
        bytes.extend_from_slice(role.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
        bytes.extend_from_slice(content.as_bytes());
        if !parts.is_empty() {
            serde_json::to_writer(&mut bytes, parts)
                .expect("JSON values with string keys always serialize");
        }
        Self(Uuid::new_v5(&Self::NAMESPACE, &bytes))
    }

    /// The 16 bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Takes the 16 bytes back.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}
