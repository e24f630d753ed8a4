//! The rules: one function for each sentence of the contract, by idea.
//!
//! Each takes a fresh [`Place`](crate::Place) and panics if the backend breaks the rule.

pub mod appends;
pub mod cancellation;
pub mod closing;
pub mod concurrency;
pub mod deletes;
pub mod forks;
pub mod imports;
pub mod limits;
pub mod listing;
pub mod message_updates;
pub mod messages;
pub mod model;
pub mod reopening;
pub mod repetition;
pub mod scopes;
pub mod search;
pub mod session_updates;
pub mod sessions;
pub mod stats;
