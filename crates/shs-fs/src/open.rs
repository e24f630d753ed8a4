//! Opening a folder: its lock, what the last process left unfinished, and its files.

use std::sync::RwLock;

use shs_store::{Error, Result};

use crate::conversation::Conversation;
use crate::folder::{Folder, unavailable};
use crate::journal;
use crate::name::file_name;
use crate::options::FsOptions;
use crate::python;
use crate::state::State;
use crate::work::{INTENT, remove_files};
use crate::writer::Shared;

/// Opens a folder and reads all of its conversations.
pub(crate) fn open(options: FsOptions) -> Result<Shared> {
    let folder = Folder::open(&options.folder, options.durability)?;
    journal::recover(&folder)?;
    finish_deletion(&folder)?;
    python::migrate(&folder)?;
    let mut state = State::default();
    for path in folder.conversations()? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let conversation = Conversation::read(&folder, name)?;
        let id = &conversation.session.id;
        if file_name(id) != name {
            let detail = format!("{name} holds the session of {}; remove the copy", file_name(id));
            return Err(Error::corrupt(detail).with_session(id));
        }
        state.insert(conversation);
    }
    tracing::info!(folder = %options.folder.display(), sessions = state.sessions().count(), "opened a folder");
    Ok(Shared { folder, state: RwLock::new(state), clock: options.clock })
}

/// Goes on with a deletion of several conversations that was begun.
fn finish_deletion(folder: &Folder) -> Result<()> {
    let path = folder.path_of(INTENT);
    if !path.exists() {
        return Ok(());
    }
    let error = |error| unavailable("a deletion that was begun cannot be finished", error);
    let list = std::fs::read(&path).map_err(error)?;
    let names: Vec<String> = serde_json::from_slice(&list).map_err(|error| {
        Error::corrupt(format!("{} is damaged", path.display())).with_source(error)
    })?;
    let is_ours = |name: &String| !name.contains(['/', '\\']) && name.ends_with(".jsonl");
    if !names.iter().all(is_ours) {
        return Err(Error::corrupt(format!("{} is not this library's", path.display())));
    }
    remove_files(folder, &names).map_err(error)
}
