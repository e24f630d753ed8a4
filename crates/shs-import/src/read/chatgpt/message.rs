//! A message of ChatGPT's export, by the type of its content.

use serde_json::Value;
use shs_store::{Part, Role, Status};
use shs_wire::{Draft, arguments, modality, str_at};

use super::super::form;
use super::FORMAT;
use crate::conversation::{Said, time_at};
use crate::origin::without;

/// Whether a message is one of this form.
pub(super) fn check(message: &Value) -> Result<(), String> {
    form::speaker(message, "/author/role")?;
    form::one_of(message, &["content"])
}

/// A node's message; `None` if it has none.
pub(super) fn said(id: &str, message: &Value) -> Option<Said> {
    let object = message.as_object()?;
    let name = str_at(message, "/author/role").unwrap_or_default();
    let role = name.parse().unwrap_or(Role::System);
    let mut draft = Draft::default();
    let is_all_read = content(&mut draft, role, message);
    for attachment in
        message.pointer("/metadata/attachments").and_then(Value::as_array).into_iter().flatten()
    {
        attached(&mut draft, attachment);
    }
    let mut new = draft.message(role);
    new.model = str_at(message, "/metadata/model_slug").map(str::to_owned);
    if matches!(str_at(message, "/status"), Some("in_progress" | "finished_partial_completion")) {
        new.status = Status::Interrupted;
    }
    let is_hidden = message.get("weight").and_then(Value::as_f64) == Some(0.0)
        || message.pointer("/metadata/is_visually_hidden_from_conversation") == Some(&true.into());
    if is_hidden {
        new.metadata.insert("hidden".to_owned(), true.into());
    }
    let mut taken = vec!["id", "create_time"];
    if is_all_read {
        taken.push("content");
    }
    let said = Said::new(new)
        .with_id(str_at(message, "/id").or(Some(id)))
        .with_time(time_at(message, "create_time").or_else(|| time_at(message, "update_time")));
    let said = said.with_fields(FORMAT, without(object, &taken)).with_role_named(name);
    Some(said.with_unread_times(FORMAT, message, &["create_time"]))
}

/// Reads the content; whether all of it is in the draft then.
fn content(draft: &mut Draft, role: Role, message: &Value) -> bool {
    let Some(content) = message.get("content") else { return true };
    let text = |key| str_at(content, key).unwrap_or_default();
    let keys = content.as_object().map_or(0, serde_json::Map::len);
    let tool = str_at(message, "/recipient").filter(|tool| *tool != "all");
    match str_at(content, "/content_type").unwrap_or_default() {
        kind @ ("text" | "multimodal_text") => {
            let parts = content.get("parts").and_then(Value::as_array);
            let texts = parts.into_iter().flatten();
            match (kind, tool, role) {
                ("text", Some(tool), Role::Assistant) => {
                    let called = joined(texts);
                    call(draft, tool, &called);
                }
                ("text", _, Role::Tool) => {
                    let name = str_at(message, "/author/name");
                    draft.tool_response(name, &Value::String(joined(texts)));
                }
                _ => texts.for_each(|part| self::part(draft, part)),
            }
            keys == 2
        }
        "code" => {
            match tool {
                Some(tool) => call(draft, tool, text("/text")),
                None => draft.text(text("/text")),
            }
            keys == 2
        }
        "execution_output" => {
            let name = str_at(message, "/author/name");
            draft.tool_response(name, &Value::String(text("/text").to_owned()));
            keys == 2
        }
        "thoughts" => {
            let thoughts = content.get("thoughts").and_then(Value::as_array);
            for thought in thoughts.into_iter().flatten() {
                let of = [str_at(thought, "/summary"), str_at(thought, "/content")];
                let of: Vec<&str> =
                    of.into_iter().flatten().filter(|text| !text.is_empty()).collect();
                if !of.is_empty() {
                    draft.reasoning(&of.join("\n"));
                }
            }
            false
        }
        "reasoning_recap" => {
            draft.reasoning(text("/content"));
            keys == 2
        }
        "user_editable_context" => {
            for text in [text("/user_profile"), text("/user_instructions")] {
                if !text.is_empty() {
                    draft.text(text);
                }
            }
            false
        }
        _ => {
            // Whatever has a text is found by it.
            for key in ["/text", "/result", "/summary", "/title", "/url"] {
                if let Some(text) = str_at(content, key).filter(|text| !text.is_empty()) {
                    draft.text(text);
                }
            }
            if draft.is_empty() {
                draft.other(content);
            }
            false
        }
    }
}

/// A call of a tool, also readable as text.
fn call(draft: &mut Draft, tool: &str, text: &str) {
    let call = shs_wire::tool_call(None, tool.to_owned(), arguments(text));
    draft.part(call, Some(text.to_owned()));
}

fn joined<'a>(texts: impl Iterator<Item = &'a Value>) -> String {
    let texts = texts.map(|text| match text {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn part(draft: &mut Draft, part: &Value) {
    let text = |pointer| str_at(part, pointer);
    match (part, text("/content_type")) {
        (Value::String(text), _) => draft.text(text),
        (_, Some("image_asset_pointer")) => {
            let id = text("/asset_pointer").unwrap_or_default();
            let mut file = Part::file("image", id).as_object().clone();
            if let Some(object) = part.as_object() {
                file.extend(without(object, &["content_type", "asset_pointer", "type"]));
            }
            draft.part(Part::from_object(file).expect("a file has a type"), None);
        }
        (_, Some("audio_transcription")) => {
            let spoken = text("/text").unwrap_or_default();
            draft.part(Part::text(spoken), Some(spoken.to_owned()));
        }
        (Value::Object(object), Some(kind)) => {
            let mut object = object.clone();
            object.insert("type".to_owned(), kind.into());
            draft.other(&Value::Object(object));
        }
        (other, _) => draft.other(other),
    }
}

/// A file that belongs to a message; its text, where the export has it.
fn attached(draft: &mut Draft, attachment: &Value) {
    let Some(object) = attachment.as_object() else { return };
    let mime_type = str_at(attachment, "/mime_type").or_else(|| str_at(attachment, "/mimeType"));
    let id = str_at(attachment, "/id").or_else(|| str_at(attachment, "/name")).unwrap_or_default();
    let mut file = Part::file(modality(mime_type), id).as_object().clone();
    file.extend(without(object, &["id", "type"]));
    let text = ["/extracted_content", "/text", "/content"];
    let text = text.iter().find_map(|key| str_at(attachment, key)).map(str::to_owned);
    draft.part(Part::from_object(file).expect("a file has a type"), text);
}
