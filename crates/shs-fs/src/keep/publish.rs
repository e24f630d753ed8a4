//! Files and folders that appear whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use shs_store::keeping::Existing;
use shs_store::{Error, ErrorKind, Result};
use tempfile::{Builder, NamedTempFile, TempDir};

use shs_files::{
    copy_new, create_folder, draft, folder_of, own_like_folder, persist, persist_new, place_folder,
    sync_folder, take_after,
};

use crate::folder::{DRAFT, draft_prefix, unavailable};

/// A file that is being written beside the place that it is for. Dropping it removes it.
pub(super) fn draft_file(target: &Path) -> Result<NamedTempFile> {
    draft(folder_of(target), &draft_prefix(target), DRAFT)
        .map_err(|error| cannot_write(target, error))
}

/// As [`draft_file`], a folder; with the permissions of the one that it will replace.
pub(super) fn draft_folder(target: &Path) -> Result<TempDir> {
    let made = || {
        create_folder(folder_of(target))?;
        let prefix = draft_prefix(target);
        let draft = Builder::new().prefix(&prefix).suffix(DRAFT).tempdir_in(folder_of(target))?;
        match fs::metadata(target) {
            Ok(replaced) => take_after(draft.path(), &replaced)?,
            Err(_) => own_like_folder(draft.path())?,
        }
        Ok(draft)
    };
    made().map_err(|error| cannot_write(target, error))
}

/// Gives a draft its name, for good, and says how long it is.
pub(super) fn publish_file(draft: NamedTempFile, target: &Path, existing: Existing) -> Result<u64> {
    let publish = || {
        match fs::metadata(target) {
            Ok(replaced) if existing == Existing::Replace => take_after(draft.path(), &replaced)?,
            _ => own_like_folder(draft.path())?,
        }
        draft.as_file().sync_all()?;
        let bytes = draft.as_file().metadata()?.len();
        if existing == Existing::Replace {
            persist(draft, target)?;
        } else {
            persist_new(draft, target)?;
        }
        sync_folder(folder_of(target))?;
        Ok(bytes)
    };
    publish().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_there(target),
        _ => cannot_write(target, error),
    })
}

/// Puts a folder where nothing is, or an empty one, for good.
pub(super) fn publish_folder(draft: TempDir, target: &Path) -> Result<()> {
    let publish = || {
        place_folder(draft.path(), target)?;
        let _ = draft.keep();
        Ok(())
    };
    publish().map_err(|error: io::Error| cannot_write(target, error))
}

/// Puts a folder where another one is, which then has another name, for good; returns that.
pub(super) fn replace_folder(draft: TempDir, target: &Path, suffix: &str) -> Result<PathBuf> {
    let replace = || {
        let kept = free_name(target, suffix);
        shs_files::replace_folder(draft.path(), target, &kept)?;
        let _ = draft.keep();
        Ok(kept)
    };
    replace().map_err(|error: io::Error| cannot_write(target, error))
}

/// A path with something behind its name, or that and a number, where nothing is.
pub(super) fn free_name(path: &Path, suffix: &str) -> PathBuf {
    let name = |suffix: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let names = std::iter::once(name(suffix.to_owned()))
        .chain((2_u64..).map(|number| name(format!("{suffix}-{number}"))));
    let mut free = names.skip_while(|name| name.symlink_metadata().is_ok());
    free.next().expect("there are more numbers than files")
}

/// Copies a file beside itself, for good; returns where to.
pub(super) fn copy_beside(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let copy = free_name(path, suffix);
    copy_new(path, &copy)?;
    sync_folder(folder_of(path))?;
    Ok(copy)
}

pub(super) fn is_there(target: &Path) -> Error {
    let detail =
        format!("{} is there already; choose another name, or have it replaced", target.display());
    Error::new(ErrorKind::AlreadyExists, detail)
}

pub(super) fn cannot_write(target: &Path, error: io::Error) -> Error {
    unavailable(&format!("{} cannot be written", target.display()), error)
}
