//! A folder that is opened to read only.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shs_fs::{FsOptions, FsStore};
use shs_store::{ErrorKind, NewMessage, NewSession, Scope, SearchQuery, Store, StoreExt};

async fn to_read(folder: &Path) -> shs_store::Result<FsStore> {
    FsOptions::new(folder).with_read_only().open().await
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

#[tokio::test]
async fn everything_is_read_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let id = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, NewMessage::user("I was double-charged.")).await.unwrap();
    let whole = store.transcript(&Scope::DEFAULT, &id).await.unwrap();

    // Beside the process that has it open, and after it.
    for _ in 0..2 {
        let there = files(folder.path());
        let reader = to_read(folder.path()).await.unwrap();
        assert_eq!(reader.transcript(&Scope::DEFAULT, &id).await.unwrap(), whole);
        let found = reader.search(&Scope::DEFAULT, &SearchQuery::new("charged")).await.unwrap();
        assert_eq!(found.items.len(), 1);
        for refused in [
            reader.append(&Scope::DEFAULT, &id, NewMessage::user("x")).await.map(drop),
            reader.create_session(&Scope::DEFAULT, NewSession::new()).await.map(drop),
            reader.delete_session(&Scope::DEFAULT, &id).await.map(drop),
            reader.erase().await.map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        }
        reader.close().await.unwrap();
        assert_eq!(
            reader.session(&Scope::DEFAULT, &id).await.unwrap_err().kind(),
            ErrorKind::Closed
        );
        assert_eq!(files(folder.path()), there);
        store.close().await.unwrap();
    }
    // It is free again.
    FsStore::open(folder.path()).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn what_the_journal_alone_holds_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let id = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, NewMessage::user("in the journal")).await.unwrap();
    // As after a power cut: the journal is on disk, and the file as it was made.
    let cut = tempfile::tempdir().unwrap();
    for (name, bytes) in files(folder.path()) {
        let is_conversation = name.ends_with(".jsonl");
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let kept = if is_conversation { &bytes[..first] } else { &bytes[..] };
        fs::write(cut.path().join(name), kept).unwrap();
    }
    store.close().await.unwrap();
    let there = files(cut.path());
    let error = to_read(cut.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the journal holds"), "{error}");
    assert_eq!(files(cut.path()), there);
    FsStore::open(cut.path()).await.unwrap().close().await.unwrap();
    let reader = to_read(cut.path()).await.unwrap();
    assert_eq!(reader.session(&Scope::DEFAULT, &id).await.unwrap().message_count, 1);
    reader.close().await.unwrap();
}

#[tokio::test]
async fn what_is_no_store_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("package.json"), "{}").unwrap();
    assert_eq!(to_read(folder.path()).await.unwrap_err().kind(), ErrorKind::NotFound);
    let nowhere = folder.path().join("nowhere");
    assert_eq!(to_read(&nowhere).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files(folder.path()).len(), 1);

    let store = tempfile::tempdir().unwrap();
    FsStore::open(store.path()).await.unwrap().close().await.unwrap();
    let session = r#"{"session_id": "s", "messages": []}"#;
    fs::write(store.path().join("s.json"), session).unwrap();
    let there = files(store.path());
    assert_eq!(to_read(store.path()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(files(store.path()), there);
}
