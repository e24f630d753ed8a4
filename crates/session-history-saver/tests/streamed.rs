//! Streamed answers: what is saved when, and what is left in every way that one can end.

mod stores;

use std::time::Duration;

use futures::{StreamExt, stream};
use session_history_saver::streaming::{STREAM_KEY, StreamLease};
#[cfg(any(feature = "fs", feature = "sqlite"))]
use session_history_saver::{Config, Location, NewMessage, Scope};
use session_history_saver::{
    ERROR_KEY, ErrorKind, FIRST_TOKEN_KEY, Message, MessagePatch, SessionHandle, SessionTracker,
    Status, Store, StoreExt, StreamOptions, Timestamp,
};
use stores::on_every_store;

/// Waits until the only message is not pending any more.
async fn ended(session: &SessionHandle) -> Message {
    loop {
        let message = session.messages().await.unwrap().remove(0);
        if message.status != Status::Pending {
            return message;
        }
        tokio::task::yield_now().await;
    }
}

on_every_store! {
    async fn an_answer_is_pending_from_the_first_moment_and_delivered_at_the_end(history) {
        let session = history.session().await.unwrap();
        let mut answer =
            session.stream().model("m").metadata("k", 1).id("a1").begin().await.unwrap();
        let pending = session.messages().await.unwrap().remove(0);
        assert_eq!((pending.status, pending.content.as_str()), (Status::Pending, ""));
        assert_eq!(pending.id, "a1");
        assert!(StreamLease::of(&pending).unwrap().until > Timestamp::now());

        answer.push("It is ").await.unwrap();
        answer.push("sunny.").await.unwrap();
        assert_eq!(answer.text(), "It is sunny.");
        let message = answer.finish().tokens(4).metadata("stop", "end").await.unwrap();
        assert_eq!(session.messages().await.unwrap(), std::slice::from_ref(&message));
        assert_eq!((message.content.as_str(), message.status), ("It is sunny.", Status::Delivered));
        assert_eq!((message.tokens, message.model.as_deref()), (Some(4), Some("m")));
        assert!(message.latency_ms.unwrap() >= message.metadata[FIRST_TOKEN_KEY].as_f64().unwrap());
        assert_eq!(message.metadata["k"], 1);
        assert_eq!(message.metadata["stop"], "end");
        assert!(!message.metadata.contains_key(STREAM_KEY));

        assert_eq!(answer.finish().await.unwrap(), message, "again");
        assert_eq!(answer.push("more").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        drop(answer);
        assert_eq!(session.info().await.unwrap().total_tokens, 4);
    }

    async fn an_answer_that_fails_keeps_its_text(history) {
        let session = history.session().await.unwrap();
        let mut answer = session.stream().begin().await.unwrap();
        answer.push("It is").await.unwrap();
        let message = answer.fail("the model went away").await.unwrap();
        assert_eq!((message.content.as_str(), message.status), ("It is", Status::Error));
        assert_eq!(message.metadata[ERROR_KEY], "the model went away");
    }

    async fn an_answer_that_is_dropped_is_interrupted_with_all_its_text(history) {
        let session = history.session().await.unwrap();
        let mut answer = session.stream().begin().await.unwrap();
        answer.push("It ").await.unwrap();
        answer.push("is").await.unwrap();
        drop(answer);
        let message = ended(&session).await;
        assert_eq!((message.content.as_str(), message.status), ("It is", Status::Interrupted));
        assert!(!message.metadata.contains_key(STREAM_KEY));
    }

    async fn a_finish_that_is_not_waited_for_finishes(history) {
        let session = history.session().await.unwrap();
        let mut answer = session.stream().begin().await.unwrap();
        answer.push("It is sunny.").await.unwrap();
        let mut finish = std::pin::pin!(std::future::IntoFuture::into_future(answer.finish()));
        assert!(futures::poll!(&mut finish).is_pending());
        let message = ended(&session).await;
        assert_eq!((message.content.as_str(), message.status), ("It is sunny.", Status::Delivered));
    }

    async fn a_recorded_stream_passes_unchanged_and_is_saved_when_it_ends(history) {
        let session = history.session().await.unwrap();
        let model = stream::iter(["It ", "is ", "sunny."].map(String::from));
        let items: Vec<String> = session.record_stream(model).await.unwrap().collect().await;
        assert_eq!(items, ["It ", "is ", "sunny."]);
        let message = session.messages().await.unwrap().remove(0);
        assert_eq!((message.content.as_str(), message.status), ("It is sunny.", Status::Delivered));
    }

    async fn a_recorded_stream_with_an_error_is_in_error(history) {
        let session = history.session().await.unwrap();
        let model = stream::iter([Ok("It "), Err("reset"), Ok("lost")]);
        let items: Vec<_> = session.record_stream(model).await.unwrap().collect().await;
        assert_eq!(items, [Ok("It "), Err("reset"), Ok("lost")]);
        let message = ended(&session).await;
        assert_eq!((message.content.as_str(), message.status), ("It ", Status::Error));
        assert_eq!(message.metadata[ERROR_KEY], "reset");
    }

    async fn a_recorded_stream_that_is_dropped_is_interrupted(history) {
        let session = history.session().await.unwrap();
        let model = stream::iter(["It ", "is "]).chain(stream::pending());
        let mut recording = session.stream().model("m").record(model).await.unwrap();
        assert_eq!(recording.next().await, Some("It "));
        assert_eq!(recording.next().await, Some("is "));
        drop(recording);
        let message = ended(&session).await;
        assert_eq!((message.content.as_str(), message.status), ("It is ", Status::Interrupted));
    }

    async fn an_answer_that_someone_else_completed_stays_as_they_left_it(history) {
        let session = history.session().await.unwrap();
        let mut answer = session.stream().begin().await.unwrap();
        answer.push("mine").await.unwrap();
        let patch = MessagePatch::new().with_content("theirs").with_status(Status::Delivered);
        history.store().update_message(&Scope::DEFAULT, session.id(), answer.id(), patch).await.unwrap();
        assert_eq!(answer.finish().await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(answer.push("more").await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(answer.text(), "minemore");
        drop(answer);
        assert_eq!(session.messages().await.unwrap()[0].content, "theirs");
    }

    async fn an_answer_whose_message_was_deleted_says_so(history) {
        let session = history.session().await.unwrap();
        let mut answer = session.stream().begin().await.unwrap();
        history.store().delete_message(&Scope::DEFAULT, session.id(), answer.id()).await.unwrap();
        assert_eq!(answer.finish().await.unwrap_err().kind(), ErrorKind::NotFound);
    }

    async fn a_writer_that_was_thought_dead_goes_on(history) {
        let session = history.session().await.unwrap();
        let mut answer = session.stream().begin().await.unwrap();
        answer.push("It is ").await.unwrap();
        assert_eq!(history.store().interrupt_stale_streams(&Scope::DEFAULT, Timestamp::MAX).await.unwrap(), 1);
        answer.push("sunny.").await.unwrap();
        let message = answer.finish().await.unwrap();
        assert_eq!((message.content.as_str(), message.status), ("It is sunny.", Status::Delivered));
    }

    async fn an_answer_to_a_missing_session_is_an_error(history) {
        let id = "nobody".parse().unwrap();
        let error = history.handle(&id).stream().begin().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = history.handle(&id).stream().id("a\nb").begin().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

async fn content(session: &SessionHandle) -> String {
    session.messages().await.unwrap().remove(0).content
}

#[tokio::test(start_paused = true)]
async fn text_is_saved_in_time_even_if_no_more_follows() {
    let (history, _) = stores::frail();
    let session = history.session().await.unwrap();
    let mut answer = session.stream().begin().await.unwrap();
    answer.push("It ").await.unwrap();
    answer.push("is ").await.unwrap();
    tokio::time::sleep(Duration::from_millis(240)).await;
    assert_eq!(content(&session).await, "", "coalesced");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(content(&session).await, "It is ");
    answer.push("sunny.").await.unwrap();
    tokio::time::sleep(Duration::from_millis(260)).await;
    assert_eq!(content(&session).await, "It is sunny.");
}

#[tokio::test(start_paused = true)]
async fn a_lot_of_text_is_saved_without_waiting_for_the_time() {
    let (history, _) = stores::frail();
    let session = history.session().await.unwrap();
    let options = StreamOptions::new().with_save_bytes(8);
    let mut answer = session.stream().options(options).begin().await.unwrap();
    answer.push("1234").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(content(&session).await, "");
    answer.push("5678").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(content(&session).await, "12345678");
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_without_any_text() {
    let (history, _) = stores::frail();
    let session = history.session().await.unwrap();
    let answer = session.stream().begin().await.unwrap();
    let lease = async || {
        let message = session.messages().await.unwrap().remove(0);
        StreamLease::of(&message).unwrap()
    };
    let first = lease().await;
    // The lease is told by the system's clock, which is not paused: only that it moves is seen.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(lease().await, first);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = lease().await;
    assert!(second.until > first.until);
    assert_eq!(second.writer, first.writer);
    drop(answer);
}

#[tokio::test(start_paused = true)]
async fn the_latency_and_the_time_to_the_first_text_are_measured() {
    let (history, _) = stores::frail();
    let session = history.session().await.unwrap();
    let mut answer = session.stream().begin().await.unwrap();
    tokio::time::sleep(Duration::from_millis(120)).await;
    answer.push("It is sunny.").await.unwrap();
    tokio::time::sleep(Duration::from_millis(80)).await;
    let message = answer.finish().await.unwrap();
    assert!((message.latency_ms.unwrap() - 200.0).abs() < 5.0, "{:?}", message.latency_ms);
    let first = message.metadata[FIRST_TOKEN_KEY].as_f64().unwrap();
    assert!((first - 120.0).abs() < 5.0, "{first}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_save_is_told_once_and_made_up_for() {
    let (history, frail) = stores::frail();
    let session = history.session().await.unwrap();
    let mut answer = session.stream().begin().await.unwrap();
    frail.set_broken(true);
    answer.push("It ").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(answer.push("is ").await.unwrap_err().kind(), ErrorKind::Unavailable);
    answer.push("sunny.").await.unwrap();
    assert_eq!(answer.finish().await.unwrap_err().kind(), ErrorKind::Unavailable);
    frail.set_broken(false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(content(&session).await, "It is sunny.", "nothing is lost");
    assert_eq!(answer.finish().await.unwrap().status, Status::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_drop_while_the_store_is_away_is_saved_when_it_is_back() {
    let (history, frail) = stores::frail();
    let session = history.session().await.unwrap();
    let mut answer = session.stream().begin().await.unwrap();
    answer.push("It is").await.unwrap();
    frail.set_broken(true);
    drop(answer);
    tokio::time::sleep(Duration::from_secs(2)).await;
    frail.set_broken(false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let message = session.messages().await.unwrap().remove(0);
    assert_eq!((message.content.as_str(), message.status), ("It is", Status::Interrupted));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_stored_and_reported_as_failed_is_right() {
    let (history, frail) = stores::frail();
    let session = history.session().await.unwrap();
    let mut answer = session.stream().begin().await.unwrap();
    answer.push("It is").await.unwrap();
    frail.set_reporting_failure(true);
    let (finished, ()) =
        futures::join!(std::future::IntoFuture::into_future(answer.finish()), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            frail.set_reporting_failure(false);
        });
    assert_eq!(finished.unwrap().status, Status::Delivered);
}

#[tokio::test(start_paused = true)]
async fn push_waits_while_too_much_is_unsaved() {
    let (history, frail) = stores::frail();
    let session = history.session().await.unwrap();
    let options = StreamOptions::new().with_max_unsaved(4);
    let mut answer = session.stream().options(options).begin().await.unwrap();
    frail.set_broken(true);
    let error = answer.push("12345678").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "it waited for a save, which failed");
    frail.set_broken(false);
    answer.push("9").await.unwrap();
    assert_eq!(content(&session).await, "123456789", "it waited for the save");
}

#[tokio::test]
async fn close_interrupts_answers_that_are_open_and_waits_for_those_that_were_dropped() {
    let (history, frail) = stores::frail();
    let session = history.session().await.unwrap();
    let mut open = session.stream().begin().await.unwrap();
    open.push("open").await.unwrap();
    let mut dropped = session.stream().begin().await.unwrap();
    dropped.push("dropped").await.unwrap();
    drop(dropped);
    history.close().await.unwrap();
    assert_eq!(open.push("more").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(open.finish().await.unwrap_err().kind(), ErrorKind::Conflict);

    let store = session_history_saver::Documents::new("custom", frail);
    let transcript = store.transcript(&Scope::DEFAULT, session.id()).await.unwrap();
    let left: Vec<_> = transcript.messages.iter().map(|m| (m.content.as_str(), m.status)).collect();
    assert_eq!(left, [("open", Status::Interrupted), ("dropped", Status::Interrupted)]);
    store.close().await.unwrap();
}

/// An answer whose writer died long ago, in a store that is then opened again.
#[cfg(any(feature = "fs", feature = "sqlite"))]
async fn answers_of_the_dead_are_interrupted_at_the_opening(location: Location) {
    let config = Config::new().with_location(location);
    let history = SessionTracker::open(config.clone()).await.unwrap();
    let session = history.session().await.unwrap();
    let lease = StreamLease { writer: "dead".to_owned(), until: Timestamp::MIN };
    let answer = NewMessage::assistant("It is").with_status(Status::Pending);
    session.append(answer.with_metadata(lease.metadata())).await.unwrap();
    session.append(NewMessage::tool("").with_status(Status::Pending)).await.unwrap();
    history.close().await.unwrap();

    let history = SessionTracker::open(config).await.unwrap();
    let messages = history.messages(session.id()).await.unwrap();
    assert_eq!(messages[0].content, "It is");
    assert_eq!(messages[0].status, Status::Interrupted);
    assert_eq!(messages[1].status, Status::Pending, "without a lease it is the application's");
    history.close().await.unwrap();
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn answers_of_the_dead_are_interrupted_at_the_opening_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    answers_of_the_dead_are_interrupted_at_the_opening(Location::fs(folder.path())).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn answers_of_the_dead_are_interrupted_at_the_opening_of_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::sqlite(folder.path().join("history.db"));
    answers_of_the_dead_are_interrupted_at_the_opening(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_answers_at_once_lose_no_text() {
    let (history, frail) = stores::frail();
    let session = history.session().await.unwrap();
    let writers = (0..64_usize).map(|number| {
        let session = session.clone();
        tokio::spawn(async move {
            let options = StreamOptions::new()
                .with_save_bytes(1 + number % 7)
                .with_save_every(Duration::from_millis(1))
                .with_max_unsaved(16);
            let answer = session.stream().id(format!("a{number}")).options(options);
            let mut answer = answer.begin().await.unwrap();
            for piece in 0..20 {
                answer.push(format!("{number}.{piece} ")).await.unwrap();
            }
            if number.is_multiple_of(2) {
                answer.finish().await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    history.close().await.unwrap();
    let store = session_history_saver::Documents::new("custom", frail);
    let messages = store.transcript(&Scope::DEFAULT, session.id()).await.unwrap().messages;
    assert_eq!(messages.len(), 64);
    for message in messages {
        let number: usize = message.id.as_str()[1..].parse().unwrap();
        let text: String = (0..20).map(|piece| format!("{number}.{piece} ")).collect();
        assert_eq!(message.content, text);
        let status = if number.is_multiple_of(2) { Status::Delivered } else { Status::Interrupted };
        assert_eq!(message.status, status);
    }
}

#[test]
fn an_answer_needs_a_runtime_and_says_so() {
    let (history, _) = stores::frail();
    let error = futures::executor::block_on(async {
        let session = SessionTracker::session(&history).await.unwrap();
        session.stream().begin().await.unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
