//! Databases of the Python package with whatever can be in them: nothing is lost on the way.

use std::path::{Path, PathBuf};

use shs_sqlite::SqliteStore;
use shs_store::{MessageQuery, Scope, SessionQuery, StatsQuery, Store};
use sqlx::{Connection, SqliteConnection};

/// The tables as the package makes them.
const TABLES: &str = "
    CREATE TABLE sessions (session_id TEXT PRIMARY KEY, user_id TEXT, project_id TEXT, tags TEXT, metadata TEXT,
        title TEXT, created_at TEXT, updated_at TEXT, message_count INTEGER, total_tokens INTEGER);
    CREATE TABLE messages (message_id TEXT PRIMARY KEY, session_id TEXT, role TEXT, content TEXT, timestamp TEXT,
        metadata TEXT, status TEXT, tokens INTEGER, model TEXT, latency_ms REAL, sort_order INTEGER,
        FOREIGN KEY (session_id) REFERENCES sessions(session_id) ON DELETE CASCADE);
    CREATE INDEX idx_messages_session ON messages(session_id, sort_order);";

async fn python_database(folder: &Path, rows: &'static str) -> PathBuf {
    let path = folder.join("history.db");
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for sql in ["PRAGMA foreign_keys = OFF", TABLES, rows] {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    path
}

/// The contents of all messages, and how many sessions there are.
async fn contents(store: &SqliteStore) -> (Vec<String>, usize) {
    let sessions = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
    let mut contents = Vec::new();
    for session in &sessions {
        let page =
            store.messages(&Scope::DEFAULT, &session.id, &MessageQuery::new()).await.unwrap();
        assert_eq!(session.message_count, page.items.len() as u64);
        contents.extend(page.items.into_iter().map(|message| message.content));
    }
    contents.sort();
    (contents, sessions.len())
}

const ODD: &str = "
    INSERT INTO sessions (session_id, metadata, tags, created_at) VALUES
        ('plain', '{\"a\": NaN}', 'no json', 'never'), (NULL, NULL, NULL, NULL), (x'ff00', '', '[]', NULL), (7, '{}', '{}', NULL),
        ('it''s', NULL, NULL, NULL);
    INSERT INTO messages (message_id, session_id, role, content, status, tokens, latency_ms, sort_order) VALUES
        ('m1', 'plain', NULL, 'plain', NULL, -1, 'fast', 1), ('m2', 'plain', 'ai', x'41', 'odd', 'many', -1, 1),
        ('m3', NULL, 'user', 'of none', NULL, NULL, NULL, NULL), (NULL, x'ff00', 'user', 'of bytes', NULL, 1e300, NULL, 0),
        (NULL, 7, 'user', 'of a number', NULL, 5, 1.5, 0), ('m4', 'gone', 'user', 'orphan', NULL, 5, 9e999, 0),
        ('m5', x'00ff', 'user', 'orphan of bytes', NULL, NULL, NULL, 0), ('', 'it''s', 'user', 'quoted', NULL, NULL, NULL, 2),
        ('m6', 'it''s', 'user', '', NULL, NULL, NULL, 1);";
const FOUND: [&str; 9] =
    ["", "A", "of a number", "of bytes", "of none", "orphan", "orphan of bytes", "plain", "quoted"];

#[tokio::test]
async fn odd_values_are_all_brought_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = python_database(folder.path(), ODD).await;
    let store = SqliteStore::open(&path).await.unwrap();
    let (contents, sessions) = contents(&store).await;
    assert_eq!(contents, FOUND);
    assert_eq!(sessions, 7);
    assert_eq!(store.stats(&Scope::DEFAULT, &StatsQuery::new()).await.unwrap().messages, 9);
    store.close().await.unwrap();
}

#[tokio::test]
async fn messages_without_sessions_are_kept_when_an_id_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO messages (message_id, session_id, content) VALUES ('m', NULL, 'of none'), ('n', 'gone', 'orphan')";
    let path = python_database(folder.path(), rows).await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(contents(&store).await, (vec!["of none".to_owned(), "orphan".to_owned()], 2));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    // A name that the new schema needs is taken.
    let path = python_database(
        folder.path(),
        "CREATE TABLE counters (x); INSERT INTO sessions (session_id) VALUES ('s')",
    )
    .await;
    SqliteStore::open(&path).await.unwrap_err();
    let url = format!("sqlite:{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let rows =
        sqlx::query("SELECT session_id FROM sessions").fetch_all(&mut connection).await.unwrap();
    assert_eq!(rows.len(), 1);
    sqlx::query("DROP TABLE counters").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(contents(&store).await, (vec![], 1));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_open_it_at_once_migrate_it_once() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = python_database(folder.path(), ODD).await;
        let opening = (0..4).map(|_| tokio::spawn(SqliteStore::open(path.clone())));
        for opened in opening.collect::<Vec<_>>() {
            let store = opened.await.unwrap().unwrap();
            assert_eq!(contents(&store).await.0, FOUND);
            store.close().await.unwrap();
        }
    }
}
