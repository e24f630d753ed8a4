//! What is acknowledged is where it belongs, and nobody else can read it.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use shs_fs::{FsStore, backup, restore};
use shs_store::keeping::Existing;
use shs_store::{ErrorKind, ImportMode, NewMessage, NewSession, Scope, SessionId, Store, StoreExt};
use tempfile::TempDir;

const SCOPE: Scope = Scope::DEFAULT;

async fn open() -> (TempDir, PathBuf, FsStore, SessionId) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("history");
    let store = FsStore::open(&path).await.unwrap();
    let id = SessionId::new("s").unwrap();
    store.create_session(&SCOPE, NewSession::with_id(id.clone())).await.unwrap();
    store.append(&SCOPE, &id, NewMessage::user("before")).await.unwrap();
    (parent, path, store, id)
}

/// Nothing is acknowledged while the folder, a conversation's file or the journal is away, and
/// everything goes on when it is back.
#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_at_its_place() {
    for name in ["", "s.jsonl", ".journal", "shs-fs.format"] {
        let (parent, path, store, id) = open().await;
        let (file, away) = (path.join(name), parent.path().join("away"));
        let file = if name.is_empty() { path.clone() } else { file };
        fs::rename(&file, &away).unwrap();
        // Another journal is made before the next write.
        for _ in 0..if name == ".journal" { 1 } else { 3 } {
            let error = store.append(&SCOPE, &id, NewMessage::user("lost")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error}");
        }
        if name != "s.jsonl" && name != ".journal" {
            let error = store.create_session(&SCOPE, NewSession::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error}");
            assert!(error.to_string().contains("put it back"), "{error}");
            assert!(!file.exists(), "{name}: nothing new is made in its place");
        }
        if name != ".journal" {
            fs::rename(&away, &file).unwrap();
        }
        let message = NewMessage::user("after");
        store.append(&SCOPE, &id, message.clone()).await.unwrap();
        store.close().await.unwrap();
        let store = FsStore::open(&path).await.unwrap();
        let stored = store.transcript(&SCOPE, &id).await.unwrap().messages;
        assert_eq!(stored.first().unwrap().content, "before", "{name}");
        assert_eq!(stored.last().unwrap().id, message.id, "{name}");
        store.close().await.unwrap();
    }
}

/// Another folder at the path is not written to by a store that was opened before.
#[tokio::test]
async fn another_folder_at_the_path_is_another_store() {
    let (parent, path, store, id) = open().await;
    let (_other, other_path, other, _) = open().await;
    other.close().await.unwrap();
    fs::rename(&path, parent.path().join("away")).unwrap();
    fs::rename(&other_path, &path).unwrap();
    let before = fs::read(path.join("s.jsonl")).unwrap();
    store.append(&SCOPE, &id, NewMessage::user("lost")).await.unwrap_err();
    store.create_session(&SCOPE, NewSession::new()).await.unwrap_err();
    assert_eq!(fs::read(path.join("s.jsonl")).unwrap(), before);
    assert_eq!(
        fs::read_dir(&path)
            .unwrap()
            .filter(|e| {
                e.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "jsonl")
            })
            .count(),
        1
    );
}

#[tokio::test]
async fn files_are_private_and_keep_what_their_user_chose() {
    let (parent, path, store, id) = open().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let acme = Scope::tenant("acme").unwrap();
    store.create_session(&acme, NewSession::with_id(id.clone())).await.unwrap();
    assert_eq!(mode(&path), 0o700);
    let tenant = path.join("tenants/acme");
    assert_eq!((mode(&path.join("tenants")), mode(&tenant)), (0o700, 0o700));
    let file = path.join("s.jsonl");
    for name in ["s.jsonl", "tenants/acme/s.jsonl", ".journal", "shs-fs.format"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let transcript = store.transcript(&SCOPE, &id).await.unwrap();
    store.import(&SCOPE, transcript, ImportMode::Overwrite).await.unwrap();
    assert_eq!(mode(&file), 0o640, "after it was written anew");
    let copy = parent.path().join("copy.tar");
    store.backup(&copy, Existing::Refuse).await.unwrap();
    assert_eq!(mode(&copy), 0o600);
    store.close().await.unwrap();
    backup(&path, &copy, Existing::Replace).await.unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o750)).unwrap();
    restore(&copy, &path, Existing::Replace).await.unwrap();
    assert_eq!((mode(&path), mode(&tenant), mode(&file)), (0o750, 0o700, 0o600));
    let store = FsStore::open(&path).await.unwrap();
    assert_eq!(store.session(&acme, &id).await.unwrap().message_count, 0);
    store.close().await.unwrap();
}
