//! No statement walks a table that grows: every one that the store runs is recorded, and SQLite asked for its
//! plan.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use shs_store::{
    ImportMode, Map, MessagePatch, MessageQuery, NewMessage, NewSession, Role, Scope, SearchOrder,
    SearchQuery, Seq, SessionOrder, SessionPatch, SessionQuery, StatsQuery, Status, Store,
    StoreExt, Timestamp,
};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::SqliteStore;
use crate::open::MIGRATIONS;
use crate::write::VIEW;

/// Collects the statements that sqlx tells of.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        let Statement { summary, whole } = statement;
        let sql = if whole.trim().is_empty() { summary } else { whole };
        // No literal of ours has a semicolon in it.
        let statements = sql.split(';').map(|sql| sql.trim().to_owned());
        self.0.lock().unwrap().extend(statements);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A short statement is its own summary.
#[derive(Default)]
struct Statement {
    summary: String,
    whole: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.whole),
            _ => {}
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[tokio::test]
async fn no_statement_scans_a_table_that_grows() {
    let statements = Statements::default();
    tracing::subscriber::set_global_default(statements.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    write_everything(&store).await;
    read_everything(&store).await;
    store.close().await.unwrap();

    let url = format!("sqlite:{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(VIEW).execute(&mut connection).await.unwrap();
    let recorded = statements.0.lock().unwrap().clone();
    let mut explained = 0;
    let mut unbounded = BTreeSet::new();
    for sql in recorded {
        let verb = sql.split_whitespace().next().unwrap_or_default();
        if !["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&verb) {
            continue;
        }
        // It is for the tables as they were then, and walks them once; or it is explained with what fires the trigger.
        if MIGRATIONS.iter().any(|migration| migration.contains(&sql)) || VIEW.contains(&sql) {
            continue;
        }
        explained += 1;
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        for row in sqlx::query(explain).fetch_all(&mut connection).await.unwrap() {
            let step: String = row.try_get("detail").unwrap();
            if !is_bounded(&step) {
                unbounded.insert(format!("{step}\n    in {sql}"));
            }
        }
    }
    assert!(unbounded.is_empty(), "{}", Vec::from_iter(unbounded).join("\n"));
    assert!(explained > 300, "only {explained} statements were recorded");
}

/// Whether a step looks at no more than it was asked for: it searches by an index, or what it walks does not
/// grow with the store.
fn is_bounded(step: &str) -> bool {
    let Some(walked) = step.strip_prefix("SCAN ") else { return true };
    let table = walked.split_whitespace().next().unwrap_or_default();
    match table {
        // Values that the caller gave.
        "added" | "j" | "json_each" | "wanted" | "CONSTANT" => true,
        _ if walked.ends_with("VALUES CLAUSE") => true,
        // The result of another step, and that of grouping by role and model.
        "found" | "g" => true,
        // One row.
        "counters" => true,
        // A row for each pair of role and model.
        "t" => !walked.contains("session_tags"),
        // The text index, with an expression or a row to look for (M, =), or newest first below a row (<, >).
        "search" => walked.contains("VIRTUAL TABLE INDEX") && walked.contains(['M', '=']),
        // A walk of the index over nothing but pending messages.
        "m" => walked.contains("messages_pending"),
        // What the catalogue of tables says.
        "s" | "m_info" | "sqlite_master" | "sqlite_schema" => {
            walked.contains("VIRTUAL TABLE") || table.starts_with("sqlite")
        }
        _ => false,
    }
}

async fn write_everything(store: &SqliteStore) {
    let mut new = NewSession::new().with_user("u").with_project("p").with_tag("a").with_tag("b");
    new.metadata = Map::from_iter([("k".to_owned(), 1.into())]);
    let session = store.create_session(&Scope::DEFAULT, new).await.unwrap();
    let batch: Vec<NewMessage> = (0..90)
        .map(|n| NewMessage::user(format!("word {n}")).with_model("m").with_tokens(n))
        .collect();
    store.append_all(&Scope::DEFAULT, &session.id, batch.clone()).await.unwrap();
    store.append_all(&Scope::DEFAULT, &session.id, batch[..3].to_vec()).await.unwrap();
    let patch = SessionPatch::new().with_tags(["b", "c"]).with_ended_at(Timestamp::now());
    store.update_session(&Scope::DEFAULT, &session.id, patch).await.unwrap();
    let patch = MessagePatch::new().with_content("other").with_model("m2").with_tokens(3);
    store.update_message(&Scope::DEFAULT, &session.id, &batch[0].id, patch).await.unwrap();
    assert!(store.delete_message(&Scope::DEFAULT, &session.id, &batch[1].id).await.unwrap());
    let fork = store
        .fork(&Scope::DEFAULT, &session.id, Seq::from(40), NewSession::new().with_user("v"))
        .await
        .unwrap();
    let transcript = store.transcript(&Scope::DEFAULT, &fork.id).await.unwrap();
    store.import(&Scope::DEFAULT, transcript, ImportMode::Overwrite).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &fork.id).await.unwrap();
    let gone =
        store.create_session(&Scope::DEFAULT, NewSession::new().with_user("w")).await.unwrap();
    store.append(&Scope::DEFAULT, &gone.id, NewMessage::user("x")).await.unwrap();
    store.delete_user(&Scope::DEFAULT, "w").await.unwrap();
    store.flush().await.unwrap();
}

async fn read_everything(store: &SqliteStore) {
    let session =
        store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items.remove(0);
    let first = store
        .messages(&Scope::DEFAULT, &session.id, &MessageQuery::new())
        .await
        .unwrap()
        .items
        .remove(0);
    store.message(&Scope::DEFAULT, &session.id, &first.id).await.unwrap();
    let at = Timestamp::now();
    // Every combination of filters.
    for bits in 0..1_u32 << 9 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let mut sessions = SessionQuery::new().with_limit(5);
        let mut messages = MessageQuery::new().with_limit(5);
        let mut search = if has(8) { SearchQuery::new("word -x") } else { SearchQuery::all() };
        let mut stats = StatsQuery::new();
        if has(0) {
            sessions = sessions.with_user("u");
            search = search.with_user("u");
            stats = stats.with_user("u");
            messages = messages.with_role(Role::User);
        }
        if has(1) {
            sessions = sessions.with_project("p");
            search = search.with_project("p");
            stats = stats.with_project("p");
            messages = messages.with_model("m");
        }
        if has(2) {
            sessions = sessions.with_any_tag(["b", "c"]);
            search = search.with_any_tag(["b", "c"]);
            stats = stats.with_any_tag(["b", "c"]);
        }
        if has(3) {
            sessions = sessions.with_all_tags(["b", "c"]);
            search = search.with_all_tags(["b", "c"]);
            stats = stats.with_all_tags(["b", "c"]);
        }
        if has(4) {
            sessions = sessions.with_since(at).with_until(at);
            messages = messages.with_since(at).with_until(at);
            search = search.with_since(at).with_until(at);
            stats = stats.with_since(at).with_until(at);
        }
        if has(5) {
            sessions = sessions.with_order(SessionOrder::Created);
            messages = messages.newest_first();
            search = search.with_order(SearchOrder::Oldest);
        }
        if has(6) {
            sessions = sessions.ended();
            search = search.with_role(Role::User).with_model("m").with_session(session.id.clone());
            messages = messages.with_status(Status::Pending);
        }
        if has(7) {
            sessions = sessions.with_offset(2);
            search = search.with_status(Status::Pending);
            messages = messages.with_after_seq(Seq::FIRST).with_up_to_seq(Seq::MAX);
        }
        store.list_sessions(&Scope::DEFAULT, &sessions).await.unwrap();
        store.messages(&Scope::DEFAULT, &session.id, &messages).await.unwrap();
        store.search(&Scope::DEFAULT, &search).await.unwrap();
        store.search(&Scope::DEFAULT, &search.with_order(SearchOrder::Rank)).await.unwrap();
        store.stats(&Scope::DEFAULT, &stats).await.unwrap();
    }
}
