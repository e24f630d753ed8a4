//! Bodies pass as they are.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use serde_json::json;
use shs_store::Status;
use shs_tower::RequestBody;
use tower::{Layer, ServiceExt};

use crate::support::{Answer, Setup, body, chat, turns};

#[tokio::test]
async fn every_byte_comes_out_as_it_went_in_however_it_is_split() {
    let setup = Setup::new();
    for pieces in [1, 2, 3, 7, 50, 10_000] {
        let answer = Answer::words(["é", "部署", "\"", "\n"]).in_pieces(pieces);
        let expected = answer.bytes();
        let session = format!("s{pieces}");
        assert_eq!(setup.send(chat(&session, turns(["Hello!"])), answer).await, expected);
        assert_eq!(setup.last(&session).await.content, "é部署\"\n");
    }
}

#[tokio::test]
async fn frames_hints_trailers_and_the_end_are_passed_on() {
    let setup = Setup::new();
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
    let last = trailers.clone();
    let service = setup.layer.layer(tower::service_fn(move |_: Request<RequestBody<_>>| {
        let frames = [
            Frame::data(Bytes::from("data: [DO")),
            Frame::data(Bytes::from("NE]\n\n")),
            Frame::trailers(last.clone()),
        ];
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
        let response = Response::builder().header("content-type", "text/event-stream");
        ready(Ok::<_, Infallible>(response.body(body).unwrap()))
    }));
    let mut passed = service.oneshot(chat("s", turns(["a"]))).await.unwrap().into_body();
    assert_eq!(passed.frame().await.unwrap().unwrap().into_data().unwrap(), "data: [DO");
    assert_eq!(passed.frame().await.unwrap().unwrap().into_data().unwrap(), "NE]\n\n");
    assert_eq!(passed.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    assert!(passed.frame().await.is_none());

    let setup = Setup::new();
    let response =
        setup.layer.layer(tower::service_fn(async |request: Request<RequestBody<_>>| {
            assert_eq!(
                request.body().size_hint().exact(),
                request.headers()["content-length"].to_str().unwrap().parse().ok()
            );
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("12345"))))
        }));
    let question = json!({"messages": turns(["a"])}).to_string();
    let request = Request::post("/v1/chat/completions").header("content-length", question.len());
    let body = response.oneshot(request.body(body(question)).unwrap()).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());
}

#[tokio::test]
async fn a_body_of_known_length_is_whole_although_nobody_asks_for_its_end() {
    let setup = Setup::new();
    let reply =
        json!({"choices": [{"message": {"content": "Hi!"}, "finish_reason": "stop"}]}).to_string();
    let service = setup.layer.layer(tower::service_fn(move |request: Request<RequestBody<_>>| {
        let reply = reply.clone();
        async move {
            request.into_body().collect().await.unwrap();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(reply))))
        }
    }));
    // A server takes one frame, sees that the length is reached, and drops the body.
    let mut body = service.oneshot(chat("s", turns(["Hello!"]))).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    setup.recorder.flush().await;
    assert_eq!(setup.last("s").await.status, Status::Delivered);
    assert_eq!(setup.recorder.counts().aborted, 0);
}

#[tokio::test]
async fn an_empty_body_that_is_never_asked_for_a_frame_is_an_end() {
    let setup = Setup::new();
    let service = setup.layer.layer(tower::service_fn(async |request: Request<RequestBody<_>>| {
        request.into_body().collect().await.unwrap();
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        Ok::<_, Infallible>(response)
    }));
    drop(service.oneshot(chat("s", turns(["Hello!"]))).await.unwrap());
    setup.recorder.flush().await;
    let last = setup.last("s").await;
    assert_eq!((last.status, last.metadata["http_status"].as_u64()), (Status::Error, Some(429)));
    assert_eq!(last.metadata["shs.ending"], "completed");
}

#[tokio::test]
async fn what_is_none_of_ours_passes_untouched() {
    let setup = Setup::new();
    let get = Request::builder().method(Method::HEAD).uri("/v1/chat/completions");
    setup.send(get.body(body("")).unwrap(), Answer::text("x")).await;
    let upgrade = Request::get("/v1/responses").header("upgrade", "websocket");
    setup.send(upgrade.body(body("")).unwrap(), Answer::text("x").status(101)).await;
    let other = Request::post("/v1/embeddings").body(body("{}")).unwrap();
    assert_eq!(setup.send(other, Answer::text("x")).await, Answer::text("x").bytes());
    assert_eq!(setup.recorder.counts(), shs_tower::Counts::default());
    assert!(setup.sessions().await.is_empty());
}

#[tokio::test]
async fn a_request_beyond_the_limit_passes_and_is_recorded_as_truncated() {
    let limits = shs_tower::Limits::default().with_request(1_000);
    let setup = Setup::with(|layer| layer.limits(limits));
    let request = chat("s", turns([&*"x".repeat(5_000)]));
    let size = request.body().size_hint().exact().unwrap();
    setup.send(request, Answer::words(["Hi", "!"])).await;
    let messages = setup.messages("s").await;
    assert_eq!(messages[0].metadata["shs.truncated"], json!({"bytes": size, "limit": 1_000}));
    assert_eq!((messages[0].content.as_str(), messages[1].content.as_str()), ("", "Hi!"));
}

#[tokio::test]
async fn a_response_beyond_the_limit_passes_and_its_beginning_is_kept() {
    let limits = shs_tower::Limits::default().with_response(10);
    let setup = Setup::with(|layer| layer.limits(limits));
    let answer = Answer::words(["12345678", "90abc", "def"]);
    let bytes = answer.bytes();
    assert_eq!(setup.send(chat("s", turns(["a"])), answer).await, bytes);
    let last = setup.last("s").await;
    assert_eq!((last.content.as_str(), last.status), ("1234567890", Status::Delivered));
    assert_eq!(last.metadata["shs.truncated"], json!({"bytes": bytes.len(), "limit": 10}));
    // A plain one cannot be read in part.
    setup.send(chat("t", turns(["a"])), Answer::text(&"x".repeat(100))).await;
    let last = setup.last("t").await;
    assert_eq!((last.content.as_str(), last.status), ("", Status::Delivered));
    assert!(last.metadata.contains_key("shs.truncated"));
}

#[tokio::test]
async fn encoded_bodies_are_read_and_pass_as_they_are() {
    use std::io::Write;
    let gzip = |text: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    };
    let setup = Setup::new();
    let mut answer = Answer::words(["Hi", "!"]).header("content-encoding", "gzip");
    let packed = gzip(&answer.bytes());
    answer.frames = packed.chunks(5).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let question = json!({"messages": turns(["Hello!"])}).to_string();
    let request = Request::post("/v1/chat/completions")
        .header("x-session-id", "s")
        .header("content-encoding", "gzip")
        .body(body(gzip(question.as_bytes())));
    assert_eq!(setup.send(request.unwrap(), answer).await, packed);
    assert_eq!(setup.said("s").await, ["user: Hello!", "assistant: Hi!"]);

    let answer = Answer::words(["Hi"]).header("content-encoding", "zstd");
    setup.send(chat("t", turns(["a"])), answer).await;
    let last = setup.last("t").await;
    assert_eq!(last.metadata["shs.undecoded"], "the content-encoding \"zstd\" is not decoded");
}
