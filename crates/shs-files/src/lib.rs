//! What the crates of `session-history-saver` that keep files need of the operating system: the one
//! place that knows which it is.
//!
//! # What is promised where
//!
//! **Durable** means that it survives a power cut, as far as the disk keeps what it says that it
//! has. **At once** means that whoever looks, or starts after a crash, finds the old or the new,
//! whole.
//!
//! | | Linux | macOS | Windows |
//! |---|---|---|---|
//! | content ([`sync_file`], [`sync_file_data`], [`File::sync_data`](std::fs::File::sync_data)) | `fsync`, `fdatasync` | `F_FULLFSYNC`: the disk's own memory is written too | `FlushFileBuffers`, which needs a handle that may write |
//! | names ([`sync_folder`]) | `fsync` of the folder | `F_FULLFSYNC` of the folder | `FlushFileBuffers` of the folder where the file system takes it; where it does not, as FAT, names are as durable as the file system makes them by itself |
//! | replacing ([`rename`], [`persist`]) | at once | at once | at once on NTFS; tried again for about half a second while another program has one of the two open and does not share it |
//! | a folder where another one is | at once ([`renameat2`](https://man7.org/linux/man-pages/man2/rename.2.html)) | at once | by two renames, while nothing in it is open |
//! | open files | can be replaced and removed | the same | cannot on every file system: this library closes its own first ([`OPEN_FILES_STAY`]) |
//! | locks ([`lock_path`]) | on the file itself, of use only to who asks | the same | mandatory, so on an empty file beside it |
//! | access ([`create_new`], [`open_or_create`], [`create_folder`]) | mode 0600, folders 0700, whatever the umask | the same | the rights that the folder hands down; it is not looked at who has them |
//! | [`take_after`] | mode, owner and group of what is replaced | the same | nothing: rights are handed down, and the read-only mark would keep the file from being synced |
//! | [`Identity`] | device and inode | the same | serial number of the volume, and index of the file |
//!
//! For macOS our own checks only compile, and run nothing. For Windows, Wine runs tests (README.md of
//! the project has which), and no power was cut.
//!
//! A new file of a process that runs as root belongs to the owner of the folder it is in, so that
//! whatever an administrator does with a store leaves it usable for the service that it belongs to.

mod access;
mod durable;
mod identity;
mod lock;
mod position;

use std::path::Path;

pub use access::{create_folder, create_new, open_or_create, own_like_folder, take_after};
pub use durable::{
    copy_new, copy_over, draft, persist, persist_new, place_folder, rename, replace_folder,
    sync_file, sync_file_data, sync_folder,
};
pub use identity::Identity;
pub use lock::{lock_path, share, take_alone, unlock};
pub use position::write_all_at;

/// Whether a file that is open may be impossible to replace, or keep its name after it was removed,
/// until it is closed.
pub const OPEN_FILES_STAY: bool = cfg!(windows);

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
