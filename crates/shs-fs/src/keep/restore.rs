//! A backup becomes the folder.

use std::path::Path;

use shs_files::OPEN_FILES_STAY;
use shs_store::keeping::{Existing, Restored};
use shs_store::{Error, ErrorKind, Result};

use super::archive::{head, is_archive, unpack};
use super::publish::{draft_folder, publish_folder, replace_folder};
use super::verify::check;
use crate::folder::{BEFORE_RESTORE, Folder, MARKER, is_of_every_store, lock, unavailable};
use crate::{blocking, context};

/// Puts a [backup](super::backup()) where a folder is to be.
///
/// The backup is unpacked beside the place and [verified](super::verify()) there first; then it takes the place at once. So whenever this is
/// interrupted, there is the folder that was there, or the restored one, whole. (Where the system cannot have two folders change
/// places, as on Windows, there may be both beside the place.) A process that is killed may leave `.FOLDER.….draft`, in which there is one of
/// the two. A folder that was there is kept, with all that is in it, as
/// `FOLDER.before-restore`, or that with a number.
///
/// # Errors
/// - [`NotFound`](ErrorKind::NotFound) if there is no backup.
/// - [`Corrupt`](ErrorKind::Corrupt) if the backup is damaged, cut off, or none of a folder.
/// - [`AlreadyExists`](ErrorKind::AlreadyExists) if there is a folder with anything in it, unless it is to be
///   [replaced](Existing::Replace).
/// - [`Unavailable`](ErrorKind::Unavailable) if the folder is open anywhere, or the disk cannot be written.
///
/// # Cancel safety
/// Once begun it is done whether the future is dropped or not.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn restore(
    backup: impl AsRef<Path>,
    folder: impl AsRef<Path>,
    existing: Existing,
) -> Result<Restored> {
    let (backup, folder) = (backup.as_ref().to_owned(), folder.as_ref().to_owned());
    let put = move || put(&backup, &folder, existing);
    blocking(put).await.map_err(|error| context(error, "restore"))
}

fn put(backup: &Path, folder: &Path, existing: Existing) -> Result<Restored> {
    if folder.as_os_str().is_empty() {
        return Err(Error::invalid("a store in files needs the path of a folder"));
    }
    // So that it has a name, also if it is the current one.
    let folder = std::path::absolute(folder)
        .map_err(|error| unavailable("the current folder is not known", error))?;
    // Where a link leads to is what others open, by it or without it.
    let is_link = std::fs::symlink_metadata(&folder).is_ok_and(|about| about.is_symlink());
    let real = is_link.then(|| std::fs::canonicalize(&folder).ok()).flatten();
    let folder = &real.unwrap_or(folder);
    if head(backup).is_ok_and(|head| !is_archive(&head)) {
        let detail = format!("{} is not a backup of a folder", backup.display());
        return Err(Error::corrupt(detail));
    }
    let is_there = is_there(folder)?;
    if is_there && existing == Existing::Refuse {
        let detail = format!(
            "there is something in {} already; have it replaced, by which it is kept beside it",
            folder.display()
        );
        return Err(Error::new(ErrorKind::AlreadyExists, detail));
    }
    let draft = draft_folder(folder)?;
    let end = unpack(backup, draft.path())?;
    let looked = Folder::look_at(draft.path())?;
    let checked = check(&looked)?;
    drop(looked);
    if let Some(finding) = checked.findings.first() {
        let detail = format!("the backup is damaged, and nothing was restored: {finding}");
        return Err(Error::corrupt(detail));
    }
    if (checked.sessions, checked.messages) != (end.sessions, end.messages) {
        let detail = "the backup does not have as many messages as it says; nothing was restored";
        return Err(Error::corrupt(detail));
    }
    let restored = Restored::new(end.sessions, end.messages);
    if !folder.join(MARKER).exists() && !is_there {
        publish_folder(draft, folder)?;
        return Ok(restored);
    }
    // Held until the folder has its other name, but where nothing in it may be open then: whoever
    // opens it in between keeps it from being renamed.
    let locked = if folder.join(MARKER).exists() { Some(lock(folder)?) } else { None };
    let locked = locked.filter(|_| !OPEN_FILES_STAY);
    let kept = replace_folder(draft, folder, BEFORE_RESTORE)?;
    drop(locked);
    Ok(restored.with_kept(Some(kept)))
}

/// Whether a folder has anything in it but what every store has.
fn is_there(folder: &Path) -> Result<bool> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            return Err(unavailable(&format!("{} cannot be listed", folder.display()), error));
        }
    };
    for entry in entries {
        let entry = entry.map_err(|error| unavailable("the folder cannot be listed", error))?;
        let name = entry.file_name();
        if !is_of_every_store(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}
