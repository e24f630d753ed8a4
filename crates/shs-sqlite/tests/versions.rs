//! Databases of older versions open as they are, and keep everything.

use shs_sqlite::{SqliteStore, verify};
use shs_store::{
    ErrorKind, MessageId, MessageQuery, NewMessage, NewSession, Role, Scope, SearchQuery,
    SessionId, StatsQuery, Store, StoreExt,
};
use sqlx::{Connection, Row, SqliteConnection};

/// What a store with the first schema wrote for two messages.
const CONTENT: &str = "
    INSERT INTO users (name) VALUES ('alice');
    INSERT INTO sessions (id, user, created_at, updated_at, message_count, total_tokens, last_seq)
        VALUES ('s', 1, 1000, 2000, 2, 5, 2);
    INSERT INTO messages (key, session, seq, id, role, status, timestamp, tokens, digest, content) VALUES
        (1, 1, 1, '01a2046f-509f-71cf-9a63-a3e8af611657', 0, 1, 1000, 5, x'00000000000000000000000000000001', 'the first charge'),
        (4, 1, 2, '01A2046F-509F-71cf-9a63-a3e8af611657', 1, 1, 2000, NULL, x'00000000000000000000000000000002', 'a refund');
    INSERT INTO search (rowid, scope, content) VALUES
        (1, 's1 r0 t1 u1', 'the first charge'), (4, 's1 r1 t1 u1', 'a refund');
    INSERT INTO totals VALUES (0, 0, 1, 5), (1, 0, 1, 0);
    UPDATE counters SET arrival = 5, sessions = 1, active = 1;
";

/// The second is not the usual form of a UUID.
const IDS: [&str; 2] =
    ["01a2046f-509f-71cf-9a63-a3e8af611657", "01A2046F-509F-71cf-9a63-a3e8af611657"];

/// What brings the schema from one version to the next.
const MIGRATIONS: [&str; 3] = [
    include_str!("../src/open/schema/1.sql"),
    include_str!("../src/open/schema/2.sql"),
    include_str!("../src/open/schema/3.sql"),
];

#[tokio::test]
async fn a_database_with_the_first_schema_is_brought_to_the_newest() {
    is_brought_to_the_newest(1).await;
}

#[tokio::test]
async fn a_database_with_the_second_schema_is_brought_to_the_newest() {
    is_brought_to_the_newest(2).await;
}

async fn is_brought_to_the_newest(version: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for sql in [MIGRATIONS[0], CONTENT].iter().chain(&MIGRATIONS[1..version]) {
        sqlx::raw_sql(*sql).execute(&mut connection).await.unwrap();
    }
    // The first was never changed, the second was.
    let digest = NewMessage::new(Role::User, "the first charge").digest();
    let set = sqlx::query("UPDATE messages SET digest = ?1 WHERE key = 1");
    set.bind(&digest.as_bytes()[..]).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    for opening in 0..2 {
        let store = SqliteStore::open(&path).await.unwrap();
        let id = SessionId::new("s").unwrap();
        store
            .append(&Scope::DEFAULT, &id, NewMessage::user(format!("another charge {opening}")))
            .await
            .unwrap();
        let page = store.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await.unwrap();
        let contents: Vec<&str> = page.items.iter().map(|m| m.content.as_str()).collect();
        let expected = ["the first charge", "a refund", "another charge 0", "another charge 1"];
        assert_eq!(contents, expected[..3 + opening]);
        let ids: Vec<&str> = page.items.iter().map(|m| m.id.as_str()).take(2).collect();
        assert_eq!(ids, IDS);
        for id_of_message in IDS.map(|id| MessageId::new(id).unwrap()) {
            store.message(&Scope::DEFAULT, &id, &id_of_message).await.unwrap();
        }
        let charges = store
            .search(&Scope::DEFAULT, &SearchQuery::new("charge").with_user("alice"))
            .await
            .unwrap();
        assert_eq!(charges.items.len(), 2 + opening);
        store.close().await.unwrap();
    }
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let sql = "SELECT (SELECT user_version FROM pragma_user_version), count(*), \
               (SELECT count(*) FROM messages WHERE typeof(id) = 'blob'), \
               (SELECT count(*) FROM messages WHERE digest IS NOT NULL) FROM search";
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    // One of the old messages and the two new ones have ids in bytes.
    assert_eq!([0, 1, 2, 3].map(|at| row.get::<i64, _>(at)), [4, 4, 3, 1]);
    connection.close().await.unwrap();
    assert_eq!(verify(&path).await.unwrap(), []);
    // A repetition is known as one, and what was appended differently is a conflict.
    let store = SqliteStore::open(&path).await.unwrap();
    let id = SessionId::new("s").unwrap();
    let again = |at: usize, role, content: &str| {
        NewMessage::new(role, content).with_id(MessageId::new(IDS[at]).unwrap())
    };
    let first =
        store.append(&Scope::DEFAULT, &id, again(0, Role::User, "the first charge")).await.unwrap();
    assert_eq!(first.seq.get(), 1);
    let second = store
        .append(&Scope::DEFAULT, &id, again(1, Role::Assistant, "a refund"))
        .await
        .unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
    store.close().await.unwrap();
}

/// What a store with the third schema wrote, checksums and all. A user was deleted before, whose
/// key was 3.
const THIRD: &str = r#"
    INSERT INTO users (key, name, checksum) VALUES (1, 'alice', 663665735), (2, 'bob', 4123767104);
    INSERT INTO projects (key, name, checksum) VALUES (1, 'bot', 18809873);
    INSERT INTO models (key, name, checksum) VALUES (1, 'm1', 3226732335);
    INSERT INTO sessions (key, id, user, project, title, tags, metadata, created_at, updated_at, ended_at,
        message_count, total_tokens, last_seq, checksum) VALUES
        (1, 's', 1, 1, 'Billing', '["a","b"]', '{"k":1}', 1767225600000000, 1767312000000000, NULL,
            2, 5, 2, 19440435550870883),
        (2, 't', 2, NULL, NULL, NULL, NULL, 1767225600000000, 1767312000000000, 1767398400000000,
            1, 2, 1, 19440433632758531);
    INSERT INTO session_tags (tag, session) VALUES ('a', 1), ('b', 1);
    INSERT INTO messages (key, session, seq, id, role, status, timestamp, checksum, tokens, model, latency_ms, content)
        VALUES
        (2, 1, 1, x'01a2046f509f71cf9a63a3e8af611657', 0, 1, 1767225600000000, 2891020164, 5, 1, NULL, 'the first charge'),
        (3, 1, 2, 'm2', 1, 1, 1767225601000000, 3642537366, NULL, NULL, 1.5, 'a refund 部署'),
        (5, 2, 1, 'm1', 0, 1, 1767225605000000, 2693882786, 2, NULL, NULL, 'nobody''s charge');
    INSERT INTO search (rowid, scope, content) VALUES
        (2, 's1 r0 t1 u1 p1 m1', 'the first charge'), (3, 's1 r1 t1 u1 p1', 'a refund 部署 署'),
        (5, 's2 r0 t1 u2', 'nobody''s charge');
    INSERT INTO totals (role, model, messages, tokens, checksum) VALUES (0, 0, 1, 2, 29), (0, 1, 1, 5, 67), (1, 0, 1, 0, 10);
    UPDATE counters SET arrival = 5, sessions = 2, active = 1, indexed = 5, checksum = 87;
    UPDATE sqlite_sequence SET seq = 3 WHERE name = 'users';
"#;

#[tokio::test]
async fn what_the_third_schema_held_is_the_default_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for sql in MIGRATIONS.into_iter().chain([THIRD]) {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let store = SqliteStore::open(&path).await.unwrap();
    let acme = Scope::tenant("acme").unwrap();
    for (id, user, messages) in [("s", "alice", 2), ("t", "bob", 1)] {
        let id = SessionId::new(id).unwrap();
        let scope = Scope::DEFAULT.as_user(user).unwrap();
        assert_eq!(store.transcript(&scope, &id).await.unwrap().messages.len(), messages);
        assert_eq!(store.session(&acme, &id).await.unwrap_err().kind(), ErrorKind::NotFound);
        // Another tenant can use the id.
        let new = NewSession::with_id(id.clone()).with_user("alice");
        store.create_session(&acme, new).await.unwrap();
        store.append(&acme, &id, NewMessage::user("acme's charge")).await.unwrap();
    }
    for (scope, charges) in [(&Scope::DEFAULT, 2), (&acme, 2)] {
        let found = store.search(scope, &SearchQuery::new("charge")).await.unwrap().items;
        assert_eq!(found.len(), charges);
        let stats = store.stats(scope, &StatsQuery::new()).await.unwrap();
        assert_eq!(stats.sessions, 2);
    }
    store.close().await.unwrap();
    assert_eq!(verify(&path).await.unwrap(), []);
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let newest: i64 = sqlx::query("SELECT max(key) FROM users WHERE tenant > 0")
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get(0);
    assert!(newest > 3, "no key is given twice, also not after a migration");
    connection.close().await.unwrap();
}
