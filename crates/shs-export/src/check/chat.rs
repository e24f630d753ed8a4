//! OpenAI's lines for supervised fine-tuning, and what its messages have to be everywhere.

use serde_json::Value;

use super::{Problems, short};
use crate::prepare::is_tool;

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

pub(super) fn rules(line: &Value, problems: &mut Problems) {
    problems.only_keys("", line, &["messages", "tools", "parallel_tool_calls", "functions"]);
    let list = problems.list("messages", &line["messages"]);
    messages("messages", list, Kind::Supervised, problems);
    if let Some(last) = list.last() {
        let at = list.len() - 1;
        if last["role"] != "assistant" {
            problems.say(format!("messages[{at}]"), "the last message is not the assistant's");
        }
    }
    let answers = || list.iter().filter(|message| message["role"] == "assistant");
    if answers().next().is_some() && answers().all(|message| message["weight"] == 0) {
        problems.say("messages", "every answer has the weight 0: there is nothing to train on");
    }
    tools(line, problems);
}

/// The definitions of tools, and what goes with them.
pub(super) fn tools(line: &Value, problems: &mut Problems) {
    definitions("tools", &line["tools"], problems);
    let parallel = &line["parallel_tool_calls"];
    if !parallel.is_null() && !parallel.is_boolean() {
        problems.say("parallel_tool_calls", "it is neither true nor false");
    }
}

/// Tools as OpenAI's requests have them.
pub(super) fn definitions(place: &str, tools: &Value, problems: &mut Problems) {
    if tools.is_null() {
        return;
    }
    let Some(tools) = tools.as_array() else {
        problems.say(place, "it is no list");
        return;
    };
    for (at, tool) in tools.iter().enumerate() {
        if !is_tool(tool) {
            let what = "it is no {\"type\": \"function\", \"function\": {\"name\": …}}";
            problems.say(format!("{place}[{at}]"), what);
        }
    }
}

/// What messages are for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Answers may have a weight, and arguments are texts.
    Supervised,
    /// Arguments are texts.
    Preference,
    /// Arguments are objects.
    Trl,
}

/// The roles, contents and tools of a conversation.
pub(super) fn messages(place: &str, list: &[Value], kind: Kind, problems: &mut Problems) {
    // Calls whose results have to follow.
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in list.iter().enumerate() {
        let place = format!("{place}[{at}]");
        if !message.is_object() {
            problems.say(place, "it is no JSON object");
            continue;
        }
        let role = message["role"].as_str();
        let Some(role) = role else {
            problems.say(format!("{place}.role"), "it is missing, or no text");
            continue;
        };
        if !ROLES.contains(&role) {
            let known = ROLES.join(", ");
            let what = format!("unknown role {:?}; known are {known}", short(role));
            problems.say(format!("{place}.role"), what);
            continue;
        }
        if role != "tool" && !open.is_empty() {
            problems.say(place.as_str(), "a tool call before it has no result");
            open.clear();
        }
        keys(&place, message, role, kind, problems);
        content(&place, message, role, problems);
        match role {
            "assistant" => open = calls(&place, message, kind, problems),
            "tool" => result(&place, message, &mut open, kind, problems),
            _ => {}
        }
    }
}

fn keys(place: &str, message: &Value, role: &str, kind: Kind, problems: &mut Problems) {
    if kind == Kind::Trl {
        return;
    }
    let known: &[&str] = match role {
        "assistant" if kind == Kind::Supervised => {
            &["role", "content", "name", "refusal", "tool_calls", "function_call", "weight"]
        }
        "assistant" => &["role", "content", "name", "refusal", "tool_calls", "function_call"],
        "tool" => &["role", "content", "tool_call_id"],
        _ => &["role", "content", "name"],
    };
    if role != "assistant" && !message["weight"].is_null() {
        problems.say(format!("{place}.weight"), "only the assistant's messages have a weight");
    }
    for key in message.as_object().into_iter().flat_map(|object| object.keys()) {
        let is_told = key == "weight" && role != "assistant";
        if !is_told && !known.contains(&key.as_str()) {
            let what = format!("the key {:?} is not known on a message of {role}", short(key));
            problems.say(place, what);
        }
    }
    let weight = &message["weight"];
    if role == "assistant" && !weight.is_null() && *weight != 0 && *weight != 1 {
        problems.say(format!("{place}.weight"), "it is neither 0 nor 1");
    }
    problems.optional_text(&format!("{place}.name"), &message["name"]);
}

fn content(place: &str, message: &Value, role: &str, problems: &mut Problems) {
    let place = format!("{place}.content");
    let content = &message["content"];
    let has_calls = ["tool_calls", "function_call", "refusal"].iter().any(|key| {
        let value = &message[*key];
        !value.is_null() && value.as_array().is_none_or(|calls| !calls.is_empty())
    });
    match content {
        Value::Array(blocks) => {
            problems.list(&place, content);
            for (at, block) in blocks.iter().enumerate() {
                let place = format!("{place}[{at}]");
                match block["type"].as_str() {
                    Some("text") => {
                        problems.text(&format!("{place}.text"), &block["text"], false);
                    }
                    Some("image_url") if role == "user" => {
                        let url = &block["image_url"]["url"];
                        problems.text(&format!("{place}.image_url.url"), url, false);
                    }
                    Some("image_url") => problems.say(place, "only users' messages have images"),
                    _ => problems.say(place, "it is neither a text nor an image_url"),
                }
            }
        }
        // A call needs no words, and a tool may give nothing back.
        Value::Null if role == "assistant" && has_calls => {}
        _ => {
            let may_be_empty = role == "tool" || (role == "assistant" && has_calls);
            problems.text(&place, content, may_be_empty);
        }
    }
}

/// The ids of the calls that a message makes.
fn calls<'a>(place: &str, message: &'a Value, kind: Kind, problems: &mut Problems) -> Vec<&'a str> {
    let calls = &message["tool_calls"];
    if calls.is_null() {
        return Vec::new();
    }
    let place = format!("{place}.tool_calls");
    let mut ids = Vec::new();
    for (at, call) in problems.list(&place, calls).iter().enumerate() {
        let place = format!("{place}[{at}]");
        // Without an id, results are found by their order.
        if kind != Kind::Trl || !call["id"].is_null() {
            if let Some(id) = problems.text(&format!("{place}.id"), &call["id"], false) {
                if ids.contains(&id) {
                    problems.say(format!("{place}.id"), "another call of the message has it, too");
                }
                ids.push(id);
            }
        } else {
            ids.push("");
        }
        if call["type"] != "function" && !(kind == Kind::Trl && call["type"].is_null()) {
            problems.say(format!("{place}.type"), "it is not \"function\"");
        }
        let function = &call["function"];
        problems.text(&format!("{place}.function.name"), &function["name"], false);
        let arguments = &function["arguments"];
        let place = format!("{place}.function.arguments");
        match kind {
            Kind::Trl if arguments.is_object() => {}
            Kind::Trl => problems.say(place, "it is no JSON object"),
            _ if arguments.is_string() => {}
            _ if arguments.is_null() => problems.say(place, "it is missing"),
            _ => problems.say(place, "it is no text: write the JSON into a string"),
        }
    }
    ids
}

fn result(place: &str, message: &Value, open: &mut Vec<&str>, kind: Kind, problems: &mut Problems) {
    let id = &message["tool_call_id"];
    if kind == Kind::Trl && id.is_null() {
        match open.is_empty() {
            true => problems.say(place, "no call of the message before it is open"),
            false => drop(open.remove(0)),
        }
        return;
    }
    let place = format!("{place}.tool_call_id");
    let Some(id) = problems.text(&place, id, false) else {
        open.clear();
        return;
    };
    match open.iter().position(|call| *call == id) {
        Some(at) => drop(open.remove(at)),
        None => problems.say(place, "no call before it has this id"),
    }
}
