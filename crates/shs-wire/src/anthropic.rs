//! Messages as Anthropic's API has them.

use serde_json::Value;
use shs_store::{NewMessage, Part, Role};

use crate::draft::{Draft, role, str_at};
use crate::tool::{nested, taken};

/// The messages of one message: results of tools in it are messages of their own.
pub fn messages(message: &Value, messages: &mut Vec<NewMessage>) {
    let role = role(str_at(message, "/role").unwrap_or("user"));
    let mut draft = Draft::default();
    let content = message.get("content").unwrap_or(&Value::Null);
    if let Value::String(text) = content {
        draft.text(text);
    }
    for block in content.as_array().into_iter().flatten() {
        if str_at(block, "/type") == Some("tool_result") {
            let mut result = Draft::default();
            result.tool_response(str_at(block, "/tool_use_id"), &block["content"]);
            messages.push(result.message(Role::Tool));
        } else {
            self::block(&mut draft, block);
        }
    }
    let only_results = draft.is_empty() && content.as_array().is_some_and(|all| !all.is_empty());
    if !only_results {
        messages.push(draft.message(role));
    }
}

/// Takes the tools that a request offers out of it, as chat completions have them: `input_schema` becomes `parameters`, and what is about
/// caching is left out. Tools of the provider stay as they are.
pub fn tools(request: &mut Value) -> Vec<Value> {
    let tool = |tool: Value| match tool.get("type").map(Value::as_str) {
        None | Some(Some("custom")) => nested(tool, "input_schema"),
        _ => tool,
    };
    taken(request, "tools").into_iter().map(tool).collect()
}

/// Adds a content block to a message.
pub fn block(draft: &mut Draft, block: &Value) {
    let text = |pointer| str_at(block, pointer);
    let modality = match text("/type") {
        Some("image") => "image",
        _ => "document",
    };
    match text("/type") {
        Some("text") => draft.text(text("/text").unwrap_or_default()),
        Some("thinking") => draft.reasoning(text("/thinking").unwrap_or_default()),
        // Nobody can read it.
        Some("redacted_thinking") => {}
        Some("tool_use" | "server_tool_use") => {
            let arguments = block.get("input").cloned().unwrap_or_default();
            draft.tool_call(text("/id"), text("/name").unwrap_or_default(), arguments);
        }
        Some("image" | "document") => match text("/source/type") {
            Some("base64") => {
                let data = text("/source/data").unwrap_or_default();
                let mime_type = text("/source/media_type").map(str::to_owned);
                draft.part(Part::blob(modality, data, mime_type), None);
            }
            Some("url") => draft.uri(modality, text("/source/url").unwrap_or_default()),
            Some("file") => {
                draft.part(Part::file(modality, text("/source/file_id").unwrap_or_default()), None);
            }
            _ => draft.other(block),
        },
        _ => draft.other(block),
    }
}
