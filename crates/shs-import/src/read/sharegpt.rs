//! ShareGPT's conversations, which LLaMA-Factory reads too.

use serde_json::Value;
use shs_store::{NewMessage, Role};
use shs_wire::{Draft, arguments, role, str_at, text_of};

use super::{Emit, Stop, form};
use crate::Format;
use crate::conversation::{Conversation, Said};
use crate::origin::without;

const FORMAT: Format = Format::ShareGpt;

/// Reads `{"conversations": [{"from", "value"}], "system", "tools"}`; of a pair, the rejected answer is a branch.
pub(super) fn read(value: &Value, name: &str, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let object = value.as_object().ok_or("this is not an object with conversations")?;
    let messages = value.get("conversations").and_then(Value::as_array);
    let messages = messages.ok_or("\"conversations\" is missing or no array")?;
    if messages.is_empty() {
        return Err(Stop::Other("\"conversations\" is empty".to_owned()));
    }
    form::each(messages, check)?;
    form::each(["chosen", "rejected"].iter().filter_map(|key| value.get(*key)), check)?;
    let mut conversation = Conversation::new(FORMAT, name);
    let mut said = Vec::new();
    if let Some(system) = str_at(value, "/system").filter(|system| !system.is_empty()) {
        said.push(Said::new(NewMessage::system(system)));
    }
    let mut calls = Calls::default();
    messages.iter().for_each(|message| read_message(message, &mut calls, &mut said));
    let shared = said.len();
    said.into_iter().for_each(|said| conversation.say(said));
    conversation.set_tools(value.get("tools"), None);
    let taken = ["conversations", "system", "tools", "chosen", "rejected"];
    conversation.keep(without(object, &taken));
    let (Some(chosen), Some(rejected)) = (value.get("chosen"), value.get("rejected")) else {
        return emit(conversation);
    };
    let rated = |message: &Value, feedback: i64| {
        let mut said = Vec::new();
        read_message(message, &mut Calls::default(), &mut said);
        said.into_iter().map(|said| said.rated(feedback)).collect::<Vec<_>>()
    };
    let branch = conversation.branch("rejected", shared, rated(rejected, -1));
    rated(chosen, 1).into_iter().for_each(|said| conversation.say(said));
    emit(conversation)?;
    emit(branch)
}

/// Whether a message is one of this form.
fn check(message: &Value) -> Result<(), String> {
    form::speaker(message, "/from")?;
    form::one_of(message, &["value"])?;
    form::text_or_blocks(message, "value")
}

/// Calls have no ids here: observations answer the calls before them.
#[derive(Default)]
struct Calls {
    given: usize,
    unanswered: Vec<String>,
}

fn read_message(message: &Value, calls: &mut Calls, said: &mut Vec<Said>) {
    let from = str_at(message, "/from").unwrap_or_default();
    let text = text_of(message.get("value").unwrap_or(&Value::Null));
    let mut taken = vec!["value"];
    if KNOWN.contains(&from) {
        taken.push("from");
    }
    let fields = message.as_object().map(|object| without(object, &taken)).unwrap_or_default();
    let mut say = |draft: Draft, role: Role| {
        let said_by = Said::new(draft.message(role)).with_fields(FORMAT, fields.clone());
        // The names of this form beside those that all have.
        let is_own = ["function_call", "observation", "function_response", "bing", "bard"];
        said.push(match is_own.contains(&from) {
            true => said_by,
            false => said_by.with_role_named(from),
        });
    };
    let mut draft = Draft::default();
    match from {
        "system" => {
            draft.text(&text);
            say(draft, Role::System);
        }
        "function_call" => {
            called(&mut draft, &text, calls);
            say(draft, Role::Assistant);
        }
        "observation" | "tool" | "function_response" => {
            for (id, result) in results(text, calls) {
                let mut draft = Draft::default();
                draft.tool_response(id.as_deref(), &Value::String(result));
                say(draft, Role::Tool);
            }
        }
        "bing" | "bard" => {
            draft.text(&text);
            say(draft, Role::Assistant);
        }
        name => {
            draft.text(&text);
            say(draft, role(name));
        }
    }
}

const KNOWN: [&str; 8] =
    ["system", "gpt", "function_call", "observation", "human", "user", "assistant", "tool"];

/// A call, or an array of them. What names no function is kept as the text that it is.
fn called(draft: &mut Draft, text: &str, calls: &mut Calls) {
    calls.unanswered.clear();
    let named = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(named)) => named,
        Ok(one) => vec![one],
        Err(_) => Vec::new(),
    };
    if named.is_empty() || named.iter().any(|call| str_at(call, "/name").is_none()) {
        return draft.text(text);
    }
    for call in &named {
        calls.given += 1;
        let id = format!("call_{}", calls.given);
        let given = match call.get("arguments") {
            Some(Value::String(text)) => arguments(text),
            other => other.cloned().unwrap_or_default(),
        };
        draft.tool_call(Some(&id), str_at(call, "/name").unwrap_or_default(), given);
        calls.unanswered.push(id);
    }
}

/// What the calls were answered: of several at once, an array with as many texts.
fn results(text: String, calls: &mut Calls) -> Vec<(Option<String>, String)> {
    if calls.unanswered.len() > 1
        && let Ok(results) = serde_json::from_str::<Vec<String>>(&text)
        && results.len() == calls.unanswered.len()
    {
        return calls.unanswered.drain(..).map(Some).zip(results).collect();
    }
    let id = (!calls.unanswered.is_empty()).then(|| calls.unanswered.remove(0));
    vec![(id, text)]
}
