//! One JSON value a line.

use shs_wire::is_heavy;

use super::{Events, Reply, ReplyDecoder};
use crate::Limits;

/// Hands each line of a body to [`Events`], with the type `"line"`. Empty lines are nothing; the
/// last needs no end.
pub(super) struct Lines<E> {
    /// The line that is not over.
    line: Vec<u8>,
    events: E,
    max_line: usize,
    max_weight: u64,
    /// Whether the line that is not over is too long already.
    is_too_long: bool,
    passed_over: bool,
}

impl<E: Events> Lines<E> {
    /// A line that is beyond the limits for events or for JSON is passed over.
    pub(super) fn new(events: E, limits: &Limits) -> Self {
        Self {
            line: Vec::new(),
            events,
            max_line: limits.event,
            max_weight: limits.parsed as u64,
            is_too_long: false,
            passed_over: false,
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.is_too_long |= self.line.len() + bytes.len() > self.max_line;
        if self.is_too_long {
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_too_long) || is_heavy(&line, self.max_weight) {
            self.passed_over = true;
            return;
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if !line.is_empty() {
            self.events.event("line", line);
        }
    }
}

impl<E: Events> ReplyDecoder for Lines<E> {
    fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.add(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.add(rest);
    }

    fn has_content(&self) -> bool {
        self.events.has_content()
    }

    fn held(&self) -> usize {
        self.line.len() + self.events.held()
    }

    fn is_complete(&self, at_end: bool) -> bool {
        self.events.is_complete(at_end)
    }

    fn finish(&mut self) -> Reply {
        self.end_line();
        let mut reply = self.events.reply();
        reply.truncated |= self.passed_over;
        reply
    }
}
