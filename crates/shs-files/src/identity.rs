//! Which file stands at a path.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

/// Which file it is, whatever its name: to find out whether an open file is still at its path.
///
/// It is never given twice among files that exist at the same time. A file that was removed may leave its own to a
/// new one; while it is open, it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(#[cfg(unix)] (u64, u64));

impl Identity {
    /// Of what is at a path now; a link counts as what it leads to.
    ///
    /// # Errors
    /// Those of the file system; [`NotFound`](io::ErrorKind::NotFound) if nothing is there.
    pub fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|about| Self::of(&about))
    }

    /// Of an open file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|about| Self::of(&about))
    }

    /// Of the file that these say something about.
    #[cfg(unix)]
    pub fn of(about: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self((about.dev(), about.ino()))
    }

    /// Of the file that these say something about.
    #[cfg(not(unix))]
    pub fn of(_: &Metadata) -> Self {
        Self()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_whatever_its_name_and_another_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let file = File::create(&one).unwrap();
        let identity = Identity::of_file(&file).unwrap();
        assert_eq!(Identity::at(&one).unwrap(), identity);
        fs::rename(&one, &other).unwrap();
        assert_eq!(Identity::at(&other).unwrap(), identity);
        assert_eq!(Identity::at(&one).unwrap_err().kind(), io::ErrorKind::NotFound);
        File::create(&one).unwrap();
        assert_ne!(Identity::at(&one).unwrap(), identity);
    }
}
