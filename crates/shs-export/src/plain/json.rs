//! JSON, written message by message.

use serde::Serialize;
use shs_store::{Error, ErrorKind, Message, Result, Session};

/// Writes what `serde_json` would make of a [`Transcript`](shs_store::Transcript), without having it.
#[derive(Debug)]
pub(crate) struct JsonPieces {
    frame: Frame,
    compact: bool,
    sessions: u64,
    messages: u64,
}

#[derive(Debug, PartialEq)]
enum Frame {
    Object,
    Array,
    Lines,
}

impl JsonPieces {
    pub(super) fn object(compact: bool) -> Self {
        Self { frame: Frame::Object, compact, sessions: 0, messages: 0 }
    }

    pub(super) fn array(compact: bool) -> Self {
        Self { frame: Frame::Array, ..Self::object(compact) }
    }

    pub(super) fn lines() -> Self {
        Self { frame: Frame::Lines, ..Self::object(true) }
    }

    pub(super) fn begin(&self, buffer: &mut Vec<u8>) {
        if self.frame == Frame::Array {
            buffer.push(b'[');
        }
    }

    /// Everything of the session, up to the bracket that opens its messages.
    pub(super) fn begin_session(
        &mut self,
        buffer: &mut Vec<u8>,
        session: &Session,
        duration_seconds: Option<f64>,
    ) -> Result<()> {
        #[derive(Serialize)]
        struct Head<'a> {
            #[serde(flatten)]
            session: &'a Session,
            duration_seconds: Option<f64>,
        }

        if self.frame == Frame::Array {
            self.comma_and_break(buffer, self.sessions, 1);
        }
        self.sessions += 1;
        self.messages = 0;
        let mut head = self.json(&Head { session, duration_seconds })?;
        // The object goes on: without its closing brace and the line break before it.
        head.pop();
        head.truncate(head.trim_ascii_end().len());
        self.indented(buffer, &head, self.depth());
        buffer.push(b',');
        self.line_break(buffer, self.depth() + 1);
        buffer.extend_from_slice(if self.compact { b"\"messages\":[" } else { b"\"messages\": [" });
        Ok(())
    }

    pub(super) fn message(&mut self, buffer: &mut Vec<u8>, message: &Message) -> Result<()> {
        self.comma_and_break(buffer, self.messages, self.depth() + 2);
        self.messages += 1;
        let json = self.json(message)?;
        self.indented(buffer, &json, self.depth() + 2);
        Ok(())
    }

    pub(super) fn end_session(&self, buffer: &mut Vec<u8>) {
        if self.messages > 0 {
            self.line_break(buffer, self.depth() + 1);
        }
        buffer.push(b']');
        self.line_break(buffer, self.depth());
        buffer.push(b'}');
        if self.frame == Frame::Lines {
            buffer.push(b'\n');
        }
    }

    pub(super) fn end(&self, buffer: &mut Vec<u8>) {
        if self.frame == Frame::Array {
            if self.sessions > 0 {
                self.line_break(buffer, 0);
            }
            buffer.push(b']');
        }
    }

    /// How deep the object of a session stands.
    fn depth(&self) -> usize {
        usize::from(self.frame == Frame::Array)
    }

    fn json(&self, value: &impl Serialize) -> Result<Vec<u8>> {
        let json =
            if self.compact { serde_json::to_vec(value) } else { serde_json::to_vec_pretty(value) };
        json.map_err(|error| {
            Error::new(ErrorKind::Internal, "a conversation has no JSON form").with_source(error)
        })
    }

    /// Writes JSON whose first line is at its place already.
    fn indented(&self, buffer: &mut Vec<u8>, json: &[u8], depth: usize) {
        // Line breaks in texts are escaped: these are all of the layout.
        for (at, line) in json.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 {
                self.line_break(buffer, depth);
            }
            buffer.extend_from_slice(line);
        }
    }

    fn comma_and_break(&self, buffer: &mut Vec<u8>, before: u64, depth: usize) {
        if before > 0 {
            buffer.push(b',');
        }
        self.line_break(buffer, depth);
    }

    fn line_break(&self, buffer: &mut Vec<u8>, depth: usize) {
        if !self.compact {
            buffer.push(b'\n');
            buffer.resize(buffer.len() + 2 * depth, b' ');
        }
    }
}
