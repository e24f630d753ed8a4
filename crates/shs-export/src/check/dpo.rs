//! OpenAI's lines for preference tuning.

use serde_json::Value;

use super::Problems;
use super::chat::{Kind, messages, tools};

pub(super) fn rules(line: &Value, problems: &mut Problems) {
    problems.only_keys("", line, &["input", "preferred_output", "non_preferred_output"]);
    let input = &line["input"];
    if !input.is_object() {
        problems
            .say("input", if input.is_null() { "it is missing" } else { "it is no JSON object" });
    } else {
        problems.only_keys("input", input, &["messages", "tools", "parallel_tool_calls"]);
        let list = problems.list("input.messages", &input["messages"]);
        messages("input.messages", list, Kind::Preference, problems);
        if list.last().is_some_and(|last| last["role"] != "user") {
            let place = format!("input.messages[{}]", list.len() - 1);
            problems.say(place, "the last message is not the user's");
        }
        tools(input, problems);
    }
    for side in ["preferred_output", "non_preferred_output"] {
        let answers = problems.list(side, &line[side]);
        if answers.len() > 1 {
            problems.say(side, "it has more than one message");
        }
        messages(side, answers, Kind::Preference, problems);
        if answers.first().is_some_and(|answer| answer["role"] != "assistant") {
            problems.say(format!("{side}[0]"), "it is not the assistant's");
        }
    }
    if !line["preferred_output"].is_null()
        && line["preferred_output"] == line["non_preferred_output"]
    {
        problems.say("", "both outputs are the same");
    }
}
