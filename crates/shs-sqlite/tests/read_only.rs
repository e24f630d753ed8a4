//! A database that is opened to read only.

use std::fs;
use std::path::Path;
use std::time::Duration;

use shs_sqlite::{SqliteOptions, SqliteStore};
use shs_store::{
    ErrorKind, NewMessage, NewSession, Scope, SearchQuery, SessionQuery, Store, StoreExt,
};

async fn to_read(path: &Path) -> shs_store::Result<SqliteStore> {
    SqliteOptions::new(path).with_read_only().open().await
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn everything_is_read_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(if cfg!(windows) { "a #%20.db" } else { "a?b #%20.db" });
    let store = SqliteStore::open(&path).await.unwrap();
    let id = store
        .create_session(&Scope::DEFAULT, NewSession::new().with_user("alice"))
        .await
        .unwrap()
        .id;
    store.append(&Scope::DEFAULT, &id, NewMessage::user("I was double-charged.")).await.unwrap();
    let whole = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
    store.close().await.unwrap();
    let (there, bytes) = (names(folder.path()), fs::read(&path).unwrap());

    let store = to_read(&path).await.unwrap();
    assert_eq!(store.transcript(&Scope::DEFAULT, &id).await.unwrap(), whole);
    let hits = store
        .search(&Scope::DEFAULT, &SearchQuery::new("charged").with_user("alice"))
        .await
        .unwrap();
    assert_eq!(hits.items.len(), 1);
    assert_eq!(
        store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items.len(),
        1
    );
    for refused in [
        store.append(&Scope::DEFAULT, &id, NewMessage::user("x")).await.map(drop),
        store.create_session(&Scope::DEFAULT, NewSession::new()).await.map(drop),
        store.delete_session(&Scope::DEFAULT, &id).await.map(drop),
        store.flush().await,
        store.erase().await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    store.close().await.unwrap();
    assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(names(folder.path()), there);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn what_a_process_writes_is_read_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.db");
    let writer = SqliteStore::open(&path).await.unwrap();
    let id = writer.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
    let reader = to_read(&path).await.unwrap();
    for number in 0..10 {
        writer
            .append(&Scope::DEFAULT, &id, NewMessage::user(format!("word{number}")))
            .await
            .unwrap();
        assert_eq!(reader.session(&Scope::DEFAULT, &id).await.unwrap().message_count, number + 1);
        // The one that writes brings the index up to date, as soon as it has nothing else to do.
        let found = reader
            .search(&Scope::DEFAULT, &SearchQuery::new(format!("word{number}")))
            .await
            .unwrap();
        assert_eq!(found.items.len(), 1, "{number}");
    }
    reader.close().await.unwrap();
    writer.close().await.unwrap();
}

#[tokio::test]
async fn an_index_that_nobody_brings_up_to_date_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.db");
    let writer = SqliteStore::open(&path).await.unwrap();
    let id = writer.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
    writer.append(&Scope::DEFAULT, &id, NewMessage::user("word")).await.unwrap();
    // As after a crash: a copy of what is on disk before the index follows.
    let crashed = folder.path().join("crashed.db");
    for end in ["", "-wal"] {
        let name = |path: &Path| format!("{}{end}", path.display());
        fs::copy(name(&path), name(&crashed)).unwrap();
    }
    writer.close().await.unwrap();
    let options = SqliteOptions::new(&crashed).with_busy_timeout(Duration::ZERO).with_read_only();
    let reader = options.open().await.unwrap();
    assert_eq!(reader.session(&Scope::DEFAULT, &id).await.unwrap().message_count, 1);
    let error = reader.search(&Scope::DEFAULT, &SearchQuery::new("word")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("open the database once to write"), "{error}");
    reader.close().await.unwrap();
    SqliteStore::open(&crashed).await.unwrap().close().await.unwrap();
    let reader = to_read(&crashed).await.unwrap();
    assert_eq!(
        reader.search(&Scope::DEFAULT, &SearchQuery::new("word")).await.unwrap().items.len(),
        1
    );
    reader.close().await.unwrap();
}

#[tokio::test]
async fn what_is_no_database_of_this_version_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("notes.txt"), "notes that are long enough for a database").unwrap();
    fs::write(at("empty.db"), "").unwrap();
    for (name, kind) in [
        ("nowhere.db", ErrorKind::NotFound),
        ("notes.txt", ErrorKind::Corrupt),
        ("empty.db", ErrorKind::Unsupported),
    ] {
        assert_eq!(to_read(&at(name)).await.unwrap_err().kind(), kind, "{name}");
    }
    assert_eq!(names(folder.path()), ["empty.db", "notes.txt"]);
}
