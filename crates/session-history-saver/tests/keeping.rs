//! What is done with a store's files, by where the store is.

use session_history_saver::keeping::{self, Existing};
use session_history_saver::{ErrorKind, Location};

#[tokio::test]
async fn a_store_without_files_and_one_that_is_missing_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Location::Memory;
    let missing =
        [Location::sqlite(folder.path().join("a")), Location::fs(folder.path().join("b"))];
    for location in std::iter::once(&memory).chain(&missing) {
        let kind = match location {
            Location::Memory => ErrorKind::Unsupported,
            _ => ErrorKind::NotFound,
        };
        let target = folder.path().join("backup");
        let errors = [
            keeping::erase(location).await.unwrap_err(),
            keeping::backup(location, &target, Existing::Refuse).await.unwrap_err(),
            keeping::verify(location).await.unwrap_err(),
            keeping::repair(location).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), kind, "{location}: {error}");
        }
        let restored = keeping::restore(&target, location, Existing::Refuse).await;
        assert_eq!(restored.unwrap_err().kind(), ErrorKind::NotFound, "{location}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made");
    }
}

/// A backup of the other backend is told by its content, in every build.
#[tokio::test]
async fn a_backup_of_another_backend_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let path = folder.path().join("new");
    let begins: [(&[u8], Location, &str); 2] = [
        (b"SQLite format 3\0 and so on", Location::fs(&path), "sqlite:"),
        (b"shs-fs.format\0\0\0\0 and so on", Location::sqlite(&path), "fs:"),
    ];
    for (bytes, location, named) in begins {
        std::fs::write(&file, bytes).unwrap();
        let restored = keeping::restore(&file, &location, Existing::Replace).await;
        let error = restored.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    std::fs::write(&file, "something else").unwrap();
    let restored = keeping::restore(&file, &Location::sqlite(&path), Existing::Replace).await;
    assert_eq!(restored.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(!path.exists());
}
