//! The folder: its lock, its files, and how they come to be on disk.

use std::ffi::OsStr;
use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use shs_store::{Durability, Error, ErrorKind, Result};

use crate::name::EXTENSION;

/// The file that says what the folder is; its lock says that a process has it open.
pub(crate) const MARKER: &str = "shs-fs.format";
/// The version of the files.
const VERSION: u64 = 1;
/// How files begin that are not published yet.
const STAGED: &str = ".staged-";

/// What the names of copies have behind those of their originals.
const COPIES: [&str; 3] = [PYTHON_BACKUP, BEFORE_REPAIR, QUARANTINE];
pub(crate) const PYTHON_BACKUP: &str = ".python-backup";
pub(crate) const BEFORE_REPAIR: &str = ".before-repair";
pub(crate) const QUARANTINE: &str = ".quarantine";
/// What the name of a folder that was replaced has behind its own.
pub(crate) const BEFORE_RESTORE: &str = ".before-restore";

/// The folder of a store, locked for this process.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    durability: Durability,
    marker: File,
    /// Whether another process or store has it open, beside which this one only looks.
    is_in_use: bool,
    /// Whether names were changed that are not on disk yet.
    names_changed: AtomicBool,
}

impl Folder {
    /// Opens a folder, and makes it if it is missing.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(Error::invalid("a store in files needs the path of a folder"));
        }
        fs::create_dir_all(path).map_err(|error| {
            unavailable(&format!("the folder {} cannot be made", path.display()), error)
        })?;
        let marker = lock(path)?;
        // The last process may have ended between a change of names and its sync.
        let names_changed = AtomicBool::new(true);
        let is_in_use = false;
        let folder = Self { path: path.to_owned(), durability, marker, is_in_use, names_changed };
        folder.check_format()?;
        folder.remove_staged()?;
        folder.sync_names().map_err(|error| unavailable("the folder cannot be synced", error))?;
        Ok(folder)
    }

    /// Looks at a folder that is there, to read only. If nobody has it open, nobody can open it meanwhile.
    ///
    /// # Errors
    /// `NotFound` if there is no store.
    pub(crate) fn look_at(path: &Path) -> Result<Self> {
        let marker = File::open(path.join(MARKER)).map_err(|error| no_store(path, error))?;
        let is_in_use = match marker.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => {
                let what = format!("the folder {} cannot be locked", path.display());
                return Err(unavailable(&what, error));
            }
        };
        Ok(Self::with(path, marker, is_in_use))
    }

    /// Opens a folder that is there, as it is.
    ///
    /// # Errors
    /// `NotFound` if there is no store, `Unavailable` if another process or store has it open.
    pub(crate) fn locked(path: &Path) -> Result<Self> {
        fs::metadata(path.join(MARKER)).map_err(|error| no_store(path, error))?;
        Ok(Self::with(path, lock(path)?, false))
    }

    fn with(path: &Path, marker: File, is_in_use: bool) -> Self {
        let (durability, names_changed) = (Durability::Full, AtomicBool::new(true));
        Self { path: path.to_owned(), durability, marker, is_in_use, names_changed }
    }

    /// Whether another process or store has it open.
    pub(crate) fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    /// That the format file is this version's, or as an opening that was cut short leaves it.
    ///
    /// # Errors
    /// `Corrupt` if it is not; `Unsupported` if a newer version wrote it.
    pub(crate) fn check_written_format(&self) -> Result<()> {
        let text = fs::read(self.path.join(MARKER))
            .map_err(|error| unavailable("the format file cannot be read", error))?;
        let text = String::from_utf8_lossy(&text);
        let written = text.trim_end_matches(['\0', ' ', '\n']);
        if format().starts_with(written) { Ok(()) } else { self.check_version(&text) }
    }

    /// Writes the format file anew.
    pub(crate) fn write_format(&self) -> Result<()> {
        let mut marker = &self.marker;
        let mut write = || -> io::Result<()> {
            marker.set_len(0)?;
            marker.seek(SeekFrom::Start(0))?;
            marker.write_all(format().as_bytes())?;
            marker.sync_all()?;
            sync_folder(&self.path)
        };
        write().map_err(|error| unavailable("the format file cannot be written", error))
    }

    /// Reads and writes through the one handle: where locks are mandatory, another could not.
    fn check_format(&self) -> Result<()> {
        let mut marker = &self.marker;
        let mut text = String::new();
        marker
            .read_to_string(&mut text)
            .map_err(|error| unavailable("the format file cannot be read", error))?;
        // After a power cut there may be zeros in place of what was written.
        let written = text.trim_end_matches(['\0', ' ', '\n']);
        let format = format();
        if text != format && format.starts_with(written) {
            // A new folder, or one of the Python package, or one whose first opening was cut short.
            return self.write_format();
        }
        self.check_version(&text)
    }

    fn check_version(&self, text: &str) -> Result<()> {
        let path = self.path.join(MARKER);
        let format: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            Error::corrupt(format!("{} is not this library's", path.display())).with_source(error)
        })?;
        match format["version"].as_u64() {
            Some(VERSION) => Ok(()),
            Some(newer) if newer > VERSION => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the folder has version {newer} and this library knows up to {VERSION}; \
                     use a newer version of the library"
                ),
            )),
            _ => Err(Error::corrupt(format!("{} is not this library's", path.display()))),
        }
    }

    /// Lets others open the folder.
    pub(crate) fn unlock(&self) -> io::Result<()> {
        self.marker.unlock()
    }

    /// The names of what was never published.
    pub(crate) fn staged(&self) -> Result<Vec<String>> {
        let paths = self.files(|name| name.starts_with(STAGED))?;
        Ok(paths.iter().map(|path| name_of(path)).collect())
    }

    /// The names of all conversations' files.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let paths = self.with_extension(EXTENSION)?;
        Ok(paths.iter().map(|path| name_of(path)).collect())
    }

    /// What has the name of a conversation's file and is no file.
    pub(crate) fn odd_names(&self) -> Result<Vec<String>> {
        let odd = self.entries(|name, kind| has_extension(name, EXTENSION) && !kind.is_file())?;
        Ok(odd.iter().map(|path| name_of(path)).collect())
    }

    /// Removes what was never published.
    pub(crate) fn remove_staged(&self) -> Result<()> {
        for path in self.files(|name| name.starts_with(STAGED))? {
            fs::remove_file(&path)
                .map_err(|error| unavailable("a leftover cannot be removed", error))?;
        }
        Ok(())
    }

    /// The files of the folder whose names fit, by name.
    fn files(&self, fits: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
        self.entries(|name, kind| kind.is_file() && fits(name))
    }

    /// What is in the folder whose names and types fit, by name.
    fn entries(&self, fits: impl Fn(&str, FileType) -> bool) -> Result<Vec<PathBuf>> {
        let list = || -> io::Result<Vec<PathBuf>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if entry.file_name().to_str().is_some_and(|name| fits(name, kind)) {
                    found.push(entry.path());
                }
            }
            found.sort();
            Ok(found)
        };
        list().map_err(|error| unavailable("the folder cannot be listed", error))
    }

    /// All conversations' files.
    ///
    /// # Errors
    /// `Corrupt` if anything but a file has such a name: passing it by would hide a conversation.
    pub(crate) fn conversations(&self) -> Result<Vec<PathBuf>> {
        let odd = self.entries(|name, kind| has_extension(name, EXTENSION) && !kind.is_file())?;
        match odd.first() {
            Some(path) => Err(Error::corrupt(format!(
                "{} is no file; put the conversation's file there, or move it out of the folder",
                path.display()
            ))),
            None => self.with_extension(EXTENSION),
        }
    }

    /// All files with this extension.
    pub(crate) fn with_extension(&self, extension: &str) -> Result<Vec<PathBuf>> {
        self.files(|name| has_extension(name, extension))
    }

    /// All files that are copies of others, made when those were migrated or repaired, and what was beside the folder when a
    /// backup was restored in its place.
    pub(crate) fn copies(&self) -> Result<Vec<PathBuf>> {
        let is_copy = |name: &str| COPIES.iter().any(|suffix| name.contains(suffix));
        let mut found = self.files(is_copy)?;
        found
            .extend(beside(&self.path).map_err(|error| {
                unavailable("copies beside the folder cannot be listed", error)
            })?);
        Ok(found)
    }

    /// How long a file is.
    pub(crate) fn length_of(&self, name: &str) -> io::Result<u64> {
        fs::symlink_metadata(self.path.join(name)).map(|about| about.len())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts a whole file in its place, at once: staged beside it, synced, renamed, the folder synced.
    pub(crate) fn publish(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let staged = self.path.join(format!("{STAGED}{}", shs_store::clock::new_uuid().simple()));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&staged)?;
            file.write_all(bytes)?;
            // In any case: the name may come to the disk before the content does, and take the place of what is there.
            file.sync_data()?;
            drop(file);
            fs::rename(&staged, self.path.join(name))?;
            self.names_changed.store(true, Ordering::Relaxed);
            self.sync_names()
        };
        write().inspect_err(|_| {
            // It is not there any more if it was renamed, and is removed at the next opening if not.
            let _ = fs::remove_file(&staged);
        })
    }

    /// Removes a file; it is gone for good once the [names are synced](Self::sync_names).
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.names_changed.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Renames a file of the folder, for good.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        sync_folder(&self.path)
    }

    /// Writes bytes at a place in a file, after cutting off what is there, and says whether there was something; not
    /// synced yet. The file may be open already.
    pub(crate) fn write_at(
        &self,
        name: &str,
        open: Option<Arc<File>>,
        at: u64,
        bytes: &[u8],
    ) -> io::Result<(Arc<File>, bool)> {
        let known = open.and_then(|file| file.metadata().ok().map(|about| (file, about)));
        let (file, about) = match known.filter(|(_, about)| has_name(about)) {
            Some(known) => known,
            None => {
                let file = Arc::new(self.open_to_write(name)?);
                let about = file.metadata()?;
                (file, about)
            }
        };
        let is_longer = about.len() > at;
        if is_longer {
            file.set_len(at)?;
        } else if about.len() < at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_at(&file, at, bytes)?;
        Ok((file, is_longer))
    }

    /// Cuts a file to a length, for good, if it is longer.
    pub(crate) fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        let file = self.open_to_write(name)?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
        }
        self.sync(&file)
    }

    /// Opens a file as it is.
    pub(crate) fn open_to_write(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join(name))
    }

    /// Reads a piece of a file.
    pub(crate) fn read_at(&self, name: &str, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether writes do not wait for the disk.
    pub(crate) fn is_relaxed(&self) -> bool {
        self.durability == Durability::Relaxed
    }

    /// Waits until a file's content is on disk, unless a relaxed durability was chosen.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        if self.is_relaxed() { Ok(()) } else { file.sync_data() }
    }

    /// Waits until the folder's names are on disk, unless they are or a relaxed durability was chosen.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        if self.is_relaxed() { Ok(()) } else { self.sync_names_now() }
    }

    /// Waits until a file's content is on disk, in any case.
    pub(crate) fn sync_now(&self, name: &str) -> io::Result<()> {
        match File::open(self.path.join(name)) {
            Ok(file) => file.sync_data(),
            // It was deleted since it was written.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until the folder's names are on disk, in any case.
    pub(crate) fn sync_names_now(&self) -> io::Result<()> {
        if self.names_changed.load(Ordering::Relaxed) {
            sync_folder(&self.path)?;
            self.names_changed.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// How the name of a draft ends, and how it begins: it tells for what it is, should a killed process leave it.
pub(crate) const DRAFT: &str = ".draft";
pub(crate) fn draft_prefix(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Stores beside a folder that were there before a backup was restored in its place.
fn beside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = std::path::absolute(folder)?;
    let (Some(parent), Some(own)) = (folder.parent(), folder.file_name()) else {
        return Ok(Vec::new());
    };
    let (kept, draft) =
        (format!("{}{BEFORE_RESTORE}", own.to_string_lossy()), draft_prefix(&folder));
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&kept) || (name.starts_with(&draft) && name.ends_with(DRAFT)) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Locks a folder, which is made a store's if it is none.
///
/// # Errors
/// `Unavailable` if another process or store has it open.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(MARKER);
    let marker = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| {
            unavailable(&format!("the folder {} cannot be written", folder.display()), error)
        })?;
    match marker.try_lock() {
        Ok(()) => Ok(marker),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "the folder {} is open in another process or store; close that first, \
                 or use a backend for several processes",
                folder.display()
            ),
        )),
        Err(TryLockError::Error(error)) => {
            Err(unavailable(&format!("the folder {} cannot be locked", folder.display()), error))
        }
    }
}

/// Writes bytes at a place in an open file, in one call where there is one for it.
#[cfg(unix)]
pub(crate) fn write_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
pub(crate) fn write_at(mut file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

/// Waits until names that were made, renamed or removed in a folder are on disk. Windows does that by
/// itself, and cannot open folders.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Whether an open file is still in a folder: another program may have put another one in its place. Where that cannot be
/// told it is opened again.
#[cfg(unix)]
fn has_name(about: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(about) > 0
}

#[cfg(not(unix))]
fn has_name(_: &fs::Metadata) -> bool {
    false
}

/// The name of a file that was listed, which is UTF-8.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What the format file of this version says.
pub(crate) fn format() -> String {
    format!("{}\n", json!({ "format": "shs-fs", "version": VERSION }))
}

fn no_store(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory {
        let detail = format!("there is no store in {}", path.display());
        return Error::new(ErrorKind::NotFound, detail).with_source(error);
    }
    unavailable(&format!("the folder {} cannot be read", path.display()), error)
}

fn has_extension(name: &str, extension: &str) -> bool {
    !name.starts_with('.') && Path::new(name).extension() == Some(OsStr::new(extension))
}

/// An error of the file system.
pub(crate) fn unavailable(what: &str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let detail = format!("{what}: the file is shorter than what was written to it");
        return Error::corrupt(detail).with_source(error);
    }
    let why = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": the disk is full; free space and repeat"
        }
        io::ErrorKind::PermissionDenied => ": permission denied",
        io::ErrorKind::ReadOnlyFilesystem => ": the file system is read-only",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => ": it is not a folder",
        _ => "",
    };
    Error::new(ErrorKind::Unavailable, format!("{what}{why}")).with_source(error)
}
