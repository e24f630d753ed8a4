//! Trackers that save at the end: the Python package's `auto_save=False`, without its losses.

mod stores;

use session_history_saver::{
    ErrorKind, NewMessage, Saving, Scope, Seq, SessionId, SessionTracker, Status, StoreExt,
};
use stores::on_every_store;

fn at_end(history: &SessionTracker) -> SessionTracker {
    history.clone().with_saving(Saving::AtEnd)
}

on_every_store! {
    async fn feature_auto_save_false_keeps_messages_in_memory_until_the_end(history) {
        let history = at_end(&history);
        let session = history.session().user("alice").title("T").await.unwrap();
        session.user("Hello!").tokens(2).await.unwrap();
        session.set_title("Greeting").await.unwrap();
        assert!(history.store().find_session(&Scope::DEFAULT, session.id()).await.unwrap().is_none());

        let message = history.resume(session.id()).await.unwrap().assistant("Hi!").await.unwrap();
        assert_eq!(message.seq, Seq::ZERO, "not numbered before it is saved");
        let messages = history.messages(session.id()).await.unwrap();
        assert_eq!(messages.len(), 2);
        let info = session.info().await.unwrap();
        assert_eq!((info.message_count, info.total_tokens), (2, 2));
        assert_eq!(info.title.as_deref(), Some("Greeting"));
        assert_eq!(session.stats().await.unwrap().message_count, 2);
        assert_eq!(session.last(1).await.unwrap()[0].content, "Hi!");

        let ended = session.end().await.unwrap();
        assert!(ended.is_ended());
        assert_eq!(ended.title.as_deref(), Some("Greeting"));
        assert_eq!(ended.created_at, info.created_at);
        let stored = history.store().transcript(&Scope::DEFAULT, session.id()).await.unwrap().messages;
        assert_eq!(stored.iter().map(|message| message.seq.get()).collect::<Vec<_>>(), [1, 2]);

        session.user("One more.").await.unwrap();
        assert_eq!(history.store().session(&Scope::DEFAULT, session.id()).await.unwrap().message_count, 3, "at once");
    }

    async fn saving_appends_and_rewrites_nothing_of_others(history) {
        let session = history.session().id("shared").await.unwrap();
        session.user("from the first").await.unwrap();
        let one = at_end(&history).resume(session.id()).await.unwrap();
        let two = SessionTracker::with_store(std::sync::Arc::clone(history.store()))
            .with_saving(Saving::AtEnd)
            .resume(session.id())
            .await
            .unwrap();
        one.user("from one").await.unwrap();
        two.user("from two").await.unwrap();
        let again = NewMessage::user("from the first again");
        history.store().append(&Scope::DEFAULT, session.id(), again).await.unwrap();
        two.end().await.unwrap();
        one.end().await.unwrap();
        let messages = history.messages(session.id()).await.unwrap();
        let texts: Vec<_> = messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(texts, ["from the first", "from the first again", "from two", "from one"]);
    }

    async fn save_keeps_the_session_open(history) {
        let history = at_end(&history);
        let session = history.session().await.unwrap();
        session.user("a").await.unwrap();
        session.save().await.unwrap();
        session.user("b").await.unwrap();
        assert_eq!(history.store().session(&Scope::DEFAULT, session.id()).await.unwrap().message_count, 1);
        assert_eq!(session.messages().await.unwrap().len(), 2);
        let fork = session.fork(Seq::FIRST).await.unwrap();
        assert_eq!(history.store().session(&Scope::DEFAULT, session.id()).await.unwrap().message_count, 2, "saved first");
        assert_eq!(fork.messages().await.unwrap().len(), 1);
    }

    async fn a_taken_id_is_told_at_the_start(history) {
        history.session().id("s").await.unwrap();
        let history = at_end(&history);
        assert_eq!(history.session().id("s").await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        history.session().id("t").await.unwrap();
        assert_eq!(history.session().id("t").await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    async fn more_than_one_batch_is_saved(history) {
        let history = at_end(&history);
        let session = history.session().await.unwrap();
        for number in 0..10_001 {
            session.append(NewMessage::user(number.to_string())).await.unwrap();
        }
        assert_eq!(session.end().await.unwrap().message_count, 10_001);
        assert_eq!(session.last(1).await.unwrap()[0].content, "10000");
    }

    async fn a_repeated_message_is_kept_once(history) {
        let session = at_end(&history).session().await.unwrap();
        let turn = session.user("Hello!");
        turn.send().await.unwrap();
        turn.send().await.unwrap();
        let other = session.user("Other").id(&turn.await.unwrap().id).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Conflict);
        assert_eq!(session.user("x").latency_ms(-1.0).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(session.end().await.unwrap().message_count, 1);
    }

    async fn a_streamed_answer_joins_the_unsaved_messages(history) {
        let history = at_end(&history);
        let session = history.session().await.unwrap();
        let mut answer = session.stream().begin().await.unwrap();
        answer.push("It is ").await.unwrap();
        answer.push("sunny.").await.unwrap();
        let message = answer.finish().tokens(4).await.unwrap();
        assert_eq!(message.content, "It is sunny.");
        assert!(history.store().find_session(&Scope::DEFAULT, session.id()).await.unwrap().is_none());
        session.end().await.unwrap();
        let stored = session.messages().await.unwrap().remove(0);
        assert_eq!((stored.status, stored.tokens), (Status::Delivered, Some(4)));
    }

    async fn deleting_forgets_what_is_unsaved(history) {
        let history = at_end(&history);
        let session = history.session().user("alice").await.unwrap();
        assert!(history.delete(session.id()).await.unwrap());
        assert_eq!(session.end().await.unwrap_err().kind(), ErrorKind::NotFound);
        let session = history.session().user("alice").await.unwrap();
        history.delete_user("alice").await.unwrap();
        assert_eq!(session.messages().await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn a_failed_save_keeps_everything_for_the_next() {
    let (history, frail) = stores::frail();
    let session = at_end(&history).session().await.unwrap();
    session.user("a").await.unwrap();
    session.user("b").await.unwrap();
    frail.set_broken(true);
    assert_eq!(session.end().await.unwrap_err().kind(), ErrorKind::Unavailable);
    frail.set_broken(false);
    assert_eq!(session.end().await.unwrap().message_count, 2);
}

#[tokio::test]
async fn a_save_that_was_stored_and_reported_as_failed_doubles_nothing() {
    let (history, frail) = stores::frail();
    let session = at_end(&history).session().user("alice").await.unwrap();
    session.user("a").await.unwrap();
    frail.set_reporting_failure(true);
    assert!(session.save().await.is_err(), "the session was created");
    assert!(session.save().await.is_err(), "the message was appended");
    frail.set_reporting_failure(false);
    assert_eq!(session.end().await.unwrap().message_count, 1);
    assert_eq!(session.messages().await.unwrap().len(), 1);
}

#[tokio::test]
async fn close_saves_what_is_unsaved_and_ends_nothing() {
    let (history, frail) = stores::frail();
    let session = at_end(&history).session().id("s").await.unwrap();
    session.user("a").await.unwrap();
    history.close().await.unwrap();
    let store = session_history_saver::Documents::new("custom", frail);
    let stored = session_history_saver::Store::session(
        &store,
        &Scope::DEFAULT,
        &SessionId::new("s").unwrap(),
    )
    .await;
    let stored = stored.unwrap();
    assert_eq!(stored.message_count, 1);
    assert!(!stored.is_ended());
}
