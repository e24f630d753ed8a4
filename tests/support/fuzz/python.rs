//! The lenient reader: whatever the Python package stored is read, and nothing of it is lost.

use serde_json::{Map, Value};
use session_history_saver::{ErrorKind, Transcript, python};

/// Takes the bytes as the JSON of a session of the Python package.
///
/// # Panics
/// If it is refused without need, or something of it is lost.
pub fn python(bytes: &[u8]) {
    let Ok(original) = serde_json::from_slice::<Value>(bytes) else { return };
    let transcript = match python::transcript(original.clone()) {
        Ok(transcript) => transcript,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(!is_session(&original), "a session is read, however odd it is: {error}");
            return;
        }
    };
    let form = serde_json::to_vec(&transcript).expect("what was read can be written");
    let again: Transcript = serde_json::from_slice(&form).expect("it keeps every rule");
    assert_eq!(again, transcript);
    let Value::Object(original) = original else { panic!("a session is an object") };
    kept(&original, &transcript.session.extra);
    let messages = original.get("messages").and_then(Value::as_array);
    let messages = messages.map(Vec::as_slice).unwrap_or_default();
    assert_eq!(messages.len(), transcript.messages.len(), "each message is there");
    for (original, message) in messages.iter().zip(&transcript.messages) {
        let Value::Object(original) = original else { panic!("a message is an object") };
        kept(original, &message.extra);
        if let Some(content) = original.get("content").and_then(Value::as_str) {
            assert_eq!(content, message.content);
        }
    }
}

fn is_session(value: &Value) -> bool {
    let is_object = |message: &Value| message.is_object();
    value.as_object().is_some_and(|session| match session.get("messages") {
        None | Some(Value::Null) => true,
        Some(messages) => messages.as_array().is_some_and(|all| all.iter().all(is_object)),
    })
}

/// The keys that both packages know.
const KNOWN: [&str; 24] = [
    "session_id",
    "user_id",
    "project_id",
    "tags",
    "metadata",
    "title",
    "created_at",
    "updated_at",
    "ended_at",
    "forked_from",
    "message_count",
    "total_tokens",
    "last_seq",
    "duration_seconds",
    "messages",
    "message_id",
    "seq",
    "role",
    "content",
    "parts",
    "timestamp",
    "status",
    "tokens",
    "model",
];

/// What nobody knows is kept as it is, or, if it is nested too deeply, as text.
fn kept(original: &Map<String, Value>, extra: &Map<String, Value>) {
    for (key, value) in original {
        let is_known = KNOWN.contains(&key.as_str()) || key == "latency_ms";
        if !is_known && !key.starts_with("python_") {
            let found = extra.get(key);
            let as_text = || found == Some(&Value::String(value.to_string()));
            assert!(found == Some(value) || as_text(), "{key} is lost");
        }
    }
}
