//! The HTTP API, against the running program.

use std::process::Stdio;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::http::{self, Client};
use crate::support::server::{Server, command};
use crate::support::until;

const SLOW: &[(&str, &str)] = &[("CHATBOT_DELAY_MS", "400")];
const ANSWER: &str = "Would it really help you to get your keys?";

/// Runs a test on each backend that has a disk.
macro_rules! on_each_backend {
    ($($(#[$doc:meta])* $name:ident)+) => {
        mod sqlite {
            $($(#[$doc])* #[tokio::test] async fn $name() { super::$name("sqlite").await; })+
        }
        #[cfg(feature = "fs")]
        mod fs {
            $($(#[$doc])* #[tokio::test] async fn $name() { super::$name("fs").await; })+
        }
    };
}

on_each_backend! {
    talks_lists_searches_renames_exports_and_deletes
    visitors_see_their_own_conversations_only
    what_stands_in_the_store_is_no_cookie
    a_message_that_is_posted_again_is_stored_once
    a_client_that_goes_away_leaves_the_answer_interrupted_and_can_have_another
    a_killed_server_has_what_was_said_when_it_starts_again
    sigterm_lets_the_answer_end
    lists_come_in_pages
    what_is_wrong_is_told
    openai_clients_are_answered_and_recorded
}

/// Begins a conversation, and returns its path.
async fn begin(client: &Client) -> String {
    let begun = client.post("/api/conversations", &json!({})).await;
    assert_eq!(begun.status, StatusCode::CREATED);
    format!("/api/conversations/{}", begun.json()["id"].as_str().unwrap())
}

/// Says something, waits for the end of the answer, and returns all events.
async fn say(client: &Client, path: &str, id: &str, text: &str) -> Vec<(String, Value)> {
    let said = json!({ "id": id, "text": text });
    client.events(&format!("{path}/messages"), &said).await.collect().await
}

async fn messages(client: &Client, path: &str) -> Vec<Value> {
    client.get(&format!("{path}/messages")).await.ok()["items"].as_array().unwrap().clone()
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["text"].as_str().unwrap()).collect()
}

async fn talks_lists_searches_renames_exports_and_deletes(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, &[]);
    let client = Client::new(&server.address);

    let page = client.get("/").await;
    assert!(page.text().starts_with("<!doctype html>"));
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    let cookie = page.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(client.get("/c/any").await.headers.get(header::SET_COOKIE).is_none());

    let path = begin(&client).await;
    let events = say(&client, &path, "m1", "I need my keys").await;
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[..3], ["question", "answer", "text"]);
    let streamed: String = events.iter().filter_map(|(_, data)| data["text"].as_str()).collect();
    assert_eq!(streamed, format!("I need my keys{ANSWER}{ANSWER}"));
    let (kind, end) = events.last().unwrap();
    assert_eq!((kind.as_str(), end["status"].as_str()), ("end", Some("delivered")));
    assert_eq!((&end["model"], &end["tokens"]), (&json!("eliza"), &json!(9)));
    assert!(end["latency_ms"].is_number());
    assert_eq!(texts(&messages(&client, &path).await), ["I need my keys", ANSWER]);

    let listed = client.get("/api/conversations").await.ok();
    assert_eq!(listed["items"][0]["title"], "I need my keys");
    assert_eq!(listed["items"][0]["messages"], 2);
    let renamed = client.patch(&path, &json!({ "title": "  Lost\n keys " })).await.ok();
    assert_eq!(renamed["title"], "Lost keys");
    assert_eq!(client.get(&path).await.ok()["title"], "Lost keys");

    let found = client.get("/api/search?q=need%20key*").await.ok();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["conversation"]["title"], "Lost keys");
    let piece = |text: &str, matches: bool| json!({ "text": text, "matches": matches });
    let snippet =
        [piece("I ", false), piece("need", true), piece(" my ", false), piece("keys", true)];
    assert_eq!(found["items"][0]["snippet"], json!(snippet));

    let export = async |format: &str| client.get(&format!("{path}/export?format={format}")).await;
    let markdown = export("markdown").await;
    assert!(markdown.text().starts_with("# Lost keys\n") && markdown.text().contains(ANSWER));
    let disposition = markdown.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(disposition.starts_with("attachment") && disposition.ends_with(".md\""));
    assert_eq!(export("json").await.json()["messages"][0]["message_id"], "m1");
    assert_eq!(export("jsonl").await.text().lines().count(), 1);
    assert!(export("pdf").await.json()["error"].as_str().unwrap().contains("markdown"));

    assert_eq!(client.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get("/api/conversations").await.ok()["items"], json!([]));
    assert_eq!(client.get("/api/search?q=keys").await.ok()["items"], json!([]));
}

async fn visitors_see_their_own_conversations_only(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, &[]);
    let (alice, bob) = (Client::new(&server.address), Client::new(&server.address));
    let path = begin(&alice).await;
    say(&alice, &path, "m1", "I need my keys").await;

    assert_eq!(bob.get("/api/conversations").await.ok()["items"], json!([]));
    assert_eq!(bob.get("/api/search?q=keys").await.ok()["items"], json!([]));
    let message = json!({ "id": "m2", "text": "Hello" });
    for refused in [
        bob.get(&path).await,
        bob.get(&format!("{path}/messages")).await,
        bob.get(&format!("{path}/export?format=json")).await,
        bob.patch(&path, &json!({ "title": "Mine" })).await,
        bob.post(&format!("{path}/messages"), &message).await,
        bob.delete(&path).await,
    ] {
        assert_eq!(refused.status, StatusCode::NOT_FOUND);
        assert_eq!(refused.json(), json!({ "error": "no such conversation" }));
    }
    assert_eq!(alice.get(&path).await.ok()["title"], "I need my keys");
    assert_eq!(messages(&alice, &path).await.len(), 2);
}

async fn what_stands_in_the_store_is_no_cookie(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, &[]);
    let client = Client::new(&server.address);
    let path = begin(&client).await;
    say(&client, &path, "m1", "I need my keys").await;
    let exported = client.get(&format!("{path}/export?format=json")).await.text().to_owned();
    let exported: Value = serde_json::from_str(&exported).unwrap();
    let user = exported.pointer("/user_id").or(exported.pointer("/0/user_id"));
    let user = user.and_then(Value::as_str).unwrap_or_else(|| panic!("{exported}"));
    let cookie = client.cookie().unwrap();
    let (name, value) = cookie.split_once('=').unwrap();
    assert!(!exported.to_string().contains(value.split_once('.').unwrap().0));
    for forged in [user.to_owned(), format!("{user}.{user}"), format!("x{value}")] {
        let stranger = Client::new(&server.address);
        stranger.set_cookie(format!("{name}={forged}"));
        let listed = stranger.get("/api/conversations").await;
        assert_eq!(listed.json()["items"], json!([]), "{forged}");
        assert!(listed.headers.contains_key(header::SET_COOKIE), "{forged} was not given");
    }
    // The one that was given is known, also by the next server.
    server.kill();
    let server = Server::start(folder.path(), backend, &[]);
    assert_eq!(messages(&client.moved(&server.address), &path).await.len(), 2);
}

#[tokio::test]
async fn requests_for_other_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let names = [("CHATBOT_HOSTS", "chat.example, other.example")];
    let server = Server::start(folder.path(), "sqlite", &names);
    let client = Client::new(&server.address);
    for (host, status) in [
        ("chat.example", 200),
        ("other.example:3000", 200),
        ("localhost:1", 200),
        ("evil.example", 421),
        ("", 400),
    ] {
        for path in ["/", "/api/conversations"] {
            let request = Request::get(path).header(header::HOST, host).body(Body::empty());
            let got = client.read(request.unwrap()).await;
            assert_eq!(got.status, status, "{host}: {got:?}");
        }
    }
}

async fn a_message_that_is_posted_again_is_stored_once(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, &[]);
    let client = Client::new(&server.address);
    let path = begin(&client).await;
    let first = say(&client, &path, "m1", "I need my keys").await;
    let again = say(&client, &path, "m1", "I need my keys").await;
    assert_eq!(again.last(), first.last());
    assert_eq!(messages(&client, &path).await.len(), 2);

    say(&client, &path, "m2", "Thank you").await;
    assert_eq!(say(&client, &path, "m1", "I need my keys").await.last(), first.last());
    let other = json!({ "id": "m1", "text": "Something else" });
    let refused = client.post(&format!("{path}/messages"), &other).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(messages(&client, &path).await.len(), 4);
}

/// Says something, and listens until a few words of the answer have come.
async fn listen_for_a_while(
    client: &Client,
    path: &str,
) -> (futures::stream::BoxStream<'static, (String, Value)>, String) {
    let said = json!({ "id": "m1", "text": "I need my keys" });
    let mut events = client.events(&format!("{path}/messages"), &said).await;
    let mut heard = String::new();
    while heard.split(' ').count() < 4 {
        let (kind, data) = events.next().await.unwrap();
        if kind == "text" {
            heard.push_str(data["text"].as_str().unwrap());
        }
    }
    (events, heard)
}

async fn a_client_that_goes_away_leaves_the_answer_interrupted_and_can_have_another(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, SLOW);
    let client = Client::new(&server.address);
    let path = begin(&client).await;
    let (events, heard) = listen_for_a_while(&client, &path).await;
    let said = json!({ "id": "m2", "text": "Are you there" });
    let busy = client.post(&format!("{path}/messages"), &said).await;
    assert_eq!(busy.status, StatusCode::CONFLICT);
    drop(events);

    let stored = until("the answer is interrupted", async || {
        let answer = messages(&client, &path).await.pop().unwrap();
        (answer["status"] == "interrupted").then_some(answer)
    });
    let stored = stored.await;
    let text = stored["text"].as_str().unwrap();
    assert!(text.starts_with(&heard) && text.len() < ANSWER.len(), "{text:?}");

    // The same message again asks for another answer.
    let events = say(&client, &path, "m1", "I need my keys").await;
    assert_eq!(events.last().unwrap().1["text"], ANSWER);
    let messages = messages(&client, &path).await;
    assert_eq!(texts(&messages), ["I need my keys", text, ANSWER]);
}

async fn a_killed_server_has_what_was_said_when_it_starts_again(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, SLOW);
    let client = Client::new(&server.address);
    let path = begin(&client).await;
    let (events, _) = listen_for_a_while(&client, &path).await;
    let before = messages(&client, &path).await.pop().unwrap();
    assert_eq!(before["status"], "pending");
    server.kill();
    drop(events);

    let server = Server::start(folder.path(), backend, &[]);
    let client = client.moved(&server.address);
    let messages = messages(&client, &path).await;
    assert_eq!(messages[0]["text"], "I need my keys");
    assert_eq!(messages[1]["status"], "interrupted");
    // What was read before the kill was on disk.
    let (before, after) = (before["text"].as_str().unwrap(), messages[1]["text"].as_str().unwrap());
    assert!(!after.is_empty() && after.starts_with(before) && ANSWER.starts_with(after), "{after}");
    let events = say(&client, &path, "m1", "I need my keys").await;
    assert_eq!(events.last().unwrap().1["text"], ANSWER);
}

async fn sigterm_lets_the_answer_end(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, &[("CHATBOT_DELAY_MS", "100")]);
    let client = Client::new(&server.address);
    let path = begin(&client).await;
    let (events, _) = listen_for_a_while(&client, &path).await;
    server.terminate();
    let events: Vec<_> = events.collect().await;
    assert_eq!(events.last().unwrap().1["text"], ANSWER);
    assert_eq!(server.wait().code(), Some(0));

    let server = Server::start(folder.path(), backend, &[]);
    let client = client.moved(&server.address);
    assert_eq!(messages(&client, &path).await[1]["status"], "delivered");
}

async fn lists_come_in_pages(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, &[]);
    let client = Client::new(&server.address);
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(begin(&client).await);
    }
    let mut listed = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = client.get(&format!("/api/conversations?{query}")).await.ok();
        let ids = page["items"].as_array().unwrap().iter().map(|item| item["id"].clone());
        listed.extend(ids.map(|id| format!("/api/conversations/{}", id.as_str().unwrap())));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&after={next}");
    }
    begun.reverse();
    assert_eq!(listed, begun);

    let path = &begun[0];
    say(&client, path, "m1", "One").await;
    say(&client, path, "m2", "Two").await;
    let last = client.get(&format!("{path}/messages?limit=3")).await.ok();
    assert_eq!(last["items"][1]["text"], "Two");
    let next = last["next"].as_str().unwrap();
    let first = client.get(&format!("{path}/messages?limit=3&before={next}")).await.ok();
    assert_eq!(texts(first["items"].as_array().unwrap()), ["One"]);
    assert_eq!(first["next"], Value::Null);
}

async fn what_is_wrong_is_told(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, &[]);
    let client = Client::new(&server.address);
    let path = begin(&client).await;
    let to = format!("{path}/messages");
    let post = |content_type: &str, body: &str| {
        let request = Request::post(&to).header(header::CONTENT_TYPE, content_type);
        request.body(Body::from(body.to_owned())).unwrap()
    };
    let mut from_elsewhere = http::json("POST", &to, &json!({ "id": "m1", "text": "Hello" }));
    from_elsewhere.headers_mut().insert(header::ORIGIN, "http://evil.example".parse().unwrap());
    let long = json!({ "id": "m1", "text": "x".repeat(32 * 1024 + 1) }).to_string();
    for (request, status, part) in [
        (post("application/json", "{"), 400, "JSON"),
        (post("application/json", "{\"text\": 1}"), 400, "text"),
        (post("application/json", "{\"id\": \"m1\", \"text\": \" \"}"), 400, "empty"),
        (post("application/json", "{\"id\": \"\", \"text\": \"Hello\"}"), 400, "message id"),
        (post("application/json", &long), 413, "32 KiB"),
        (post("text/plain", "{\"id\": \"m1\", \"text\": \"Hello\"}"), 415, "application/json"),
        (from_elsewhere, 403, "other sites"),
        (http::json("PATCH", &path, &json!({ "title": " " })), 400, "empty"),
        (http::json("PATCH", &path, &json!({ "title": "x".repeat(201) })), 400, "200"),
        (http::json("POST", "/api/conversations/no/messages", &json!({})), 400, "id"),
        (Request::get("/api/conversations?after=x").body(Body::empty()).unwrap(), 400, "cursor"),
        (Request::get("/api/conversations?limit=0").body(Body::empty()).unwrap(), 400, "limit"),
        (Request::get("/api/search").body(Body::empty()).unwrap(), 400, "q"),
        (Request::get("/api/conversations/no").body(Body::empty()).unwrap(), 404, "conversation"),
        (Request::get("/api/other").body(Body::empty()).unwrap(), 404, "nothing"),
    ] {
        let got = client.read(request).await;
        assert_eq!(got.status, status, "{part}: {got:?}");
        assert!(got.json()["error"].as_str().unwrap().contains(part), "{got:?}");
    }
    assert_eq!(messages(&client, &path).await, [] as [Value; 0]);
}

async fn openai_clients_are_answered_and_recorded(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), backend, &[]);
    let client = Client::new(&server.address);
    // With the cookie, it is the visitor's conversation.
    client.get("/").await;
    let asked = |text: &str, stream: bool| {
        let messages = [json!({ "role": "user", "content": text })];
        json!({ "model": "any", "messages": messages, "stream": stream })
    };
    let to = "/v1/chat/completions";
    let whole = client.post(to, &asked("I need my keys", false)).await.ok();
    assert_eq!(whole["choices"][0]["message"]["content"], ANSWER);
    assert_eq!(whole["usage"]["completion_tokens"], 9);

    let events: Vec<_> = client.events(to, &asked("I feel fine", true)).await.collect().await;
    let deltas =
        events.iter().filter_map(|(_, data)| data["choices"][0]["delta"]["content"].as_str());
    assert_eq!(deltas.collect::<String>(), "When do you usually feel fine?");
    assert_eq!(events.last().unwrap().1, "[DONE]");
    assert_eq!(events[events.len() - 2].1["choices"][0]["finish_reason"], "stop");
    assert_eq!(client.post(to, &json!({})).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let listed = until("both are recorded", async || {
        let listed = client.get("/api/conversations").await.ok();
        let items = listed["items"].as_array().unwrap().clone();
        (items.len() == 2 && items.iter().all(|item| item["messages"] == 2)).then_some(items)
    });
    let path = format!("/api/conversations/{}", listed.await[1]["id"].as_str().unwrap());
    let messages = messages(&client, &path).await;
    assert_eq!(texts(&messages), ["I need my keys", ANSWER]);
    assert_eq!(messages[1]["model"], "eliza");
}

#[test]
fn a_bad_environment_is_told_with_the_name_of_the_variable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (variables, parts) in [
        (vec![("SHS_STORE", "mongodb:")], ["SHS_STORE", "known are"]),
        (vec![("CHATBOT_DELAY_MS", "soon")], ["CHATBOT_DELAY_MS", "milliseconds"]),
        (vec![("CHATBOT_HOSTS", "http://chat.example")], ["CHATBOT_HOSTS", "chat.example.org"]),
        (vec![("CHATBOT_KEY_FILE", "/nowhere/key")], ["CHATBOT_KEY_FILE", "written"]),
        (vec![("MAX_CONNECTIONS", "0")], ["MAX_CONNECTIONS", "1000000"]),
        (vec![("LISTEN", "here")], ["LISTEN", "127.0.0.1:3000"]),
        (vec![("LISTEN", taken.as_str())], ["LISTEN", "end the program that has it"]),
        (vec![("OPENAI_BASE_URL", "http://localhost")], ["OPENAI_MODEL", "not set"]),
        (
            vec![("OPENAI_BASE_URL", "localhost"), ("OPENAI_MODEL", "m")],
            ["OPENAI_BASE_URL", "http://"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path());
        let child = command.envs(variables).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
        let output = child.unwrap().wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.starts_with("chatbot: "), "{told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
}
