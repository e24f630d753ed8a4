//! Each kind of damage is found, named and repaired, and nothing else is changed.

use std::path::{Path, PathBuf};

use shs_sqlite::{SqliteStore, repair, verify};
use shs_store::keeping::Finding;
use shs_store::{
    ErrorKind, MessagePatch, NewMessage, NewSession, Scope, SearchQuery, SessionId, Store,
    StoreExt, Transcript,
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;

/// A database that is the same for every damage: two users, tags, models, an updated and a deleted message.
struct Healthy {
    folder: TempDir,
    path: PathBuf,
}

const SESSIONS: usize = 12;

fn id(number: usize) -> SessionId {
    format!("s-{number:02}").parse().unwrap()
}

impl Healthy {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("healthy.db");
        let store = SqliteStore::open(&path).await.unwrap();
        for number in 0..SESSIONS {
            let user = if number % 2 == 0 { "alice" } else { "bob" };
            let mut new = NewSession::with_id(id(number)).with_user(user).with_project("shop");
            new.metadata.insert("k".to_owned(), 1.into());
            store
                .create_session(
                    &Scope::DEFAULT,
                    new.with_title("title").with_tag("t").with_tag("u"),
                )
                .await
                .unwrap();
            let batch = (0..6).map(|at| {
                let text = format!("日本語 word{at} of {number}");
                NewMessage::user(text).with_model("model").with_tokens(3)
            });
            store
                .append_all(&Scope::DEFAULT, &id(number), batch.collect::<Vec<_>>())
                .await
                .unwrap();
        }
        let message = store.last_messages(&Scope::DEFAULT, &id(3), 2).await.unwrap();
        let patch = MessagePatch::new().with_content("changed").with_tokens(9);
        store.update_message(&Scope::DEFAULT, &id(3), &message[0].id, patch).await.unwrap();
        store.delete_message(&Scope::DEFAULT, &id(3), &message[1].id).await.unwrap();
        store.close().await.unwrap();
        Self { folder, path }
    }

    /// A copy to be damaged.
    fn copy(&self, number: usize) -> PathBuf {
        let path = self.folder.path().join(format!("damaged-{number}.db"));
        std::fs::copy(&self.path, &path).unwrap();
        path
    }
}

async fn execute(path: &Path, sql: &str) {
    let url = format!("sqlite:{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn transcripts(path: &Path) -> Vec<Transcript> {
    let store = SqliteStore::open(path).await.unwrap();
    let mut all = Vec::new();
    for number in 0..SESSIONS {
        if let Ok(transcript) = store.transcript(&Scope::DEFAULT, &id(number)).await {
            all.push(transcript);
        }
    }
    store.close().await.unwrap();
    all
}

fn says(findings: &[Finding], what: &str) -> bool {
    findings.iter().any(|finding| finding.to_string().contains(what))
}

/// Damages a database, and repairs it; conversations but that one are as they were.
async fn damage_and_repair(
    healthy: &Healthy,
    number: usize,
    (sql, what): (&str, &str),
    touched: Option<usize>,
) -> PathBuf {
    let path = healthy.copy(number);
    execute(&path, sql).await;
    let before = std::fs::read(&path).unwrap();
    let findings = verify(&path).await.unwrap();
    assert!(says(&findings, what), "{sql}: {findings:#?}");
    assert!(findings.iter().all(|finding| finding.repairable), "{sql}: {findings:#?}");
    assert!(std::fs::read(&path).unwrap() == before, "{sql}: verify changed something");
    let repaired = repair(&path).await.unwrap();
    assert_eq!(repaired.remaining, [], "{sql}");
    assert_eq!(repaired.fixed, findings, "{sql}");
    assert_eq!(verify(&path).await.unwrap(), [], "{sql}");
    assert!(std::fs::read(&repaired.kept[0]).unwrap() == before, "{sql}: what was there is kept");
    let expected = transcripts(&healthy.path).await;
    for transcript in transcripts(&path).await {
        let at = expected.iter().position(|other| other.session.id == transcript.session.id);
        if at != touched {
            assert_eq!(transcript, expected[at.unwrap()], "{sql}");
        }
    }
    assert_eq!(transcripts(&path).await.len(), SESSIONS, "{sql}");
    let store = SqliteStore::open(&path).await.unwrap();
    let found = store
        .search(&Scope::DEFAULT, &SearchQuery::new("日本語 word0").with_limit(100))
        .await
        .unwrap();
    assert!(found.items.len() >= SESSIONS - 1, "{sql}: {}", found.items.len());
    store.append(&Scope::DEFAULT, &id(0), NewMessage::user("goes on")).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(verify(&path).await.unwrap(), [], "{sql}: it goes on");
    path
}

#[tokio::test]
async fn what_is_derived_is_made_anew() {
    let healthy = Healthy::new().await;
    assert_eq!(verify(&healthy.path).await.unwrap(), []);
    let untouched = repair(&healthy.path).await.unwrap();
    assert_eq!((untouched.fixed.len(), untouched.kept.len()), (0, 0));
    let damages = [
        ("UPDATE sessions SET message_count = 7 WHERE id = 's-04'", "session s-04: message_count"),
        ("UPDATE sessions SET total_tokens = 7 WHERE id = 's-04'", "session s-04: total_tokens"),
        ("UPDATE sessions SET last_seq = 2 WHERE id = 's-04'", "session s-04: last_seq"),
        ("UPDATE totals SET messages = messages + 1", "table totals"),
        ("DELETE FROM totals", "table totals"),
        ("UPDATE tenants SET sessions = 3", "table tenants, row 0: sessions"),
        ("UPDATE tenants SET active = 3", "table tenants, row 0: active"),
        ("UPDATE tenants SET checksum = 3", "table tenants, row 0: the name or the checksum"),
        ("UPDATE tenants SET name = 'other'", "table tenants, row 0: the name or the checksum"),
        ("DELETE FROM tenants", "table tenants: the default tenant is missing"),
        ("INSERT INTO tenants VALUES (5, 'x', 0, 0, 0)", "row 5: no session has the tenant"),
        ("UPDATE users SET tenant = 7", "the name of the session's user is missing in its tenant"),
        ("UPDATE projects SET tenant = 7", "the session's project is missing in its tenant"),
        ("UPDATE counters SET arrival = 3", "table counters, row 1: arrival"),
        ("UPDATE counters SET indexed = 1000000", "table counters, row 1: indexed"),
        ("DELETE FROM counters", "table counters: it has not one row"),
        ("DELETE FROM search WHERE rowid = 5", "table search, row 5: it lacks a message"),
        ("UPDATE counters SET indexed = 50", "not to be indexed yet"),
        (
            "INSERT INTO search (rowid, scope, content) VALUES (5000, 's1 r0 t1', 'stray')",
            "row 5000: it has a message that is not there",
        ),
        (
            "DELETE FROM search WHERE rowid = 5; \
             INSERT INTO search (rowid, scope, content) SELECT 5, 's1 r0 t1 u1 p1 m1', 'a b'",
            "row 5: it has another number of words",
        ),
        (
            "DELETE FROM search WHERE rowid = 5; INSERT INTO search (rowid, scope, content) \
             SELECT 5, 's1 r0 t1 u1 p1 m1', '日本 本語 語 word4 of 9'",
            "its words are not those of the messages",
        ),
        ("DELETE FROM search_data WHERE id > 1000", "fts5: "),
        ("UPDATE search_data SET block = zeroblob(10) WHERE id = 10", "search"),
        (
            "PRAGMA writable_schema = ON; DROP TABLE search_docsize",
            "table search_docsize: the text index is not there",
        ),
        ("DROP TABLE search", "table search: the text index is not there"),
        ("DROP INDEX messages_seq", "the index messages_seq is not there"),
        ("INSERT INTO session_tags VALUES (0, 'stray', 1)", "a tag that its session does not have"),
        ("INSERT INTO session_tags VALUES (0, 'stray', 999)", "row 999: a tag"),
        ("DELETE FROM session_tags WHERE tag = 'u'", "a tag of the session is missing"),
        ("INSERT INTO users VALUES (99, 0, 'nobody', 0)", "no session has the user"),
        ("INSERT INTO projects VALUES (99, 0, 'nothing', 0)", "no session has the project"),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        damage_and_repair(&healthy, number, damage, None).await;
    }
}

#[tokio::test]
async fn what_is_missing_is_replaced_where_it_can_be() {
    let healthy = Healthy::new().await;
    let path = healthy.copy(0);
    execute(&path, "DELETE FROM models").await;
    let findings = verify(&path).await.unwrap();
    assert!(says(&findings, "model is missing"), "{findings:?}");
    assert_eq!(repair(&path).await.unwrap().remaining, []);
    let all = transcripts(&path).await;
    assert!(all.iter().flat_map(|one| &one.messages).all(|message| message.model.is_none()));

    let path = healthy.copy(1);
    execute(&path, "DELETE FROM sessions WHERE id = 's-05'").await;
    let findings = verify(&path).await.unwrap();
    assert!(says(&findings, "the message's session is missing"), "{findings:?}");
    let repaired = repair(&path).await.unwrap();
    assert_eq!((repaired.remaining.len(), repaired.quarantined), (0, 0));
    let store = SqliteStore::open(&path).await.unwrap();
    let messages =
        store.transcript(&Scope::DEFAULT, &"recovered-6".parse().unwrap()).await.unwrap().messages;
    assert_eq!(messages, transcripts(&healthy.path).await[5].messages);
    store.close().await.unwrap();

    let path = healthy.copy(2);
    execute(&path, "DELETE FROM users WHERE name = 'alice'; DELETE FROM projects").await;
    let findings = verify(&path).await.unwrap();
    assert!(says(&findings, "user is missing") && says(&findings, "project is missing"));
    assert_eq!(repair(&path).await.unwrap().remaining, []);
    let all = transcripts(&path).await;
    assert_eq!((all.len(), all[0].session.user_id.as_deref()), (SESSIONS, None));
    assert_eq!(all[1].session.user_id.as_deref(), Some("bob"));
}

/// A statement with a value in a column of another type, as a flipped bit in the head of a row leaves it.
fn misplaced(table: &str, column: &str, value: &str, which: &str) -> String {
    let typeless = |types: &str| {
        format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = {types} \
             WHERE type = 'table' AND name = '{table}'; PRAGMA writable_schema = RESET;"
        )
    };
    let hide = typeless(
        "replace(replace(replace(replace(replace(sql, ' TEXT', ' ANY'), ' REAL', ' ANY'), \
         ' INTEGER NOT', ' ANY NOT'), ' INTEGER,', ' ANY,'), ' BLOB', ' ANY')",
    );
    format!(
        "CREATE TABLE kept AS SELECT sql FROM sqlite_schema WHERE name = '{table}'; {hide} \
         UPDATE {table} SET {column} = {value} WHERE {which}; {} DROP TABLE kept",
        typeless("(SELECT sql FROM kept)")
    )
}

#[tokio::test]
async fn what_cannot_be_read_goes_into_quarantine_as_it_is() {
    const NO_UTF8: &str = "CAST(x'61ff62' AS TEXT)";
    let healthy = Healthy::new().await;
    // The numbers of arrival before these are the sessions'.
    let message = "key = 16";
    let session = "id = 's-02'";
    let damages = [
        ("messages", "content", NO_UTF8, message, "61ff62"),
        ("messages", "content", "97", message, "\"content\":97"),
        ("messages", "id", "x'00'", message, "\"hex\":\"00\""),
        ("messages", "role", "9", message, "\"role\":9"),
        ("messages", "status", "'x'", message, "\"status\":\"x\""),
        ("messages", "timestamp", "1.5", message, "\"timestamp\":1.5"),
        ("messages", "tokens", "-1", message, "\"tokens\":-1"),
        ("messages", "seq", "0", message, "\"seq\":0"),
        ("messages", "parts", "'no JSON'", message, "no JSON"),
        ("messages", "metadata", "'{'", message, "\"metadata\":\"{\""),
        ("messages", "digest", "x'07'", message, "\"hex\":\"07\""),
        ("messages", "latency_ms", "-0.5", message, "-0.5"),
        ("sessions", "title", NO_UTF8, session, "61ff62"),
        ("sessions", "tags", "'no JSON'", session, "no JSON"),
        ("sessions", "metadata", "'[]'", session, "\"metadata\":\"[]\""),
        ("sessions", "extra", "1.5", session, "\"extra\":1.5"),
        ("sessions", "created_at", "'x'", session, "\"created_at\":\"x\""),
        ("sessions", "updated_at", "x'00'", session, "\"hex\":\"00\""),
        ("sessions", "ended_at", "'x'", session, "\"ended_at\":\"x\""),
        ("sessions", "forked_session", "'a'", session, "\"forked_session\":\"a\""),
        ("sessions", "message_count", "'x'", session, "\"message_count\":\"x\""),
        ("sessions", "last_seq", "-1", session, "\"last_seq\":-1"),
    ];
    for (number, (table, column, value, which, kept)) in damages.into_iter().enumerate() {
        let sql = misplaced(table, column, value, which);
        let what = match (table, column) {
            ("messages", "status" | "tokens" | "digest") => "session s-02, message ".to_owned(),
            _ => format!("table {table}, row "),
        };
        let path = damage_and_repair(&healthy, number, (&sql, &what), Some(2)).await;
        let quarantine = PathBuf::from(format!("{}.quarantine", path.display()));
        let lines = std::fs::read_to_string(&quarantine).unwrap();
        assert!(lines.contains(kept) && lines.lines().count() == 1, "{sql}: {lines}");
        let after = transcripts(&path).await;
        let messages = after[2].messages.len();
        assert_eq!(messages, if table == "messages" { 5 } else { 6 }, "{sql}");
    }
    // Not even its id.
    let path = healthy.copy(100);
    execute(&path, &misplaced("sessions", "id", "x'00'", session)).await;
    assert_eq!(repair(&path).await.unwrap().remaining, []);
    let store = SqliteStore::open(&path).await.unwrap();
    let messages =
        store.transcript(&Scope::DEFAULT, &"recovered-3".parse().unwrap()).await.unwrap().messages;
    assert_eq!(messages, transcripts(&healthy.path).await[2].messages);
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_not_as_it_was_written_is_an_error_until_it_is_repaired() {
    let healthy = Healthy::new().await;
    let message = "key = 16";
    let session = "id = 's-02'";
    let damages = [
        ("messages", "content", "'another'", message, "session s-02, message"),
        ("messages", "timestamp", "timestamp + 1", message, "session s-02, message"),
        ("messages", "tokens", "NULL", message, "session s-02, message"),
        ("messages", "latency_ms", "0.5", message, "session s-02, message"),
        ("messages", "role", "1", message, "session s-02, message"),
        ("messages", "digest", "zeroblob(16)", message, "session s-02, message"),
        ("sessions", "title", "'another'", session, "session s-02"),
        ("sessions", "created_at", "created_at - 1", session, "session s-02"),
        ("sessions", "updated_at", "updated_at + 1", session, "session s-02"),
        ("sessions", "edits", "edits + 1", session, "session s-02"),
        ("models", "name", "'another'", "true", "table models, row 1"),
    ];
    for (number, (table, column, value, which, what)) in damages.into_iter().enumerate() {
        let sql = format!("UPDATE {table} SET {column} = {value} WHERE {which}");
        let path = healthy.copy(number);
        execute(&path, &sql).await;
        let store = SqliteStore::open(&path).await.unwrap();
        let error = store.transcript(&Scope::DEFAULT, &id(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{sql}: {error}");
        store.close().await.unwrap();
        let findings = verify(&path).await.unwrap();
        let is_named = |finding: &Finding| {
            let text = finding.to_string();
            text.contains(what) && text.contains("its checksum is not that of its values")
        };
        assert!(findings.iter().any(is_named), "{sql}: {findings:#?}");
        let repaired = repair(&path).await.unwrap();
        assert_eq!((repaired.remaining.len(), repaired.fixed.len()), (0, findings.len()), "{sql}");
        assert!(repaired.quarantined > 0, "{sql}: what it was is kept");
        // It stays, as it is now.
        let (before, after) = (transcripts(&healthy.path).await, transcripts(&path).await);
        assert_eq!(before.len(), after.len(), "{sql}");
        assert_eq!(before[2].messages.len(), after[2].messages.len(), "{sql}");
    }
}

#[tokio::test]
async fn a_message_that_an_index_has_lost_is_missed() {
    let healthy = Healthy::new().await;
    // From the second session one was deleted.
    for (number, session) in [2, 3].into_iter().enumerate() {
        let path = healthy.copy(number);
        let hide = format!(
            "PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = sql || ' WHERE session <> {}' WHERE name = 'messages_seq'; \
             PRAGMA writable_schema = RESET; REINDEX messages_seq; PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = substr(sql, 1, instr(sql, ' WHERE') - 1) \
             WHERE name = 'messages_seq'; PRAGMA writable_schema = RESET",
            session + 1
        );
        execute(&path, &hide).await;
        let store = SqliteStore::open(&path).await.unwrap();
        for other in (0..SESSIONS).filter(|other| *other != session) {
            store.transcript(&Scope::DEFAULT, &id(other)).await.unwrap();
        }
        let error = store.transcript(&Scope::DEFAULT, &id(session)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let error = store.last_messages(&Scope::DEFAULT, &id(2), 2).await.map(|_| ());
        assert_eq!(error.is_err(), session == 2, "{error:?}");
        store.close().await.unwrap();
        assert_eq!(repair(&path).await.unwrap().remaining, []);
        assert_eq!(transcripts(&path).await, transcripts(&healthy.path).await);
    }
}

#[tokio::test]
async fn two_messages_in_one_place_are_told_apart() {
    let healthy = Healthy::new().await;
    let path = healthy.copy(0);
    let twice = "PRAGMA writable_schema = ON; CREATE TABLE kept AS SELECT * FROM sqlite_schema \
         WHERE name IN ('messages_seq', 'messages_id'); \
         DELETE FROM sqlite_schema WHERE name IN ('messages_seq', 'messages_id'); \
         PRAGMA writable_schema = RESET; \
         INSERT INTO messages (key, session, seq, id, role, status, timestamp, checksum, content) \
         SELECT 5000, session, seq, id, role, status, timestamp, checksum, 'twice' FROM messages WHERE key = 9; \
         PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM kept; \
         PRAGMA writable_schema = RESET; DROP TABLE kept";
    execute(&path, twice).await;
    let findings = verify(&path).await.unwrap();
    assert!(says(&findings, "messages_seq") && says(&findings, "messages_id"), "{findings:#?}");
    let repaired = repair(&path).await.unwrap();
    assert_eq!((repaired.remaining.len(), repaired.quarantined), (0, 1));
    assert_eq!(transcripts(&path).await, transcripts(&healthy.path).await);
    let lines = std::fs::read_to_string(&repaired.quarantine[0]).unwrap();
    assert!(lines.contains("twice"), "{lines}");
}

#[tokio::test]
async fn damaged_pages_are_said_to_be_beyond_repair() {
    let healthy = Healthy::new().await;
    // Pages that nothing uses have nothing to lose.
    execute(&healthy.path, "VACUUM").await;
    let whole = std::fs::read(&healthy.path).unwrap();
    let path = healthy.copy(0);
    let mut lasting = 0;
    for page in 1..whole.len() / 8_192 {
        let mut bytes = whole.clone();
        bytes[page * 8_192..][..64].fill(0x55);
        std::fs::write(&path, &bytes).unwrap();
        match verify(&path).await {
            Ok(findings) => {
                assert!(!findings.is_empty(), "page {page}");
                let is_lasting = findings.iter().any(|finding| !finding.repairable);
                lasting += usize::from(is_lasting);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "page {page}: {error}"),
        }
        // Whatever a repair comes to, the file is whole afterwards or as it was, and the store says what is wrong.
        match repair(&path).await {
            Ok(repaired) if repaired.remaining.is_empty() => {
                assert_eq!(verify(&path).await.unwrap(), [], "page {page}");
            }
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "page {page}: {error}");
            }
        }
    }
    assert!(lasting > 3, "{lasting}");
    std::fs::write(&path, "this is no database, but it is long enough to be one").unwrap();
    assert_eq!(verify(&path).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(repair(&path).await.unwrap_err().kind(), ErrorKind::Corrupt);
    let missing = healthy.folder.path().join("missing.db");
    assert_eq!(verify(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!missing.exists());
}

#[tokio::test]
async fn an_unclean_log_is_no_finding_and_a_store_in_use_is_not_repaired() {
    let healthy = Healthy::new().await;
    let store = SqliteStore::open(&healthy.path).await.unwrap();
    store.append(&Scope::DEFAULT, &id(0), NewMessage::user("only in the log")).await.unwrap();
    // As after a kill: the database and its log.
    let path = healthy.copy(0);
    let with = |path: &Path, rest: &str| PathBuf::from(format!("{}{rest}", path.display()));
    std::fs::copy(with(&healthy.path, "-wal"), with(&path, "-wal")).unwrap();
    let (database, log) =
        (std::fs::read(&path).unwrap(), std::fs::read(with(&path, "-wal")).unwrap());
    assert_eq!(verify(&path).await.unwrap(), []);
    assert!(std::fs::read(&path).unwrap() == database);
    assert!(std::fs::read(with(&path, "-wal")).unwrap() == log);
    let error = repair(&healthy.path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    store.close().await.unwrap();
    // What is only in the log is kept and repaired with the rest.
    execute(&path, "PRAGMA wal_checkpoint; UPDATE tenants SET sessions = 1").await;
    assert_eq!(repair(&path).await.unwrap().remaining, []);
    assert_eq!(transcripts(&path).await[0].messages.len(), 7);
}
