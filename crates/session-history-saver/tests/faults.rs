//! The faults of the Python package, each as a test that it is not here.
//!
//! | fault | test |
//! |---|---|
//! | append to a session that does not exist | `fault_append_to_a_session_that_does_not_exist_is_an_error` |
//! | two processes on one session | `fault_two_trackers_end_one_session_and_lose_no_message`; with two processes `two_processes_on_one_file_lose_nothing` in `tests/processes.rs` of the workspace |
//! | concurrent appends | `fault_concurrent_appends_get_distinct_numbers` |
//! | JSON files | `fault_json_files_are_appended_to_and_not_rewritten`; killed in the middle: `a_killed_writer_loses_nothing_in_files` in `tests/processes.rs` |
//! | session id `../escape` | `fault_session_id_that_looks_like_a_path_is_an_id_as_any`, `fault_session_id_that_looks_like_a_path_stays_in_the_folder` |
//! | tags filter | `fault_tags_filter_is_applied_before_the_limit` |
//! | search | `fault_search_takes_a_percent_sign_as_text`, `fault_search_loads_a_hit_once_and_ranks_it` |
//! | stats | `fault_stats_count_more_than_ten_thousand_sessions` |
//! | `total_tokens` in SQLite | `fault_total_tokens_count_every_append` |
//! | roles and status | `fault_roles_and_status_that_are_unknown_are_refused_with_the_known_ones`, `fault_roles_and_status_that_are_unknown_are_not_imported` |
//! | CSV | `fault_csv_a_zero_stays_a_zero_and_no_cell_is_a_formula` in `export.rs` |
//! | environment | `fault_environment_is_weaker_than_the_program` in `environment.rs` |

mod stores;

use std::sync::Arc;

use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use session_history_saver::{
    ErrorKind, ImportMode, Role, Saving, SearchOrder, SearchQuery, SessionQuery, SessionTracker,
    Status,
};
use stores::on_every_store;

on_every_store! {
    async fn fault_append_to_a_session_that_does_not_exist_is_an_error(history) {
        let session = history.handle(&"nobody".parse().unwrap());
        assert_eq!(session.user("Hello?").await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(history.stats().await.unwrap().sessions, 0);
    }

    async fn fault_two_trackers_end_one_session_and_lose_no_message(history) {
        let other = SessionTracker::with_store(Arc::clone(history.store()));
        let one = history.session().id("shared").await.unwrap();
        let two = other.resume(one.id()).await.unwrap();
        one.user("from one").await.unwrap();
        two.user("from two").await.unwrap();
        let (ended, again) = futures::join!(one.end(), two.end());
        assert!(ended.unwrap().is_ended() && again.unwrap().is_ended());
        assert_eq!(history.messages(one.id()).await.unwrap().len(), 2);

        // Also if each keeps its messages to itself until the end.
        let (one, two) = (one.tracker(), two.tracker());
        let id = one.session().id("unsaved").await.unwrap().id().clone();
        let one = one.clone().with_saving(Saving::AtEnd).resume(&id).await.unwrap();
        let two = two.clone().with_saving(Saving::AtEnd).resume(&id).await.unwrap();
        one.user("from one").await.unwrap();
        two.user("from two").await.unwrap();
        futures::try_join!(one.end(), two.end()).unwrap();
        assert_eq!(history.messages(&id).await.unwrap().len(), 2);
    }

    async fn fault_concurrent_appends_get_distinct_numbers(history) {
        let session = history.session().await.unwrap();
        let writers = (0..4).map(|writer| {
            let session = session.clone();
            async move {
                for number in 0..50 {
                    session.user(format!("{writer}/{number}")).await?;
                }
                Ok::<_, session_history_saver::Error>(())
            }
        });
        try_join_all(writers).await.unwrap();
        let messages = session.messages().await.unwrap();
        let numbers: Vec<_> = messages.iter().map(|message| message.seq.get()).collect();
        assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    }

    async fn fault_session_id_that_looks_like_a_path_is_an_id_as_any(history) {
        let session = history.session().id("../escape").await.unwrap();
        session.user("Hello!").await.unwrap();
        assert_eq!(history.list(SessionQuery::new()).await.unwrap().items[0].id, "../escape");
    }

    async fn fault_tags_filter_is_applied_before_the_limit(history) {
        history.session().tag("wanted").await.unwrap();
        for _ in 0..3 {
            history.session().tag("other").await.unwrap();
        }
        let query = SessionQuery::new().with_any_tag(["wanted"]).with_limit(2);
        assert_eq!(history.list(query).await.unwrap().items.len(), 1);
    }

    async fn fault_search_takes_a_percent_sign_as_text(history) {
        let session = history.session().await.unwrap();
        session.user("Hello!").await.unwrap();
        assert!(history.search("%").await.unwrap().items.is_empty());
        assert!(history.search("hell_").await.unwrap().items.is_empty());
        assert_eq!(history.search("HELLO").await.unwrap().items.len(), 1);
    }

    async fn fault_search_loads_a_hit_once_and_ranks_it(history) {
        let session = history.session().await.unwrap();
        session.user("An invoice, and much besides that has nothing to do with it.").await.unwrap();
        session.user("invoice").await.unwrap();
        let query = SearchQuery::new("invoice").with_order(SearchOrder::Rank);
        let hits = history.search(query).await.unwrap().items;
        let contents: Vec<_> = hits.iter().map(|hit| hit.message.content.len()).collect();
        assert_eq!(contents, [7, 60]);
    }

    async fn fault_stats_count_more_than_ten_thousand_sessions(history) {
        const SESSIONS: u64 = 10_001;
        let imports = futures::stream::iter(0..SESSIONS).map(|number| {
            let session = json!({
                "session_id": number.to_string(),
                "messages": [{"role": "user", "content": "Hello!", "tokens": 2}],
            });
            history.import_value(session, ImportMode::CreateOnly)
        });
        imports.buffer_unordered(500).try_for_each(|_| async { Ok(()) }).await.unwrap();
        let stats = history.stats().await.unwrap();
        assert_eq!((stats.sessions, stats.messages, stats.tokens), (SESSIONS, SESSIONS, 2 * SESSIONS));
    }

    async fn fault_roles_and_status_that_are_unknown_are_not_imported(history) {
        for (key, unknown) in [("role", "robot"), ("status", "done")] {
            let mut session = json!({
                "session_id": "s",
                "messages": [{"role": "user", "status": "delivered", "content": "Hello!"}],
            });
            session["messages"][0][key] = unknown.into();
            let error = history.import_value(session, ImportMode::CreateOnly).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        assert_eq!(history.stats().await.unwrap().sessions, 0);
    }

    async fn fault_total_tokens_count_every_append(history) {
        let session = history.session().await.unwrap();
        for _ in 0..3 {
            session.assistant("x").tokens(7).await.unwrap();
        }
        assert_eq!(history.stats().await.unwrap().tokens, 21);
        assert_eq!(session.info().await.unwrap().total_tokens, 21);
    }
}

#[test]
fn fault_roles_and_status_that_are_unknown_are_refused_with_the_known_ones() {
    assert!(
        "robot".parse::<Role>().unwrap_err().to_string().contains("user, assistant, system, tool")
    );
    assert!(
        "done".parse::<Status>().unwrap_err().to_string().contains("pending, delivered, error")
    );
}

#[cfg(feature = "fs")]
mod files {
    use std::path::Path;

    use session_history_saver::fs::FsStore;

    use super::*;

    async fn open(folder: &Path) -> SessionTracker {
        SessionTracker::new(FsStore::open(folder).await.unwrap())
    }

    #[tokio::test]
    async fn fault_session_id_that_looks_like_a_path_stays_in_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let history = open(&outer.path().join("history")).await;
        let ids = ["../escape", "a/b", "/etc/passwd", "..", "CON", "con", "a\\b", "s", "S"];
        for id in ids {
            history.session().id(id).await.unwrap().user(format!("I am {id}")).await.unwrap();
        }
        history.close().await.unwrap();
        let outside: Vec<_> = std::fs::read_dir(outer.path()).unwrap().collect();
        assert_eq!(outside.len(), 1, "{outside:?}");
        let history = open(&outer.path().join("history")).await;
        for id in ids {
            let messages = history.messages(&id.parse().unwrap()).await.unwrap();
            assert_eq!(messages[0].content, format!("I am {id}"));
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn fault_json_files_are_appended_to_and_not_rewritten() {
        use std::os::unix::fs::MetadataExt;

        let folder = tempfile::tempdir().unwrap();
        let history = open(folder.path()).await;
        let session = history.session().id("s").await.unwrap();
        session.user("x".repeat(100_000)).await.unwrap();
        let file = folder.path().join("s.jsonl");
        let before = std::fs::metadata(&file).unwrap();
        session.user("Hello!").await.unwrap();
        let after = std::fs::metadata(&file).unwrap();
        assert_eq!(after.ino(), before.ino(), "it is the same file");
        let grown = after.len() - before.len();
        assert!(grown < 1_000, "it grew by {grown} bytes");
    }
}
