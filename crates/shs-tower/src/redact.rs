//! Secrets that are not kept.

use std::borrow::Cow;

use regex::Regex;
use serde_json::Value;
use shs_store::{Error, Map, Part, Result};

/// What takes the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// What is taken out of conversations before anything is written: out of texts, parts, tool arguments, definitions of
/// tools, errors and headers.
///
/// The [default](Self::default) takes out what looks like a key: of OpenAI, Anthropic and others that begin
/// with `sk-`, of AWS, GitHub, Google and Slack, bearer tokens, and private keys in PEM. A pattern knows only what looks like what
/// it was written for; name the places of your own secrets.
#[derive(Clone, Debug)]
pub struct Redact {
    patterns: Vec<Regex>,
    pointers: Vec<Vec<String>>,
}

const KEYS: [&str; 8] = [
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}=*",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36,}\b",
    r"\bgithub_pat_[A-Za-z0-9_]{22,}\b",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
];

impl Default for Redact {
    fn default() -> Self {
        let patterns = KEYS.iter().map(|key| Regex::new(key).expect("the patterns are constant"));
        Self { patterns: patterns.collect(), pointers: Vec::new() }
    }
}

impl Redact {
    /// Takes nothing out.
    pub fn nothing() -> Self {
        Self { patterns: Vec::new(), pointers: Vec::new() }
    }

    /// Takes out what matches this regular expression, wherever text is.
    ///
    /// # Errors
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if it is none.
    pub fn regex(mut self, pattern: &str) -> Result<Self> {
        let regex = Regex::new(pattern).map_err(|error| {
            Error::new(
                shs_store::ErrorKind::InvalidInput,
                "the pattern to redact is no regular expression",
            )
            .with_source(error)
        })?;
        self.patterns.push(regex);
        Ok(self)
    }

    /// Takes out the value at this JSON pointer (RFC 6901) in the body of a request, and in the arguments of a tool call. A `*` stands for every key and every index.
    ///
    /// # Errors
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if it does not begin with `/`.
    pub fn json_pointer(mut self, pointer: &str) -> Result<Self> {
        let Some(rest) = pointer.strip_prefix('/') else {
            return Err(Error::invalid(format!(
                "the JSON pointer {pointer:?} does not begin with /"
            )));
        };
        let steps = rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
        self.pointers.push(steps.collect());
        Ok(self)
    }

    pub(crate) fn has_pointers(&self) -> bool {
        !self.pointers.is_empty()
    }

    /// Takes the values at the pointers out of a document.
    pub(crate) fn document(&self, document: &mut Value) {
        for steps in &self.pointers {
            take_out(document, steps);
        }
    }

    pub(crate) fn text(&self, text: &mut String) {
        for pattern in &self.patterns {
            if let Cow::Owned(clean) = pattern.replace_all(text, REDACTED) {
                *text = clean;
            }
        }
    }

    pub(crate) fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(map) => self.map(map),
            _ => {}
        }
    }

    pub(crate) fn map(&self, map: &mut Map) {
        map.values_mut().for_each(|value| self.value(value));
    }

    pub(crate) fn parts(&self, parts: &mut [Part]) {
        if self.patterns.is_empty() && self.pointers.is_empty() {
            return;
        }
        for part in parts {
            let mut object = part.as_object().clone();
            if let Some(arguments) = object.get_mut("arguments") {
                self.document(arguments);
            }
            self.map(&mut object);
            // A kind that looked like a secret stays: without it, it would be no part.
            object.insert("type".to_owned(), part.kind().into());
            *part = Part::from_object(object).expect("a part has a type");
        }
    }

    pub(crate) fn tools(&self, tools: &mut [Value]) {
        for tool in tools {
            let kind = tool.get("type").cloned();
            self.value(tool);
            // A kind that looked like a secret stays: without it, nobody knows what the tool is.
            if let (Some(kind), Some(tool)) = (kind, tool.as_object_mut()) {
                tool.insert("type".to_owned(), kind);
            }
        }
    }
}

fn take_out(value: &mut Value, steps: &[String]) {
    let Some((step, rest)) = steps.split_first() else {
        *value = REDACTED.into();
        return;
    };
    match value {
        Value::Object(map) if step == "*" => map.values_mut().for_each(|v| take_out(v, rest)),
        Value::Array(values) if step == "*" => values.iter_mut().for_each(|v| take_out(v, rest)),
        Value::Object(map) => {
            if let Some(value) = map.get_mut(step) {
                take_out(value, rest);
            }
        }
        Value::Array(values) => {
            let index = step.parse::<usize>().ok();
            if let Some(value) = index.and_then(|index| values.get_mut(index)) {
                take_out(value, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_a_key_is_taken_out() {
        let redact = Redact::default();
        for secret in [
            "sk-proj-abcdefghijklmnop1234",
            "sk-ant-api03-abcdefghijklmnop",
            "Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc",
            "AKIAIOSFODNN7EXAMPLE",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        ] {
            let mut text = format!("before {secret} after");
            redact.text(&mut text);
            assert_eq!(text, "before [redacted] after");
        }
        let mut text = "the risk-averse bearer of news asks about sk-8".to_owned();
        redact.text(&mut text);
        assert_eq!(text, "the risk-averse bearer of news asks about sk-8");
    }

    #[test]
    fn pointers_reach_into_documents_and_arguments() {
        let redact = Redact::nothing().json_pointer("/users/*/pin").unwrap();
        let mut body = json!({"users": [{"pin": 1, "name": "a"}, {"pin": 2}], "pin": 3});
        redact.document(&mut body);
        let expected =
            json!({"users": [{"pin": "[redacted]", "name": "a"}, {"pin": "[redacted]"}], "pin": 3});
        assert_eq!(body, expected);
        let mut parts = [Part::tool_call("1", "f", json!({"users": {"a": {"pin": 4}}}))];
        redact.parts(&mut parts);
        let arguments = json!({"users": {"a": {"pin": "[redacted]"}}});
        assert_eq!(parts[0], Part::tool_call("1", "f", arguments));
    }

    #[test]
    fn bad_rules_are_refused() {
        assert!(Redact::nothing().regex("(").is_err());
        assert!(Redact::nothing().json_pointer("api_key").is_err());
    }
}
