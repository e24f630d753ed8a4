//! Of a conversation that is sent again and again, only what is new is stored.

use std::sync::Arc;

use http::{HeaderValue, Request};
use serde_json::{Value, json};
use shs_store::{MessagePatch, NewMessage, Scope, SessionId, Status, Store, StoreExt};
use shs_tower::RecordLayer;

use crate::support::{Answer, Body, Setup, chat, turns};

/// A request without a session's id.
fn nameless(messages: Value) -> Request<Body> {
    let mut request = chat("-", messages);
    request.headers_mut().remove("x-session-id");
    request
}

fn with_request_id(mut request: Request<Body>, id: &str) -> Request<Body> {
    request.headers_mut().insert("idempotency-key", HeaderValue::from_str(id).unwrap());
    request
}

#[tokio::test]
async fn fifty_turns_are_a_hundred_messages() {
    for has_name in [true, false] {
        let setup = Setup::new();
        let mut said: Vec<String> = Vec::new();
        for turn in 0..50 {
            said.push(format!("question {turn}"));
            let messages = turns(said.iter().map(String::as_str));
            let request = if has_name { chat("s", messages) } else { nameless(messages) };
            let answer = format!("answer {turn}");
            setup.send(request, Answer::words([&*answer])).await;
            said.push(answer);
        }
        let sessions = setup.sessions().await;
        assert_eq!(sessions.len(), 1);
        assert_eq!(sessions[0].message_count, 100);
        assert_eq!(sessions[0].title.as_deref(), Some("question 0"));
        let stored = setup.messages(sessions[0].id.as_str()).await;
        let stored: Vec<_> = stored.into_iter().map(|message| message.content).collect();
        assert_eq!(stored, said);
    }
}

#[tokio::test]
async fn another_recorder_goes_on_where_one_left_off() {
    for has_name in [true, false] {
        let setup = Setup::new();
        let request = |messages| if has_name { chat("s", messages) } else { nameless(messages) };
        setup
            .send(request(turns(["How do I deploy?"])), Answer::words(["With care, and at noon."]))
            .await;
        let recorder = shs_tower::Recorder::new(Arc::clone(&setup.store) as Arc<dyn Store>);
        let setup = Setup { layer: RecordLayer::new(recorder.clone()), recorder, ..setup };
        let messages = turns(["How do I deploy?", "With care, and at noon.", "Why?"]);
        setup.send(request(messages), Answer::words(["Lunch."])).await;
        let sessions = setup.sessions().await;
        assert_eq!(sessions.len(), 1);
        assert_eq!(sessions[0].message_count, 4);
    }
}

#[tokio::test]
async fn conversations_that_begin_alike_stay_apart() {
    let setup = Setup::new();
    setup.send(nameless(turns(["Hi"])), Answer::words(["Hello!"])).await;
    setup.send(nameless(turns(["Hi"])), Answer::words(["Hello!"])).await;
    setup.send(nameless(turns(["Hi"])), Answer::words(["Good day!"])).await;
    setup.send(nameless(turns(["Hi", "Good day!", "Bye"])), Answer::words(["Bye!"])).await;
    let counts: Vec<_> = setup.sessions().await.iter().map(|s| s.message_count).collect();
    assert_eq!(counts, [2, 2, 4]);
}

#[tokio::test]
async fn an_edited_turn_is_a_fork_and_goes_on_there() {
    for has_name in [true, false] {
        let setup = Setup::new();
        let request = |texts: &[&str]| {
            let messages = turns(texts.iter().copied());
            if has_name { chat("s", messages) } else { nameless(messages) }
        };
        setup.send(request(&["u1"]), Answer::words(["a1"])).await;
        setup.send(request(&["u1", "a1", "u2"]), Answer::words(["a2"])).await;
        setup.send(request(&["u1", "a1", "edited"]), Answer::words(["b2"])).await;
        setup.send(request(&["u1", "a1", "edited", "b2", "u3"]), Answer::words(["b3"])).await;
        setup.send(request(&["u1", "a1", "u2", "a2", "u3"]), Answer::words(["a3"])).await;
        let sessions = setup.sessions().await;
        assert_eq!(sessions.len(), 2, "{sessions:#?}");
        let first = sessions.iter().find(|session| session.forked_from.is_none()).unwrap();
        let fork = sessions.iter().find(|session| session.forked_from.is_some()).unwrap();
        let point = fork.forked_from.as_ref().unwrap();
        assert_eq!((&point.session_id, point.seq.get()), (&first.id, 2));
        let texts =
            ["user: u1", "assistant: a1", "user: u2", "assistant: a2", "user: u3", "assistant: a3"];
        assert_eq!(setup.said(first.id.as_str()).await, texts);
        let texts = [
            "user: u1",
            "assistant: a1",
            "user: edited",
            "assistant: b2",
            "user: u3",
            "assistant: b3",
        ];
        assert_eq!(setup.said(fork.id.as_str()).await, texts);
    }
}

#[tokio::test]
async fn an_answer_that_is_made_anew_is_a_fork() {
    let setup = Setup::new();
    setup.send(chat("s", turns(["u1"])), Answer::words(["a1"])).await;
    setup.send(chat("s", turns(["u1"])), Answer::words(["b1"])).await;
    setup.send(chat("s", turns(["u1", "b1", "u2"])), Answer::words(["b2"])).await;
    let sessions = setup.sessions().await;
    assert_eq!(sessions.len(), 2);
    assert_eq!(setup.said("s").await, ["user: u1", "assistant: a1"]);
    let fork = sessions.iter().find(|session| session.forked_from.is_some()).unwrap();
    let texts = ["user: u1", "assistant: b1", "user: u2", "assistant: b2"];
    assert_eq!(setup.said(fork.id.as_str()).await, texts);
}

#[tokio::test]
async fn a_system_prompt_that_changes_is_no_other_conversation() {
    let setup = Setup::new();
    let with_system = |system: &str, texts: &[&str]| {
        let mut messages = vec![json!({"role": "system", "content": system})];
        messages.extend(turns(texts.iter().copied()).as_array().unwrap().iter().cloned());
        chat("s", messages.into())
    };
    setup.send(with_system("It is noon.", &["u1"]), Answer::words(["a1"])).await;
    setup.send(with_system("It is noon.", &["u1", "a1", "u2"]), Answer::words(["a2"])).await;
    setup
        .send(with_system("It is one.", &["u1", "a1", "u2", "a2", "u3"]), Answer::words(["a3"]))
        .await;
    assert_eq!(setup.sessions().await.len(), 1);
    let texts = setup.said("s").await;
    assert_eq!(texts[..3], ["system: It is noon.", "user: u1", "assistant: a1"]);
    assert_eq!(texts[5..], ["system: It is one.", "user: u3", "assistant: a3"]);
}

#[tokio::test]
async fn an_answer_that_failed_is_tried_again_without_a_fork() {
    let setup = Setup::new();
    let error = json!({"error": {"message": "overloaded"}});
    setup.send(chat("s", turns(["u1"])), Answer::json(error).status(529)).await;
    setup.leave_after(chat("s", turns(["u1"])), Answer::words(["a", "b"]), 2).await;
    setup.send(chat("s", turns(["u1"])), Answer::words(["a1"])).await;
    setup.send(chat("s", turns(["u1", "a1", "u2"])), Answer::words(["a2"])).await;
    assert_eq!(setup.sessions().await.len(), 1);
    let texts =
        ["user: u1", "assistant: ", "assistant: a", "assistant: a1", "user: u2", "assistant: a2"];
    assert_eq!(setup.said("s").await, texts);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_stored_once() {
    for has_name in [true, false] {
        let setup = Setup::new();
        let request = || {
            let messages = turns(["u1"]);
            with_request_id(
                if has_name { chat("s", messages) } else { nameless(messages) },
                "key-1",
            )
        };
        setup.send(request(), Answer::json(json!({})).status(500)).await;
        setup.send(request(), Answer::words(["a1"])).await;
        setup.send(request(), Answer::words(["another"])).await;
        let sessions = setup.sessions().await;
        assert_eq!(sessions.len(), 1);
        let messages = setup.messages(sessions[0].id.as_str()).await;
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[1].content.as_str(), messages[1].status), ("a1", Status::Delivered));
        assert_eq!(messages[0].metadata["request_id"], "key-1");
        assert_eq!(setup.recorder.counts().repeated, 1);
    }
}

#[tokio::test]
async fn several_answers_take_the_place_of_one_that_failed() {
    let setup = Setup::new();
    let request = || with_request_id(chat("s", turns(["u1"])), "key-1");
    setup.send(request(), Answer::json(json!({})).status(500)).await;
    let choice = |index: u32| json!({"index": index, "message": {"content": format!("a{index}")}, "finish_reason": "stop"});
    setup.send(request(), Answer::json(json!({"choices": [choice(0), choice(1)]}))).await;
    assert_eq!(setup.said("s").await, ["user: u1", "assistant: a0", "assistant: a1"]);
}

#[tokio::test]
async fn the_same_request_id_with_another_conversation_is_another_request() {
    let setup = Setup::new();
    setup.send(with_request_id(chat("s", turns(["u1"])), "trace"), Answer::words(["a1"])).await;
    let more = turns(["u1", "a1", "u2"]);
    setup.send(with_request_id(chat("s", more), "trace"), Answer::words(["a2"])).await;
    assert_eq!(setup.said("s").await.len(), 4);
}

#[tokio::test]
async fn clients_may_change_what_makes_no_difference() {
    let setup = Setup::new();
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1, \"b\": 2}"}});
    let answer = json!({"choices": [{"message": {"content": null, "tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    setup.send(chat("s", json!([{"role": "user", "content": "go"}])), Answer::json(answer)).await;
    let sent = json!([
        {"role": "user", "content": [{"type": "text", "text": "go "}]},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "other", "type": "function", "function": {"name": "f", "arguments": "{\"b\":2,\"a\":1}"}}]},
        {"role": "tool", "tool_call_id": "other", "content": "done"},
    ]);
    setup.send(chat("s", sent), Answer::words(["ok"])).await;
    assert_eq!(setup.sessions().await.len(), 1);
    assert_eq!(setup.said("s").await, ["user: go", "assistant: ", "tool: done", "assistant: ok"]);
}

#[tokio::test]
async fn what_others_write_to_the_session_meanwhile_is_seen() {
    let setup = Setup::new();
    setup.send(chat("s", turns(["u1"])), Answer::words(["a1"])).await;
    let id = SessionId::new("s").unwrap();
    setup.store.append(&Scope::DEFAULT, &id, NewMessage::user("u2")).await.unwrap();
    setup.store.append(&Scope::DEFAULT, &id, NewMessage::assistant("a2")).await.unwrap();
    let sent = turns(["u1", "a1", "u2", "a2", "u3"]);
    setup.send(chat("s", sent), Answer::words(["a3"])).await;
    assert_eq!(setup.sessions().await.len(), 1);
    assert_eq!(setup.said("s").await.len(), 6);
    // A session that was deleted begins anew.
    setup.store.delete_session(&Scope::DEFAULT, &id).await.unwrap();
    setup.send(chat("s", turns(["x"])), Answer::words(["y"])).await;
    assert_eq!(setup.said("s").await, ["user: x", "assistant: y"]);
    let last = setup.last("s").await.id;
    let patch = MessagePatch::new().with_content("edited");
    setup.store.update_message(&Scope::DEFAULT, &id, &last, patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_in_one_session_lose_nothing() {
    let setup = Setup::new();
    let sending = (0..100).map(|n| {
        let setup = &setup;
        async move {
            let text = format!("question {n}");
            let answer = format!("answer {n}");
            setup.send(chat("s", turns([&*text])), Answer::words([&*answer])).await;
        }
    });
    futures::future::join_all(sending).await;
    let mut answers = Vec::new();
    for session in setup.sessions().await {
        let messages = setup.messages(session.id.as_str()).await;
        assert_eq!(messages.len(), 2);
        let number = |text: &str| text.rsplit(' ').next().unwrap().to_owned();
        assert_eq!(number(&messages[0].content), number(&messages[1].content));
        answers.push(messages[1].content.clone());
    }
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 100);
}
