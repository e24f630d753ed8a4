//! What requests and responses say.
//!
//! A [`Decoder`] understands one API: which requests belong to it, what a request asks, and what a response
//! answers. [`OpenAiChat`], [`OpenAiResponses`] and [`AnthropicMessages`] are built in; [`Custom`] makes
//! one of a few closures, and the trait is there for everything else.
//!
//! Decoders see copies: whatever they do or fail to do, the bytes that pass stay as they are. One that panics
//! loses what it was to decode, and the request goes on.

mod anthropic;
mod chat;
mod custom;
mod gather;
mod json;
mod lines;
mod responses;
mod sse;

use std::fmt::Debug;

use http::{Method, Uri, response};
use serde_json::{Value, json};
use shs_store::{NewMessage, Part};

pub use anthropic::AnthropicMessages;
pub use chat::OpenAiChat;
pub use custom::Custom;
pub use gather::Gather;
pub(crate) use json::parse;
pub use responses::OpenAiResponses;
pub use sse::{Events, Sse};

use self::json::{Json, failure};
use self::lines::Lines;
use crate::Limits;

/// Understands one API.
pub trait Decoder: Debug + Send + Sync + 'static {
    /// The name of the API, such as `"openai.chat"`, as it is kept with each answer.
    fn name(&self) -> &str;

    /// Whether a request belongs to this API. Asked for every request, before its body is there.
    fn matches(&self, method: &Method, uri: &Uri) -> bool;

    /// Reads the whole body of a request.
    ///
    /// # Errors
    /// What is wrong with the body, in words that hold none of its content.
    fn request(&self, body: &[u8]) -> Result<Prompt, String>;

    /// A decoder for the body of one response with this head.
    fn response(&self, head: &response::Parts, limits: &Limits) -> Box<dyn ReplyDecoder>;
}

/// Reads the body of one response, piece by piece.
pub trait ReplyDecoder: Send {
    /// Takes the next bytes, which may begin and end anywhere.
    fn push(&mut self, bytes: &[u8]);

    /// Whether a first piece of the answer's content has come.
    fn has_content(&self) -> bool;

    /// Whether the answer is whole. `at_end` tells that the body has come to its end: that is
    /// enough for an API that says nothing at the end of an answer, and not for one that does.
    /// Asked before [`finish`](Self::finish), and once more after it, as the end of a body may be
    /// the end of its last event.
    fn is_complete(&self, at_end: bool) -> bool;

    /// About how many bytes it holds, which count in the recorder's memory. Asked after each piece,
    /// so it has to be cheap.
    fn held(&self) -> usize;

    /// What has come. Called once, when no more will be pushed, also if the answer is not over.
    fn finish(&mut self) -> Reply;
}

/// Whether a request brings the conversation from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum History {
    /// The request brings the whole conversation; what is stored already is recognized and not stored again.
    #[default]
    Whole,
    /// The request brings new messages only; the server knows those before.
    Continues,
}

/// What a request asks.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Prompt {
    /// The messages, in their order.
    pub messages: Vec<NewMessage>,
    /// Whether they begin at the beginning.
    pub history: History,
    /// The model that is asked for.
    pub model: Option<String>,
    /// The response that the request goes on from, by the provider's id.
    pub previous_response: Option<String>,
    /// The tools that are offered, as OpenAI's chat completions have them: `{"type": "function", "function": {"name": …}}`. What
    /// is no JSON object is not kept.
    pub tools: Vec<Value>,
    /// Whether several tools may be called at once, if the request says so; kept with tools only.
    pub parallel_tool_calls: Option<bool>,
}

impl Prompt {
    /// The whole conversation so far.
    pub fn whole(messages: Vec<NewMessage>) -> Self {
        Self { messages, ..Self::default() }
    }

    /// New messages of a conversation whose beginning the server knows.
    pub fn continues(messages: Vec<NewMessage>) -> Self {
        Self { messages, history: History::Continues, ..Self::default() }
    }

    /// Names the model that is asked for.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Gives the tools that are offered, as OpenAI's chat completions have them.
    #[must_use]
    pub fn with_tools(mut self, tools: Vec<Value>) -> Self {
        self.tools = tools;
        self
    }

    /// Says whether several tools may be called at once.
    #[must_use]
    pub fn with_parallel_tool_calls(mut self, parallel: bool) -> Self {
        self.parallel_tool_calls = Some(parallel);
        self
    }
}

/// What a response answers.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Reply {
    /// The answers; more than one if the request asked for several. None if nothing came.
    pub choices: Vec<Choice>,
    /// The model that answered.
    pub model: Option<String>,
    /// The provider's id of the response.
    pub id: Option<String>,
    /// The tokens that the provider reported.
    pub usage: Option<TokenUsage>,
    /// What went wrong, by the response itself.
    pub error: Option<ReplyError>,
    /// Whether content was left out because it was beyond the limit.
    pub truncated: bool,
}

impl Reply {
    /// One answer of plain text.
    pub fn text(content: impl Into<String>) -> Self {
        let choice = Choice { content: content.into(), ..Choice::default() };
        Self { choices: vec![choice], ..Self::default() }
    }

    /// Names the model that answered.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// An answer that failed.
    pub fn failed(error: ReplyError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// The provider's number of it.
    pub index: u32,
    /// The text.
    pub content: String,
    /// What plain text cannot carry, the text among it; empty if there is nothing but text.
    pub parts: Vec<Part>,
    /// Why the model stopped, in the provider's word.
    pub finish_reason: Option<String>,
    /// Whether the text is a refusal.
    pub refusal: bool,
}

/// The tokens that a provider reported. Providers count differently: here `prompt` holds `cached`, and
/// `completion` holds `reasoning`, as OpenAI counts; Anthropic's counts are added up to that.
///
/// Kept as an object with the keys `prompt_tokens`, `completion_tokens`, `cached_tokens` and
/// `reasoning_tokens`; what was not reported is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenUsage {
    /// Tokens of the request.
    pub prompt: Option<u64>,
    /// Tokens of the answer.
    pub completion: Option<u64>,
    /// Tokens of the request that came from a cache.
    pub cached: Option<u64>,
    /// Tokens of the answer that are reasoning.
    pub reasoning: Option<u64>,
}

impl TokenUsage {
    /// Tokens of the request and the answer together; `None` if neither was reported.
    pub fn total(&self) -> Option<u32> {
        if self.prompt.is_none() && self.completion.is_none() {
            return None;
        }
        let sum = self.prompt.unwrap_or(0).saturating_add(self.completion.unwrap_or(0));
        Some(u32::try_from(sum).unwrap_or(u32::MAX))
    }

    pub(crate) fn to_json(self) -> Value {
        let counts = [
            ("prompt_tokens", self.prompt),
            ("completion_tokens", self.completion),
            ("cached_tokens", self.cached),
            ("reasoning_tokens", self.reasoning),
        ];
        let given = counts.into_iter().filter_map(|(key, count)| Some((key, count?)));
        given.map(|(key, count)| (key.to_owned(), Value::from(count))).collect()
    }
}

/// What a response says went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplyError {
    /// The message for people.
    pub message: String,
    /// The provider's kind, such as `"overloaded_error"`.
    pub kind: Option<String>,
    /// The provider's code, such as `"rate_limit_exceeded"`.
    pub code: Option<String>,
}

impl ReplyError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The error of a JSON object `{"error": …}`, `{"detail": …}` or `{"message": …}`, as APIs send it.
    pub fn of_json(body: &Value) -> Option<Self> {
        let error = ["error", "detail", "message"]
            .iter()
            .find_map(|key| body.get(*key).filter(|value| !value.is_null()))?;
        let text = |key: &str| match error.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let message = match error {
            Value::String(message) => Some(message.clone()),
            _ => text("message"),
        };
        Some(Self {
            message: message.unwrap_or_else(|| "an error without a message".to_owned()),
            kind: text("type"),
            code: text("code"),
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut object = json!({ "message": self.message });
        if let Some(kind) = &self.kind {
            object["type"] = kind.as_str().into();
        }
        if let Some(code) = &self.code {
            object["code"] = code.as_str().into();
        }
        object
    }
}

/// The decoder for a response of an API that streams by server-sent events, and answers with one JSON document else.
fn reply_decoder(
    head: &response::Parts,
    limits: &Limits,
    events: impl Events + 'static,
    whole: fn(&Value) -> Reply,
) -> Box<dyn ReplyDecoder> {
    if !head.status.is_success() {
        Box::new(Json::new(limits, failure))
    } else if is_event_stream(head) {
        Box::new(Sse::new(events, limits))
    } else {
        Box::new(Json::new(limits, whole))
    }
}

fn is_event_stream(head: &response::Parts) -> bool {
    let value = head.headers.get(http::header::CONTENT_TYPE);
    value.is_some_and(|value| {
        let value = value.as_bytes().trim_ascii_start();
        value.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
    })
}

fn path_ends_with(uri: &Uri, end: &str) -> bool {
    uri.path().trim_end_matches('/').ends_with(end)
}
