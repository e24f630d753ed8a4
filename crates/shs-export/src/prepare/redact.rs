//! What is taken out of conversations before they are written.

use std::borrow::Cow;

use regex::{NoExpand, Regex};
use serde_json::Value;
use shs_store::{Error, ErrorKind, Map, Message, Part, Result, Session};

/// What takes the place of whatever matches.
const REDACTED: &str = "[REDACTED]";

/// Regular expressions; none takes nothing out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction(Vec<Regex>);

impl Redaction {
    pub(crate) fn add(&mut self, pattern: &str) -> Result<()> {
        let regex = Regex::new(pattern).map_err(|error| {
            let detail = "the pattern to redact is no regular expression";
            Error::new(ErrorKind::InvalidInput, detail).with_source(error)
        })?;
        self.0.push(regex);
        Ok(())
    }

    /// Takes it out of title and metadata.
    pub(crate) fn session(&self, session: &mut Session) {
        if self.0.is_empty() {
            return;
        }
        session.title.iter_mut().for_each(|title| self.text(title));
        self.map(&mut session.metadata);
        self.map(&mut session.extra);
    }

    /// Takes it out of content, parts and metadata.
    pub(crate) fn message(&self, message: &mut Message) {
        if self.0.is_empty() {
            return;
        }
        self.text(&mut message.content);
        self.map(&mut message.metadata);
        self.map(&mut message.extra);
        for part in &mut message.parts {
            let mut object = part.as_object().clone();
            for (key, value) in &mut object {
                // What relates parts to each other, and says what they are.
                if !matches!(key.as_str(), "type" | "id" | "modality" | "mime_type" | "file_id") {
                    self.value(value);
                }
            }
            if let Ok(clean) = Part::from_object(object) {
                *part = clean;
            }
        }
    }

    fn text(&self, text: &mut String) {
        for pattern in &self.0 {
            if let Cow::Owned(clean) = pattern.replace_all(text, NoExpand(REDACTED)) {
                *text = clean;
            }
        }
    }

    fn map(&self, map: &mut Map) {
        map.values_mut().for_each(|value| self.value(value));
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(map) => self.map(map),
            _ => {}
        }
    }
}
