//! Messages without what makes them long.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::null_as_default;
use crate::{Map, Message, MessageId, Role, Seq, Status, Timestamp};

impl Message {
    /// A copy without content, parts, metadata and unknown keys; for backends that keep those elsewhere.
    #[must_use]
    pub fn head(&self) -> Self {
        Self {
            id: self.id.clone(),
            seq: self.seq,
            role: self.role,
            content: String::new(),
            parts: Vec::new(),
            timestamp: self.timestamp,
            metadata: Map::new(),
            status: self.status,
            tokens: self.tokens,
            model: self.model.clone(),
            latency_ms: self.latency_ms,
            extra: Map::new(),
        }
    }
}

/// A message's [head](Message::head), read from the JSON of the whole message, of which it passes over the rest; for backends.
///
/// # Examples
/// ```
/// use shs_store::model::MessageHead;
/// use shs_store::{NewMessage, Seq};
///
/// let message = NewMessage::user("Hello!").into_message(Seq::FIRST);
/// let json = serde_json::to_string(&message)?;
/// let MessageHead(head) = serde_json::from_str(&json)?;
/// assert_eq!(head, message.head());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MessageHead(pub Message);

impl MessageHead {
    /// The head of a delivered message without tokens, model or latency.
    pub fn new(id: MessageId, seq: Seq, role: Role, timestamp: Timestamp) -> Self {
        Self(Message {
            id,
            seq,
            role,
            content: String::new(),
            parts: Vec::new(),
            timestamp,
            metadata: Map::new(),
            status: Status::Delivered,
            tokens: None,
            model: None,
            latency_ms: None,
            extra: Map::new(),
        })
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(default)]
    seq: Seq,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    status: Cow<'a, str>,
    tokens: Option<u32>,
    model: Option<String>,
    latency_ms: Option<f64>,
}

impl<'de> Deserialize<'de> for MessageHead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        let status = match &*fields.status {
            "" => Status::default(),
            status => status.parse().map_err(D::Error::custom)?,
        };
        let id = MessageId::new(fields.message_id).map_err(D::Error::custom)?;
        let role = fields.role.parse().map_err(D::Error::custom)?;
        let timestamp = fields.timestamp.parse().map_err(D::Error::custom)?;
        let Self(mut head) = Self::new(id, fields.seq, role, timestamp);
        head.status = status;
        head.tokens = fields.tokens;
        head.model = fields.model;
        head.latency_ms = fields.latency_ms;
        Ok(Self(head))
    }
}
