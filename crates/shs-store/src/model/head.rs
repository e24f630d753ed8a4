//! Messages without what makes them long.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::message::check_model;
use crate::{Message, MessageId, Role, Seq, Status, Timestamp};

/// What filters and totals look at in a message, and nothing that makes it long; for backends that
/// keep the rest elsewhere.
///
/// It can be read from the JSON of the whole message, of which it passes over the rest.
///
/// # Examples
/// ```
/// use shs_store::model::MessageHead;
/// use shs_store::{NewMessage, Seq};
///
/// let message = NewMessage::user("Hello!").into_message(Seq::FIRST);
/// let json = serde_json::to_string(&message)?;
/// let head: MessageHead = serde_json::from_str(&json)?;
/// assert_eq!(head, message.head());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageHead {
    /// The id, unique within the session.
    pub id: MessageId,
    /// The number within the session.
    pub seq: Seq,
    /// When it was said.
    pub timestamp: Timestamp,
    /// The model that produced it.
    pub model: Option<Box<str>>,
    /// Tokens that it counts for.
    pub tokens: Option<u32>,
    /// Who speaks.
    pub role: Role,
    /// How far it has come.
    pub status: Status,
}

impl MessageHead {
    /// The head of a delivered message without tokens or model.
    pub fn new(id: MessageId, seq: Seq, role: Role, timestamp: Timestamp) -> Self {
        let (model, tokens) = (None, None);
        Self { id, seq, timestamp, model, tokens, role, status: Status::Delivered }
    }
}

impl Message {
    /// A copy of what filters and totals look at.
    #[must_use]
    pub fn head(&self) -> MessageHead {
        MessageHead {
            id: self.id.clone(),
            seq: self.seq,
            timestamp: self.timestamp,
            model: self.model.as_deref().map(Box::from),
            tokens: self.tokens,
            role: self.role,
            status: self.status,
        }
    }
}

/// A message, whole or by its [head](MessageHead); for backends.
pub trait AsHead {
    /// The number within the session.
    fn seq(&self) -> Seq;
    /// When it was said.
    fn timestamp(&self) -> Timestamp;
    /// The model that produced it.
    fn model(&self) -> Option<&str>;
    /// Tokens that it counts for.
    fn tokens(&self) -> Option<u32>;
    /// Who speaks.
    fn role(&self) -> Role;
    /// How far it has come.
    fn status(&self) -> Status;
}

macro_rules! as_head {
    ($type:ty) => {
        impl AsHead for $type {
            fn seq(&self) -> Seq {
                self.seq
            }
            fn timestamp(&self) -> Timestamp {
                self.timestamp
            }
            fn model(&self) -> Option<&str> {
                self.model.as_deref()
            }
            fn tokens(&self) -> Option<u32> {
                self.tokens
            }
            fn role(&self) -> Role {
                self.role
            }
            fn status(&self) -> Status {
                self.status
            }
        }
    };
}

as_head!(Message);
as_head!(MessageHead);

/// The fields of a message. What is passed over has to be what a message can be read from, all the same.
#[derive(Default)]
struct Fields<'a> {
    message_id: Option<Cow<'a, str>>,
    seq: Option<Seq>,
    role: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    status: Option<Option<Cow<'a, str>>>,
    tokens: Option<Option<u32>>,
    model: Option<Option<String>>,
    latency_ms: Option<Option<f64>>,
    content: Option<Text>,
    metadata: Option<Option<Object>>,
    parts: Option<Option<Vec<Object>>>,
}

impl<'de> Visitor<'de> for Fields<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Self, A::Error> {
        while let Some(Key(key)) = entries.next_key()? {
            match &*key {
                "message_id" => once("message_id", &mut self.message_id, text(&mut entries)?)?,
                "seq" => once("seq", &mut self.seq, entries.next_value()?)?,
                "role" => once("role", &mut self.role, text(&mut entries)?)?,
                "timestamp" => once("timestamp", &mut self.timestamp, text(&mut entries)?)?,
                "status" => {
                    let status = entries.next_value::<Option<Key<'de>>>()?.map(|Key(text)| text);
                    once("status", &mut self.status, status)?;
                }
                "tokens" => once("tokens", &mut self.tokens, entries.next_value()?)?,
                "model" => once("model", &mut self.model, entries.next_value()?)?,
                "latency_ms" => once("latency_ms", &mut self.latency_ms, entries.next_value()?)?,
                "content" => once("content", &mut self.content, entries.next_value()?)?,
                "metadata" => once("metadata", &mut self.metadata, entries.next_value()?)?,
                "parts" => once("parts", &mut self.parts, entries.next_value()?)?,
                _ => {
                    entries.next_value::<Value>()?;
                }
            }
        }
        Ok(self)
    }
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

fn text<'de, A: MapAccess<'de>>(entries: &mut A) -> Result<Cow<'de, str>, A::Error> {
    entries.next_value::<Key<'de>>().map(|Key(text)| text)
}

fn once<T, E: serde::de::Error>(
    name: &'static str,
    field: &mut Option<T>,
    value: T,
) -> Result<(), E> {
    match field.replace(value) {
        Some(_) => Err(E::duplicate_field(name)),
        None => Ok(()),
    }
}

/// A text that is passed over.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl Visitor<'_> for AnyText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }

        deserializer.deserialize_str(AnyText)
    }
}

/// An object that is passed over.
struct Object {
    /// Whether it says in a text of what type it is.
    has_type: bool,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyObject;

        impl<'de> Visitor<'de> for AnyObject {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
                let mut has_type = false;
                while let Some(Key(key)) = entries.next_key()? {
                    let value = entries.next_value::<Value>()?;
                    if key == "type" {
                        // Of a key that is there twice, the last counts.
                        has_type = matches!(value, Value::Text);
                    }
                }
                Ok(Object { has_type })
            }
        }

        deserializer.deserialize_map(AnyObject)
    }
}

/// A value that is passed over, but read: what serde ignores may hold texts that are none, and numbers that are too large.
enum Value {
    Text,
    Other,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, _: &str) -> Result<Value, E> {
                Ok(Value::Text)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                while items.next_element::<Value>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                while entries.next_entry::<Text, Value>()?.is_some() {}
                Ok(Value::Other)
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

impl<'de> Deserialize<'de> for MessageHead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = deserializer.deserialize_map(Fields::default())?;
        let missing = D::Error::missing_field;
        if fields.content.is_none() {
            return Err(missing("content"));
        }
        if !fields.parts.iter().flatten().flatten().all(|part| part.has_type) {
            return Err(D::Error::custom("a part without a type"));
        }
        let id = fields.message_id.ok_or_else(|| missing("message_id"))?;
        let role = fields.role.ok_or_else(|| missing("role"))?;
        let timestamp = fields.timestamp.ok_or_else(|| missing("timestamp"))?;
        let mut head = Self::new(
            MessageId::new(id).map_err(D::Error::custom)?,
            fields.seq.unwrap_or_default(),
            role.parse().map_err(D::Error::custom)?,
            timestamp.parse().map_err(D::Error::custom)?,
        );
        if let Some(status) = fields.status.flatten() {
            head.status = status.parse().map_err(D::Error::custom)?;
        }
        head.tokens = fields.tokens.flatten();
        let model = fields.model.flatten();
        check_model(model.as_deref(), fields.latency_ms.flatten()).map_err(D::Error::custom)?;
        head.model = model.map(String::into_boxed_str);
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{NewMessage, Part};

    #[test]
    fn a_head_is_read_from_what_a_message_is_read_from() {
        let parts = vec![Part::text("a"), Part::uri("image", "b")];
        let message = NewMessage::user("Hello!").with_parts(parts).into_message(Seq::FIRST);
        let whole = serde_json::to_value(&message).unwrap();
        let is_read = |key: &str, value: Option<serde_json::Value>| {
            let mut changed = whole.clone();
            match value {
                Some(value) => changed[key] = value,
                None => drop(changed.as_object_mut().unwrap().remove(key)),
            }
            let json = changed.to_string();
            let message = serde_json::from_str::<Message>(&json).is_ok();
            assert_eq!(serde_json::from_str::<MessageHead>(&json).is_ok(), message, "{json}");
            message
        };
        assert!(is_read("seq", Some(7.into())));
        for (key, odd) in [
            ("content", None),
            ("content", Some(json!(null))),
            ("content", Some(1.into())),
            ("metadata", Some(json!([]))),
            ("metadata", Some(json!("x"))),
            ("parts", Some(json!({}))),
            ("parts", Some(json!([1]))),
            ("parts", Some(json!([{}]))),
            ("parts", Some(json!([["text"]]))),
            ("parts", Some(json!([{"type": ["text"], "x": {"y": 1.5}}]))),
            ("parts", Some(json!([{"type": null}]))),
        ] {
            assert!(!is_read(key, odd));
        }
        // What is not known is passed over, and still read.
        for (odd, is_odd) in
            [("\"x\\ud800\"", true), ("1e999", true), ("[\"\\u00e9\", 1e9]", false)]
        {
            let json = whole
                .to_string()
                .replace("{\"content\":\"H", &format!("{{\"x\":{odd},\"content\":\"H"));
            assert_eq!(serde_json::from_str::<Message>(&json).is_err(), is_odd, "{json}");
            assert_eq!(serde_json::from_str::<MessageHead>(&json).is_err(), is_odd, "{json}");
        }
        for key in ["metadata", "parts"] {
            assert!(is_read(key, None) && is_read(key, Some(json!(null))));
        }
    }
}
