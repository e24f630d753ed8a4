//! Nothing of what was deleted remains in the files, and everything else does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use shs_sqlite::{SqliteOptions, SqliteStore};
use shs_store::{
    ErrorKind, MessagePatch, MessageQuery, NewMessage, NewSession, Scope, SearchQuery, Session,
    SessionId, SessionPatch, SessionQuery, Store, StoreExt, Transcript,
};
use sqlx::{Connection, SqliteConnection};

/// What is deleted: words of contents, pieces of long ones, of an answer that was updated, names, titles and metadata; the pairs
/// of a Japanese text. The index leaves out how a word begins if its neighbour begins so too, so the ends of words are
/// looked for as well.
const SECRETS: [&str; 12] = [
    "zebrafishsecret",
    "fishsecret",
    "quokkalong",
    "updatedwombat",
    "shrunkenibex",
    "usernamelynx",
    "projectotter",
    "modelmarmot",
    "titletapir",
    "metadatamole",
    "tagtoucan",
    "秘密",
];

/// The store's files in which any of the secrets stands.
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

async fn kept(store: &SqliteStore, number: usize) -> SessionId {
    let new = NewSession::with_id(format!("kept-{number}").parse().unwrap()).with_user("kept");
    let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
    let batch = (0..5).map(|at| NewMessage::user(format!("kept message {number} {at}")));
    store.append_all(&Scope::DEFAULT, &id, batch.collect::<Vec<_>>()).await.unwrap();
    id
}

async fn secret(store: &SqliteStore, number: usize) -> SessionId {
    let mut new = NewSession::with_id(format!("gone-{number}").parse().unwrap())
        .with_user("usernamelynx")
        .with_project("projectotter")
        .with_title("titletapir")
        .with_tag("tagtoucan");
    new.metadata.insert("k".to_owned(), "metadatamole".into());
    let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
    let long = "quokkalong ".repeat(10_000);
    let batch = [
        NewMessage::user(format!("a zebrafishsecret number{number}")).with_model("modelmarmot"),
        NewMessage::assistant(long),
        NewMessage::user("これは秘密です"),
    ];
    store.append_all(&Scope::DEFAULT, &id, batch.to_vec()).await.unwrap();
    id
}

/// Two hundred sessions, whose messages came into the index at several times; some are deleted, some only changed.
async fn fill(store: &SqliteStore) -> Vec<SessionId> {
    let mut ids = Vec::new();
    for number in 0..200 {
        ids.push(kept(store, number).await);
        if number % 4 == 0 {
            secret(store, number).await;
        }
        if number % 25 == 0 {
            store.search(&Scope::DEFAULT, &SearchQuery::new("kept")).await.unwrap();
        }
    }
    for (at, text) in [(10, "updatedwombat"), (11, "shrunkenibex ")] {
        let id = &ids[at];
        let patch = MessagePatch::new().with_content(text.repeat(2_000));
        let page = store.messages(&Scope::DEFAULT, id, &MessageQuery::new()).await.unwrap();
        let first = &page.items[0];
        store.update_message(&Scope::DEFAULT, id, &first.id, patch).await.unwrap();
        store.search(&Scope::DEFAULT, &SearchQuery::new("kept")).await.unwrap();
        let patch = MessagePatch::new().with_content(first.content.clone());
        store.update_message(&Scope::DEFAULT, id, &first.id, patch).await.unwrap();
    }
    let patch = SessionPatch::new().with_title("titletapir");
    store.update_session(&Scope::DEFAULT, &ids[12], patch).await.unwrap();
    store
        .update_session(&Scope::DEFAULT, &ids[12], SessionPatch::new().with_title("plain"))
        .await
        .unwrap();
    ids
}

async fn everything(store: &SqliteStore, ids: &[SessionId]) -> Vec<Transcript> {
    let mut all = Vec::new();
    for id in ids {
        all.push(store.transcript(&Scope::DEFAULT, id).await.unwrap());
    }
    all
}

async fn delete(store: &SqliteStore) {
    store.delete_session(&Scope::DEFAULT, &"gone-0".parse().unwrap()).await.unwrap();
    assert_eq!(store.delete_user(&Scope::DEFAULT, "usernamelynx").await.unwrap().sessions, 49);
}

#[tokio::test]
async fn no_deleted_text_remains_and_everything_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let ids = fill(&store).await;
    delete(&store).await;
    let before = everything(&store, &ids).await;
    let there = traces(folder.path());
    for secret in SECRETS {
        assert!(there.iter().any(|(_, found)| *found == secret), "{secret} was never there");
    }
    assert!(store.erase().await.unwrap().copies.is_empty());
    assert_eq!(traces(folder.path()), []);
    assert_eq!(everything(&store, &ids).await, before);
    let found = store
        .search(&Scope::DEFAULT, &SearchQuery::new("kept message").with_limit(1_000))
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1_000);
    let found =
        store.search(&Scope::DEFAULT, &SearchQuery::new("\"kept message 199 4\"")).await.unwrap();
    assert_eq!(found.items[0].session.id, ids[199]);
    assert_eq!(store.search(&Scope::DEFAULT, &SearchQuery::new("秘密")).await.unwrap().items, []);

    // The store goes on, also with names that were erased.
    secret(&store, 1_000).await;
    let query = SearchQuery::new("zebrafishsecret");
    let found = store.search(&Scope::DEFAULT, &query).await.unwrap();
    assert_eq!(found.items[0].message.model.as_deref(), Some("modelmarmot"));
    store.close().await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    delete_all_of(&store, "usernamelynx").await;
    store.erase().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(traces(folder.path()), []);
}

async fn delete_all_of(store: &SqliteStore, user: &str) {
    assert_eq!(store.delete_user(&Scope::DEFAULT, user).await.unwrap().sessions, 1);
}

#[tokio::test]
async fn erasing_in_the_middle_of_writes_and_of_another_store_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let other = SqliteStore::open(&path).await.unwrap();
    // Both know the model's name, which then goes.
    for (number, store) in [&store, &other].into_iter().enumerate() {
        secret(store, number).await;
        store.create_session(&Scope::DEFAULT, named(&format!("busy-{number}"))).await.unwrap();
    }
    let write = async |store: &SqliteStore, number: usize| {
        let id: SessionId = format!("busy-{number}").parse().unwrap();
        for at in 0..60 {
            let message = NewMessage::user(format!("kept {at}"));
            let message = if at < 30 { message } else { message.with_model("modelmarmot") };
            store.append(&Scope::DEFAULT, &id, message).await.unwrap();
        }
    };
    let erase = async {
        delete_all_of_two(&store).await;
        for _ in 0..5 {
            store.erase().await.unwrap();
        }
    };
    tokio::join!(write(&store, 0), write(&other, 1), erase);
    for number in 0..2 {
        let id = format!("busy-{number}").parse().unwrap();
        let messages = store.transcript(&Scope::DEFAULT, &id).await.unwrap().messages;
        assert_eq!(messages.len(), 60);
        let named = messages.iter().filter(|m| m.model.as_deref() == Some("modelmarmot")).count();
        assert_eq!(named, 30, "no message lost its model");
    }
    let found =
        store.search(&Scope::DEFAULT, &SearchQuery::new("kept").with_limit(1_000)).await.unwrap();
    assert_eq!(found.items.len(), 120);
    other.close().await.unwrap();
    store.close().await.unwrap();
}

fn named(id: &str) -> NewSession {
    NewSession::with_id(id.parse().unwrap())
}

async fn delete_all_of_two(store: &SqliteStore) {
    assert_eq!(store.delete_user(&Scope::DEFAULT, "usernamelynx").await.unwrap().sessions, 2);
}

#[tokio::test]
async fn a_reader_that_does_not_end_is_told_of_and_erasing_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let options = SqliteOptions::new(&path).with_busy_timeout(Duration::from_millis(100));
    let store = options.open().await.unwrap();
    secret(&store, 0).await;
    let mut reader =
        SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM messages").execute(&mut reader).await.unwrap();
    store.delete_user(&Scope::DEFAULT, "usernamelynx").await.unwrap();
    let error = store.erase().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("erase again"), "{error}");
    let left: Vec<Session> =
        store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
    assert_eq!(left, [], "it is deleted all the same");
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    store.erase().await.unwrap();
    assert_eq!(traces(folder.path()), []);
    reader.close().await.unwrap();
    let copies = [".history.db.0.draft", "history.db.before-repair-2", "history.db.python-backup"];
    let copies = copies.map(|name| folder.path().join(name));
    for name in &copies {
        std::fs::write(name, "old").unwrap();
    }
    assert_eq!(store.erase().await.unwrap().copies, copies);
    store.close().await.unwrap();
}
