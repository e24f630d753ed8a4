//! What plain text cannot carry: tool calls, reasoning, images.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{MAX_CONTENT_BYTES, check_bytes, check_map};
use crate::{Error, Map, Result};

/// One part of a message, in the message-part schema of the OpenTelemetry GenAI semantic conventions.
///
/// It is a JSON object with a `type`; what is in it is kept whole, also where the type or a key is not
/// known here. [`view`](Self::view) gives the known types their fields.
///
/// # Examples
/// ```
/// use shs_store::{Part, PartView};
///
/// let call = Part::tool_call("call_1", "weather", serde_json::json!({"city": "Paris"}));
/// assert!(matches!(call.view(), PartView::ToolCall { name: "weather", .. }));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map", into = "Map")]
pub struct Part(Map);

/// A part by its type, borrowed from a [`Part`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PartView<'a> {
    /// `text`: plain text.
    Text {
        /// The text.
        content: &'a str,
    },
    /// `reasoning`: what a model thought before it answered.
    Reasoning {
        /// The text.
        content: &'a str,
    },
    /// `tool_call`: a model asks for a tool.
    ToolCall {
        /// The id that the response refers to.
        id: Option<&'a str>,
        /// The tool's name.
        name: &'a str,
        /// The tool's arguments, usually an object.
        arguments: Option<&'a Value>,
    },
    /// `tool_call_response`: what the tool gave back.
    ToolCallResponse {
        /// The id of the call.
        id: Option<&'a str>,
        /// The result, any JSON.
        response: &'a Value,
    },
    /// `blob`: bytes inline, in Base64.
    Blob {
        /// Such as `image`, `audio` or `video`.
        modality: &'a str,
        /// The bytes in Base64.
        content: &'a str,
        /// The IANA media type.
        mime_type: Option<&'a str>,
    },
    /// `file`: a file that a provider keeps.
    File {
        /// Such as `image`, `audio` or `video`.
        modality: &'a str,
        /// The provider's id of the file.
        file_id: &'a str,
    },
    /// `uri`: something to be fetched.
    Uri {
        /// Such as `image`, `audio` or `video`.
        modality: &'a str,
        /// Where it is.
        uri: &'a str,
    },
    /// Any other type, or a known type that lacks a field it needs.
    Other {
        /// The type's name.
        kind: &'a str,
        /// The whole object.
        object: &'a Map,
    },
}

impl Part {
    /// Takes a JSON object with a string `type`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) without a string `type`.
    pub fn from_object(object: Map) -> Result<Self> {
        if !object.get("type").is_some_and(Value::is_string) {
            return Err(Error::invalid("a part is a JSON object with a string \"type\""));
        }
        Ok(Self(object))
    }

    /// A `text` part.
    pub fn text(content: impl Into<String>) -> Self {
        Self::build("text", [("content", Some(content.into().into()))])
    }

    /// A `reasoning` part.
    pub fn reasoning(content: impl Into<String>) -> Self {
        Self::build("reasoning", [("content", Some(content.into().into()))])
    }

    /// A `tool_call` part with an id.
    pub fn tool_call(id: impl Into<String>, name: impl Into<String>, arguments: Value) -> Self {
        Self::build(
            "tool_call",
            [
                ("id", Some(id.into().into())),
                ("name", Some(name.into().into())),
                ("arguments", Some(arguments)),
            ],
        )
    }

    /// A `tool_call_response` part with the id of its call.
    pub fn tool_call_response(id: impl Into<String>, response: Value) -> Self {
        Self::build(
            "tool_call_response",
            [("id", Some(id.into().into())), ("response", Some(response))],
        )
    }

    /// A `blob` part; `content` is Base64.
    pub fn blob(
        modality: impl Into<String>,
        content: impl Into<String>,
        mime_type: Option<String>,
    ) -> Self {
        Self::build(
            "blob",
            [
                ("modality", Some(modality.into().into())),
                ("content", Some(content.into().into())),
                ("mime_type", mime_type.map(Value::from)),
            ],
        )
    }

    /// A `file` part.
    pub fn file(modality: impl Into<String>, file_id: impl Into<String>) -> Self {
        Self::build(
            "file",
            [("modality", Some(modality.into().into())), ("file_id", Some(file_id.into().into()))],
        )
    }

    /// A `uri` part.
    pub fn uri(modality: impl Into<String>, uri: impl Into<String>) -> Self {
        Self::build(
            "uri",
            [("modality", Some(modality.into().into())), ("uri", Some(uri.into().into()))],
        )
    }

    fn build<const N: usize>(kind: &str, fields: [(&str, Option<Value>); N]) -> Self {
        let mut object = Map::new();
        object.insert("type".to_owned(), kind.into());
        for (key, value) in fields {
            if let Some(value) = value {
                object.insert(key.to_owned(), value);
            }
        }
        Self(object)
    }

    /// The type's name.
    pub fn kind(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The whole JSON object.
    pub fn as_object(&self) -> &Map {
        &self.0
    }

    /// The part by its type.
    pub fn view(&self) -> PartView<'_> {
        self.known().unwrap_or(PartView::Other { kind: self.kind(), object: &self.0 })
    }

    fn known(&self) -> Option<PartView<'_>> {
        let text = |key: &str| self.0.get(key).and_then(Value::as_str);
        Some(match self.kind() {
            "text" => PartView::Text { content: text("content")? },
            "reasoning" => PartView::Reasoning { content: text("content")? },
            "tool_call" => PartView::ToolCall {
                id: text("id"),
                name: text("name")?,
                arguments: self.0.get("arguments"),
            },
            "tool_call_response" => {
                PartView::ToolCallResponse { id: text("id"), response: self.0.get("response")? }
            }
            "blob" => PartView::Blob {
                modality: text("modality")?,
                content: text("content")?,
                mime_type: text("mime_type"),
            },
            "file" => PartView::File { modality: text("modality")?, file_id: text("file_id")? },
            "uri" => PartView::Uri { modality: text("modality")?, uri: text("uri")? },
            _ => return None,
        })
    }

    /// Checks the limits of a message's parts: nesting, and their size as JSON together.
    pub(crate) fn check_all(parts: &[Self]) -> Result<()> {
        parts.iter().try_for_each(|part| check_map("a part", &part.0))?;
        if parts.is_empty() {
            return Ok(());
        }
        let bytes = serde_json::to_string(parts).map_or(0, |json| json.len());
        check_bytes("the parts of a message", bytes, MAX_CONTENT_BYTES)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Part").field(&self.0).finish()
    }
}

impl TryFrom<Map> for Part {
    type Error = Error;
    fn try_from(object: Map) -> Result<Self> {
        Self::from_object(object)
    }
}

impl From<Part> for Map {
    fn from(part: Part) -> Self {
        part.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_types_and_keys_survive_a_round_trip() {
        let json = json!([
            {"type": "text", "content": "hi", "annotations": [1]},
            {"type": "hologram", "frames": 3},
            {"type": "tool_call", "name": "no arguments"}
        ]);
        let parts: Vec<Part> = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(parts[0].view(), PartView::Text { content: "hi" });
        assert!(matches!(parts[1].view(), PartView::Other { kind: "hologram", .. }));
        assert_eq!(serde_json::to_value(&parts).unwrap(), json);
        assert!(serde_json::from_value::<Part>(json!({"content": "no type"})).is_err());
    }
}
