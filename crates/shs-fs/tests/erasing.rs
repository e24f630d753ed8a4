//! Nothing of what was deleted remains in the files, and everything else does.

use std::path::{Path, PathBuf};

use shs_fs::{FsOptions, FsStore};
use shs_store::{
    Durability, MessagePatch, NewMessage, NewSession, Scope, SearchQuery, SessionId, SessionPatch,
    Store, StoreExt, Transcript,
};

const SECRETS: [&str; 6] =
    ["zebrafishsecret", "quokkalong", "updatedwombat", "titletapir", "usernamelynx", "秘密"];

fn traces(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in SECRETS {
            if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                found.push((path.clone(), secret));
            }
        }
    }
    found
}

fn named(id: String) -> NewSession {
    NewSession::with_id(id.parse().unwrap())
}

async fn fill(store: &FsStore) -> Vec<SessionId> {
    let mut ids = Vec::new();
    for number in 0..200 {
        let id = store
            .create_session(&Scope::DEFAULT, named(format!("kept-{number}")))
            .await
            .unwrap()
            .id;
        let batch = (0..5).map(|at| NewMessage::user(format!("kept message {number} {at}")));
        store.append_all(&Scope::DEFAULT, &id, batch.collect::<Vec<_>>()).await.unwrap();
        if number % 4 == 0 {
            let new = named(format!("gone-{number}")).with_user("usernamelynx");
            let gone = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
            let batch = [
                NewMessage::user("a zebrafishsecret"),
                NewMessage::assistant("quokkalong ".repeat(100)),
                NewMessage::user("これは秘密です"),
            ];
            store.append_all(&Scope::DEFAULT, &gone, batch.to_vec()).await.unwrap();
        }
        ids.push(id);
    }
    let first = store.last_messages(&Scope::DEFAULT, &ids[10], 1).await.unwrap().remove(0);
    for text in ["updatedwombat", first.content.as_str()] {
        let patch = MessagePatch::new().with_content(text);
        store.update_message(&Scope::DEFAULT, &ids[10], &first.id, patch).await.unwrap();
    }
    for title in ["titletapir", "plain"] {
        let patch = SessionPatch::new().with_title(title);
        store.update_session(&Scope::DEFAULT, &ids[11], patch).await.unwrap();
    }
    ids
}

async fn everything(store: &FsStore, ids: &[SessionId]) -> Vec<Transcript> {
    let mut all = Vec::new();
    for id in ids {
        all.push(store.transcript(&Scope::DEFAULT, id).await.unwrap());
    }
    all
}

#[tokio::test]
async fn no_deleted_text_remains_and_everything_else_does() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let folder = tempfile::tempdir().unwrap();
        let options = FsOptions::new(folder.path()).with_durability(durability);
        let store = options.clone().open().await.unwrap();
        let ids = fill(&store).await;
        let there = traces(folder.path());
        for secret in SECRETS {
            assert!(there.iter().any(|(_, found)| *found == secret), "{secret} was never there");
        }
        store.delete_session(&Scope::DEFAULT, &"gone-0".parse().unwrap()).await.unwrap();
        assert_eq!(store.delete_user(&Scope::DEFAULT, "usernamelynx").await.unwrap().sessions, 49);
        let before = everything(&store, &ids).await;
        assert!(!traces(folder.path()).is_empty());
        assert!(store.erase().await.unwrap().copies.is_empty());
        assert_eq!(traces(folder.path()), []);
        assert_eq!(everything(&store, &ids).await, before);
        store.append(&Scope::DEFAULT, &ids[0], NewMessage::user("goes on")).await.unwrap();
        store.close().await.unwrap();
        let store = options.open().await.unwrap();
        assert_eq!(everything(&store, &ids[1..]).await, before[1..]);
        let found = store
            .search(&Scope::DEFAULT, &SearchQuery::new("kept message").with_limit(1_000))
            .await;
        assert_eq!(found.unwrap().items.len(), 1_000);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_a_killed_process_left_goes_too_and_copies_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let id = store.create_session(&Scope::DEFAULT, named("s".to_owned())).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, NewMessage::user("kept")).await.unwrap();
    store.close().await.unwrap();
    let file = folder.path().join("s.jsonl");
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend_from_slice(br#"{"message":{"message_id":"x","content":"zebrafishsecret"#);
    std::fs::write(&file, torn).unwrap();
    std::fs::write(folder.path().join("a.json.python-backup"), "{}").unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    std::fs::write(folder.path().join(".staged-0"), "quokkalong").unwrap();
    assert_eq!(traces(folder.path()).len(), 2);
    let erased = store.erase().await.unwrap();
    assert_eq!(erased.copies, [folder.path().join("a.json.python-backup")]);
    assert_eq!(traces(folder.path()), []);
    assert_eq!(store.last_messages(&Scope::DEFAULT, &id, 5).await.unwrap()[0].content, "kept");
    store.close().await.unwrap();
}
