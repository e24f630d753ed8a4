//! The folder of the Python package `session-history-saver` 1.0: one `.json` file a session.
//!
//! Each becomes a file of ours; the original stays beside it as `NAME.json.python-backup`. It can be done in
//! several goes: a file is renamed after ours is on disk.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shs_store::{Error, Result, Session, SessionId, Transcript, python};

use crate::conversation::{Conversation, whole_file};
use crate::folder::{Folder, unavailable};
use crate::name::file_name;

/// Brings all files of the Python package into ours, last written session last; returns how many.
///
/// All are read before the first is changed.
pub(crate) fn migrate(folder: &Folder) -> Result<usize> {
    let mut found = Vec::new();
    for path in folder.with_extension("json")? {
        found.push((read(&path)?, path));
    }
    found.sort_by(|a, b| {
        let key = |session: &Session| (session.updated_at, session.id.clone());
        key(&a.0.session).cmp(&key(&b.0.session))
    });
    let mut arrival = 0;
    for name in names(folder)? {
        let last = Conversation::read(folder, &name)?.entries.iter().map(|e| e.arrival).max();
        arrival = arrival.max(last.unwrap_or(0));
    }
    let mut taken = HashSet::new();
    let count = found.len();
    for (mut transcript, path) in found {
        let id = transcript.session.id.clone();
        let name = file_name(&id);
        if !taken.insert(id.clone())
            || (folder.path_of(&name).exists() && !is_same(folder, &name, &transcript)?)
        {
            // Two files with one id: both stay.
            transcript.session.id = SessionId::generate();
            transcript.session.extra.insert("python_session_id".to_owned(), id.as_str().into());
        }
        let first = arrival;
        arrival += transcript.messages.len() as i64;
        publish(folder, &transcript, first)?;
        folder.rename(&path, &backup_name(&path)).map_err(|error| {
            unavailable("a file of the Python package cannot be renamed", error)
        })?;
    }
    if count > 0 {
        tracing::info!(sessions = count, "migrated a folder of the Python package");
    }
    Ok(count)
}

fn names(folder: &Folder) -> Result<Vec<String>> {
    let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(folder.conversations()?.into_iter().filter_map(name).collect())
}

fn read(path: &Path) -> Result<Transcript> {
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
    python::transcript(value)
}

/// Whether an earlier go, which did not come to rename the original, wrote this already.
fn is_same(folder: &Folder, name: &str, transcript: &Transcript) -> Result<bool> {
    let conversation = Conversation::read(folder, name)?;
    if conversation.entries.len() != transcript.messages.len() {
        return Ok(false);
    }
    for (entry, message) in conversation.entries.iter().zip(&transcript.messages) {
        if conversation.load(folder, entry)? != *message {
            return Ok(false);
        }
    }
    Ok(true)
}

fn publish(folder: &Folder, transcript: &Transcript, before: i64) -> Result<()> {
    let messages = transcript.messages.iter().zip(before + 1..).map(|(message, arrival)| {
        Ok((std::borrow::Cow::Borrowed(message), arrival, message.digest()))
    });
    let session = &transcript.session;
    let (bytes, _) = whole_file(session, messages, session.updated_at)?;
    folder
        .publish(&file_name(&session.id), &bytes)
        .map_err(|error| unavailable("a conversation cannot be written", error))
}

fn backup_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".python-backup");
    name.into()
}
