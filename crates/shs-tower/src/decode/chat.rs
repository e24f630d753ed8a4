//! OpenAI's chat completions, which most other providers and local servers speak too.

use std::borrow::Cow;

use http::{Method, Uri, response};
use serde::Deserialize;
use serde_json::Value;
use shs_wire::chat::{message, tools};
use shs_wire::str_at;

use super::gather::{FIRST_CALL, REASONING, REFUSAL, TEXT};
use super::json::{failure, parse};
use super::{
    Decoder, Events, Gather, Prompt, Reply, ReplyDecoder, ReplyError, TokenUsage, path_ends_with,
    reply_decoder,
};
use crate::Limits;

/// OpenAI's [chat completions]: `POST …/chat/completions`, plain and streamed.
///
/// Requests bring the whole conversation. Beside what OpenAI documents, reasoning under `reasoning` or
/// `reasoning_content`, the old `function_call` and errors inside of a stream are understood.
///
/// [chat completions]: https://platform.openai.com/docs/api-reference/chat
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiChat;

impl Decoder for OpenAiChat {
    fn name(&self) -> &str {
        "openai.chat"
    }

    fn matches(&self, method: &Method, uri: &Uri) -> bool {
        method == Method::POST && path_ends_with(uri, "/chat/completions")
    }

    fn request(&self, body: &[u8]) -> Result<Prompt, String> {
        let mut body = parse(body)?;
        let messages = body.get("messages").and_then(Value::as_array);
        let messages = messages.ok_or("the request has no array \"messages\"")?;
        let mut prompt = Prompt::whole(messages.iter().map(message).collect());
        prompt.model = str_at(&body, "/model").map(str::to_owned);
        prompt.tools = tools(&mut body);
        prompt.parallel_tool_calls = body.get("parallel_tool_calls").and_then(Value::as_bool);
        Ok(prompt)
    }

    fn response(&self, head: &response::Parts, limits: &Limits) -> Box<dyn ReplyDecoder> {
        reply_decoder(head, limits, Chunks::new(limits), completion)
    }
}

/// A response that came whole.
fn completion(body: &Value) -> Reply {
    if body.get("choices").is_none() {
        return failure(body);
    }
    let choices = body["choices"].as_array().into_iter().flatten();
    let choices = choices.enumerate().map(|(at, choice)| {
        let said = message(choice.get("message").unwrap_or(&Value::Null));
        super::Choice {
            index: choice["index"].as_u64().map_or(at as u32, |index| index as u32),
            content: said.content,
            parts: said.parts,
            finish_reason: str_at(choice, "/finish_reason").map(str::to_owned),
            refusal: str_at(choice, "/message/refusal").is_some(),
        }
    });
    Reply {
        choices: choices.collect(),
        model: str_at(body, "/model").map(str::to_owned),
        id: str_at(body, "/id").map(str::to_owned),
        usage: body.get("usage").and_then(usage),
        ..Reply::default()
    }
}

/// The counts of a request; none if it is null, as it is in all chunks of a stream but one.
fn usage(usage: &Value) -> Option<TokenUsage> {
    let count = |pointer| usage.pointer(pointer).and_then(Value::as_u64);
    usage.is_object().then(|| TokenUsage {
        prompt: count("/prompt_tokens"),
        completion: count("/completion_tokens"),
        cached: count("/prompt_tokens_details/cached_tokens"),
        reasoning: count("/completion_tokens_details/reasoning_tokens"),
    })
}

/// The chunks of a streamed response.
struct Chunks {
    gather: Gather,
    reply: Reply,
    done: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<Vec<ChunkChoice<'a>>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    delta: Option<ChunkDelta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ChunkDelta<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ChunkCall<'a>>>,
    #[serde(borrow, default)]
    function_call: Option<ChunkFunction<'a>>,
}

#[derive(Deserialize)]
struct ChunkCall<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<ChunkFunction<'a>>,
    #[serde(borrow, default)]
    custom: Option<ChunkFunction<'a>>,
}

#[derive(Deserialize)]
struct ChunkFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "input")]
    arguments: Option<Cow<'a, str>>,
}

impl Chunks {
    fn new(limits: &Limits) -> Self {
        let gather = Gather::new(limits.response);
        Self { gather, reply: Reply::default(), done: false }
    }

    fn delta(&mut self, choice: u32, delta: &ChunkDelta<'_>) {
        if let Some(text) = given(&delta.reasoning_content).or(given(&delta.reasoning)) {
            self.gather.reasoning(choice, REASONING, text);
        }
        if let Some(text) = given(&delta.content) {
            self.gather.text(choice, TEXT, text);
        }
        if let Some(text) = given(&delta.refusal) {
            self.gather.refusal(choice, REFUSAL, text);
        }
        for (at, call) in delta.tool_calls.iter().flatten().enumerate() {
            // Fragments are told apart by the index alone; id and name come with the first.
            let index = call.index.unwrap_or(at as u32);
            let function = call.function.as_ref().or(call.custom.as_ref());
            self.gather.tool_call(
                choice,
                FIRST_CALL + 1 + u64::from(index),
                call.id.as_deref(),
                function.and_then(|function| function.name.as_deref()),
                function.and_then(|function| function.arguments.as_deref()).unwrap_or_default(),
            );
        }
        if let Some(function) = &delta.function_call {
            let arguments = function.arguments.as_deref().unwrap_or_default();
            self.gather.tool_call(choice, FIRST_CALL, None, function.name.as_deref(), arguments);
        }
    }
}

/// A fragment, if there is anything in it: many servers send all fields with each chunk.
fn given<'a>(text: &'a Option<Cow<'_, str>>) -> Option<&'a str> {
    text.as_deref().filter(|text| !text.is_empty())
}

impl Events for Chunks {
    fn event(&mut self, _kind: &str, data: &str) {
        if data.trim() == "[DONE]" {
            self.done = true;
            return;
        }
        // What is not a chunk is none of ours; the end of the answer tells whether something is missing.
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(data) else { return };
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            self.reply.error = ReplyError::of_json(&serde_json::json!({ "error": error }));
        }
        if let Some(id) = chunk.id.filter(|_| self.reply.id.is_none()) {
            self.reply.id = Some(id.into_owned()).filter(|id| !id.is_empty());
        }
        if let Some(model) = chunk.model.filter(|_| self.reply.model.is_none()) {
            self.reply.model = Some(model.into_owned()).filter(|model| !model.is_empty());
        }
        if let Some(counts) = chunk.usage.as_ref().and_then(usage) {
            self.reply.usage = Some(counts);
        }
        for (at, choice) in chunk.choices.unwrap_or_default().into_iter().enumerate() {
            let index = choice.index.unwrap_or(at as u32);
            self.gather.choice(index);
            if let Some(delta) = &choice.delta {
                self.delta(index, delta);
            }
            if let Some(reason) = &choice.finish_reason {
                self.gather.finish_reason(index, reason);
            }
        }
    }

    fn has_content(&self) -> bool {
        self.gather.has_content()
    }

    fn held(&self) -> usize {
        self.gather.held()
    }

    fn is_complete(&self, _at_end: bool) -> bool {
        self.done || self.gather.all_finished()
    }

    fn reply(&mut self) -> Reply {
        Reply {
            choices: self.gather.take_choices(),
            truncated: self.gather.is_truncated(),
            ..std::mem::take(&mut self.reply)
        }
    }
}
