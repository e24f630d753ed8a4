//! An export, from the choice of the sessions to the last byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use shs_store::{
    Error, ErrorKind, MessageQuery, Result, Session, SessionId, SessionOrder, SessionQuery, Store,
    StoreExt,
};
use tokio::io::AsyncWrite;

use crate::Format;
use crate::output::Output;
use crate::plain::Encoder;
use crate::publish;

/// An export about to be made. See the [crate].
#[derive(Clone, Debug)]
#[must_use = "nothing is written before the last call"]
pub struct Export {
    store: Arc<dyn Store>,
    format: Format,
    selection: Selection,
    options: Options,
}

#[derive(Clone, Debug)]
enum Selection {
    /// These, in this order, each once.
    These(Vec<SessionId>),
    Asked(Box<SessionQuery>),
}

/// How the formats are written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub(crate) compact: bool,
    pub(crate) metadata: bool,
}

impl Export {
    /// Begins an export: of all sessions, unless [one](Self::session) or [some](Self::sessions) are chosen.
    pub fn new(store: Arc<dyn Store>, format: Format) -> Self {
        let selection = Selection::Asked(Box::default());
        Self { store, format, selection, options: Options::default() }
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

    /// Chooses the sessions that a query asks for, all pages of them, in the order of their start.
    pub fn sessions(mut self, query: SessionQuery) -> Self {
        self.selection = Selection::Asked(Box::new(query));
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
        let mut output = Output::new(writer);
        let mut encoder = Encoder::new(self.format, self.options, self.is_of_one());
        encoder.begin(&mut output.buffer);
        let mut sessions = self.selected();
        while let Some(session) = sessions.try_next().await? {
            write_session(&*self.store, &session, &mut encoder, &mut output).await?;
        }
        encoder.end(&mut output.buffer);
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

    /// Whether one session was chosen by its id, rather than several or whatever a query finds.
    fn is_of_one(&self) -> bool {
        matches!(&self.selection, Selection::These(ids) if ids.len() == 1)
    }

    fn selected(&self) -> BoxStream<'_, Result<Session>> {
        match &self.selection {
            Selection::These(ids) => stream::iter(ids).then(|id| self.store.session(id)).boxed(),
            Selection::Asked(query) => {
                self.store.session_stream((**query).clone().with_order(SessionOrder::Created))
            }
        }
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
