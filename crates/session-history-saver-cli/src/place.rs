//! The store that a command works on.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use session_history_saver::{
    AdminStore, Config, Location, SessionTracker, Store, TenantId, open_admin_store,
    open_store_to_read,
};

use crate::failure::{Failure, Result};

/// The file by which a folder is known to be a store.
pub(crate) const MARKER: &str = "shs-fs.format";
/// How a database begins.
pub(crate) const DATABASE: &[u8] = b"SQLite format 3\0";

/// What becomes of a store that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Refused,
    Made,
    /// It stays so, and is as one without anything in it.
    Empty,
}

/// What a command does to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It writes nothing, neither to it nor next to it, and migrates nothing.
    Read,
    Write,
}

/// Where the store is that was named, by the command line or by the environment.
pub(crate) fn locate(named: Option<Location>) -> Result<Location> {
    match named {
        Some(location) => Ok(location),
        None => Ok(Config::from_env()?.location().clone()),
    }
}

/// A store, and the conversations of one tenant in it.
pub(crate) struct Opened {
    /// Of all tenants.
    pub(crate) store: Arc<dyn AdminStore>,
    pub(crate) history: SessionTracker,
}

impl Opened {
    fn new(store: Arc<dyn AdminStore>, tenant: Option<&TenantId>) -> Result<Self> {
        let history = SessionTracker::with_store(Arc::clone(&store) as Arc<dyn Store>);
        let history = match tenant {
            Some(tenant) => history.tenant(tenant.as_str())?,
            None => history,
        };
        Ok(Self { store, history })
    }
}

/// Opens the store at a location, for the work on a tenant.
pub(crate) async fn open(
    location: &Location,
    missing: Missing,
    access: Access,
    tenant: Option<&TenantId>,
) -> Result<Opened> {
    if *location == Location::Memory {
        return Err(Failure::Usage(
            "a store in memory is gone when a program ends; name one with --store".to_owned(),
        ));
    }
    check_kind(location)?;
    let is_there = match location {
        Location::Fs(folder) => is_store(folder)?,
        other => match other.path() {
            Some(path) => exists(path)?,
            None => true,
        },
    };
    let store = match (is_there, missing) {
        (false, Missing::Refused) => {
            let what = format!("there is no store at {location}; name one with --store");
            return Err(Failure::NotFound(what));
        }
        (false, Missing::Empty) => open_admin_store(&Location::Memory).await?,
        _ if access == Access::Read => {
            if let Location::Fs(folder) = location
                && !folder.join(MARKER).exists()
            {
                return Err(Failure::Failed(format!(
                    "{} holds sessions of the Python package; shs migrate makes a store of it, and keeps them",
                    folder.display()
                )));
            }
            open_store_to_read(location).await?
        }
        _ => {
            check_place(location)?;
            open_admin_store(location).await?
        }
    };
    Opened::new(store, tenant)
}

/// Refuses a folder where a file should be, and the other way round.
fn check_kind(location: &Location) -> Result<()> {
    let wrong = match location {
        Location::Fs(path) if path.is_file() => {
            "is a file, and fs: names a folder; for a database write sqlite:"
        }
        Location::Sqlite(path) if path.is_dir() => {
            "is a folder, and sqlite: names a file; for a folder of files write fs:"
        }
        _ => return Ok(()),
    };
    let path = location.path().unwrap_or(Path::new("")).display();
    Err(Failure::Usage(format!("{path} {wrong}")))
}

/// Refuses to make a store of a file that is no database, or of a folder with other files in it,
/// before anything is made there.
pub(crate) fn check_place(location: &Location) -> Result<()> {
    check_kind(location)?;
    check_file(location)?;
    let Location::Fs(folder) = location else { return Ok(()) };
    if is_store(folder)? || folder.read_dir().map_or(true, |mut entries| entries.next().is_none()) {
        return Ok(());
    }
    let folder = folder.display();
    Err(Failure::Usage(format!(
        "{folder} is no store, and has other files in it; name a folder that is empty or not there yet"
    )))
}

/// Refuses a file that is no database before anything is made next to it.
fn check_file(location: &Location) -> Result<()> {
    let Location::Sqlite(path) = location else { return Ok(()) };
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut head = Vec::new();
    let read = file.take(DATABASE.len() as u64).read_to_end(&mut head);
    // An empty file becomes one.
    match read {
        Ok(0) => Ok(()),
        Ok(_) if head == DATABASE => Ok(()),
        _ => Err(Failure::Failed(format!("{} is not a SQLite database", path.display()))),
    }
}

/// Whether a folder is a store, or one of the Python package that becomes one: any other would be made a store by opening it.
fn is_store(folder: &Path) -> Result<bool> {
    if folder.join(MARKER).exists() {
        return Ok(true);
    }
    // Of what cannot be listed, opening it says why.
    let Ok(entries) = folder.read_dir() else { return exists(folder) };
    let mut files = entries.flatten().map(|entry| entry.path());
    let has_end = |path: &Path, wanted: &str| path.extension().is_some_and(|end| end == wanted);
    let mut sessions = 0;
    let is_python = files.all(|path| {
        let is_session = has_end(&path, "json");
        sessions += usize::from(is_session);
        !has_end(&path, "jsonl") && (!is_session || is_session_of_python(&path))
    });
    Ok(is_python && sessions > 0)
}

/// Whether something is there: what may not be looked at is not taken for missing.
fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|error| {
        Failure::Failed(format!("{} cannot be looked at: {error}", path.display()))
    })
}

/// Whether a file is a session as the Python package writes it.
fn is_session_of_python(path: &Path) -> bool {
    let Ok(text) = std::fs::read(path) else { return false };
    let Ok(Value::Object(session)) = serde_json::from_slice(&text) else { return false };
    session.contains_key("session_id") && session.get("messages").is_some_and(Value::is_array)
}

/// The files of a folder and of those in it: each tenant's are in one of its own.
pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // A folder that was removed meanwhile counts as empty.
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { &mut folders } else { &mut files }.push(entry.path());
        }
    }
    files
}
