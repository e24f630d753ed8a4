//! Whose conversation it is.

use http::{HeaderValue, Request};
use serde_json::json;
use shs_store::{NewMessage, NewSession, Scope, SessionId, Store, StoreExt};
use shs_tower::{Ladder, ProjectKey, SessionKey, UserKey};

use crate::support::{Answer, Body, Setup, body, chat, turns};

fn by(user: &str, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(UserKey(user.to_owned()));
    request
}

#[tokio::test]
async fn two_users_with_the_same_id_have_two_sessions() {
    let setup = Setup::new();
    for user in ["alice", "bob"] {
        let mut request = by(user, chat("s1", turns(["Hello!"])));
        request.extensions_mut().insert(ProjectKey("shop".to_owned()));
        setup.send(request, Answer::words(["Hi!"])).await;
    }
    setup.send(chat("s1", turns(["Hello!"])), Answer::words(["Hi!"])).await;
    let sessions = setup.sessions().await;
    let users: Vec<_> = sessions.iter().map(|session| session.user_id.as_deref()).collect();
    assert_eq!(users, [Some("alice"), Some("bob"), None]);
    assert!(sessions.iter().all(|session| session.message_count == 2));
    assert_eq!(sessions[0].id.as_str(), "s1");
    assert!(sessions[1].id.as_str().starts_with("s1~"), "{}", sessions[1].id);
    let metadata = &sessions[1].metadata;
    assert_eq!(metadata["shs.session_from"], "header x-session-id");
    assert_eq!(metadata["shs.client_session"], "s1");
    assert_eq!(metadata["shs.user_from"], "extension");
    assert_eq!(sessions[0].project_id.as_deref(), Some("shop"));
}

#[tokio::test]
async fn each_goes_on_where_it_was_also_when_the_other_is_gone() {
    let setup = Setup::new();
    for user in ["alice", "bob"] {
        setup.send(by(user, chat("s1", turns(["Hello!"]))), Answer::words(["Hi!"])).await;
    }
    setup.store.delete_session(&Scope::DEFAULT, &SessionId::new("s1").unwrap()).await.unwrap();
    let more = turns(["Hello!", "Hi!", "Still me."]);
    setup.send(by("bob", chat("s1", more)), Answer::words(["Yes."])).await;
    let sessions = setup.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].user_id.as_deref(), sessions[0].message_count), (Some("bob"), 4));
}

#[tokio::test]
async fn a_client_that_guesses_first_does_not_get_the_session_of_the_application() {
    let setup = Setup::new();
    setup.send(by("mallory", chat("case-7", turns(["mine"]))), Answer::words(["ok"])).await;
    let mut request = by("alice", chat("-", turns(["secret"])));
    request.extensions_mut().insert(SessionKey("case-7".to_owned()));
    setup.send(request, Answer::words(["ok"])).await;
    assert_eq!(setup.said("case-7").await, ["user: mine", "assistant: ok"]);
    let theirs = setup.of_user("alice").await;
    assert_eq!(setup.said(&theirs[0]).await, ["user: secret", "assistant: ok"]);
}

#[tokio::test]
async fn nobody_writes_into_the_session_of_another() {
    let setup = Setup::new();
    // The application names a session; then a client without a user guesses its name.
    let mut request = chat("-", turns(["secret"]));
    request.extensions_mut().insert(SessionKey("app-1".to_owned()));
    setup.send(request, Answer::words(["ok"])).await;
    setup.send(chat("app-1", turns(["let me in"])), Answer::words(["no"])).await;
    assert_eq!(setup.said("app-1").await, ["user: secret", "assistant: ok"]);
    assert_eq!(setup.sessions().await.len(), 2);
    // A session that somebody else made for alice.
    let id = SessionId::new("made").unwrap();
    setup
        .store
        .create_session(&Scope::DEFAULT, NewSession::with_id(id.clone()).with_user("alice"))
        .await
        .unwrap();
    setup.store.append(&Scope::DEFAULT, &id, NewMessage::user("mine")).await.unwrap();
    setup.send(chat("made", turns(["mine", "let me in"])), Answer::words(["no"])).await;
    assert_eq!(setup.said("made").await, ["user: mine"]);
    // Who was refused once goes on where it was put.
    let texts = turns(["let me in", "no", "please"]);
    setup.send(chat("app-1", texts), Answer::words(["no!"])).await;
    assert_eq!(setup.sessions().await.iter().map(|session| session.message_count).max(), Some(4));
}

#[tokio::test]
async fn nameless_conversations_of_two_users_do_not_mix() {
    let setup = Setup::new();
    let nameless = |user: &str, texts: &[&str]| {
        let mut request = by(user, chat("-", turns(texts.iter().copied())));
        request.headers_mut().remove("x-session-id");
        request
    };
    setup.send(nameless("alice", &["Hello!"]), Answer::words(["Hi!"])).await;
    setup.send(nameless("bob", &["Hello!", "Hi!", "Bye!"]), Answer::words(["Bye!"])).await;
    let sessions = setup.sessions().await;
    let seen: Vec<_> =
        sessions.iter().map(|s| (s.user_id.as_deref().unwrap(), s.message_count)).collect();
    assert_eq!(seen, [("alice", 2), ("bob", 4)]);
}

#[tokio::test]
async fn ids_that_no_store_takes_are_kept_apart_all_the_same() {
    let setup = Setup::with(|layer| layer.user(Ladder::header("x-user-id")));
    let long = "x".repeat(10_000);
    for user in [&*format!("{long}a"), &*format!("{long}b")] {
        let mut request = chat(&long, turns(["Hello!"]));
        request.headers_mut().insert("x-user-id", HeaderValue::from_str(user).unwrap());
        setup.send(request, Answer::words(["Hi!"])).await;
    }
    let sessions = setup.sessions().await;
    assert_eq!(sessions.len(), 2);
    assert!(sessions[0].id.as_str().starts_with("sha256:"));
    assert_ne!(sessions[0].user_id, sessions[1].user_id);
    assert_eq!(setup.recorder.counts().failed, 0);
}

#[tokio::test]
async fn a_header_that_is_not_ascii_harms_nothing() {
    let setup = Setup::new();
    for value in [&b"\xff\xfe"[..], "é".as_bytes()] {
        let request = Request::post("/v1/chat/completions")
            .header("x-session-id", value)
            .header("user-agent", &b"\xff"[..])
            .body(body(json!({"messages": turns(["a"])}).to_string()));
        setup.send(request.unwrap(), Answer::words(["b"])).await;
    }
    let sessions = setup.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].id, "é");
    assert_eq!(setup.recorder.counts().unreadable, 1);
}

#[tokio::test]
async fn who_is_not_clear_is_not_taken_for_nobody() {
    let setup = Setup::with(|layer| layer.user(Ladder::header("x-user")));
    let answer = Answer::words(["Hi!"]);
    let ask = |values: &[&[u8]]| {
        let mut request = chat("s", turns(["Hello!"]));
        for value in values {
            request.headers_mut().append("x-user", HeaderValue::from_bytes(value).unwrap());
        }
        request
    };
    for values in [&[&b"\xe9"[..]][..], &[b"alice", b"bob"]] {
        assert_eq!(setup.send(ask(values), answer.clone()).await, answer.bytes());
    }
    let counts = setup.recorder.counts();
    assert_eq!((counts.recorded, counts.unreadable), (0, 2));
    assert!(setup.sessions().await.is_empty());
    setup.send(ask(&["é".as_bytes()]), answer.clone()).await;
    assert_eq!(setup.sessions().await[0].user_id.as_deref(), Some("é"));

    // Where it must be on record, it is refused.
    let setup = Setup::with(|layer| layer.user(Ladder::header("x-user")).write_ahead());
    let response = setup.call(ask(&[b"\xe9"]), answer).await;
    assert_eq!(response.status(), 400);
    assert_eq!(setup.recorder.counts().unreadable, 1);
}
