//! What is stored: sessions, messages, and the small types that they are made of.

mod head;
mod id;
mod message;
mod part;
mod patch;
mod role;
mod scope;
mod session;
mod streamed;
mod timestamp;
mod transcript;

pub use head::{AsHead, MessageHead};
pub use id::{MessageId, Seq, SessionId};
pub use message::{ContentDigest, Message, NewMessage};
pub use part::{Part, PartView};
pub use patch::{MessagePatch, MetadataPatch, SessionPatch};
pub use role::{Role, Status};
pub use scope::{Scope, SessionKey, TenantId};
pub use session::{ForkPoint, NewSession, Session};
pub use streamed::{MessageSource, StreamedTranscript};
pub use timestamp::Timestamp;
pub use transcript::Transcript;

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default, as the Python package does.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
