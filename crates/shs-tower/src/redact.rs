//! Secrets that are not kept.

mod rules;

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;
use shs_store::{Error, Map, NewMessage, Part, Result};

use crate::credentials::Own;

/// What takes the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// What is taken out of conversations before anything is written: out of texts, parts, names and
/// ids of tool calls, arguments and their keys, definitions of tools, model names, errors and
/// headers. In the place of an id of a session, user or project that has a secret in it, its
/// SHA-256 is kept.
///
/// Three things are taken out:
/// - **The request's own credentials**, always: the values of headers, cookies and query parameters
///   that are secrets by their name, such as `authorization`, `x-api-key` or `?key=`, wherever they
///   come back: as they are, in JSON strings, percent-encoded and in base64. A value of less than 8
///   bytes is not looked for, a cookie only from 16 bytes on and with a digit and a letter in it.
///   An id that the application itself gives is not compared with cookies.
/// - **What looks like a key**, unless [`nothing`](Self::nothing) is said: keys of OpenAI,
///   Anthropic, Groq, Hugging Face, AWS, Azure, Google, GitHub, GitLab, npm, PyPI, Slack, Stripe
///   and some thirty others, JSON Web Tokens, `Bearer` and `Basic` credentials, private keys in
///   PEM, passwords in URLs, and what follows on `password:`, `api_key=` and the like, if it has a
///   digit and a letter in it; strings under such keys of JSON too.
/// - **What you name**, by [`regex`](Self::regex) or [`json_pointer`](Self::json_pointer).
///
/// Nobody can tell a password in a sentence from another word, and nothing here promises to. Part
/// of a secret is not found, nor one that is written in a form of its own.
#[derive(Clone, Debug)]
pub struct Redact {
    has_rules: bool,
    patterns: Vec<Regex>,
    pointers: Vec<Vec<String>>,
}

impl Default for Redact {
    fn default() -> Self {
        Self { has_rules: true, ..Self::nothing() }
    }
}

impl Redact {
    /// Takes nothing out but the request's own credentials.
    pub fn nothing() -> Self {
        Self { has_rules: false, patterns: Vec::new(), pointers: Vec::new() }
    }

    /// Takes out what matches this regular expression, wherever text is, but for keys and kinds
    /// that are words of lower-case letters.
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

    fn text(&self, text: &mut String) {
        if self.has_rules {
            rules::take_out(text);
        }
        for pattern in &self.patterns {
            rules::replace_all(pattern, text);
        }
    }
}

/// Frees one exchange of secrets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clean<'a> {
    pub(crate) redact: &'a Redact,
    pub(crate) own: &'a Own,
}

impl Clean<'_> {
    pub(crate) fn text(&self, text: &mut String) {
        self.own.take_out(text);
        self.redact.text(text);
    }

    /// A text without secrets.
    pub(crate) fn cleaned(&self, mut text: String) -> String {
        self.text(&mut text);
        text
    }

    /// Whether an id has a secret in it; the application is trusted with what it makes of cookies.
    pub(crate) fn is_secret(&self, id: &str, is_trusted: bool) -> bool {
        let mut clean = id.to_owned();
        if is_trusted {
            self.redact.text(&mut clean);
            clean != id || self.own.is_in_trusted(id)
        } else {
            self.text(&mut clean);
            clean != id
        }
    }

    pub(crate) fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(map) => self.map(map),
            // A long number may be a secret too.
            Value::Number(number) => {
                let text = number.to_string();
                if text.len() >= MIN_DIGITS && self.is_secret(&text, false) {
                    *value = REDACTED.into();
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    pub(crate) fn map(&self, map: &mut Map) {
        let mut renamed = Vec::new();
        for (key, value) in map.iter_mut() {
            match value {
                Value::String(text) if self.redact.has_rules && names_secret(key) => {
                    if !text.is_empty() {
                        REDACTED.clone_into(text);
                    }
                }
                value => self.value(value),
            }
            let clean = self.kind(key);
            if clean != *key {
                renamed.push((key.clone(), clean));
            }
        }
        // Two keys may become one, and their values stay: each has the next number that is free.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for (key, clean) in renamed {
            let value = map.remove(&key).expect("it was just there");
            let number = numbers.entry(clean.clone()).or_insert(1);
            let free = loop {
                let name = if *number == 1 { clean.clone() } else { format!("{clean} {number}") };
                *number += 1;
                if !map.contains_key(&name) {
                    break name;
                }
            };
            map.insert(free, value);
        }
    }

    pub(crate) fn message(&self, message: &mut NewMessage) {
        self.text(&mut message.content);
        self.parts(&mut message.parts);
        self.map(&mut message.metadata);
        self.map(&mut message.extra);
        if let Some(model) = &mut message.model {
            self.text(model);
        }
    }

    pub(crate) fn parts(&self, parts: &mut [Part]) {
        for part in parts {
            let mut object = part.as_object().clone();
            if let Some(arguments) = object.get_mut("arguments") {
                self.redact.document(arguments);
            }
            self.map(&mut object);
            let kind = self.kind(part.kind());
            // Without a kind it would be no part.
            object.insert("type".to_owned(), kind.into());
            *part = Part::from_object(object).expect("a part has a type");
        }
    }

    pub(crate) fn tools(&self, tools: &mut [Value]) {
        for tool in tools {
            let kind = tool.get("type").and_then(Value::as_str).map(|kind| self.kind(kind));
            self.value(tool);
            if let (Some(kind), Some(tool)) = (kind, tool.as_object_mut()) {
                tool.insert("type".to_owned(), kind.into());
            }
        }
    }

    /// A key, or a kind of part or tool. One of letters stays, whatever pattern it matches: without
    /// it, nobody knows what the rest is.
    fn kind(&self, kind: &str) -> String {
        let mut clean = kind.to_owned();
        self.own.take_out(&mut clean);
        if !kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            self.redact.text(&mut clean);
        }
        clean
    }
}

/// Shorter numbers are not looked at.
const MIN_DIGITS: usize = 8;

/// Whether a string under this key of JSON is a secret.
fn names_secret(key: &str) -> bool {
    let plain = |c: &char| c.is_ascii_alphanumeric();
    let key: String = key.chars().filter(plain).map(|c| c.to_ascii_lowercase()).collect();
    matches!(
        &*key,
        "password"
            | "passwd"
            | "passphrase"
            | "secret"
            | "clientsecret"
            | "secretkey"
            | "secretaccesskey"
            | "apikey"
            | "accesstoken"
            | "refreshtoken"
            | "authtoken"
            | "privatekey"
            | "authorization"
    )
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
    use crate::credentials::Credentials;

    fn own() -> Own {
        Credentials::default().own()
    }

    #[test]
    fn secrets_are_taken_out_wherever_they_stand() {
        let (redact, own) = (Redact::default(), own());
        let clean = Clean { redact: &redact, own: &own };
        let key = "sk-proj-abcdefghijklmnop1234";
        let mut value = json!({
            key: [key, {"x": format!("a {key}")}],
            "[redacted]": 1,
            "password": "short",
            "token": "short",
            "secret": {"type": "string"},
            "Api-Key": "",
        });
        clean.value(&mut value);
        let expected = json!({
            "[redacted]": 1,
            "[redacted] 2": ["[redacted]", {"x": "a [redacted]"}],
            "password": "[redacted]",
            "token": "short",
            "secret": {"type": "string"},
            "Api-Key": "",
        });
        assert_eq!(value, expected);
        let part = json!({"type": key, "id": key, "name": key});
        let mut parts = [Part::from_object(part.as_object().unwrap().clone()).unwrap()];
        clean.parts(&mut parts);
        let expected = json!({"type": "[redacted]", "id": "[redacted]", "name": "[redacted]"});
        assert_eq!(json!(parts[0].as_object()), expected);
    }

    #[test]
    fn many_keys_that_become_one_are_numbered_once_each() {
        let (redact, own) = (Redact::default(), own());
        let clean = Clean { redact: &redact, own: &own };
        // As many as 2 MiB of a body have: if each looked through the numbers from the beginning, this
        // would take hours.
        let keys = 200_000;
        let secret = |n: usize| (format!("sk-proj-abcdefghijklmnop{n:06}"), json!(n));
        let mut map: Map = (0..keys).map(secret).collect();
        map.insert("[redacted] 7".to_owned(), json!("was there"));
        clean.map(&mut map);
        assert_eq!(map.len(), keys + 1);
        assert_eq!(map["[redacted]"], 0);
        assert_eq!(map["[redacted] 6"], 5);
        assert_eq!(map["[redacted] 7"], "was there");
        assert_eq!(map["[redacted] 8"], 6);
        assert_eq!(map[&format!("[redacted] {}", keys + 1)], keys - 1);
    }

    #[test]
    fn nothing_but_the_own_credentials_is_taken_out_if_nothing_else_is_to_be() {
        let head = http::Request::post("/?key=000111222333").body(()).unwrap().into_parts().0;
        let (redact, own) = (Redact::nothing(), Credentials::of(&head).own());
        let clean = Clean { redact: &redact, own: &own };
        let mut value = json!({"password": "sk-proj-abcdefghijklmnop1234", "n": 111222333000111222333_u128 as f64});
        let before = value.clone();
        clean.value(&mut value);
        assert_eq!(value, before);
        let mut value = json!(["x000111222333x", 111222333, "111222333"]);
        clean.value(&mut value);
        assert_eq!(value, json!(["x[redacted]x", 111222333, "111222333"]));
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
        let own = own();
        Clean { redact: &redact, own: &own }.parts(&mut parts);
        let arguments = json!({"users": {"a": {"pin": "[redacted]"}}});
        assert_eq!(parts[0], Part::tool_call("1", "f", arguments));
    }

    #[test]
    fn bad_rules_are_refused() {
        assert!(Redact::nothing().regex("(").is_err());
        assert!(Redact::nothing().json_pointer("api_key").is_err());
    }
}
