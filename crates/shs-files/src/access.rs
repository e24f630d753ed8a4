//! Who may read a file, and whose it is.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

use crate::folder_of;

/// Makes a file that is not there, for writing, which nobody else can read.
///
/// # Errors
/// Those of the file system; [`AlreadyExists`](io::ErrorKind::AlreadyExists) if anything has the
/// name.
pub fn create_new(path: &Path) -> io::Result<File> {
    let file = private().write(true).create_new(true).open(path)?;
    own_like_folder(path)?;
    Ok(file)
}

/// Opens a file for reading and writing, and makes it if it is not there, so that nobody else can
/// read it. One that is there keeps its access rights.
///
/// # Errors
/// Those of the file system.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    match create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    // Also where somebody else made it, or removed it, between the two.
    private().read(true).write(true).create(true).truncate(false).open(path)
}

/// Makes a folder, and those above it that are missing, which nobody else can look into. One that
/// is there stays as it is.
///
/// # Errors
/// Those of the file system.
pub fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = folder_of(path);
    if parent != path && !parent.is_dir() {
        create_folder(parent)?;
    }
    #[cfg_attr(not(unix), allow(unused_mut, reason = "there is no mode to set"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        // Somebody else made it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => own_like_folder(path),
    }
}

/// Gives a new file or folder the access rights and, where the process may do that, the owner and
/// the group of the one that it replaces or copies. On Windows it does nothing: the rights are
/// those that the folder hands down.
///
/// # Errors
/// Those of the file system. A process that may not give files away keeps the file as its own,
/// without an error; no more people can read it than the original.
pub fn take_after(path: &Path, original: &Metadata) -> io::Result<()> {
    give_to(path, original)?;
    if cfg!(unix) { fs::set_permissions(path, original.permissions()) } else { Ok(()) }
}

/// Gives what root has made to the owner of the folder that it is in; whatever others make is
/// theirs.
///
/// # Errors
/// Those of the file system.
pub fn own_like_folder(path: &Path) -> io::Result<()> {
    // Without root's rights it would be refused anyway.
    if is_root(path)? { give_to(path, &fs::metadata(folder_of(path))?) } else { Ok(()) }
}

fn private() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "there is no mode to set"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Whether something belongs to root, as what root makes does.
#[cfg(unix)]
fn is_root(path: &Path) -> io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::uid(&fs::symlink_metadata(path)?) == 0)
}

#[cfg(not(unix))]
fn is_root(_: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(unix)]
fn give_to(path: &Path, original: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, lchown};
    let own = fs::symlink_metadata(path)?;
    let (uid, gid) = (original.uid(), original.gid());
    if (own.uid(), own.gid()) == (uid, gid) {
        return Ok(());
    }
    match lchown(path, Some(uid), Some(gid)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}

#[cfg(not(unix))]
fn give_to(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_private_and_what_is_there_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        create_folder(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o750)).unwrap();
        create_folder(&path).unwrap();
        assert_eq!(mode(&path), 0o750);
        let file = path.join("file");
        create_new(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(create_new(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        open_or_create(&file).unwrap();
        assert_eq!(mode(&file), 0o640);
        let copy = path.join("copy");
        create_new(&copy).unwrap();
        take_after(&copy, &fs::metadata(&file).unwrap()).unwrap();
        assert_eq!(mode(&copy), 0o640);
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        if chown(folder.path(), Some(65_534), Some(65_534)).is_err() {
            assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
            eprintln!("SKIPPED: only root can give files away");
            return;
        }
        let owner = |path: &Path| fs::metadata(path).unwrap().uid();
        let file = folder.path().join("file");
        create_new(&file).unwrap();
        assert_eq!(owner(&file), 65_534);
        let inner = folder.path().join("a/b");
        create_folder(&inner).unwrap();
        assert_eq!((owner(&inner), owner(inner.parent().unwrap())), (65_534, 65_534));
        let other = tempfile::NamedTempFile::new().unwrap();
        take_after(other.path(), &fs::metadata(&file).unwrap()).unwrap();
        assert_eq!(owner(other.path()), 65_534);
    }
}
