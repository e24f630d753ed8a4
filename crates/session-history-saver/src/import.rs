//! Conversations from JSON: from exports of this library, of the Python package, or made by hand; and, with the feature
//! `import`, from the exports, databases and data sets of other tools.
//!
//! A conversation is imported whole or not at all, with its ids, numbers and times.
//! [`ImportMode`] says what to do if there is a session with its id.
//!
//! # Examples
//! ```
//! # use session_history_saver::SessionTracker;
//! use session_history_saver::ImportMode;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let history = SessionTracker::new(shs_memory::MemoryStore::new());
//! let json = r#"{"session_id": "s1", "messages": [{"role": "user", "content": "Hello!"}]}"#;
//! let session = history.import_json(json, ImportMode::CreateOnly).await?;
//! assert_eq!(session.message_count, 1);
//! assert!(history.import_json(json, ImportMode::CreateOnly).await.is_err());
//!
//! let lines = format!("{}\n{}\n", json, json.replace("s1", "s2"));
//! let imported = history.import_lines(lines.as_bytes(), ImportMode::Overwrite).await?;
//! assert_eq!((imported.sessions, imported.messages), (2, 2));
//! # Ok::<_, session_history_saver::Error>(())
//! # }).unwrap();
//! ```

#[cfg(feature = "import")]
pub use shs_import::{
    Format, Import, Input, Limits, ORIGIN_KEY, Place, Problem, Report, Severity, limits,
};

use serde_json::Value;
use serde_json::error::Category;
use shs_store::{Error, ErrorKind, ImportMode, Result, Session, Transcript};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::SessionTracker;

/// What an import of many conversations stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Sessions.
    pub sessions: u64,
    /// Messages in them.
    pub messages: u64,
}

impl SessionTracker {
    /// Imports all conversations of a file, an archive, a folder or a stream, in whichever known form they are; `tell` hears of every
    /// problem as it comes. See [`shs_import`](https://docs.rs/shs-import) for the forms.
    ///
    /// # Errors
    /// As [`Import::run`].
    ///
    /// # Cancel safety
    /// As [`Import::run`].
    #[cfg(feature = "import")]
    pub async fn import(
        &self,
        import: &Import,
        input: impl Into<Input>,
        tell: impl FnMut(&Problem),
    ) -> Result<Report> {
        let import = import.clone().with_scope(self.scope().clone());
        import.run(&**self.store(), input, tell).await
    }

    /// Stores a whole conversation as it is.
    ///
    /// # Errors
    /// As [`Store::import`](shs_store::Store::import).
    pub async fn import_session(
        &self,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        self.store().import(self.scope(), transcript, mode).await
    }

    /// Stores a conversation given as a JSON object, such as Python's `export_session` returns.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is no conversation or breaks a
    /// [limit](shs_store::limits); else as [`import_session`](Self::import_session).
    pub async fn import_value(&self, value: Value, mode: ImportMode) -> Result<Session> {
        let transcript =
            serde_json::from_value(value).map_err(|error| not_a_session(error, None))?;
        self.import_session(transcript, mode).await
    }

    /// Stores a conversation given as the text of a JSON object.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput), with line and column, if the text is not JSON, is cut off,
    /// or is no conversation: nothing is stored then; else as [`import_session`](Self::import_session).
    pub async fn import_json(
        &self,
        json: impl AsRef<[u8]> + Send,
        mode: ImportMode,
    ) -> Result<Session> {
        let transcript = read_session(json.as_ref(), None)?;
        self.import_session(transcript, mode).await
    }

    /// Stores conversations given as JSON Lines: an object on each line, in UTF-8; empty lines are passed
    /// over.
    ///
    /// One conversation at a time is in memory, and a line has 64 MiB ([`MAX_LINE_BYTES`]) at the
    /// most.
    ///
    /// # Errors
    /// As [`import_json`](Self::import_json), with the number of the line, and
    /// [`Unavailable`](ErrorKind::Unavailable) if the reader fails. The conversations of the lines before
    /// are stored; with [`ImportMode::Overwrite`] the whole can be repeated.
    ///
    /// # Cancel safety
    /// If the future is dropped, the conversations that were read by then are stored.
    pub async fn import_lines(
        &self,
        reader: impl AsyncBufRead + Send + Unpin,
        mode: ImportMode,
    ) -> Result<Imported> {
        let mut reader = reader;
        let mut imported = Imported::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let mut limited = (&mut reader).take(MAX_LINE_BYTES as u64 + 1);
            let read = limited.read_until(b'\n', &mut line).await.map_err(|error| {
                let detail = format!("line {number} cannot be read");
                Error::new(ErrorKind::Unavailable, detail).with_op("import").with_source(error)
            })?;
            if read == 0 {
                break;
            }
            if line.len() > MAX_LINE_BYTES {
                let detail = format!(
                    "line {number} is longer than {MAX_LINE_BYTES} bytes, which is the limit"
                );
                return Err(Error::invalid(detail).with_op("import"));
            }
            let json = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line);
            if json.trim_ascii().is_empty() {
                continue;
            }
            let transcript = read_session(json, Some(number))?;
            let session = self
                .import_session(transcript, mode)
                .await
                .map_err(|error| at_line(number, error))?;
            imported.sessions += 1;
            imported.messages += session.message_count;
        }
        Ok(imported)
    }
}

/// Longest line that [`import_lines`](SessionTracker::import_lines) reads, in bytes, its end
/// included: 64 MiB.
pub const MAX_LINE_BYTES: usize = 64 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

fn read_session(json: &[u8], line: Option<u64>) -> Result<Transcript> {
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    serde_json::from_slice(json).map_err(|error| not_a_session(error, line))
}

/// What is wrong and where. What the text says stands in the source only: it may be of a conversation.
fn not_a_session(error: serde_json::Error, line: Option<u64>) -> Error {
    let what = match error.classify() {
        Category::Eof => "the JSON of the session is cut off",
        // It has no category of its own, and what stands there is JSON.
        Category::Syntax if error.to_string().starts_with("recursion limit") => {
            "the JSON of the session is nested too deep"
        }
        Category::Syntax | Category::Io => "this is not JSON",
        Category::Data => "this JSON is not a session",
    };
    let detail = match (line, error.line()) {
        (Some(line), _) => format!("{what}, at line {line} column {}", error.column()),
        (None, 0) => what.to_owned(),
        (None, line) => format!("{what}, at line {line} column {}", error.column()),
    };
    Error::invalid(detail).with_op("import").with_source(error)
}

fn at_line(line: u64, error: Error) -> Error {
    let mut located = Error::new(error.kind(), format!("line {line}: {}", error.detail()));
    if let Some(store) = error.store() {
        located = located.with_store(store);
    }
    if let Some(session) = error.session_id() {
        located = located.with_session(session);
    }
    if let Some(message) = error.message_id() {
        located = located.with_message(message);
    }
    located.with_op("import").with_source(error)
}
