//! What is not kept.

use http::{HeaderValue, Request};
use serde_json::json;
use shs_tower::{Ladder, Limits, Redact};

use crate::support::{Answer, Body, Setup, body, chat, turns};

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
    assert!(all.contains("is sk-proj-[redacted] right? [redacted]"));
    // The client got everything, and goes on with it: it is recognized without a fork.
    let texts = [&*format!("is {key} right? 1234-5678"), "x", "and now?"];
    setup.send(chat("u", turns([texts[0]])), Answer::words(["x"])).await;
    setup.send(chat("u", turns(texts)), Answer::words(["y"])).await;
    assert_eq!(setup.said("u").await.len(), 4);
}

/// Everything that is stored, as text.
async fn everything(setup: &Setup) -> String {
    let mut all = String::new();
    for session in setup.sessions().await {
        all += &serde_json::to_string(&session).unwrap();
        all += &serde_json::to_string(&setup.messages(session.id.as_str()).await).unwrap();
    }
    all
}

/// Where a client and a provider can put a text: chat completions with it in every place.
fn everywhere(text: &str, headers: &[(&str, &str)]) -> (Request<Body>, Vec<Answer>) {
    let function = json!({"name": text, "description": text, "parameters": {text: text}});
    let call = json!({"index": 0, "id": text, "type": "function", "function": {
        "name": text, "arguments": json!({text: [text]}).to_string(),
    }});
    let question = json!({
        "model": text,
        "tools": [{"type": "function", "function": function}, {"type": text}],
        "messages": [
            {"role": "system", "content": text},
            {"role": "user", "name": text, "content": [
                {"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": text}},
                {"type": text, text: {text: text}},
            ]},
            {"role": "assistant", "reasoning": text, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": text, "content": text},
            {"role": "user", "content": format!("<{text}>")},
        ],
    });
    let mut request = Request::post("/v1/chat/completions")
        .header("x-session-id", text)
        .header("x-request-id", text)
        .header("x-user", text)
        .header("x-project", text)
        .header("user-agent", text);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body(question.to_string())).unwrap();
    let choice = |delta: serde_json::Value, reason: serde_json::Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!("data: {}\n\n", json!({"id": text, "model": text, "choices": [choice]}))
    };
    let stream = Answer::events([
        choice(json!({"reasoning": text, "content": text, "tool_calls": [call]}), json!(null)),
        choice(json!({"refusal": text}), json!(text)),
    ]);
    let message = json!({"content": text, "refusal": text, "tool_calls": [call]});
    let whole = json!({"id": text, "model": text, "choices": [
        {"index": 0, "message": message, "finish_reason": text},
    ]});
    let error = json!({"error": {"message": text, "type": text, "code": text}});
    let answers = vec![
        stream,
        Answer::json(whole),
        Answer::json(error).status(401),
        Answer::words(["x"]).header("content-encoding", text),
        Answer::words(["x"]).failing_after(1),
    ];
    (request, answers)
}

fn setup_with_ids() -> Setup {
    Setup::with(|layer| layer.user(Ladder::header("x-user")).project(Ladder::header("x-project")))
}

#[tokio::test]
async fn the_own_credentials_come_back_nowhere() {
    let secret = "4f0c2d91e6b84b7f9a3d5c8e7b6a1f20";
    let bearer = format!("Bearer {secret}");
    let cookie = format!("theme=dark; sid={secret}");
    for (name, value) in [
        ("authorization", &*bearer),
        ("api-key", secret),
        ("x-api-key", secret),
        ("x-goog-api-key", secret),
        ("cookie", &cookie),
    ] {
        let answers = everywhere("", &[]).1.len();
        for at in 0..answers {
            let setup = setup_with_ids();
            let (request, mut answers) = everywhere(secret, &[(name, value)]);
            setup.send(request, answers.remove(at)).await;
            assert_eq!(setup.recorder.counts().recorded, 1, "{name}, answer {at}");
            let all = everything(&setup).await;
            assert!(!all.contains(&secret[..16]), "{name}, answer {at}: {all}");
            assert!(all.contains("<[redacted]>"), "{all}");
        }
    }
    let setup = Setup::new();
    let request = Request::post(format!("/v1/chat/completions?key={secret}"));
    let question = json!({"messages": turns([secret])}).to_string();
    let request = request.header("x-session-id", "s").body(body(question)).unwrap();
    setup.send(request, Answer::words([secret])).await;
    assert_eq!(setup.said("s").await, ["user: [redacted]", "assistant: [redacted]"]);
}

#[tokio::test]
async fn keys_of_known_forms_come_back_nowhere() {
    let forms = ["sk-proj-THISISASECRET000000001", "hf_THISISASECRET0000000000000000000001"];
    for secret in forms {
        let answers = everywhere("", &[]).1.len();
        for at in 0..answers {
            let setup = setup_with_ids();
            let (request, mut answers) = everywhere(secret, &[]);
            setup.send(request, answers.remove(at)).await;
            let all = everything(&setup).await;
            assert!(!all.to_lowercase().contains("thisisasecret"), "answer {at}: {all}");
        }
    }
}

#[tokio::test]
async fn ids_with_secrets_stay_apart_and_the_same() {
    let setup = setup_with_ids();
    let ask = |session: &str, text: &str| {
        let request = chat(session, turns([text]));
        let (mut head, body) = request.into_parts();
        head.headers.insert("x-user", HeaderValue::from_static("sk-user-of-some-secret-0001"));
        Request::from_parts(head, body)
    };
    setup.send(ask("sk-session-of-some-secret-1", "a"), Answer::words(["x"])).await;
    setup.send(ask("sk-session-of-some-secret-2", "b"), Answer::words(["y"])).await;
    let mut messages = ask("sk-session-of-some-secret-1", "a");
    *messages.body_mut() = body(json!({"messages": turns(["a", "x", "c"])}).to_string());
    setup.send(messages, Answer::words(["z"])).await;
    let sessions = setup.sessions().await;
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert!(sessions.iter().all(|session| session.id.as_str().starts_with("sha256:")));
    assert!(sessions.iter().all(|session| session.user_id == sessions[0].user_id));
    assert!(sessions[0].user_id.as_deref().unwrap().starts_with("sha256:"));
    assert_eq!(sessions[0].message_count, 4);
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
