//! Our own JSON, which is the Python package's too.

mod missing;
mod pieces;
mod plain;

use serde::Deserialize;
use serde_json::{Map, Value};
use shs_store::{SessionId, Transcript, python};

use self::missing::{Missing, replace, time};
use self::plain::Unread;
use super::{Stop, form};
use crate::bounded::{self, Budget};
use crate::found::{Coming, Gone, Sink};
use crate::limits::MAX_VALUE_BYTES;
use crate::origin::digest_of;
use crate::outline::Outline;
use crate::{Format, Place};

/// Whether the messages are what the Python package or this library writes; where they are a list.
pub(crate) fn check(value: &Value) -> Result<(), Stop> {
    let messages = value.get("messages").and_then(Value::as_array);
    form::each(messages.into_iter().flatten().filter(|message| message.is_object()), |message| {
        form::one_of(message, &["role", "content"])
    })
}

/// Reads a session with its messages, and hands it on. What only the Python package takes is read as it would, and that is told.
pub(crate) fn read(
    mut value: Value,
    format: Format,
    place: Place,
    sink: &Sink,
) -> Result<(), Gone> {
    let messages = value.get("messages").and_then(Value::as_array).map_or(0, Vec::len);
    if let Some(why) = sink.limits().too_many(messages) {
        return sink.failed(place, why);
    }
    let bent = complete(&mut value);
    let strict = Transcript::deserialize(&value);
    let (transcript, why) = match strict {
        Ok(transcript) => (transcript, bent.map(str::to_owned)),
        Err(why) => match python::transcript(value) {
            Ok(transcript) => (transcript, Some(why.to_string())),
            // The first reason is the one that a person can do something about.
            Err(_) => return sink.failed(place, not_one(&why)),
        },
    };
    tell(transcript, why, format, place, sink)
}

/// Whether [`read_text`] can read a value: its id and its messages are where they should be.
pub(crate) fn is_plain(outline: &Outline) -> bool {
    let id = outline.value["session_id"].as_str();
    outline.has_messages && id.is_some_and(|id| SessionId::new(id).is_ok())
}

/// A session that is put together message by message, as a text of JSON: it takes less memory than
/// what it says.
#[derive(Debug, Default)]
pub(crate) struct SessionText {
    /// Messages with commas between them; nothing if there is too much of it.
    messages: Vec<u8>,
    count: usize,
    is_too_long: bool,
}

impl SessionText {
    /// Adds a message.
    pub(crate) fn say(&mut self, message: &Value) {
        self.count += 1;
        if self.is_too_long {
            return;
        }
        if !self.messages.is_empty() {
            self.messages.push(b',');
        }
        serde_json::to_writer(&mut self.messages, message).expect("JSON can be written to memory");
        if self.messages.len() > MAX_VALUE_BYTES {
            self.is_too_long = true;
            self.messages = Vec::new();
        }
    }

    /// Reads it, as [`read`] does, with these keys of the session.
    pub(crate) fn read(
        self,
        session: &Map<String, Value>,
        format: Format,
        place: Place,
        sink: &Sink,
    ) -> Result<(), Gone> {
        if let Some(why) = sink.limits().too_many(self.count) {
            return sink.failed(place, why);
        }
        if self.is_too_long {
            let limit = MAX_VALUE_BYTES / (1024 * 1024);
            let what = format!("its messages are longer than {limit} MiB, which is the limit");
            return sink.failed(place, what);
        }
        let mut text = self.messages;
        text.splice(..0, br#"{"messages":["#.iter().copied());
        text.extend_from_slice(b"],");
        let head = serde_json::to_vec(session).expect("JSON can be written to memory");
        text.extend_from_slice(&head[1..]);
        let id = session.get("session_id").and_then(Value::as_str);
        if id.is_some_and(|id| SessionId::new(id).is_ok()) {
            return read_text(text, self.count, format, place, sink);
        }
        let budget = Budget::new(sink.limits().json_bytes);
        match bounded::from_slice(&text, &budget) {
            Ok(value) => read(value, format, place, sink),
            Err(_) if budget.is_spent() => sink.failed(place, sink.limits().too_heavy()),
            Err(why) => sink.failed(place, not_one(&why)),
        }
    }
}

/// As [`read`], of a text that [is plain](is_plain) and has so many messages: the JSON of one of
/// them is in memory at a time.
pub(crate) fn read_text(
    text: Vec<u8>,
    messages: usize,
    format: Format,
    place: Place,
    sink: &Sink,
) -> Result<(), Gone> {
    match plain::read(text, messages, sink.limits().json_bytes) {
        Ok((coming, why)) => tell(coming, why, format, place, sink),
        Err(Unread::TooHeavy) => sink.failed(place, sink.limits().too_heavy()),
        Err(Unread::NotOne(why)) => sink.failed(place, not_one(&why)),
    }
}

fn tell(
    coming: impl Into<Coming>,
    why: Option<String>,
    format: Format,
    place: Place,
    sink: &Sink,
) -> Result<(), Gone> {
    if let Some(why) = why {
        let what = "what does not fit is kept under keys with python_ before them";
        sink.note(place.clone(), format!("{what}: {why}"))?;
    }
    sink.conversation(place, format, coming)
}

fn not_one(why: &serde_json::Error) -> String {
    format!("this is not a conversation: {why}")
}

/// Gives ids and times to what has none that fits, the same ones each time: otherwise a second import would be another
/// conversation. Returns what did not fit.
fn complete(value: &mut Value) -> Option<&'static str> {
    let has_id = value["session_id"].as_str().is_some_and(|id| SessionId::new(id).is_ok());
    let made = (!has_id).then(|| format!("transcripts-{}", digest_of(value)));
    let Value::Object(session) = value else { return None };
    let mut bent = None;
    if let Some(id) = made {
        bent = replace(session, "session_id", id).then_some("the id of the session");
    }
    let messages = session.get("messages").and_then(Value::as_array);
    let first_time = messages.into_iter().flatten().find_map(|m| time(m.get("timestamp")));
    let mut missing = Missing::in_session(session, first_time);
    missing.bent = bent;
    let messages = session.get_mut("messages").and_then(Value::as_array_mut);
    messages.into_iter().flatten().for_each(|message| missing.in_message(message));
    missing.at_the_end(session);
    missing.bent
}
