//! APIs of one's own.

use serde_json::{Value, json};
use shs_store::{NewMessage, Status};
use shs_tower::decode::{Custom, Prompt, Reply};

use crate::support::{Answer, Setup, post};

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

#[tokio::test]
async fn a_request_without_a_turn_is_not_recorded() {
    let setup = setup();
    setup.send(post("/api/chat", "s", &json!({"ping": 1})), Answer::json(json!({}))).await;
    assert_eq!(setup.recorder.counts().unreadable, 1);
}
