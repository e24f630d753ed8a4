//! How content and names come to be on disk.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::{create_new, folder_of, open_or_create, take_after};

/// Waits until names that were made, renamed or removed in a folder are on disk.
///
/// On Windows the folder is opened for writing and flushed, which a file system may refuse; then it
/// keeps its names as it keeps them without being asked.
///
/// # Errors
/// Those of the file system; [`NotFound`](io::ErrorKind::NotFound) if there is no such folder.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    system::sync_folder(path)
}

/// Waits until the content of a file, and what there is to know about it, is on disk, whoever wrote
/// it.
///
/// # Errors
/// Those of the file system. On Windows the process needs the right to write to the file.
pub fn sync_file(path: &Path) -> io::Result<()> {
    system::open_to_sync(path)?.sync_all()
}

/// Waits until the content of a file is on disk, whoever wrote it.
///
/// # Errors
/// Those of [`sync_file`].
pub fn sync_file_data(path: &Path) -> io::Result<()> {
    system::open_to_sync(path)?.sync_data()
}

/// Gives a file or a folder another name in the same folder, at once. A file that has the name
/// already is replaced, a folder is not.
///
/// On Windows another program may have the file open in a way that forbids this, as virus scanners
/// do for a moment. It is tried again there for about half a second.
///
/// # Errors
/// Those of the file system. If there is one, the names are as they were.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    system::rename(from, to)
}

/// Makes an empty file in a folder, with a random name between a prefix and a suffix, which nobody
/// else can read where [`create_new`] keeps others out. Dropping it removes it.
///
/// # Errors
/// Those of the file system.
pub fn draft(folder: &Path, prefix: &str, suffix: &str) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(prefix).suffix(suffix);
    system::draft(&mut builder, folder)
}

/// Gives a draft its name, at once, and replaces a file that has it already. The draft must have
/// been synced.
///
/// # Errors
/// Those of [`rename`]; the draft is removed then.
pub fn persist(draft: NamedTempFile, to: &Path) -> io::Result<()> {
    system::persist(draft, to)
}

/// Gives a draft its name, at once, unless anything has it already. The draft must have been
/// synced.
///
/// # Errors
/// Those of the file system, after which the draft is removed;
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if anything has the name.
pub fn persist_new(draft: NamedTempFile, to: &Path) -> io::Result<()> {
    system::persist_new(draft, to)
}

/// Copies a file to a new one, with its access rights as [`take_after`] gives them, and waits until
/// it is on disk. Its name is there for good once the folder is [synced](sync_folder).
///
/// # Errors
/// Those of the file system; [`AlreadyExists`](io::ErrorKind::AlreadyExists) if anything has the
/// name.
pub fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    copy_into(from, &create_new(to)?, to)
}

/// As [`copy_new`], into a file that is there, whose content it replaces, or into a new one.
///
/// # Errors
/// Those of the file system.
pub fn copy_over(from: &Path, to: &Path) -> io::Result<()> {
    let file = open_or_create(to)?;
    file.set_len(0)?;
    copy_into(from, &file, to)
}

fn copy_into(from: &Path, mut file: &File, to: &Path) -> io::Result<()> {
    let mut original = File::open(from)?;
    io::copy(&mut original, &mut file)?;
    take_after(to, &original.metadata()?)?;
    file.sync_all()
}

/// Puts a folder where nothing is, or an empty one, at once.
///
/// On Windows an empty one is removed first. Nothing in the folder may be open there.
///
/// # Errors
/// Those of the file system.
pub fn place_folder(from: &Path, to: &Path) -> io::Result<()> {
    if cfg!(windows) && to.exists() {
        fs::remove_dir(to)?;
    }
    rename(from, to)?;
    sync_folder(folder_of(to))
}

/// Puts a folder where another one is, and gives that one the name `kept`, where nothing is.
///
/// On Linux and macOS the two change places at once, where the file system can do that. Elsewhere
/// both are renamed: whoever is interrupted between the two finds both, under `from` and `kept`. On
/// Windows nothing in them may be open.
///
/// # Errors
/// Those of the file system. Then the folder is where it was, unless it says that it could not be
/// put back.
pub fn replace_folder(from: &Path, to: &Path, kept: &Path) -> io::Result<()> {
    if exchange(from, to).is_ok() {
        fs::rename(from, kept)?;
    } else {
        rename(to, kept)?;
        if let Err(error) = rename(from, to) {
            return Err(match rename(kept, to) {
                Ok(()) => error,
                Err(_) => io::Error::new(
                    error.kind(),
                    format!("{error}; what was there is {} now", kept.display()),
                ),
            });
        }
    }
    sync_folder(folder_of(to))
}

/// Has two names change places, at once.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
mod system {
    use super::*;

    pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    pub(super) fn open_to_sync(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    pub(super) fn draft(builder: &mut Builder<'_, '_>, folder: &Path) -> io::Result<NamedTempFile> {
        builder.tempfile_in(folder)
    }

    pub(super) fn persist(draft: NamedTempFile, to: &Path) -> io::Result<()> {
        draft.persist(to).map(|_| ()).map_err(|error| error.error)
    }

    pub(super) fn persist_new(draft: NamedTempFile, to: &Path) -> io::Result<()> {
        draft.persist_noclobber(to).map(|_| ()).map_err(|error| error.error)
    }
}

#[cfg(windows)]
mod system {
    use std::os::windows::fs::OpenOptionsExt;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// With which a folder can be opened
    /// (<https://learn.microsoft.com/en-us/windows/win32/api/fileapi/nf-fileapi-createfilew#directories>).
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
    const ERROR_INVALID_FUNCTION: i32 = 1;
    const ERROR_ACCESS_DENIED: i32 = 5;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    const ERROR_LOCK_VIOLATION: i32 = 33;
    const ERROR_NOT_SUPPORTED: i32 = 50;
    const ERROR_INVALID_PARAMETER: i32 = 87;
    /// Milliseconds between one try and the next; each is twice as long as the one before.
    const FIRST_PAUSE: u64 = 1;
    const LAST_PAUSE: u64 = 256;

    pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
        let flushed = File::options()
            .write(true)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)
            .and_then(|folder| folder.sync_all());
        match flushed.as_ref().map_err(io::Error::raw_os_error) {
            // This file system flushes no folders.
            Err(Some(
                ERROR_ACCESS_DENIED
                | ERROR_INVALID_FUNCTION
                | ERROR_NOT_SUPPORTED
                | ERROR_INVALID_PARAMETER,
            )) => Ok(()),
            _ => flushed,
        }
    }

    /// Only who may write may flush
    /// (<https://learn.microsoft.com/en-us/windows/win32/api/fileapi/nf-fileapi-flushfilebuffers>).
    pub(super) fn open_to_sync(path: &Path) -> io::Result<File> {
        File::options().write(true).open(path)
    }

    pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            let renamed = fs::rename(from, to);
            let may_pass = matches!(
                renamed.as_ref().map_err(io::Error::raw_os_error),
                Err(Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION | ERROR_LOCK_VIOLATION))
            );
            if !may_pass || pause > LAST_PAUSE {
                return renamed;
            }
            thread::sleep(Duration::from_millis(pause));
            pause *= 2;
        }
    }

    /// Not as tempfile makes one, which is marked as a file that need not come to the disk.
    pub(super) fn draft(builder: &mut Builder<'_, '_>, folder: &Path) -> io::Result<NamedTempFile> {
        builder.make_in(folder, |path| {
            File::options().read(true).write(true).create_new(true).open(path)
        })
    }

    /// Closed first, and through the one function that renames: tempfile's replaces nothing that is
    /// open anywhere, and takes no long paths.
    pub(super) fn persist(draft: NamedTempFile, to: &Path) -> io::Result<()> {
        let mut draft = draft.into_temp_path();
        rename(&draft, to)?;
        draft.disable_cleanup(true);
        Ok(())
    }

    /// By a second name, as the first is given up when the draft is dropped; tempfile's own way is
    /// for file systems without links.
    pub(super) fn persist_new(draft: NamedTempFile, to: &Path) -> io::Result<()> {
        match fs::hard_link(draft.path(), to) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                draft.persist_noclobber(to).map(|_| ()).map_err(|error| error.error)
            }
            linked => linked,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_takes_the_place_of_another_and_a_copy_has_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("one"), "1").unwrap();
        fs::write(at("two"), "2").unwrap();
        rename(&at("one"), &at("two")).unwrap();
        assert_eq!(fs::read(at("two")).unwrap(), b"1");
        assert_eq!(rename(&at("one"), &at("two")).unwrap_err().kind(), io::ErrorKind::NotFound);
        copy_new(&at("two"), &at("three")).unwrap();
        assert_eq!(fs::read(at("three")).unwrap(), b"1");
        let taken = copy_new(&at("two"), &at("three")).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        fs::write(at("three"), "longer").unwrap();
        copy_over(&at("two"), &at("three")).unwrap();
        assert_eq!(fs::read(at("three")).unwrap(), b"1");
        sync_file(&at("three")).unwrap();
        sync_file_data(&at("three")).unwrap();
        sync_folder(folder.path()).unwrap();
        assert_eq!(sync_folder(&at("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(sync_file(&at("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_draft_gets_its_name_or_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let new = || {
            let mut draft = draft(folder.path(), ".file.", ".draft").unwrap();
            draft.write_all(b"draft").unwrap();
            draft
        };
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let taken = persist_new(new(), &path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        persist(new(), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"draft");
        let inside = folder.path().join("folder");
        fs::create_dir(&inside).unwrap();
        persist(new(), &inside).unwrap_err();
        persist_new(new(), &folder.path().join("new")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "drafts were left behind");
    }

    #[test]
    fn a_folder_takes_the_place_of_an_empty_one_and_of_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["new", "empty", "full"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("new/file"), "1").unwrap();
        fs::write(at("full/other"), "2").unwrap();
        place_folder(&at("new"), &at("full")).unwrap_err();
        assert!(at("full/other").exists() && at("new/file").exists());
        place_folder(&at("new"), &at("empty")).unwrap();
        assert!(at("empty/file").exists() && !at("new").exists());
        place_folder(&at("empty"), &at("nothing")).unwrap();
        assert!(at("nothing/file").exists());
        replace_folder(&at("nothing"), &at("full"), &at("kept")).unwrap();
        assert!(at("full/file").exists() && at("kept/other").exists() && !at("nothing").exists());
        replace_folder(&at("nothing"), &at("full"), &at("again")).unwrap_err();
        assert!(at("full/file").exists() && !at("again").exists());
    }
}
