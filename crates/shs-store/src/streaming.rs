//! How a message that is still being written is told from one whose writer died.
//!
//! A streamed answer is stored as a pending message before its first word, and saved again while it
//! grows. Its metadata carry a [`StreamLease`] under [`STREAM_KEY`]: who writes it, and until when that
//! writer is to be thought alive. The writer renews the lease while it lives and removes it when
//! it is done. A pending message without a lease is the application's own and left alone.
//!
//! Whoever finds a lease that ran out marks the message as interrupted
//! ([`StoreExt::interrupt_stale_streams`](crate::StoreExt::interrupt_stale_streams)), and leaves the writer's name in it: one that
//! was thought dead goes on if nobody else wrote the message meanwhile, and only then. A backend that is opened and
//! knows that nobody else has it open need not wait for that: all leases it finds are of the dead.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Map, Message, MessagePatch, Status, Timestamp};

/// The metadata key of a message that is being written.
pub const STREAM_KEY: &str = "shs.stream";

/// The metadata key of the time from the beginning of an answer to its first text, in milliseconds.
pub const FIRST_TOKEN_KEY: &str = "shs.first_token_ms";

/// The metadata key of what an answer failed with.
pub const ERROR_KEY: &str = "shs.error";

/// Who writes a message, and until when it is to be thought alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLease {
    /// A unique name of the writer.
    pub writer: String,
    /// When the lease runs out unless it is renewed.
    pub until: Timestamp,
}

impl StreamLease {
    /// The lease of a pending message, if it has one.
    pub fn of(message: &Message) -> Option<Self> {
        if message.status != Status::Pending {
            return None;
        }
        let lease = message.metadata.get(STREAM_KEY)?;
        Some(serde_json::from_value(lease.clone()).unwrap_or_else(|_| Self {
            // A lease that cannot be read is nobody's.
            writer: String::new(),
            until: Timestamp::MIN,
        }))
    }

    /// The metadata that carry this lease, to be merged into a message's.
    pub fn metadata(&self) -> Map {
        let lease = serde_json::json!({ "writer": self.writer, "until": self.until });
        Map::from_iter([(STREAM_KEY.to_owned(), lease)])
    }

    /// The metadata that remove a lease when merged into a message's.
    pub fn removal() -> Map {
        Map::from_iter([(STREAM_KEY.to_owned(), Value::Null)])
    }

    /// The change that marks a message of this writer as interrupted, unless the writer finished
    /// it, or another one took it over. The writer's name stays in it.
    pub fn interrupt(&self) -> MessagePatch {
        let without_time = serde_json::json!({ "until": null });
        MessagePatch::new()
            .with_expected_writer(&*self.writer)
            .with_status(Status::Interrupted)
            .with_metadata_merged(Map::from_iter([(STREAM_KEY.to_owned(), without_time)]))
            .with_expected_status(Status::Pending)
    }

    /// Whether a message is this writer's: pending with its lease, or interrupted and written by
    /// nobody else since.
    pub(crate) fn is_of(message: &Message, writer: &str) -> bool {
        match message.status {
            Status::Pending => Self::of(message).is_some_and(|lease| lease.writer == writer),
            Status::Interrupted => {
                let last = message.metadata.get(STREAM_KEY).and_then(|last| last.get("writer"));
                last.and_then(Value::as_str) == Some(writer)
            }
            Status::Delivered | Status::Error => false,
        }
    }
}
