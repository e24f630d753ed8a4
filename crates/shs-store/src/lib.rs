//! The core of `session-history-saver`: the conversation model, the [`Store`] trait and its contract.
//!
//! A [`Session`] is one conversation; a [`Message`] is one turn of it. A [`Store`] keeps them, and its
//! documentation says, sentence by sentence, what every backend promises. This crate does no I/O and
//! needs no runtime; backends are crates of their own:
//!
//! | crate | keeps conversations in |
//! |---|---|
//! | `shs-memory` | the memory of the process |
//! | `shs-fs` | human-readable files in a folder |
//! | `shs-sqlite` | one SQLite file |
//!
//! Most programs use the umbrella crate `session-history-saver`, which adds trackers, streamed answers,
//! configuration, export and import. This crate is for those who write a backend or a library on top:
//!
//! - implement [`Store`] for a backend that can do everything itself, or
//! - implement the five methods of [`DocumentStore`] and let [`Documents`] make a full store of it;
//! - run the suite of `shs-testkit` against either.
//!
//! # Modules
//!
//! [`model`] holds what is stored, [`query`] what can be asked, [`store`] the trait and what is built on
//! it, [`text`] the analyzer and the query language that make search mean the same on every backend,
//! [`keeping`] what backends with files say of backups, checks and repairs.

pub mod clock;
pub mod document;
pub mod error;
pub mod keeping;
pub mod limits;
pub mod model;
pub mod python;
pub mod query;
pub mod store;
pub mod streaming;
pub mod text;

pub use clock::{Clock, SystemClock};
pub use document::Document;
pub use error::{Error, ErrorKind, Result};
pub use model::{
    ForkPoint, Message, MessageId, MessagePatch, MessageSource, MetadataPatch, NewMessage,
    NewSession, Part, PartView, Role, Scope, Seq, Session, SessionId, SessionKey, SessionPatch,
    Status, StreamedTranscript, TenantId, Timestamp, Transcript,
};
pub use query::{
    Cursor, Hit, MessageOrder, MessageQuery, Page, PageRequest, SearchOrder, SearchQuery,
    SessionFilter, SessionOrder, SessionQuery, Stats, StatsQuery, Usage,
};
pub use store::{
    AdminStore, AdminStoreExt, AppendOptions, Appended, Deleted, DocumentStore, Documents,
    Durability, Expected, ImportMode, PendingStream, SessionStats, Store, StoreExt, Tenant,
    TenantQuery, TracedStore,
};

/// A JSON object, as used for metadata.
pub type Map = serde_json::Map<String, serde_json::Value>;
