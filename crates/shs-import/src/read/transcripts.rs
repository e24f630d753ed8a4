//! Our own JSON, which is the Python package's too.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Map, Value};
use shs_store::{MessageId, SessionId, Timestamp, Transcript, python};

use crate::conversation::no_time;
use crate::found::{Gone, Sink};
use crate::origin::digest_of;
use crate::{Format, Place};

/// Reads a session with its messages, and hands it on. What only the Python package takes is read as it would, and that is told.
pub(crate) fn read(
    mut value: Value,
    format: Format,
    place: Place,
    sink: &Sink,
) -> Result<(), Gone> {
    let bent = complete(&mut value);
    let strict = Transcript::deserialize(&value);
    let (transcript, why) = match strict {
        Ok(transcript) => (transcript, bent.map(str::to_owned)),
        Err(why) => match python::transcript(value) {
            Ok(transcript) => (transcript, Some(why.to_string())),
            // The first reason is the one that a person can do something about.
            Err(_) => return sink.failed(place, format!("this is not a conversation: {why}")),
        },
    };
    if let Some(why) = why {
        let what = "what does not fit is kept under keys with python_ before them";
        sink.note(place.clone(), format!("{what}: {why}"))?;
    }
    sink.conversation(place, format, transcript)
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
    let time = |value: Option<&Value>| value?.as_str()?.parse::<Timestamp>().ok();
    let messages = session.get("messages").and_then(Value::as_array);
    let mut of_messages = messages.into_iter().flatten().filter_map(|m| time(m.get("timestamp")));
    let created = time(session.get("created_at"))
        .or_else(|| of_messages.next())
        .or_else(|| time(session.get("updated_at")));
    let created = created.unwrap_or_else(no_time).to_string();
    if is_missing(session, "created_at") {
        session.insert("created_at".to_owned(), created.clone().into());
    }
    let mut at = created;
    let mut ids = HashSet::new();
    let messages = session.get_mut("messages").and_then(Value::as_array_mut);
    for (number, message) in messages.into_iter().flatten().enumerate() {
        let Value::Object(message) = message else { continue };
        let id = message.get("message_id").and_then(Value::as_str);
        let fits = id.is_some_and(|id| MessageId::new(id).is_ok() && ids.insert(id.to_owned()));
        if !fits {
            let mut id = format!("m{}", number + 1);
            while !ids.insert(id.clone()) {
                id.push('-');
            }
            if replace(message, "message_id", id) {
                bent = Some("the id of a message");
            }
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
    bent
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
