//! What went wrong, and the exit code of it.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::process::ExitCode;

use session_history_saver::{Error, ErrorKind};

/// Why a command did not do what it was told.
#[derive(Debug)]
pub(crate) enum Failure {
    Store(Error),
    Io(io::Error),
    /// The command line asks for something that cannot be.
    Usage(String),
    NotFound(String),
    Failed(String),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Store(error) if error.kind() == ErrorKind::NotFound => 3,
            Self::Store(error) if error.kind() == ErrorKind::InvalidInput => 2,
            Self::NotFound(_) => 3,
            Self::Usage(_) => 2,
            Self::Store(_) | Self::Io(_) | Self::Failed(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => {
                write!(f, "{error}")?;
                let mut source = error.source();
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
            Self::Io(error) => write!(f, "{error}"),
            Self::Usage(what) | Self::NotFound(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
