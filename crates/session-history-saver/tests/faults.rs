//! The faults of the Python package that concern the tracker, each as a test that it is not here.

mod stores;

use std::sync::Arc;

use futures::future::try_join_all;
use session_history_saver::{ErrorKind, Role, SessionQuery, SessionTracker, Status};
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

    async fn fault_stats_count_the_tokens_of_every_append(history) {
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
