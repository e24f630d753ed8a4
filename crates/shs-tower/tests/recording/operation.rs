//! The recorder at work: full queues, stores that fail, flushing, shutting down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::json;
use shs_memory::MemoryStore;
use shs_store::{Scope, Status, Store};
use shs_testkit::{Fault, FaultStore, Operation};
use shs_tower::decode::{Decoder, Prompt, ReplyDecoder};
use shs_tower::{Ladder, Limits, RecordLayer, Recorder, RecorderOptions};

use crate::support::{Answer, Setup, body, chat, turns, until};

#[tokio::test]
async fn a_full_queue_lets_requests_pass_and_counts_them() {
    let store = Arc::new(MemoryStore::new());
    let options = RecorderOptions::default().with_queue(2);
    let recorder = Recorder::with_options(Arc::clone(&store) as Arc<dyn Store>, options);
    let setup = Setup { layer: RecordLayer::new(recorder.clone()), recorder, store };
    let answer = Answer::words(["Hi!"]);
    let first = setup.call(chat("s1", turns(["a"])), answer.clone()).await;
    let second = setup.call(chat("s2", turns(["a"])), answer.clone()).await;
    assert_eq!(setup.send(chat("s3", turns(["a"])), answer.clone()).await, answer.bytes());
    assert_eq!(setup.recorder.counts().dropped, 1);
    drop((first, second));
    setup.recorder.flush().await;
    setup.send(chat("s4", turns(["a"])), answer).await;
    let ids: Vec<_> = setup.sessions().await.into_iter().map(|session| session.id).collect();
    assert_eq!(ids.len(), 3);
    assert!(!ids.iter().any(|id| *id == "s3"));
}

#[tokio::test(start_paused = true)]
async fn so_much_waits_for_the_store_and_no_more() {
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let options = RecorderOptions::default().with_memory(120_000);
    let recorder = Recorder::with_options(Arc::clone(&store) as Arc<dyn Store>, options);
    let setup = Setup { layer: RecordLayer::new(recorder.clone()), recorder, store };
    setup.store.inject(Fault::before(Operation::CreateSession).every_time());
    for n in 0..10 {
        let request = chat(&format!("s{n}"), turns([&*"x".repeat(30_000)]));
        let mut body = setup.call(request, Answer::words(["Hi!"])).await.into_body();
        while body.frame().await.is_some() {}
    }
    assert_eq!(setup.recorder.counts().dropped, 7);
    setup.store.clear();
    setup.recorder.flush().await;
    assert_eq!(setup.recorder.counts().recorded, 3);
    // A larger one than that is kept when nothing else waits.
    let request = chat("large", turns([&*"x".repeat(300_000)]));
    setup.send(request, Answer::words(["Hi!"])).await;
    assert_eq!(setup.recorder.counts().recorded, 4);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_unavailable_is_waited_for() {
    let store = FaultStore::new(MemoryStore::new());
    let setup = Setup::over(store, |layer| layer);
    setup.store.inject(Fault::before(Operation::CreateSession).every_time());
    let answer = Answer::words(["Hi!"]);
    let mut body = setup.call(chat("s", turns(["a"])), answer.clone()).await.into_body();
    while body.frame().await.is_some() {}
    drop(body);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(setup.recorder.counts(), shs_tower::Counts::default());
    setup.store.clear();
    setup.recorder.flush().await;
    assert_eq!(setup.said("s").await, ["user: a", "assistant: Hi!"]);
    assert_eq!(setup.recorder.counts().recorded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_costs_what_could_not_be_kept_and_no_request() {
    let setup = Setup::over(FaultStore::new(MemoryStore::new()), |layer| layer);
    setup.store.inject(Fault::before(Operation::Append).every_time());
    let answer = Answer::words(["Hi!"]);
    for n in 0..3 {
        assert_eq!(
            setup.send(chat(&format!("s{n}"), turns(["a"])), answer.clone()).await,
            answer.bytes()
        );
    }
    assert_eq!(setup.recorder.counts().failed, 3);
    setup.store.clear();
    setup.send(chat("s9", turns(["a"])), answer.clone()).await;
    assert_eq!(setup.recorder.counts().recorded, 1);
    setup.store.close().await.unwrap();
    assert_eq!(setup.send(chat("s9", turns(["b"])), answer.clone()).await, answer.bytes());
    assert_eq!(setup.recorder.counts().failed, 4);
}

#[tokio::test]
async fn who_goes_on_before_the_last_turn_is_stored_goes_on_in_its_session() {
    let ask = |path: &str, json: serde_json::Value| {
        http::Request::post(path).body(body(json.to_string())).unwrap()
    };
    let chat = |texts: &[&str]| {
        ask("/v1/chat/completions", json!({"messages": turns(texts.iter().copied())}))
    };
    let respond = |input: &str, previous: Option<&str>| {
        ask("/v1/responses", json!({"input": input, "previous_response_id": previous}))
    };
    let response = |id: &str, text: &str| {
        let content = json!([{"type": "output_text", "text": text}]);
        let output = json!([{"type": "message", "role": "assistant", "content": content}]);
        Answer::json(json!({"id": id, "status": "completed", "output": output}))
    };
    let of_chat = [
        (chat(&["a"]), Answer::text("b")),
        (chat(&["a", "b", "c"]), Answer::text("d")),
        (chat(&["a", "b", "c", "d", "e"]), Answer::text("f")),
    ];
    let of_responses = [
        (respond("a", None), response("r1", "b")),
        (respond("c", Some("r1")), response("r2", "d")),
        (respond("e", Some("r2")), response("r3", "f")),
    ];
    for exchanges in [of_chat, of_responses] {
        let setup = Setup::over(FaultStore::new(MemoryStore::new()), |layer| layer);
        setup.store.inject(Fault::before(Operation::CreateSession));
        for (request, answer) in exchanges {
            let mut body = setup.call(request, answer).await.into_body();
            while body.frame().await.is_some() {}
        }
        setup.recorder.flush().await;
        let sessions = setup.sessions().await;
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        let messages = setup.messages(sessions[0].id.as_str()).await;
        let said: String = messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(said, "abcdef");
        assert_eq!(setup.recorder.counts().recorded, 3);
    }
}

#[tokio::test]
async fn an_append_whose_outcome_is_unknown_is_not_doubled() {
    let setup = Setup::over(FaultStore::new(MemoryStore::new()), |layer| layer);
    setup.store.inject(Fault::after(Operation::Append));
    setup.send(chat("s", turns(["a"])), Answer::words(["Hi!"])).await;
    assert_eq!(setup.said("s").await, ["user: a", "assistant: Hi!"]);
}

#[tokio::test]
async fn shutting_down_drains_what_is_under_way() {
    let setup = Setup::new();
    let response = setup.call(chat("s", turns(["a"])), Answer::words(["Hi!"])).await;
    let recorder = setup.recorder.clone();
    let shutdown = tokio::spawn(async move { recorder.shutdown(Duration::from_secs(30)).await });
    until("the recorder takes no more", async || {
        setup.send(chat("t", turns(["a"])), Answer::words(["b"])).await;
        setup.recorder.counts().dropped > 0
    })
    .await;
    response.into_body().collect().await.unwrap();
    assert_eq!(shutdown.await.unwrap(), 0);
    assert_eq!(setup.said("s").await, ["user: a", "assistant: Hi!"]);
    assert_eq!(setup.recorder.shutdown(Duration::ZERO).await, 0);
}

#[tokio::test]
async fn a_deadline_says_what_was_still_open() {
    let setup = Setup::new();
    let response = setup.call(chat("s", turns(["a"])), Answer::words(["Hi!"])).await;
    assert_eq!(setup.recorder.shutdown(Duration::from_millis(1)).await, 1);
    drop(response);
    assert_eq!(setup.recorder.counts().failed, 1);
}

#[tokio::test]
async fn the_last_clone_lets_the_queue_be_finished() {
    let Setup { store, recorder, layer } = Setup::new();
    let setup = Setup { store: Arc::clone(&store), recorder, layer };
    let response = setup.call(chat("s", turns(["a"])), Answer::words(["Hi!"])).await;
    drop(setup);
    response.into_body().collect().await.unwrap();
    until("the exchange is stored", async || {
        store
            .session(&Scope::DEFAULT, &shs_store::SessionId::new("s").unwrap())
            .await
            .is_ok_and(|s| s.message_count == 2)
    })
    .await;
}

#[tokio::test]
async fn requests_that_are_no_turn_are_counted_and_go_on() {
    let setup = Setup::new();
    for bytes in [&b"{"[..], b"[]", b"{\"messages\": 1}", b"", b"\xff\xff"] {
        let request =
            http::Request::post("/v1/chat/completions").body(body(bytes.to_vec())).unwrap();
        assert_eq!(setup.send(request, Answer::text("x")).await, Answer::text("x").bytes());
    }
    assert_eq!(setup.recorder.counts().unreadable, 5);
    assert!(setup.sessions().await.is_empty());
    // Text that is not UTF-8 inside of JSON is a turn.
    let request = http::Request::post("/v1/chat/completions")
        .header("x-session-id", "s")
        .body(body(&b"{\"messages\": [{\"role\": \"user\", \"content\": \"a\xffb\"}]}"[..]));
    setup.send(request.unwrap(), Answer::text("x")).await;
    assert_eq!(setup.said("s").await, ["user: a\u{fffd}b", "assistant: x"]);
}

#[tokio::test]
async fn a_response_that_is_not_what_it_says_is_kept_as_an_error() {
    let setup = Setup::new();
    let mut answer = Answer::json(json!({}));
    answer.frames = vec![Ok("<html>".into())];
    assert_eq!(setup.send(chat("s", turns(["a"])), answer).await, b"<html>");
    assert_eq!(setup.last("s").await.status, Status::Error);
}

/// Panics where it is told to.
#[derive(Debug)]
struct Panicking {
    at: &'static str,
    count: AtomicUsize,
}

impl Panicking {
    fn at(&self, at: &str) {
        if self.at == at {
            self.count.fetch_add(1, Ordering::Relaxed);
            panic!("a bug in the decoder");
        }
    }
}

struct PanickingReply {
    at: &'static str,
}

impl Decoder for Panicking {
    fn name(&self) -> &str {
        "panicking"
    }

    fn matches(&self, _: &http::Method, _: &http::Uri) -> bool {
        self.at("matches");
        true
    }

    fn request(&self, _: &[u8]) -> Result<Prompt, String> {
        self.at("request");
        Ok(Prompt::continues(vec![shs_store::NewMessage::user("a")]))
    }

    fn response(&self, _: &http::response::Parts, _: &Limits) -> Box<dyn ReplyDecoder> {
        self.at("response");
        Box::new(PanickingReply { at: self.at })
    }
}

impl ReplyDecoder for PanickingReply {
    fn push(&mut self, _: &[u8]) {
        assert_ne!(self.at, "push", "a bug in the decoder");
    }

    fn has_content(&self) -> bool {
        false
    }

    fn held(&self) -> usize {
        0
    }

    fn is_complete(&self, at_end: bool) -> bool {
        at_end
    }

    fn finish(&mut self) -> shs_tower::decode::Reply {
        assert_ne!(self.at, "finish", "a bug in the decoder");
        shs_tower::decode::Reply::text("b")
    }
}

#[tokio::test]
async fn decoders_and_hooks_that_panic_harm_no_request() {
    for at in ["matches", "request", "response", "push", "finish"] {
        let decoder = Panicking { at, count: AtomicUsize::new(0) };
        let setup = Setup::with(|layer| layer.decoder(decoder));
        let answer = Answer::words(["Hi!"]);
        assert_eq!(
            setup.send(chat("s", turns(["a"])), answer.clone()).await,
            answer.bytes(),
            "{at}"
        );
        if at == "push" {
            let last = setup.last("s").await;
            assert_eq!(last.status, Status::Error);
            assert_eq!(last.metadata["shs.error"]["message"], "a decoder panicked");
        }
    }
    let setup = Setup::with(|layer| {
        let session =
            Ladder::extension(|(): &()| panic!("a bug in the hook")).or_header("x-session-id");
        layer.when(|_| panic!("a bug in the hook")).session(session)
    });
    let mut request = chat("s", turns(["a"]));
    request.extensions_mut().insert(());
    setup.send(request, Answer::words(["Hi!"])).await;
    assert_eq!(setup.sessions().await.len(), 1);
}

#[tokio::test]
async fn what_the_condition_excludes_is_not_recorded() {
    let setup = Setup::with(|layer| layer.when(|parts| !parts.headers.contains_key("x-private")));
    let mut request = chat("s", turns(["a"]));
    request.headers_mut().insert("x-private", "1".parse().unwrap());
    setup.send(request, Answer::words(["Hi!"])).await;
    assert!(setup.sessions().await.is_empty());
    assert_eq!(setup.recorder.counts().dropped, 0);
}
