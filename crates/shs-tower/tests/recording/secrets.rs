//! What is not kept.

use http::{HeaderValue, Request};
use serde_json::json;
use shs_tower::{Limits, Redact};

use crate::support::{Answer, Setup, body, chat, turns};

#[tokio::test]
async fn no_secret_reaches_the_store() {
    let redact = Redact::default().regex(r"\b\d{4}-\d{4}\b").unwrap();
    let redact =
        redact.json_pointer("/password").unwrap().json_pointer("/messages/*/secret").unwrap();
    let setup = Setup::with(|layer| {
        let allowed = ["user-agent", "authorization", "cookie", "x-api-key", "x-note"];
        layer.redact(redact).headers_allow(allowed)
    });
    let key = "sk-proj-THISISASECRET0001";
    let arguments = json!({"password": "hunter2", "note": "code 1234-5678"}).to_string();
    let call =
        json!({"index": 0, "id": "c", "function": {"name": "login", "arguments": arguments}});
    let chunks = [
        json!({"choices": [{"index": 0, "delta": {"content": "your key sk-proj-THISISA"}}]}),
        json!({"choices": [{"index": 0, "delta": {"content": "SECRET0001 is fine", "tool_calls": [call]}}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    ];
    let answer = Answer::events(chunks.map(|chunk| format!("data: {chunk}\n\n")));
    let mut request = chat(
        "s",
        json!([{"role": "user", "content": format!("is {key} right? 1234-5678"), "secret": "hunter2"}]),
    );
    for (name, value) in [
        ("authorization", "Bearer THISISASECRET0001"),
        ("cookie", "session=THISISASECRET0001"),
        ("x-api-key", "THISISASECRET0001"),
        ("x-note", "key sk-proj-THISISASECRET0001"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    setup.send(request, answer).await;
    let error = json!({"error": {"message": format!("Incorrect API key provided: {key}")}});
    setup.send(chat("t", turns(["Hello!"])), Answer::json(error).status(401)).await;
    let mut all = String::new();
    for session in setup.sessions().await {
        all += &serde_json::to_string(&session).unwrap();
        all += &serde_json::to_string(&setup.messages(session.id.as_str()).await).unwrap();
    }
    for secret in ["THISISASECRET", "hunter2", "1234-5678", "authorization", "cookie", "x-api-key"]
    {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
    assert!(all.contains("is [redacted] right? [redacted]") && all.contains("key [redacted]"));
    // The client got everything, and goes on with it: it is recognized without a fork.
    let texts = [&*format!("is {key} right? 1234-5678"), "x", "and now?"];
    setup.send(chat("u", turns([texts[0]])), Answer::words(["x"])).await;
    setup.send(chat("u", turns(texts)), Answer::words(["y"])).await;
    assert_eq!(setup.said("u").await.len(), 4);
}

#[tokio::test]
async fn bytes_that_are_no_text_hide_nothing_from_a_pointer() {
    let redact = Redact::nothing().json_pointer("/messages/*/content").unwrap();
    let setup = Setup::with(|layer| layer.redact(redact));
    let question =
        &b"{\"x\": \"\xff\", \"messages\": [{\"role\": \"user\", \"content\": \"hunter2\"}]}"[..];
    let request = Request::post("/v1/chat/completions").header("x-session-id", "s");
    setup.send(request.body(body(question)).unwrap(), Answer::words(["b"])).await;
    assert_eq!(setup.messages("s").await[0].content, "[redacted]");
}

#[tokio::test]
async fn large_attachments_are_kept_by_size_and_digest() {
    let setup = Setup::with(|layer| layer.limits(Limits::default().with_attachment(100)));
    let image = |data: &str| json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}});
    let question = json!([{"role": "user", "content": [{"type": "text", "text": "look"}, image("AAAA"), image(&"B".repeat(4_000))]}]);
    setup.send(chat("s", question), Answer::words(["nice"])).await;
    let parts = &setup.messages("s").await[0].parts;
    assert_eq!(parts[1].as_object()["content"], "AAAA");
    assert_eq!(parts[1].as_object()["mime_type"], "image/png");
    let large = parts[2].as_object();
    assert_eq!((large["content"].as_str(), large["bytes"].as_u64()), (Some(""), Some(4_000)));
    assert_eq!(large["sha256"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn allowed_headers_are_kept_with_the_question() {
    let setup = Setup::new();
    let request = Request::post("/v1/chat/completions")
        .header("user-agent", "curl/8")
        .header("x-other", "1")
        .header("x-session-id", "s")
        .body(body(json!({"messages": turns(["a"])}).to_string()));
    setup.send(request.unwrap(), Answer::words(["b"])).await;
    assert_eq!(setup.messages("s").await[0].metadata["headers"], json!({"user-agent": "curl/8"}));
}
