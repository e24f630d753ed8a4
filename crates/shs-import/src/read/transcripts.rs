//! Our own JSON, which is the Python package's too.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use shs_store::python::TranscriptReader;
use shs_store::{Message, MessageId, Session, SessionId, Timestamp, Transcript, python};

use crate::bounded::{self, Bounded, Budget, bytes_of_map};
use crate::conversation::no_time;
use crate::found::{Gone, Sink};
use crate::limits::MAX_VALUE_BYTES;
use crate::origin::digest_of;
use crate::outline::Outline;
use crate::{Format, Place};

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
    let budget = Budget::new(sink.limits().json_bytes);
    let read = read_plain(&text, messages, &budget);
    drop(text);
    match read {
        Ok((transcript, why)) => tell(transcript, why, format, place, sink),
        Err(_) if budget.is_spent() => sink.failed(place, sink.limits().too_heavy()),
        Err(why) => sink.failed(place, not_one(&why)),
    }
}

fn tell(
    transcript: Transcript,
    why: Option<String>,
    format: Format,
    place: Place,
    sink: &Sink,
) -> Result<(), Gone> {
    if let Some(why) = why {
        let what = "what does not fit is kept under keys with python_ before them";
        sink.note(place.clone(), format!("{what}: {why}"))?;
    }
    sink.conversation(place, format, transcript)
}

fn not_one(why: &serde_json::Error) -> String {
    format!("this is not a conversation: {why}")
}

/// Reads a text that is plain: strictly, or as the Python package would, with the reason.
fn read_plain(
    text: &[u8],
    messages: usize,
    budget: &Budget,
) -> serde_json::Result<(Transcript, Option<String>)> {
    let (mut session, first_time) = Head(budget).deserialize(&mut from_slice(text))?;
    session.remove("duration_seconds");
    let missing = Missing::in_session(&mut session, first_time);
    let (head_bytes, whole) = (bytes_of_map(&session), budget.left());
    let strict = read_strictly(text, messages, session.clone(), missing.clone(), budget);
    let why = match strict {
        Ok((transcript, bent)) => return Ok((transcript, bent.map(str::to_owned))),
        Err(why) if budget.is_spent() => return Err(why),
        Err(why) => why,
    };
    budget.refill(whole.saturating_sub(head_bytes));
    let lenient = read_leniently(text, session, missing, budget);
    // The first reason is the one that a person can do something about.
    match lenient {
        Ok(transcript) => Ok((transcript, Some(why.to_string()))),
        Err(_) => Err(why),
    }
}

fn read_strictly(
    text: &[u8],
    messages: usize,
    mut session: Map<String, Value>,
    mut missing: Missing,
    budget: &Budget,
) -> serde_json::Result<(Transcript, Option<&'static str>)> {
    let mut read = Vec::with_capacity(messages);
    let mut take = |mut message: Value| {
        missing.in_message(&mut message);
        let message = Message::deserialize(message)?;
        let kept = kept(&message);
        read.push(message);
        Ok(kept)
    };
    Messages { take: &mut take, budget }.deserialize(&mut from_slice(text))?;
    missing.at_the_end(&mut session);
    let session = Session::deserialize(Value::Object(session))?;
    let transcript = Transcript::new(session, read).map_err(serde_json::Error::custom)?;
    Ok((transcript, missing.bent))
}

fn read_leniently(
    text: &[u8],
    mut session: Map<String, Value>,
    mut missing: Missing,
    budget: &Budget,
) -> serde_json::Result<Transcript> {
    // The end of the session is known behind its last message only.
    let has_end = !is_missing(&session, "updated_at");
    if !has_end {
        let mut looking = missing.clone();
        let mut look = |mut message: Value| {
            looking.in_message(&mut message);
            Ok(0)
        };
        Messages { take: &mut look, budget }.deserialize(&mut from_slice(text))?;
        looking.at_the_end(&mut session);
    }
    let mut reader = TranscriptReader::new(session).map_err(serde_json::Error::custom)?;
    let mut take = |mut message: Value| {
        missing.in_message(&mut message);
        reader.message(message).map(kept).map_err(serde_json::Error::custom)
    };
    Messages { take: &mut take, budget }.deserialize(&mut from_slice(text))?;
    reader.finish().map_err(serde_json::Error::custom)
}

/// What is kept of a message's JSON, in bytes.
fn kept(message: &Message) -> usize {
    let parts: usize = message.parts.iter().map(|part| bytes_of_map(part.as_object())).sum();
    parts + bytes_of_map(&message.metadata) + bytes_of_map(&message.extra)
}

fn from_slice(text: &[u8]) -> serde_json::Deserializer<serde_json::de::SliceRead<'_>> {
    serde_json::Deserializer::from_slice(text)
}

/// The keys of a session but for its messages, and the first time that a message has.
struct Head<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for Head<'_> {
    type Value = (Map<String, Value>, Option<Timestamp>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Head<'_> {
    type Value = (Map<String, Value>, Option<Timestamp>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut session = Map::new();
        let mut first_time = None;
        while let Some(key) = entries.next_key::<String>()? {
            if key == "messages" {
                first_time = entries.next_value_seed(FirstTime(self.0))?;
            } else {
                let value = entries.next_value_seed(Bounded(self.0))?;
                session.insert(key, value);
            }
        }
        Ok((session, first_time))
    }
}

/// The first time in an array of messages.
struct FirstTime<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for FirstTime<'_> {
    type Value = Option<Timestamp>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FirstTime<'_> {
    type Value = Option<Timestamp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<Self::Value, A::Error> {
        while let Some(message) = next_message(&mut messages, self.0)? {
            if let Some(first) = time(message.get("timestamp")) {
                while messages.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Some(first));
            }
        }
        Ok(None)
    }
}

/// The next message, which takes no more than is left of a budget; nothing is taken from it.
fn next_message<'de, A: SeqAccess<'de>>(
    messages: &mut A,
    budget: &Budget,
) -> Result<Option<Value>, A::Error> {
    let of_one = Budget::new(budget.left());
    let message = messages.next_element_seed(Bounded(&of_one));
    if of_one.is_spent() {
        budget.exhaust();
    }
    message
}

/// Reads a session's messages, which are handed on one by one; each returns what is kept of its
/// JSON.
struct Messages<'t> {
    take: &'t mut dyn FnMut(Value) -> serde_json::Result<usize>,
    budget: &'t Budget,
}

impl<'de> DeserializeSeed<'de> for Messages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session with an array of messages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { take, budget } = self;
        while let Some(key) = entries.next_key::<String>()? {
            if key == "messages" {
                entries.next_value_seed(Messages { take: &mut *take, budget })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<(), A::Error> {
        while let Some(message) = next_message(&mut messages, self.budget)? {
            let kept = (self.take)(message).map_err(A::Error::custom)?;
            self.budget.spend(kept)?;
        }
        Ok(())
    }
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

/// Gives what is missing, from the beginning of a session to its end.
#[derive(Clone, Debug)]
struct Missing {
    /// The time of the message before.
    at: String,
    number: usize,
    ids: Ids,
    /// What did not fit.
    bent: Option<&'static str>,
}

impl Missing {
    fn in_session(session: &mut Map<String, Value>, first_time: Option<Timestamp>) -> Self {
        let created = time(session.get("created_at"))
            .or(first_time)
            .or_else(|| time(session.get("updated_at")));
        let created = created.unwrap_or_else(no_time).to_string();
        if is_missing(session, "created_at") {
            session.insert("created_at".to_owned(), created.clone().into());
        }
        Self { at: created, number: 0, ids: Ids::default(), bent: None }
    }

    fn in_message(&mut self, message: &mut Value) {
        self.number += 1;
        let Value::Object(message) = message else { return };
        let id = message.get("message_id").and_then(Value::as_str);
        if !id.is_some_and(|id| MessageId::new(id).is_ok() && self.ids.insert(id)) {
            let id = self.ids.make(self.number);
            if replace(message, "message_id", id) {
                self.bent = Some("the id of a message");
            }
        }
        match message.get("timestamp").and_then(Value::as_str) {
            Some(given) => given.clone_into(&mut self.at),
            None if is_missing(message, "timestamp") => {
                message.insert("timestamp".to_owned(), self.at.clone().into());
            }
            None => {}
        }
    }

    fn at_the_end(&self, session: &mut Map<String, Value>) {
        if is_missing(session, "updated_at") {
            session.insert("updated_at".to_owned(), self.at.clone().into());
        }
    }
}

/// Which ids came, in less memory than they take: two hashes of each, under keys that nobody can
/// know beforehand; and of those that are made of a message's place, a bit.
#[derive(Clone, Debug, Default)]
struct Ids {
    came: HashSet<(u64, u64)>,
    keys: [RandomState; 2],
    /// Whether the id of each place was made; 64 places a number.
    made: Vec<u64>,
}

impl Ids {
    /// Whether it comes for the first time.
    fn insert(&mut self, id: &str) -> bool {
        !self.is_made(id) && self.came.insert(self.hashes(id))
    }

    /// The id of a message that has none, by its place from 1.
    fn make(&mut self, place: usize) -> String {
        let mut id = format!("m{place}");
        if !self.came.contains(&self.hashes(&id)) {
            let at = place / 64;
            if self.made.len() <= at {
                self.made.resize(at + 1, 0);
            }
            self.made[at] |= 1 << (place % 64);
            return id;
        }
        while !self.insert(&id) {
            id.push('-');
        }
        id
    }

    fn is_made(&self, id: &str) -> bool {
        let place = id.strip_prefix('m').and_then(|place| place.parse::<usize>().ok());
        let is_made = |place: usize| {
            self.made.get(place / 64).is_some_and(|places| places & (1 << (place % 64)) != 0)
        };
        place.is_some_and(|place| is_made(place) && format!("m{place}") == id)
    }

    fn hashes(&self, id: &str) -> (u64, u64) {
        let [one, other] = &self.keys;
        (one.hash_one(id), other.hash_one(id))
    }
}

fn time(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

/// Puts a value under a key, and keeps what was there; whether there was something.
fn replace(object: &mut Map<String, Value>, key: &str, value: String) -> bool {
    match object.insert(key.to_owned(), value.into()) {
        None | Some(Value::Null) => false,
        Some(original) => {
            object.insert(format!("python_{key}"), original);
            true
        }
    }
}

fn is_missing(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).is_none_or(Value::is_null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_once_whether_they_are_given_or_made() {
        let mut ids = Ids::default();
        assert!(ids.insert("m2") && ids.insert("a") && !ids.insert("a"));
        assert_eq!([ids.make(1), ids.make(2), ids.make(3)], ["m1", "m2-", "m3"]);
        for taken in ["m1", "m2", "m2-", "m3"] {
            assert!(!ids.insert(taken), "{taken}");
        }
        for free in ["m01", "m+1", "m4", "m2--", "m"] {
            assert!(ids.insert(free), "{free}");
        }
        assert_eq!(ids.make(1_000), "m1000");
        assert!(!ids.insert("m1000") && ids.insert("m1001"));
    }
}
