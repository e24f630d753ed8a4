//! The lines by which Claude is fine-tuned on Amazon Bedrock.

use serde_json::Value;

use super::{Problems, short};

pub(super) fn rules(line: &Value, problems: &mut Problems) {
    problems.only_keys("", line, &["system", "messages"]);
    if let Some(system) = line.get("system") {
        problems.text("system", system, false);
    }
    let list = problems.list("messages", &line["messages"]);
    if list.len() == 1 {
        problems.say("messages", "there is one message; it takes two at least");
    }
    for (at, message) in list.iter().enumerate() {
        let place = format!("messages[{at}]");
        problems.only_keys(&place, message, &["role", "content"]);
        let expected = if at % 2 == 0 { "user" } else { "assistant" };
        match message["role"].as_str() {
            Some(role) if role == expected => {}
            Some(role @ ("user" | "assistant")) => {
                let what = format!(
                    "{role} speaks where {expected} has to: they speak in turn, the user first"
                );
                problems.say(format!("{place}.role"), what);
            }
            Some(role) => {
                let what = format!("unknown role {:?}; known are user and assistant", short(role));
                problems.say(format!("{place}.role"), what);
            }
            None => problems.say(format!("{place}.role"), "it is missing, or no text"),
        }
        problems.text(&format!("{place}.content"), &message["content"], false);
    }
    if list.last().is_some_and(|last| last["role"] == "user") {
        problems.say("messages", "the last message is not the assistant's");
    }
}
