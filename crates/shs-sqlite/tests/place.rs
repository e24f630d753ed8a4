//! What is acknowledged is where it belongs, and nobody else can read it.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use shs_sqlite::{SqliteOptions, SqliteStore, backup, restore};
use shs_store::keeping::Existing;
use shs_store::{ErrorKind, NewMessage, NewSession, Scope, SessionId, Store, StoreExt};
use tempfile::TempDir;

const SCOPE: Scope = Scope::DEFAULT;

async fn open() -> (TempDir, PathBuf, SqliteStore, SessionId) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let id = store.create_session(&SCOPE, NewSession::new()).await.unwrap().id;
    store.append(&SCOPE, &id, NewMessage::user("before")).await.unwrap();
    (folder, path, store, id)
}

fn beside(path: &Path, rest: &str) -> PathBuf {
    PathBuf::from(format!("{}{rest}", path.display()))
}

/// Nothing is acknowledged while the database or its log is away, and everything goes on when it is
/// back.
#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_at_its_place() {
    for rest in ["", "-wal"] {
        for removed in [false, true] {
            let (folder, path, store, id) = open().await;
            let (file, away) = (beside(&path, rest), folder.path().join("away"));
            fs::rename(&file, &away).unwrap();
            if removed {
                fs::remove_file(&away).unwrap();
            }
            for _ in 0..3 {
                let error = store.append(&SCOPE, &id, NewMessage::user("lost")).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains("put it back"), "{error}");
            }
            let error = store.create_session(&SCOPE, NewSession::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(!file.exists(), "no new file is made in its place");
            if !removed {
                fs::rename(&away, &file).unwrap();
                let message = NewMessage::user("after");
                store.append(&SCOPE, &id, message.clone()).await.unwrap();
                store.close().await.unwrap();
                let store = SqliteStore::open(&path).await.unwrap();
                let stored = store.last_messages(&SCOPE, &id, 1).await.unwrap();
                assert_eq!(stored[0].id, message.id);
            }
            store.close().await.unwrap();
        }
    }
}

/// Another database at the path is not written to, and not read by a store that was opened before.
#[tokio::test]
async fn another_database_at_the_path_is_another_store() {
    let (folder, path, store, id) = open().await;
    let (_other, other_path, other, other_id) = open().await;
    other.close().await.unwrap();
    fs::rename(&path, folder.path().join("away")).unwrap();
    fs::copy(&other_path, &path).unwrap();
    let error = store.append(&SCOPE, &id, NewMessage::user("lost")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(store.find_session(&SCOPE, &other_id).await.map_or(true, |found| found.is_none()));
    store.close().await.unwrap();
}

#[tokio::test]
async fn files_are_private_and_keep_what_their_user_chose() {
    let (folder, path, store, _) = open().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    for rest in ["", "-wal", "-shm", "-lock"] {
        assert_eq!(mode(&beside(&path, rest)), 0o600, "{rest}");
    }
    let copy = folder.path().join("copy.db");
    store.backup(&copy, Existing::Refuse).await.unwrap();
    assert_eq!(mode(&copy), 0o600);
    store.close().await.unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!((mode(&path), mode(&beside(&path, "-wal"))), (0o640, 0o640));
    store.close().await.unwrap();
    backup(&path, &copy, Existing::Replace).await.unwrap();
    assert_eq!(mode(&copy), 0o640, "no wider than the database");
    let restored = restore(&copy, &path, Existing::Replace).await.unwrap();
    assert_eq!(mode(&path), 0o640);
    assert_eq!(mode(&restored.kept.unwrap()), 0o640);
}

/// Whoever keeps the lock file locked stops an opening with a word, and not for ever.
#[tokio::test]
async fn a_lock_of_somebody_else_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let lock = fs::File::create(beside(&path, "-lock")).unwrap();
    lock.lock().unwrap();
    let options = SqliteOptions::new(&path).with_busy_timeout(Duration::from_millis(50));
    let error = options.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("history.db-lock"), "{error}");
    drop(lock);
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
}
