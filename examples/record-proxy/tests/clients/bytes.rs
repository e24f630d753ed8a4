//! What passes is what was sent, byte by byte.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;
use session_history_saver::sqlite::SqliteStore;
use session_history_saver::{Scope, SessionQuery, Store};

use crate::support::{Api, Llmock, Proxy, Replay, Tools, http};

/// A response of an upstream: how it begins, and its body in the pieces in which it is sent.
type Scene = (&'static str, StatusCode, Vec<(&'static str, &'static str)>, Vec<Bytes>);

fn scenes() -> Vec<Scene> {
    let sse = ("content-type", "text/event-stream");
    let json = ("content-type", "application/json");
    let events = ": keep-alive\r\n\r\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"日本 🙂\"}}],\"obfuscation\":\"x\"}\r\n\r\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: no JSON\n\ndata: [DONE]";
    let pieces = |text: &str, length: usize| {
        text.as_bytes().chunks(length).map(Bytes::copy_from_slice).collect::<Vec<_>>()
    };
    let completion =
        r#" {"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}] , "later":1.0} "#;
    let error = r#"{"error":{"message":"Slow down","type":"requests","code":null}}"#;
    let limited = vec![json, ("retry-after", "1"), ("x-ratelimit-remaining-requests", "0")];
    vec![
        ("single bytes of events", StatusCode::OK, vec![sse], pieces(events, 1)),
        ("pieces of events", StatusCode::OK, vec![sse, ("x-request-id", "r1")], pieces(events, 7)),
        ("a completion", StatusCode::OK, vec![json], pieces(completion, 1000)),
        ("an error", StatusCode::TOO_MANY_REQUESTS, limited, pieces(error, 1000)),
        (
            "no JSON",
            StatusCode::BAD_GATEWAY,
            vec![("content-type", "text/html")],
            pieces("<html>", 2),
        ),
        ("nothing", StatusCode::NO_CONTENT, vec![], vec![]),
        (
            "what claims to be gzip",
            StatusCode::OK,
            vec![sse, ("content-encoding", "gzip")],
            pieces("no gzip", 3),
        ),
    ]
}

/// Without the date, which is the server's, and what concerns the connection alone.
fn head(response: &Response<Bytes>) -> (StatusCode, HeaderMap) {
    let mut headers = response.headers().clone();
    headers.remove("date");
    (response.status(), headers)
}

#[tokio::test]
async fn bytes_through_the_proxy_are_those_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let replay = Replay::start().await;
    let proxy = Proxy::start(&format!("sqlite:{}", path.display()), &replay.base).await;
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "日本" }], "stream": true, "seed": 1.50 });
    let mut recorded = 0;
    for (name, status, headers, pieces) in scenes() {
        for api in [Api::Chat, Api::Responses, Api::Messages] {
            let mut answers = Vec::new();
            for base in [&replay.base, &proxy.base] {
                let mut begin = Response::builder().status(status);
                for (name, value) in &headers {
                    begin = begin.header(*name, *value);
                }
                replay.answer(begin).send(&pieces);
                let url = format!("{base}{}?x=%20y", api.path());
                answers.push(http::exchange(http::post(&url, name, "ada", &body)).await);
            }
            assert_eq!(head(&answers[0]), head(&answers[1]), "{name}");
            assert_eq!(answers[0].body(), answers[1].body(), "{name}");
            assert_eq!(answers[0].body(), &pieces.concat(), "{name}");
            let requests = replay.requests();
            let [direct, proxied] = requests.as_slice() else { panic!("{name}: {requests:?}") };
            assert_eq!((direct.uri(), direct.body()), (proxied.uri(), proxied.body()), "{name}");
            let headers = |request: &Request<Bytes>| {
                let mut headers = request.headers().clone();
                headers.remove("host");
                headers
            };
            let mut expected = headers(direct);
            // They are for the proxy.
            for name in ["x-session-id", "x-user-id"] {
                expected.remove(name).expect("the client sent it");
            }
            assert_eq!(expected, headers(proxied), "{name}");
            // The body of a Responses request has no input here, so that there is nothing to store.
            recorded += usize::from(api != Api::Responses);
        }
    }

    // What is no conversation passes as well, and leaves nothing.
    for method in [Method::GET, Method::HEAD] {
        let mut answers = Vec::new();
        for base in [&replay.base, &proxy.base] {
            replay
                .answer(Response::builder().header("content-length", "6"))
                .send(&[Bytes::from_static(b"models")]);
            let request = Request::builder().method(&method).uri(format!("{base}/v1/models"));
            answers.push(http::exchange(request.body(Body::empty()).unwrap()).await);
        }
        assert_eq!(head(&answers[0]), head(&answers[1]), "{method}");
        assert_eq!(answers[0].body(), answers[1].body(), "{method}");
    }

    proxy.terminate().await;
    let said = proxy.ended().await;
    assert!(said.contains(&format!("recorded: {recorded},")), "{said}");
    let store = SqliteStore::open(&path).await.unwrap();
    let sessions = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
    assert!(
        sessions
            .iter()
            .all(|session| scenes().iter().any(|scene| session.id.as_str().starts_with(scene.0))),
        "{sessions:?}"
    );
}

/// What the mock says besides of ids and times is the same each time: so are its errors and lists.
#[tokio::test]
async fn bytes_of_the_mock_are_those_without_the_proxy() {
    let Some(tools) = Tools::or_skip("bytes_of_the_mock_are_those_without_the_proxy") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let llmock = Llmock::start(&tools).await;
    let store = format!("sqlite:{}", folder.path().join("history.db").display());
    let proxy = Proxy::start(&store, &llmock.base).await;
    for (path, status) in
        [("/v1/chat/completions", 401), ("/v1/responses", 503), ("/anthropic/v1/messages", 529)]
    {
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }], "input": "x", "max_tokens": 1 });
        let mut answers = Vec::new();
        for base in [&llmock.base, &proxy.base] {
            llmock.script(&json!([{ "type": "fail", "status": status, "retry_after": 1 }])).await;
            answers
                .push(http::exchange(http::post(&format!("{base}{path}"), "s", "u", &body)).await);
        }
        assert_eq!(answers[0].status(), status);
        assert_eq!(answers[0].body(), answers[1].body());
        assert_eq!(
            answers[0].headers().get("retry-after"),
            answers[1].headers().get("retry-after")
        );
    }
}
