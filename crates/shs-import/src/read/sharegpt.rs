//! ShareGPT's conversations, which LLaMA-Factory reads too.

use serde_json::Value;
use shs_store::{NewMessage, Role};
use shs_wire::{Draft, str_at, text_of};

use super::{Emit, Stop};
use crate::Format;
use crate::conversation::{Conversation, Said};
use crate::origin::without;

const FORMAT: Format = Format::ShareGpt;

/// Reads `{"conversations": [{"from", "value"}], "system", "tools"}`; of a pair, the rejected answer is a branch.
pub(super) fn read(value: &Value, name: &str, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let object = value.as_object().ok_or("this is not an object with conversations")?;
    let messages = value.get("conversations").and_then(Value::as_array);
    let messages = messages.ok_or("\"conversations\" is missing or no array")?;
    let mut conversation = Conversation::new(FORMAT, name);
    if let Some(system) = str_at(value, "/system").filter(|system| !system.is_empty()) {
        conversation.say(Said::new(NewMessage::system(system)));
    }
    let mut calls = 0_usize;
    let mut count = 0;
    for message in messages {
        conversation.say(said(message, &mut calls));
        count += 1;
    }
    let system = usize::from(str_at(value, "/system").is_some_and(|system| !system.is_empty()));
    conversation.keep(without(object, &["conversations", "system", "chosen", "rejected"]));
    let (Some(chosen), Some(rejected)) = (value.get("chosen"), value.get("rejected")) else {
        return emit(conversation);
    };
    let preferred = |message: &Value, is_preferred: bool| {
        let mut said = said(message, &mut 0);
        said.message.metadata.insert("preferred".to_owned(), is_preferred.into());
        said
    };
    let branch = conversation.branch("rejected", system + count, vec![preferred(rejected, false)]);
    conversation.say(preferred(chosen, true));
    emit(conversation)?;
    emit(branch)
}

/// A message. Calls have no ids here: an observation answers the call before it.
fn said(message: &Value, calls: &mut usize) -> Said {
    let from = str_at(message, "/from").unwrap_or_default();
    let value = message.get("value").unwrap_or(&Value::Null);
    let text = text_of(value);
    let mut draft = Draft::default();
    let role = match from {
        "system" => Role::System,
        "gpt" | "assistant" | "chatgpt" | "bing" | "bard" | "model" | "bot" => Role::Assistant,
        "function_call" => {
            let call = serde_json::from_str::<Value>(&text).unwrap_or_default();
            let named = match &call {
                Value::Array(calls) => calls.iter().collect(),
                one => vec![one],
            };
            // One that names no function is kept as the text that it is.
            if named.iter().all(|call| str_at(call, "/name").is_some()) {
                for call in named {
                    *calls += 1;
                    let arguments = match call.get("arguments") {
                        Some(Value::String(text)) => shs_wire::arguments(text),
                        other => other.cloned().unwrap_or_default(),
                    };
                    let name = str_at(call, "/name").unwrap_or_default();
                    draft.tool_call(Some(&format!("call_{calls}")), name, arguments);
                }
            } else {
                draft.text(&text);
            }
            Role::Assistant
        }
        "observation" | "tool" | "function_response" => {
            let id = (*calls > 0).then(|| format!("call_{calls}"));
            draft.tool_response(id.as_deref(), &Value::String(text.clone()));
            Role::Tool
        }
        _ => Role::User,
    };
    if draft.is_empty() {
        draft.text(&text);
    }
    let known =
        ["system", "gpt", "function_call", "observation", "human", "user", "assistant", "tool"];
    let mut taken = vec!["value"];
    if known.contains(&from) {
        taken.push("from");
    }
    let fields = message.as_object().map(|object| without(object, &taken)).unwrap_or_default();
    Said::new(draft.message(role)).with_fields(FORMAT, fields)
}
