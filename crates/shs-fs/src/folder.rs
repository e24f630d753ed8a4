//! The folder: its lock, its files, and how they come to be on disk.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use shs_store::clock::new_uuid;
use shs_store::{Durability, Error, ErrorKind, Result};

use shs_files::{
    Identity, create_folder, create_new, lock_path, open_or_create, rename, sync_file_data,
    sync_folder, take_after, unlock, write_all_at,
};

use crate::arrivals::ARRIVALS;
use crate::name::{EXTENSION, TENANTS, goes_on, split, tenant_of};

/// The file that says what the folder is; [its lock](lock_path) says that a process has it open.
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

/// How much of a staged file is written at once, in bytes.
const STAGED_BYTES: usize = 64 * 1024;

/// A file that is to be [put](Folder::put) into its place. If that does not come about, it is removed.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    file: BufWriter<File>,
    /// Its place.
    name: String,
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It is not there any more if it was renamed, and is removed at the next opening if this fails.
        let _ = fs::remove_file(&self.path);
    }
}

/// The folder of a store, locked for this process.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    durability: Durability,
    marker: File,
    /// What is locked, if it could be opened.
    lock: Option<File>,
    identity: Option<Identity>,
    /// Whether another process or store has it open, beside which this one only looks.
    is_in_use: bool,
    /// Folders in which names were changed that are not on disk yet, as [`split`] names them.
    changed: Mutex<BTreeSet<String>>,
}

impl Folder {
    /// Opens a folder, and makes it if it is missing.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(Error::invalid("a store in files needs the path of a folder"));
        }
        create_folder(path).map_err(|error| {
            unavailable(&format!("the folder {} cannot be made", path.display()), error)
        })?;
        let (marker, locked) = lock(path)?;
        let folder = Self { durability, ..Self::with(path, marker, Some(locked), false) };
        folder.check_format()?;
        // The last process may have ended between a change of names and its sync.
        folder.note_changed(folder.folders()?);
        folder.remove_staged()?;
        folder.sync_names().map_err(|error| unavailable("the folder cannot be synced", error))?;
        Ok(folder)
    }

    /// Looks at a folder that is there, to read only. If nobody has it open, nobody can open it
    /// meanwhile; but on Windows, where locks need a file of their own, only if anybody ever had it
    /// open.
    ///
    /// # Errors
    /// `NotFound` if there is no store.
    pub(crate) fn look_at(path: &Path) -> Result<Self> {
        let marker = File::open(path.join(MARKER)).map_err(|error| no_store(path, error))?;
        let cannot =
            |error| unavailable(&format!("the folder {} cannot be locked", path.display()), error);
        let locked = match lock_file(path, &marker, |path| File::open(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(cannot)?),
        };
        let is_in_use = match locked.as_ref().map_or(Ok(()), File::try_lock_shared) {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        };
        Ok(Self::with(path, marker, locked, is_in_use))
    }

    /// Opens a folder that is there, as it is.
    ///
    /// # Errors
    /// `NotFound` if there is no store, `Unavailable` if another process or store has it open.
    pub(crate) fn locked(path: &Path) -> Result<Self> {
        fs::metadata(path.join(MARKER)).map_err(|error| no_store(path, error))?;
        let (marker, locked) = lock(path)?;
        Ok(Self::with(path, marker, Some(locked), false))
    }

    fn with(path: &Path, marker: File, lock: Option<File>, is_in_use: bool) -> Self {
        let (durability, changed) = (Durability::Full, Mutex::new([String::new()].into()));
        let identity = Identity::of_file(&marker).ok();
        // Whatever becomes the current folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { path, durability, marker, lock, identity, is_in_use, changed }
    }

    /// That the folder is still where it was opened: what is written into one that was moved away,
    /// or replaced, nobody finds at its path.
    pub(crate) fn check_place(&self) -> io::Result<()> {
        check_place(&self.path.join(MARKER), self.identity)
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
        self.lock.as_ref().map_or(Ok(()), unlock)
    }

    /// The names of what was never published.
    pub(crate) fn staged(&self) -> Result<Vec<String>> {
        self.everywhere(|name, kind| kind.is_file() && name.starts_with(STAGED))
    }

    /// The names of all conversations' files.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        self.everywhere(|name, kind| kind.is_file() && has_extension(name, EXTENSION))
    }

    /// What has the name of a conversation's file and is no file.
    pub(crate) fn odd_names(&self) -> Result<Vec<String>> {
        self.everywhere(|name, kind| !kind.is_file() && has_extension(name, EXTENSION))
    }

    /// What stands among the tenants' folders and is not a tenant's folder.
    pub(crate) fn odd_folders(&self) -> Result<Vec<String>> {
        let mut odd = Vec::new();
        self.walk_tenants(&mut |folder, is_tenants| {
            if !is_tenants {
                odd.push(folder.to_owned());
            }
        })?;
        Ok(odd)
    }

    /// Removes what was never published.
    pub(crate) fn remove_staged(&self) -> Result<()> {
        for name in self.staged()? {
            fs::remove_file(self.path.join(name))
                .map_err(|error| unavailable("a leftover cannot be removed", error))?;
        }
        Ok(())
    }

    /// The folders that conversations are in, as [`split`] names them.
    fn folders(&self) -> Result<Vec<String>> {
        let mut folders = vec![String::new()];
        self.walk_tenants(&mut |folder, is_tenants| {
            if is_tenants {
                folders.push(folder.to_owned());
            }
        })?;
        Ok(folders)
    }

    /// Shows each folder below the tenants', and whether it is one's.
    fn walk_tenants(&self, show: &mut impl FnMut(&str, bool)) -> Result<()> {
        let mut left = vec![format!("{TENANTS}/")];
        while let Some(parent) = left.pop() {
            let is_root = parent.len() == TENANTS.len() + 1;
            let listed =
                self.list(&parent, |name, kind| kind.is_dir() && (is_root || goes_on(name)));
            let listed = match listed {
                Err(error) if is_root && error.kind() == io::ErrorKind::NotFound => continue,
                listed => listed.map_err(cannot_list)?,
            };
            for name in listed {
                let folder = format!("{name}/");
                let is_tenants = tenant_of(&folder).is_some();
                show(&folder, is_tenants);
                if is_tenants {
                    left.push(folder);
                }
            }
        }
        Ok(())
    }

    /// The names in all folders of conversations that fit, with their types, by name.
    fn everywhere(&self, fits: impl Fn(&str, FileType) -> bool) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for folder in self.folders()? {
            found.extend(self.list(&folder, &fits).map_err(cannot_list)?);
        }
        found.sort();
        Ok(found)
    }

    /// The names in a folder that fit, with their types.
    fn list(&self, folder: &str, fits: impl Fn(&str, FileType) -> bool) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path.join(folder))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if let Some(name) = entry.file_name().to_str().filter(|name| fits(name, kind)) {
                found.push(format!("{folder}{name}"));
            }
        }
        found.sort();
        Ok(found)
    }

    /// All files with this extension in the folder itself.
    pub(crate) fn with_extension(&self, extension: &str) -> Result<Vec<PathBuf>> {
        let fits = |name: &str, kind: FileType| kind.is_file() && has_extension(name, extension);
        let names = self.list("", fits).map_err(cannot_list)?;
        Ok(names.iter().map(|name| self.path.join(name)).collect())
    }

    /// All files that are copies of others, made when those were migrated or repaired, and what was beside the folder when a
    /// backup was restored in its place.
    pub(crate) fn copies(&self) -> Result<Vec<PathBuf>> {
        let is_copy = |name: &str, kind: FileType| {
            kind.is_file() && COPIES.iter().any(|suffix| name.contains(suffix))
        };
        let copies = self.everywhere(is_copy)?;
        let mut found: Vec<PathBuf> = copies.iter().map(|name| self.path.join(name)).collect();
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

    /// Whether two names that differ by case alone are one file's, on a file system that does not
    /// tell them apart.
    pub(crate) fn is_one_file(&self, one: &str, other: &str) -> bool {
        let at = |name: &str| Identity::at(&self.path.join(name)).ok();
        cfg!(any(windows, target_os = "macos"))
            && one.eq_ignore_ascii_case(other)
            && at(one).is_some_and(|identity| at(other) == Some(identity))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts a whole file in its place, at once: [staged](Self::stage) beside it and [put](Self::put) there.
    pub(crate) fn publish(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut staged = self.stage(name)?;
        staged.write_all(bytes)?;
        self.put(staged)
    }

    /// Begins a file that is to take a place.
    pub(crate) fn stage(&self, name: &str) -> io::Result<Staged> {
        let (folder, _) = split(name);
        self.make_folder(folder)?;
        let path = self.path.join(format!("{folder}{STAGED}{}", new_uuid().simple()));
        let file = BufWriter::with_capacity(STAGED_BYTES, create_new(&path)?);
        let staged = Staged { path, file, name: name.to_owned() };
        if let Ok(replaced) = fs::metadata(self.path.join(name)) {
            take_after(&staged.path, &replaced)?;
        }
        Ok(staged)
    }

    /// Puts a staged file into its place, for good: synced, renamed, the folder synced.
    pub(crate) fn put(&self, mut staged: Staged) -> io::Result<()> {
        staged.file.flush()?;
        // In any case: the name may come to the disk before the content does, and take the place of what is there.
        staged.file.get_ref().sync_data()?;
        rename(&staged.path, &self.path.join(&staged.name))?;
        self.note_changed([split(&staged.name).0.to_owned()]);
        self.sync_names()
    }

    /// Makes a tenant's folder if it is missing; it is there for good once the [names are
    /// synced](Self::sync_names).
    fn make_folder(&self, folder: &str) -> io::Result<()> {
        if folder.is_empty() || self.path.join(folder).is_dir() {
            return Ok(());
        }
        let mut parent = "";
        for (end, _) in folder.match_indices('/') {
            let part = &folder[..=end];
            if !self.path.join(part).is_dir() {
                create_folder(&self.path.join(part))?;
                self.note_changed([parent.to_owned()]);
            }
            parent = part;
        }
        Ok(())
    }

    /// Notes folders in which names were changed.
    fn note_changed(&self, folders: impl IntoIterator<Item = String>) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(folders);
    }

    /// Removes a file; it is gone for good once the [names are synced](Self::sync_names).
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.note_changed([split(name).0.to_owned()]);
                Ok(())
            }
        }
    }

    /// Renames a file of the folder, for good.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        rename(from, to)?;
        sync_folder(&self.path)
    }

    /// Writes bytes at a place in a file, after cutting off what is there, and says whether there was something; not
    /// synced yet. The file may be open already.
    pub(crate) fn write_at(
        &self,
        name: &str,
        open: Option<Arc<OpenFile>>,
        at: u64,
        bytes: &[u8],
    ) -> io::Result<(Arc<OpenFile>, bool)> {
        let known = open.and_then(|open| open.at_its_path(&self.path.join(name)));
        let (file, about) = match known {
            Some(known) => known,
            None => {
                let file = OpenFile::new(self.open_to_write(name)?)?;
                let about = file.file.metadata()?;
                (Arc::new(file), about)
            }
        };
        let is_longer = about.len() > at;
        if is_longer {
            file.file.set_len(at)?;
        } else if about.len() < at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(&file.file, at, bytes)?;
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
        match sync_file_data(&self.path.join(name)) {
            // It was deleted since it was written.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        }
    }

    /// Waits until the folder's names are on disk, in any case.
    pub(crate) fn sync_names_now(&self) -> io::Result<()> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(folder) = changed.first() {
            match sync_folder(&self.path.join(folder)) {
                // Somebody else removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_empty() => {}
                synced => synced?,
            }
            changed.pop_first();
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

/// Locks a folder, and makes it a store's if it is not one. Returns its format file, and what is
/// locked.
///
/// # Errors
/// `Unavailable` if another process or store has it open.
pub(crate) fn lock(folder: &Path) -> Result<(File, File)> {
    let cannot =
        |error| unavailable(&format!("the folder {} cannot be written", folder.display()), error);
    let marker = open_or_create(&folder.join(MARKER)).map_err(cannot)?;
    let locked = lock_file(folder, &marker, open_or_create).map_err(cannot)?;
    match locked.try_lock() {
        Ok(()) => Ok((marker, locked)),
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

/// The file whose lock is the folder's: the format file, or one of its own.
fn lock_file(
    folder: &Path,
    marker: &File,
    open: impl Fn(&Path) -> io::Result<File>,
) -> io::Result<File> {
    let path = folder.join(MARKER);
    let own = lock_path(&path);
    if own == path { marker.try_clone() } else { open(&own) }
}

/// Whether a name is that of a file that every store has, whatever is in it.
pub(crate) fn is_of_every_store(name: &OsStr) -> bool {
    name == MARKER || name == ARRIVALS || name == lock_path(Path::new(MARKER))
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

/// An open file, and which one it is.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    identity: Identity,
}

impl OpenFile {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let identity = Identity::of_file(&file)?;
        Ok(Self { file, identity })
    }

    /// This file with what there is to know of it, if it still has its name: another program may
    /// have put another one in its place.
    fn at_its_path(self: Arc<Self>, path: &Path) -> Option<(Arc<Self>, fs::Metadata)> {
        let (identity, about) = Identity::look(path).ok()?;
        (identity == self.identity).then_some((self, about))
    }
}

/// That the file at a path is the one that was opened there.
pub(crate) fn check_place(path: &Path, identity: Option<Identity>) -> io::Result<()> {
    if Identity::is_at(identity, path)? {
        return Ok(());
    }
    let what = format!(
        "{} is not the file that was opened there: it was moved, removed or replaced; put it back, or open the store again",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::StaleNetworkFileHandle, what))
}

fn cannot_list(error: io::Error) -> Error {
    unavailable("the folder cannot be listed", error)
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
        io::ErrorKind::StaleNetworkFileHandle => {
            return Error::new(ErrorKind::Unavailable, format!("{what}: {error}"))
                .with_source(error);
        }
        _ => "",
    };
    Error::new(ErrorKind::Unavailable, format!("{what}{why}")).with_source(error)
}
