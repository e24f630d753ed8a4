//! The program stops, as it is asked to or not.

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use session_history_saver::sqlite::SqliteStore;
use session_history_saver::{Message, Scope, SessionId, SessionQuery, Status, Store, StoreExt};
use tempfile::TempDir;

use crate::support::{Api, Feed, Proxy, Replay, http, until};

fn chunk(text: &str) -> Bytes {
    let choice = json!({ "index": 0, "delta": { "content": text }, "finish_reason": null });
    format!("data: {}\n\n", json!({ "id": "c1", "model": "m", "choices": [choice] })).into()
}

fn end() -> [Bytes; 2] {
    let choice = json!({ "index": 0, "delta": {}, "finish_reason": "stop" });
    let last = format!("data: {}\n\n", json!({ "id": "c1", "model": "m", "choices": [choice] }));
    [last.into(), "data: [DONE]\n\n".into()]
}

/// A proxy before an upstream that says what the test says, with a store in a folder.
struct Setup {
    folder: TempDir,
    replay: Replay,
    proxy: Proxy,
}

impl Setup {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let replay = Replay::start().await;
        let proxy = Proxy::start(&location(&folder), &replay.base).await;
        Self { folder, replay, proxy }
    }

    /// Begins a stream, and reads its first piece, which the client has then.
    async fn begin(&self, session: &str, messages: &Value) -> (Feed, Body) {
        let feed = self.replay.stream();
        feed.send(&[chunk("a")]);
        let body = json!({ "model": "m", "stream": true, "messages": messages });
        let url = format!("{}{}", self.proxy.base, Api::Chat.path());
        let mut response = http::send(http::post(&url, session, "ada", &body)).await.into_body();
        let first = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, chunk("a"));
        (feed, response)
    }
}

async fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(folder.path().join("history.db")).await.unwrap()
}

fn location(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("history.db").display())
}

fn question(session: &str) -> Value {
    json!([{ "role": "user", "content": format!("Question of {session}") }])
}

/// What a client sends that got an answer, and asks again.
fn next_question(session: &str) -> Value {
    let mut messages = question(session);
    let more = [("assistant", "a"), ("user", "And?")];
    let more = more.map(|(role, content)| json!({ "role": role, "content": content }));
    messages.as_array_mut().expect("it is one").extend(more);
    messages
}

async fn messages(store: &dyn Store, session: &str) -> Vec<Message> {
    let id = SessionId::new(session).unwrap();
    store
        .transcript(&Scope::DEFAULT, &id)
        .await
        .map(|transcript| transcript.messages)
        .unwrap_or_default()
}

fn said(messages: &[Message]) -> Vec<(String, Status)> {
    messages.iter().map(|message| (message.content.clone(), message.status)).collect()
}

#[tokio::test]
async fn on_sigterm_streams_go_on_to_their_end_and_are_stored() {
    let setup = Setup::start().await;
    let mut streams = Vec::new();
    for at in 0..20 {
        let session = format!("s{at}");
        let (feed, body) = setup.begin(&session, &question(&session)).await;
        streams.push((session, feed, body));
    }
    setup.proxy.terminate().await;
    for (at, (_, feed, body)) in streams.iter_mut().enumerate() {
        feed.send(&[chunk("b")]);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), chunk("b"));
        if at % 2 == 0 {
            feed.send(&end());
        }
    }
    let mut sessions = Vec::new();
    for (session, feed, body) in streams {
        sessions.push(session);
        // Half of the streams were not sent to their end; these the clients leave.
        if sessions.len() % 2 == 1 {
            drop(feed);
            body.collect().await.unwrap();
        } else {
            drop(body);
            feed.left().await;
        }
    }
    let last = setup.proxy.ended().await;
    assert!(last.contains("recorded: 20, aborted: 10,"), "{last}");
    assert!(last.ends_with("not waited for: 0"), "{last}");
    let store = open(&setup.folder).await;
    for (at, session) in sessions.iter().enumerate() {
        let status = if at % 2 == 0 { Status::Delivered } else { Status::Interrupted };
        let wanted =
            [(format!("Question of {session}"), Status::Delivered), ("ab".to_owned(), status)];
        assert_eq!(said(&messages(&store, session).await), wanted);
    }
}

#[tokio::test]
async fn sigkill_loses_what_was_under_way_and_nothing_else() {
    let mut setup = Setup::start().await;
    for at in 0..20 {
        let session = format!("s{at}");
        let (feed, body) = setup.begin(&session, &question(&session)).await;
        feed.send(&end());
        drop(feed);
        body.collect().await.unwrap();
    }
    let store = open(&setup.folder).await;
    until("everything is stored", async || {
        let stats = store.stats(&Scope::DEFAULT, &Default::default()).await.unwrap();
        stats.messages == 40
    })
    .await;
    let (feed, body) = setup.begin("s0", &next_question("s0")).await;
    let under_way = setup.begin("new", &question("new")).await;
    setup.proxy.kill().await;
    // The clients notice.
    assert!(body.collect().await.is_err());
    feed.left().await;
    assert!(under_way.1.collect().await.is_err());
    store.close().await.unwrap();

    let store = open(&setup.folder).await;
    for at in 0..20 {
        let session = format!("s{at}");
        let wanted = [format!("Question of {session}"), "a".to_owned()]
            .map(|text| (text, Status::Delivered));
        assert_eq!(said(&messages(&store, &session).await), wanted);
    }
    let sessions = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
    assert_eq!(sessions.len(), 20, "what was under way is not stored");
    store.close().await.unwrap();

    // The next proxy goes on with the conversations.
    setup.proxy = Proxy::start(&location(&setup.folder), &setup.replay.base).await;
    let (feed, body) = setup.begin("s0", &next_question("s0")).await;
    feed.send(&end());
    drop(feed);
    body.collect().await.unwrap();
    setup.proxy.terminate().await;
    setup.proxy.ended().await;
    let store = open(&setup.folder).await;
    let texts: Vec<_> =
        messages(&store, "s0").await.into_iter().map(|message| message.content).collect();
    assert_eq!(texts, ["Question of s0", "a", "And?", "a"]);
}
