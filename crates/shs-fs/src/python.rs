//! The folder of the Python package `session-history-saver` 1.0: one `.json` file a session.
//!
//! Each becomes a file of ours; the original stays beside it as `NAME.json.python-backup`. It can be done in
//! several goes: a file is renamed after ours is on disk.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shs_store::{Error, Result, Scope, Session, SessionId, Transcript, python};
use uuid::Uuid;

use crate::conversation::{Conversation, WholeFile};
use crate::folder::{Folder, PYTHON_BACKUP, unavailable};
use crate::name::file_name;

/// Brings all files of the Python package into ours, last written session last; returns how many.
///
/// All are read before the first is changed. Numbers of arrival up to `noted` are not given.
pub(crate) fn migrate(folder: &Folder, noted: i64) -> Result<usize> {
    let mut found = Vec::new();
    for path in folder.with_extension("json")? {
        found.push((read(&path)?, path));
    }
    if found.is_empty() {
        return Ok(0);
    }
    found.sort_by(|a, b| {
        let key = |session: &Session| (session.updated_at, session.id.clone());
        key(&a.0.session).cmp(&key(&b.0.session))
    });
    let mut arrival = noted;
    for name in folder.names()? {
        // One that cannot be read keeps nobody from what is to be migrated; its numbers are behind
        // those noted, or known as given twice.
        let Ok(conversation) = Conversation::read(folder, &name) else { continue };
        arrival = arrival.max(conversation.last_arrival());
    }
    let mut taken = HashSet::new();
    let count = found.len();
    for (mut transcript, path) in found {
        let id = transcript.session.id.clone();
        let mut stored = stored(folder, &transcript)?;
        // An id that does not fit was replaced; of two files with one id both stay.
        let has_own_id = !transcript.session.extra.contains_key(ORIGINAL_ID);
        if !has_own_id || !taken.insert(id.clone()) || stored == Stored::Another {
            transcript.session.id = id_for(&path, &transcript.session)?;
            transcript.session.extra.entry(ORIGINAL_ID).or_insert_with(|| id.as_str().into());
            stored = self::stored(folder, &transcript)?;
        }
        if stored == Stored::Another {
            transcript.session.id = SessionId::generate();
        }
        if stored != Stored::Same {
            let first = arrival;
            arrival += transcript.messages.len() as i64;
            publish(folder, &transcript, first)?;
        }
        folder.rename(&path, &backup_name(&path)).map_err(|error| {
            unavailable("a file of the Python package cannot be renamed", error)
        })?;
    }
    if count > 0 {
        tracing::info!(sessions = count, "migrated a folder of the Python package");
    }
    Ok(count)
}

/// Reads a session of the Python package.
///
/// # Errors
/// `Corrupt` if it is none.
pub(crate) fn read(path: &Path) -> Result<Transcript> {
    let text = std::fs::read(path)
        .map_err(|error| unavailable(&format!("{} cannot be read", path.display()), error))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| {
        let detail = format!(
            "{} is not whole JSON (line {}, column {}); repair it, or move it out of the folder",
            path.display(),
            error.line(),
            error.column()
        );
        Error::corrupt(detail).with_source(error)
    })?;
    if value.get("session_id").is_none_or(Value::is_null) {
        let detail = format!(
            "{} is not a session of the Python package; move it out of the folder",
            path.display()
        );
        return Err(Error::corrupt(detail));
    }
    python::transcript(value).map_err(|error| {
        let detail = format!(
            "{} cannot be migrated; repair it, or move it out of the folder",
            path.display()
        );
        Error::corrupt(detail).with_source(error)
    })
}

/// Where a session whose id was replaced keeps the original one.
const ORIGINAL_ID: &str = "python_session_id";

/// An id in the place of one that cannot be used: always the same for the same file, so that another go
/// finds what this one wrote.
fn id_for(path: &Path, session: &Session) -> Result<SessionId> {
    let original = session.extra.get(ORIGINAL_ID).map(Value::to_string);
    let original = original.unwrap_or_else(|| session.id.as_str().to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unique = format!("{name}/{original}");
    SessionId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, unique.as_bytes()).to_string())
}

/// What is there under a session's id.
#[derive(Clone, Copy, PartialEq)]
enum Stored {
    Nothing,
    /// This conversation: an earlier go, which did not come to rename the original, wrote it.
    Same,
    Another,
}

fn stored(folder: &Folder, transcript: &Transcript) -> Result<Stored> {
    let name = file_name(&Scope::DEFAULT.key(&transcript.session.id));
    if !folder.path_of(&name).exists() {
        return Ok(Stored::Nothing);
    }
    let conversation = Conversation::read(folder, &name)?;
    if conversation.entries.len() != transcript.messages.len() {
        return Ok(Stored::Another);
    }
    for (entry, message) in conversation.entries.iter().zip(&transcript.messages) {
        // Ids and times that the original does not have differ from go to go.
        let stored = conversation.load(folder, entry)?;
        if (stored.seq, stored.role, &stored.content)
            != (message.seq, message.role, &message.content)
        {
            return Ok(Stored::Another);
        }
    }
    Ok(Stored::Same)
}

fn publish(folder: &Folder, transcript: &Transcript, before: i64) -> Result<()> {
    let session = &transcript.session;
    let failed = |error| unavailable("a conversation cannot be written", error);
    let staged = folder.stage(&file_name(&Scope::DEFAULT.key(&session.id))).map_err(failed)?;
    let mut file = WholeFile::begin(staged, session, transcript.messages.len())?;
    for (message, arrival) in transcript.messages.iter().zip(before + 1..) {
        file.add_new(message, arrival)?;
    }
    folder.put(file.into_staged()).map_err(failed)
}

fn backup_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(PYTHON_BACKUP);
    name.into()
}
