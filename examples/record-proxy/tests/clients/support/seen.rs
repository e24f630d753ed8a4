//! What a client saw, and what is stored, in one form.

use serde_json::Value;
use session_history_saver::tower::keys;
use session_history_saver::{Message, PartView};

/// An API that clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Responses,
    Messages,
}

/// The answers of one response.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) choices: Vec<Choice>,
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
    /// Tokens of prompt and answer.
    pub(crate) usage: Option<(u64, u64)>,
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    pub(crate) index: u64,
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) finish_reason: Option<String>,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ToolCall {
    /// Where a stream names it.
    at: u64,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Api {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }
}

impl Answer {
    /// From what a client saw: the answer if it came to one, else the events.
    ///
    /// Where the client put the events of a stream together, its result has to be that of the events.
    pub(crate) fn seen(api: Api, seen: &Value) -> Self {
        let events = seen["events"].as_array().map(|events| Self::of_events(api, events));
        let whole = seen.get("answer").map(|answer| match api {
            Api::Chat => Self::of_completion(answer),
            Api::Responses => Self::of_response(answer),
            Api::Messages => Self::of_message(answer),
        });
        match (events, whole) {
            (Some(events), Some(whole)) => {
                assert_eq!(events, whole, "the client puts its events together as they are");
                whole
            }
            (events, whole) => whole.or(events).unwrap_or_else(|| panic!("no answer: {seen}")),
        }
    }

    /// From the messages that are stored of one response.
    pub(crate) fn stored(messages: &[Message]) -> Self {
        let text = |message: &Message, key: &str| {
            message.metadata.get(key).and_then(Value::as_str).map(str::to_owned)
        };
        let choice = |message: &Message| Choice {
            index: message.metadata.get(keys::CHOICE).and_then(Value::as_u64).unwrap_or_default(),
            text: message.content.clone(),
            calls: message.parts.iter().filter_map(call_of_part).collect(),
            finish_reason: text(message, keys::FINISH_REASON),
        };
        let usage = messages[0].metadata.get(keys::USAGE);
        let count = |usage: &Value, key: &str| usage[key].as_u64().unwrap_or_default();
        Self {
            choices: messages.iter().map(choice).collect(),
            id: text(&messages[0], keys::RESPONSE_ID),
            model: messages[0].model.clone(),
            usage: usage.map(|u| (count(u, "prompt_tokens"), count(u, "completion_tokens"))),
        }
    }

    /// The text of the first choice.
    pub(crate) fn text(&self) -> &str {
        &self.choices[0].text
    }

    fn of_completion(completion: &Value) -> Self {
        let call = |call: &Value| {
            let function = &call["function"];
            ToolCall::new(&call["id"], &function["name"], string(&function["arguments"]))
        };
        let choice = |choice: &Value| Choice {
            index: choice["index"].as_u64().expect("a choice has an index"),
            text: string(&choice["message"]["content"]),
            calls: list(&choice["message"]["tool_calls"]).iter().map(call).collect(),
            finish_reason: optional(&choice["finish_reason"]),
        };
        Self {
            choices: list(&completion["choices"]).iter().map(choice).collect(),
            usage: usage(&completion["usage"], ["prompt_tokens", "completion_tokens"]),
            ..Self::of_head(completion)
        }
    }

    fn of_response(response: &Value) -> Self {
        let items = || list(&response["output"]).iter();
        let texts =
            items().flat_map(|item| list(&item["content"])).map(|part| string(&part["text"]));
        let calls = items().filter(|item| item["type"] == "function_call");
        let calls = calls
            .map(|i| ToolCall::new(&i["call_id"], &i["name"], string(&i["arguments"])))
            .collect();
        let finish_reason = optional(&response["status"]);
        Self {
            choices: vec![Choice { text: texts.collect(), calls, finish_reason, index: 0 }],
            usage: usage(&response["usage"], ["input_tokens", "output_tokens"]),
            ..Self::of_head(response)
        }
    }

    fn of_message(message: &Value) -> Self {
        let blocks = |kind| list(&message["content"]).iter().filter(move |b| b["type"] == kind);
        let calls =
            blocks("tool_use").map(|b| ToolCall::new(&b["id"], &b["name"], b["input"].to_string()));
        let choice = Choice {
            index: 0,
            text: blocks("text").map(|block| string(&block["text"])).collect(),
            calls: calls.collect(),
            finish_reason: optional(&message["stop_reason"]),
        };
        Self {
            choices: vec![choice],
            usage: usage(&message["usage"], ["input_tokens", "output_tokens"]),
            ..Self::of_head(message)
        }
    }

    fn of_head(answer: &Value) -> Self {
        let (id, model) = (optional(&answer["id"]), optional(&answer["model"]));
        Self { id, model, ..Self::default() }
    }

    fn of_events(api: Api, events: &[Value]) -> Self {
        let mut answer = Self::default();
        for event in events {
            match api {
                Api::Chat => answer.chunk(event),
                Api::Responses => answer.response_event(event),
                Api::Messages => answer.message_event(event),
            }
        }
        answer.choices.sort_by_key(|choice| choice.index);
        if answer.choices.is_empty() {
            answer.choices.push(Choice::default());
        }
        for call in answer.choices.iter_mut().flat_map(|choice| &mut choice.calls) {
            call.tidy();
        }
        answer
    }

    fn chunk(&mut self, chunk: &Value) {
        (self.id, self.model) = (optional(&chunk["id"]), optional(&chunk["model"]));
        let counts = usage(&chunk["usage"], ["prompt_tokens", "completion_tokens"]);
        self.usage = counts.or(self.usage);
        for given in list(&chunk["choices"]) {
            let choice = self.choice(given["index"].as_u64().expect("a choice has an index"));
            choice.text.push_str(&string(&given["delta"]["content"]));
            if let Some(reason) = optional(&given["finish_reason"]) {
                choice.finish_reason = Some(reason);
            }
            for given in list(&given["delta"]["tool_calls"]) {
                let function = &given["function"];
                choice.call(given["index"].as_u64().expect("a fragment has an index")).add(
                    &given["id"],
                    &function["name"],
                    &function["arguments"],
                );
            }
        }
    }

    fn response_event(&mut self, event: &Value) {
        let at = event["output_index"].as_u64().unwrap_or_default();
        match event["type"].as_str().expect("an event has a type") {
            "response.completed" => *self = Self::of_response(&event["response"]),
            "response.created" => *self = Self::of_head(&event["response"]),
            "response.output_text.delta" => {
                self.choice(0).text.push_str(&string(&event["delta"]));
            }
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                let item = &event["item"];
                self.choice(0).call(at).add(&item["call_id"], &item["name"], &Value::Null);
            }
            "response.function_call_arguments.delta" => {
                self.choice(0).call(at).add(&Value::Null, &Value::Null, &event["delta"]);
            }
            _ => {}
        }
    }

    fn message_event(&mut self, event: &Value) {
        let at = event["index"].as_u64().unwrap_or_default();
        match event["type"].as_str().expect("an event has a type") {
            "message_start" => {
                *self = Self::of_message(&event["message"]);
                self.choices[0].finish_reason = None;
            }
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                let block = &event["content_block"];
                self.choice(0).call(at).add(&block["id"], &block["name"], &Value::Null);
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                self.choice(0).text.push_str(&string(&delta["text"]));
                if delta["type"] == "input_json_delta" {
                    self.choice(0).call(at).add(&Value::Null, &Value::Null, &delta["partial_json"]);
                }
            }
            "message_delta" => {
                self.choice(0).finish_reason = optional(&event["delta"]["stop_reason"]);
                let output = event["usage"]["output_tokens"].as_u64();
                self.usage = self.usage.map(|(input, before)| (input, output.unwrap_or(before)));
            }
            _ => {}
        }
    }

    fn choice(&mut self, index: u64) -> &mut Choice {
        let at = self.choices.iter().position(|choice| choice.index == index);
        let at = at.unwrap_or_else(|| {
            self.choices.push(Choice { index, ..Choice::default() });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }
}

impl Choice {
    fn call(&mut self, index: u64) -> &mut ToolCall {
        let at = self.calls.iter().position(|call| call.at == index);
        let at = at.unwrap_or_else(|| {
            self.calls.push(ToolCall { at: index, ..ToolCall::default() });
            self.calls.len() - 1
        });
        &mut self.calls[at]
    }
}

impl ToolCall {
    fn new(id: &Value, name: &Value, arguments: String) -> Self {
        let mut call = Self { at: 0, id: string(id), name: string(name), arguments };
        call.tidy();
        call
    }

    fn add(&mut self, id: &Value, name: &Value, fragment: &Value) {
        self.id.push_str(&string(id));
        self.name.push_str(&string(name));
        self.arguments.push_str(&string(fragment));
    }

    /// Leaves out what says nothing: where a stream named it, and the spaces in JSON.
    fn tidy(&mut self) {
        self.at = 0;
        if let Ok(arguments) = serde_json::from_str::<Value>(&self.arguments) {
            self.arguments = arguments.to_string();
        }
    }
}

fn call_of_part(part: &session_history_saver::Part) -> Option<ToolCall> {
    let PartView::ToolCall { .. } = part.view() else { return None };
    let object = part.as_object();
    let arguments = match &object["arguments"] {
        Value::Null => String::new(),
        Value::String(cut) => cut.clone(),
        whole => whole.to_string(),
    };
    Some(ToolCall::new(object.get("id").unwrap_or(&Value::Null), &object["name"], arguments))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> String {
    optional(value).unwrap_or_default()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn usage(usage: &Value, [input, output]: [&str; 2]) -> Option<(u64, u64)> {
    Some((usage[input].as_u64()?, usage[output].as_u64()?))
}

/// Takes out what a provider makes up anew for each response: ids and times.
pub(crate) fn same_but_for_ids(mut seen: Value) -> Value {
    fn clear(value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(clear),
            Value::Object(object) => {
                for (key, value) in object {
                    let made_up = ["id", "call_id", "item_id", "created", "created_at"];
                    if made_up.contains(&key.as_str()) {
                        *value = Value::Null
                    } else {
                        clear(value)
                    }
                }
            }
            _ => {}
        }
    }
    clear(&mut seen);
    seen
}
