//! What the database keeps beside the messages (counts, totals, tags, names, the text index) always says what
//! the messages say.

mod numbers;

use std::path::Path;

use serde_json::json;
use shs_sqlite::{SqliteOptions, SqliteStore, verify};
use shs_store::{
    Durability, ErrorKind, ImportMode, Map, MessagePatch, MessageQuery, NewMessage, NewSession,
    Role, Scope, SearchOrder, SearchQuery, Seq, SessionId, SessionPatch, SessionQuery, Status,
    Store, StoreExt,
};
use sqlx::{Connection, Row, SqliteConnection};

use numbers::Numbers;

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap()
}

/// Each statement finds nothing if the database is consistent.
const CONTRADICTIONS: [(&str, &str); 10] = [
    (
        "a session's counts",
        "SELECT s.id FROM sessions s LEFT JOIN messages m ON m.session = s.key GROUP BY s.key \
         HAVING s.message_count <> count(m.key) OR s.total_tokens <> coalesce(sum(m.tokens), 0) \
         OR s.last_seq < coalesce(max(m.seq), 0)",
    ),
    (
        "the totals",
        "SELECT tenant, role, model, sum(messages), sum(tokens) FROM \
         (SELECT tenant, role, model, messages, tokens FROM totals UNION ALL \
         SELECT s.tenant, m.role, coalesce(m.model, 0), -1, -coalesce(m.tokens, 0) FROM messages m \
         JOIN sessions s ON s.key = m.session) \
         GROUP BY tenant, role, model HAVING sum(messages) <> 0 OR sum(tokens) <> 0",
    ),
    (
        "the counters",
        "SELECT * FROM counters WHERE arrival < (SELECT coalesce(max(key), 0) FROM messages)",
    ),
    (
        "the tenants",
        "SELECT t.key FROM tenants t WHERE \
         t.sessions <> (SELECT count(*) FROM sessions s WHERE s.tenant = t.key) OR t.active <> \
         (SELECT count(*) FROM sessions s WHERE s.tenant = t.key AND s.ended_at IS NULL) \
         OR (t.sessions = 0 AND t.key <> 0) UNION ALL \
         SELECT key FROM sessions WHERE tenant NOT IN (SELECT key FROM tenants) UNION ALL \
         SELECT tenant FROM totals WHERE tenant NOT IN (SELECT key FROM tenants) UNION ALL \
         SELECT s.key FROM sessions s JOIN users u ON u.key = s.user WHERE u.tenant <> s.tenant",
    ),
    (
        "the tags",
        "SELECT * FROM (SELECT s.key, t.value FROM sessions s, json_each(s.tags) t \
         EXCEPT SELECT session, tag FROM session_tags) UNION ALL \
         SELECT * FROM (SELECT session, tag FROM session_tags \
         EXCEPT SELECT s.key, t.value FROM sessions s, json_each(s.tags) t)",
    ),
    (
        "the users",
        "SELECT name FROM users WHERE key NOT IN (SELECT user FROM sessions WHERE user IS NOT NULL)",
    ),
    (
        "the projects",
        "SELECT name FROM projects WHERE key NOT IN (SELECT project FROM sessions WHERE project IS NOT NULL)",
    ),
    ("orphans", "SELECT key FROM messages WHERE session NOT IN (SELECT key FROM sessions)"),
    (
        "the index's messages",
        "SELECT rowid FROM search WHERE rowid NOT IN (SELECT key FROM messages) UNION ALL \
         SELECT key FROM messages WHERE key NOT IN (SELECT rowid FROM search) \
         AND key <= (SELECT indexed FROM counters)",
    ),
    (
        "the arrivals",
        "SELECT m.key FROM messages m JOIN messages n ON n.session = m.session AND n.seq > m.seq AND n.key < m.key",
    ),
];

async fn assert_consistent(path: &Path) {
    let mut connection = connect(path).await;
    for (what, sql) in CONTRADICTIONS {
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        assert_eq!(rows.len(), 0, "{what}");
    }
    let check = "INSERT INTO search(search, rank) VALUES ('integrity-check', 0)";
    sqlx::query(check).execute(&mut connection).await.unwrap();
    let row = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "ok");
    connection.close().await.unwrap();
    assert_eq!(verify(path).await.unwrap(), []);
}

const TEXTS: [&str; 6] =
    ["alpha beta", "", "部署 deployment", "a\0b\0", "🦀 crab", "'; DROP TABLE x"];
const MODELS: [Option<&str>; 3] = [None, Some("one"), Some("two")];

fn message(numbers: &mut Numbers) -> NewMessage {
    let mut new = NewMessage::new(numbers.pick(Role::ALL), numbers.pick(&TEXTS));
    new.tokens = numbers.pick(&[None, Some(7), Some(u32::MAX)]);
    new.model = numbers.pick(&MODELS).map(str::to_owned);
    new.status = numbers.pick(Status::ALL);
    new
}

#[tokio::test]
async fn after_any_operations_everything_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let numbers = &mut Numbers::new(7);
    let ids = ["a", "b", "it's", "d\"q", "語"].map(|id| SessionId::new(id).unwrap());
    for _ in 0..300 {
        let id = &ids[numbers.below(5) as usize];
        let messages =
            store.messages(&Scope::DEFAULT, id, &MessageQuery::new()).await.map(|page| page.items);
        let messages = messages.unwrap_or_default();
        let some = (!messages.is_empty())
            .then(|| &messages[numbers.below(messages.len() as u64) as usize]);
        // Whatever is refused has to change nothing.
        match (numbers.below(12), some) {
            (0 | 1, _) => {
                let mut new = NewSession::with_id(id.clone()).with_tag("t").with_tag("7");
                new.user_id = numbers.pick(&[None, Some("alice"), Some("bob")]).map(str::to_owned);
                new.project_id = numbers.pick(&[None, Some("p")]).map(str::to_owned);
                let _ = store.create_session(&Scope::DEFAULT, new).await;
            }
            (2, _) => {
                let patch = match numbers.below(4) {
                    0 => SessionPatch::new().with_tags(["x", "t"]),
                    1 => SessionPatch::new().with_tag_removed("t"),
                    2 => SessionPatch::new().with_ended_at(shs_store::Timestamp::now()),
                    _ => SessionPatch::new().reopened(),
                };
                let _ = store.update_session(&Scope::DEFAULT, id, patch).await;
            }
            (3, _) => drop(store.delete_session(&Scope::DEFAULT, id).await.unwrap()),
            (4, _) if numbers.below(4) == 0 => {
                let _ = store
                    .delete_user(&Scope::DEFAULT, numbers.pick(&["alice", "nobody"]))
                    .await
                    .unwrap();
            }
            (5, Some(some)) => {
                let _ = store.delete_message(&Scope::DEFAULT, id, &some.id).await.unwrap();
            }
            (6 | 7, Some(some)) => {
                let mut patch = MessagePatch::new().with_content(numbers.pick(&TEXTS));
                if let Some(model) = numbers.pick(&MODELS) {
                    patch = patch.with_model(model).with_tokens(3);
                }
                patch = patch.with_status(numbers.pick(Status::ALL));
                store.update_message(&Scope::DEFAULT, id, &some.id, patch).await.unwrap();
            }
            (8, Some(some)) => {
                let new = NewSession::with_id(ids[numbers.below(5) as usize].clone());
                let _ = store.fork(&Scope::DEFAULT, id, some.seq, new).await;
            }
            (9, Some(_)) => {
                let mut transcript = store.transcript(&Scope::DEFAULT, id).await.unwrap();
                transcript.session.id = ids[numbers.below(5) as usize].clone();
                let _ = store
                    .import(
                        &Scope::DEFAULT,
                        transcript,
                        numbers.pick(&[ImportMode::Overwrite, ImportMode::CreateOnly]),
                    )
                    .await;
            }
            _ => {
                let batch = (0..numbers.below(70)).map(|_| message(numbers)).collect();
                let _ = store.append_all(&Scope::DEFAULT, id, batch).await;
            }
        }
    }
    store.close().await.unwrap();
    assert_consistent(&path).await;
    let store = SqliteStore::open(&path).await.unwrap();
    for session in store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items {
        store.delete_session(&Scope::DEFAULT, &session.id).await.unwrap();
    }
    store.close().await.unwrap();
    assert_consistent(&path).await;
}

#[tokio::test]
async fn the_largest_batch_can_be_appended_and_forked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let id = store
        .create_session(&Scope::DEFAULT, NewSession::new().with_user("alice"))
        .await
        .unwrap()
        .id;
    let batch: Vec<_> = (0..10_000).map(|n| NewMessage::user(format!("word {n}"))).collect();
    assert_eq!(
        store.append_all(&Scope::DEFAULT, &id, batch.clone()).await.unwrap().inserted,
        10_000
    );
    assert_eq!(store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap().inserted, 0);
    let fork = store
        .fork(&Scope::DEFAULT, &id, Seq::new(10_000).unwrap(), NewSession::new())
        .await
        .unwrap();
    assert_eq!(fork.message_count, 10_000);
    // More matches than a ranked search weighs: the newest of them.
    let ranked = SearchQuery::new("w*").with_order(SearchOrder::Rank).with_limit(1_000);
    assert!(
        store
            .search(&Scope::DEFAULT, &ranked)
            .await
            .unwrap()
            .items
            .iter()
            .all(|hit| hit.session.id == fork.id)
    );
    store.close().await.unwrap();
    assert_consistent(&path).await;
}

#[tokio::test]
async fn any_query_that_a_user_can_type_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("history.db")).await.unwrap();
    let id = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
    let text = "a b c ".repeat(400);
    store.append(&Scope::DEFAULT, &id, NewMessage::user(text.clone())).await.unwrap();
    let many = |term: &str| term.repeat(4_096 / term.len());
    let numbered = |sign: &str| -> String {
        let terms: String = (0..4_096).map(|n| format!("{sign}{n} ")).collect();
        terms.chars().take(4_000).collect()
    };
    let queries = [
        (many("a "), true),
        (many("a* "), true),
        (format!("\"{}\"", "a b c ".repeat(600)), false),
        (format!("\"{}\"", "a b c ".repeat(300)), true),
        (numbered(""), false),
        (format!("a {}", numbered("-")), true),
        (many("-a "), false),
        (format!("a -\"{}\"", "a b c ".repeat(500)), true),
        (many("\""), false),
        (many("語"), false),
        (many("(a OR "), false),
    ];
    for (query, found) in queries {
        for order in [SearchOrder::Newest, SearchOrder::Oldest, SearchOrder::Rank] {
            let query = SearchQuery::new(&*query).with_order(order);
            match store.search(&Scope::DEFAULT, &query).await {
                Ok(page) => assert_eq!(page.items.len(), usize::from(found), "{query:?}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{query:?}: {error:?}")
                }
            }
        }
    }
}

#[tokio::test]
async fn large_and_odd_values_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("history.db")).await.unwrap();
    let metadata: Map = [("k".to_owned(), json!("🦀\0".repeat(200_000)))].into_iter().collect();
    let new = NewSession::new().with_metadata(metadata).with_title("\0");
    let session = store.create_session(&Scope::DEFAULT, new).await.unwrap();
    assert_eq!(store.session(&Scope::DEFAULT, &session.id).await.unwrap(), session);
    let message = store
        .append(&Scope::DEFAULT, &session.id, NewMessage::user("before\0needle"))
        .await
        .unwrap();
    assert_eq!(
        store.search(&Scope::DEFAULT, &SearchQuery::new("needle")).await.unwrap().items.len(),
        1
    );
    let patch = MessagePatch::new().with_content("\0after");
    let message =
        store.update_message(&Scope::DEFAULT, &session.id, &message.id, patch).await.unwrap();
    assert_eq!(store.message(&Scope::DEFAULT, &session.id, &message.id).await.unwrap(), message);
    assert!(
        store.search(&Scope::DEFAULT, &SearchQuery::new("needle")).await.unwrap().items.is_empty()
    );
    assert_eq!(
        store.search(&Scope::DEFAULT, &SearchQuery::new("after")).await.unwrap().items.len(),
        1
    );
}

#[tokio::test]
async fn what_a_repetition_finds_is_synced_before_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let id = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
    let new = NewMessage::user("once");
    store.append(&Scope::DEFAULT, &id, new.clone()).await.unwrap();
    // A commit syncs the log if it wrote to it.
    let log = || std::fs::read(folder.path().join("history.db-wal")).unwrap();
    let before = log();
    store.append(&Scope::DEFAULT, &id, new).await.unwrap();
    let appended = log();
    assert!(before != appended);
    assert!(
        !store.delete_session(&Scope::DEFAULT, &SessionId::new("gone").unwrap()).await.unwrap()
    );
    assert!(appended != log());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_flush_syncs_the_log_where_commits_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("history.db"));
    let store = options.with_durability(Durability::Relaxed).open().await.unwrap();
    store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap();
    let log = || std::fs::read(folder.path().join("history.db-wal")).unwrap();
    let before = log();
    store.flush().await.unwrap();
    assert!(before != log());
    store.close().await.unwrap();
}
