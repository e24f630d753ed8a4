//! The lines of a conversation's file.
//!
//! Each is a JSON object and ends in its own checksum, over everything before `,"crc":`:
//!
//! ```text
//! {"session":{"session_id":"s1", …},"at":"2026-11-22T11:30:00.000000+00:00","crc":"9f3a1b2c"}
//! {"message":{"message_id":"m1","seq":1,"role":"user","content":"Hello", …},"n":1,"at":…,"crc":…}
//! {"update":{"message_id":"m1", … the message as it is now …},"at":…,"crc":…}
//! ```
//!
//! The first line is the session; a later one with a session puts it anew. `n` is the message's place in the order of
//! arrival in the store, `at` the session's `updated_at` after the change. A change of several lines has
//! `"more":true` on all of them but the last, so that it is read whole or not at all. `since` says from which byte on
//! the file was not known to be on disk when the line was written, where that is not the line's own place: what a power
//! cut left out there was never acknowledged, also if the line itself came to the disk. What counts as on disk is there in the
//! file itself or in the [journal](crate::journal); by the `incarnation` in the first line the journal tells the file from another one that
//! had its name.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use shs_store::model::ContentDigest;
use shs_store::{Error, Message, NewMessage, Result, Seq, Session, Timestamp};
use uuid::Uuid;

/// About how long a message's line is beside its content.
const LINE_BYTES: usize = 512;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    #[serde(flatten)]
    pub(crate) change: Change<'a>,
    /// A message's place in the order of arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) n: Option<i64>,
    /// What was appended under a message's id, where it differs from what the message is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<ContentDigest>,
    pub(crate) at: Timestamp,
    /// Whether the change goes on in the next line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) more: bool,
    /// From which byte on the file was not known to be on disk; the line's own place if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<u64>,
    /// Which file this is the first line of, among those that have or had its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) incarnation: Option<Uuid>,
}

/// What a line says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change<'a> {
    /// The session, as it is now.
    Session(Cow<'a, Session>),
    /// A message was added.
    Message(Cow<'a, Message>),
    /// A message was changed to this.
    Update(Cow<'a, Message>),
}

/// The longest part of the line of a message that is to be appended: what costs the most is done before the message comes to
/// the one thread that writes, which knows the rest.
#[derive(Debug)]
pub(crate) struct Draft {
    /// What comes up to the message's end.
    text: Vec<u8>,
    /// Where in it the message's number is to stand, in the place of a zero.
    number: usize,
}

/// What a line has behind its message.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Rest {
    pub(crate) n: i64,
    pub(crate) at: Timestamp,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<u64>,
}

impl Draft {
    /// Of a message, which is given back.
    pub(crate) fn of(message: NewMessage) -> (NewMessage, Self) {
        const BEFORE: &[u8] = b"{\"message\":";
        const NUMBER: &[u8] = b",\"seq\":";
        let message = message.into_message(Seq::ZERO);
        let mut text = Vec::with_capacity(message.content.len() + LINE_BYTES);
        text.extend_from_slice(BEFORE);
        serde_json::to_writer(&mut text, &message).expect("plain values serialize");
        // Within a string the quotes would be escaped.
        let number = text.windows(NUMBER.len()).position(|window| window == NUMBER);
        let number = number.expect("a message has a number") + NUMBER.len();
        (message.into(), Self { text, number })
    }

    /// About how long the line is.
    pub(crate) fn length(&self) -> usize {
        self.text.len() + LINE_BYTES
    }

    /// Adds the line of the message with this number to some bytes, with its line break.
    pub(crate) fn write(&self, seq: Seq, rest: Rest, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&self.text[..self.number]);
        bytes.extend_from_slice(seq.to_string().as_bytes());
        bytes.extend_from_slice(&self.text[self.number + 1..]);
        let brace = bytes.len();
        serde_json::to_writer(&mut *bytes, &rest).expect("plain values serialize");
        bytes[brace] = b',';
        add_checksum(start, bytes);
    }
}

/// What stands before the checksum, and its length with the quotes and the brace after it.
const MARK: &str = ",\"crc\":\"";
const MARK_BYTES: usize = MARK.len() + 8 + 2;

impl<'a> Line<'a> {
    pub(crate) fn session(session: &'a Session) -> Self {
        Self::new(Change::Session(Cow::Borrowed(session)), session.updated_at)
    }

    fn new(change: Change<'a>, at: Timestamp) -> Self {
        Self { change, n: None, digest: None, at, more: false, since: None, incarnation: None }
    }

    /// Makes it the first line of a file.
    pub(crate) fn beginning(mut self, incarnation: Uuid) -> Self {
        self.incarnation = Some(incarnation);
        self
    }

    /// A message as it was appended.
    pub(crate) fn message(message: &'a Message, arrival: i64, at: Timestamp) -> Self {
        Self { n: Some(arrival), ..Self::new(Change::Message(Cow::Borrowed(message)), at) }
    }

    /// A message that may have been changed since this was appended.
    pub(crate) fn changed_message(
        message: &'a Message,
        arrival: i64,
        digest: ContentDigest,
        at: Timestamp,
    ) -> Self {
        let digest = (message.digest() != digest).then_some(digest);
        Self { digest, ..Self::message(message, arrival, at) }
    }

    pub(crate) fn update(message: &'a Message, at: Timestamp) -> Self {
        Self::new(Change::Update(Cow::Borrowed(message)), at)
    }

    /// Notes that the line is to stand at this place of a file that is on disk up to `synced`.
    pub(crate) fn standing(mut self, at: u64, synced: u64) -> Self {
        self.since = (synced != at).then_some(synced);
        self
    }

    /// Adds the line to some bytes, with its line break.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        write_checked(self, bytes);
    }
}

impl Line<'static> {
    /// Reads a line without its line break.
    ///
    /// # Errors
    /// `Corrupt` if it is not a line as it was written.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        checked(bytes)
    }
}

/// Adds an object to some bytes, with its checksum and a line break.
pub(crate) fn write_checked(object: &impl Serialize, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    serde_json::to_writer(&mut *bytes, object).expect("plain values serialize");
    add_checksum(start, bytes);
}

/// Puts a checksum into the object that begins at a place and ends the bytes, and a line break behind it.
fn add_checksum(start: usize, bytes: &mut Vec<u8>) {
    bytes.pop();
    let sum = crc32fast::hash(&bytes[start..]);
    bytes.extend_from_slice(MARK.as_bytes());
    bytes.extend_from_slice(&hexadecimal(sum));
    bytes.extend_from_slice(b"\"}\n");
}

/// Reads what a line says, after its checksum has been compared.
///
/// # Errors
/// `Corrupt` if it is not a line as it was written.
pub(crate) fn checked<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T> {
    body(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| {
        Error::corrupt("a line is not what this version writes").with_source(error)
    })
}

/// What stands in a line before its checksum, which is compared.
///
/// # Errors
/// `Corrupt` if it does not fit.
pub(crate) fn body(bytes: &[u8]) -> Result<&[u8]> {
    let damaged = || Error::corrupt("a line is damaged");
    let cut = bytes.len().checked_sub(MARK_BYTES).ok_or_else(damaged)?;
    let (body, tail) = bytes.split_at(cut);
    // The sum is computed over what may be a line only.
    let sum = tail.strip_prefix(MARK.as_bytes()).and_then(|sum| sum.strip_suffix(b"\"}"));
    let hex = sum.and_then(|sum| <&[u8; 8]>::try_from(sum).ok()).ok_or_else(damaged)?;
    if *hex == hexadecimal(crc32fast::hash(body)) { Ok(body) } else { Err(damaged()) }
}

/// Eight lower-case digits.
fn hexadecimal(sum: u32) -> [u8; 8] {
    let digit = |at: usize| b"0123456789abcdef"[(sum >> (28 - 4 * at)) as usize & 15];
    std::array::from_fn(digit)
}

#[cfg(test)]
mod tests {
    use shs_store::{NewMessage, NewSession, Seq};

    use super::*;

    #[test]
    fn a_line_comes_back_and_any_flipped_bit_is_noticed() {
        let session = NewSession::new().with_user("alice").into_session(Timestamp::now()).unwrap();
        let message = NewMessage::user("Grüße\n\0").with_latency_ms(0.1).into_message(Seq::FIRST);
        let lines = [
            Line::session(&session).beginning(shs_store::clock::new_uuid()),
            Line { more: true, ..Line::message(&message, 7, session.updated_at) },
            Line::update(&message, session.updated_at).standing(70, 7),
        ];
        for line in lines {
            let mut bytes = Vec::new();
            line.write(&mut bytes);
            assert_eq!(bytes.pop(), Some(b'\n'));
            assert!(!bytes.contains(&b'\n') && !bytes.contains(&0));
            let read = Line::read(&bytes).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&line).unwrap());
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                assert!(Line::read(&damaged).is_err(), "a flip at {at}");
                assert!(Line::read(&bytes[..at]).is_err(), "cut at {at}");
            }
        }
    }

    #[test]
    fn a_draft_becomes_the_line_of_its_message() {
        let at = Timestamp::now();
        let odd = NewMessage::tool("\",\"seq\":0").with_id("\",\"seq\":0".parse().unwrap());
        for message in [odd, NewMessage::user("Grüße").with_tokens(3)] {
            for (seq, more, since) in [(Seq::FIRST, true, None), (Seq::MAX, false, Some(70))] {
                let line = message.clone().into_message(seq);
                let mut expected = b"before".to_vec();
                Line { more, since, ..Line::message(&line, 7, at) }.write(&mut expected);
                let mut bytes = b"before".to_vec();
                let rest = Rest { n: 7, at, more, since };
                let (same, draft) = Draft::of(message.clone());
                draft.write(seq, rest, &mut bytes);
                assert_eq!(same, message);
                assert_eq!(bytes, expected);
            }
        }
    }
}
