//! Numbers of arrival: none is given twice, whatever goes from the folder or comes into it.

mod killed;

use std::path::{Path, PathBuf};

use serde_json::json;
use shs_fs::FsStore;
use shs_store::{
    Cursor, ErrorKind, ImportMode, Message, NewMessage, NewSession, Scope, SearchOrder,
    SearchQuery, SessionId, Store, StoreExt, Transcript,
};
use tempfile::TempDir;

use killed::killed;

fn id(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

async fn append(store: &FsStore, name: &str) -> Message {
    store.append(&Scope::DEFAULT, &id(name), NewMessage::user("text")).await.unwrap()
}

/// A folder with sessions of one message each, which is closed.
async fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    for name in names {
        let new = NewSession::with_id(id(name)).with_user("alice");
        store.create_session(&Scope::DEFAULT, new).await.unwrap();
        append(&store, name).await;
    }
    store.close().await.unwrap();
    folder
}

fn arrivals(folder: &TempDir) -> PathBuf {
    folder.path().join(".arrivals")
}

fn oldest() -> SearchQuery {
    SearchQuery::all().with_order(SearchOrder::Oldest)
}

/// The place after the first two messages.
async fn after_two(store: &FsStore) -> Cursor {
    store.search(&Scope::DEFAULT, &oldest().with_limit(2)).await.unwrap().next.unwrap()
}

/// Opens the folder, appends to a session, and finds that behind the place, and nothing else.
async fn assert_goes_on(folder: &Path, name: &str, after: &Cursor) {
    let store = FsStore::open(folder).await.unwrap();
    let message = append(&store, name).await;
    let found =
        store.search(&Scope::DEFAULT, &oldest().with_after(after.clone())).await.unwrap().items;
    let found: Vec<_> = found.into_iter().map(|hit| hit.message).collect();
    assert_eq!(found, [message]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_number_is_not_given_again_after_a_kill_behind_a_deletion() {
    let folder = folder(&["a", "b", "c"]).await;
    let store = FsStore::open(folder.path()).await.unwrap();
    let next = after_two(&store).await;
    store.delete_session(&Scope::DEFAULT, &id("c")).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &id("b")).await.unwrap();
    assert_goes_on(killed(&folder).path(), "a", &next).await;
    store.close().await.unwrap();
    assert_goes_on(folder.path(), "a", &next).await;
}

/// The append's number is higher, but comes to the disk after the deletion.
#[tokio::test]
async fn a_deletion_does_not_rely_on_an_append_of_its_own_batch() {
    for _ in 0..20 {
        let folder = folder(&["a", "b", "c"]).await;
        let store = FsStore::open(folder.path()).await.unwrap();
        let next = after_two(&store).await;
        let short = std::fs::read(folder.path().join("a.jsonl")).unwrap();
        // Queued while a large session is being written, the others are one batch.
        let large = json!({"text": "x".repeat(8 * 1024 * 1024)});
        let large = NewSession::new().with_metadata(large.as_object().unwrap().clone());
        let [a, b, c] = ["a", "b", "c"].map(id);
        let (large, append, c, b) = tokio::join!(
            store.create_session(&Scope::DEFAULT, large),
            store.append(&Scope::DEFAULT, &a, NewMessage::user("text")),
            store.delete_session(&Scope::DEFAULT, &c),
            store.delete_session(&Scope::DEFAULT, &b),
        );
        large.map(drop).and(append.map(drop)).unwrap();
        assert!(c.unwrap() && b.unwrap());
        let image = killed(&folder);
        std::fs::remove_file(image.path().join(".journal")).unwrap();
        std::fs::write(image.path().join("a.jsonl"), short).unwrap();
        store.close().await.unwrap();
        // Else the append came to the disk first.
        if arrivals(&image).exists() {
            return assert_goes_on(image.path(), "a", &next).await;
        }
    }
    panic!("no deletion noted the number");
}

#[tokio::test]
async fn only_a_deletion_of_the_highest_number_is_noted() {
    let folder = folder(&["a", "b", "c"]).await;
    let store = FsStore::open(folder.path()).await.unwrap();
    let first = append(&store, "c").await;
    let last = append(&store, "c").await;
    store.delete_session(&Scope::DEFAULT, &id("a")).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &id("c"), &first.id).await.unwrap();
    assert!(!arrivals(&folder).exists());
    store.delete_message(&Scope::DEFAULT, &id("c"), &last.id).await.unwrap();
    let noted = std::fs::read(arrivals(&folder)).unwrap();
    for _ in 0..10 {
        let last = append(&store, "c").await;
        store.delete_message(&Scope::DEFAULT, &id("c"), &last.id).await.unwrap();
    }
    assert_eq!(std::fs::read(arrivals(&folder)).unwrap(), noted, "it holds for the next ones too");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_note_of_the_numbers_is_an_error() {
    let folder = folder(&["a", "b"]).await;
    let store = FsStore::open(folder.path()).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &id("b")).await.unwrap();
    store.close().await.unwrap();
    let whole = std::fs::read(arrivals(&folder)).unwrap();
    let mut damaged = vec![Vec::new(), b"{}".to_vec(), whole[..whole.len() - 2].to_vec()];
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        damaged.push(flipped);
    }
    for content in damaged {
        std::fs::write(arrivals(&folder), &content).unwrap();
        let error = FsStore::open(folder.path()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(".arrivals"), "{error}");
        assert_eq!(std::fs::read(arrivals(&folder)).unwrap(), content, "it is left as it is");
    }
    std::fs::remove_file(arrivals(&folder)).unwrap();
    std::fs::create_dir(arrivals(&folder)).unwrap();
    let error = FsStore::open(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    std::fs::remove_dir(arrivals(&folder)).unwrap();
    FsStore::open(folder.path()).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_deletion_whose_number_cannot_be_noted_deletes_nothing() {
    let folder = folder(&["a", "b"]).await;
    let store = FsStore::open(folder.path()).await.unwrap();
    // A folder in its place cannot be replaced by a file.
    std::fs::create_dir(arrivals(&folder)).unwrap();
    let error = store.delete_session(&Scope::DEFAULT, &id("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = store.delete_user(&Scope::DEFAULT, "alice").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(store.search(&Scope::DEFAULT, &oldest()).await.unwrap().items.len(), 2);
    std::fs::remove_dir(arrivals(&folder)).unwrap();
    assert!(store.delete_session(&Scope::DEFAULT, &id("b")).await.unwrap());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_migration_gives_no_number_again() {
    let folder = folder(&["a", "b", "c"]).await;
    let store = FsStore::open(folder.path()).await.unwrap();
    let next = after_two(&store).await;
    store.delete_session(&Scope::DEFAULT, &id("c")).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &id("b")).await.unwrap();
    store.close().await.unwrap();
    let old = json!({"session_id": "old", "messages": [{"role": "user", "content": "x"}]});
    std::fs::write(folder.path().join("old.json"), old.to_string()).unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let found = store.search(&Scope::DEFAULT, &oldest().with_after(next)).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].session.id, "old");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_put_back_hides_no_message() {
    let folder = folder(&["a", "b"]).await;
    let file = folder.path().join("b.jsonl");
    let kept = std::fs::read(&file).unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &id("b")).await.unwrap();
    store.close().await.unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    append(&store, "a").await;
    store.close().await.unwrap();
    std::fs::write(&file, kept).unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    assert_eq!(store.search(&Scope::DEFAULT, &oldest()).await.unwrap().items.len(), 3);
    assert_eq!(store.stats(&Scope::DEFAULT, &Default::default()).await.unwrap().messages, 3);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_file_from_another_folder_hides_no_message() {
    let (here, there) = (folder(&["a"]).await, folder(&["b"]).await);
    let file = here.path().join("b.jsonl");
    std::fs::copy(there.path().join("b.jsonl"), &file).unwrap();
    let store = FsStore::open(here.path()).await.unwrap();
    let error = store.session(&Scope::DEFAULT, &id("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    for word in ["b.jsonl", "repair"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    // It may be of somebody whom whoever asks is not to know of.
    assert!(!error.to_string().contains("a.jsonl"), "{error}");
    assert_eq!(store.search(&Scope::DEFAULT, &oldest()).await.unwrap().items.len(), 1);
    store.close().await.unwrap();
    // The other way is a folder of its own.
    let own = tempfile::tempdir().unwrap();
    std::fs::rename(&file, own.path().join("b.jsonl")).unwrap();
    let (store, copy) = (FsStore::open(here.path()).await.unwrap(), FsStore::open(own.path()));
    let copy = copy.await.unwrap();
    let transcript = copy.transcript(&Scope::DEFAULT, &id("b")).await.unwrap();
    store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await.unwrap();
    assert_eq!(store.search(&Scope::DEFAULT, &oldest()).await.unwrap().items.len(), 2);
    copy.close().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_exchanged_while_the_folder_is_open_hides_no_message() {
    let (here, there) = (folder(&["a", "b"]).await, folder(&["b"]).await);
    let file = here.path().join("b.jsonl");
    let own = std::fs::read(&file).unwrap();
    let store = FsStore::open(here.path()).await.unwrap();
    // A write that fails has the file read again.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let empty =
        Transcript::new(store.session(&Scope::DEFAULT, &id("b")).await.unwrap(), Vec::new())
            .unwrap();
    store.import(&Scope::DEFAULT, empty, ImportMode::Overwrite).await.unwrap_err();
    std::fs::remove_dir(&file).unwrap();
    std::fs::copy(there.path().join("b.jsonl"), &file).unwrap();
    let error =
        store.append(&Scope::DEFAULT, &id("b"), NewMessage::user("text")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("b.jsonl has a message with the number"), "{error}");
    assert!(!error.to_string().contains("a.jsonl"), "{error}");
    assert_eq!(store.search(&Scope::DEFAULT, &oldest()).await.unwrap().items.len(), 1);
    std::fs::write(&file, own).unwrap();
    append(&store, "b").await;
    assert_eq!(store.search(&Scope::DEFAULT, &oldest()).await.unwrap().items.len(), 3);
    store.close().await.unwrap();
}
