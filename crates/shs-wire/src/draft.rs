//! Messages put together from content blocks.

use serde_json::Value;
use shs_store::{NewMessage, Part, Role};

use crate::weight::is_heavy;

/// A message while its blocks are read.
///
/// Its content is the texts, a line each; it has parts if there is more than text.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    texts: Vec<String>,
    parts: Vec<Part>,
    has_more_than_text: bool,
}

impl Draft {
    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.texts.push(text.to_owned());
        self.parts.push(Part::text(text));
    }

    /// A part that is no text; `content` is what people read and search of it, if it has that.
    pub fn part(&mut self, part: Part, content: Option<String>) {
        self.has_more_than_text = true;
        self.texts.extend(content);
        self.parts.push(part);
    }

    /// What the model thought.
    pub fn reasoning(&mut self, text: &str) {
        self.part(Part::reasoning(text), None);
    }

    /// A call of a tool, with arguments as [`arguments`] reads them.
    pub fn tool_call(&mut self, id: Option<&str>, name: &str, arguments: Value) {
        self.part(tool_call(id.map(str::to_owned), name.to_owned(), arguments), None);
    }

    /// What a tool answered: a text, or content blocks with texts.
    pub fn tool_response(&mut self, id: Option<&str>, response: &Value) {
        let mut part = Part::tool_call_response("", response.clone()).as_object().clone();
        match id {
            Some(id) => part.insert("id".to_owned(), id.into()),
            None => part.remove("id"),
        };
        let part = Part::from_object(part).expect("a tool's response has a type");
        self.part(part, Some(text_of(response)));
    }

    /// Something at a URL; a `data:` URL becomes a blob.
    pub fn uri(&mut self, modality: &str, uri: &str) {
        let part = match data_url(uri) {
            Some((mime_type, data)) => Part::blob(modality, data, Some(mime_type.to_owned())),
            None => Part::uri(modality, uri),
        };
        self.part(part, None);
    }

    /// A block that has no form of its own here, whole.
    pub fn other(&mut self, block: &Value) {
        let Value::Object(object) = block else { return };
        match Part::from_object(object.clone()) {
            Ok(part) => self.part(part, None),
            Err(_) => {
                let mut object = object.clone();
                object.insert("type".to_owned(), "unknown".into());
                self.part(Part::from_object(object).expect("it has a type now"), None);
            }
        }
    }

    /// The message of this role.
    pub fn message(mut self, role: Role) -> NewMessage {
        self.texts.retain(|text| !text.is_empty());
        let message = NewMessage::new(role, self.texts.join("\n"));
        if self.has_more_than_text { message.with_parts(self.parts) } else { message }
    }
}

/// The role of this name, as it and its other names are written: in any case, with space around.
///
/// Other names are `human` of the user, `ai`, `bot`, `gpt`, `chatgpt` and `model` of the assistant,
/// and `function` of a tool.
pub fn known_role(name: &str) -> Option<Role> {
    match &*name.trim().to_ascii_lowercase() {
        "human" => Some(Role::User),
        "ai" | "bot" | "gpt" | "chatgpt" | "model" => Some(Role::Assistant),
        "function" => Some(Role::Tool),
        name => name.parse().ok(),
    }
}

/// The [role of this name](known_role); the user's if it is not known.
pub fn role(name: &str) -> Role {
    known_role(name).unwrap_or(Role::User)
}

/// The text of content that is a string, or a list of blocks with texts.
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| match block {
                Value::String(text) => Some(text.as_str()),
                block => block.get("text").and_then(Value::as_str),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// What a file of this media type is for people: `image`, `audio`, `video`, or else `document`.
pub fn modality(mime_type: Option<&str>) -> &'static str {
    let kind = mime_type.and_then(|mime_type| mime_type.split('/').next());
    let known = ["image", "audio", "video"].into_iter().find(|known| Some(*known) == kind);
    known.unwrap_or("document")
}

/// The string at a JSON pointer.
pub fn str_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn data_url(url: &str) -> Option<(&str, &str)> {
    let (mime_type, data) = url.strip_prefix("data:")?.split_once(',')?;
    Some((mime_type.strip_suffix(";base64")?, data))
}

/// Most memory that the arguments of one call take as a tree, by
/// [`json_weight`](crate::json_weight): 16 MiB.
const MAX_ARGUMENTS_WEIGHT: u64 = 16 * 1024 * 1024;

/// The arguments of a call given as the text of JSON. What is no JSON, as of a call that was cut
/// off, is kept as a string; so is JSON that would take more than 16 MiB of memory as a tree.
pub fn arguments(text: &str) -> Value {
    match text.trim() {
        "" => Value::Null,
        json if is_heavy(json.as_bytes(), MAX_ARGUMENTS_WEIGHT) => Value::from(text),
        json => serde_json::from_str(json).unwrap_or_else(|_| Value::from(text)),
    }
}

/// A call of a tool as a part.
pub fn tool_call(id: Option<String>, name: String, arguments: Value) -> Part {
    let mut call = Part::tool_call(String::new(), name, arguments).as_object().clone();
    match id {
        Some(id) => call.insert("id".to_owned(), id.into()),
        None => call.remove("id"),
    };
    Part::from_object(call).expect("a tool call has a type")
}
