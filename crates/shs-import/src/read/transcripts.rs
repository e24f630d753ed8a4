//! Our own JSON, which is the Python package's too.

use serde_json::{Map, Value};
use shs_store::{Timestamp, Transcript, python};

use crate::found::{Gone, Sink};
use crate::origin::name_of;
use crate::{Format, Place};

/// Reads a session with its messages. What only the Python package takes is read as it would, and that is told.
pub(super) fn read(mut value: Value, place: Place, sink: &Sink) -> Result<(), Gone> {
    complete(&mut value);
    let strict = serde_json::from_value::<Transcript>(value.clone());
    let transcript = match strict {
        Ok(transcript) => transcript,
        Err(why) => match python::transcript(value) {
            Ok(transcript) => {
                let what = format!(
                    "read as the Python package's; what does not fit is kept under keys with python_ before them: {why}"
                );
                sink.note(place.clone(), what)?;
                transcript
            }
            // The first reason is the one that a person can do something about.
            Err(_) => return sink.failed(place, format!("this is not a conversation: {why}")),
        },
    };
    sink.conversation(place, Format::Transcripts, transcript)
}

/// Gives ids and times to what has none, the same ones each time: otherwise a second import would be another conversation.
pub(super) fn complete(value: &mut Value) {
    let name = name_of(value);
    let Value::Object(session) = value else { return };
    if is_missing(session, "session_id") {
        session.insert("session_id".to_owned(), format!("transcripts-{name}").into());
    }
    let time = |value: Option<&Value>| value?.as_str()?.parse::<Timestamp>().ok();
    let messages = session.get("messages").and_then(Value::as_array);
    let mut of_messages = messages.into_iter().flatten().filter_map(|m| time(m.get("timestamp")));
    let created = time(session.get("created_at"))
        .or_else(|| of_messages.next())
        .or_else(|| time(session.get("updated_at")));
    let created = created.map_or_else(|| EPOCH.to_owned(), |created| created.to_string());
    if is_missing(session, "created_at") {
        session.insert("created_at".to_owned(), created.clone().into());
    }
    let mut at = created;
    let messages = session.get_mut("messages").and_then(Value::as_array_mut);
    for (number, message) in messages.into_iter().flatten().enumerate() {
        let Value::Object(message) = message else { continue };
        if is_missing(message, "message_id") {
            message.insert("message_id".to_owned(), format!("m{}", number + 1).into());
        }
        match message.get("timestamp").and_then(Value::as_str) {
            Some(given) => at = given.to_owned(),
            None if is_missing(message, "timestamp") => {
                message.insert("timestamp".to_owned(), at.clone().into());
            }
            None => {}
        }
    }
    if is_missing(session, "updated_at") {
        session.insert("updated_at".to_owned(), at.into());
    }
}

/// When what has no time anywhere was said.
const EPOCH: &str = "1970-01-01T00:00:00.000000+00:00";

fn is_missing(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).is_none_or(Value::is_null)
}
