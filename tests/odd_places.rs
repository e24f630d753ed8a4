//! Files that are none of ours, newer than we know, read-only or on a full disk: a clear error, and nothing is
//! harmed.

use std::path::Path;

use session_history_saver::{
    Error, ErrorKind, Location, MessageQuery, NewMessage, NewSession, Scope, SearchQuery, Session,
    Store, StoreExt, keeping, open_store, open_store_to_read,
};
use shs_fs::FsStore;
use shs_sqlite::SqliteStore;
use shs_tests::mount::Mount;
use shs_tests::skip;
use sqlx::Connection;

/// It is an error of this kind that says these words, and the store and what it was doing.
fn assert_says(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.store().is_some() && error.op().is_some(), "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{error}: {word}");
    }
}

async fn execute(path: &Path, sql: &'static str) {
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "These are my notes, and they are no database. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_says(&error, ErrorKind::Corrupt, &["not a SQLite database"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    execute(&path, "CREATE TABLE sessions (name TEXT); INSERT INTO sessions VALUES ('mine')").await;
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_says(&error, ErrorKind::Corrupt, &["another program"]);
    execute(&path, "DELETE FROM sessions WHERE name = 'mine'").await;
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    execute(&path, "PRAGMA user_version = 99").await;
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_says(&error, ErrorKind::Unsupported, &["99", "newer version"]);
}

#[tokio::test]
async fn a_newer_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shs-fs.format");
    std::fs::write(&path, r#"{"format":"shs-fs","version":99}"#).unwrap();
    let error = FsStore::open(folder.path()).await.unwrap_err();
    assert_says(&error, ErrorKind::Unsupported, &["99", "newer version"]);
    std::fs::write(&path, "something else").unwrap();
    let error = FsStore::open(folder.path()).await.unwrap_err();
    assert_says(&error, ErrorKind::Corrupt, &["shs-fs.format"]);
}

#[tokio::test]
async fn a_folder_whose_first_opening_was_cut_short_opens() {
    for left in [&b""[..], &[0; 34]] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shs-fs.format"), left).unwrap();
        FsStore::open(folder.path()).await.unwrap().close().await.unwrap();
        let format = std::fs::read_to_string(folder.path().join("shs-fs.format")).unwrap();
        assert_eq!(format, "{\"format\":\"shs-fs\",\"version\":1}\n");
    }
}

/// What a power cut may leave of the last write: as much of it as there was time for. With all but its line break it is
/// whole.
#[tokio::test]
async fn a_file_cut_in_its_last_line_loses_what_was_never_acknowledged_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let id = store
        .create_session(&Scope::DEFAULT, NewSession::with_id("s".parse().unwrap()))
        .await
        .unwrap()
        .id;
    let kept = store.append(&Scope::DEFAULT, &id, NewMessage::user("kept 部署")).await.unwrap();
    let file = folder.path().join("s.jsonl");
    let acknowledged = std::fs::metadata(&file).unwrap().len() as usize;
    store.append(&Scope::DEFAULT, &id, NewMessage::user("torn 部署")).await.unwrap();
    store.close().await.unwrap();
    let whole = std::fs::read(&file).unwrap();
    for length in acknowledged..whole.len() - 1 {
        std::fs::write(&file, &whole[..length]).unwrap();
        let store = FsStore::open(folder.path()).await.unwrap();
        let messages = store.transcript(&Scope::DEFAULT, &id).await.unwrap().messages;
        assert_eq!(messages, std::slice::from_ref(&kept), "{length} of {} bytes", whole.len());
        let next = store.append(&Scope::DEFAULT, &id, NewMessage::user("next")).await.unwrap();
        store.close().await.unwrap();
        let store = FsStore::open(folder.path()).await.unwrap();
        let messages = store.transcript(&Scope::DEFAULT, &id).await.unwrap().messages;
        assert_eq!(messages, [kept.clone(), next], "{length} of {} bytes", whole.len());
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_before_its_end_is_told_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let id = store
        .create_session(&Scope::DEFAULT, NewSession::with_id("s".parse().unwrap()))
        .await
        .unwrap()
        .id;
    for _ in 0..3 {
        store.append(&Scope::DEFAULT, &id, NewMessage::user("a message")).await.unwrap();
    }
    store.close().await.unwrap();
    let file = folder.path().join("s.jsonl");
    let damaged = std::fs::read_to_string(&file).unwrap().replacen("a message", "a massage", 1);
    std::fs::write(&file, &damaged).unwrap();
    let error = match FsStore::open(folder.path()).await {
        Ok(store) => store.transcript(&Scope::DEFAULT, &id).await.unwrap_err(),
        Err(error) => error,
    };
    assert_says(&error, ErrorKind::Corrupt, &["s.jsonl", "line 2"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged, "nothing is changed");
}

#[tokio::test]
async fn a_path_that_cannot_be_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(folder.path()).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, &["is a folder"]);
    let error = SqliteStore::open(folder.path().join("missing/history.db")).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, &["does not exist"]);
    for empty in ["", ":memory:"] {
        let error = SqliteStore::open(empty).await.unwrap_err();
        assert_says(&error, ErrorKind::InvalidInput, &["path of a file"]);
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = FsStore::open(&file).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, &["not a folder"]);
    let error = FsStore::open("").await.unwrap_err();
    assert_says(&error, ErrorKind::InvalidInput, &["path of a folder"]);
}

#[tokio::test]
async fn a_read_only_place_is_refused_with_the_reason() {
    let mount = match Mount::new("4m") {
        Ok(mount) => mount,
        Err(why) => return skip("a_read_only_place_is_refused_with_the_reason", &why),
    };
    let (database, folder) = (mount.path().join("history.db"), mount.path().join("history"));
    SqliteStore::open(&database).await.unwrap().close().await.unwrap();
    FsStore::open(&folder).await.unwrap().close().await.unwrap();
    mount.make_read_only();
    let error = SqliteStore::open(&database).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, &["read-only"]);
    let error = FsStore::open(&folder).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, &["read-only"]);
    let error = FsStore::open(mount.path().join("new")).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, &["read-only"]);
}

/// Fills the disk under a store, and frees it again: what was acknowledged is there, what was not can be
/// repeated, in the same process.
#[tokio::test]
async fn a_store_on_a_read_only_place_is_read() {
    let mount = match Mount::new("4m") {
        Ok(mount) => mount,
        Err(why) => return skip("a_store_on_a_read_only_place_is_read", &why),
    };
    let mut ids = Vec::new();
    for scheme in ["sqlite", "fs"] {
        let url = format!("{scheme}:{}", mount.path().join(scheme).display());
        let location: Location = url.parse().unwrap();
        let store = open_store(&location).await.unwrap();
        let id = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
        store.append(&Scope::DEFAULT, &id, NewMessage::user("hello")).await.unwrap();
        store.close().await.unwrap();
        ids.push((location, id));
    }
    mount.make_read_only();
    for (location, id) in ids {
        let store = open_store_to_read(&location).await.unwrap();
        assert_eq!(
            store.last_messages(&Scope::DEFAULT, &id, 10).await.unwrap()[0].content,
            "hello"
        );
        assert_eq!(
            store.search(&Scope::DEFAULT, &SearchQuery::new("hello")).await.unwrap().items.len(),
            1
        );
        store.close().await.unwrap();
        assert_eq!(keeping::verify(&location).await.unwrap(), []);
    }
}

async fn full_disk(store: impl Store, mount: &Mount) {
    let Session { id, .. } =
        store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap();
    let ballast = mount.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1024 * 1024]).unwrap();
    let mut acknowledged = Vec::new();
    let refused = loop {
        let new = NewMessage::user("word ".repeat(2_000));
        match store.append(&Scope::DEFAULT, &id, new.clone()).await {
            Ok(message) => acknowledged.push(message),
            Err(error) => {
                assert_says(&error, ErrorKind::Unavailable, &["disk is full"]);
                break new;
            }
        }
        assert!(acknowledged.len() < 10_000, "the disk never fills");
    };
    for _ in 0..3 {
        let error = store.append(&Scope::DEFAULT, &id, refused.clone()).await.unwrap_err();
        assert_says(&error, ErrorKind::Unavailable, &["disk is full"]);
    }
    assert!(!acknowledged.is_empty());
    let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
    assert_eq!(stored.message_count, acknowledged.len() as u64);

    std::fs::remove_file(&ballast).unwrap();
    acknowledged.push(store.append(&Scope::DEFAULT, &id, refused.clone()).await.unwrap());
    assert_eq!(
        store.append(&Scope::DEFAULT, &id, refused).await.unwrap(),
        *acknowledged.last().unwrap()
    );
    let page =
        store.messages(&Scope::DEFAULT, &id, &MessageQuery::new().with_limit(1_000)).await.unwrap();
    assert_eq!(page.items, acknowledged);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_loses_nothing_in_sqlite() {
    match Mount::new("4m") {
        Ok(mount) => {
            let store = SqliteStore::open(mount.path().join("history.db")).await.unwrap();
            full_disk(store, &mount).await;
        }
        Err(why) => skip("a_full_disk_loses_nothing_in_sqlite", &why),
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_in_files() {
    match Mount::new("4m") {
        Ok(mount) => {
            let store = FsStore::open(mount.path().join("history")).await.unwrap();
            full_disk(store, &mount).await;
        }
        Err(why) => skip("a_full_disk_loses_nothing_in_files", &why),
    }
}
