//! An export about to be made: which sessions, how, and where to.

use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use shs_store::keeping::Existing;
use shs_store::{Error, ErrorKind, Result, Scope, SessionId, SessionQuery, Store};
use tokio::io::AsyncWrite;

use crate::prepare::Preparation;
use crate::publish::{self, Draft};
use crate::run::Run;
use crate::{Format, Report, Split, SystemMessages};

/// An export about to be made. See the [crate].
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// use shs_export::{Export, Format};
/// use shs_store::{NewMessage, NewSession, Scope, Store, StoreExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store: Arc<dyn Store> = Arc::new(shs_memory::MemoryStore::new());
/// let session = store.create_session(&Scope::DEFAULT, NewSession::new()).await?;
/// store.append(&Scope::DEFAULT, &session.id, NewMessage::user("Who is alice@example.com?")).await?;
/// store.append(&Scope::DEFAULT, &session.id, NewMessage::assistant("A customer.")).await?;
///
/// let export = Export::new(store, Format::OpenAi).with_redaction(r"\S+@\S+")?.without_duplicates();
/// let mut lines = Vec::new();
/// let report = export.to_writer(&mut lines).await?;
/// assert_eq!((report.conversations, report.messages), (1, 2));
/// assert_eq!(
///     String::from_utf8_lossy(&lines),
///     concat!(
///         r#"{"messages":[{"role":"user","content":"Who is [REDACTED]"},"#,
///         r#"{"role":"assistant","content":"A customer."}]}"#,
///         "\n"
///     )
/// );
/// # Ok::<_, shs_store::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is written before the last call"]
pub struct Export {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) scope: Scope,
    pub(crate) format: Format,
    pub(crate) selection: Selection,
    pub(crate) options: Options,
    pub(crate) preparation: Preparation,
    pub(crate) progress: Option<OnProgress>,
}

#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// These, in this order, each once.
    These(Vec<SessionId>),
    Asked(Box<SessionQuery>),
}

/// How the formats that people read are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) compact: bool,
    pub(crate) metadata: bool,
    pub(crate) existing: Existing,
}

#[derive(Clone)]
pub(crate) struct OnProgress(pub(crate) Arc<dyn Fn(u64) + Send + Sync>);

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProgress")
    }
}

impl Export {
    /// Begins an export: of all sessions, unless [one](Self::session) or [some](Self::sessions) are chosen.
    pub fn new(store: Arc<dyn Store>, format: Format) -> Self {
        Self {
            store,
            scope: Scope::DEFAULT,
            format,
            selection: Selection::Asked(Box::default()),
            options: Options { compact: false, metadata: false, existing: Existing::Replace },
            preparation: Preparation::default(),
            progress: None,
        }
    }

    /// Sets whose sessions are exported: those of a tenant, or of one of its users (default: the
    /// default tenant). What is chosen is chosen among them.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Chooses one session; called again, one more. They come in this order, each once.
    pub fn session(mut self, id: &SessionId) -> Self {
        match &mut self.selection {
            Selection::These(ids) if ids.contains(id) => {}
            Selection::These(ids) => ids.push(id.clone()),
            Selection::Asked(_) => self.selection = Selection::These(vec![id.clone()]),
        }
        self
    }

    /// Chooses the sessions that a query asks for, all pages of them.
    ///
    /// They come in the order of their start, the latest first, whatever the query's order; it says which time
    /// `since` and `until` are about.
    pub fn sessions(mut self, query: SessionQuery) -> Self {
        self.selection = Selection::Asked(Box::new(query));
        self
    }

    /// Writes JSON on one line, rather than indented by two spaces.
    pub fn compact(mut self) -> Self {
        self.options.compact = true;
        self
    }

    /// Writes model, tokens and latency below each message in Markdown and HTML.
    pub fn with_metadata(mut self) -> Self {
        self.options.metadata = true;
        self
    }

    /// Drops sessions with fewer answered questions than that.
    pub fn with_min_turns(mut self, turns: u32) -> Self {
        self.preparation.min_turns = turns;
        self
    }

    /// Writes answers that were interrupted, failed or are pending into training formats too, as far as they have
    /// text; OpenAI's with the weight 0. Formats that people read always have them.
    pub fn with_interrupted(mut self) -> Self {
        self.preparation.include_interrupted = true;
        self
    }

    /// Says what becomes of messages of the system in training formats.
    pub fn with_system(mut self, system: SystemMessages) -> Self {
        self.preparation.system = system;
        self
    }

    /// Merges messages of one role that follow each other, with an empty line between them, in training formats.
    pub fn with_merged_roles(mut self) -> Self {
        self.preparation.merge_roles = true;
        self
    }

    /// Drops what would be written a second time, in training formats. Takes 16 bytes of memory and some more for each line.
    pub fn without_duplicates(mut self) -> Self {
        self.preparation.dedupe = true;
        self
    }

    /// Writes two files, one to train on and one to validate with; see [`Split::paths`] for their names.
    pub fn with_split(mut self, split: Split) -> Self {
        self.preparation.split = Some(split);
        self
    }

    /// Drops conversations with more tokens than that, in training formats, as counted in `o200k_base`; images do not
    /// count. Needs the cargo feature `tokens`.
    pub fn with_max_tokens(mut self, tokens: NonZero<u64>) -> Self {
        self.preparation.max_tokens = Some(tokens.get());
        self
    }

    /// Writes `[REDACTED]` wherever a regular expression matches: in contents, titles, metadata, and the texts of parts, arguments
    /// and results of tools among them. Called again, for one more. Ids, users, projects, tags, models and the
    /// keys of objects stay as they are.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is no regular expression.
    pub fn with_redaction(mut self, pattern: &str) -> Result<Self> {
        self.preparation.redaction.add(pattern)?;
        Ok(self)
    }

    /// Says what becomes of a file that is there when [one is written](Self::to_file): it is
    /// replaced unless said otherwise.
    pub fn with_existing(mut self, existing: Existing) -> Self {
        self.options.existing = existing;
        self
    }

    /// Calls this after each session with the number of sessions so far. It should return quickly.
    pub fn with_progress(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(OnProgress(Arc::new(progress)));
        self
    }

    /// Makes a string of it.
    ///
    /// # Errors
    /// As [`to_writer`](Self::to_writer); and [`InvalidInput`](ErrorKind::InvalidInput) for a format that is no text.
    pub async fn to_string(&self) -> Result<String> {
        let mut bytes = Vec::new();
        if self.format == Format::Parquet {
            return Err(Error::invalid("parquet is no text; write it to a file"));
        }
        self.to_writer(&mut bytes).await?;
        String::from_utf8(bytes).map_err(|error| {
            Error::new(ErrorKind::Internal, "an export is not UTF-8")
                .with_source(error.utf8_error())
        })
    }

    /// Writes it, flushes the writer, and says what was written.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if a session that was chosen by its id does not exist.
    /// - [`InvalidInput`](ErrorKind::InvalidInput) if an option makes no sense with the format, or a split was asked
    ///   for, which needs files.
    /// - [`Unsupported`](ErrorKind::Unsupported) if it needs a cargo feature that was not built in, which it names.
    /// - [`Unavailable`](ErrorKind::Unavailable) if the writer fails. What was written by then is written.
    /// - Else as [`Store::messages`].
    ///
    /// # Cancel safety
    /// If the future is dropped, what was written by then is written.
    pub async fn to_writer(&self, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<Report> {
        self.check()?;
        if self.preparation.split.is_some() {
            return Err(Error::invalid("a split makes two files; name one to call them after"));
        }
        Run::new(self, vec![writer])?.write().await
    }

    /// Writes a file, in one step: nobody ever sees half of it.
    ///
    /// It is written under another name in the same folder, synced, and then given its name; folders that
    /// are missing are created. A file that was there is replaced, and keeps its permissions. The two files of a
    /// [split](Self::with_split) are both written and synced before the first gets its name; should the
    /// second name fail, the first file is put back as it was, where the file system has hard links.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if there is a file and it is [not to be
    /// replaced](Self::with_existing).
    /// As [`to_writer`](Self::to_writer), and [`Unavailable`](ErrorKind::Unavailable), naming the path, if
    /// it cannot be written. A file that was there is then as it was, and nothing else is left behind; but
    /// if only the last step failed, to sync the folder, the new file is there.
    ///
    /// # Cancel safety
    /// If the future is dropped, the same holds, or the whole file is there.
    #[doc(alias = "save_to_file")]
    pub async fn to_file(&self, path: impl AsRef<Path> + Send) -> Result<Report> {
        self.check()?;
        let path = path.as_ref();
        let paths = match self.preparation.split {
            Some(_) => Split::paths(path).to_vec(),
            None => vec![path.to_owned()],
        };
        let mut drafts = Vec::with_capacity(paths.len());
        for path in &paths {
            drafts.push(Draft::create(path.clone(), self.options.existing).await?);
        }
        let writers = drafts.iter_mut().map(Draft::writer).collect();
        let mut report = Run::new(self, writers)?.write().await?;
        publish::publish(drafts).await?;
        report.files = paths;
        Ok(report)
    }

    fn check(&self) -> Result<()> {
        self.preparation.check(self.format)?;
        let needs = [
            (
                self.format == Format::Parquet && cfg!(not(feature = "parquet")),
                "the format parquet needs the cargo feature parquet of shs-export (export-parquet of session-history-saver)",
            ),
            (
                self.preparation.max_tokens.is_some() && cfg!(not(feature = "tokens")),
                "counting tokens needs the cargo feature tokens of shs-export (export-tokens of session-history-saver)",
            ),
        ];
        match needs.iter().find(|(is_missing, _)| *is_missing) {
            Some((_, what)) => Err(Error::new(ErrorKind::Unsupported, *what).with_op("export")),
            None => Ok(()),
        }
    }

    /// Whether one session was chosen by its id, rather than several or whatever a query finds. A part of a split may
    /// have none.
    pub(crate) fn is_of_one(&self) -> bool {
        let is_split = self.preparation.split.is_some();
        matches!(&self.selection, Selection::These(ids) if ids.len() == 1 && !is_split)
    }
}
