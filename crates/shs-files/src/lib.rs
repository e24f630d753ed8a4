//! What the backends of `session-history-saver` that keep files need of the operating system.
//!
//! | | Unix | Windows |
//! |---|---|---|
//! | [`sync_folder`] | `fsync` of the folder: names that were made, renamed or removed in it are on disk | nothing to do: NTFS writes names to its log by itself, and folders cannot be opened as files |
//! | [`create_new`], [`open_or_create`], [`create_folder`] | new files have the mode 0600, new folders 0700, whatever the umask | the access rights of the folder are inherited |
//! | [`take_after`] | mode, owner and group of a file or folder that is replaced | its read-only mark |
//! | [`Identity`] | device and inode | the same for every file that is there: an open file cannot be renamed or removed |
//!
//! A new file of a process that runs as root belongs to the owner of the folder it is in, so that whatever an
//! administrator does with a store leaves it usable for the service that it belongs to.

mod access;
mod identity;

use std::fs::File;
use std::io;
use std::path::Path;

pub use access::{create_folder, create_new, open_or_create, own_like_folder, take_after};
pub use identity::Identity;

/// Waits until names that were made, renamed or removed in a folder are on disk.
///
/// # Errors
/// Those of the file system.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
