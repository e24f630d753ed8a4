//! Sessions as this library and the Python package write them.

use serde::Deserialize;
use serde_json::Value;
use shs_store::Transcript;

use super::Problems;

pub(super) fn rules(line: &Value, problems: &mut Problems) {
    let messages = problems_of(&line["messages"], problems);
    if messages && Transcript::deserialize(line).is_err() {
        problems.say("", "this is not a session: a field of it has a value that it cannot have");
    }
}

/// Whether the messages are a list; what is wrong with one of them is told with its place.
fn problems_of(messages: &Value, problems: &mut Problems) -> bool {
    let Some(messages) = messages.as_array() else {
        problems
            .say("messages", if messages.is_null() { "it is missing" } else { "it is no list" });
        return false;
    };
    let before = problems.0.len();
    for (at, message) in messages.iter().enumerate() {
        if shs_store::Message::deserialize(message).is_err() {
            problems.say(
                format!("messages[{at}]"),
                "this is not a message: see its role, content, status and times",
            );
        }
    }
    problems.0.len() == before
}
