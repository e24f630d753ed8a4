//! What is done with a store's files as a whole: erasing what was deleted from them.
//!
//! The functions here take the store by its [`Location`] and open it by themselves. A program that has the store open already
//! calls the methods of the same names of the backend's own type, such as those of `sqlite::SqliteStore`: it is a clone of that
//! which it gives to a [`SessionTracker`](crate::SessionTracker).

use shs_store::{Error, ErrorKind, Result};

use crate::Location;
use crate::location::not_in_this_build;

pub use shs_store::keeping::{BackedUp, Erased, Existing, Finding, Repaired, Restored};

/// Makes sure that nothing of what was deleted remains in the files of a store.
///
/// What that takes, and what is left alone, is said at the backends' methods: `sqlite::SqliteStore::erase`, `fs::FsStore::erase`.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no store; [`Unsupported`](ErrorKind::Unsupported) if it is in memory, or its backend not
/// in this build; [`Unavailable`](ErrorKind::Unavailable) if something hinders it: what was deleted is deleted then, but its text may
/// remain in the files until this is repeated. Else as the backend's `open`.
#[cfg_attr(
    not(any(feature = "fs", feature = "sqlite")),
    allow(clippy::unused_async, reason = "the backends with files work asynchronously")
)]
pub async fn erase(location: &Location) -> Result<Erased> {
    check(location, "erase")?;
    match location {
        #[cfg(feature = "fs")]
        Location::Fs(folder) => {
            let store = shs_fs::FsStore::open(folder).await?;
            let erased = store.erase().await;
            shs_store::Store::close(&store).await?;
            erased
        }
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => {
            let store = shs_sqlite::SqliteStore::open(path).await?;
            let erased = store.erase().await;
            shs_store::Store::close(&store).await?;
            erased
        }
        #[allow(unreachable_patterns, reason = "with all backends none is left")]
        absent => Err(not_in_this_build(absent)),
    }
}

/// Refuses what has no files, or none yet.
fn check(location: &Location, op: &'static str) -> Result<()> {
    location.check()?;
    let Some(path) = location.path() else {
        let detail = "a store in memory has no files";
        return Err(Error::new(ErrorKind::Unsupported, detail).with_op(op));
    };
    if path.exists() {
        return Ok(());
    }
    let detail = format!("there is no store at {location}");
    Err(Error::new(ErrorKind::NotFound, detail).with_op(op))
}
