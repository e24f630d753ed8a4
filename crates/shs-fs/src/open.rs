//! Opening a folder: its lock, what the last process left unfinished, and its files.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use shs_store::{Error, Result};

use crate::arrivals;
use crate::conversation::Conversation;
use crate::folder::{Folder, unavailable};
use crate::journal;
use crate::name::{file_name, is_conversation};
use crate::options::FsOptions;
use crate::python;
use crate::state::State;
use crate::work::{INTENT, remove_files};
use crate::writer::Shared;

/// Opens a folder and reads all of its conversations.
pub(crate) fn open(options: FsOptions) -> Result<Shared> {
    let folder = Folder::open(&options.folder, options.durability)?;
    let noted = arrivals::read(&folder)?;
    journal::recover(&folder)?;
    finish_deletion(&folder)?;
    python::migrate(&folder, noted)?;
    let state = State::new(read_all(&folder, &folder.conversations()?)?, noted)?;
    tracing::info!(folder = %options.folder.display(), sessions = state.sessions().count(), "opened a folder");
    Ok(Shared { folder, state: RwLock::new(state), clock: options.clock })
}

/// Reads all files, on as many threads as there are processors.
fn read_all(folder: &Folder, paths: &[PathBuf]) -> Result<Vec<Conversation>> {
    let next = AtomicUsize::new(0);
    // By threads, each of which reads on until there is no file left or one is not as it should be.
    let work = || -> Vec<(usize, Result<Conversation>)> {
        let mut found = Vec::new();
        while let Some((at, path)) = take_next(&next, paths) {
            let read = read(folder, path);
            let is_last = read.is_err();
            found.push((at, read));
            if is_last {
                break;
            }
        }
        found
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(paths.len());
    let mut found = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let started: Vec<_> = (1..threads).filter_map(start).collect();
        let mut found = work();
        for thread in started {
            found.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    });
    // The first error is the same however the threads met.
    found.sort_unstable_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, read)| read).collect()
}

fn take_next<'p>(next: &AtomicUsize, paths: &'p [PathBuf]) -> Option<(usize, &'p PathBuf)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    paths.get(at).map(|path| (at, path))
}

fn read(folder: &Folder, path: &Path) -> Result<Conversation> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let conversation = Conversation::read(folder, name)?;
    let id = &conversation.session.id;
    if file_name(id) != name {
        let detail = format!("{name} holds the session of {}; remove the copy", file_name(id));
        return Err(Error::corrupt(detail).with_session(id));
    }
    Ok(conversation)
}

/// Goes on with a deletion of several conversations that was begun.
pub(crate) fn finish_deletion(folder: &Folder) -> Result<()> {
    let path = folder.path_of(INTENT);
    if !path.exists() {
        return Ok(());
    }
    let error = |error| unavailable("a deletion that was begun cannot be finished", error);
    let list = std::fs::read(&path).map_err(error)?;
    let names: Vec<String> = serde_json::from_slice(&list).map_err(|error| {
        Error::corrupt(format!("{} is damaged", path.display())).with_source(error)
    })?;
    if !names.iter().all(|name| is_conversation(name)) {
        return Err(Error::corrupt(format!("{} is not this library's", path.display())));
    }
    remove_files(folder, &names).map_err(error)
}
