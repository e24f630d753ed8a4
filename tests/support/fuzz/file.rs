//! A session's file: any bytes are refused as damaged, or opened, read fully and worked with.

use serde::Deserialize;
use serde_json::Value;
use session_history_saver::{
    ErrorKind, Message, MessageQuery, NewMessage, Result, Scope, SearchQuery, Session, SessionId,
    SessionQuery, Store, StoreExt,
};
use shs_fs::{FsOptions, FsStore};
use shs_store::Durability;

/// Takes the bytes as the file of the session `s`; if they begin with `!`, as its lines without their checksums.
///
/// # Panics
/// If anything but a typed error or what is in the file comes of it.
pub fn file(bytes: &[u8]) {
    let content = match bytes.strip_prefix(b"!") {
        Some(lines) if could_be_written(lines) => sealed(lines),
        Some(_) => return,
        None => bytes.to_vec(),
    };
    super::with_runtime(|runtime| runtime.block_on(open(&content)));
}

/// Whether lines hold nothing that no writer writes and that opening passes over: a message whose content, parts or other
/// data are beyond a limit.
fn could_be_written(lines: &[u8]) -> bool {
    lines.split(|byte| *byte == b'\n').all(|line| {
        let Ok(Value::Object(line)) = serde_json::from_slice(line) else { return true };
        ["message", "update"].iter().filter_map(|kind| line.get(*kind)).all(keeps_limits)
    })
}

/// Whether a message breaks no limit, as far as it is one at all.
fn keeps_limits(message: &Value) -> bool {
    Message::deserialize(message).map_or(true, |message| message.validate().is_ok())
}

/// Each line with the checksum that it should have.
fn sealed(lines: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let body = line.strip_suffix(b"}").unwrap_or(line);
        content.extend_from_slice(body);
        let sum = crc32fast::hash(body);
        content.extend_from_slice(format!(",\"crc\":\"{sum:08x}\"}}\n").as_bytes());
    }
    content
}

async fn open(content: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("s.jsonl");
    std::fs::write(&path, content).expect("there is room for a file");
    let options = FsOptions::new(folder.path()).with_durability(Durability::Relaxed);
    let store = match options.clone().open().await {
        Ok(store) => store,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            let after = std::fs::read(&path).expect("it is still there");
            assert!(after == content, "a file that is refused is left as it is");
            return;
        }
    };
    let listed = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await;
    if listed.expect("a damaged file harms no list").items.is_empty() {
        let id = SessionId::new("s").expect("it is an id");
        let error = store.session(&Scope::DEFAULT, &id).await.expect_err("it is not readable");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        store.close().await.expect("it closes");
        let after = std::fs::read(&path).expect("it is still there");
        assert!(after == content, "a file that cannot be read is left as it is");
        return;
    }
    let read = read_all(&store).await.expect("what is listed can be read");
    let appended = store.append(&Scope::DEFAULT, &read.0.id, NewMessage::user("more")).await;
    store.close().await.expect("it closes");
    let store = options.open().await.expect("it opens again");
    let (session, mut messages) = read_all(&store).await.expect("it can be read again");
    match appended {
        Ok(message) => assert_eq!(messages.pop(), Some(message), "what was appended is there"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
            assert_eq!(session, read.0);
        }
    }
    assert_eq!(messages, read.1, "what was there is there");
    store.close().await.expect("it closes");
}

/// Reads everything in every way, and compares.
async fn read_all(store: &FsStore) -> Result<(Session, Vec<Message>)> {
    let listed = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await?.items;
    let [session] = listed.as_slice() else { panic!("one file is one session at most") };
    assert_eq!(&store.session(&Scope::DEFAULT, &session.id).await?, session);
    let transcript = store.transcript(&Scope::DEFAULT, &session.id).await?;
    assert_eq!(&transcript.session, session, "its counts are those of its messages");
    for message in &transcript.messages {
        assert_eq!(&store.message(&Scope::DEFAULT, &session.id, &message.id).await?, message);
    }
    let newest = MessageQuery::new().newest_first();
    let newest = store.messages(&Scope::DEFAULT, &session.id, &newest.with_limit(1)).await?;
    assert_eq!(newest.items.first(), transcript.messages.last());
    let found = store.search(&Scope::DEFAULT, &SearchQuery::all().with_limit(1_000)).await?;
    assert_eq!(found.items.len(), transcript.messages.len().min(1_000), "search finds each");
    store.search(&Scope::DEFAULT, &SearchQuery::new("a*")).await?;
    store.stats(&Scope::DEFAULT, &Default::default()).await?;
    Ok((transcript.session, transcript.messages))
}
