//! One error for every store, made for acting on.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::{MessageId, SessionId};

/// The result of an operation on a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms of what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The session or message does not exist. Create it, or correct the id.
    NotFound,
    /// The id is taken. Choose another, or work with what is there.
    AlreadyExists,
    /// What is stored differs from what the caller expected. Read it again and decide anew.
    Conflict,
    /// The input breaks a rule or a limit. Correct it; a retry fails the same way.
    InvalidInput,
    /// This store, or this build, cannot do it.
    Unsupported,
    /// What is stored is damaged, or is not this library's data.
    Corrupt,
    /// The storage cannot be reached or written now: locked, full, read-only, offline.
    ///
    /// For a write this does not say whether it was stored: repeat it with the same message ids.
    Unavailable,
    /// The store has been closed.
    Closed,
    /// A fault of the store itself.
    Internal,
}

impl ErrorKind {
    /// The kind in words, as error messages have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::Conflict => "conflict",
            Self::InvalidInput => "invalid input",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
            Self::Unavailable => "unavailable",
            Self::Closed => "closed",
            Self::Internal => "internal error",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

type Source = Box<dyn StdError + Send + Sync>;

/// An error of a store: a [kind](ErrorKind), what it was doing, and with which ids.
///
/// It is one word wide. Its message never holds the content of a conversation. The cause, where there
/// is one, is in [`source`](StdError::source), not in the message. Clones share the cause.
#[derive(Clone)]
pub struct Error(Box<Context>);

#[derive(Clone)]
struct Context {
    kind: ErrorKind,
    detail: Cow<'static, str>,
    store: Option<&'static str>,
    op: Option<&'static str>,
    session: Option<SessionId>,
    message: Option<MessageId>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `detail` says what is wrong and, where it helps, what to do.
    pub fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Context {
            kind,
            detail: detail.into(),
            store: None,
            op: None,
            session: None,
            message: None,
            source: None,
        }))
    }

    /// An [`InvalidInput`](ErrorKind::InvalidInput) error.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, detail)
    }

    /// A [`Corrupt`](ErrorKind::Corrupt) error.
    pub fn corrupt(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupt, detail)
    }

    /// A [`Closed`](ErrorKind::Closed) error.
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the store is closed")
    }

    /// The session does not exist.
    pub fn session_not_found(id: &SessionId) -> Self {
        Self::new(ErrorKind::NotFound, "no such session").with_session(id)
    }

    /// The message does not exist in the session.
    pub fn message_not_found(session: &SessionId, message: &MessageId) -> Self {
        Self::new(ErrorKind::NotFound, "no such message in the session")
            .with_session(session)
            .with_message(message)
    }

    /// The session's id is taken.
    pub fn session_exists(id: &SessionId) -> Self {
        Self::new(ErrorKind::AlreadyExists, "a session with this id exists").with_session(id)
    }

    /// Names the store in which it happened.
    #[must_use]
    pub fn with_store(mut self, store: &'static str) -> Self {
        self.0.store.get_or_insert(store);
        self
    }

    /// Names the operation during which it happened.
    #[must_use]
    pub fn with_op(mut self, op: &'static str) -> Self {
        self.0.op.get_or_insert(op);
        self
    }

    /// Names the session concerned.
    #[must_use]
    pub fn with_session(mut self, id: &SessionId) -> Self {
        self.0.session.get_or_insert_with(|| id.clone());
        self
    }

    /// Names the message concerned.
    #[must_use]
    pub fn with_message(mut self, id: &MessageId) -> Self {
        self.0.message.get_or_insert_with(|| id.clone());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// What went wrong, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is wrong, in words, without store, operation and ids.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The store in which it happened, such as `"sqlite"`.
    pub fn store(&self) -> Option<&'static str> {
        self.0.store
    }

    /// The operation during which it happened, such as `"append"`.
    pub fn op(&self) -> Option<&'static str> {
        self.0.op
    }

    /// The session concerned.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.0.session.as_ref()
    }

    /// The message concerned.
    pub fn message_id(&self) -> Option<&MessageId> {
        self.0.message.as_ref()
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Context { kind, detail, store, op, session, message, .. } = &*self.0;
        if let Some(store) = store {
            write!(f, "{store}: ")?;
        }
        if let Some(op) = op {
            write!(f, "{op}: ")?;
        }
        write!(f, "{kind}: {detail}")?;
        match (session, message) {
            (Some(session), Some(message)) => write!(f, " (session {session}, message {message})"),
            (Some(session), None) => write!(f, " (session {session})"),
            (None, Some(message)) => write!(f, " (message {message})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Context { kind, detail, store, op, session, message, source } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("detail", detail)
            .field("store", store)
            .field("op", op)
            .field("session", session)
            .field("message", message)
            .field("source", source)
            .finish()
    }
}

impl From<Infallible> for Error {
    /// For conversions that may fail in general and cannot here.
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_wide_and_says_where() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let id = SessionId::new("billing-1").unwrap();
        let error = Error::session_not_found(&id).with_store("sqlite").with_op("append");
        assert_eq!(
            error.to_string(),
            "sqlite: append: not found: no such session (session billing-1)"
        );
    }
}
