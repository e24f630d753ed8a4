//! Records LLM conversations that pass through HTTP services.
//!
//! [`RecordLayer`] is a tower layer for chatbot servers and for clients of providers. It reads along what passes, without changing,
//! delaying or failing it, and a [`Recorder`] stores the conversations in any [`Store`](shs_store::Store):
//!
//! - every exchange, also one whose client went away in the middle of the answer, with all text that had come;
//! - only what is new of a request that brings the whole conversation; an edited turn becomes a fork;
//! - who spoke, with which model, at what cost, and how long it took, under documented [`keys`];
//! - the tools that were offered, with the session, from where `shs-export` takes them into training data;
//! - free of secrets: see [`Redact`].
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | adding it to a server or a client, and whom to trust | [`RecordLayer`] |
//! | the queue, counters, shutting down | [`Recorder`] |
//! | where session, user and project come from | [`Ladder`] |
//! | the APIs that are understood, and your own | [`decode`] |
//! | what stands where in what is stored | [`keys`] |

mod body;
mod credentials;
pub mod decode;
mod encoding;
mod identity;
pub mod keys;
mod layer;
mod limits;
mod recorder;
mod redact;
mod service;
mod settings;
mod tap;

pub use body::{RequestBody, ResponseBody};
pub use identity::{Ladder, ProjectKey, SessionKey, TenantKey, UserKey};
pub use layer::RecordLayer;
pub use limits::Limits;
pub use recorder::{Counts, Ending, Recorder, RecorderOptions};
pub use redact::{REDACTED, Redact};
pub use service::{Record, RecordFuture};
