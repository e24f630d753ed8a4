//! An answer is begun once, and resumed by one writer at a time; a running tracker finds the
//! answers of dead ones.

#![cfg(feature = "memory")]

use std::sync::Arc;
use std::time::Duration;

use session_history_saver::memory::MemoryStore;
use session_history_saver::streaming::StreamLease;
use session_history_saver::{
    AdminStore, Clock, ErrorKind, Expected, Message, NewMessage, Scope, Seq, SessionHandle,
    SessionTracker, StatsQuery, Status, StoreExt,
};
use shs_testkit::ManualClock;

fn trackers() -> (SessionTracker, SessionTracker, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let store = MemoryStore::new().with_clock(Arc::<ManualClock>::clone(&clock));
    (SessionTracker::new(store.clone()), SessionTracker::new(store), clock)
}

async fn stored(session: &SessionHandle) -> Message {
    session.tracker().messages(session.id()).await.unwrap().pop().unwrap()
}

/// Waits for what a task writes, however long that takes.
async fn until(session: &SessionHandle, status: Status) -> Message {
    loop {
        let message = stored(session).await;
        if message.status == status {
            return message;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_there_is_not_begun_again() {
    for state in ["interrupted", "failed", "delivered", "alive elsewhere"] {
        let (one, two, _) = trackers();
        let session = one.session().await.unwrap();
        let mut answer = session.stream().id("answer").begin().await.unwrap();
        answer.push("words that were read already").await.unwrap();
        let mut living = None;
        match state {
            "interrupted" => {
                drop(answer);
                until(&session, Status::Interrupted).await;
            }
            "failed" => drop(answer.fail("the provider").await.unwrap()),
            "delivered" => drop(answer.finish().tokens(9).await.unwrap()),
            _ => living = Some(answer),
        }
        let before = stored(&session).await;
        let again = two.handle(session.id()).stream().id("answer").begin().await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict, "{state}");
        assert_eq!(stored(&session).await, before, "{state}");
        if let Some(mut answer) = living {
            answer.push(", and more").await.unwrap();
            let message = answer.finish().await.unwrap();
            assert_eq!(message.content, "words that were read already, and more");
        }
    }
}

#[tokio::test]
async fn an_interrupted_or_failed_answer_goes_on_behind_its_text() {
    let (one, two, _) = trackers();
    for fails in [false, true] {
        let session = one.session().await.unwrap();
        let mut answer = session.stream().id("answer").model("m").begin().await.unwrap();
        answer.push("The first half, ").await.unwrap();
        if fails {
            answer.fail("cut off").await.unwrap();
        } else {
            drop(answer);
            until(&session, Status::Interrupted).await;
        }
        let mut resumed = two.handle(session.id()).resume_answer("answer").await.unwrap();
        assert_eq!(resumed.text(), "The first half, ");
        assert_eq!(stored(&session).await.status, Status::Pending);
        resumed.push("and the second.").await.unwrap();
        let message = resumed.finish().await.unwrap();
        assert_eq!(message.content, "The first half, and the second.");
        assert_eq!((message.status, message.seq), (Status::Delivered, Seq::FIRST));
        assert_eq!(message.model.as_deref(), Some("m"));
        let error = session.resume_answer("answer").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "it is delivered");
        let error = session.resume_answer("missing").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        session.user("a question").id("question").status(Status::Pending).await.unwrap();
        let error = session.resume_answer("question").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "it is no answer");
    }
}

#[tokio::test]
async fn of_several_who_resume_one_answer_one_succeeds() {
    let (one, two, _) = trackers();
    let session = one.session().await.unwrap();
    let answer = session.stream().id("answer").begin().await.unwrap();
    drop(answer);
    until(&session, Status::Interrupted).await;
    let handles: Vec<_> =
        [&one, &two].iter().cycle().take(8).map(|t| t.handle(session.id())).collect();
    let tries = handles.iter().map(|handle| handle.resume_answer("answer"));
    let (resumed, refused): (Vec<_>, Vec<_>) =
        futures::future::join_all(tries).await.into_iter().partition(Result::is_ok);
    assert_eq!((resumed.len(), refused.len()), (1, 7));
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    }
    let mut answer = resumed.into_iter().next().unwrap().unwrap();
    answer.push("one voice").await.unwrap();
    assert_eq!(answer.finish().await.unwrap().content, "one voice");
}

#[tokio::test]
async fn a_writer_whose_answer_was_taken_over_learns_of_it() {
    let (one, two, clock) = trackers();
    let session = one.session().await.unwrap();
    let mut late = session.stream().id("answer").begin().await.unwrap();
    let other = two.handle(session.id());
    let error = other.resume_answer("answer").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "its writer lives");
    clock.advance(Duration::from_secs(31));
    let mut resumed = other.resume_answer("answer").await.unwrap();
    resumed.push("the second writer's").await.unwrap();
    // Whatever the first one still says, it is not mixed into it.
    let _ = late.push("the first writer's").await;
    assert_eq!(late.finish().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(resumed.finish().await.unwrap().content, "the second writer's");
    assert_eq!(stored(&session).await.content, "the second writer's");
}

#[tokio::test]
async fn a_writer_that_was_thought_dead_goes_on_if_nobody_else_did() {
    for is_resumed in [false, true] {
        let (one, two, clock) = trackers();
        let session = one.session().await.unwrap();
        let mut late = session.stream().id("answer").begin().await.unwrap();
        late.push("the first writer's").await.unwrap();
        let pending = loop {
            let pending = stored(&session).await;
            if !pending.content.is_empty() {
                break pending;
            }
            tokio::task::yield_now().await;
        };
        clock.advance(Duration::from_secs(31));
        let (store, scope) = (two.store(), two.scope());
        let interrupt = StreamLease::of(&pending).unwrap().interrupt();
        store.update_message(scope, session.id(), &pending.id, interrupt).await.unwrap();
        if is_resumed {
            let mut resumed = two.handle(session.id()).resume_answer("answer").await.unwrap();
            resumed.push(" and the second's").await.unwrap();
            drop(resumed);
            until(&session, Status::Interrupted).await;
        }
        // It has ended by the time that it is asked for, or its end is refused.
        let _ = late.push(", on and on").await;
        let ended = late.finish().await;
        let (text, status) = match is_resumed {
            true => ("the first writer's and the second's", Status::Interrupted),
            false => ("the first writer's, on and on", Status::Delivered),
        };
        assert_eq!(ended.is_err(), is_resumed, "{ended:?}");
        drop(late);
        let message = stored(&session).await;
        assert_eq!((message.content.as_str(), message.status), (text, status));
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_tracker_finds_the_answers_of_dead_writers_in_every_tenant() {
    let clock = Arc::new(ManualClock::new());
    let store = MemoryStore::new().with_clock(Arc::<ManualClock>::clone(&clock));
    let admin: Arc<dyn AdminStore> = Arc::new(store.clone());
    let history = SessionTracker::new(store);
    history.sweep_streams(admin, Duration::from_secs(30)).await.unwrap();
    let mut sessions = Vec::new();
    for tenant in ["", "acme"] {
        let tracker = history.tenant(tenant).unwrap();
        let session = tracker.session().id("s").await.unwrap();
        let until = clock.now().saturating_add(Duration::from_secs(5));
        let lease = StreamLease { writer: "a process that is gone".to_owned(), until };
        let pending = NewMessage::assistant("half")
            .with_status(Status::Pending)
            .with_metadata(lease.metadata());
        tracker.store().append(tracker.scope(), session.id(), pending).await.unwrap();
        sessions.push(session);
    }
    tokio::time::sleep(Duration::from_secs(40)).await;
    for session in &sessions {
        assert_eq!(stored(session).await.status, Status::Pending, "the lease holds");
    }
    clock.advance(Duration::from_secs(6));
    tokio::time::sleep(Duration::from_secs(40)).await;
    for session in &sessions {
        assert_eq!(stored(session).await.status, Status::Interrupted);
    }
    history.close().await.unwrap();
}

#[tokio::test]
async fn messages_and_answers_have_the_time_of_the_stores_clock() {
    let (history, _, clock) = trackers();
    let session = history.session().await.unwrap();
    clock.advance(Duration::from_secs(60));
    let now = clock.now();
    assert_eq!(session.user("hi").await.unwrap().timestamp, now);
    let mut answer = session.stream().begin().await.unwrap();
    answer.push("x").await.unwrap();
    assert_eq!(answer.finish().await.unwrap().timestamp, now);
    let at = now.saturating_add(Duration::from_secs(9));
    let mut answer = session.stream().timestamp(at).begin().await.unwrap();
    assert_eq!(answer.finish().await.unwrap().timestamp, at);
    assert_eq!(session.end().await.unwrap().ended_at, Some(now));
    let month = StatsQuery::new().with_until(at.saturating_add(Duration::from_secs(1)));
    assert_eq!(history.stats_of(month).await.unwrap().messages, 3);
}

#[tokio::test]
async fn a_turn_can_expect_the_last_number() {
    let (history, _, _) = trackers();
    let session = history.session().await.unwrap();
    let first = session.user("one").expect(Expected::LastSeq(Seq::ZERO));
    first.send().await.unwrap();
    first.send().await.unwrap();
    let late = session.user("late").expect(Expected::LastSeq(Seq::ZERO)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert_eq!(session.messages().await.unwrap().len(), 1);
}

/// Everything that is done through a narrowed tracker stays in its scope.
#[tokio::test]
async fn a_tracker_stays_in_its_scope() {
    use session_history_saver::Saving;
    for saving in [Saving::AtOnce, Saving::AtEnd] {
        let (history, _, _) = trackers();
        let history = history.with_saving(saving).with_default_user("nobody in particular");
        let acme = history.tenant("acme").unwrap();
        let (alice, bob) = (acme.as_user("alice").unwrap(), acme.as_user("bob").unwrap());
        let beta = history.tenant("beta").unwrap();
        let session = alice.session().id("chat-1").await.unwrap();
        session.user("alice's secret").await.unwrap();
        for stranger in [&bob, &beta, &history, &beta.as_user("alice").unwrap()] {
            assert!(stranger.get(session.id()).await.is_err());
            assert!(stranger.messages(session.id()).await.is_err());
            assert!(stranger.resume(session.id()).await.is_err());
            assert!(stranger.end(session.id()).await.is_err());
            assert!(stranger.handle(session.id()).user("mine").await.is_err());
            assert!(stranger.handle(session.id()).fork(Seq::ZERO).await.is_err());
            assert!(!stranger.delete(session.id()).await.unwrap());
            assert_eq!(stranger.delete_user("alice").await.unwrap().sessions, 0);
        }
        assert!(bob.session().id("chat-1").await.is_err(), "the id is taken in the tenant");
        let taken = beta.session().id("chat-1").await.unwrap();
        taken.user("beta's own").await.unwrap();
        session.end().await.unwrap();
        taken.end().await.unwrap();
        assert_eq!(session.messages().await.unwrap()[0].content, "alice's secret");
        assert_eq!(session.info().await.unwrap().user_id.as_deref(), Some("alice"));
        for (tracker, found) in [(&alice, 1), (&acme, 1), (&bob, 0), (&beta, 0), (&history, 0)] {
            assert_eq!(tracker.search("secret").await.unwrap().items.len(), found);
            assert_eq!(
                tracker.list(Default::default()).await.unwrap().items.len(),
                found + usize::from(std::ptr::eq(tracker, &beta))
            );
        }
        assert!(alice.as_user("bob").is_err() && alice.tenant("beta").is_err());
        assert!(alice.as_user("alice").is_ok() && acme.tenant("acme").is_ok());
        assert_eq!(
            session.tracker().scope(),
            &Scope::tenant("acme").unwrap().as_user("alice").unwrap()
        );
        let wrong = alice.session().user("bob").await.unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::InvalidInput);
    }
}
