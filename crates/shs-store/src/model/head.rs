//! Messages without what makes them long.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    // What is passed over has to be what a message can be read from, all the same.
    #[serde(rename = "content")]
    _content: Text,
    #[serde(rename = "metadata", default)]
    _metadata: Option<Object>,
    #[serde(default)]
    parts: Option<Vec<Object>>,
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
                while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
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

/// A value that is passed over.
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
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

impl<'de> Deserialize<'de> for MessageHead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        let status = match &*fields.status {
            "" => Status::default(),
            status => status.parse().map_err(D::Error::custom)?,
        };
        if !fields.parts.iter().flatten().all(|part| part.has_type) {
            return Err(D::Error::custom("a part without a type"));
        }
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
        for key in ["metadata", "parts"] {
            assert!(is_read(key, None) && is_read(key, Some(json!(null))));
        }
    }
}
