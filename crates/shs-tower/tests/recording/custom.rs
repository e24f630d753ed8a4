//! APIs of one's own.

use serde_json::{Value, json};
use shs_store::{ErrorKind, NewMessage, Status};
use shs_tower::Limits;
use shs_tower::decode::{Custom, Prompt, Reply};

use crate::support::{Answer, Setup, body, post};

fn setup() -> Setup {
    let api = Custom::post("/api/chat", |body: &Value| {
        Some(
            Prompt::continues(vec![NewMessage::user(body["message"].as_str()?)])
                .with_model("house"),
        )
    })
    .reply(|body| Reply::text(body["answer"].as_str().unwrap_or_default()))
    .events(|kind, data, answer| {
        if kind == "word" {
            answer.push_str(data);
        }
    });
    Setup::with(|layer| layer.decoder(api))
}

#[tokio::test]
async fn json_events_and_text_are_read() {
    let setup = setup();
    let ask = || post("/api/chat", "s", &json!({"message": "Hello!"}));
    setup.send(ask(), Answer::json(json!({"answer": "plain"}))).await;
    setup
        .send(
            ask(),
            Answer::events(["event: word\ndata: eve\n\n", "data: x\n\nevent: word\ndata: nts\n\n"]),
        )
        .await;
    let mut text = Answer::events(["te", "xt"]);
    text.headers = vec![("content-type", "text/plain".to_owned())];
    setup.send(ask(), text.clone()).await;
    setup.leave_after(ask(), text, 1).await;
    setup.send(ask(), Answer::json(json!({"error": "no"})).status(500)).await;
    let messages = setup.messages("s").await;
    let answers = messages.iter().skip(1).step_by(2);
    let answers: Vec<_> = answers.map(|m| (m.content.as_str(), m.status)).collect();
    let expected = [
        ("plain", Status::Delivered),
        ("events", Status::Delivered),
        ("text", Status::Delivered),
        ("te", Status::Interrupted),
        ("", Status::Error),
    ];
    assert_eq!(answers, expected);
    assert_eq!(messages.len(), 10);
    assert_eq!(messages[1].model.as_deref(), Some("house"));
    assert_eq!(messages[9].metadata["shs.error"]["message"], "no");
}

fn asking(path: &str) -> Custom {
    Custom::post(path, |body| {
        Some(Prompt::continues(vec![NewMessage::user(body["message"].as_str()?)]))
    })
}

#[tokio::test]
async fn paths_have_parameters_as_axum_writes_them() {
    for (pattern, matching, other) in [
        ("/api/chats/{id}/ask", "/api/chats/7/ask", "/api/chats/7/8/ask"),
        ("/api/chats/{id}/ask", "/api/chats/a%2Fb/ask?x=1", "/api/chats/ask"),
        ("/api/{*rest}", "/api/a/b/c", "/api/"),
        ("/plain", "/plain", "/plain/"),
        ("/{{id}}", "/{id}", "/7"),
    ] {
        let setup = Setup::with(|layer| layer.decoder(asking(pattern)));
        for path in [matching, other] {
            let ask = post(path, "s", &json!({"message": "Hello!"}));
            setup.send(ask, Answer::json(json!("Hi!"))).await;
        }
        assert_eq!(setup.recorder.counts().recorded, 1, "{pattern}");
        assert_eq!(setup.last("s").await.metadata["shs.api"], pattern);
    }
}

#[test]
fn a_path_that_matches_nothing_is_an_error_when_it_is_made() {
    for path in
        ["", "api", "/a b", "/é", "/a?b=c", "/a#b", "/:id", "/*rest", "/{id", "/{}", "/{*a}/b"]
    {
        let made = Custom::on(http::Method::PUT, path, |_| None);
        let error = made.err().unwrap_or_else(|| panic!("{path:?} is taken"));
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.detail().contains("matches no request"), "{}", error.detail());
    }
}

#[test]
#[should_panic(expected = "begin it with a slash")]
fn a_path_without_a_slash_panics() {
    let _ = Custom::post("api/chat", |_| None);
}

#[tokio::test]
async fn other_methods_and_requests_without_a_body_are_read() {
    let api = Custom::on(http::Method::GET, "/ask/{about}", |body| {
        body.is_null().then(|| Prompt::continues(vec![NewMessage::user("?")]))
    });
    let setup = Setup::with(|layer| layer.decoder(api.unwrap()));
    let ask = http::Request::get("/ask/weather").header("x-session-id", "s");
    setup.send(ask.body(body("")).unwrap(), Answer::json(json!("Rain."))).await;
    let ask = http::Request::post("/ask/weather").header("x-session-id", "s");
    setup.send(ask.body(body("")).unwrap(), Answer::json(json!("Snow."))).await;
    assert_eq!(setup.said("s").await, ["user: ?", "assistant: Rain."]);
    assert_eq!(setup.last("s").await.metadata["shs.api"], "GET /ask/{about}");
}

fn lines(kind: &str, lines: &str) -> Answer {
    let mut answer = Answer::events([lines]);
    answer.headers = vec![("content-type", kind.to_owned())];
    answer
}

#[tokio::test]
async fn lines_of_json_are_read_however_they_are_split() {
    let api = asking("/api/chat")
        .events(|kind, line, answer| {
            assert_eq!(kind, "line");
            let line: Value = serde_json::from_str(line).unwrap();
            answer.push_str(line["text"].as_str().unwrap_or_default());
        })
        .ends(|_, line| line.contains("\"done\":true"));
    let setup = Setup::with(|layer| layer.decoder(api));
    let whole = "{\"text\":\"Hé\"}\r\n\n{\"text\":\"llo\"}\n{\"done\":true}";
    for (at, kind) in
        ["application/x-ndjson", "Application/JSONL; charset=utf-8"].iter().enumerate()
    {
        for pieces in [1, 2, 7, 1_000] {
            let session = format!("s{at}-{pieces}");
            let ask = post("/api/chat", &session, &json!({"message": "a"}));
            setup.send(ask, lines(kind, whole).in_pieces(pieces)).await;
            let last = setup.last(&session).await;
            assert_eq!((last.content.as_str(), last.status), ("Héllo", Status::Delivered));
        }
    }
    let ask = post("/api/chat", "cut", &json!({"message": "a"}));
    setup.send(ask, lines("application/x-ndjson", "{\"text\":\"Hé\"}\n")).await;
    let last = setup.last("cut").await;
    assert_eq!((last.content.as_str(), last.status), ("Hé", Status::Interrupted));
}

#[tokio::test]
async fn lines_beyond_the_limits_are_passed_over_and_said() {
    let limits = Limits::default().with_event(1_000).with_parsed(100_000);
    let api = asking("/api/chat").events(|_, line, answer| answer.push_str(line));
    let setup = Setup::with(|layer| layer.decoder(api).limits(limits));
    let long = format!("[\"{}\"]\nx\n", "y".repeat(1_000));
    let wide = format!("[{}0]\nx\n", "{},".repeat(300));
    for (session, body) in [("long", long), ("wide", wide)] {
        let ask = post("/api/chat", session, &json!({"message": "a"}));
        setup.send(ask, lines("application/x-ndjson", &body)).await;
        let last = setup.last(session).await;
        assert_eq!(last.content, "x", "{session}");
        assert!(last.metadata.contains_key("shs.truncated"), "{session}");
    }
}

#[tokio::test]
async fn events_that_stop_before_the_one_that_ends_are_interrupted() {
    let api = asking("/api/chat").ends(|kind, _| kind == "end");
    let setup = Setup::with(|layer| layer.decoder(api));
    let ask = |session: &str| post("/api/chat", session, &json!({"message": "a"}));
    setup.send(ask("whole"), Answer::events(["data: b\n\n", "event: end\ndata: .\n\n"])).await;
    assert_eq!(setup.last("whole").await.status, Status::Delivered);
    setup.send(ask("cut"), Answer::events(["data: b\n\n"])).await;
    assert_eq!(setup.last("cut").await.status, Status::Interrupted);
}

#[tokio::test]
async fn a_request_without_a_turn_is_not_recorded() {
    let setup = setup();
    setup.send(post("/api/chat", "s", &json!({"ping": 1})), Answer::json(json!({}))).await;
    assert_eq!(setup.recorder.counts().unreadable, 1);
}
