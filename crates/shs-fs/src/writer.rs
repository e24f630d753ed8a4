//! All writing: one thread takes changes from a bounded queue, writes many of them, waits once for the disk, and
//! acknowledges them then.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use shs_store::{Clock, Error, Result, SessionKey};
use tokio::sync::{mpsc, oneshot};

use crate::disk::Disk;
use crate::folder::Folder;
use crate::state::State;
use crate::work::Work;

/// Most changes that are synced together.
const MAX_CHANGES: usize = 512;

/// What the writing thread and the readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: Folder,
    pub(crate) state: RwLock<State>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A change, and how its caller is answered.
pub(crate) struct Job {
    /// The session whose file it may append to.
    session: Option<SessionKey>,
    run: Box<dyn FnOnce(&mut Work<'_>) -> Answer + Send>,
}

/// Gives the caller the outcome, or an error in its place.
type Answer = Box<dyn FnOnce(Option<Error>)>;

impl Job {
    /// A change, and where its answer arrives.
    pub(crate) fn new<T: Send + 'static>(
        session: Option<SessionKey>,
        change: impl FnOnce(&mut Work<'_>) -> Result<T> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = oneshot::channel();
        let run = move |work: &mut Work<'_>| -> Answer {
            let outcome = change(work);
            Box::new(move |failed| {
                let outcome = match failed {
                    Some(error) if outcome.is_ok() => Err(error),
                    _ => outcome,
                };
                // A caller who went away does not need the answer.
                let _ = reply.send(outcome);
            })
        };
        (Self { session, run: Box::new(run) }, answer)
    }
}

/// Works until every sender of the queue is gone and the queue is empty.
pub(crate) fn work(shared: &Shared, mut disk: Disk, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        run(shared, &mut disk, first, &mut queue);
    }
    // Else the next opening does it.
    if let Err(error) = disk.remove_journal(&shared.folder) {
        tracing::warn!(%error, "the journal could not be removed");
    }
}

/// Waits until every sender is gone, for a folder that is only read.
pub(crate) fn wait(mut queue: mpsc::Receiver<Job>) {
    while queue.blocking_recv().is_some() {}
}

/// Makes a change, and those that come while this is done. Readers wait meanwhile: what they see is on disk.
fn run(shared: &Shared, disk: &mut Disk, first: Job, queue: &mut mpsc::Receiver<Job>) {
    let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
    let mut work = Work::new(&shared.folder, &mut state, &*shared.clock, disk);
    let mut answers: Vec<(Option<SessionKey>, Answer)> = Vec::new();
    // The queue is looked into after each: callers who were answered a moment ago may be back before the sync, which costs
    // the most.
    let mut next = Some(first);
    while let Some(Job { session, run }) = next {
        answers.push((session, run(&mut work)));
        next = if answers.len() < MAX_CHANGES { queue.try_recv().ok() } else { None };
    }
    let failed: HashMap<SessionKey, Error> = work.sync().into_iter().collect();
    work.tidy(answers.iter().filter_map(|(session, _)| session.as_ref()));
    drop(state);
    for (session, answer) in answers {
        let failure = session.and_then(|key| failed.get(&key).map(|error| (key, error)));
        answer(failure.map(|(key, error)| {
            Error::new(error.kind(), error.detail().to_owned()).with_session(&key.id)
        }));
    }
}
