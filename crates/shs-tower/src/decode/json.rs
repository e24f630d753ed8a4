//! Bodies of JSON.

use serde_json::Value;
use shs_wire::is_heavy;

use super::{Reply, ReplyDecoder, ReplyError};
use crate::Limits;

/// Decodes a body that is one JSON document, when all of it is there.
pub(super) struct Json<F> {
    body: Vec<u8>,
    limit: usize,
    max_weight: u64,
    truncated: bool,
    read: F,
}

impl<F: Fn(&Value) -> Reply + Send> Json<F> {
    pub(super) fn new(limits: &Limits, read: F) -> Self {
        Self {
            body: Vec::new(),
            limit: limits.response,
            max_weight: limits.parsed as u64,
            truncated: false,
            read,
        }
    }
}

impl<F: Fn(&Value) -> Reply + Send> ReplyDecoder for Json<F> {
    fn push(&mut self, bytes: &[u8]) {
        if self.body.len() + bytes.len() > self.limit {
            // A part of a document is of no use.
            self.truncated = true;
            self.body = Vec::new();
        }
        if !self.truncated {
            self.body.extend_from_slice(bytes);
        }
    }

    fn has_content(&self) -> bool {
        // The first text comes with the last byte, and tells nothing that the latency does not.
        false
    }

    fn held(&self) -> usize {
        self.body.len()
    }

    fn is_complete(&self, at_end: bool) -> bool {
        // A document that was too long to be kept cannot be looked at.
        if self.truncated {
            return at_end;
        }
        serde_json::from_slice::<serde::de::IgnoredAny>(&self.body).is_ok()
    }

    fn finish(&mut self) -> Reply {
        if self.truncated || is_heavy(&self.body, self.max_weight) {
            return Reply { truncated: true, ..Reply::default() };
        }
        let body = std::mem::take(&mut self.body);
        match parse(&body) {
            Ok(body) => (self.read)(&body),
            Err(_) if body.is_empty() => Reply::default(),
            Err(error) => Reply::failed(ReplyError::new(format!(
                "the response is not the JSON that its API sends: {error}"
            ))),
        }
    }
}

/// Parses JSON; bytes that are not UTF-8 become replacement characters.
pub(crate) fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_str(&String::from_utf8_lossy(body)).map_err(|error| {
        // Its own words may quote the body.
        format!("invalid JSON at line {}, column {}", error.line(), error.column())
    })
}

/// The body of a response that is not a success, whatever it looks like.
pub(super) fn failure(body: &Value) -> Reply {
    let error = ReplyError::of_json(body);
    Reply::failed(error.unwrap_or_else(|| ReplyError::new("the response says no reason")))
}
