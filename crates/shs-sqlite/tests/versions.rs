//! Databases of older versions open as they are, and keep everything.

use shs_sqlite::{SqliteStore, verify};
use shs_store::{
    ErrorKind, MessageId, MessageQuery, NewMessage, Role, SearchQuery, SessionId, Store, StoreExt,
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
const MIGRATIONS: [&str; 2] =
    [include_str!("../src/open/schema/1.sql"), include_str!("../src/open/schema/2.sql")];

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
        store.append(&id, NewMessage::user(format!("another charge {opening}"))).await.unwrap();
        let page = store.messages(&id, &MessageQuery::new()).await.unwrap();
        let contents: Vec<&str> = page.items.iter().map(|m| m.content.as_str()).collect();
        let expected = ["the first charge", "a refund", "another charge 0", "another charge 1"];
        assert_eq!(contents, expected[..3 + opening]);
        let ids: Vec<&str> = page.items.iter().map(|m| m.id.as_str()).take(2).collect();
        assert_eq!(ids, IDS);
        for id_of_message in IDS.map(|id| MessageId::new(id).unwrap()) {
            store.message(&id, &id_of_message).await.unwrap();
        }
        let charges = store.search(&SearchQuery::new("charge").with_user("alice")).await.unwrap();
        assert_eq!(charges.items.len(), 2 + opening);
        store.close().await.unwrap();
    }
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let sql = "SELECT (SELECT user_version FROM pragma_user_version), count(*), \
               (SELECT count(*) FROM messages WHERE typeof(id) = 'blob'), \
               (SELECT count(*) FROM messages WHERE digest IS NOT NULL) FROM search";
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    // One of the old messages and the two new ones have ids in bytes.
    assert_eq!([0, 1, 2, 3].map(|at| row.get::<i64, _>(at)), [3, 4, 3, 1]);
    connection.close().await.unwrap();
    assert_eq!(verify(&path).await.unwrap(), []);
    // A repetition is known as one, and what was appended differently is a conflict.
    let store = SqliteStore::open(&path).await.unwrap();
    let id = SessionId::new("s").unwrap();
    let again = |at: usize, role, content: &str| {
        NewMessage::new(role, content).with_id(MessageId::new(IDS[at]).unwrap())
    };
    let first = store.append(&id, again(0, Role::User, "the first charge")).await.unwrap();
    assert_eq!(first.seq.get(), 1);
    let second = store.append(&id, again(1, Role::Assistant, "a refund")).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
    store.close().await.unwrap();
}
