//! Folders as processes leave them that are killed.

use tempfile::TempDir;

/// What a killed process leaves of an open store's folder.
pub(crate) fn killed(folder: &TempDir) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), image.path().join(entry.file_name())).unwrap();
    }
    image
}
