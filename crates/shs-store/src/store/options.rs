//! Options and results of the operations of a store.

use crate::{Error, ErrorKind, Message, Result, Scope, Seq, Session, SessionId, Timestamp};

/// What an acknowledged write survives, in a backend that has a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process and a loss of power: a write is acknowledged when the disk has it.
    #[default]
    Full,
    /// The end of the process, but not a loss of power, which may take the last writes. What was
    /// [flushed](crate::Store::flush) is safe.
    Relaxed,
}

/// What must hold for an append to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// The session's [`last_seq`](crate::Session::last_seq) is this: nothing was appended since the
    /// caller read it.
    LastSeq(Seq),
}

/// How to append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendOptions {
    /// What must hold; nothing if `None`.
    pub expected: Option<Expected>,
}

impl AppendOptions {
    /// No conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends only if this holds.
    #[must_use]
    pub fn with_expected(mut self, expected: Expected) -> Self {
        self.expected = Some(expected);
        self
    }
}

/// What an append stored, or found stored.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Appended {
    /// The messages of the batch, in its order, as they are stored.
    pub messages: Vec<Message>,
    /// How many of them this call stored; the others were there already.
    pub inserted: usize,
}

impl Appended {
    /// The result of an append; for backends.
    pub fn new(messages: Vec<Message>, inserted: usize) -> Self {
        Self { messages, inserted }
    }
}

/// What to do with an import if the session exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportMode {
    /// Refuse it with [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    #[default]
    CreateOnly,
    /// Put the import in its place, whole.
    Overwrite,
    /// Put the import in the place of just this state of the session, whole: refuse it with
    /// [`Conflict`](crate::ErrorKind::Conflict) if the session was written to since, as its last number and its time tell, and with
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is gone. So nothing is lost that was said meanwhile.
    InPlaceOf {
        /// The last number that the session has.
        last_seq: Seq,
        /// When it was last written to.
        updated_at: Timestamp,
    },
}

impl ImportMode {
    /// In the place of a session as it was read.
    pub fn in_place_of(session: &Session) -> Self {
        Self::InPlaceOf { last_seq: session.last_seq, updated_at: session.updated_at }
    }

    /// Whether a session of this id may be imported where this one of the scope's tenant is stored,
    /// or none; for backends.
    ///
    /// # Errors
    /// Those of [`Store::import`](crate::Store::import) that depend on what is stored.
    pub fn check(self, scope: &Scope, id: &SessionId, stored: Option<&Session>) -> Result<()> {
        match (self, stored) {
            // It does not exist within the scope, and its id is taken all the same.
            (Self::CreateOnly | Self::Overwrite, Some(stored)) if !scope.has(stored) => {
                Err(Error::session_exists(id))
            }
            (Self::InPlaceOf { .. }, Some(stored)) if !scope.has(stored) => {
                Err(Error::session_not_found(id))
            }
            (Self::CreateOnly, Some(_)) => Err(Error::session_exists(id)),
            (Self::InPlaceOf { .. }, None) => Err(Error::session_not_found(id)),
            (Self::InPlaceOf { .. }, Some(stored)) if Self::in_place_of(stored) != self => {
                let detail = "the session was written to since it was read; read it again";
                Err(Error::new(ErrorKind::Conflict, detail).with_session(id))
            }
            _ => Ok(()),
        }
    }
}

/// What a deletion took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// Sessions.
    pub sessions: u64,
    /// Messages in them.
    pub messages: u64,
}

impl Deleted {
    /// So many sessions, with so many messages; for backends.
    pub fn new(sessions: u64, messages: u64) -> Self {
        Self { sessions, messages }
    }
}
