//! Write-ahead: the question is stored before the service gets it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use shs_memory::MemoryStore;
use shs_store::{Scope, SessionId, Store, StoreExt};
use shs_testkit::{Fault, FaultStore, Operation};
use shs_tower::decode::{Custom, Prompt};
use shs_tower::{Limits, RecordLayer, Recorder, RecorderOptions, RequestBody};
use tower::{Layer, ServiceExt};

use crate::support::{Answer, Body, Setup, chat, post, turns};

#[tokio::test]
async fn the_question_is_there_when_the_handler_runs() {
    let setup = Setup::with(RecordLayer::write_ahead);
    let store = Arc::clone(&setup.store);
    let service =
        setup.layer.layer(tower::service_fn(move |request: Request<RequestBody<Body>>| {
            let store = Arc::clone(&store);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["messages"][0]["content"], "Hello!");
                let stored =
                    store.transcript(&Scope::DEFAULT, &SessionId::new("s").unwrap()).await.unwrap();
                assert_eq!(stored.messages.len(), 1);
                let answer =
                    json!({"choices": [{"message": {"content": "Hi!"}, "finish_reason": "stop"}]});
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer.to_string()))))
            }
        }));
    let response = service.oneshot(chat("s", turns(["Hello!"]))).await.unwrap();
    response.into_body().collect().await.unwrap();
    setup.recorder.flush().await;
    assert_eq!(setup.said("s").await, ["user: Hello!", "assistant: Hi!"]);
}

#[tokio::test]
async fn nothing_is_stored_twice() {
    let new_only = |body: &Value| {
        Some(Prompt::continues(vec![shs_store::NewMessage::user(body["text"].as_str()?)]))
    };
    let setup = Setup::with(|layer| layer.write_ahead().decoder(Custom::post("/chat", new_only)));
    for n in 0..3 {
        let request = post("/chat", "s", &json!({"text": format!("u{n}")}));
        setup.send(request, Answer::events([format!("data: a{n}\n\n")])).await;
    }
    let said = setup.said("s").await;
    assert_eq!(
        said,
        ["user: u0", "assistant: a0", "user: u1", "assistant: a1", "user: u2", "assistant: a2"]
    );

    let mut nameless = chat("-", turns(["u1"]));
    nameless.headers_mut().remove("x-session-id");
    setup.send(nameless, Answer::words(["a1"])).await;
    setup.send(chat("t", turns(["u1"])), Answer::words(["a1"])).await;
    setup.send(chat("t", turns(["u1", "a1", "u2"])), Answer::words(["a2"])).await;
    setup.send(chat("t", turns(["u1", "a1", "edited"])), Answer::words(["b2"])).await;
    setup.send(chat("t", turns(["u1"])), Answer::words(["b1"])).await;
    let mut counts: Vec<_> = setup.sessions().await.iter().map(|s| s.message_count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 4, 4, 6]);
}

#[tokio::test]
async fn a_store_that_fails_refuses_the_request() {
    let options = RecorderOptions::default().with_patience(std::time::Duration::ZERO);
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let recorder = Recorder::with_options(Arc::clone(&store) as Arc<dyn Store>, options);
    let layer = RecordLayer::new(recorder.clone()).write_ahead();
    let setup = Setup { store, recorder, layer };
    setup.store.inject(Fault::before(Operation::Append));
    let response = setup.call(chat("s", turns(["a"])), Answer::words(["b"])).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["type"], "recording_unavailable");
    // It goes on when the store does.
    let answer = Answer::words(["b"]);
    assert_eq!(setup.send(chat("s", turns(["a"])), answer.clone()).await, answer.bytes());
    // After the end of the recorder, nothing goes on unrecorded.
    setup.recorder.shutdown(std::time::Duration::from_secs(5)).await;
    let response = setup.call(chat("s", turns(["a", "b", "c"])), answer).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn large_and_unreadable_bodies_reach_the_service_whole() {
    let limits = Limits::default().with_request(100);
    let setup = Setup::with(|layer| layer.write_ahead().limits(limits));
    for (session, body) in [("s", "x".repeat(10_000)), ("t", "{".to_owned())] {
        let expected = body.clone();
        let service =
            setup.layer.layer(tower::service_fn(move |request: Request<RequestBody<Body>>| {
                let expected = expected.clone();
                async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(body, expected.as_bytes());
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("{}"))))
                }
            }));
        let frames = body
            .into_bytes()
            .chunks(999)
            .map(|piece| Ok::<_, String>(http_body::Frame::data(Bytes::copy_from_slice(piece))))
            .collect::<Vec<_>>();
        let body = http_body_util::StreamBody::new(futures::stream::iter(frames)).boxed();
        let request =
            Request::post("/v1/chat/completions").header("x-session-id", session).body(body);
        let response = service.oneshot(request.unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    setup.recorder.flush().await;
    let messages = setup.messages("s").await;
    assert!(messages[0].metadata["shs.truncated"]["bytes"].as_u64().unwrap() > 100);
    assert_eq!(setup.sessions().await.len(), 1);
}
