//! A session with its messages.

use std::collections::HashSet;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Message, Result, Seq, Session};

/// A whole conversation: the session and all of its messages, in order.
///
/// Its JSON form is the one of the Python package's `Session.to_dict`, with our keys added; either
/// package reads the other's. Reading it puts the counts right, numbers messages that have no `seq`, and
/// keeps unknown keys.
///
/// # Examples
/// ```
/// use shs_store::Transcript;
///
/// let transcript: Transcript = serde_json::from_str(
///     r#"{"session_id": "s1", "message_count": 7, "messages": [
///         {"role": "user", "content": "Hello", "tokens": 2},
///         {"role": "assistant", "content": "Hi!", "tokens": 3}]}"#,
/// )?;
/// assert_eq!(transcript.session.message_count, 2);
/// assert_eq!(transcript.session.total_tokens, 5);
/// assert_eq!(transcript.messages[1].seq.get(), 2);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transcript {
    /// The session.
    pub session: Session,
    /// Its messages, by rising `seq`.
    pub messages: Vec<Message>,
}

impl Transcript {
    /// Puts a session and its messages together: numbers messages whose `seq` is zero, and puts the
    /// session's counts and last number right.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the numbers do not rise, an id repeats, or a
    /// limit is broken.
    pub fn new(mut session: Session, mut messages: Vec<Message>) -> Result<Self> {
        let mut last = Seq::ZERO;
        for message in &mut messages {
            message
                .follow(&mut last)
                .map_err(|error| error.with_session(&session.id).with_message(&message.id))?;
        }
        if let Some(twice) = first_repeated(&messages) {
            return Err(Error::invalid("two messages of the session have the same id")
                .with_session(&session.id)
                .with_message(&twice.id));
        }
        session.tags = super::session::distinct(session.tags);
        session.message_count = messages.len() as u64;
        session.total_tokens = messages.iter().filter_map(|m| m.tokens).map(u64::from).sum();
        session.last_seq = session.last_seq.max(last);
        session.validate().map_err(|error| error.with_session(&session.id))?;
        Ok(Self { session, messages })
    }

    /// Seconds from the first message to the last; `None` below two messages.
    pub fn duration_seconds(&self) -> Option<f64> {
        match self.messages.as_slice() {
            [first, .., last] => Some(last.timestamp.seconds_since(first.timestamp)),
            _ => None,
        }
    }
}

/// The first message whose id another one had before it.
fn first_repeated(messages: &[Message]) -> Option<&Message> {
    // Ids that rise, as those do that are made here, need no table of them.
    if messages.is_sorted_by(|before, after| before.id < after.id) {
        return None;
    }
    let mut ids = HashSet::with_capacity(messages.len());
    messages.iter().find(|message| !ids.insert(&message.id))
}

impl Serialize for Transcript {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            #[serde(flatten)]
            session: &'a Session,
            duration_seconds: Option<f64>,
            messages: &'a [Message],
        }

        let wire = Wire {
            session: &self.session,
            duration_seconds: self.duration_seconds(),
            messages: &self.messages,
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Transcript {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default, rename = "duration_seconds")]
            _derived: IgnoredAny,
            #[serde(default)]
            messages: Vec<Message>,
            #[serde(flatten)]
            session: Session,
        }
        let wire = Wire::deserialize(deserializer)?;
        Self::new(wire.session, wire.messages).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_round_trips_with_unknown_keys() {
        let json = json!({
            "session_id": "s", "user_id": "u", "project_id": null, "tags": ["a"], "metadata": {"k": [1]},
            "title": null, "created_at": "2026-11-22T11:30:00.000000+00:00",
            "updated_at": "2026-11-22T11:30:00.000000+00:00", "message_count": 1, "total_tokens": 4,
            "last_seq": 3, "duration_seconds": null, "color": "blue",
            "messages": [{
                "message_id": "m", "seq": 3, "role": "tool", "content": "c", "status": "error",
                "timestamp": "2026-11-22T11:30:00.500000+00:00", "metadata": {}, "tokens": 4,
                "model": null, "latency_ms": 0.1, "vote": 1
            }]
        });
        let transcript: Transcript = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(transcript.messages[0].extra["vote"], 1);
        assert_eq!(serde_json::to_value(&transcript).unwrap(), json);
        let text = serde_json::to_string(&transcript).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json);
    }

    #[test]
    fn numbers_that_do_not_rise_and_repeated_ids_are_refused() {
        let read = |messages: Value| {
            serde_json::from_value::<Transcript>(json!({"session_id": "s", "messages": messages}))
        };
        let message = |id: &str, seq: u64| json!({"message_id": id, "seq": seq, "role": "user", "content": ""});
        assert!(read(json!([message("a", 2), message("b", 2)])).is_err());
        assert!(read(json!([message("a", 1), message("a", 2)])).is_err());
        assert!(read(json!([message("b", 1), message("a", 2), message("b", 3)])).is_err());
        assert!(read(json!([message("b", 1), message("a", 2)])).is_ok());
        assert!(read(json!([message("a", 1), message("b", 5)])).is_ok());
    }
}
