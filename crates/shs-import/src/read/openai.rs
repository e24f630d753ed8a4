//! Lines of messages, as OpenAI's fine-tuning, TRL and Claude on Bedrock have them, and pairs of answers.

use serde_json::Value;
use shs_store::{NewMessage, Role};
use shs_wire::{chat, known_role, str_at, text_of};

use super::{Emit, Stop, form};
use crate::Format;
use crate::conversation::{Conversation, Said};
use crate::origin::without;

const FORMAT: Format = Format::OpenAi;

/// Reads `{"messages": …}`, or a pair: `{"input", "preferred_output", "non_preferred_output"}` or TRL's
/// `{"prompt", "chosen", "rejected"}`. The answer that was not preferred is a branch.
pub(super) fn read(value: &Value, id: &str, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let object = value.as_object().ok_or("this is not an object with messages")?;
    let mut conversation = Conversation::new(FORMAT, id);
    let list = |pointer: &str| value.pointer(pointer).and_then(Value::as_array);
    let pair = [
        ("/input/messages", "/preferred_output", "/non_preferred_output"),
        ("/prompt", "/chosen", "/rejected"),
    ];
    let pair = pair.into_iter().find_map(|(before, preferred, other)| {
        Some((list(before)?, list(preferred)?, list(other)?))
    });
    if let Some((before, preferred, other)) = pair {
        for list in [before, preferred, other] {
            form::each(list, check)?;
        }
        conversation.keep(without(
            object,
            &["input", "preferred_output", "non_preferred_output", "prompt", "chosen", "rejected"],
        ));
        if let Some(input) = value.get("input") {
            conversation.set_tools(input.get("tools"), input.get("parallel_tool_calls"));
            let fields = input
                .as_object()
                .map(|input| without(input, &["messages", "tools", "parallel_tool_calls"]));
            conversation.keep(fields.unwrap_or_default());
        }
        before.iter().for_each(|message| conversation.say(said(message)));
        let rejected = other.iter().map(|message| said(message).rated(-1));
        let branch = conversation.branch("rejected", before.len(), rejected.collect());
        preferred.iter().for_each(|message| conversation.say(said(message).rated(1)));
        emit(conversation)?;
        return emit(branch);
    }
    let messages = list("/messages").or_else(|| list("/conversations"));
    let messages = messages.ok_or("\"messages\" is missing or no array")?;
    if messages.is_empty() {
        return Err(Stop::Other("\"messages\" is empty".to_owned()));
    }
    form::each(messages, check)?;
    if let Some(system) = value.get("system").filter(|system| !system.is_null()) {
        conversation.say(Said::new(NewMessage::system(text_of(system))));
    }
    messages.iter().for_each(|message| conversation.say(said(message)));
    conversation.set_tools(value.get("tools"), value.get("parallel_tool_calls"));
    let taken = ["messages", "conversations", "system", "tools", "parallel_tool_calls"];
    conversation.keep(without(object, &taken));
    emit(conversation)
}

/// Whether a message is one of this form.
pub(super) fn check(message: &Value) -> Result<(), String> {
    let role = form::speaker(message, "/role")?;
    form::one_of(message, &["content", "tool_calls", "function_call", "refusal"])?;
    // What a tool answered can be anything.
    if known_role(role) == Some(Role::Tool) {
        return Ok(());
    }
    form::text_or_blocks(message, "content")
}

/// A message, its own further fields in metadata.
fn said(message: &Value) -> Said {
    let mut new = chat::message(message);
    if let Some(thinking) = str_at(message, "/thinking") {
        let content = new.content.clone();
        if new.parts.is_empty() && !content.is_empty() {
            new.parts.push(shs_store::Part::text(content));
        }
        new.parts.insert(0, shs_store::Part::reasoning(thinking));
    }
    if let Some(weight) = message.get("weight").filter(|weight| !weight.is_null()) {
        new.metadata.insert("weight".to_owned(), weight.clone());
    }
    let known = message.get("role").and_then(Value::as_str);
    let known = known.is_some_and(|role| role.parse::<Role>().is_ok());
    let mut taken = vec![
        "content",
        "tool_calls",
        "tool_call_id",
        "function_call",
        "name",
        "refusal",
        "reasoning",
        "reasoning_content",
        "thinking",
        "weight",
    ];
    if known {
        taken.push("role");
    }
    let fields = message.as_object().map(|object| without(object, &taken)).unwrap_or_default();
    let name = str_at(message, "/role").unwrap_or_default();
    Said::new(new).with_fields(FORMAT, fields).with_role_named(name)
}
