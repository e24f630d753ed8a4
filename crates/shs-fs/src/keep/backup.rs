//! A copy of the folder in one file, while it is being worked with.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::Path;
use std::sync::PoisonError;

use shs_files::folder_of;
use shs_store::keeping::{BackedUp, Existing};
use shs_store::{Error, ErrorKind, Result, SessionKey, Store};

use super::archive::Writer;
use super::publish::{cannot_write, draft_file, is_there, publish_file};
use crate::arrivals::ARRIVALS;
use crate::conversation::Conversation;
use crate::folder::{Folder, is_of_every_store, unavailable};
use crate::name::is_conversation;
use crate::writer::Shared;
use crate::{FsStore, blocking, context};

/// Writes a copy of a folder into a file, which appears whole or not at all.
///
/// It is a tar archive that its owner alone can read, which [`restore`](super::restore()) makes a folder of, and any `tar` too. Of each conversation it has everything that was
/// acknowledged when this was called, and perhaps some of what came since: a beginning of it, without gaps. A folder that nobody
/// has open is opened for it; one that another process has open is read beside it, which takes memory for its longest
/// conversation. A program that has the folder open itself calls [`FsStore::backup`].
///
/// # Errors
/// - [`NotFound`](ErrorKind::NotFound) if there is no folder with a store in it.
/// - [`AlreadyExists`](ErrorKind::AlreadyExists) if there is a file at `target`, unless it is to be [replaced](Existing::Replace).
/// - [`InvalidInput`](ErrorKind::InvalidInput) if `target` is a file of the folder, or no file.
/// - [`Unavailable`](ErrorKind::Unavailable) if the file cannot be written; [`Corrupt`](ErrorKind::Corrupt) if the folder is damaged.
///
/// # Cancel safety
/// If the future is dropped there is a whole backup, or none.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn backup(
    folder: impl AsRef<Path>,
    target: impl AsRef<Path>,
    existing: Existing,
) -> Result<BackedUp> {
    let (folder, target) = (folder.as_ref().to_owned(), target.as_ref().to_owned());
    let in_context = |error| context(error, "backup");
    refuse(&folder, &target, existing).map_err(in_context)?;
    let look = {
        let folder = folder.clone();
        move || Folder::look_at(&folder)
    };
    if !blocking(look).await.map_err(in_context)?.is_in_use() {
        match FsStore::open(&folder).await {
            Ok(store) => {
                let made = store.backup(&target, existing).await;
                store.close().await?;
                return made;
            }
            // Somebody came first.
            Err(error) if error.kind() == ErrorKind::Unavailable => {}
            Err(error) => return Err(error),
        }
    }
    let beside = move || {
        let folder = Folder::look_at(&folder)?;
        write(folder.path(), &target, existing, |archive| beside(&folder, archive))
    };
    blocking(beside).await.map_err(in_context)
}

/// As [`FsStore::backup`].
pub(crate) fn back_up(shared: &Shared, target: &Path, existing: Existing) -> Result<BackedUp> {
    write(shared.folder.path(), target, existing, |archive| within(shared, archive))
}

type Archive = Writer<BufWriter<File>>;

fn write(
    folder: &Path,
    target: &Path,
    existing: Existing,
    fill: impl FnOnce(&mut Archive) -> Result<()>,
) -> Result<BackedUp> {
    refuse(folder, target, existing)?;
    let draft = draft_file(target)?;
    let error = |error| cannot_write(target, error);
    let file = draft.as_file().try_clone().map_err(error)?;
    let mut archive = Writer::new(BufWriter::new(file)).map_err(error)?;
    fill(&mut archive)?;
    let (sessions, messages) = archive.end().map_err(error)?;
    let bytes = publish_file(draft, target, existing)?;
    Ok(BackedUp::new(sessions, messages, bytes))
}

/// Refuses what is to stay: a file that is there, what is none, and those of the folder.
fn refuse(folder: &Path, target: &Path, existing: Existing) -> Result<()> {
    if existing == Existing::Refuse && target.exists() {
        return Err(is_there(target));
    }
    if fs::metadata(target).is_ok_and(|about| !about.is_file()) {
        return Err(Error::invalid(format!("{} is not a file; name one", target.display())));
    }
    let name = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_own = is_of_every_store(name.as_ref()) || name.starts_with('.') || is_conversation(name);
    let real = |path: &Path| fs::canonicalize(path).ok();
    if is_own && real(folder_of(target)).is_some_and(|parent| Some(parent) == real(folder)) {
        let detail =
            format!("{} is a file of the store; give the backup another name", target.display());
        return Err(Error::invalid(detail));
    }
    Ok(())
}

/// Copies each conversation up to where it is on disk. Its file only grows, or is replaced by another one; so what was opened while
/// nobody wrote can be read afterwards.
fn within(shared: &Shared, archive: &mut Archive) -> Result<()> {
    let lock = || shared.state.read().unwrap_or_else(PoisonError::into_inner);
    let mut keys: Vec<SessionKey> = {
        let state = lock();
        state.all_readable()?;
        state.keys()
    };
    keys.sort_unstable();
    for key in keys {
        let state = lock();
        let Ok(conversation) = state.conversation(&key) else {
            if state.contains(&key) {
                state.all_readable()?;
            }
            // It was deleted since.
            continue;
        };
        let Conversation { name, length, lacks_end, .. } = conversation;
        let (name, length, lacks_end) = (name.clone(), *length, *lacks_end);
        let messages = conversation.session.message_count;
        let file = File::open(shared.folder.path_of(&name)).map_err(|error| {
            unavailable(&format!("{name} cannot be opened"), error).with_session(&key.id)
        })?;
        drop(state);
        let end: &[u8] = if lacks_end { b"\n" } else { b"" };
        let bytes = file.take(length - end.len() as u64).chain(end);
        archive.conversation(&name, length, bytes, messages).map_err(|error| {
            unavailable(&format!("{name} cannot be copied"), error).with_session(&key.id)
        })?;
    }
    add_arrivals(&shared.folder, archive)
}

/// Copies each file up to where it can be read, beside a process that writes. What is acknowledged stands in the files, if only
/// in the system's memory.
fn beside(folder: &Folder, archive: &mut Archive) -> Result<()> {
    let mut done = std::collections::BTreeSet::new();
    // A file that is replaced while the folder is listed may not be in the list; then it is in the next one.
    for _ in 0..2 {
        for name in folder.names()? {
            let name = name.as_str();
            if done.contains(name) {
                continue;
            }
            let read = match read(folder, name)? {
                // A write that was just taken back looks like damage.
                Some(Err(_)) => read(folder, name)?,
                read => read,
            };
            let Some(read) = read else { continue };
            let (conversation, bytes) = read?;
            let messages = conversation.session.message_count;
            let length = bytes.len() as u64;
            archive
                .conversation(name, length, &bytes[..], messages)
                .map_err(|error| unavailable(&format!("{name} cannot be copied"), error))?;
            done.insert(name.to_owned());
        }
    }
    add_arrivals(folder, archive)
}

/// A conversation and the bytes of its file that count, or that it is damaged; `None` if there is no file any more.
type Found = Option<Result<(Conversation, Vec<u8>)>>;

fn read(folder: &Folder, name: &str) -> Result<Found> {
    let mut bytes = match std::fs::read(folder.path_of(name)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unavailable(&format!("{name} cannot be read"), error)),
    };
    let conversation = match Conversation::read_from(name, &bytes[..]) {
        Ok(conversation) => conversation,
        Err(error) => return Ok(Some(Err(error))),
    };
    if conversation.lacks_end {
        bytes.push(b'\n');
    }
    bytes.truncate(usize::try_from(conversation.length).unwrap_or(usize::MAX));
    Ok(Some(Ok((conversation, bytes))))
}

fn add_arrivals(folder: &Folder, archive: &mut Archive) -> Result<()> {
    match std::fs::read(folder.path_of(ARRIVALS)) {
        Ok(bytes) => archive
            .arrivals(&bytes)
            .map_err(|error| unavailable(&format!("{ARRIVALS} cannot be copied"), error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unavailable(&format!("{ARRIVALS} cannot be read"), error)),
    }
}
