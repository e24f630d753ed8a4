//! Items as OpenAI's Responses have them.

use serde_json::Value;
use shs_store::{NewMessage, Part, Role};

use crate::draft::{Draft, arguments, role, str_at, text_of};
use crate::tool::{nested, taken};

/// The messages of items, as of a request. What one response gave, as reasoning, a text and calls, is one message again.
pub fn messages(items: &[Value], messages: &mut Vec<NewMessage>) {
    let mut answer = Draft::default();
    let flush = |answer: &mut Draft, messages: &mut Vec<NewMessage>| {
        if !answer.is_empty() {
            messages.push(std::mem::take(answer).message(Role::Assistant));
        }
    };
    for item in items {
        let by = str_at(item, "/role").map(role);
        match (str_at(item, "/type").unwrap_or("message"), by) {
            ("message", Some(Role::Assistant)) => content(&mut answer, item),
            ("message", _) => {
                flush(&mut answer, messages);
                let mut draft = Draft::default();
                content(&mut draft, item);
                messages.push(draft.message(by.unwrap_or(Role::User)));
            }
            (kind, _) if kind.ends_with("_output") => {
                flush(&mut answer, messages);
                let mut draft = Draft::default();
                draft.tool_response(str_at(item, "/call_id"), &item["output"]);
                messages.push(draft.message(Role::Tool));
            }
            _ => output_item(&mut answer, item),
        }
    }
    flush(&mut answer, messages);
}

/// Takes the tools that a request offers out of it, as chat completions have them. What is no function, such as a search that the
/// server runs, stays as it is.
pub fn tools(request: &mut Value) -> Vec<Value> {
    let tool = |tool: Value| match str_at(&tool, "/type") {
        Some("function") => nested(tool, "parameters"),
        _ => tool,
    };
    taken(request, "tools").into_iter().map(tool).collect()
}

fn content(draft: &mut Draft, item: &Value) {
    match item.get("content") {
        Some(Value::String(text)) => draft.text(text),
        Some(Value::Array(blocks)) => {
            for block in blocks {
                let text = |pointer| str_at(block, pointer);
                match (text("/type"), text("/image_url"), text("/file_id")) {
                    (Some("input_text" | "output_text" | "text"), ..) => {
                        draft.text(text("/text").unwrap_or_default());
                    }
                    (Some("refusal"), ..) => draft.text(text("/refusal").unwrap_or_default()),
                    (Some("input_image"), Some(url), _) => draft.uri("image", url),
                    (Some("input_image"), None, Some(id)) => {
                        draft.part(Part::file("image", id), None);
                    }
                    (Some("input_file"), _, Some(id)) => {
                        draft.part(Part::file("document", id), None);
                    }
                    (Some("input_file"), ..) if text("/file_data").is_some() => {
                        draft.uri("document", text("/file_data").unwrap_or_default());
                    }
                    _ => draft.other(block),
                }
            }
        }
        _ => {}
    }
}

/// An item of a response.
pub fn output_item(draft: &mut Draft, item: &Value) {
    let text = |pointer| str_at(item, pointer);
    match text("/type") {
        Some("message") => content(draft, item),
        Some("function_call" | "custom_tool_call") => {
            let given = text("/arguments").or_else(|| text("/input")).unwrap_or_default();
            let id = text("/call_id").or_else(|| text("/id"));
            draft.tool_call(id, text("/name").unwrap_or_default(), arguments(given));
        }
        Some("reasoning") => {
            let texts = [text_of(&item["summary"]), text_of(&item["content"])];
            let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
            // Encrypted reasoning has no text; it is nobody's to read.
            if !texts.is_empty() {
                draft.reasoning(&texts.join("\n"));
            }
        }
        _ => draft.other(item),
    }
}
