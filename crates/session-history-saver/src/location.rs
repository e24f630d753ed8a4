//! Where conversations are kept.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use shs_store::{AdminStore, Error, ErrorKind, Result, Store};

/// Where conversations are kept: which backend, and its file or folder.
///
/// As text, in `SHS_STORE` and `--store` for example, it is one of these, and nothing else:
///
/// | text | meaning |
/// |---|---|
/// | `memory:`, `memory` | in the memory of the process |
/// | `fs:FOLDER`, `fs://FOLDER` | human-readable files in a folder |
/// | `sqlite:PATH`, `sqlite://PATH` | one SQLite file |
/// | `sqlite:PATH?mode=rwc` | the same: the file is made if it is missing |
///
/// `sqlite://history.db` is relative to the current folder, `sqlite:///var/lib/history.db` is
/// absolute. The path is taken as it is: `%20` stands for itself, and `sqlite:file:x.db` is a file
/// with the name `file:x.db`. Only a `?` in a `sqlite:` begins an option; a database with one in
/// its path is named by [`Location::sqlite`] or `SHS_DB_PATH`.
///
/// Other forms that sqlx and SQLite know are refused, with what to write in their place:
/// `sqlite::memory:` and `mode=memory` (`memory:` is the store without files), `mode=ro` and
/// `mode=rw` (what only reads opens a store to read only by itself), any other option, and
/// `file:PATH`.
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
        let path = path.into();
        // SQLite would take it for a URI.
        let is_like_uri = path.as_os_str().as_encoded_bytes().starts_with(b"file:");
        Self::Sqlite(if is_like_uri { Path::new(".").join(path) } else { path })
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
            "sqlite" => Self::sqlite(without_options(path)?),
            "file" => {
                return Err(Error::invalid(format!(
                    "{text:?} is SQLite's own form of a path; name it sqlite:PATH"
                )));
            }
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

/// The path of a database in a URL.
fn without_options(path: &str) -> Result<&str> {
    let Some((path, options)) = path.split_once('?') else { return Ok(path) };
    let refused = |what: &str| Err(Error::invalid(format!("the option {options:?} {what}")));
    match options {
        "mode=rwc" => Ok(path),
        "mode=memory" => refused("makes no file; the store in memory is \"memory:\""),
        "mode=ro" | "mode=rw" => {
            refused("is not needed: what only reads opens a store to read only; leave it out")
        }
        _ => refused(
            "is not known; \"mode=rwc\" is, and a path with a question mark is named by SHS_DB_PATH",
        ),
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

/// Opens the store at a location to read only: nothing is written, neither to it nor next to it.
///
/// See `sqlite::SqliteOptions::with_read_only` and `fs::FsOptions::with_read_only` for what that
/// means.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no store; [`Unsupported`](ErrorKind::Unsupported)
/// if it has to be migrated first, or is in memory, or its backend not in this build; else as the
/// backend's own `open`.
#[cfg_attr(
    not(any(feature = "fs", feature = "sqlite")),
    allow(clippy::unused_async, reason = "the other backends are opened asynchronously")
)]
pub async fn open_store_to_read(location: &Location) -> Result<Arc<dyn AdminStore>> {
    location.check()?;
    match location {
        Location::Memory => Err(Error::new(
            ErrorKind::Unsupported,
            "a store in memory is empty when it is opened; it cannot be opened to read only",
        )),
        #[cfg(feature = "fs")]
        Location::Fs(folder) => {
            Ok(Arc::new(shs_fs::FsOptions::new(folder).with_read_only().open().await?))
        }
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => {
            Ok(Arc::new(shs_sqlite::SqliteOptions::new(path).with_read_only().open().await?))
        }
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
    fn every_form_of_sqlx_and_sqlite_is_taken_or_refused_with_what_to_write() {
        for (text, path) in [
            ("sqlite:x.db", "x.db"),
            ("sqlite://x.db", "x.db"),
            ("sqlite:///a/x.db", "/a/x.db"),
            ("sqlite:/a/x.db", "/a/x.db"),
            ("sqlite:../x.db", "../x.db"),
            ("sqlite:x.db?mode=rwc", "x.db"),
            ("sqlite:///a/x.db?mode=rwc", "/a/x.db"),
            ("sqlite:a%20b.db", "a%20b.db"),
            ("sqlite:a#b.db", "a#b.db"),
            ("sqlite:file:x.db", "./file:x.db"),
            ("sqlite://file:x.db", "./file:x.db"),
        ] {
            let read: Location = text.parse().unwrap();
            assert_eq!(read.path(), Some(Path::new(path)), "{text}");
            assert_eq!(read.to_string().parse::<Location>().unwrap(), read, "{text}");
        }
        for (text, why) in [
            ("sqlite::memory:", "\"memory:\""),
            ("sqlite://:memory:", "\"memory:\""),
            ("sqlite:x.db?mode=memory", "\"memory:\""),
            ("sqlite:x.db?mode=ro", "leave it out"),
            ("sqlite:x.db?mode=rw", "leave it out"),
            ("sqlite:x.db?cache=shared", "is not known"),
            ("sqlite:x.db?mode=rwc&cache=shared", "is not known"),
            ("sqlite:a?b.db", "SHS_DB_PATH"),
            ("sqlite:", "empty"),
            ("sqlite://", "empty"),
            ("sqlite:?mode=rwc", "empty"),
            ("file:x.db", "sqlite:PATH"),
            ("file:x.db?mode=ro", "sqlite:PATH"),
            ("x.db", "sqlite:PATH"),
        ] {
            let error = text.parse::<Location>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
        // A question mark is no option where a program or SHS_DB_PATH names the file.
        assert_eq!(Location::sqlite("a?b.db").path(), Some(Path::new("a?b.db")));
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
