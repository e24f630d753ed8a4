//! Reading what the Python package `session-history-saver` 1.0 stored, without losing any of it.
//!
//! The Python package accepts any text as a role, any JSON as a tag, any number as tokens. Where a value does not fit
//! the model here, [`transcript`] takes the nearest one that does and keeps the original in the session's or the
//! message's `extra`, under the original's key with `python_` before it.
//!
//! | original | becomes |
//! |---|---|
//! | role `human` | user |
//! | role `ai`, `bot`, `model` | assistant |
//! | role `function` | tool |
//! | any other unknown role | system |
//! | an unknown status | delivered |
//! | an id or name that breaks a limit | a new id; none |
//! | tokens below 0 or above 4,294,967,295, a latency below 0 | none |
//! | a tag that is no text or breaks a limit | left out; all of them are in `python_tags` |
//! | metadata that is no object, or nested too deeply | empty |
//! | a time that cannot be read | the session's or the message's nearest known one |

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::limits::{MAX_TAGS, MAX_TITLE_BYTES, check_map, check_name};
use crate::{
    Error, Map, Message, MessageId, NewMessage, NewSession, Part, Result, Role, Seq, Session,
    SessionId, Status, Timestamp, Transcript,
};

/// Reads a session in the form of the package's `Session.to_dict`, however odd its values are.
///
/// Messages are numbered in the order in which they stand. A message id that occurs twice in the session is
/// replaced by a new one the second time.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) if it is no JSON object, or its `messages` are no array of objects.
pub fn transcript(value: Value) -> Result<Transcript> {
    let Value::Object(mut object) = value else {
        return Err(Error::corrupt("a session of the Python package is a JSON object"));
    };
    let messages = match object.remove("messages") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(messages)) => messages,
        Some(_) => return Err(Error::corrupt("the messages of a session are a JSON array")),
    };
    let mut reader = TranscriptReader::new(object)?;
    let mut ids = HashSet::new();
    let mut read = Vec::with_capacity(messages.len());
    for message in messages {
        let mut message = reader.message(message)?;
        if !ids.insert(message.id.clone()) {
            let original = std::mem::replace(&mut message.id, MessageId::generate());
            message.extra.insert("python_message_id".to_owned(), original.as_str().into());
        }
        read.push(message);
    }
    Transcript::new(reader.into_session(), read)
}

/// Reads a session as [`transcript`] does, message by message, and keeps none of them: whether an id
/// occurs twice is not looked at.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use shs_store::python::TranscriptReader;
///
/// let session = json!({"session_id": "s1"});
/// let mut reader = TranscriptReader::new(session.as_object().cloned().unwrap_or_default())?;
/// let message = reader.message(json!({"role": "human", "content": "Hello"}))?;
/// assert_eq!((message.content.as_str(), message.seq.get()), ("Hello", 1));
/// assert_eq!(reader.into_session().id.as_str(), "s1");
/// # Ok::<_, shs_store::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TranscriptReader {
    session: Session,
    last: (Seq, Timestamp),
}

impl TranscriptReader {
    /// Begins with the keys of the session; `messages` among them is not looked at.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if what is left of the session breaks a
    /// limit.
    pub fn new(mut session: Map) -> Result<Self> {
        for derived in ["messages", "message_count", "total_tokens", "duration_seconds"] {
            session.remove(derived);
        }
        let session = self::session(&mut Fields::new(session))?;
        let last = (Seq::ZERO, session.created_at);
        Ok(Self { session, last })
    }

    /// Reads the next message.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it is no JSON object.
    pub fn message(&mut self, message: Value) -> Result<Message> {
        let Value::Object(object) = message else {
            return Err(Error::corrupt("a message is a JSON object").with_session(&self.session.id));
        };
        let message = self::message(&mut Fields::new(object), self.last.0.next(), self.last.1);
        self.last = (message.seq, message.timestamp);
        Ok(message)
    }

    /// The session, whose messages are not counted.
    pub fn into_session(self) -> Session {
        self.session
    }
}

fn session(fields: &mut Fields) -> Result<Session> {
    let id = fields.take("session_id", |v| SessionId::new(text(v)?).ok());
    let created_at = fields.take("created_at", time);
    let updated_at = fields.take("updated_at", time);
    let earliest = created_at.or(updated_at).unwrap_or_else(Timestamp::now);
    let new = NewSession::with_id(id.unwrap_or_else(SessionId::generate));
    let mut session = new.into_session(earliest)?;
    session.updated_at = updated_at.unwrap_or(earliest);
    session.user_id = fields.take("user_id", name);
    session.project_id = fields.take("project_id", name);
    session.title = fields.take("title", |v| {
        text(v).filter(|title| title.len() <= MAX_TITLE_BYTES).map(str::to_owned)
    });
    session.tags = fields.take("tags", tags).unwrap_or_default();
    session.metadata = fields.take("metadata", metadata).unwrap_or_default();
    session.ended_at = fields.take("ended_at", time);
    session.forked_from = fields.take("forked_from", fitting);
    session.last_seq = fields.take("last_seq", fitting).unwrap_or_default();
    session.extra = fields.rest();
    Ok(session)
}

fn message(fields: &mut Fields, seq: Seq, not_before: Timestamp) -> Message {
    let role = fields.take("role", |v| text(v)?.parse().ok());
    let content = fields.take("content", |v| text(v).map(str::to_owned));
    let mut new =
        NewMessage::new(role.unwrap_or_else(|| fields.nearest_role()), content.unwrap_or_default());
    if let Some(id) = fields.take("message_id", |v| MessageId::new(text(v)?).ok()) {
        new.id = id;
    }
    new.timestamp = fields.take("timestamp", time).unwrap_or(not_before);
    new.metadata = fields.take("metadata", metadata).unwrap_or_default();
    new.status = fields.take("status", |v| text(v)?.parse::<Status>().ok()).unwrap_or_default();
    new.tokens = fields.take("tokens", |v| u32::try_from(v.as_u64()?).ok());
    new.model = fields.take("model", name);
    new.latency_ms = fields.take("latency_ms", |v| v.as_f64().filter(|ms| *ms >= 0.0));
    new.parts = fields
        .take("parts", |v| fitting(v).filter(|parts: &Vec<Part>| Part::check_all(parts).is_ok()))
        .unwrap_or_default();
    // Messages are numbered anew.
    fields.take("seq", |v| (v.as_u64()? == seq.get()).then_some(()));
    new.extra = fields.rest();
    new.into_message(seq)
}

/// The keys of an object that were not taken yet, and originals that did not fit.
struct Fields {
    object: Map,
    originals: Map,
}

impl Fields {
    fn new(object: Map) -> Self {
        Self { object, originals: Map::new() }
    }

    /// Takes a key; a value that does not fit is kept as an original. `null` is a missing value.
    fn take<T>(&mut self, key: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.object.remove(key).filter(|value| !value.is_null())?;
        let fitting = read(&value);
        if fitting.is_none() {
            self.originals.insert(format!("python_{key}"), value);
        }
        fitting
    }

    /// The role nearest to one that was not known.
    fn nearest_role(&self) -> Role {
        match self.originals.get("python_role").and_then(Value::as_str) {
            Some("human") => Role::User,
            Some("ai" | "bot" | "model") => Role::Assistant,
            Some("function") => Role::Tool,
            _ => Role::System,
        }
    }

    /// What was not taken, with the originals. What is nested too deeply to be kept as JSON is kept as text.
    fn rest(&mut self) -> Map {
        let mut rest = std::mem::take(&mut self.object);
        rest.append(&mut self.originals);
        for value in rest.values_mut() {
            let kept = Map::from_iter([(String::new(), value.take())]);
            let fits = check_map("", &kept).is_ok();
            let original = kept.into_iter().next().map_or(Value::Null, |(_, value)| value);
            *value = if fits { original } else { Value::String(original.to_string()) };
        }
        rest
    }
}

fn fitting<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn name(value: &Value) -> Option<String> {
    value.as_str().filter(|name| check_name("", name).is_ok()).map(str::to_owned)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// All tags, or none if one of them does not fit.
fn tags(value: &Value) -> Option<Vec<String>> {
    let tags = value.as_array()?;
    (tags.len() <= MAX_TAGS).then_some(())?;
    tags.iter().map(name).collect()
}

fn metadata(value: &Value) -> Option<Map> {
    value.as_object().filter(|map| check_map("", map).is_ok()).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_is_taken_as_it_is() {
        let json = json!({
            "session_id": "s", "user_id": "u", "project_id": "p", "tags": ["a"], "metadata": {"k": 1},
            "title": "t", "created_at": "2026-11-22T11:30:00.000000+00:00",
            "updated_at": "2026-11-22T11:31:00.000000+00:00", "message_count": 99, "total_tokens": 0,
            "duration_seconds": 1.0, "messages": [
                {"message_id": "m1", "role": "user", "content": "hi", "tokens": 3,
                 "timestamp": "2026-11-22T11:30:00+00:00", "metadata": {}, "status": "delivered",
                 "model": null, "latency_ms": null}
            ]
        });
        let read = transcript(json.clone()).unwrap();
        let strict: Transcript = serde_json::from_value(json).unwrap();
        assert_eq!(read, strict);
        assert_eq!((read.session.message_count, read.session.total_tokens), (1, 3));
    }

    #[test]
    fn keys_of_ours_are_taken_where_they_fit_and_never_there_twice() {
        let ours = json!({
            "session_id": "s", "ended_at": "2026-11-22T11:30:00Z", "last_seq": 9, "messages": [
                {"message_id": "m", "role": "user", "content": "", "seq": 1,
                 "parts": [{"type": "text", "content": "x"}]}
            ]
        });
        let read = transcript(ours).unwrap();
        assert!(read.session.is_ended() && read.session.extra.is_empty());
        assert_eq!((read.session.last_seq.get(), read.messages[0].parts.len()), (9, 1));
        let odd = json!({
            "session_id": "s", "ended_at": 1, "last_seq": "x", "forked_from": [], "messages": [
                {"message_id": "m", "role": "user", "content": "", "seq": "first", "parts": 5}
            ]
        });
        let read = transcript(odd).unwrap();
        assert_eq!(read.session.extra["python_last_seq"], "x");
        assert_eq!(read.messages[0].extra["python_parts"], 5);
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Transcript>(&text).unwrap(), read);
    }

    #[test]
    fn what_does_not_fit_is_kept() {
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        let read = transcript(json!({
            "session_id": "", "user_id": "", "tags": ["a", 7], "metadata": {"deep": deep}, "created_at": "?",
            "messages": [
                {"message_id": "m", "role": "ai", "content": 5, "tokens": -1, "status": "sent",
                 "latency_ms": -0.5, "timestamp": "2026-11-22T11:30:00", "mood": "good"},
                {"message_id": "m", "role": "narrator", "content": "x"},
            ]
        }))
        .unwrap();
        let [first, second] = read.messages.as_slice() else { panic!("two messages") };
        assert_eq!((first.role, second.role), (Role::Assistant, Role::System));
        assert_eq!(first.extra["python_role"], "ai");
        assert_eq!(first.extra["python_tokens"], -1);
        assert_eq!(first.extra["python_status"], "sent");
        assert_eq!(first.extra["python_content"], 5);
        assert_eq!(first.extra["python_latency_ms"], -0.5);
        assert_eq!(first.extra["mood"], "good");
        assert_eq!(second.extra["python_message_id"], "m");
        assert_eq!(second.timestamp, first.timestamp);
        assert_eq!(read.session.extra["python_session_id"], "");
        assert_eq!(read.session.extra["python_user_id"], "");
        assert_eq!(read.session.extra["python_tags"], json!(["a", 7]));
        assert!(read.session.extra["python_metadata"].as_str().unwrap().contains("[[[["));
        read.session.validate().unwrap();
    }
}
