//! Reads messages, and definitions of tools, in the forms of the providers' APIs, as requests, exports and data sets carry them.
//!
//! | module | form |
//! |---|---|
//! | [`chat`] | OpenAI's chat completions, and whatever speaks like them |
//! | [`responses`] | items of OpenAI's Responses |
//! | [`anthropic`] | Anthropic's messages |
//!
//! [`json_weight`] tells how much memory JSON takes as a tree, before it is read.
//!
//! Nothing fails here: a block that has no form of its own becomes a [`Part`](shs_store::Part) as it is, so that it is kept.
//! Tools take the form of chat completions; one that has none there stays as it is.
//!
//! # Examples
//! ```
//! use serde_json::json;
//! use shs_store::Role;
//!
//! let said = shs_wire::chat::message(&json!({"role": "assistant", "tool_calls": [
//!     {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Bern\"}"}},
//! ]}));
//! assert_eq!(said.role, Role::Assistant);
//! assert_eq!(said.parts[0].as_object()["arguments"], json!({"city": "Bern"}));
//! ```

pub mod anthropic;
pub mod chat;
mod draft;
pub mod responses;
mod tool;
mod weight;

pub use draft::{Draft, arguments, known_role, modality, role, str_at, text_of, tool_call};
pub use weight::{is_heavy, json_weight};
