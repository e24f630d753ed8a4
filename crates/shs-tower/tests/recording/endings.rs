//! However an exchange ends, it is kept.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::json;
use shs_store::{Scope, SessionId, Status, StoreExt};
use shs_tower::RequestBody;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Answer, Body, Setup, chat, post, turns};

#[tokio::test]
async fn a_stream_that_was_passed_on_is_delivered() {
    let setup = Setup::new();
    setup.send(chat("s", turns(["Hello!"])), Answer::words(["Hi", " there", "!"])).await;
    let last = setup.last("s").await;
    assert_eq!((last.content.as_str(), last.status), ("Hi there!", Status::Delivered));
    assert_eq!(last.metadata["finish_reason"], "stop");
    assert_eq!(last.metadata["shs.ending"], "completed");
    assert_eq!((last.model.as_deref(), last.tokens), (Some("model-2"), Some(12)));
    assert!(last.latency_ms.unwrap() >= last.metadata["shs.first_token_ms"].as_f64().unwrap());
    assert_eq!(setup.recorder.counts().recorded, 1);
}

/// Streams of each API: where a request goes, the events, and how many of them make the answer
/// whole.
fn streams() -> Vec<(&'static str, Vec<String>, usize)> {
    let data = |event: serde_json::Value| format!("data: {event}\n\n");
    let chunk = |delta: serde_json::Value, reason: serde_json::Value| {
        data(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}))
    };
    let text = |text: &str| json!({"content": text});
    let block = json!({"type": "text", "text": ""});
    let delta = |text: &str| {
        let delta = json!({"type": "text_delta", "text": text});
        data(json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    let part = json!({"type": "output_text", "text": "ab"});
    let output = json!([{"type": "message", "role": "assistant", "content": [part]}]);
    vec![
        (
            "/v1/chat/completions",
            vec![
                chunk(json!({"role": "assistant"}), json!(null)),
                chunk(text("a"), json!(null)),
                chunk(text("b"), json!(null)),
                chunk(json!({}), json!("stop")),
                "data: [DONE]\n\n".to_owned(),
            ],
            4,
        ),
        // Some servers send an empty reason with each chunk, and none in the end.
        (
            "/v1/chat/completions",
            vec![
                chunk(text("a"), json!("")),
                chunk(text("b"), json!("")),
                "data: [DONE]\n\n".to_owned(),
            ],
            3,
        ),
        (
            "/v1/responses",
            vec![
                data(json!({"type": "response.created", "response": {"id": "r"}})),
                data(json!({"type": "response.output_text.delta", "delta": "a"})),
                data(json!({"type": "response.output_text.delta", "delta": "b"})),
                data(json!({"type": "response.output_text.done", "text": "ab"})),
                data(json!({"type": "response.completed",
                    "response": {"id": "r", "status": "completed", "output": output}})),
            ],
            5,
        ),
        (
            "/v1/messages",
            vec![
                data(json!({"type": "message_start", "message": {"id": "m"}})),
                data(json!({"type": "content_block_start", "index": 0, "content_block": block})),
                delta("a"),
                delta("b"),
                data(json!({"type": "content_block_stop", "index": 0})),
                data(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})),
                data(json!({"type": "message_stop"})),
            ],
            6,
        ),
    ]
}

#[tokio::test]
async fn a_stream_that_stops_before_its_api_says_the_end_is_interrupted() {
    let setup = Setup::new();
    for (api, (path, events, whole)) in streams().into_iter().enumerate() {
        for count in 0..=events.len() {
            let session = format!("{api}-{count}");
            let question = json!({"input": "Hello!", "messages": turns(["Hello!"])});
            let answer = Answer::events(&events[..count]);
            setup.send(post(path, &session, &question), answer).await;
            let last = setup.last(&session).await;
            let status = if count >= whole { Status::Delivered } else { Status::Interrupted };
            assert_eq!(last.status, status, "{path}: {count} of {} events", events.len());
            assert_eq!(last.metadata["shs.ending"], "completed");
            assert_eq!(last.content == "ab", last.content.contains('b'), "{path}");
        }
    }
}

#[tokio::test]
async fn a_whole_answer_that_stops_early_is_not_delivered() {
    let setup = Setup::new();
    let whole = Answer::text("Hi!").bytes();
    for count in [0, 1, whole.len() / 2, whole.len() - 1] {
        let mut answer = Answer::text("Hi!");
        answer.frames = vec![Ok(whole[..count].to_vec().into())];
        setup.send(chat(&count.to_string(), turns(["Hello!"])), answer).await;
        let last = setup.last(&count.to_string()).await;
        assert_ne!(last.status, Status::Delivered, "{count} of {} bytes", whole.len());
        assert_eq!(last.content, "");
    }
}

#[tokio::test]
async fn text_in_the_first_piece_came_with_the_first_byte() {
    let setup = Setup::new();
    let mut answer = Answer::words(["a", "b"]);
    answer.frames = answer.frames.split_off(1);
    setup.send(chat("s", turns(["Hello!"])), answer).await;
    let last = setup.last("s").await;
    assert_eq!(last.content, "ab");
    assert!(last.metadata["shs.first_token_ms"].is_number());
    assert_eq!(last.metadata["shs.first_token_ms"], last.metadata["shs.first_byte_ms"]);
}

#[tokio::test]
async fn a_client_that_goes_away_at_any_frame_leaves_all_text_that_had_come() {
    let answer = Answer::words(["a", "b", "c", "d"]);
    for frames in 0..=answer.frames.len() {
        let setup = Setup::new();
        setup.leave_after(chat("s", turns(["Hello!"])), answer.clone(), frames).await;
        let last = setup.last("s").await;
        let text = &"abcd"[..frames.saturating_sub(1).min(4)];
        // With the reason of its end, the answer is whole: what follows are counts.
        let is_whole = frames > 5;
        assert_eq!(last.content, text, "after {frames} frames");
        let status = if is_whole { Status::Delivered } else { Status::Interrupted };
        assert_eq!(last.status, status, "after {frames} frames");
        let counts = setup.recorder.counts();
        assert_eq!((counts.recorded, counts.aborted), (1, u64::from(!is_whole)));
    }
}

#[tokio::test]
async fn a_body_that_fails_is_kept_with_its_error_and_fails_for_the_client_too() {
    let setup = Setup::new();
    let request = chat("s", turns(["Hello!"]));
    let mut body =
        setup.call(request, Answer::words(["a", "b"]).failing_after(2)).await.into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "connection reset");
    setup.recorder.flush().await;
    let last = setup.last("s").await;
    assert_eq!((last.content.as_str(), last.status), ("a", Status::Error));
    assert_eq!(last.metadata["shs.error"], json!({"message": "connection reset"}));
    assert_eq!(last.metadata["shs.ending"], "body_error");
}

#[tokio::test]
async fn a_stream_that_just_stops_is_interrupted_although_nobody_complains() {
    let setup = Setup::new();
    let mut answer = Answer::words(["a", "b"]);
    answer.frames.truncate(3);
    setup.send(chat("s", turns(["Hello!"])), answer).await;
    let last = setup.last("s").await;
    assert_eq!((last.content.as_str(), last.status), ("ab", Status::Interrupted));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_response_leaves_its_question() {
    let setup = Setup::new();
    let read = Arc::new(tokio::sync::Notify::new());
    let was_read = Arc::clone(&read);
    let service =
        setup.layer.layer(tower::service_fn(move |request: Request<RequestBody<Body>>| {
            let read = Arc::clone(&read);
            async move {
                request.into_body().collect().await.unwrap();
                read.notify_one();
                pending::<Result<Response<Full<Bytes>>, Infallible>>().await
            }
        }));
    let call = tokio::spawn(service.oneshot(chat("s", turns(["Hello!"]))));
    was_read.notified().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    setup.recorder.flush().await;
    assert_eq!(setup.said("s").await, ["user: Hello!", "assistant: "]);
    let last = setup.last("s").await;
    assert_eq!(last.metadata["shs.ending"], "no_response");
    assert_eq!(last.status, Status::Interrupted);
}

#[tokio::test]
async fn a_service_that_fails_leaves_the_question_and_the_error() {
    let setup = Setup::new();
    let mut service =
        setup.layer.layer(tower::service_fn(async |request: Request<RequestBody<Body>>| {
            request.into_body().collect().await.unwrap();
            Err::<Response<Full<Bytes>>, _>("no route")
        }));
    let service = service.ready().await.unwrap();
    assert_eq!(service.call(chat("s", turns(["Hello!"]))).await.unwrap_err(), "no route");
    setup.recorder.flush().await;
    let last = setup.last("s").await;
    assert_eq!(
        (last.status, last.metadata["shs.ending"].as_str()),
        (Status::Error, Some("no_response"))
    );
}

#[tokio::test]
async fn a_response_that_is_no_success_is_kept_with_its_error() {
    let setup = Setup::new();
    let error = json!({"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}});
    setup.send(chat("s", turns(["Hello!"])), Answer::json(error.clone()).status(429)).await;
    let last = setup.last("s").await;
    assert_eq!(last.status, Status::Error);
    assert_eq!(last.metadata["shs.error"], error["error"]);
    assert_eq!(last.metadata["http_status"], 429);
    setup.send(chat("t", turns(["Hello!"])), Answer::events(["<html>"]).status(502)).await;
    assert_eq!(setup.last("t").await.status, Status::Error);
}

#[tokio::test]
async fn a_service_that_answers_before_it_reads_was_asked_all_the_same() {
    let setup = Setup::new();
    let service = setup.layer.layer(tower::service_fn(async |_: Request<RequestBody<Body>>| {
        let response = Response::builder().status(502);
        Ok::<_, Infallible>(response.body(Full::new(Bytes::from("no upstream"))).unwrap())
    }));
    let response = service.oneshot(chat("s", turns(["Hello!"]))).await.unwrap();
    response.into_body().collect().await.unwrap();
    setup.recorder.flush().await;
    assert_eq!(setup.said("s").await, ["user: Hello!", "assistant: "]);
    let last = setup.last("s").await;
    assert_eq!((last.status, &last.metadata["http_status"]), (Status::Error, &json!(502)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_comes_whole_is_not_waited_for_long() {
    let setup = Setup::new();
    let service = setup.layer.layer(tower::service_fn(async |_: Request<RequestBody<Body>>| {
        let response = Response::builder().status(401);
        Ok::<_, Infallible>(response.body(Full::new(Bytes::new())).unwrap())
    }));
    let first = stream::iter([Ok::<_, String>(Frame::data(Bytes::from("{\"messages\": [")))]);
    let body = StreamBody::new(first.chain(stream::pending()));
    let body: Body = BodyExt::boxed(body);
    let request = Request::post("/v1/chat/completions").body(body).unwrap();
    service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    setup.recorder.flush().await;
    assert_eq!(setup.recorder.counts().unreadable, 1);
    assert_eq!(setup.recorder.shutdown(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn a_panic_in_the_handler_keeps_what_had_come_and_goes_on() {
    let setup = Setup::new();
    let service =
        setup.layer.layer(tower::service_fn(async |request: Request<RequestBody<Body>>| {
            request.into_body().collect().await.unwrap();
            if true {
                panic!("a bug in the handler");
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }));
    let call = tokio::spawn(service.oneshot(chat("s", turns(["Hello!"]))));
    assert!(call.await.unwrap_err().is_panic());
    setup.recorder.flush().await;
    assert_eq!(setup.said("s").await, ["user: Hello!", "assistant: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_that_are_left_at_any_moment_are_all_kept() {
    let setup = Setup::new();
    let words: Vec<String> = (0..20).map(|word| format!("w{word} ")).collect();
    let answer = Answer::words(words.iter().map(String::as_str));
    let leaving = (0..1_000).map(|n| {
        let (setup, answer, words) = (&setup, answer.clone(), &words);
        async move {
            let frames = (n * 7) % 20;
            let session = format!("s{n}");
            let mut body = setup.call(chat(&session, turns(["Hello!"])), answer).await.into_body();
            for _ in 0..=frames {
                body.frame().await.unwrap().unwrap();
            }
            (session, words[..frames].concat())
        }
    });
    let left = futures::future::join_all(leaving).await;
    setup.recorder.flush().await;
    for (session, text) in left {
        let id = SessionId::new(&session).unwrap();
        let last = setup.store.last_messages(&Scope::DEFAULT, &id, 1).await.unwrap().pop().unwrap();
        assert_eq!((last.content, last.status), (text, Status::Interrupted));
    }
    let counts = setup.recorder.counts();
    assert_eq!((counts.recorded, counts.aborted, counts.dropped), (1_000, 1_000, 0));
    assert_eq!(setup.recorder.shutdown(Duration::from_secs(5)).await, 0);
}
