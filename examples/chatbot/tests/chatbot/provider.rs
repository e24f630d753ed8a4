//! Answers of another server, which is played by this test.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::http::Client;
use crate::support::server::Server;

/// What the server was asked: the authorization and the body of each request.
pub(crate) type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// What is answered: Markdown, and what would be an element if it was taken for HTML.
const ANSWER: &str = "Some **bold** words, <img src=x>:\n\n```\nlet x = 1;\n```";

/// Starts the server, and returns its base URL.
pub(crate) async fn start(asked: Asked) -> String {
    let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(asked);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    base
}

/// Fails or breaks off when it is told to.
async fn answer(
    State(asked): State<Asked>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let key = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    asked.lock().unwrap().push((key.to_owned(), body.clone()));
    let said = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    if said == "fail" {
        let error = json!({ "error": { "message": "You have no quota left.", "type": "quota" } });
        return (StatusCode::TOO_MANY_REQUESTS, Json(error)).into_response();
    }
    let event = |event: Value| format!("data: {event}\n\n");
    let text = |text: &str| event(json!({ "choices": [{ "delta": { "content": text } }] }));
    let mut answer = [text(&ANSWER[..10]), text(&ANSWER[10..])].concat();
    if said != "break off" {
        answer += &event(json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }));
        answer += &event(json!({ "choices": [], "usage": { "completion_tokens": 5 } }));
        answer += "data: [DONE]\n\n";
    }
    ([("content-type", "text/event-stream")], answer).into_response()
}

#[tokio::test]
async fn answers_come_from_an_openai_compatible_server() {
    let asked = Asked::default();
    let base = start(Arc::clone(&asked)).await;
    let folder = tempfile::tempdir().unwrap();
    let variables =
        [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_API_KEY", "k"), ("OPENAI_MODEL", "m1")];
    let server = Server::start(folder.path(), "sqlite", &variables);
    let client = Client::new(&server.address);
    let begun = client.post("/api/conversations", &json!({})).await.ok();
    let path = format!("/api/conversations/{}/messages", begun["id"].as_str().unwrap());
    let say = async |text: &str| {
        let said = json!({ "id": text, "text": text });
        client.events(&path, &said).await.collect::<Vec<_>>().await.pop().unwrap()
    };

    let (kind, end) = say("Hello").await;
    assert_eq!((kind.as_str(), &end["status"]), ("end", &json!("delivered")));
    assert_eq!(end["text"], ANSWER);
    assert_eq!((&end["model"], &end["tokens"]), (&json!("m1"), &json!(5)));

    let (_, end) = say("fail").await;
    assert_eq!(end["status"], "error");
    assert!(end["error"].as_str().unwrap().contains("You have no quota left."), "{end}");
    let (_, end) = say("break off").await;
    assert_eq!((&end["status"], &end["text"]), (&json!("error"), &json!(ANSWER)));

    say("Go on").await;
    let asked = asked.lock().unwrap();
    let (key, last) = asked.last().unwrap();
    assert_eq!(
        (key.as_str(), &last["model"], &last["stream"]),
        ("Bearer k", &json!("m1"), &json!(true))
    );
    let said = last["messages"].as_array().unwrap().iter();
    let said: Vec<_> = said.map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(said, ["Hello", ANSWER, "fail", "break off", ANSWER, "Go on"]);
}
