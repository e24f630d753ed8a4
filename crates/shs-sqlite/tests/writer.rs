//! What fails inside a batch fails alone, whatever state it leaves the transaction in.

use std::sync::Arc;

use futures::future::join_all;
use shs_sqlite::SqliteStore;
use shs_store::{
    ErrorKind, MessageQuery, NewMessage, NewSession, Scope, SearchQuery, SessionPatch, StatsQuery,
    Store, StoreExt,
};
use sqlx::Connection;

/// A store that SQLite makes fail for one content: with a trigger that ends just the statement (`ABORT`), or
/// the whole transaction (`ROLLBACK`).
async fn poisoned(conflict: &str) -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let url = format!("sqlite:{}", path.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let trigger = format!(
        "CREATE TRIGGER poison BEFORE INSERT ON messages WHEN new.content = 'poison' \
         BEGIN SELECT raise({conflict}, 'poisoned'); END"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    (folder, store)
}

async fn one_fails_alone(conflict: &str) {
    let (_folder, store) = poisoned(conflict).await;
    let session = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap();
    let store = Arc::new(store);
    let appends = (0..200).map(|number| {
        let (store, id) = (Arc::clone(&store), session.id.clone());
        tokio::spawn(async move {
            let poison = number % 50 == 7;
            if number % 50 == 8 {
                // An operation of another sort in the same queue.
                store
                    .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_title("t"))
                    .await
                    .unwrap();
            }
            let text = if poison { "poison".to_owned() } else { format!("fine {number}") };
            let model = format!("model{}", number % 3);
            let outcome =
                store.append(&Scope::DEFAULT, &id, NewMessage::user(text).with_model(model)).await;
            match outcome {
                Ok(_) => assert!(!poison),
                Err(error) => {
                    assert!(poison, "{error}");
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    assert!(
                        !error.to_string().contains("poison"),
                        "an error holds no content: {error}"
                    );
                }
            }
        })
    });
    for outcome in join_all(appends).await {
        outcome.unwrap();
    }
    let session = store.session(&Scope::DEFAULT, &session.id).await.unwrap();
    assert_eq!((session.message_count, session.last_seq.get()), (196, 196));
    let page = store
        .messages(&Scope::DEFAULT, &session.id, &MessageQuery::new().with_limit(1_000))
        .await
        .unwrap();
    let seqs: Vec<u64> = page.items.iter().map(|message| message.seq.get()).collect();
    assert_eq!(seqs, Vec::from_iter(1..=196));
    let stats = store.stats(&Scope::DEFAULT, &StatsQuery::new()).await.unwrap();
    assert_eq!(stats.messages, 196);
    assert_eq!(stats.by_model.values().map(|usage| usage.messages).sum::<u64>(), 196);
    let found =
        store.search(&Scope::DEFAULT, &SearchQuery::new("fine").with_limit(1_000)).await.unwrap();
    assert_eq!(found.items.len(), 196);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_append_fails_alone_when_its_statement_is_aborted() {
    one_fails_alone("ABORT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_append_fails_alone_when_the_transaction_is_rolled_back_under_it() {
    one_fails_alone("ROLLBACK").await;
}
