//! How much of a source becomes a conversation. The limits count what the input becomes, not its
//! bytes: a few kilobytes of an archive can be gigabytes of text, and a byte of JSON more than a
//! hundred in memory.

/// Longest text of one conversation that is read, in bytes: 64 MiB. A value of JSON, a line, a row
/// of CSV, and what the rows of a database hold of one conversation.
pub const MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;
/// Most messages of one conversation, unless [said otherwise](Limits::with_messages): 1,000,000.
pub const MAX_MESSAGES: usize = 1_000_000;
/// Most messages of one conversation that its branches may hold together, unless
/// [said otherwise](Limits::with_branch_messages): 100,000. A branch is a session of its own and
/// repeats what stands before it.
pub const MAX_BRANCH_MESSAGES: usize = 100_000;
/// Most bytes of text that the branches of one conversation may hold together: 256 MiB.
pub const MAX_BRANCH_BYTES: usize = 256 * 1024 * 1024;
/// Most branches of one conversation: 1,000.
pub const MAX_BRANCHES: usize = 1_000;
/// Most memory that the objects and arrays of one conversation's JSON may take beside their text,
/// in bytes, unless
/// [said otherwise](Limits::with_json_bytes): 128 MiB.
pub const MAX_JSON_BYTES: usize = 128 * 1024 * 1024;
/// Most conversations without an id of their own in one text, and most sessions of one CSV:
/// 2,000,000.
pub const MAX_UNNAMED: usize = 2_000_000;
/// Most columns of CSV: 1,000.
pub const MAX_COLUMNS: usize = 1_000;
/// Most files in one archive: 100,000.
pub const MAX_ARCHIVE_FILES: usize = 100_000;
/// Longest text that is unpacked of one archive, in bytes: 64 GiB.
pub const MAX_UNPACKED_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Conversations that wait to be stored take no more memory than this together, in bytes: 64 MiB.
/// One that takes more by itself is stored alone.
pub(crate) const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// What one conversation of a source may become. A conversation beyond a limit is not imported, and
/// that is told with the limit.
///
/// # Examples
/// ```
/// use shs_import::{Import, Limits};
///
/// let import = Import::new().with_limits(Limits::new().with_branch_messages(1_000_000));
/// # drop(import);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most messages of one conversation.
    pub messages: usize,
    /// Most messages that the branches of one conversation hold together.
    pub branch_messages: usize,
    /// Most memory that the JSON of one conversation takes beside its text, in bytes.
    pub json_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: MAX_MESSAGES,
            branch_messages: MAX_BRANCH_MESSAGES,
            json_bytes: MAX_JSON_BYTES,
        }
    }
}

impl Limits {
    /// The limits that hold unless others are chosen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the most messages of one conversation.
    #[must_use]
    pub fn with_messages(mut self, messages: usize) -> Self {
        self.messages = messages;
        self
    }

    /// Sets the most messages that the branches of one conversation hold together.
    #[must_use]
    pub fn with_branch_messages(mut self, messages: usize) -> Self {
        self.branch_messages = messages;
        self
    }

    /// Sets the most memory that the JSON of one conversation takes beside its text, in bytes.
    #[must_use]
    pub fn with_json_bytes(mut self, bytes: usize) -> Self {
        self.json_bytes = bytes;
        self
    }

    /// Why a conversation of so many messages is not imported; `None` if it is.
    pub(crate) fn too_many(&self, messages: usize) -> Option<String> {
        let limit = self.messages;
        (messages > limit).then(|| {
            format!(
                "the conversation has {messages} messages, and {limit} are the limit; raise it with \
                 --max-messages (Limits::with_messages)"
            )
        })
    }

    /// Why a value is not read whose objects and arrays take more memory than they may.
    pub(crate) fn too_heavy(&self) -> String {
        let mebibytes = self.json_bytes / (1024 * 1024);
        format!(
            "the objects and arrays of this JSON take more than {mebibytes} MiB of memory, which is the limit; \
             raise it with --max-json (Limits::with_json_bytes)"
        )
    }
}
