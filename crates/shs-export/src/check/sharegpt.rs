//! ShareGPT's lines, as LLaMA-Factory reads them.

use serde_json::Value;

use super::{Problems, short};

const ASKING: [&str; 2] = ["human", "observation"];
const ANSWERING: [&str; 2] = ["gpt", "function_call"];

pub(super) fn rules(line: &Value, problems: &mut Problems) {
    let list = problems.list("conversations", &line["conversations"]);
    for (at, message) in list.iter().enumerate() {
        let place = format!("conversations[{at}]");
        let from = message["from"].as_str().unwrap_or_default();
        let (expected, others) =
            if at % 2 == 0 { (ASKING, ANSWERING) } else { (ANSWERING, ASKING) };
        if others.contains(&from) {
            let what = format!("{from:?} stands where {} or {} has to", expected[0], expected[1]);
            problems.say(format!("{place}.from"), what);
        } else if !expected.contains(&from) {
            let what = format!(
                "unknown speaker {:?}; known are human, gpt, function_call, observation",
                short(from)
            );
            problems.say(format!("{place}.from"), what);
        }
        let place = format!("{place}.value");
        let value = problems.text(&place, &message["value"], from == "observation");
        if from == "function_call" {
            value.into_iter().for_each(|value| calls(&place, value, problems));
        }
    }
    if list.len() % 2 == 1 {
        problems.say("conversations", "the last message is not an answer");
    }
    problems.optional_text("system", &line["system"]);
    let tools = &line["tools"];
    problems.optional_text("tools", tools);
    // An empty text says that there are none.
    let is_list = |text: &str| {
        text.trim().is_empty()
            || serde_json::from_str::<Value>(text).is_ok_and(|tools| tools.is_array())
    };
    if tools.as_str().is_some_and(|text| !is_list(text)) {
        problems.say("tools", "the text is no JSON list");
    }
}

/// A call is JSON in a string, and so are several.
fn calls(place: &str, value: &str, problems: &mut Problems) {
    let Ok(value) = serde_json::from_str::<Value>(value) else {
        problems.say(place, "a function_call is JSON in a string, and this is not");
        return;
    };
    let is_call = |call: &Value| {
        call["name"].as_str().is_some_and(|name| !name.is_empty())
            && call.get("arguments").is_some()
    };
    let are_calls = match &value {
        Value::Array(calls) => !calls.is_empty() && calls.iter().all(is_call),
        call => is_call(call),
    };
    if !are_calls {
        problems.say(place, "a function_call has a \"name\" and \"arguments\"");
    }
}
