//! Damaged and foreign databases: a typed error or what was stored, and never a panic.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use shs_sqlite::{SqliteOptions, SqliteStore};
use shs_store::{
    Clock, Error, ErrorKind, Message, MessageId, MessageQuery, NewMessage, NewSession, Result,
    Scope, SearchOrder, SearchQuery, SessionId, SessionQuery, StatsQuery, Store, StoreExt,
};
use shs_testkit::ManualClock;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

/// Reads everything in every way, and goes on after an error.
async fn read_all(store: &SqliteStore, id: &SessionId) -> (Vec<Message>, Vec<Error>) {
    let mut messages = Vec::new();
    let mut errors = Vec::new();
    let mut note = |outcome: Result<Vec<Message>>| match outcome {
        Ok(found) => messages.extend(found),
        Err(error) => errors.push(error),
    };
    note(store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.map(|_| Vec::new()));
    note(store.session(&Scope::DEFAULT, id).await.map(|_| Vec::new()));
    note(
        store
            .messages(&Scope::DEFAULT, id, &MessageQuery::new().with_limit(1_000))
            .await
            .map(|page| page.items),
    );
    note(store.stats(&Scope::DEFAULT, &StatsQuery::new()).await.map(|_| Vec::new()));
    for order in [SearchOrder::Newest, SearchOrder::Oldest, SearchOrder::Rank] {
        for query in [SearchQuery::all(), SearchQuery::new("word"), SearchQuery::new("w* -7")] {
            let page =
                store.search(&Scope::DEFAULT, &query.with_order(order).with_limit(100)).await;
            note(page.map(|page| page.items.into_iter().map(|hit| hit.message).collect()));
        }
    }
    (messages, errors)
}

#[tokio::test]
async fn a_flipped_byte_in_any_page_is_an_error_or_does_not_matter() {
    const PAGE: usize = 4_096;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    // The same file each time: ids, times and the clock are given.
    let clock = Arc::new(ManualClock::new());
    let at = clock.now();
    let store = SqliteOptions::new(&path).with_clock(clock).open().await.unwrap();
    let id = SessionId::new("s").unwrap();
    store
        .create_session(&Scope::DEFAULT, NewSession::with_id(id.clone()).with_tag("t"))
        .await
        .unwrap();
    let batch = (0..60).map(|n| {
        let new = NewMessage::user(format!("word {n}")).with_tokens(1).with_timestamp(at);
        new.with_id(MessageId::new(format!("message-{n}")).unwrap())
    });
    let batch: Vec<_> = batch.collect();
    let stored = store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap().messages;
    store.close().await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let known: HashMap<MessageId, Message> =
        stored.into_iter().map(|message| (message.id.clone(), message)).collect();

    let damaged = folder.path().join("damaged.db");
    // Of each page its head, by which SQLite finds its way; what lies in its middle is somebody's data.
    for page in 0..whole.len() / PAGE {
        for (at, flip) in [(0, 0xff), (3, 1), (5, 0x0f), (8, 0x55), (24, 0xff), (60, 1)] {
            let mut bytes = whole.clone();
            bytes[page * PAGE + at] ^= flip;
            std::fs::write(&damaged, &bytes).unwrap();
            for leftover in ["damaged.db-wal", "damaged.db-shm"] {
                let _ = std::fs::remove_file(folder.path().join(leftover));
            }
            let what = format!("byte {at} of page {page}");
            let errors = match SqliteStore::open(&damaged).await {
                Ok(store) => {
                    let (messages, mut errors) = read_all(&store, &id).await;
                    for message in messages {
                        assert_eq!(known.get(&message.id), Some(&message), "{what}");
                    }
                    errors.extend(
                        store.append(&Scope::DEFAULT, &id, NewMessage::user("more")).await.err(),
                    );
                    errors.extend(store.close().await.err());
                    errors
                }
                Err(error) => vec![error],
            };
            for error in errors {
                let kinds = [
                    ErrorKind::Corrupt,
                    ErrorKind::Unavailable,
                    ErrorKind::Unsupported,
                    ErrorKind::NotFound,
                ];
                assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
            }
        }
    }
}

async fn execute(path: &Path, sql: impl Into<String>) {
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_database_of_another_program_keeps_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    execute(&path, "CREATE TABLE sessions (name TEXT); INSERT INTO sessions VALUES ('mine')").await;
    let newer = folder.path().join("newer.db");
    execute(
        &newer,
        "CREATE TABLE t (x); PRAGMA application_id = 0x53485331; PRAGMA user_version = 99",
    )
    .await;
    for (path, kind) in [(path, ErrorKind::Corrupt), (newer, ErrorKind::Unsupported)] {
        let before = std::fs::read(&path).unwrap();
        assert_eq!(SqliteStore::open(&path).await.unwrap_err().kind(), kind);
        assert!(std::fs::read(&path).unwrap() == before, "{} was changed", path.display());
    }
}

#[tokio::test]
async fn a_damaged_schema_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    // As a flipped bit in the schema's text would have it.
    execute(&path, "ALTER TABLE sessions RENAME COLUMN title TO tiple").await;
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains("schema"), "{error}");
}

#[tokio::test]
async fn who_appends_beside_a_damaged_session_is_not_refused_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let ids = ["damaged", "sound"].map(|id| SessionId::new(id).unwrap());
    for id in &ids {
        store.create_session(&Scope::DEFAULT, NewSession::with_id(id.clone())).await.unwrap();
    }
    store.close().await.unwrap();
    execute(&path, "UPDATE sessions SET title = 'another' WHERE id = 'damaged'").await;
    let store = SqliteStore::open(&path).await.unwrap();
    // All are in the queue before the writer looks into it, so they are one batch.
    let appends = (0..20)
        .map(|number| store.append(&Scope::DEFAULT, &ids[number % 2], NewMessage::user("word")));
    let outcomes = futures::future::join_all(appends).await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match number % 2 {
            0 => assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Corrupt),
            _ => drop(outcome.unwrap()),
        }
    }
    assert_eq!(store.session(&Scope::DEFAULT, &ids[1]).await.unwrap().message_count, 10);
    store.close().await.unwrap();
}

/// A value in a column of another type, as a flipped bit in the head of a row leaves it.
async fn misplace(path: &Path, table: &str, column: &str, value: &str) {
    let typeless = |types: &str| {
        format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = {types} \
             WHERE type = 'table' AND name = '{table}'; PRAGMA writable_schema = RESET;"
        )
    };
    let hide = typeless(
        "replace(replace(replace(replace(sql, ' TEXT', ' ANY'), ' REAL', ' ANY'), \
         ' INTEGER NOT', ' ANY NOT'), ' INTEGER,', ' ANY,')",
    );
    execute(
        path,
        format!("CREATE TABLE kept AS SELECT sql FROM sqlite_schema WHERE name = '{table}'"),
    )
    .await;
    execute(path, hide).await;
    execute(path, format!("UPDATE {table} SET {column} = {value}")).await;
    execute(path, typeless("(SELECT sql FROM kept)")).await;
    execute(path, "DROP TABLE kept").await;
}

#[tokio::test]
async fn a_value_of_another_type_is_damage() {
    const NO_UTF8: &str = "CAST(x'61ff62' AS TEXT)";
    const TEXTS: [&str; 3] = ["97", "1.5", NO_UTF8];
    const JSON: [&str; 5] = ["97", "1.5", NO_UTF8, "''", "'text'"];
    const INTEGERS: [&str; 4] = ["1.5", "'x'", "''", "x'00'"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let id = SessionId::new("s").unwrap();
    let mut new = NewSession::with_id(id.clone()).with_user("u").with_project("p").with_title("t");
    new.metadata.insert("k".to_owned(), 1.into());
    store.create_session(&Scope::DEFAULT, new).await.unwrap();
    let message = NewMessage::user("ok").with_tokens(1).with_model("m").with_latency_ms(0.1);
    store.append(&Scope::DEFAULT, &id, message).await.unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    let columns: [(&str, &str, &[&str]); 24] = [
        ("sessions", "title", &TEXTS),
        ("sessions", "forked_session", &TEXTS),
        ("users", "name", &TEXTS),
        ("projects", "name", &TEXTS),
        ("models", "name", &TEXTS),
        ("messages", "content", &TEXTS),
        (
            "messages",
            "id",
            &["97", "1.5", NO_UTF8, "''", "x'00'", "x'ffffffffffffffffffffffffffffffffff'"],
        ),
        ("sessions", "tags", &JSON),
        ("sessions", "metadata", &JSON),
        ("sessions", "extra", &JSON),
        ("messages", "parts", &JSON),
        ("messages", "metadata", &JSON),
        ("messages", "extra", &JSON),
        ("sessions", "created_at", &INTEGERS),
        ("sessions", "updated_at", &INTEGERS),
        ("sessions", "ended_at", &INTEGERS),
        ("sessions", "message_count", &INTEGERS),
        ("sessions", "total_tokens", &INTEGERS),
        ("sessions", "last_seq", &INTEGERS),
        ("messages", "role", &INTEGERS),
        ("messages", "status", &INTEGERS),
        ("messages", "timestamp", &INTEGERS),
        ("messages", "tokens", &INTEGERS),
        ("messages", "latency_ms", &["'x'", "x'00'"]),
    ];
    let damaged = folder.path().join("damaged.db");
    for (table, column, values) in columns {
        for value in values {
            std::fs::copy(&path, &damaged).unwrap();
            misplace(&damaged, table, column, value).await;
            let store = SqliteStore::open(&damaged).await.unwrap();
            let search = store.search(&Scope::DEFAULT, &SearchQuery::new("ok")).await;
            let error = search.expect_err(&format!("{value} in {table}.{column}"));
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{value} in {table}.{column}: {error:?}");
            store.close().await.unwrap();
        }
    }
}
