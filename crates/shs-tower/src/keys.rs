//! The metadata keys of what is recorded.
//!
//! What the provider or the client said stands under a plain name; what the recorder found out by itself,
//! under a name that begins with `shs.`. A key that has nothing to say is absent.
//!
//! On an answer (role assistant), beside the message's own `model`, `tokens` and `latency_ms`:
//!
//! | key | holds |
//! |---|---|
//! | [`FINISH_REASON`] | why the model stopped, in the provider's word: `"stop"`, `"length"`, `"tool_use"` … |
//! | [`REQUEST_MODEL`] | the model that was asked for; `model` is the one that answered |
//! | [`RESPONSE_ID`] | the provider's id of the response |
//! | [`USAGE`] | the tokens that the provider reported: an object, see [`TokenUsage`](crate::decode::TokenUsage) |
//! | [`CHOICE`] | the index of the choice, if the provider gave several, or began with another than the first |
//! | [`REFUSAL`] | `true` if the text is a refusal |
//! | [`ERROR`] | what went wrong: an object with `message`, and `type` and `code` where they were given |
//! | [`HTTP_STATUS`] | the status of the response, if it is not a success |
//! | [`API`] | the name of the decoder, such as `"openai.chat"` |
//! | [`ENDING`] | how it ended: see [`Ending`](crate::Ending) |
//! | [`FIRST_BYTE`], [`FIRST_TOKEN`] | milliseconds from the request to the first byte, and to the first text |
//! | [`EXCHANGE`] | the id of the exchange, the same on all its choices |
//! | [`TRUNCATED`] | `{"bytes": …, "limit": …}` if the body was longer than a limit and not kept whole; with `"parsed"` if it was its JSON |
//! | [`UNDECODED`] | why the body could not be decoded, or not all of it, if it came with a content-encoding |
//! | [`REFUSED`] | why parts or metadata were left out: they broke a limit of the store |
//!
//! On the last message of the request: [`API`], [`EXCHANGE`], [`REQUEST_ID`], [`HEADERS`] and [`TRUNCATED`].
//!
//! On a session: [`SESSION_FROM`], [`USER_FROM`] and [`PROJECT_FROM`], where the id came from, such as
//! `"header x-session-id"`; [`CLIENT_SESSION`], the id as the client sent it; and what the last request that offered tools
//! said of them, from where exports take it:
//!
//! | key | holds |
//! |---|---|
//! | [`TOOLS`] | the definitions, as OpenAI's chat completions have them; what has no such form, as it was sent |
//! | [`PARALLEL_TOOL_CALLS`] | whether several may be called at once, if a request said so |
//! | [`TOOLS_LEFT_OUT`] | why the definitions were not kept: `{"bytes": …, "limit": …}`, or `{"refused": …}` if they broke a limit of the store. Those under [`TOOLS`] are older then |
//!
//! What stands under [`TOOLS`] and is no list of objects is somebody else's and stays.

pub use shs_store::streaming::{ERROR_KEY as ERROR, FIRST_TOKEN_KEY as FIRST_TOKEN};

/// Why the model stopped.
pub const FINISH_REASON: &str = "finish_reason";
/// The model that was asked for.
pub const REQUEST_MODEL: &str = "request_model";
/// The provider's id of the response.
pub const RESPONSE_ID: &str = "response_id";
/// The tokens that the provider reported.
pub const USAGE: &str = "usage";
/// The index of one of several choices.
pub const CHOICE: &str = "choice";
/// Whether the text is a refusal.
pub const REFUSAL: &str = "refusal";
/// The status of an HTTP response that is not a success.
pub const HTTP_STATUS: &str = "http_status";
/// The idempotency or request id that the client sent.
pub const REQUEST_ID: &str = "request_id";
/// The headers of the request that are allowed to be kept.
pub const HEADERS: &str = "headers";
/// The name of the decoder.
pub const API: &str = "shs.api";
/// How the exchange ended.
pub const ENDING: &str = "shs.ending";
/// Milliseconds from the request to the first byte of the response's body.
pub const FIRST_BYTE: &str = "shs.first_byte_ms";
/// The id of the exchange.
pub const EXCHANGE: &str = "shs.exchange";
/// Why a body with a content-encoding could not be decoded.
pub const UNDECODED: &str = "shs.undecoded";
/// What the store refused to keep of a message, and why.
pub const REFUSED: &str = "shs.refused";
/// How large a body was that was not kept whole.
pub const TRUNCATED: &str = "shs.truncated";
/// Where the session's id came from.
pub const SESSION_FROM: &str = "shs.session_from";
/// Where the user came from.
pub const USER_FROM: &str = "shs.user_from";
/// Where the project came from.
pub const PROJECT_FROM: &str = "shs.project_from";
/// The session's id as the client sent it.
pub const CLIENT_SESSION: &str = "shs.client_session";
/// The tools that were offered.
pub const TOOLS: &str = "tools";
/// Whether several tools may be called at once.
pub const PARALLEL_TOOL_CALLS: &str = "parallel_tool_calls";
/// Why the tools that were offered are not kept.
pub const TOOLS_LEFT_OUT: &str = "shs.tools_left_out";
