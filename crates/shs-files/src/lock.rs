//! Locks that keep other processes, and other stores of this one, away.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The file to lock so that others can read the one at `path`: on Unix the file itself, on Windows
/// one beside it, `NAME.lock`, which is empty.
///
/// Locks are mandatory on Windows: nobody else can read a file that is locked there, not even its
/// owner through another handle.
pub fn lock_path(path: &Path) -> PathBuf {
    if cfg!(unix) {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Gives back what [`File::try_lock`] and its siblings took, at once; a file that is not locked
/// stays as it is.
///
/// # Errors
/// Those of the file system.
pub fn unlock(file: &File) -> io::Result<()> {
    match file.unlock() {
        // The standard library unlocks twice there, as there can be two locks. Wine says this of
        // the second time, where Windows says that nothing is locked, which the standard library
        // knows.
        Err(error) if cfg!(windows) && error.raw_os_error() == Some(ERROR_LOCK_VIOLATION) => Ok(()),
        unlocked => unlocked,
    }
}

const ERROR_LOCK_VIOLATION: i32 = 33;

/// Makes a lock that this process alone has one that others can have beside it. Another may take it
/// between the two; then this waits until that one shares it.
///
/// # Errors
/// Those of the file system.
pub fn share(file: &File) -> io::Result<()> {
    unlock(file)?;
    file.lock_shared()
}

/// Makes a lock that others have beside this one a lock that this process alone has; whether it does.
/// If not, nothing is locked any more.
pub fn take_alone(file: &File) -> bool {
    unlock(file).is_ok() && file.try_lock().is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, TryLockError};

    use super::*;
    use crate::open_or_create;

    #[test]
    fn a_lock_keeps_others_out_until_it_is_given_back_and_lets_them_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "content").unwrap();
        let lock = || open_or_create(&lock_path(&path)).unwrap();
        let (one, other) = (lock(), lock());
        one.try_lock().unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        assert!(matches!(other.try_lock_shared(), Err(TryLockError::WouldBlock)));
        assert_eq!(fs::read(&path).unwrap(), b"content");
        unlock(&one).unwrap();
        unlock(&one).unwrap();
        other.try_lock().unwrap();
        share(&other).unwrap();
        one.try_lock_shared().unwrap();
        drop(other);
        unlock(&one).unwrap();
        lock().try_lock().unwrap();
    }
}
