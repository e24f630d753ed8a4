//! Ids and tenants as names of files, on every system.

use shs_fs::{FsStore, repair, verify};
use shs_store::{NewMessage, NewSession, Scope, SessionId, Store, StoreExt};

#[tokio::test]
async fn ids_that_a_file_system_would_mix_up_are_conversations_of_their_own() {
    let long = "x".repeat(255);
    let ids = [
        "a",
        "A",
        "con",
        "CON",
        "Con",
        "nul.txt",
        "NUL",
        "com1",
        "lpt1.jsonl",
        "x",
        "x.",
        "x ",
        "x...",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a:b",
        "a?b",
        "a*b",
        "ä",
        "Ä",
        "a\u{308}",
        "~",
        &long,
        &long[1..],
    ];
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let session = |id: &str| SessionId::new(id).unwrap();
    for tenant in ["", "a", "A", "con", "x.", &long] {
        let scope = Scope::tenant(tenant).unwrap();
        for id in ids {
            store.create_session(&scope, NewSession::with_id(session(id))).await.unwrap();
            store
                .append(&scope, &session(id), NewMessage::user(format!("{tenant} {id}")))
                .await
                .unwrap();
        }
    }
    store.close().await.unwrap();
    assert_eq!(verify(folder.path()).await.unwrap(), []);
    let store = FsStore::open(folder.path()).await.unwrap();
    for tenant in ["", "a", "A", "con", "x.", &long] {
        let scope = Scope::tenant(tenant).unwrap();
        for id in ids {
            let transcript = store.transcript(&scope, &session(id)).await.unwrap();
            assert_eq!(transcript.messages[0].content, format!("{tenant} {id}"));
        }
        store.delete_session(&scope, &session("a")).await.unwrap();
        assert_eq!(store.session(&scope, &session("A")).await.unwrap().message_count, 1);
    }
    store.close().await.unwrap();
}

/// Windows takes 260 characters of a path that is not written in a form of its own.
#[tokio::test]
async fn a_folder_with_a_long_path_is_as_good_as_another() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("f".repeat(120)).join("g".repeat(120)).join("store");
    let scope = Scope::tenant("t".repeat(255)).unwrap();
    let store = FsStore::open(&folder).await.unwrap();
    let id = SessionId::new("s".repeat(255)).unwrap();
    store.create_session(&scope, NewSession::with_id(id.clone())).await.unwrap();
    store.append(&scope, &id, NewMessage::user("far down")).await.unwrap();
    let backup = folder.with_extension("tar");
    store.backup(&backup, shs_store::keeping::Existing::Refuse).await.unwrap();
    store.backup(&backup, shs_store::keeping::Existing::Replace).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(repair(&folder).await.unwrap().fixed, []);
    let restored = folder.with_extension("restored");
    shs_fs::restore(&backup, &restored, shs_store::keeping::Existing::Refuse).await.unwrap();
    let store = FsStore::open(&restored).await.unwrap();
    assert_eq!(store.transcript(&scope, &id).await.unwrap().messages[0].content, "far down");
    store.close().await.unwrap();
}

/// As some programs that copy files leave it.
#[cfg(any(windows, target_os = "macos"))]
#[tokio::test]
async fn a_file_whose_name_changed_its_case_is_the_same_where_case_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let id = SessionId::new("a").unwrap();
    store.create_session(&Scope::DEFAULT, NewSession::with_id(id.clone())).await.unwrap();
    store.append(&Scope::DEFAULT, &id, NewMessage::user("first")).await.unwrap();
    store.close().await.unwrap();
    let own = folder.path().join("a.jsonl");
    let other = folder.path().join("A.jsonl");
    std::fs::rename(&own, &other).unwrap();
    if !own.exists() {
        eprintln!("SKIPPED: case counts on this file system");
        return;
    }
    assert_eq!(verify(folder.path()).await.unwrap(), []);
    let store = FsStore::open(folder.path()).await.unwrap();
    store.append(&Scope::DEFAULT, &id, NewMessage::user("second")).await.unwrap();
    store.close().await.unwrap();
    // A line in the middle that cannot be read.
    let text = std::fs::read_to_string(&own).unwrap();
    std::fs::write(&own, text.replacen("first", "fjrst", 1)).unwrap();
    let repaired = repair(folder.path()).await.unwrap();
    assert_eq!((repaired.fixed.len(), repaired.remaining.len()), (1, 0));
    let store = FsStore::open(folder.path()).await.unwrap();
    let messages = store.transcript(&Scope::DEFAULT, &id).await.unwrap().messages;
    assert_eq!(messages.last().unwrap().content, "second");
    store.close().await.unwrap();
}
