//! The conversational lines of Hugging Face and TRL: messages, or pairs of answers to a prompt.

use serde_json::Value;

use super::Problems;
use super::chat::{Kind, definitions, messages};

pub(super) fn rules(line: &Value, problems: &mut Problems) {
    definitions("tools", &line["tools"], problems);
    if line["prompt"].is_null() {
        let list = problems.list("messages", &line["messages"]);
        messages("messages", list, Kind::Trl, problems);
        if list.last().is_some_and(|last| last["role"] != "assistant") {
            let place = format!("messages[{}]", list.len() - 1);
            problems.say(place, "the last message is not the assistant's");
        }
        return;
    }
    let prompt = problems.list("prompt", &line["prompt"]);
    messages("prompt", prompt, Kind::Trl, problems);
    let is_pair = !line["chosen"].is_null() || !line["rejected"].is_null();
    let answers: &[&str] = if is_pair { &["chosen", "rejected"] } else { &["completion"] };
    for key in answers {
        let list = problems.list(key, &line[*key]);
        messages(key, list, Kind::Trl, problems);
    }
    if !line["label"].is_null() && !line["label"].is_boolean() {
        problems.say("label", "it is neither true nor false");
    }
}
