//! Which file stands at a path.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// Which file it is, whatever its name: to find out whether an open file is still at its path.
///
/// It is never given twice among files of a volume that exist at the same time, but on Windows'
/// ReFS, whose numbers are longer than the system tells here. A file that was removed may leave its
/// own to a new one; while it is open, it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    volume: u64,
    file: u64,
}

impl Identity {
    /// Of what is at a path now; a link counts as what it leads to.
    ///
    /// # Errors
    /// Those of the file system; [`NotFound`](io::ErrorKind::NotFound) if nothing is there.
    pub fn at(path: &Path) -> io::Result<Self> {
        Self::look(path).map(|(identity, _)| identity)
    }

    /// As [`at`](Self::at), with what else there is to know of it.
    ///
    /// # Errors
    /// Those of [`at`](Self::at).
    pub fn look(path: &Path) -> io::Result<(Self, Metadata)> {
        system::look(path)
    }

    /// Whether something stands at a path, and is this if it is known what was there.
    ///
    /// # Errors
    /// Those of [`at`](Self::at), but that nothing is there.
    pub fn is_at(known: Option<Self>, path: &Path) -> io::Result<bool> {
        match Self::at(path) {
            Ok(found) => Ok(known.is_none_or(|known| known == found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Of an open file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn of_file(file: &File) -> io::Result<Self> {
        system::of_file(file)
    }
}

#[cfg(unix)]
mod system {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    pub(super) fn look(path: &Path) -> io::Result<(Identity, Metadata)> {
        fs::metadata(path).map(|about| (of(&about), about))
    }

    pub(super) fn of_file(file: &File) -> io::Result<Identity> {
        file.metadata().map(|about| of(&about))
    }

    fn of(about: &Metadata) -> Identity {
        Identity { volume: about.dev(), file: about.ino() }
    }
}

#[cfg(windows)]
mod system {
    use std::os::windows::fs::OpenOptionsExt;

    use super::*;

    /// Enough to ask, and in nobody's way: not even of those who let nobody read.
    const FILE_READ_ATTRIBUTES: u32 = 0x80;
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;

    pub(super) fn look(path: &Path) -> io::Result<(Identity, Metadata)> {
        let file = File::options()
            .access_mode(FILE_READ_ATTRIBUTES)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
        Ok((of_file(&file)?, file.metadata()?))
    }

    pub(super) fn of_file(file: &File) -> io::Result<Identity> {
        let about = winapi_util::file::information(file)?;
        Ok(Identity { volume: about.volume_serial_number(), file: about.file_index() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        fs::write(&one, "12").unwrap();
        let (another, about) = Identity::look(&one).unwrap();
        assert_ne!(another, identity);
        assert_eq!(about.len(), 2);
        assert_ne!(Identity::at(folder.path()).unwrap(), another);
    }
}
