//! What memory keeps of a line, read without the rest.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use shs_store::model::{ContentDigest, MessageHead};
use shs_store::{Error, MessageId, Result, Seq, Session, Timestamp};
use uuid::Uuid;

use crate::line::{body, checked};

/// A [line](crate::line::Line) without the content of its message.
///
/// What is long is boxed, as a line is moved some times on its way into memory.
#[derive(Debug, Deserialize)]
pub(crate) struct Outline<'a> {
    session: Option<Box<Session>>,
    message: Option<Box<MessageHead>>,
    update: Option<Box<MessageHead>>,
    pub(crate) n: Option<i64>,
    pub(crate) digest: Option<ContentDigest>,
    #[serde(borrow)]
    pub(crate) at: Cow<'a, str>,
    #[serde(default)]
    pub(crate) more: bool,
    pub(crate) since: Option<u64>,
    pub(crate) incarnation: Option<Uuid>,
}

/// A line whose session has what it always has in a file. In input from elsewhere that may be missing, and is made anew
/// then, at each reading.
#[derive(Deserialize)]
struct WithSession {
    #[serde(rename = "session")]
    _session: Required,
}

#[derive(Deserialize)]
struct Required {
    #[serde(rename = "session_id")]
    _id: IgnoredAny,
    #[serde(rename = "created_at")]
    _created_at: IgnoredAny,
    #[serde(rename = "updated_at")]
    _updated_at: IgnoredAny,
}

/// What a line says, without the content of its message.
#[derive(Debug)]
pub(crate) enum Outlined {
    Session(Box<Session>),
    Message(Box<MessageHead>),
    Update(Box<MessageHead>),
}

impl Outlined {
    /// That it is what a store writes; the content of messages, which is not read here, may be beyond a limit.
    fn check(&self) -> Result<()> {
        match self {
            Self::Session(session) => session.validate(),
            Self::Message(message) | Self::Update(message) => {
                if message.seq == Seq::ZERO {
                    return Err(Error::corrupt("a message without a number"));
                }
                Ok(())
            }
        }
    }
}

impl<'a> Outline<'a> {
    /// Reads a line without its line break.
    ///
    /// # Errors
    /// `Corrupt` if it is not a line as it was written.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self> {
        let line = body(bytes)?;
        // What is passed over is not looked at again until somebody reads it.
        str::from_utf8(line)
            .map_err(|error| Error::corrupt("a line is not UTF-8").with_source(error))?;
        let outline = match usual(line) {
            Some(outline) => outline,
            None => checked(bytes)?,
        };
        // Only that of the last line is kept.
        outline.at.parse::<Timestamp>()?;
        if outline.session.is_some() {
            serde_json::from_slice::<WithSession>(bytes).map_err(|error| {
                Error::corrupt("a session without its id or times").with_source(error)
            })?;
        }
        Ok(outline)
    }

    /// What it says; taken out of it.
    ///
    /// # Errors
    /// `Corrupt` or `InvalidInput` if no store writes that.
    pub(crate) fn take(&mut self) -> Result<Outlined> {
        let Self { session, message, update, .. } = self;
        let session = session.take().map(Outlined::Session);
        let said = session
            .or_else(|| message.take().map(Outlined::Message))
            .or_else(|| update.take().map(Outlined::Update));
        let said = said.ok_or_else(|| Error::corrupt("a line says nothing"))?;
        said.check().map(|()| said)
    }
}

/// The outline of a line up to its checksum that adds a message with nothing but a text, as almost all lines do: what has exactly
/// the form that [`Line`](crate::line::Line) gives it is not taken for JSON, and read several times as fast. `None` says nothing
/// about a line.
fn usual(line: &[u8]) -> Option<Outline<'_>> {
    let mut rest = Remainder(line);
    rest.skip("{\"message\":{\"message_id\":\"")?;
    let id = MessageId::new(rest.text()?).ok()?;
    rest.skip(",\"seq\":")?;
    let seq = Seq::new(rest.number()?).ok()?;
    rest.skip(",\"role\":\"")?;
    let role = rest.text()?.parse().ok()?;
    rest.skip(",\"content\":\"")?;
    rest.pass_text()?;
    rest.skip(",\"timestamp\":\"")?;
    let timestamp = rest.text()?.parse().ok()?;
    rest.skip(",\"metadata\":{},\"status\":\"")?;
    let status = rest.text()?.parse().ok()?;
    rest.skip(",\"tokens\":")?;
    let tokens = match rest.skip("null") {
        Some(()) => None,
        None => Some(u32::try_from(rest.number()?).ok()?),
    };
    rest.skip(",\"model\":null,\"latency_ms\":null},\"n\":")?;
    let n = Some(i64::try_from(rest.number()?).ok()?);
    rest.skip(",\"at\":\"")?;
    let at = Cow::Borrowed(rest.text()?);
    let more = rest.skip(",\"more\":true").is_some();
    let since = match rest.skip(",\"since\":") {
        Some(()) => Some(rest.number()?),
        None => None,
    };
    if !rest.0.is_empty() {
        return None;
    }
    let mut message = Box::new(MessageHead::new(id, seq, role, timestamp));
    (message.status, message.tokens) = (status, tokens);
    let message = Some(message);
    let (session, update, digest, incarnation) = (None, None, None, None);
    Some(Outline { session, message, update, n, digest, at, more, since, incarnation })
}

/// What follows in a line.
struct Remainder<'a>(&'a [u8]);

impl<'a> Remainder<'a> {
    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected.as_bytes())?;
        Some(())
    }

    /// A text without escapes, and the quote behind it.
    fn text(&mut self) -> Option<&'a str> {
        let (text, rest) = self.0.split_at(plain(self.0));
        self.0 = rest.strip_prefix(b"\"")?;
        str::from_utf8(text).ok()
    }

    /// Passes over a text, and the quote behind it.
    fn pass_text(&mut self) -> Option<()> {
        loop {
            self.0 = match &self.0[plain(self.0)..] {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return Some(());
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => rest,
                _ => return None,
            };
        }
    }

    /// A whole number as JSON has it.
    fn number(&mut self) -> Option<u64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        let number = str::from_utf8(number).ok()?;
        if number.len() > 1 && number.starts_with('0') { None } else { number.parse().ok() }
    }
}

/// How many bytes stand before the first that ends a text, or has a meaning in it.
fn plain(bytes: &[u8]) -> usize {
    let is_special = |byte: u8| byte == b'"' || byte == b'\\' || byte < b' ';
    // Pieces of a fixed length are looked through many bytes at a time.
    let pieces = bytes.chunks_exact(32);
    let passed = 32
        * pieces
            .take_while(|piece| !piece.iter().fold(false, |odd, byte| odd | is_special(*byte)))
            .count();
    let end = bytes[passed..].iter().position(|byte| is_special(*byte));
    end.map_or(bytes.len(), |end| passed + end)
}

#[cfg(test)]
mod tests {
    use shs_store::{Map, NewMessage, Status};

    use super::*;
    use crate::line::Line;

    #[test]
    fn a_usual_line_is_read_as_any_other() {
        let message = |text: &str| NewMessage::user(text);
        let long = format!("{}\"{}\\\n", "Grüße ".repeat(20), "x".repeat(70));
        let usual_ones = [
            message(""),
            message("Hello"),
            message(&long),
            message("\u{7f}日本語").with_tokens(0).with_status(Status::Pending),
            NewMessage::tool("\t").with_tokens(u32::MAX).with_id("日本".parse().unwrap()),
        ];
        let others = [
            message("\u{1}"),
            message("a model").with_model("m"),
            message("a latency").with_latency_ms(1.5),
            message("metadata").with_metadata(Map::from_iter([("a".to_owned(), 1.into())])),
            message("an id").with_id("\"".parse().unwrap()),
        ];
        let count = usual_ones.len();
        for (number, new) in usual_ones.into_iter().chain(others).enumerate() {
            for (seq, more, since) in [(Seq::FIRST, true, None), (Seq::MAX, false, Some(0))] {
                let message = new.clone().into_message(seq);
                let line = Line { more, since, ..Line::message(&message, 9, Timestamp::now()) };
                let mut bytes = Vec::new();
                line.write(&mut bytes);
                bytes.pop();
                let quick = usual(body(&bytes).unwrap());
                assert_eq!(quick.is_some(), number < count, "{message:?}");
                let slow = checked::<Outline<'_>>(&bytes).unwrap();
                assert_eq!(**slow.message.as_ref().unwrap(), message.head());
                assert!(quick.is_none_or(|quick| format!("{quick:?}") == format!("{slow:?}")));
            }
        }
    }

    #[test]
    fn what_no_store_writes_is_not_usual() {
        let message = NewMessage::user("text").with_tokens(7).into_message(Seq::FIRST);
        let mut bytes = Vec::new();
        Line::message(&message, 9, Timestamp::now()).write(&mut bytes);
        bytes.pop();
        let line = str::from_utf8(body(&bytes).unwrap()).unwrap();
        assert!(usual(line.as_bytes()).is_some());
        for (from, to) in [
            ("\"seq\":1", "\"seq\":01"),
            ("\"seq\":1", "\"seq\":-1"),
            ("\"seq\":1", "\"seq\":"),
            ("\"seq\":1", "\"seq\": 1"),
            ("\"tokens\":7", "\"tokens\":4294967296"),
            ("text", "te\u{1}xt"),
            ("text", "te\\qxt"),
            ("text", "te\\u0041xt"),
            ("user", "nobody"),
            ("delivered", ""),
        ] {
            let changed = line.replace(from, to);
            assert_ne!(changed, line);
            assert!(usual(changed.as_bytes()).is_none(), "{from} as {to}");
        }
        for end in 0..line.len() {
            assert!(usual(&line.as_bytes()[..end]).is_none(), "cut at {end}");
        }
        assert!(usual(format!("{line} ").as_bytes()).is_none());
    }
}
