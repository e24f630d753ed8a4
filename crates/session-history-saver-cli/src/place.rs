//! The store that a command works on.

use std::path::Path;

use session_history_saver::{Config, Location, SessionTracker};

use crate::failure::{Failure, Result};

/// What becomes of a store that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Refused,
    Made,
    /// It stays so, and is as one without anything in it.
    Empty,
}

/// Where the store is that was named, by the command line or by the environment.
pub(crate) fn locate(named: Option<Location>) -> Result<Location> {
    match named {
        Some(location) => Ok(location),
        None => Ok(Config::from_env()?.location().clone()),
    }
}

/// Opens the store that was named, by the command line or by the environment.
pub(crate) async fn open(named: Option<Location>, missing: Missing) -> Result<SessionTracker> {
    let mut config = Config::from_env()?;
    if let Some(location) = named {
        config = config.with_location(location);
    }
    let location = config.location().clone();
    if location == Location::Memory {
        return Err(Failure::Usage(
            "a store in memory is gone when a program ends; name one with --store".to_owned(),
        ));
    }
    let is_there = match &location {
        Location::Fs(folder) => holds_conversations(folder),
        other => other.path().is_none_or(|path| path.exists()),
    };
    if !is_there && missing == Missing::Refused {
        return Err(Failure::NotFound(format!(
            "there is no store at {location}; name one with --store"
        )));
    }
    if !is_there && missing == Missing::Empty {
        config = config.with_location(Location::Memory);
    }
    Ok(SessionTracker::open(config).await?)
}

/// Whether a folder is a store, or one of the Python package that becomes one: any other would be made a store by opening it.
fn holds_conversations(folder: &Path) -> bool {
    // Of what cannot be listed, opening it says why.
    let Ok(entries) = folder.read_dir() else { return folder.exists() };
    entries.flatten().any(|entry| {
        let path = entry.path();
        entry.file_name() == "shs-fs.format"
            || path.extension().is_some_and(|end| end == "jsonl" || end == "json")
    })
}
