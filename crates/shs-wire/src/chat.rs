//! Messages as OpenAI's chat completions have them, and most other providers, local servers and data sets.

use serde_json::Value;
use shs_store::{NewMessage, Part, Role};

use crate::draft::{Draft, arguments, role, str_at};
use crate::tool::{nested, taken};

/// A message of a request, of a plain response, or of a line of training data.
///
/// Arguments of calls are the text of JSON or, as some data sets have them, JSON.
pub fn message(message: &Value) -> NewMessage {
    let role = role(str_at(message, "/role").unwrap_or("user"));
    let mut draft = Draft::default();
    if let Some(reasoning) = reasoning(message) {
        draft.reasoning(reasoning);
    }
    let content = message.get("content").unwrap_or(&Value::Null);
    if role == Role::Tool {
        let id = str_at(message, "/tool_call_id").or_else(|| str_at(message, "/name"));
        draft.tool_response(id, content);
        return draft.message(role);
    }
    match content {
        Value::String(text) => draft.text(text),
        Value::Array(blocks) => blocks.iter().for_each(|part| block(&mut draft, part)),
        _ => {}
    }
    if let Some(refusal) = str_at(message, "/refusal") {
        draft.text(refusal);
    }
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    for call in calls {
        let id = str_at(call, "/id");
        let text = |function, custom| str_at(call, function).or_else(|| str_at(call, custom));
        let name = text("/function/name", "/custom/name").unwrap_or_default();
        let given = call.pointer("/function/arguments").or_else(|| call.pointer("/custom/input"));
        draft.tool_call(id, name, given.map(json).unwrap_or_default());
    }
    if let Some(name) = str_at(message, "/function_call/name") {
        let given = message.pointer("/function_call/arguments");
        draft.tool_call(None, name, given.map(json).unwrap_or_default());
    }
    let mut said = draft.message(role);
    if let Some(name) = str_at(message, "/name") {
        said.metadata.insert("name".to_owned(), name.into());
    }
    said
}

/// Takes the tools that a request offers out of it, as they are; the old `functions` become tools.
pub fn tools(request: &mut Value) -> Vec<Value> {
    let mut tools = taken(request, "tools");
    let functions = taken(request, "functions").into_iter();
    tools.extend(functions.map(|function| nested(function, "parameters")));
    tools
}

fn block(draft: &mut Draft, block: &Value) {
    let text = |pointer| str_at(block, pointer);
    match text("/type") {
        Some("text" | "input_text" | "output_text") => {
            draft.text(text("/text").unwrap_or_default())
        }
        Some("refusal") => draft.text(text("/refusal").unwrap_or_default()),
        Some("image_url") => match text("/image_url/url").or_else(|| text("/image_url")) {
            Some(url) => draft.uri("image", url),
            None => draft.other(block),
        },
        Some("input_audio") => match text("/input_audio/data") {
            Some(data) => {
                let mime_type = text("/input_audio/format").map(|format| format!("audio/{format}"));
                draft.part(Part::blob("audio", data, mime_type), None);
            }
            None => draft.other(block),
        },
        Some("file") => match (text("/file/file_id"), text("/file/file_data")) {
            (Some(id), _) => draft.part(Part::file("document", id), None),
            (None, Some(data)) => draft.uri("document", data),
            (None, None) => draft.other(block),
        },
        _ => draft.other(block),
    }
}

fn json(given: &Value) -> Value {
    match given {
        Value::String(text) => arguments(text),
        other => other.clone(),
    }
}

fn reasoning(message: &Value) -> Option<&str> {
    let text = str_at(message, "/reasoning_content").or_else(|| str_at(message, "/reasoning"));
    text.filter(|text| !text.is_empty())
}
