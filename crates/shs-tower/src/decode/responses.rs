//! OpenAI's Responses.

use http::{Method, Uri, response};
use serde_json::Value;
use shs_store::{NewMessage, Role};
use shs_wire::responses::{messages as input, output_item, tools};
use shs_wire::{Draft, str_at};

use super::json::{failure, parse};
use super::{
    Choice, Decoder, Events, Gather, History, Prompt, Reply, ReplyDecoder, ReplyError, TokenUsage,
    path_ends_with, reply_decoder,
};
use crate::Limits;

/// OpenAI's [Responses]: `POST …/responses`, plain and streamed.
///
/// A request with `previous_response_id` or `conversation` brings new messages only; any other brings
/// the whole conversation. Which session a previous response is in is known to the recorder that stored it, for its last
/// 16,384 answers; name the session where that is not enough. Responses in the background and over WebSockets pass unrecorded.
///
/// [Responses]: https://platform.openai.com/docs/api-reference/responses
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiResponses;

impl Decoder for OpenAiResponses {
    fn name(&self) -> &str {
        "openai.responses"
    }

    fn matches(&self, method: &Method, uri: &Uri) -> bool {
        method == Method::POST && path_ends_with(uri, "/responses")
    }

    fn request(&self, body: &[u8]) -> Result<Prompt, String> {
        let mut body = parse(body)?;
        let mut messages = Vec::new();
        if let Some(instructions) = str_at(&body, "/instructions") {
            messages.push(NewMessage::system(instructions));
        }
        match body.get("input") {
            Some(Value::String(text)) => messages.push(NewMessage::user(text)),
            Some(Value::Array(items)) => input(items, &mut messages),
            _ if body.get("prompt").is_some_and(Value::is_object) => {}
            _ => return Err("the request has no \"input\"".to_owned()),
        }
        let given = |key| body.get(key).is_some_and(|value: &Value| !value.is_null());
        let mut prompt = Prompt::whole(messages);
        if given("previous_response_id") || given("conversation") {
            prompt.history = History::Continues;
        }
        prompt.model = str_at(&body, "/model").map(str::to_owned);
        prompt.tools = tools(&mut body);
        prompt.parallel_tool_calls = body.get("parallel_tool_calls").and_then(Value::as_bool);
        prompt.previous_response = str_at(&body, "/previous_response_id").map(str::to_owned);
        Ok(prompt)
    }

    fn response(&self, head: &response::Parts, limits: &Limits) -> Box<dyn ReplyDecoder> {
        reply_decoder(head, limits, Stream::new(limits), whole)
    }
}

/// A response object: of a plain response, and in the last event of a stream.
fn whole(response: &Value) -> Reply {
    if response.get("output").is_none() {
        return failure(response);
    }
    let mut draft = Draft::default();
    let mut refusal = false;
    for item in response["output"].as_array().into_iter().flatten() {
        output_item(&mut draft, item);
        let blocks = item.get("content").and_then(Value::as_array).into_iter().flatten();
        refusal |= blocks.into_iter().any(|block| str_at(block, "/type") == Some("refusal"));
    }
    let said = draft.message(Role::Assistant);
    let status = str_at(response, "/status");
    let reason = str_at(response, "/incomplete_details/reason").or(status);
    let choice = Choice {
        index: 0,
        content: said.content,
        parts: said.parts,
        finish_reason: reason.map(str::to_owned),
        refusal,
    };
    Reply {
        choices: vec![choice],
        error: response
            .get("error")
            .filter(|error| !error.is_null())
            .and_then(|_| ReplyError::of_json(response)),
        ..head(response)
    }
}

/// What a response object says of itself, beside its output.
fn head(response: &Value) -> Reply {
    Reply {
        model: str_at(response, "/model").map(str::to_owned),
        id: str_at(response, "/id").map(str::to_owned),
        usage: response.get("usage").and_then(usage),
        ..Reply::default()
    }
}

fn usage(usage: &Value) -> Option<TokenUsage> {
    let count = |pointer| usage.pointer(pointer).and_then(Value::as_u64);
    usage.is_object().then(|| TokenUsage {
        prompt: count("/input_tokens"),
        completion: count("/output_tokens"),
        cached: count("/input_tokens_details/cached_tokens"),
        reasoning: count("/output_tokens_details/reasoning_tokens"),
    })
}

/// The events of a streamed response. Its last event has the whole response; the deltas before it count only if
/// the stream is cut.
struct Stream {
    gather: Gather,
    head: Reply,
    last: Option<Reply>,
    /// The length of the event that had it.
    last_bytes: usize,
}

impl Stream {
    fn new(limits: &Limits) -> Self {
        let gather = Gather::new(limits.response);
        Self { gather, head: Reply::default(), last: None, last_bytes: 0 }
    }
}

impl Events for Stream {
    fn event(&mut self, _kind: &str, data: &str) {
        let Ok(event) = serde_json::from_str::<Value>(data) else { return };
        let text = |pointer| str_at(&event, pointer).unwrap_or_default();
        // An item's blocks lie together, in the order of items.
        let number = |key: &str| event.get(key).and_then(Value::as_u64).unwrap_or_default();
        let block =
            (number("output_index") << 32) | number("content_index").max(number("summary_index"));
        match text("/type") {
            "response.created" | "response.in_progress" => self.head = head(&event["response"]),
            "response.output_text.delta" => self.gather.text(0, block, text("/delta")),
            "response.refusal.delta" => self.gather.refusal(0, block, text("/delta")),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.gather.reasoning(0, block, text("/delta"));
            }
            "response.output_item.added" => {
                let item = &event["item"];
                if matches!(str_at(item, "/type"), Some("function_call" | "custom_tool_call")) {
                    let id = str_at(item, "/call_id").or_else(|| str_at(item, "/id"));
                    self.gather.tool_call(0, block, id, str_at(item, "/name"), "");
                }
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.gather.tool_call(0, block, None, None, text("/delta"));
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.last = Some(whole(&event["response"]));
                self.last_bytes = data.len();
            }
            "error" => {
                let error = if event.get("error").is_some() {
                    ReplyError::of_json(&event)
                } else {
                    ReplyError::of_json(&serde_json::json!({ "error": event }))
                };
                self.head.error = error;
            }
            _ => {}
        }
    }

    fn has_content(&self) -> bool {
        self.gather.has_content()
    }

    fn held(&self) -> usize {
        self.gather.held() + self.last_bytes
    }

    fn is_complete(&self, _at_end: bool) -> bool {
        self.last.is_some()
    }

    fn reply(&mut self) -> Reply {
        let mut head = std::mem::take(&mut self.head);
        if let Some(mut last) = self.last.take() {
            // A response that failed may leave out what it had said before.
            let said = last.choices.iter().any(|c| !c.content.is_empty() || !c.parts.is_empty());
            if !said && self.gather.has_content() {
                let reason = last.choices.pop().and_then(|choice| choice.finish_reason);
                last.choices = self.gather.take_choices();
                last.choices.iter_mut().for_each(|choice| choice.finish_reason.clone_from(&reason));
            }
            last.error = last.error.or(head.error);
            return last;
        }
        head.truncated = self.gather.is_truncated();
        head.choices = self.gather.take_choices();
        head
    }
}
