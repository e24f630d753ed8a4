//! Where conversations are kept.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use shs_store::{AdminStore, Error, ErrorKind, Result, Store};

/// Where conversations are kept: which backend, and its file or folder.
///
/// As text, in `SHS_STORE` for example, it is one of these:
///
/// | text | meaning |
/// |---|---|
/// | `memory:` | in the memory of the process |
/// | `fs:FOLDER` | human-readable files in a folder |
/// | `sqlite:PATH` | one SQLite file |
///
/// `fs://FOLDER` and `sqlite://PATH` mean the same, as other tools write them: `sqlite://history.db` is
/// relative to the current folder, `sqlite:///var/lib/history.db` is absolute. The path is taken as it is,
/// with no escapes and no options behind a `?`.
///
/// Every location can be named in every build; only [opening](open_store) one needs its cargo feature.
///
/// # Examples
/// ```
/// use session_history_saver::Location;
///
/// let location: Location = "sqlite:///var/lib/history.db".parse()?;
/// assert_eq!(location, Location::sqlite("/var/lib/history.db"));
/// assert_eq!(location.to_string(), "sqlite:/var/lib/history.db");
/// # Ok::<_, session_history_saver::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// The memory of the process.
    Memory,
    /// Files in this folder.
    Fs(PathBuf),
    /// This SQLite file.
    Sqlite(PathBuf),
}

impl Location {
    /// Files in a folder.
    pub fn fs(folder: impl Into<PathBuf>) -> Self {
        Self::Fs(folder.into())
    }

    /// A SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::Sqlite(path.into())
    }

    /// The name of the backend, which is also the cargo feature that it needs.
    pub fn backend(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Fs(_) => "fs",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// The file or folder, if the backend has one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::Fs(path) | Self::Sqlite(path) => Some(path),
        }
    }

    /// Checks that a path is there where one is needed.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(path) = self.path() else { return Ok(()) };
        if path.as_os_str().is_empty() {
            return Err(Error::invalid(format!(
                "the path of the {} store is empty",
                self.backend()
            )));
        }
        if path == Path::new(":memory:") {
            return Err(Error::invalid(
                "\":memory:\" is not a file; the store in memory is \"memory:\"",
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.backend())?;
        self.path().map_or(Ok(()), |path| path.display().fmt(f))
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (scheme, path) = text.split_once(':').unwrap_or((text, ""));
        let path = path.strip_prefix("//").unwrap_or(path);
        let location = match scheme {
            "memory" if path.is_empty() => Self::Memory,
            "memory" => {
                return Err(Error::invalid("the store \"memory:\" takes nothing behind the colon"));
            }
            "fs" => Self::fs(path),
            "sqlite" => Self::sqlite(path),
            _ => {
                return Err(Error::invalid(format!(
                    "{text:?} is not a store; known are: memory:, fs:FOLDER, sqlite:PATH"
                )));
            }
        };
        location.check()?;
        Ok(location)
    }
}

/// Opens the store at a location, and creates it if there is none.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported), naming the cargo feature, if the backend is not in this build;
/// [`InvalidInput`](ErrorKind::InvalidInput) if the path is empty; else as the backend's own `open`.
///
/// # Examples
/// ```
/// # if cfg!(not(feature = "memory")) { return; }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = session_history_saver::open_store(&"memory:".parse()?).await?;
/// assert_eq!(store.name(), "memory");
/// # Ok::<_, session_history_saver::Error>(())
/// # }).unwrap();
/// ```
pub async fn open_store(location: &Location) -> Result<Arc<dyn Store>> {
    // As any store, it is bound to the scope of each call.
    Ok(open_admin_store(location).await?)
}

/// As [`open_store`], with the [work across tenants](AdminStore), for whoever runs the service.
///
/// # Errors
/// As [`open_store`].
#[cfg_attr(
    not(any(feature = "fs", feature = "sqlite")),
    allow(clippy::unused_async, reason = "the other backends are opened asynchronously")
)]
pub async fn open_admin_store(location: &Location) -> Result<Arc<dyn AdminStore>> {
    location.check()?;
    match location {
        #[cfg(feature = "memory")]
        Location::Memory => Ok(Arc::new(shs_memory::MemoryStore::new())),
        #[cfg(feature = "fs")]
        Location::Fs(folder) => Ok(Arc::new(shs_fs::FsStore::open(folder).await?)),
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => Ok(Arc::new(shs_sqlite::SqliteStore::open(path).await?)),
        #[allow(unreachable_patterns, reason = "with all backends none is left")]
        absent => Err(not_in_this_build(absent)),
    }
}

/// That a backend was not compiled in.
pub(crate) fn not_in_this_build(location: &Location) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "the store {location} needs the cargo feature \"{}\" of session-history-saver, which is not \
             in this build",
            location.backend()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_written() {
        for (text, location, written) in [
            ("memory:", Location::Memory, "memory:"),
            ("memory", Location::Memory, "memory:"),
            ("fs:a/b", Location::fs("a/b"), "fs:a/b"),
            ("fs://a/b", Location::fs("a/b"), "fs:a/b"),
            ("sqlite:x.db", Location::sqlite("x.db"), "sqlite:x.db"),
            ("sqlite:///x.db", Location::sqlite("/x.db"), "sqlite:/x.db"),
            ("sqlite:C:\\x.db", Location::sqlite("C:\\x.db"), "sqlite:C:\\x.db"),
        ] {
            let read: Location = text.parse().unwrap();
            assert_eq!(read, location, "{text}");
            assert_eq!(read.to_string(), written);
        }
    }

    #[test]
    fn a_location_that_is_none_is_refused_with_the_known_ones() {
        let error = "mongodb://localhost".parse::<Location>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("memory:, fs:FOLDER, sqlite:PATH"), "{error}");
        for bad in ["", "fs:", "sqlite:", "sqlite://", "memory:x", "sqlite::memory:", "history.db"]
        {
            assert!(bad.parse::<Location>().is_err(), "{bad:?}");
        }
    }
}
