//! Conversations as JSON, JSON Lines, CSV, Markdown and plain text.
//!
//! [`SessionTracker::export`](crate::SessionTracker::export) begins an [`Export`]: say which sessions, then
//! where to. Conversations are read page by page and written as they are read, so that a million
//! messages need no more memory than a page of them.
//!
//! | [`Format`] | what is written |
//! |---|---|
//! | [`Json`](Format::Json) | one session as an object, as Python's `Session.to_dict` and [`Transcript`](crate::Transcript) have it; several as an array |
//! | [`JsonLines`](Format::JsonLines) | such an object on each line |
//! | [`Csv`](Format::Csv) | a header, and a row for each message (RFC 4180, UTF-8, lines end in CR LF) |
//! | [`Markdown`](Format::Markdown) | a document for people |
//! | [`Text`](Format::Text) | a line `[ROLE]: content` for each message, sessions parted by an empty line |
//!
//! # Columns of CSV
//! `session_id`, `user_id`, `project_id`, `title`, `tags`, `message_id`, `role`, `content`, `timestamp`, `tokens`,
//! `model`, `latency_ms`, `status`. Tags are joined by commas. What is not set is empty; a number 0 is `0`.
//!
//! A spreadsheet runs a cell that looks like a formula. As [OWASP](https://owasp.org/www-community/attacks/CSV_Injection)
//! recommends, a text that begins with `=`, `+`, `-`, `@`, their full-width forms, a tab or a line break, also
//! behind spaces and quotes, gets an apostrophe in front. So a list in Markdown, `- item`, becomes
//! `'- item`: to get text back exactly, export JSON. Numbers are never changed.
//!
//! # Markdown and text
//! The content of messages is written as it is, like the Python package does: Markdown in it takes effect, and a
//! content with line breaks takes several lines.
//!
//! # What is in an export
//! What is in the store; [save](crate::SessionHandle::save) first what is unsaved. Messages that are
//! added to a session after its export began are not in it. Several sessions come in the order of their
//! start, the latest first, each once.
//!
//! # Examples
//! ```
//! # use session_history_saver::SessionTracker;
//! use session_history_saver::export::Format;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let history = SessionTracker::new(shs_memory::MemoryStore::new());
//! let session = history.session().await?;
//! session.user("Hello!").await?;
//! let text = history.export(Format::Text).session(session.id()).to_string().await?;
//! assert_eq!(text, "[USER]: Hello!\n");
//! # Ok::<_, session_history_saver::Error>(())
//! # }).unwrap();
//! ```

mod csv;
mod encoder;
mod json;
mod markdown;
mod publish;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use futures::TryStreamExt;
use shs_store::{
    Error, ErrorKind, MessageQuery, Result, Session, SessionId, SessionOrder, SessionQuery, Store,
    StoreExt,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use self::encoder::Encoder;
use crate::SessionTracker;

/// How conversations are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// One JSON object for one session, an array for several.
    Json,
    /// A JSON object on each line.
    JsonLines,
    /// A row for each message.
    Csv,
    /// A document for people.
    Markdown,
    /// Roles and contents.
    Text,
}

impl Format {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Json, Self::JsonLines, Self::Csv, Self::Markdown, Self::Text];

    /// The name, as a person would give it on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Text => "text",
        }
    }

    /// How the name of such a file ends, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Text => "txt",
            other => other.as_str(),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Reads a name or an extension.
    fn from_str(name: &str) -> Result<Self> {
        let known = |format: &&Self| format.as_str() == name || format.extension() == name;
        Self::ALL.iter().find(known).copied().ok_or_else(|| {
            Error::invalid(format!(
                "unknown format {:?}; known are: {}",
                name.chars().take(40).collect::<String>(),
                Self::ALL.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ")
            ))
        })
    }
}

/// An export about to be made; made by [`SessionTracker::export`]. See the [module](self).
#[derive(Clone, Debug)]
#[must_use = "nothing is written before the last call"]
pub struct Export {
    tracker: SessionTracker,
    format: Format,
    selection: Selection,
    options: Options,
}

#[derive(Clone, Debug)]
enum Selection {
    One(SessionId),
    Many(Box<SessionQuery>),
}

/// How the formats are written.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    compact: bool,
    metadata: bool,
}

impl SessionTracker {
    /// Begins an export: of all sessions, unless [one](Export::session) or [some](Export::sessions) are
    /// chosen.
    #[doc(alias = "export_session")]
    pub fn export(&self, format: Format) -> Export {
        Export {
            tracker: self.clone(),
            format,
            selection: Selection::Many(Box::default()),
            options: Options::default(),
        }
    }
}

impl Export {
    /// Chooses one session.
    pub fn session(mut self, id: &SessionId) -> Self {
        self.selection = Selection::One(id.clone());
        self
    }

    /// Chooses the sessions that a query asks for, all pages of them, in the order of their start.
    pub fn sessions(mut self, query: SessionQuery) -> Self {
        self.selection = Selection::Many(Box::new(query));
        self
    }

    /// Writes JSON on one line, rather than indented by two spaces.
    pub fn compact(mut self) -> Self {
        self.options.compact = true;
        self
    }

    /// Writes model, tokens and latency below each message in Markdown.
    pub fn with_metadata(mut self) -> Self {
        self.options.metadata = true;
        self
    }

    /// Makes a string of it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the one session that was chosen does not exist; else as
    /// [`Store::messages`].
    pub async fn to_string(&self) -> Result<String> {
        let mut bytes = Vec::new();
        self.to_writer(&mut bytes).await?;
        String::from_utf8(bytes).map_err(|error| {
            Error::new(ErrorKind::Internal, "an export is not UTF-8")
                .with_source(error.utf8_error())
        })
    }

    /// Writes it, and flushes the writer.
    ///
    /// # Errors
    /// As [`to_string`](Self::to_string), and [`Unavailable`](ErrorKind::Unavailable) if the writer
    /// fails. What was written by then is written.
    pub async fn to_writer(&self, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<()> {
        let mut output = Output { writer, buffer: Vec::new() };
        let store = &**self.tracker.store();
        match &self.selection {
            Selection::One(id) => {
                let session = store.session(id).await?;
                let mut encoder = Encoder::new(self.format, self.options, false);
                encoder.begin(&mut output.buffer);
                write_session(store, &session, &mut encoder, &mut output).await?;
                encoder.end(&mut output.buffer);
            }
            Selection::Many(query) => {
                let query = (**query).clone().with_order(SessionOrder::Created);
                let mut sessions = store.session_stream(query);
                let mut encoder = Encoder::new(self.format, self.options, true);
                encoder.begin(&mut output.buffer);
                while let Some(session) = sessions.try_next().await? {
                    write_session(store, &session, &mut encoder, &mut output).await?;
                }
                encoder.end(&mut output.buffer);
            }
        }
        output.finish().await
    }

    /// Writes a file, in one step: nobody ever sees half of it.
    ///
    /// It is written under another name in the same folder, synced, and then given its name; folders that
    /// are missing are created. A file that was there is replaced, and keeps its permissions.
    ///
    /// # Errors
    /// As [`to_string`](Self::to_string), and [`Unavailable`](ErrorKind::Unavailable), naming the path, if
    /// it cannot be written. A file that was there is then as it was, and nothing else is left behind; but
    /// if only the last step failed, to sync the folder, the new file is there.
    ///
    /// # Cancel safety
    /// If the future is dropped, the same holds, or the whole file is there.
    #[doc(alias = "save_to_file")]
    pub async fn to_file(&self, path: impl AsRef<Path> + Send) -> Result<PathBuf> {
        let path = path.as_ref().to_owned();
        let mut draft = publish::Draft::create(path.clone()).await?;
        self.to_writer(draft.writer()).await?;
        draft.publish().await?;
        Ok(path)
    }
}

async fn write_session(
    store: &dyn Store,
    session: &Session,
    encoder: &mut Encoder,
    output: &mut Output<'_>,
) -> Result<()> {
    let whole = MessageQuery::new().with_up_to_seq(session.last_seq);
    let duration = if encoder.needs_duration() {
        duration_seconds(store, &session.id, &whole).await?
    } else {
        None
    };
    encoder.begin_session(&mut output.buffer, session, duration)?;
    let mut messages = store.message_stream(&session.id, whole.with_limit(500));
    while let Some(message) = messages.try_next().await? {
        encoder.message(&mut output.buffer, session, &message)?;
        output.write_if_full().await?;
    }
    encoder.end_session(&mut output.buffer);
    output.write_if_full().await
}

/// As [`StoreExt::session_stats`] has it, for the messages that are exported.
async fn duration_seconds(
    store: &dyn Store,
    id: &SessionId,
    whole: &MessageQuery,
) -> Result<Option<f64>> {
    let first = store.messages(id, &whole.clone().with_limit(1)).await?;
    let last = store.messages(id, &whole.clone().newest_first().with_limit(1)).await?;
    Ok(match (first.items.first(), last.items.first()) {
        (Some(first), Some(last)) if first.seq != last.seq => {
            Some(last.timestamp.seconds_since(first.timestamp))
        }
        _ => None,
    })
}

/// A buffer in front of a writer.
struct Output<'a> {
    writer: &'a mut (dyn AsyncWrite + Send + Unpin),
    buffer: Vec<u8>,
}

impl Output<'_> {
    const FULL: usize = 64 * 1024;

    async fn write_if_full(&mut self) -> Result<()> {
        if self.buffer.len() < Self::FULL {
            return Ok(());
        }
        self.write().await
    }

    async fn write(&mut self) -> Result<()> {
        self.writer.write_all(&self.buffer).await.map_err(cannot_write)?;
        self.buffer.clear();
        Ok(())
    }

    async fn finish(mut self) -> Result<()> {
        self.write().await?;
        self.writer.flush().await.map_err(cannot_write)
    }
}

fn cannot_write(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the export cannot be written")
        .with_op("export")
        .with_source(error)
}
