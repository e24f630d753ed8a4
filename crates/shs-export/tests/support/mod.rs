//! Stores with conversations, and exports of them.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;

use serde_json::{Value, json};
use shs_export::{Export, Format, Report};
use shs_store::{ImportMode, Scope, Store, Transcript};

/// A store with these conversations: JSON of sessions, whose messages need a role and a content at the most.
pub(crate) async fn store(sessions: Value) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(shs_memory::MemoryStore::new());
    for (number, mut session) in sessions.as_array().unwrap().iter().cloned().enumerate() {
        session["created_at"] = format!("2026-01-01T00:00:{:02}Z", 59 - number % 60).into();
        for message in session["messages"].as_array_mut().unwrap() {
            if message.get("content").is_none() {
                message["content"] = "".into();
            }
        }
        let transcript: Transcript = serde_json::from_value(session).unwrap();
        store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await.unwrap();
    }
    store
}

/// The only session, with the id `s`.
pub(crate) async fn one(messages: Value) -> Arc<dyn Store> {
    store(json!([{"session_id": "s", "messages": messages}])).await
}

/// What an export writes, and its report.
pub(crate) async fn written(export: &Export) -> (String, Report) {
    let mut bytes = Vec::new();
    let report = export.to_writer(&mut bytes).await.unwrap();
    (String::from_utf8(bytes).unwrap(), report)
}

/// The lines of an export without options, and its report.
pub(crate) async fn lines(store: &Arc<dyn Store>, format: Format) -> (Vec<Value>, Report) {
    let (text, report) = written(&Export::new(Arc::clone(store), format)).await;
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), report)
}

pub(crate) fn user(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

pub(crate) fn assistant(content: &str) -> Value {
    json!({"role": "assistant", "content": content})
}

pub(crate) fn call(id: &str, name: &str, arguments: Value) -> Value {
    let part = json!({"type": "tool_call", "id": id, "name": name, "arguments": arguments});
    json!({"role": "assistant", "content": "", "parts": [part]})
}

pub(crate) fn result(id: &str, response: Value) -> Value {
    let part = json!({"type": "tool_call_response", "id": id, "response": response});
    json!({"role": "tool", "content": response.to_string(), "parts": [part]})
}
