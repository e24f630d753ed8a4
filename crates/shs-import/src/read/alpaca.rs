//! Alpaca's instructions.

use serde_json::Value;
use shs_store::NewMessage;
use shs_wire::str_at;

use super::{Emit, Stop};
use crate::Format;
use crate::conversation::{Conversation, Said};
use crate::origin::without;

/// Reads `{"instruction", "input", "output", "system", "history": [[question, answer]]}`.
pub(super) fn read(value: &Value, name: &str, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let object = value.as_object().ok_or("this is not an object with an instruction")?;
    let text = |key: &str| str_at(value, key).filter(|text| !text.is_empty());
    let instruction = str_at(value, "/instruction").ok_or("\"instruction\" is no text")?;
    let output = str_at(value, "/output").ok_or("\"output\" is no text")?;
    let mut conversation = Conversation::new(Format::Alpaca, name);
    let mut say = |message| conversation.say(Said::new(message));
    if let Some(system) = text("/system") {
        say(NewMessage::system(system));
    }
    let history = value.get("history").and_then(Value::as_array);
    for (number, turn) in history.into_iter().flatten().enumerate() {
        let said = |place: &str| {
            str_at(turn, place)
                .ok_or_else(|| format!("\"history\" {number} is no question with an answer"))
        };
        say(NewMessage::user(said("/0")?));
        say(NewMessage::assistant(said("/1")?));
    }
    let question = match text("/input") {
        Some(input) => format!("{instruction}\n{input}"),
        None => instruction.to_owned(),
    };
    say(NewMessage::user(question));
    say(NewMessage::assistant(output));
    conversation.keep(without(object, &["instruction", "input", "output", "system", "history"]));
    emit(conversation)
}
