//! Opening a folder: its lock, what the last process left unfinished, and its files.

use std::num::NonZero;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use shs_store::{Error, ErrorKind, Result, SessionKey};

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
    let mut files = read_all(&folder, &folder.names()?);
    for name in folder.odd_names()? {
        let path = folder.path_of(&name);
        let detail = format!("{} is no file; put the conversation's file there", path.display());
        files.push((name, Err(Error::corrupt(detail))));
    }
    for name in folder.odd_folders()? {
        tracing::error!(folder = name, "it is no tenant's; what is in it is not read");
    }
    let state = State::new(files, noted);
    tracing::info!(folder = %options.folder.display(), sessions = state.count(), "opened a folder");
    Ok(Shared { folder, state: RwLock::new(state), clock: options.clock })
}

/// Most looks at a folder in which another process makes and removes files meanwhile.
const MOST_LOOKS: u32 = 5;

/// Opens a folder and reads all of its conversations, and writes nothing.
pub(crate) fn open_to_read(options: FsOptions) -> Result<Shared> {
    let folder = Folder::look_at(&options.folder)?;
    let mut looks = 1;
    let state = loop {
        match look(&folder) {
            // A file was removed since it was listed, or is being put in the place of another.
            Err(_) if folder.is_in_use() && looks < MOST_LOOKS => looks += 1,
            looked => break looked?,
        }
    };
    Ok(Shared { folder, state: RwLock::new(state), clock: options.clock })
}

fn look(folder: &Folder) -> Result<State> {
    folder.check_written_format()?;
    let mut going = Vec::new();
    if !folder.is_in_use() {
        if !folder.with_extension("json")?.is_empty() {
            let detail = "files of the Python package are in the folder, which is only read here; open it to write, \
                          which migrates them (shs migrate)";
            return Err(Error::new(ErrorKind::Unsupported, detail));
        }
        check_journal(folder)?;
        going = deletion(folder)?;
    }
    let names: Vec<String> =
        folder.names()?.into_iter().filter(|name| !going.contains(name)).collect();
    Ok(State::new(read_all(folder, &names), arrivals::read(folder)?))
}

/// That the files hold all that the last process wrote: what is in the journal alone cannot be read
/// from them.
fn check_journal(folder: &Folder) -> Result<()> {
    for (name, records) in journal::waiting(folder)? {
        let path = folder.path_of(&name);
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unavailable(&format!("{name} cannot be read"), error)),
        };
        let mut whole = content.clone();
        journal::apply(&records, &mut whole);
        if whole != content {
            let detail = "the journal holds what is not in the files yet; open the folder to write, which brings it there \
                          (shs migrate)";
            return Err(Error::new(ErrorKind::Unavailable, detail));
        }
    }
    Ok(())
}

/// Reads all files, on as many threads as there are processors. One that cannot be read leaves the
/// others as they are.
fn read_all(folder: &Folder, names: &[String]) -> Vec<(String, Result<Conversation>)> {
    let next = AtomicUsize::new(0);
    // By threads, each of which reads on until there is no file left.
    let work = || -> Vec<(usize, Result<Conversation>)> {
        let mut found = Vec::new();
        while let Some((at, name)) = take_next(&next, names) {
            found.push((at, read_own(folder, name, u64::MAX)));
        }
        found
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(names.len());
    let mut found = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let started: Vec<_> = (1..threads).filter_map(start).collect();
        let mut found = work();
        for thread in started {
            found.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    });
    // By name, however the threads met.
    found.sort_unstable_by_key(|(at, _)| *at);
    found.into_iter().map(|(at, read)| (names[at].clone(), read)).collect()
}

fn take_next<'n>(next: &AtomicUsize, names: &'n [String]) -> Option<(usize, &'n str)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    names.get(at).map(|name| (at, name.as_str()))
}

/// Reads a conversation's file up to a place. Where the file system takes names that differ by case
/// as one, so does this.
///
/// # Errors
/// Also if it has not the name that goes with the id in it.
pub(crate) fn read_own(folder: &Folder, name: &str, end: u64) -> Result<Conversation> {
    let mut conversation = Conversation::read_up_to(folder, name, end)?;
    let key =
        SessionKey { tenant: conversation.tenant.clone(), id: conversation.session.id.clone() };
    let own = file_name(&key);
    if own == name {
        return Ok(conversation);
    }
    if folder.is_one_file(&own, name) {
        conversation.name = own;
        return Ok(conversation);
    }
    let detail = if folder.path_of(&own).exists() {
        format!("{name} holds a session that is in {own} too; keep the one that is right, as {own}")
    } else {
        format!("{name} holds the session that belongs into {own}; rename it to that")
    };
    Err(Error::corrupt(detail).with_session(&key.id))
}

/// Goes on with a deletion of several conversations that was begun.
pub(crate) fn finish_deletion(folder: &Folder) -> Result<()> {
    if !folder.path_of(INTENT).exists() {
        return Ok(());
    }
    let error = |error| unavailable("a deletion that was begun cannot be finished", error);
    remove_files(folder, &deletion(folder)?).map_err(error)
}

/// The names of the files whose deletion was begun; none if no deletion was.
fn deletion(folder: &Folder) -> Result<Vec<String>> {
    let path = folder.path_of(INTENT);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let error = |error| unavailable("a deletion that was begun cannot be read", error);
    let list = std::fs::read(&path).map_err(error)?;
    let names: Vec<String> = serde_json::from_slice(&list).map_err(|error| {
        Error::corrupt(format!("{} is damaged", path.display())).with_source(error)
    })?;
    if !names.iter().all(|name| is_conversation(name)) {
        return Err(Error::corrupt(format!("{} is not this library's", path.display())));
    }
    Ok(names)
}
