//! Anthropic's messages.

use std::borrow::Cow;

use http::{Method, Uri, response};
use serde::Deserialize;
use serde_json::Value;
use shs_store::{NewMessage, Part, Role};
use shs_wire::anthropic::{block, messages as read, tools};
use shs_wire::{Draft, str_at, text_of};

use super::json::{failure, parse};
use super::{
    Choice, Decoder, Events, Gather, Prompt, Reply, ReplyDecoder, ReplyError, TokenUsage,
    path_ends_with, reply_decoder,
};
use crate::Limits;

/// Anthropic's [messages]: `POST …/v1/messages`, plain and streamed.
///
/// Requests bring the whole conversation. A user's message with results of tools becomes a message of role
/// tool for each of them, and one of the user for the rest.
///
/// [messages]: https://docs.anthropic.com/en/api/messages
#[derive(Clone, Copy, Debug, Default)]
pub struct AnthropicMessages;

impl Decoder for AnthropicMessages {
    fn name(&self) -> &str {
        "anthropic.messages"
    }

    fn matches(&self, method: &Method, uri: &Uri) -> bool {
        method == Method::POST && path_ends_with(uri, "/v1/messages")
    }

    fn request(&self, body: &[u8]) -> Result<Prompt, String> {
        let mut body = parse(body)?;
        let given = body.get("messages").and_then(Value::as_array);
        let given = given.ok_or("the request has no array \"messages\"")?;
        let mut messages = Vec::new();
        if let Some(system) = body.get("system").map(text_of).filter(|system| !system.is_empty()) {
            messages.push(NewMessage::system(system));
        }
        given.iter().for_each(|message| read(message, &mut messages));
        let mut prompt = Prompt::whole(messages);
        prompt.model = str_at(&body, "/model").map(str::to_owned);
        prompt.tools = tools(&mut body);
        let choice = body.pointer("/tool_choice/disable_parallel_tool_use");
        prompt.parallel_tool_calls = choice.and_then(Value::as_bool).map(|disabled| !disabled);
        Ok(prompt)
    }

    fn response(&self, head: &response::Parts, limits: &Limits) -> Box<dyn ReplyDecoder> {
        reply_decoder(head, limits, Stream::new(limits), whole)
    }
}

/// A response that came whole.
fn whole(body: &Value) -> Reply {
    if body.get("content").is_none() {
        return failure(body);
    }
    let mut draft = Draft::default();
    body["content"].as_array().into_iter().flatten().for_each(|part| block(&mut draft, part));
    let said = draft.message(Role::Assistant);
    let reason = str_at(body, "/stop_reason");
    let choice = Choice {
        index: 0,
        content: said.content,
        parts: said.parts,
        finish_reason: reason.map(str::to_owned),
        refusal: reason == Some("refusal"),
    };
    let mut counts = Counts::default();
    counts.take(&body["usage"]);
    Reply {
        choices: vec![choice],
        model: str_at(body, "/model").map(str::to_owned),
        id: str_at(body, "/id").map(str::to_owned),
        usage: counts.usage(),
        ..Reply::default()
    }
}

/// Anthropic's counts. Those of a stream are cumulative: each that comes takes the place of the one before.
#[derive(Default)]
struct Counts {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    output: Option<u64>,
}

impl Counts {
    fn take(&mut self, usage: &Value) {
        let take = |key: &str, count: &mut Option<u64>| {
            *count = usage.get(key).and_then(Value::as_u64).or(*count);
        };
        take("input_tokens", &mut self.input);
        take("cache_read_input_tokens", &mut self.cache_read);
        take("cache_creation_input_tokens", &mut self.cache_creation);
        take("output_tokens", &mut self.output);
    }

    /// Anthropic counts what a cache read or wrote beside the input; here it is a part of it.
    fn usage(&self) -> Option<TokenUsage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let cached = self.cache_read.unwrap_or(0) + self.cache_creation.unwrap_or(0);
        Some(TokenUsage {
            prompt: self.input.map(|input| input.saturating_add(cached)),
            completion: self.output,
            cached: self.cache_read,
            reasoning: None,
        })
    }
}

/// The events of a streamed response.
struct Stream {
    gather: Gather,
    reply: Reply,
    counts: Counts,
    stopped: bool,
}

/// What comes with nearly every event; the others are read as plain JSON.
#[derive(Deserialize)]
struct BlockDelta<'a> {
    index: u64,
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    partial_json: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    thinking: Option<Cow<'a, str>>,
}

impl Stream {
    fn new(limits: &Limits) -> Self {
        Self {
            gather: Gather::new(limits.response),
            reply: Reply::default(),
            counts: Counts::default(),
            stopped: false,
        }
    }

    fn block_start(&mut self, event: &Value) {
        let index = event["index"].as_u64().unwrap_or_default();
        let block = &event["content_block"];
        let text = |pointer| str_at(block, pointer).unwrap_or_default();
        match text("/type") {
            "text" => self.gather.text(0, index, text("/text")),
            "thinking" => self.gather.reasoning(0, index, text("/thinking")),
            "redacted_thinking" => {}
            "tool_use" | "server_tool_use" => {
                self.gather.tool_call(0, index, str_at(block, "/id"), str_at(block, "/name"), "");
            }
            _ => {
                let part = block.as_object().cloned().map(Part::from_object);
                if let Some(Ok(part)) = part {
                    self.gather.part(0, index, part);
                }
            }
        }
    }

    fn block_delta(&mut self, data: &str) {
        let Ok(BlockDelta { index, delta }) = serde_json::from_str(data) else { return };
        if let Some(text) = &delta.text {
            self.gather.text(0, index, text);
        } else if let Some(fragment) = &delta.partial_json {
            self.gather.tool_call(0, index, None, None, fragment);
        } else if let Some(thinking) = &delta.thinking {
            self.gather.reasoning(0, index, thinking);
        }
    }

    fn other(&mut self, kind: &str, event: &Value) {
        match kind {
            "message_start" => {
                self.gather.choice(0);
                self.reply.id = str_at(event, "/message/id").map(str::to_owned);
                self.reply.model = str_at(event, "/message/model").map(str::to_owned);
                self.counts.take(&event["message"]["usage"]);
            }
            "content_block_start" => self.block_start(event),
            "message_delta" => {
                self.counts.take(&event["usage"]);
                if let Some(reason) = str_at(event, "/delta/stop_reason") {
                    self.gather.finish_reason(0, reason);
                }
            }
            "message_stop" => self.stopped = true,
            "error" => self.reply.error = ReplyError::of_json(event),
            _ => {}
        }
    }
}

impl Events for Stream {
    fn event(&mut self, kind: &str, data: &str) {
        if kind == "content_block_delta" {
            return self.block_delta(data);
        }
        let Ok(event) = serde_json::from_str::<Value>(data) else { return };
        // Servers that leave out the name of the event have it in the data all the same.
        match str_at(&event, "/type").unwrap_or(kind) {
            "content_block_delta" => self.block_delta(data),
            kind => self.other(kind, &event),
        }
    }

    fn has_content(&self) -> bool {
        self.gather.has_content()
    }

    fn held(&self) -> usize {
        self.gather.held()
    }

    fn is_complete(&self, _at_end: bool) -> bool {
        self.stopped
    }

    fn reply(&mut self) -> Reply {
        let mut reply = std::mem::take(&mut self.reply);
        reply.usage = self.counts.usage();
        reply.truncated = self.gather.is_truncated();
        reply.choices = self.gather.take_choices();
        for choice in &mut reply.choices {
            choice.refusal |= choice.finish_reason.as_deref() == Some("refusal");
        }
        reply
    }
}
