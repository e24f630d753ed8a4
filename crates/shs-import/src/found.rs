//! What readers hand on while they read.

use std::cell::Cell;
use std::sync::Arc;

use shs_store::{Session, StreamedTranscript, Transcript};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::bounded::bytes_of_map;
use crate::conversation::no_time;
use crate::limits::MAX_WAITING_BYTES;
use crate::{Format, Limits, Place, Problem, Severity};

/// Bytes of one permit.
const UNIT: usize = 1024;
/// The permits that there are.
const PERMITS: u32 = (MAX_WAITING_BYTES / UNIT) as u32;

/// A conversation, or something to tell.
#[derive(Debug)]
pub(crate) enum Found {
    Conversation {
        place: Place,
        format: Format,
        coming: Coming,
        /// Its place among those that wait, until it is stored.
        room: OwnedSemaphorePermit,
    },
    Problem(Problem),
}

/// A conversation that comes.
#[derive(Debug)]
pub(crate) enum Coming {
    Whole(Box<Transcript>),
    /// Long, and of a form that is stored without a mark of its source.
    Streamed {
        conversation: Box<StreamedTranscript>,
        /// What it takes in memory, roughly.
        bytes: usize,
    },
}

impl Coming {
    pub(crate) fn session(&self) -> &Session {
        match self {
            Self::Whole(transcript) => &transcript.session,
            Self::Streamed { conversation, .. } => conversation.session(),
        }
    }

    /// What it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Whole(transcript) => bytes_of(transcript),
            Self::Streamed { bytes, .. } => *bytes,
        }
    }
}

impl From<Transcript> for Coming {
    fn from(transcript: Transcript) -> Self {
        Self::Whole(Box::new(transcript))
    }
}

/// Whoever stores it went away: the import has failed or was dropped.
#[derive(Debug)]
pub(crate) struct Gone;

/// Takes what a reader finds; it waits when too much is found at once.
#[derive(Debug)]
pub(crate) struct Sink {
    tx: mpsc::Sender<Found>,
    room: Arc<Semaphore>,
    runtime: Handle,
    limits: Limits,
    /// Conversations without any time, which were not told yet.
    timeless: Cell<u64>,
}

/// The memory that conversations may take which wait to be stored. When it is dropped, nobody waits
/// for it any more.
#[derive(Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Sink {
    pub(crate) fn new(tx: mpsc::Sender<Found>, runtime: Handle, limits: Limits) -> (Self, Room) {
        let room = Arc::new(Semaphore::new(PERMITS as usize));
        let kept = Room(Arc::clone(&room));
        (Self { tx, room, runtime, limits, timeless: Cell::new(0) }, kept)
    }

    /// What a conversation may become.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn conversation(
        &self,
        place: Place,
        format: Format,
        coming: impl Into<Coming>,
    ) -> Result<(), Gone> {
        let coming = coming.into();
        let messages = usize::try_from(coming.session().message_count).unwrap_or(usize::MAX);
        if let Some(why) = self.limits.too_many(messages) {
            return self.failed(place, why);
        }
        let session = coming.session();
        if [session.created_at, session.updated_at] == [no_time(); 2] {
            self.timeless.set(self.timeless.get() + 1);
        }
        let room = self.room_for(coming.bytes())?;
        self.send(Found::Conversation { place, format, coming, room })
    }

    /// Tells how many conversations had no time, since the last time that this was told.
    pub(crate) fn tell_timeless(&self, place: &Place) -> Result<(), Gone> {
        let what = match self.timeless.take() {
            0 => return Ok(()),
            1 => "one conversation has no time; 1970-01-01 stands for it".to_owned(),
            count => format!("{count} conversations have no times; 1970-01-01 stands for them"),
        };
        self.note(place.clone(), what)
    }

    /// Waits until there is as much memory as a text of JSON takes before it is a conversation.
    pub(crate) fn wait_for(&self, bytes: usize) -> Result<(), Gone> {
        self.room_for(bytes).map(drop)
    }

    pub(crate) fn failed(&self, place: Place, what: impl Into<String>) -> Result<(), Gone> {
        self.problem(place, Severity::Failed, what)
    }

    pub(crate) fn note(&self, place: Place, what: impl Into<String>) -> Result<(), Gone> {
        self.problem(place, Severity::Note, what)
    }

    /// A part of the memory for what waits: all of it for what takes more.
    fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Gone> {
        let permits = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, PERMITS);
        let room = Arc::clone(&self.room).acquire_many_owned(permits);
        self.runtime.block_on(room).map_err(|_| Gone)
    }

    fn problem(
        &self,
        place: Place,
        severity: Severity,
        what: impl Into<String>,
    ) -> Result<(), Gone> {
        self.send(Found::Problem(Problem { place, severity, what: what.into() }))
    }

    fn send(&self, found: Found) -> Result<(), Gone> {
        self.tx.blocking_send(found).map_err(|_| Gone)
    }
}

fn bytes_of(transcript: &Transcript) -> usize {
    let session = &transcript.session;
    let head = bytes_of_map(&session.metadata) + bytes_of_map(&session.extra);
    transcript.messages.iter().fold(head, |sum, message| {
        let parts: usize = message.parts.iter().map(|part| bytes_of_map(part.as_object())).sum();
        let maps = parts + bytes_of_map(&message.metadata) + bytes_of_map(&message.extra);
        sum + size_of_val(message) + message.id.as_str().len() + message.content.len() + maps
    })
}
