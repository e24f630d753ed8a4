//! What a contestant is asked to do, and what it answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is measured. Contestants are programs that take a job as JSON and print figures as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// Appends a message; each caller has a session of its own.
    Append,
    /// Appends in turn to a session of many messages and to sessions of ten.
    AppendLongAndShort,
    /// Reads a whole session.
    Read,
    /// Reads the last 50 messages of a session.
    Last,
    /// Reads from 16 tasks, without and with 64 tasks that append.
    ReadWhileWriting,
    /// Lists 50 sessions, the latest ones and those 5,000 deep.
    List,
    /// Searches, newest first.
    Search,
    /// Searches, the best first.
    SearchByRank,
    /// Totals over everything.
    Stats,
    /// Opens a store and asks for a session.
    Open,
    /// Streams answers through a service, with a layer that records them and without.
    RecordChunks,
    /// Streams 1 GB through a service with the layer.
    RecordFlood,
    /// Streams answers to clients that go away in the middle.
    RecordLeavers,
    /// Streams answers to 2,000 clients at once.
    RecordCrowd,
    /// Fills a store with sessions, for other operations to read.
    FillLibrary,
}

/// What keeps the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backend {
    Sqlite,
    Folder,
    Memory,
}

/// A job. Fields that an operation does not need are left as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) operation: Operation,
    pub(crate) backend: Backend,
    /// Where the contestant keeps its files.
    pub(crate) folder: PathBuf,
    /// A JSON array of messages to take from.
    pub(crate) texts: PathBuf,
    /// How long to measure.
    pub(crate) seconds: f64,
    pub(crate) callers: usize,
    /// Messages that a session has before the measuring begins.
    pub(crate) already: usize,
    /// Sessions of a library.
    pub(crate) sessions: usize,
    pub(crate) query: String,
    pub(crate) user: Option<String>,
}

impl Job {
    pub(crate) fn new(operation: Operation, backend: Backend) -> Self {
        Self {
            operation,
            backend,
            folder: PathBuf::new(),
            texts: PathBuf::new(),
            seconds: 0.5,
            callers: 1,
            already: 0,
            sessions: 0,
            query: String::new(),
            user: None,
        }
    }

    pub(crate) fn with_callers(mut self, callers: usize) -> Self {
        self.callers = callers;
        self
    }

    pub(crate) fn with_already(mut self, messages: usize) -> Self {
        self.already = messages;
        self
    }

    pub(crate) fn with_query(mut self, query: &str) -> Self {
        self.query = query.to_owned();
        self
    }

    pub(crate) fn with_user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }
}

/// Figures by name. `each` is the seconds that one operation took.
pub(crate) type Figures = BTreeMap<String, f64>;

/// Seconds an operation.
pub(crate) const EACH: &str = "each";
/// Seconds that 99 of 100 operations stayed below.
pub(crate) const P99: &str = "p99";
/// Seconds an operation in the other half of a comparison of ours with ours.
pub(crate) const OTHER: &str = "other";
/// Bytes of the files for a byte of text.
pub(crate) const SIZE: &str = "size";
/// Seconds that the layer adds to the first byte of an answer.
pub(crate) const FIRST_BYTE: &str = "first byte, added";
/// Seconds that it adds to each further piece.
pub(crate) const CHUNK: &str = "each chunk, added";
/// Megabytes that the process grew by.
pub(crate) const GROWTH: &str = "memory, added";
/// How many of the exchanges were kept, of 1.
pub(crate) const KEPT: &str = "kept";
