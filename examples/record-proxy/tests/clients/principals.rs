//! Many tenants and users at one proxy, who send the ids of each other's sessions.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::TryStreamExt;
use serde_json::{Value, json};
use session_history_saver::sqlite::SqliteStore;
use session_history_saver::{
    AdminStore, Scope, SessionId, SessionQuery, Store, StoreExt, TenantQuery,
};
use tokio::net::TcpListener;

use crate::numbers::Numbers;
use crate::support::{Api, Proxy, http};

/// Who sends a request: a tenant and a user. Some become each other where they are joined or cut.
const PRINCIPALS: [(Option<&str>, Option<&str>); 10] = [
    (None, None),
    (None, Some("alice")),
    (None, Some("bob")),
    (None, Some("acme/alice")),
    (Some("acme"), None),
    (Some("acme"), Some("alice")),
    (Some("acme"), Some("bob")),
    (Some("acme/alice"), None),
    (Some("ACME"), Some("alice")),
    (Some("acm"), Some("ealice")),
];

/// How many requests are sent: more with `SHS_OPERATIONS`.
fn operations() -> u32 {
    std::env::var("SHS_OPERATIONS").map_or(400, |text| text.parse().expect("it is a number"))
}

/// Answers the question `p1 q7` with `p1 a7`, as a stream or as a whole.
async fn answer(Json(request): Json<Value>) -> Response {
    let asked = request["messages"].as_array().and_then(|all| all.last()).expect("a question");
    let text = asked["content"].as_str().expect("it is text").replace('q', "a");
    if request["stream"] != true {
        let choice = json!({ "message": { "content": text }, "finish_reason": "stop" });
        return Json(json!({ "id": "c", "model": "m", "choices": [choice] })).into_response();
    }
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        format!("data: {}\n\n", json!({ "id": "c", "model": "m", "choices": [choice] }))
    };
    let (first, last) =
        (chunk(json!({ "content": text }), Value::Null), chunk(json!({}), json!("stop")));
    let body = format!("{first}{last}data: [DONE]\n\n");
    ([("content-type", "text/event-stream")], Bytes::from(body)).into_response()
}

async fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route(Api::Chat.path(), post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

#[tokio::test]
async fn whatever_ids_they_send_nobody_writes_to_what_is_another_ones() {
    let seed = std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("it is a number"));
    eprintln!("SHS_SEED={seed}");
    let mut numbers = Numbers::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let proxy = Proxy::start(&format!("sqlite:{}", path.display()), &upstream().await).await;
    let reading = SqliteStore::open(&path).await.unwrap();
    // Ids that clients send: some of their own, and with time every id that the store has.
    let mut ids: Vec<String> =
        ["chat-1", "alice/chat-1", "a", "a~b", "sha256:0", ""].map(str::to_owned).to_vec();
    let everybody: Vec<usize> = (0..PRINCIPALS.len()).collect();
    let mut known: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    let mut acknowledged: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for number in 0..operations() {
        let who = numbers.pick(&everybody);
        let id = ids[numbers.below(ids.len() as u64) as usize].clone();
        // A conversation that goes on, or, now and then, a new one under its id.
        let texts = known.entry((who, id.clone())).or_default();
        if numbers.below(6) == 0 {
            texts.clear();
        }
        texts.push(format!("p{who} q{number}"));
        let is_stream = numbers.below(2) == 0;
        let messages: Vec<Value> = texts
            .iter()
            .zip(["user", "assistant"].iter().cycle())
            .map(|(content, role)| json!({ "role": role, "content": content }))
            .collect();
        let body = json!({ "model": "m", "stream": is_stream, "messages": messages });
        let mut request = Request::post(format!("{}{}", proxy.base, Api::Chat.path()))
            .header("content-type", "application/json");
        let (tenant, user) = PRINCIPALS[who];
        let named = [("x-tenant-id", tenant), ("x-user-id", user), ("x-session-id", Some(&*id))];
        for (name, value) in named {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                request = request.header(name, value);
            }
        }
        let response = http::exchange(request.body(Body::from(body.to_string())).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let answered = format!("p{who} a{number}");
        assert!(String::from_utf8_lossy(response.body()).contains(&answered));
        acknowledged
            .entry(who)
            .or_default()
            .extend([format!("p{who} q{number}"), answered.clone()]);
        texts.push(answered);
        if number % 20 == 19 {
            let scope = tenant.map_or(Scope::DEFAULT, |tenant| Scope::tenant(tenant).unwrap());
            let some = reading.list_sessions(&scope, &SessionQuery::new()).await.unwrap();
            ids.extend(some.items.iter().map(|session| session.id.to_string()));
            ids.sort();
            ids.dedup();
        }
    }
    reading.close().await.unwrap();
    proxy.terminate().await;
    let said = proxy.ended().await;
    assert!(said.contains("dropped: 0, unreadable: 0, failed: 0"), "{said}");
    assert!(said.ends_with("not waited for: 0"), "{said}");

    // Every session has one owner's texts, is that owner's, and nothing is missing.
    let store = SqliteStore::open(&path).await.unwrap();
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for tenant in store.tenants(&TenantQuery::new()).await.unwrap().items {
        let scope = Scope::of(tenant.id.clone());
        for id in sessions(&store, &scope).await {
            let transcript = store.transcript(&scope, &id).await.unwrap();
            let user = transcript.session.user_id.as_deref();
            let is_owner = |(name, owner): &(Option<&str>, Option<&str>)| {
                name.unwrap_or_default() == tenant.id.as_str() && *owner == user
            };
            let owner = PRINCIPALS.iter().position(is_owner).expect("it is somebody's");
            let mut once = BTreeSet::new();
            for message in &transcript.messages {
                let marker = format!("p{owner} ");
                assert!(message.content.starts_with(&marker), "{id} of {owner}: {message:?}");
                assert!(once.insert(message.content.clone()), "{id} has it twice: {message:?}");
            }
            found.entry(owner).or_default().extend(once);
        }
    }
    assert_eq!(found, acknowledged);
    store.close().await.unwrap();
}

async fn sessions(store: &SqliteStore, scope: &Scope) -> Vec<SessionId> {
    let sessions = store.session_stream(scope, SessionQuery::new());
    sessions.map_ok(|session| session.id).try_collect().await.unwrap()
}
