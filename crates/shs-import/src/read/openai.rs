//! Lines of messages, as OpenAI's fine-tuning, TRL and Claude on Bedrock have them, and pairs of answers.

use serde_json::Value;
use shs_store::{NewMessage, Role};
use shs_wire::{chat, str_at, text_of};

use super::{Emit, Stop};
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
        conversation.keep(without(
            object,
            &["input", "preferred_output", "non_preferred_output", "prompt", "chosen", "rejected"],
        ));
        if let Some(input) = value.get("input").and_then(Value::as_object) {
            conversation.keep(without(input, &["messages"]));
        }
        before.iter().for_each(|message| conversation.say(said(message)));
        let rejected = other.iter().map(|message| {
            let mut said = said(message);
            said.message.metadata.insert("preferred".to_owned(), false.into());
            said
        });
        let branch = conversation.branch("rejected", before.len(), rejected.collect());
        for message in preferred {
            let mut said = said(message);
            said.message.metadata.insert("preferred".to_owned(), true.into());
            conversation.say(said);
        }
        emit(conversation)?;
        return emit(branch);
    }
    let messages = list("/messages").ok_or("\"messages\" is missing or no array")?;
    if let Some(system) = value.get("system").filter(|system| !system.is_null()) {
        conversation.say(Said::new(NewMessage::system(text_of(system))));
    }
    messages.iter().for_each(|message| conversation.say(said(message)));
    conversation.keep(without(object, &["messages", "system"]));
    emit(conversation)
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
    ];
    if known {
        taken.push("role");
    }
    let fields = message.as_object().map(|object| without(object, &taken)).unwrap_or_default();
    Said::new(new).with_fields(FORMAT, fields)
}
