//! What the tests have in common.

mod bench;
mod client;
pub(crate) mod http;
mod llmock;
mod proxy;
mod replay;
mod seen;
mod tools;

use std::time::Duration;

pub(crate) use bench::{Bench, Ended, reply};
pub(crate) use client::{Call, Client};
pub(crate) use llmock::Llmock;
pub(crate) use proxy::Proxy;
pub(crate) use replay::{Feed, Replay};
pub(crate) use seen::{Answer, Api, ToolCall, same_but_for_ids};
pub(crate) use tools::Tools;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds, for a generous time.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
