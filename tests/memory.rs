//! What must not grow with the conversations does not: the memory of an export.
#![cfg(target_os = "linux")]

use session_history_saver::{
    Location, NewMessage, NewSession, Scope, SessionId, Store, StoreExt, open_store,
};
use shs_tests::process::Process;

const CHILD: &str = env!("CARGO_BIN_EXE_shs-child");

/// Messages of the short conversation; the long one has ten times as many.
const FEW: usize = 2_000;
/// Bytes of each message; dots, which an index passes over.
const CONTENT: usize = 1_000;

async fn add(url: &str, id: &SessionId, messages: usize) {
    let store = open_store(&url.parse::<Location>().unwrap()).await.unwrap();
    let content = ".".repeat(CONTENT);
    for _ in 0..messages / FEW {
        let batch = (0..FEW).map(|_| NewMessage::user(content.as_str())).collect();
        store.append_all(&Scope::DEFAULT, id, batch).await.unwrap();
    }
    store.close().await.unwrap();
}

/// The KiB that an export takes in a process of its own.
async fn export(url: &str, format: &str) -> u64 {
    let mut child = Process::start(CHILD, &["export", url, format]);
    let taken = child.line().await.expect("it tells its memory").parse().unwrap();
    assert!(child.succeeded().await);
    taken
}

/// Exporting ten times as many messages takes no more memory, but for a few pages of them.
async fn constant_memory(scheme: &str) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{scheme}:{}", folder.path().join("history").display());
    let store = open_store(&url.parse::<Location>().unwrap()).await.unwrap();
    let id = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
    store.close().await.unwrap();

    add(&url, &id, FEW).await;
    let few = export(&url, "jsonl").await;
    add(&url, &id, 9 * FEW).await;
    let text = (10 * FEW * CONTENT) as u64 / 1024;
    for format in ["jsonl", "csv"] {
        let many = export(&url, format).await;
        println!("{scheme} {format}: {few} KiB, then {many} KiB of {text} KiB of text");
        assert!(many < few + text / 2, "{few} KiB, and {many} KiB for ten times as much");
    }
}

#[tokio::test]
async fn an_export_of_a_database_takes_no_more_memory_for_more_messages() {
    constant_memory("sqlite").await;
}

#[tokio::test]
async fn an_export_of_a_folder_takes_no_more_memory_for_more_messages() {
    constant_memory("fs").await;
}

/// Conversations of the small store; the large one has ten times as many.
const CONVERSATIONS: usize = 40;
/// Questions and answers of each.
const ROUNDS: usize = 25;

/// Adds conversations of questions and answers.
async fn talk(url: &str, conversations: usize) {
    let store = open_store(&url.parse::<Location>().unwrap()).await.unwrap();
    let content = ".".repeat(CONTENT);
    for number in 0..conversations {
        let title = format!("Conversation {number}");
        let id = store
            .create_session(&Scope::DEFAULT, NewSession::new().with_title(title))
            .await
            .unwrap()
            .id;
        let round =
            || [NewMessage::user(content.as_str()), NewMessage::assistant(content.as_str())];
        let batch = (0..ROUNDS).flat_map(|_| round()).collect();
        store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();
    }
    store.close().await.unwrap();
}

/// A data set is written conversation by conversation: ten times as many take no more memory.
#[tokio::test]
async fn a_data_set_takes_no_more_memory_for_more_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("history").display());
    talk(&url, CONVERSATIONS).await;
    let few = export(&url, "openai").await;
    talk(&url, 9 * CONVERSATIONS).await;
    let text = (10 * CONVERSATIONS * ROUNDS * 2 * CONTENT) as u64 / 1024;
    for format in ["openai", "sharegpt", "html"] {
        let many = export(&url, format).await;
        println!("{format}: {few} KiB, then {many} KiB of {text} KiB of text");
        assert!(many < few + text / 4, "{few} KiB, and {many} KiB for ten times as much");
    }
}
