//! Writes that fail, and goes that were cut short: what is acknowledged afterwards stays, and the store goes on.

use std::path::Path;

use serde_json::json;
use shs_fs::FsStore;
use shs_store::{
    ErrorKind, Hit, ImportMode, MessagePatch, NewMessage, NewSession, Scope, SearchOrder,
    SearchQuery, Seq, Session, SessionId, SessionQuery, StatsQuery, Store, StoreExt, Transcript,
};
use tempfile::TempDir;

fn id(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

async fn open(folder: &TempDir) -> FsStore {
    FsStore::open(folder.path()).await.unwrap()
}

async fn create(store: &FsStore, name: &str) -> Session {
    store
        .create_session(&Scope::DEFAULT, NewSession::with_id(id(name)).with_user("alice"))
        .await
        .unwrap()
}

/// A folder in the place of a file: it can be neither read, nor written, nor removed as one.
struct Blocked<'a> {
    path: &'a Path,
    content: Vec<u8>,
}

impl<'a> Blocked<'a> {
    fn new(path: &'a Path) -> Self {
        let content = std::fs::read(path).unwrap();
        // The store may have it open, and Windows then keeps its name until it is closed.
        let away = path.with_extension("away");
        std::fs::rename(path, &away).unwrap();
        std::fs::remove_file(&away).unwrap();
        std::fs::create_dir(path).unwrap();
        Self { path, content }
    }

    fn free(self) {
        std::fs::remove_dir(self.path).unwrap();
        std::fs::write(self.path, self.content).unwrap();
    }
}

#[tokio::test]
async fn what_is_written_after_a_failed_deletion_of_a_user_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for name in ["a", "b"] {
        create(&store, name).await;
    }
    let path = folder.path().join("b.jsonl");
    let blocked = Blocked::new(&path);
    let error = store.delete_user(&Scope::DEFAULT, "alice").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    blocked.free();
    if store.find_session(&Scope::DEFAULT, &id("a")).await.unwrap().is_none() {
        create(&store, "a").await;
    }
    for name in ["a", "b"] {
        store.append(&Scope::DEFAULT, &id(name), NewMessage::user("kept")).await.unwrap();
    }
    store.close().await.unwrap();
    let store = open(&folder).await;
    for name in ["a", "b"] {
        assert_eq!(
            store.last_messages(&Scope::DEFAULT, &id(name), 1).await.unwrap()[0].content,
            "kept"
        );
    }
    assert_eq!(store.delete_user(&Scope::DEFAULT, "alice").await.unwrap().sessions, 2);
    assert!(!folder.path().join(".deleting").exists());
}

#[tokio::test]
async fn a_deletion_that_was_cut_short_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for name in ["a", "b", "c"] {
        create(&store, name).await;
    }
    store.close().await.unwrap();
    std::fs::write(folder.path().join(".deleting"), r#"["a.jsonl","b.jsonl"]"#).unwrap();
    std::fs::remove_file(folder.path().join("a.jsonl")).unwrap();
    std::fs::write(folder.path().join(".staged-1"), "half").unwrap();
    let store = open(&folder).await;
    let left = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
    assert_eq!(left.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), ["c"]);
    assert!(!folder.path().join(".staged-1").exists() && !folder.path().join(".deleting").exists());
}

/// As a full disk or a power cut leaves the first file of a folder.
#[tokio::test]
async fn a_first_opening_that_was_cut_short_is_made_good() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).await.close().await.unwrap();
    let marker = folder.path().join("shs-fs.format");
    let whole = std::fs::read(&marker).unwrap();
    for length in 0..whole.len() {
        for zeros in [0, whole.len() - length] {
            std::fs::write(&marker, [&whole[..length], &vec![0; zeros]].concat()).unwrap();
            open(&folder).await.close().await.unwrap();
            assert_eq!(std::fs::read(&marker).unwrap(), whole, "{length} bytes and {zeros} zeros");
        }
    }
}

#[tokio::test]
async fn a_conversation_that_cannot_be_read_is_an_error_to_whoever_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let session = create(&store, "s").await;
    store.append(&Scope::DEFAULT, &session.id, NewMessage::user("here")).await.unwrap();
    let other = create(&store, "other").await;
    let path = folder.path().join("s.jsonl");
    let blocked = Blocked::new(&path);
    let transcript = Transcript::new(session.clone(), Vec::new()).unwrap();
    let error = store.import(&Scope::DEFAULT, transcript, ImportMode::Overwrite).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");

    let errors = [
        store.session(&Scope::DEFAULT, &session.id).await.map(drop),
        store.messages(&Scope::DEFAULT, &session.id, &Default::default()).await.map(drop),
        store.delete_user(&Scope::DEFAULT, "alice").await.map(drop),
    ];
    for error in errors.map(|outcome| outcome.unwrap_err()) {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("s.jsonl"), "{error}");
    }
    // The others go on without it.
    let listed = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
    assert_eq!(listed.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(
        store.search(&Scope::DEFAULT, &SearchQuery::new("here")).await.unwrap().items.len(),
        0
    );
    assert_eq!(store.stats(&Scope::DEFAULT, &StatsQuery::new()).await.unwrap().sessions, 1);
    blocked.free();
    // Any write looks at it again.
    store.append(&Scope::DEFAULT, &other.id, NewMessage::user("more")).await.unwrap();
    assert_eq!(
        store.search(&Scope::DEFAULT, &SearchQuery::new("here")).await.unwrap().items.len(),
        1
    );
    assert_eq!(
        store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items.len(),
        2
    );
    assert_eq!(store.delete_user(&Scope::DEFAULT, "alice").await.unwrap().sessions, 2);
}

#[tokio::test]
async fn a_conversation_that_cannot_be_read_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let session = create(&store, "s").await;
    let path = folder.path().join("s.jsonl");
    let blocked = Blocked::new(&path);
    let transcript = Transcript::new(session.clone(), Vec::new()).unwrap();
    store.import(&Scope::DEFAULT, transcript, ImportMode::Overwrite).await.unwrap_err();
    store.delete_session(&Scope::DEFAULT, &session.id).await.unwrap_err();
    assert_eq!(
        store.session(&Scope::DEFAULT, &session.id).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    blocked.free();
    assert!(store.delete_session(&Scope::DEFAULT, &session.id).await.unwrap());
    assert_eq!(
        store.session(&Scope::DEFAULT, &session.id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    create(&store, "s").await;
}

/// Every hit of some words, without what differs from go to go.
async fn found(store: &FsStore) -> Vec<Vec<Hit>> {
    let mut found = Vec::new();
    for text in ["alpha", "beta", "gamma", "delta", "a*", "\"alpha beta\"", "beta -gamma"] {
        for query in
            [SearchQuery::new(text), SearchQuery::new(text).with_order(SearchOrder::Oldest)]
        {
            found
                .push(store.search(&Scope::DEFAULT, &query.with_limit(1_000)).await.unwrap().items);
        }
        let ranked = SearchQuery::new(text).with_order(SearchOrder::Rank).with_limit(1_000);
        found.push(store.search(&Scope::DEFAULT, &ranked).await.unwrap().items);
    }
    found
}

#[tokio::test]
async fn an_index_that_was_made_early_finds_what_a_new_one_finds() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let session = create(&store, "s").await;
    store.search(&Scope::DEFAULT, &SearchQuery::new("alpha")).await.unwrap();
    let texts = ["alpha beta", "beta gamma", "gamma delta", "alpha", "delta beta alpha"];
    let batch = texts.map(NewMessage::user).to_vec();
    let messages = store.append_all(&Scope::DEFAULT, &session.id, batch).await.unwrap().messages;
    let fork = store.fork(
        &Scope::DEFAULT,
        &session.id,
        Seq::new(4).unwrap(),
        NewSession::with_id(id("fork")),
    );
    let fork = fork.await.unwrap();
    let patch = MessagePatch::new().with_content("gamma alpha");
    store.update_message(&Scope::DEFAULT, &session.id, &messages[0].id, patch).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &session.id, &messages[1].id).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &fork.id, &messages[3].id).await.unwrap();
    let mut overwritten = store.transcript(&Scope::DEFAULT, &fork.id).await.unwrap();
    for message in &mut overwritten.messages {
        // As long as before, so that it stands at the same places.
        message.content = message.content.replace("alpha", "gamma");
    }
    store.import(&Scope::DEFAULT, overwritten, ImportMode::Overwrite).await.unwrap();
    // So much waste that the file is written anew.
    for number in 0..40 {
        let patch = MessagePatch::new().with_content(format!("delta {}", "word ".repeat(1_000)));
        store.update_message(&Scope::DEFAULT, &session.id, &messages[2].id, patch).await.unwrap();
        let patch = MessagePatch::new().with_content(format!("beta {number}"));
        store.update_message(&Scope::DEFAULT, &session.id, &messages[2].id, patch).await.unwrap();
    }
    let length = std::fs::metadata(folder.path().join("s.jsonl")).unwrap().len();
    assert!(length < 100_000, "{length} bytes");
    // A repetition is known by what was appended, not by what the message is now.
    let again = NewMessage::user(texts[2]).with_id(messages[2].id.clone());
    assert_eq!(
        store.append(&Scope::DEFAULT, &session.id, again.clone()).await.unwrap().content,
        "beta 39"
    );
    let early = (found(&store).await, store.session(&Scope::DEFAULT, &session.id).await.unwrap());
    store.close().await.unwrap();
    let store = open(&folder).await;
    assert_eq!(
        (found(&store).await, store.session(&Scope::DEFAULT, &session.id).await.unwrap()),
        early
    );
    assert_eq!(store.append(&Scope::DEFAULT, &session.id, again).await.unwrap().content, "beta 39");
}

#[tokio::test]
async fn a_migration_that_was_cut_short_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let messages = json!([{"role": "user", "content": "hi"}, {"role": "ai", "content": "hello"}]);
    // Two with one id, one whose id does not fit, one whose keys are ours.
    let keys = json!({"session_id": "k", "last_seq": "x", "forked_from": 7, "ended_at": [],
        "messages": [{"role": "user", "content": "k", "seq": "first", "parts": 5}]});
    let files = [
        ("a.json", json!({"session_id": "same", "messages": messages})),
        ("b.json", json!({"session_id": "same", "messages": messages.as_array().unwrap()[..1]})),
        ("c.json", json!({"session_id": "", "messages": messages})),
        ("d.json", keys),
    ];
    for (name, file) in &files {
        std::fs::write(folder.path().join(name), file.to_string()).unwrap();
    }
    let store = open(&folder).await;
    let all = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
    assert_eq!(all.len(), 4);
    let appended =
        store.append(&Scope::DEFAULT, &id("k"), NewMessage::user("since then")).await.unwrap();
    store.close().await.unwrap();
    // As if it had ended before the originals were renamed.
    for (name, _) in &files[..3] {
        let path = folder.path().join(name);
        std::fs::rename(path.with_extension("json.python-backup"), path).unwrap();
    }
    let store = open(&folder).await;
    let ids = |sessions: &[Session]| -> Vec<SessionId> {
        let mut ids: Vec<_> = sessions.iter().map(|session| session.id.clone()).collect();
        ids.sort();
        ids
    };
    let again = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
    assert_eq!(ids(&again), ids(&all));
    assert_eq!(store.last_messages(&Scope::DEFAULT, &id("k"), 1).await.unwrap(), [appended]);
    store.close().await.unwrap();
    std::fs::write(folder.path().join("e.json"), r#"{"session_id": "e", "messages": 5}"#).unwrap();
    let error = FsStore::open(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("e.json"), "{error}");
}
