//! A conversation while it is put together from a source.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use shs_store::limits::MAX_TITLE_BYTES;
use shs_store::{
    ForkPoint, Map, Message, MessageId, NewMessage, NewSession, Result, Seq, Session, SessionId,
    Timestamp, Transcript,
};
use shs_wire::{arguments, known_role};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::Format;
use crate::bounded::bytes_of_map;
use crate::origin::name_of_text;

const UNREAD_TIME: &str = "a time cannot be read, and is kept in the metadata";
/// Most different notes of one conversation.
const MAX_NOTES: usize = 8;

/// Puts sessions and messages of a source together: ids that do not fit get others, times that are missing come from
/// what is beside them, and the source's own fields go under its name into metadata.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    format: Format,
    session: Session,
    updated_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
    messages: Vec<Said>,
    /// What the messages take in memory, roughly.
    bytes: usize,
    /// What of the source was not understood, and how often.
    notes: BTreeMap<String, u64>,
}

/// A message of a source.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// What was said; its id and time are taken from below.
    pub(crate) message: NewMessage,
    /// The source's id.
    pub(crate) id: Option<String>,
    /// The source's time.
    pub(crate) at: Option<Timestamp>,
    /// What of it was not understood, and is kept in its metadata.
    pub(crate) notes: Vec<String>,
}

impl Said {
    pub(crate) fn new(message: NewMessage) -> Self {
        Self { message, id: None, at: None, notes: Vec::new() }
    }

    pub(crate) fn with_id(mut self, id: Option<&str>) -> Self {
        self.id = id.filter(|id| !id.is_empty()).map(str::to_owned);
        self
    }

    pub(crate) fn with_time(mut self, at: Option<Timestamp>) -> Self {
        self.at = at;
        self
    }

    /// Keeps times that cannot be read.
    pub(crate) fn with_unread_times(
        mut self,
        format: Format,
        object: &Value,
        keys: &[&str],
    ) -> Self {
        let unread = unread_times(object, keys);
        if !unread.is_empty() {
            self.notes.push(UNREAD_TIME.to_owned());
        }
        self.with_fields(format, unread)
    }

    /// Tells that this role is none that is known.
    pub(crate) fn with_role_named(mut self, name: &str) -> Self {
        if known_role(name).is_none() {
            let name: String = name.chars().take(40).collect();
            let role = self.message.role;
            self.notes.push(format!("the role {name:?} is not known, and is taken for {role}"));
        }
        self
    }

    /// What it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let NewMessage { content, parts, metadata, .. } = &self.message;
        let parts: usize = parts.iter().map(|part| bytes_of_map(part.as_object())).sum();
        size_of::<Self>() + content.len() + parts + bytes_of_map(metadata)
    }

    /// Notes what people think of it, where exports look for that: above zero it is good, below it is bad.
    pub(crate) fn rated(mut self, feedback: i64) -> Self {
        self.message.metadata.insert("feedback".to_owned(), feedback.into());
        self
    }

    /// Keeps the source's own fields.
    pub(crate) fn with_fields(mut self, format: Format, fields: Map) -> Self {
        keep(&mut self.message.metadata, format, fields);
        self
    }
}

impl Conversation {
    /// A conversation with the source's id.
    pub(crate) fn new(format: Format, id: &str) -> Self {
        let new = NewSession::with_id(session_id(format, id));
        let mut session =
            new.into_session(Timestamp::MIN).expect("a session with nothing but an id is valid");
        if session.id.as_str() != id {
            keep(&mut session.metadata, format, Map::from_iter([("id".to_owned(), id.into())]));
        }
        let (messages, notes) = (Vec::new(), BTreeMap::new());
        Self { format, session, updated_at: None, created_at: None, messages, bytes: 0, notes }
    }

    pub(crate) fn set_times(&mut self, created: Option<Timestamp>, updated: Option<Timestamp>) {
        self.created_at = created;
        self.updated_at = updated;
    }

    /// A title that is too long is cut at a character.
    pub(crate) fn set_title(&mut self, title: Option<&str>) {
        let Some(title) = title.filter(|title| !title.is_empty()) else { return };
        let mut end = title.len().min(MAX_TITLE_BYTES);
        while !title.is_char_boundary(end) {
            end -= 1;
        }
        self.session.title = Some(title[..end].to_owned());
        if end < title.len() {
            self.keep(Map::from_iter([("title".to_owned(), title.into())]));
        }
    }

    /// The tools that were offered, and whether several may be called at once, where exports look for them. Some data sets have
    /// tools as JSON in a string.
    pub(crate) fn set_tools(&mut self, tools: Option<&Value>, parallel: Option<&Value>) {
        let tools = match tools {
            Some(Value::String(text)) => Some(arguments(text)),
            other => other.cloned(),
        };
        for (key, value) in [("tools", tools), ("parallel_tool_calls", parallel.cloned())] {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                self.session.metadata.insert(key.to_owned(), value);
            }
        }
    }

    /// Tags that do not fit stay in metadata.
    pub(crate) fn set_tags(&mut self, tags: Vec<String>) {
        let mut tagged = self.session.clone();
        tagged.tags.clone_from(&tags);
        if tagged.validate().is_ok() {
            self.session.tags = tags;
        } else {
            self.keep(Map::from_iter([("tags".to_owned(), tags.into())]));
        }
    }

    /// Keeps the source's own fields of the conversation.
    pub(crate) fn keep(&mut self, fields: Map) {
        keep(&mut self.session.metadata, self.format, fields);
    }

    /// What its messages take in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps times that cannot be read.
    pub(crate) fn keep_unread_times(&mut self, object: &Value, keys: &[&str]) {
        let unread = unread_times(object, keys);
        if !unread.is_empty() {
            self.note(UNREAD_TIME.to_owned());
            self.keep(unread);
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES || self.notes.contains_key(&note) {
            *self.notes.entry(note).or_default() += 1;
        }
    }

    /// What of the source was not understood, in words for people.
    pub(crate) fn notes(&self) -> Vec<String> {
        let told = self.notes.iter().map(|(note, times)| match times {
            1 => note.clone(),
            times => format!("{note} ({times} messages)"),
        });
        told.collect()
    }

    pub(crate) fn say(&mut self, mut said: Said) {
        std::mem::take(&mut said.notes).into_iter().for_each(|note| self.note(note));
        self.bytes = self.bytes.saturating_add(said.bytes());
        self.messages.push(said);
    }

    /// Says that its first messages are those of another conversation.
    pub(crate) fn forked(&mut self, source: &str, shared: usize) {
        let session_id = session_id(self.format, source);
        self.session.forked_from = Some(ForkPoint { session_id, seq: number_of(shared) });
    }

    /// What it takes in memory without its messages, roughly.
    pub(crate) fn head_bytes(&self) -> usize {
        size_of::<Self>() + bytes_of_map(&self.session.metadata)
    }

    /// A branch of this conversation: its beginning, and then other messages.
    pub(crate) fn branch(&self, name: &str, shared: usize, own: Vec<Said>) -> Self {
        let mut branch = self.clone();
        let trunk = &self.session.id;
        branch.session.id = session_id(self.format, &format!("{trunk}/{name}"));
        branch.session.forked_from =
            Some(ForkPoint { session_id: trunk.clone(), seq: number_of(shared) });
        branch.messages.truncate(shared);
        branch.messages.extend(own);
        branch
    }

    /// The whole conversation.
    pub(crate) fn finish(self) -> Result<Transcript> {
        let Self { format, mut session, updated_at, created_at, messages, bytes: _, notes: _ } =
            self;
        let first_time = messages.iter().find_map(|said| said.at);
        session.created_at = created_at.or(first_time).or(updated_at).unwrap_or_else(no_time);
        let mut at = session.created_at;
        let mut ids = HashSet::new();
        let mut read: Vec<Message> = Vec::with_capacity(messages.len());
        for (number, said) in messages.into_iter().enumerate() {
            let Said { message: mut new, id, at: time, notes: _ } = said;
            at = time.unwrap_or(at);
            new.timestamp = at;
            new.id = message_id(id.as_deref(), number, &mut ids);
            if let Some(id) = id.filter(|id| id != new.id.as_str()) {
                keep(&mut new.metadata, format, Map::from_iter([("id".to_owned(), id.into())]));
            }
            if let Some(model) = new.model.take_if(|model| !is_name(model)) {
                keep(
                    &mut new.metadata,
                    format,
                    Map::from_iter([("model".to_owned(), model.into())]),
                );
            }
            read.push(new.into_message(number_of(number + 1)));
        }
        let last_time = read.iter().map(|message| message.timestamp).max();
        session.updated_at = updated_at.or(last_time).unwrap_or(session.created_at);
        Transcript::new(session, read)
    }
}

/// Adds fields under a source's name.
fn keep(metadata: &mut Map, format: Format, fields: Map) {
    if fields.is_empty() {
        return;
    }
    let kept = metadata.entry(format.as_str()).or_insert_with(|| Value::Object(Map::new()));
    match kept {
        Value::Object(kept) => kept.extend(fields),
        // Nothing else is put under a source's name.
        other => *other = Value::Object(fields),
    }
}

/// The id of a source, or one that is made of it if it does not fit.
pub(crate) fn session_id(format: Format, id: &str) -> SessionId {
    SessionId::new(id).unwrap_or_else(|_| {
        let name = format!("{format}-{}", name_of_text(id));
        SessionId::new(name).expect("a name of letters and digits is an id")
    })
}

/// The source's id of a message if it fits and is not taken, else its place in the conversation.
fn message_id(id: Option<&str>, number: usize, taken: &mut HashSet<MessageId>) -> MessageId {
    let mut candidate = id.and_then(|id| MessageId::new(id).ok());
    for attempt in 0.. {
        if let Some(id) = candidate
            && taken.insert(id.clone())
        {
            return id;
        }
        let name = match attempt {
            0 => format!("m{}", number + 1),
            attempt => format!("m{}-{attempt}", number + 1),
        };
        candidate = MessageId::new(name).ok();
    }
    unreachable!("there are more names than messages")
}

/// The number of a message that has so many before it, itself included.
fn number_of(messages: usize) -> Seq {
    Seq::new(messages as u64).expect("there are fewer messages than numbers")
}

fn is_name(text: &str) -> bool {
    // Models are named as ids are.
    MessageId::new(text).is_ok()
}

/// When what has no time anywhere was said: the beginning of time as computers count it, the same in every run.
pub(crate) fn no_time() -> Timestamp {
    Timestamp::from_micros(0).expect("1970 is a time")
}

/// A time as sources write it: a text of RFC 3339 or the like, a date, RFC 2822, MongoDB's `{"$date": …}`, or
/// seconds, milliseconds, microseconds or nanoseconds since 1970, also as a text.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => time_of_text(text.trim()),
        Value::Object(object) if object.len() == 1 => match object.get("$date")? {
            Value::Object(long) => time(long.get("$numberLong")?),
            date => time(date),
        },
        Value::Number(number) => {
            let number = number.as_f64()?;
            // The year 5138 in seconds is 1973 in milliseconds.
            let micros = match number.abs() {
                seconds if seconds < 1e11 => number * 1e6,
                millis if millis < 1e14 => number * 1e3,
                micros if micros < 1e17 => number,
                _ => number / 1e3,
            };
            // Beyond the range of i64 it becomes the nearest, which is no time.
            Timestamp::from_micros(micros.round() as i64).ok()
        }
        _ => None,
    }
}

/// The times under some keys that cannot be read, to be kept.
pub(crate) fn unread_times(object: &Value, keys: &[&str]) -> Map {
    let unread = |key: &&str| {
        let value = object.get(*key).filter(|value| !value.is_null())?;
        time(value).is_none().then(|| ((*key).to_owned(), value.clone()))
    };
    keys.iter().filter_map(unread).collect()
}

fn time_of_text(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if let Ok(number) = text.parse::<f64>() {
        return time(&serde_json::Number::from_f64(number)?.into());
    }
    let utc = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT")).map(str::trim_end);
    let whole = match utc {
        Some(time) if time.contains(':') => format!("{time}Z"),
        _ => format!("{text}T00:00:00Z"),
    };
    if let Ok(time) = whole.parse() {
        return Some(time);
    }
    let time = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Timestamp::from_micros(i64::try_from(time.unix_timestamp_nanos() / 1_000).ok()?).ok()
}

/// A key's time.
pub(crate) fn time_at(object: &Value, key: &str) -> Option<Timestamp> {
    time(object.get(key)?)
}
