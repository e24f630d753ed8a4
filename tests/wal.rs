//! SQLite's log does not grow without bound: our own readers hold no snapshot while they wait, and when another program's
//! does, the log is cut back to its limit afterwards.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use session_history_saver::export::Format;
use session_history_saver::{
    MessageQuery, NewMessage, NewSession, Scope, SearchQuery, SessionId, SessionTracker, Store,
    StoreExt,
};
use shs_sqlite::SqliteStore;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

/// The log while nobody holds a snapshot: 32 MB, at which it is moved into the database, and what one commit brings.
const BOUND: u64 = 48 * 1024 * 1024;
/// Where the log is cut back to, once it has been longer (`journal_size_limit`).
const LIMIT: u64 = 64 * 1024 * 1024;
/// What a message of [`large`] takes.
const LARGE: usize = 1024 * 1024;

/// A store with two conversations: one of many messages, and one to be written to.
struct Place {
    folder: TempDir,
    store: Arc<SqliteStore>,
    many: SessionId,
    busy: SessionId,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("history")).await.unwrap());
        let many = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
        let batch = (0..2_000).map(|number| NewMessage::user(format!("word {number}")));
        store.append_all(&Scope::DEFAULT, &many, batch.collect()).await.unwrap();
        let busy = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
        Self { folder, store, many, busy }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("history")
    }

    /// Writes so many large messages, one after the other; says how long the log was at the most.
    async fn write(&self, count: usize) -> u64 {
        let mut longest = 0;
        for _ in 0..count {
            self.store.append(&Scope::DEFAULT, &self.busy, large()).await.unwrap();
            longest = longest.max(length_of_log(&self.database()));
        }
        longest
    }
}

/// A message that is large, but not in what is indexed or compared.
fn large() -> NewMessage {
    let metadata = [("large".to_owned(), "x".repeat(LARGE).into())];
    NewMessage::user("large").with_metadata(metadata.into_iter().collect())
}

fn length_of_log(database: &Path) -> u64 {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    std::fs::metadata(name).unwrap().len()
}

#[tokio::test]
async fn a_paused_stream_of_messages_holds_no_snapshot() {
    let place = Place::new().await;
    let query = MessageQuery::new().with_limit(10);
    let mut messages = place.store.message_stream(&Scope::DEFAULT, &place.many, query);
    let hits = SearchQuery::new("word").with_limit(10);
    let mut hits = place.store.search_stream(&Scope::DEFAULT, hits);
    for _ in 0..15 {
        messages.next().await.unwrap().unwrap();
        hits.next().await.unwrap().unwrap();
    }
    let longest = place.write(80).await;
    assert!(longest < BOUND, "the log has {longest} bytes");
    // They go on where they were.
    assert_eq!(messages.try_collect::<Vec<_>>().await.unwrap().len(), 2_000 - 15);
    assert_eq!(hits.try_collect::<Vec<_>>().await.unwrap().len(), 2_000 - 15);
    place.store.close().await.unwrap();
}

#[tokio::test]
async fn a_paused_export_holds_no_snapshot() {
    let place = Place::new().await;
    let history = SessionTracker::with_store(Arc::clone(&place.store) as Arc<dyn Store>);
    // Nobody reads what it writes until later.
    let (mut reader, mut writer) = tokio::io::duplex(1_024);
    let many = place.many.clone();
    let export = tokio::spawn(async move {
        history.export(Format::JsonLines).session(&many).to_writer(&mut writer).await
    });
    reader.read_exact(&mut [0; 4_096]).await.unwrap();
    let longest = place.write(80).await;
    assert!(longest < BOUND, "the log has {longest} bytes");
    assert!(!export.is_finished(), "it was paused half way");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).await.unwrap();
    export.await.unwrap().unwrap();
    assert!(rest.contains("word 1999") && rest.ends_with("}\n"), "all of it is there");
    place.store.close().await.unwrap();
}

#[tokio::test]
async fn the_log_is_cut_back_when_a_foreign_reader_ends() {
    let place = Place::new().await;
    let url = format!("sqlite:{}", place.database().display());
    let mut foreign = SqliteConnection::connect(&url).await.unwrap();
    let mut reading = foreign.begin().await.unwrap();
    let count = sqlx::query("SELECT count(*) FROM messages");
    count.fetch_one(&mut *reading).await.unwrap();
    let longest = place.write(70).await;
    assert!(longest > LIMIT, "it holds its snapshot: the log has {longest} bytes");
    reading.rollback().await.unwrap();
    // The log is moved into the database by one commit, and begun anew, and cut, by the next.
    place.write(2).await;
    let after = length_of_log(&place.database());
    assert!(after <= LIMIT, "the log has {after} bytes");
    let longest = place.write(10).await;
    assert!(longest <= LIMIT, "the log has {longest} bytes");
    foreign.close().await.unwrap();
    place.store.close().await.unwrap();
}
