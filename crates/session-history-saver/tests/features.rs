//! Every feature of the Python package, row by row: `feature_*` here and in the files named.
//!
//! | feature | tests |
//! |---|---|
//! | backends | `feature_backends_*`; a custom one is the `custom` beside `memory`, `fs` and `sqlite` of every test |
//! | message | `feature_message_*` |
//! | session | `feature_session_*` |
//! | lifecycle | `feature_lifecycle_*` |
//! | context manager | `feature_context_manager_*` |
//! | decorator | `feature_decorator_*` |
//! | retrieval | `feature_retrieval_*` |
//! | stats | `feature_stats_*` |
//! | export | `feature_export_*`, `feature_save_to_file_*` in `export.rs` |
//! | import | `feature_import_*` here and in `export.rs` |
//! | config | `feature_config_*` here and in `environment.rs` |
//! | auto_save | `feature_auto_save_*` in `saving_at_end.rs`; true is what all other tests use |
//!
//! Its faults are in `faults.rs`.

mod stores;

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use serde_json::json;
use session_history_saver::export::Format;
use session_history_saver::{
    Error, ErrorKind, ImportMode, Location, Part, Role, Scope, SessionId, SessionQuery,
    SessionTracker, Status, StoreExt, Timestamp,
};
use stores::on_every_store;

on_every_store! {
    async fn feature_backends_keep_a_conversation(history) {
        let session = history.session().user("alice").await.unwrap();
        session.user("Hello!").await.unwrap();
        assert_eq!(history.messages(session.id()).await.unwrap()[0].content, "Hello!");
    }

    async fn feature_message_has_all_fields_and_its_id_and_time_can_be_given(history) {
        let session = history.session().await.unwrap();
        let at: Timestamp = "2026-11-22T11:30:00Z".parse().unwrap();
        let message = session
            .assistant("It is sunny.")
            .id("m1")
            .tokens(0)
            .model("claude-3-sonnet")
            .latency_ms(410.5)
            .status(Status::Pending)
            .metadata("city", "Paris")
            .metadata("days", 2)
            .parts([Part::text("It is sunny.")])
            .timestamp(at)
            .await
            .unwrap();
        let stored = session.messages().await.unwrap().remove(0);
        assert_eq!(stored, message);
        assert_eq!((stored.id.as_str(), stored.timestamp, stored.tokens), ("m1", at, Some(0)));
        assert_eq!((stored.latency_ms, stored.status), (Some(410.5), Status::Pending));
        assert_eq!(stored.metadata["days"], 2);
        assert_eq!(stored.parts.len(), 1);

        for (turn, role) in [
            (session.user("a"), Role::User),
            (session.system("b"), Role::System),
            (session.tool("c"), Role::Tool),
            (session.message(Role::Developer, "d"), Role::Developer),
        ] {
            let message = turn.await.unwrap();
            assert_eq!((message.role, message.status), (role, Status::Delivered));
        }
    }

    async fn feature_session_has_all_fields_and_derives_counts_and_duration(history) {
        let session = history
            .session()
            .id("billing-1")
            .user("alice")
            .project("bot")
            .title("Billing")
            .tag("billing")
            .tags(["urgent", "billing"])
            .metadata("plan", "pro")
            .await
            .unwrap();
        assert_eq!(session.stats().await.unwrap().duration_seconds, None);
        let at: Timestamp = "2026-11-22T11:30:00Z".parse().unwrap();
        let later: Timestamp = "2026-11-22T11:30:02.5Z".parse().unwrap();
        session.user("a").tokens(2).timestamp(at).await.unwrap();
        assert_eq!(session.stats().await.unwrap().duration_seconds, None, "below two messages");
        session.assistant("b").tokens(3).timestamp(later).await.unwrap();

        let info = session.info().await.unwrap();
        assert_eq!(info.id, "billing-1");
        assert_eq!(info.user_id.as_deref(), Some("alice"));
        assert_eq!(info.project_id.as_deref(), Some("bot"));
        assert_eq!(info.title.as_deref(), Some("Billing"));
        assert_eq!(info.tags, ["billing", "urgent"]);
        assert_eq!(info.metadata["plan"], "pro");
        assert_eq!((info.message_count, info.total_tokens), (2, 5));
        assert!(info.updated_at >= info.created_at);
        assert_eq!(session.stats().await.unwrap().duration_seconds, Some(2.5));

        session.set_title("Refund").await.unwrap();
        session.add_tag("done").await.unwrap();
        let info = session.remove_tag("urgent").await.unwrap();
        assert_eq!((info.title.as_deref(), info.tags), (Some("Refund"), vec!["billing".into(), "done".into()]));
    }

    async fn feature_lifecycle_starts_ends_and_resumes(history) {
        let session = history.session().await.unwrap();
        let id = session.id().clone();
        session.user("Hello!").await.unwrap();
        assert!(!history.get(&id).await.unwrap().is_ended());
        let ended = history.end(&id).await.unwrap();
        assert!(ended.is_ended());
        assert_eq!(history.end(&id).await.unwrap().ended_at, ended.ended_at, "ended once");

        let resumed = history.resume(&id).await.unwrap();
        assert!(!resumed.info().await.unwrap().is_ended(), "active again");
        resumed.assistant("Hi!").await.unwrap();
        assert_eq!(resumed.messages().await.unwrap().len(), 2);
        assert_eq!(resumed.last(1).await.unwrap()[0].content, "Hi!");

        let nobody = SessionId::new("nobody").unwrap();
        for error in [
            history.resume(&nobody).await.unwrap_err(),
            history.end(&nobody).await.unwrap_err(),
            history.get(&nobody).await.unwrap_err(),
            history.messages(&nobody).await.unwrap_err(),
            history.session_stats(&nobody).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
        let taken = history.session().id(&id).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    }

    async fn feature_context_manager_ends_the_session_on_success(history) {
        let id = history
            .session()
            .user("bob")
            .scope(|session| async move {
                session.user("Hello").await?;
                Ok::<_, Error>(session.id().clone())
            })
            .await
            .unwrap();
        let session = history.get(&id).await.unwrap();
        assert!(session.is_ended());
        assert_eq!(session.message_count, 1);
    }

    async fn feature_context_manager_ends_the_session_on_errors_too(history) {
        let outcome = history
            .session()
            .id("failing")
            .scope(|session| async move {
                session.user("Hello").await?;
                Err::<(), _>(Error::invalid("the model is away"))
            })
            .await;
        assert_eq!(outcome.unwrap_err().detail(), "the model is away");
        assert!(history.get(&SessionId::new("failing").unwrap()).await.unwrap().is_ended());
    }

    async fn feature_context_manager_ends_the_session_on_a_panic_too(history) {
        let scope = history.session().id("panicking").scope(|session| async move {
            session.user("Hello").await?;
            if session.id() == "panicking" {
                panic!("on purpose");
            }
            Ok::<_, Error>(())
        });
        let panic = AssertUnwindSafe(scope).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
        assert!(history.get(&SessionId::new("panicking").unwrap()).await.unwrap().is_ended());
    }

    async fn feature_context_manager_ends_the_session_on_cancellation_too(history) {
        let id = SessionId::new("cancelled").unwrap();
        let (began, begun) = tokio::sync::oneshot::channel();
        let scope = tokio::spawn(history.session().id(&id).scope(|session| async move {
            session.user("Hello").await?;
            began.send(()).unwrap();
            std::future::pending::<Result<(), Error>>().await
        }));
        begun.await.unwrap();
        assert!(!history.get(&id).await.unwrap().is_ended());
        scope.abort();
        assert!(scope.await.unwrap_err().is_cancelled());
        // Whoever looks often enough sees it end.
        while !history.get(&id).await.unwrap().is_ended() {
            tokio::task::yield_now().await;
        }
    }

    async fn feature_decorator_records_a_call(history) {
        async fn answer(question: &str) -> Result<String, Error> {
            Ok(format!("{question}? Yes."))
        }
        let answers = history.track("bot.answer").user("alice").project("my-app").metadata("top_k", 3);
        assert_eq!(answers.call("Really", answer).await.unwrap(), "Really? Yes.");
        answers.call("Truly", answer).await.unwrap();

        let sessions = history.list(SessionQuery::new().with_project("my-app")).await.unwrap().items;
        assert_eq!(sessions.len(), 2, "each call is a session");
        assert!(sessions.iter().all(|session| session.is_ended()));
        let session = &sessions[1];
        assert_eq!(session.title.as_deref(), Some("bot.answer"));
        assert_eq!(session.user_id.as_deref(), Some("alice"));
        assert_eq!(session.metadata["function"], "bot.answer");
        assert_eq!(session.metadata["top_k"], 3);
        let messages = history.messages(&session.id).await.unwrap();
        assert_eq!((messages[0].role, messages[0].content.as_str()), (Role::User, "Really"));
        assert_eq!((messages[1].role, messages[1].content.as_str()), (Role::Assistant, "Really? Yes."));
        assert!(messages[1].latency_ms.is_some());
    }

    async fn feature_decorator_stores_an_error_and_returns_it(history) {
        let outcome = history
            .track("bot.answer")
            .call("Hello", |_| async { Err::<String, _>(Error::invalid("no model")) })
            .await;
        assert_eq!(outcome.unwrap_err().detail(), "no model");
        let session = history.list(SessionQuery::new()).await.unwrap().items.remove(0);
        assert!(session.is_ended());
        let messages = history.messages(&session.id).await.unwrap();
        assert_eq!((messages[1].role, messages[1].status), (Role::System, Status::Error));
        assert_eq!(messages[1].content, "ERROR: invalid input: no model");
    }

    async fn feature_retrieval_lists_and_searches(history) {
        for (id, user, tag) in [("s1", "alice", "a"), ("s2", "alice", "b"), ("s3", "bob", "a")] {
            let session = history.session().id(id).user(user).project("p").tag(tag).await.unwrap();
            session.user(format!("Deployment of {id}")).await.unwrap();
        }
        history.handle(&SessionId::new("s1").unwrap()).user("more").await.unwrap();
        let ids = async |query: SessionQuery| -> Vec<String> {
            let page = history.list(query).await.unwrap();
            page.items.into_iter().map(|session| session.id.into()).collect()
        };
        assert_eq!(ids(SessionQuery::new()).await, ["s1", "s3", "s2"], "latest written first");
        assert_eq!(ids(SessionQuery::new().with_user("alice")).await, ["s1", "s2"]);
        assert_eq!(ids(SessionQuery::new().with_any_tag(["b", "c"])).await, ["s2"]);
        assert_eq!(ids(SessionQuery::new().with_project("q")).await, [""; 0]);
        assert_eq!(ids(SessionQuery::new().with_limit(1).with_offset(1)).await, ["s3"]);
        let hits = history.search("deployment").await.unwrap().items;
        assert_eq!(hits.len(), 3);
        assert!(hits.iter().all(|hit| hit.message.content.starts_with("Deployment")));
    }

    async fn feature_stats_are_global_and_of_one_session(history) {
        let one = history.session().user("alice").await.unwrap();
        one.user("a").tokens(2).await.unwrap();
        one.assistant("b").tokens(5).model("m").await.unwrap();
        let other = history.session().await.unwrap();
        other.end().await.unwrap();
        let stats = history.stats().await.unwrap();
        assert_eq!((stats.sessions, stats.messages, stats.tokens), (2, 2, 7));
        assert_eq!(stats.active_sessions, 1, "not ended");
        assert_eq!(stats.by_model["m"].tokens, 5);
        let stats = history.session_stats(one.id()).await.unwrap();
        assert_eq!((stats.message_count, stats.total_tokens), (2, 7));
        assert_eq!(stats.user_id.as_deref(), Some("alice"));
        assert!(stats.duration_seconds.is_some());
    }

    async fn feature_deletes_a_session_and_a_user(history) {
        let session = history.session().user("alice").await.unwrap();
        session.user("secret").await.unwrap();
        history.session().user("alice").await.unwrap().user("secret").await.unwrap();
        assert!(history.delete(session.id()).await.unwrap());
        assert!(!history.delete(session.id()).await.unwrap());
        let deleted = history.delete_user("alice").await.unwrap();
        assert_eq!((deleted.sessions, deleted.messages), (1, 1));
        assert!(history.search("secret").await.unwrap().items.is_empty());
    }

    async fn feature_import_takes_an_export_and_refuses_to_overwrite_unasked(history) {
        let session = history.session().id("s").title("T").metadata("k", json!([1])).await.unwrap();
        session.user("日本語 \"quoted\"\nline").tokens(0).await.unwrap();
        let exported = history.export(Format::Json).session(session.id()).to_string().await.unwrap();
        let before = history.store().transcript(&Scope::DEFAULT, session.id()).await.unwrap();

        let taken = history.import_json(&exported, ImportMode::CreateOnly).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        session.user("later").await.unwrap();
        history.import_json(&exported, ImportMode::Overwrite).await.unwrap();
        assert_eq!(history.store().transcript(&Scope::DEFAULT, session.id()).await.unwrap(), before);
        history.delete(session.id()).await.unwrap();
        let value = serde_json::from_str(&exported).unwrap();
        history.import_value(value, ImportMode::CreateOnly).await.unwrap();
        assert_eq!(history.store().transcript(&Scope::DEFAULT, session.id()).await.unwrap(), before);
    }

    async fn a_fork_keeps_what_came_before(history) {
        let session = history.session().title("T").await.unwrap();
        let question = session.user("Sunny?").await.unwrap();
        session.assistant("No.").await.unwrap();
        let fork = session.fork(question.seq).await.unwrap();
        fork.assistant("Yes.").await.unwrap();
        assert_eq!(fork.messages().await.unwrap()[1].content, "Yes.");
        assert_eq!(session.messages().await.unwrap()[1].content, "No.");
        let info = fork.info().await.unwrap();
        assert_eq!(info.title.as_deref(), Some("T"));
        assert_eq!(info.forked_from.unwrap().session_id, *session.id());
    }

    async fn a_repeated_turn_is_stored_once(history) {
        let session = history.session().await.unwrap();
        let turn = session.user("Hello!");
        let first = turn.send().await.unwrap();
        assert_eq!(turn.send().await.unwrap(), first);
        assert_eq!(turn.clone().await.unwrap(), first);
        let other = session.user("Other").id(&first.id).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Conflict);
        assert_eq!(session.messages().await.unwrap().len(), 1);
    }

    async fn what_is_not_valid_is_told_when_awaited(history) {
        assert_eq!(history.session().id("a\nb").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let session = history.session().await.unwrap();
        assert_eq!(session.user("x").id("").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let error = session.user("x").latency_ms(f64::NAN).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(session.messages().await.unwrap().is_empty());
    }
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn feature_config_gives_defaults_to_sessions_that_are_started_without() {
    let config = session_history_saver::Config::new()
        .with_location(Location::Memory)
        .with_default_user("alice")
        .with_default_project("bot");
    let history = SessionTracker::open(config).await.unwrap();
    let info = history.session().await.unwrap().info().await.unwrap();
    assert_eq!(info.user_id.as_deref(), Some("alice"));
    assert_eq!(info.project_id.as_deref(), Some("bot"));
    let info = history.session().user("bob").await.unwrap().info().await.unwrap();
    assert_eq!(info.user_id.as_deref(), Some("bob"), "what is said wins");
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn close_waits_for_sessions_whose_scope_was_cancelled() {
    let (history, _) = stores::frail();
    let id = SessionId::new("s").unwrap();
    let (began, begun) = tokio::sync::oneshot::channel();
    let scope = tokio::spawn(history.session().id(&id).scope(|_| async move {
        began.send(()).unwrap();
        std::future::pending::<Result<(), Error>>().await
    }));
    begun.await.unwrap();
    scope.abort();
    assert!(scope.await.is_err());
    history.close().await.unwrap();
    history.close().await.unwrap();
    assert_eq!(history.get(&id).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_backend_that_is_not_in_the_build_is_unsupported_and_names_its_feature() {
    for (location, built) in [
        (Location::Memory, cfg!(feature = "memory")),
        (Location::fs("never-created"), cfg!(feature = "fs")),
        (Location::sqlite("never-created.db"), cfg!(feature = "sqlite")),
    ] {
        if built {
            continue;
        }
        let error = session_history_saver::open_store(&location).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&format!("\"{}\"", location.backend())), "{error}");
    }
}
