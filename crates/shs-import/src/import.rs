//! Stores what is read.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use shs_store::limits::MAX_PAGE;
use shs_store::{
    Error, ErrorKind, ImportMode, MessageQuery, Result, Scope, Session, SessionId, Store, StoreExt,
    StreamedTranscript, Transcript,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};

use crate::compared::{Compared, Planned, Skipped};
use crate::found::{Coming, Found, Sink};
use crate::input::{self, Input};
use crate::origin::{self, MessagesDigest};
use crate::{Format, Limits, Place, Problem, Report, Severity};

/// Conversations that are stored at once: a store shares one wait for the disk among them.
const AT_ONCE: usize = 16;
/// Most looks at one conversation that somebody else writes to meanwhile.
const MOST_ATTEMPTS: u32 = 100;
/// A conversation that takes more memory than this is not held twice.
const MAX_COPIED_BYTES: usize = 8 * 1024 * 1024;
/// Conversations that are read ahead.
const AHEAD: usize = 4;

/// An import about to be made. See the [crate](crate).
#[derive(Clone, Default)]
#[must_use = "nothing is imported before `run`"]
pub struct Import {
    scope: Scope,
    format: Option<Format>,
    user_id: Option<String>,
    project_id: Option<String>,
    mode: ImportMode,
    limits: Limits,
    /// What a dry run would have stored by now; `None` if it is none.
    dry: Option<Arc<Mutex<Planned>>>,
    progress: Option<Progress>,
}

type Progress = Arc<dyn Fn(&Report) + Send + Sync>;

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import")
            .field("scope", &self.scope)
            .field("format", &self.format)
            .field("user_id", &self.user_id)
            .field("project_id", &self.project_id)
            .field("mode", &self.mode)
            .field("limits", &self.limits)
            .field("is_dry", &self.dry.is_some())
            .finish_non_exhaustive()
    }
}

impl Import {
    /// An import that finds out what it reads, and leaves what differs as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what is read, where it cannot be told by itself.
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets the tenant, or the user of one, whose the conversations become (default: the default
    /// tenant).
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Gives the conversations to this user, whoever had them in the source. What is stored for another user stays theirs,
    /// unless the [mode](Self::with_mode) is to overwrite.
    pub fn with_user(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// Puts the conversations into this project.
    pub fn with_project(mut self, project_id: impl Into<String>) -> Self {
        self.project_id = Some(project_id.into());
        self
    }

    /// Says what to do with a conversation that differs from what is stored under its id: with
    /// [`CreateOnly`](ImportMode::CreateOnly), the default, it is skipped, unless what is stored is an older state of it.
    pub fn with_mode(mut self, mode: ImportMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets what one conversation may become.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Finds out what would be done, and stores nothing. What comes again, in this run or in a later one of the same import, is
    /// counted as if it were stored since.
    pub fn with_dry_run(mut self) -> Self {
        self.dry = Some(Arc::default());
        self
    }

    /// Calls this after each conversation, with what was done so far.
    pub fn with_progress(mut self, progress: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Reads an input and stores its conversations; `tell` hears of every problem as it comes.
    ///
    /// Each conversation is stored whole or not at all. What cannot be read is told, and what stands behind it is read where
    /// that can be done.
    ///
    /// # Errors
    /// Those of the store that have nothing to do with the conversation, such as
    /// [`Unavailable`](ErrorKind::Unavailable). What was stored by then stays; the import can be repeated.
    ///
    /// # Cancel safety
    /// If the future is dropped, the conversations that were stored by then are stored, and some that were about to be. A
    /// repetition ends with the same store as a run in one go.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn run(
        &self,
        store: &dyn Store,
        input: impl Into<Input>,
        mut tell: impl FnMut(&Problem),
    ) -> Result<Report> {
        let input = input.into();
        let (tx, mut rx) = mpsc::channel(AHEAD);
        let (format, runtime) = (self.format, Handle::current());
        let (sink, room) = Sink::new(tx, runtime.clone(), self.limits);
        // Ends when it has read all, or when nobody listens any more.
        let reading = spawn_blocking(move || {
            // Whoever went away needs no word of it.
            let _ = input::read(input, format, &runtime, &sink);
        });
        let mut report = Report::default();
        let mut storing = FuturesUnordered::new();
        let mut being_stored: HashSet<SessionId> = HashSet::new();
        loop {
            let found = tokio::select! {
                biased;
                Some((id, done)) = storing.next(), if !storing.is_empty() => {
                    being_stored.remove(&id);
                    self.count(done, &mut report, &mut tell)?;
                    continue;
                }
                found = rx.recv(), if storing.len() < AT_ONCE => found,
            };
            let Some(found) = found else { break };
            match found {
                Found::Problem(problem) => {
                    report.failed += u64::from(problem.severity == Severity::Failed);
                    report.notes += u64::from(problem.severity == Severity::Note);
                    tell(&problem);
                }
                Found::Conversation { place, format, coming, room } => {
                    let id = coming.session().id.clone();
                    // One that comes twice is compared with what the first one stored.
                    while being_stored.contains(&id) {
                        let Some((id, done)) = storing.next().await else { break };
                        being_stored.remove(&id);
                        self.count(done, &mut report, &mut tell)?;
                    }
                    being_stored.insert(id.clone());
                    storing.push(async move {
                        let done = self.store(store, coming, format).await;
                        drop(room);
                        (id, (place, done))
                    });
                }
            }
        }
        while let Some((_, done)) = storing.next().await {
            self.count(done, &mut report, &mut tell)?;
        }
        drop((storing, room));
        match reading.await {
            Ok(()) => Ok(report),
            Err(error) => Err(ended_unexpectedly(error)),
        }
    }

    fn count(
        &self,
        (place, done): (Place, Result<Outcome>),
        report: &mut Report,
        tell: &mut impl FnMut(&Problem),
    ) -> Result<()> {
        let problem = |severity, what: String| tell(&Problem { place, severity, what });
        match done {
            Ok(Outcome::Imported(messages)) => {
                report.imported += 1;
                report.messages += messages;
            }
            Ok(Outcome::Updated(messages)) => {
                report.updated += 1;
                report.messages += messages;
            }
            Ok(Outcome::AlreadyThere) => report.already_there += 1,
            Ok(Outcome::Skipped(id, why)) => {
                report.skipped += 1;
                problem(Severity::Skipped, format!("{id} {why}"));
            }
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                report.failed += 1;
                problem(Severity::Failed, error.to_string());
            }
            Err(error) => return Err(error),
        }
        if let Some(progress) = &self.progress {
            progress(report);
        }
        Ok(())
    }

    async fn store(&self, store: &dyn Store, coming: Coming, format: Format) -> Result<Outcome> {
        let mut coming = self.assign(coming, format)?;
        // What is streamed can be read again, and what is small held twice.
        let is_whole = matches!(coming, Coming::Whole(_));
        let copied = match is_whole && coming.bytes() > MAX_COPIED_BYTES {
            true => Copied::Moved,
            false => Copied::Cloned,
        };
        let messages = coming.session().message_count;
        let mut attempts = 1;
        loop {
            let done = self.store_once(store, &mut coming, format, copied).await;
            // Somebody wrote to it, or made or deleted it, between the look and the import: another look.
            let is_other = done.as_ref().is_err_and(|error| {
                use ErrorKind::{AlreadyExists, Conflict, NotFound};
                matches!(error.kind(), Conflict | AlreadyExists | NotFound)
            });
            if !is_other || attempts == MOST_ATTEMPTS {
                return done;
            }
            if let Coming::Whole(transcript) = &coming
                && transcript.messages.len() as u64 != messages
            {
                let id = &transcript.session.id;
                let detail = format!("{id} was written to while it was stored; import it again");
                return Err(Error::invalid(detail));
            }
            attempts += 1;
        }
    }

    /// Gives a conversation to the user and the project that were chosen, and marks it.
    fn assign(&self, coming: Coming, format: Format) -> Result<Coming> {
        let assign = |session: &mut Session| {
            if let Some(user_id) = &self.user_id {
                session.user_id = Some(user_id.clone());
            }
            if let Some(project_id) = &self.project_id {
                session.project_id = Some(project_id.clone());
            }
        };
        match coming {
            Coming::Whole(mut transcript) => {
                assign(&mut transcript.session);
                origin::mark(&mut transcript, format);
                // Users and projects that were given may not fit.
                transcript.session.validate()?;
                Ok(Coming::Whole(transcript))
            }
            Coming::Streamed { conversation, bytes } => {
                let conversation = Box::new(conversation.change(assign)?);
                Ok(Coming::Streamed { conversation, bytes })
            }
        }
    }

    async fn store_once(
        &self,
        store: &dyn Store,
        coming: &mut Coming,
        format: Format,
        copied: Copied,
    ) -> Result<Outcome> {
        let session = coming.session();
        let (id, messages) = (session.id.clone(), session.message_count);
        let (stored, state) = match self.dry.as_ref().and_then(|dry| lock(dry).get(&id)) {
            Some(plan) => {
                let digest = digest_of_first(coming, plan.messages).await?;
                (Some(plan.compared(coming.session(), digest.as_deref(), format)), None)
            }
            None => match self.compare(store, coming, format).await {
                Ok((stored, state)) => (Some(stored), Some(state)),
                Err(error) if error.kind() == ErrorKind::NotFound => (None, None),
                Err(error) => return Err(error),
            },
        };
        let mode = match (&stored, self.mode) {
            (None, _) => ImportMode::CreateOnly,
            (Some(stored), _) if stored.is_same => return Ok(Outcome::AlreadyThere),
            (Some(_), ImportMode::Overwrite) => ImportMode::Overwrite,
            (Some(stored), _) => match stored.why_not_replaced(coming.session()) {
                Some(why) => return Ok(Outcome::Skipped(id, why)),
                None => state.unwrap_or_default(),
            },
        };
        match &self.dry {
            Some(dry) => {
                let digest = digest_of_first(coming, messages).await?.unwrap_or_default();
                lock(dry).add(coming.session(), digest, format);
            }
            None => match coming {
                Coming::Whole(transcript) => {
                    let given = match copied {
                        Copied::Cloned => Transcript::clone(transcript),
                        Copied::Moved => {
                            let rest = Transcript::new(transcript.session.clone(), Vec::new())?;
                            std::mem::replace(&mut **transcript, rest)
                        }
                    };
                    drop(store.import(&self.scope, given, mode).await?);
                }
                Coming::Streamed { conversation, .. } => {
                    let given = StreamedTranscript::clone(conversation);
                    drop(store.import_streamed(&self.scope, given, mode).await?);
                }
            },
        }
        Ok(match stored {
            None => Outcome::Imported(messages),
            Some(_) => Outcome::Updated(messages),
        })
    }

    /// What is stored, beside what comes, and the state that it is in.
    async fn compare(
        &self,
        store: &dyn Store,
        coming: &Coming,
        format: Format,
    ) -> Result<(Compared, ImportMode)> {
        let id = &coming.session().id;
        match coming {
            Coming::Whole(new) => {
                let mut there = store.transcript(&self.scope, id).await?;
                let state = ImportMode::in_place_of(&there.session);
                Ok((Compared::with(&mut there, new, format), state))
            }
            Coming::Streamed { conversation, .. } => {
                let there = store.session(&self.scope, id).await?;
                let stored = digest_of_stored(store, &self.scope, &there).await?;
                let digest = digest_of_first(coming, there.message_count).await?;
                let is_beginning = digest.is_some_and(|digest| digest == stored);
                let compared = Compared::by_beginning(&there, conversation.session(), is_beginning);
                Ok((compared, ImportMode::in_place_of(&there)))
            }
        }
    }
}

/// The digest of the first messages of what comes; `None` if there are fewer.
async fn digest_of_first(coming: &Coming, messages: u64) -> Result<Option<String>> {
    if messages > coming.session().message_count {
        return Ok(None);
    }
    let mut digest = MessagesDigest::new();
    let conversation = match coming {
        Coming::Whole(transcript) => {
            let first = transcript.messages.iter().zip(0..messages);
            first.for_each(|(message, _)| digest.add(message));
            return Ok(Some(digest.finish()));
        }
        Coming::Streamed { conversation, .. } => conversation.clone(),
    };
    let read = spawn_blocking(move || {
        let mut left = messages;
        conversation.for_each(&mut |message| {
            if left > 0 {
                digest.add(&message);
                left -= 1;
            }
            Ok(())
        })?;
        Ok(Some(digest.finish()))
    });
    read.await.unwrap_or_else(|error| Err(ended_unexpectedly(error)))
}

/// The digest of all messages of a stored session, which are not held at once.
///
/// # Errors
/// [`Conflict`](ErrorKind::Conflict) if it was written to meanwhile.
async fn digest_of_stored(store: &dyn Store, scope: &Scope, session: &Session) -> Result<String> {
    let mut digest = MessagesDigest::new();
    let mut query = MessageQuery::new().with_limit(MAX_PAGE);
    loop {
        let page = store.messages(scope, &session.id, &query).await?;
        page.items.iter().for_each(|message| digest.add(message));
        let Some(next) = page.next else { break };
        query = query.with_after(next);
    }
    if store.session(scope, &session.id).await? != *session {
        let detail = "the session was written to while it was compared";
        return Err(Error::new(ErrorKind::Conflict, detail).with_session(&session.id));
    }
    Ok(digest.finish())
}

fn ended_unexpectedly(error: JoinError) -> Error {
    Error::new(ErrorKind::Internal, "reading ended unexpectedly")
        .with_op("import")
        .with_source(error)
}

/// How a store gets a conversation.
#[derive(Clone, Copy, Debug)]
enum Copied {
    /// It can be given to it again, if somebody else wrote meanwhile.
    Cloned,
    /// It is in memory once.
    Moved,
}

/// Nothing panics while it is held.
fn lock(planned: &Mutex<Planned>) -> MutexGuard<'_, Planned> {
    planned.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
enum Outcome {
    Imported(u64),
    Updated(u64),
    AlreadyThere,
    Skipped(SessionId, Skipped),
}
