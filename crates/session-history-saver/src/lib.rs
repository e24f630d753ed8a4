//! Keeps the conversations of chatbots and agents: who said what, when, with which model, at what cost;
//! and gives them back to continue, to search, to audit and to train on.
//!
//! ```
//! use session_history_saver::{Config, Location, SessionTracker};
//!
//! # if cfg!(not(feature = "memory")) { return; }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! // `Config::from_env()?` reads SHS_STORE and the like; without any it is ./session_history.db
//! let history = SessionTracker::open(Config::new().with_location(Location::Memory)).await?;
//!
//! let session = history.session().user("alice").project("support-bot").tag("billing").start().await?;
//! session.user("I was double-charged.").await?;
//!
//! // An answer is saved while it is being produced: nothing is lost if the process dies meanwhile.
//! let mut answer = session.stream().model("claude-3-sonnet").begin().await?;
//! for word in ["I can ", "see it. ", "Fixed."] {
//!     answer.push(word).await?;
//! }
//! answer.finish().tokens(18).await?;
//! session.end().await?;
//!
//! let found = history.search("double-charged").await?;
//! assert_eq!(found.items[0].session.user_id.as_deref(), Some("alice"));
//! history.close().await?;
//! # Ok::<_, session_history_saver::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | starting, resuming, finding sessions | [`SessionTracker`] |
//! | talking in a session and reading it | [`SessionHandle`], [`Turn`] |
//! | answers that arrive piece by piece | [`Answer`], [`Recording`] |
//! | sessions that end with the code in them | [`StartSession::scope`], [`Track`] |
//! | choosing a store, the environment | [`Config`], [`Location`] |
//! | files | [`export`], [`import`] |
//! | erasing what was deleted, backups, checks, repairs | [`keeping`] |
//! | recording what passes through a service | the feature `tower` |
//! | what every store promises, and your own | [`Store`] |
//! | coming from the Python package | [`coming_from_python`] |
//!
//! # Cargo features
//!
//! | feature | backend | |
//! |---|---|---|
//! | `memory` | the memory of the process | default |
//! | `sqlite` | one SQLite file | default |
//! | `fs` | human-readable files in a folder | |
//!
//! A backend that is enabled is a module of its name, for its own options. The feature `tower` adds the module of that name, which
//! records the conversations that pass through HTTP services; `metrics` has it count for the `metrics` crate as well.
//! `export-parquet` and `export-tokens` are what [`export`] needs for Parquet and to count tokens; `import` brings in what other tools
//! store and export, and `import-parquet` Parquet files, too. Everything else
//! is there in every build.

pub mod coming_from_python;
mod config;
pub mod import;
pub mod keeping;
mod location;
mod retry;
mod scope;
mod session;
mod start;
mod streamed;
mod sweep;
mod tasks;
mod tracker;
mod turn;
mod unsaved;

pub use shs_export as export;
#[cfg(feature = "fs")]
pub use shs_fs as fs;
#[cfg(feature = "memory")]
pub use shs_memory as memory;
#[cfg(feature = "sqlite")]
pub use shs_sqlite as sqlite;
#[doc(inline)]
pub use shs_store::*;
#[cfg(feature = "tower")]
pub use shs_tower as tower;

pub use config::{Config, Saving};
pub use location::{Location, open_admin_store, open_store, open_store_to_read};
pub use scope::Track;
pub use session::SessionHandle;
pub use start::StartSession;
pub use streamed::{
    Answer, Delta, ERROR_KEY, FIRST_TOKEN_KEY, FinishAnswer, Recording, StartAnswer, StreamOptions,
};
pub use tracker::SessionTracker;
pub use turn::Turn;

/// The code of README.md compiles and runs.
#[cfg(all(doctest, feature = "sqlite", feature = "tower"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
