//! Visitors who send each other's ids, cookies and words, at random.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::numbers::Numbers;
use crate::support::http::{Client, Got};
use crate::support::server::Server;

/// A word that stands in everything that a visitor says, and in nothing that another one does.
const MARKERS: [&str; 4] = ["alphaword", "bravoword", "charlieword", "deltaword"];

/// How many requests are sent: more with `SHS_OPERATIONS`.
fn operations() -> u32 {
    std::env::var("SHS_OPERATIONS").map_or(300, |text| text.parse().expect("it is a number"))
}

/// What a visitor has: of each conversation, what the visitor said in it.
type Own = BTreeMap<String, Vec<String>>;

struct Visitors {
    clients: Vec<Client>,
    own: Vec<Own>,
}

impl Visitors {
    /// That nothing which a visitor gets has another one's word in it, whatever was asked.
    #[track_caller]
    fn check(&self, who: usize, got: &Got, asked: &str) {
        let text = String::from_utf8_lossy(&got.body);
        for (other, marker) in MARKERS.iter().enumerate() {
            // What is asked for may be said again.
            let is_there = text.contains(marker) && !asked.contains(marker);
            assert!(other == who || !is_there, "{who} asked {asked:?} and got {text}");
        }
        assert!(got.status.as_u16() < 500, "{asked:?}: {got:?}");
    }

    /// Does something with a conversation that may be another one's.
    async fn try_one(&mut self, numbers: &mut Numbers, who: usize, id: &str, number: u32) {
        let is_own = self.own[who].contains_key(id);
        let client = &self.clients[who];
        let path = format!("/api/conversations/{id}");
        let text = format!("{} number {number}", MARKERS[who]);
        let action = numbers.below(7);
        let got = match action {
            0 => client.get(&path).await,
            1 => client.get(&format!("{path}/messages")).await,
            2 => client.get(&format!("{path}/export?format=jsonl")).await,
            3 => client.patch(&path, &json!({ "title": text })).await,
            4 if number.is_multiple_of(5) => client.delete(&path).await,
            _ => {
                let said = json!({ "id": format!("m{number}"), "text": text });
                client.post(&format!("{path}/messages"), &said).await
            }
        };
        self.check(who, &got, &path);
        assert_eq!(got.status.is_success(), is_own, "{action}: {got:?}");
        if !is_own {
            assert_eq!(got.status, StatusCode::NOT_FOUND, "{action}: {got:?}");
        } else if got.status == StatusCode::NO_CONTENT {
            self.own[who].remove(id);
        } else if action > 3 {
            self.own[who].entry(id.to_owned()).or_default().push(text);
        }
    }
}

#[tokio::test]
async fn whatever_they_send_visitors_see_and_change_their_own_conversations_only() {
    let seed = std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("it is a number"));
    eprintln!("SHS_SEED={seed}");
    let mut numbers = Numbers::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "sqlite", &[]);
    let clients = MARKERS.map(|_| Client::new(&server.address)).into();
    let mut visitors = Visitors { clients, own: vec![Own::new(); MARKERS.len()] };
    // Some that nobody has, and with time everybody's.
    let mut ids: Vec<String> = ["chat-1", "a~b", "%2e%2e", "sha256:0"].map(str::to_owned).to_vec();
    let everybody: Vec<usize> = (0..MARKERS.len()).collect();
    for number in 0..operations() {
        let who = numbers.pick(&everybody);
        let client = &visitors.clients[who];
        let id = ids[numbers.below(ids.len() as u64) as usize].clone();
        match numbers.below(10) {
            0 => {
                let begun = client.post("/api/conversations", &json!({})).await.ok();
                let id = begun["id"].as_str().unwrap().to_owned();
                visitors.own[who].insert(id.clone(), Vec::new());
                ids.push(id);
            }
            1 => {
                let got = client.get("/api/conversations").await;
                visitors.check(who, &got, "the list");
            }
            2 => {
                let word = numbers.pick(&MARKERS);
                let path = format!("/api/search?q={word}");
                let got = client.get(&path).await;
                visitors.check(who, &got, &path);
                let found = got.ok()["items"].as_array().unwrap().len();
                assert!(found == 0 || word == MARKERS[who], "{got:?}");
            }
            3 => {
                // Somebody without a cookie that was given, who knows an id.
                let name =
                    client.cookie().map(|cookie| cookie.split('=').next().unwrap().to_owned());
                let stranger = Client::new(&server.address);
                stranger.set_cookie(format!("{}={id}", name.as_deref().unwrap_or("visitor")));
                let path = format!("/api/conversations/{id}/messages");
                let got = stranger.get(&path).await;
                visitors.check(MARKERS.len(), &got, &path);
                assert!(!got.status.is_success(), "{got:?}");
            }
            _ => visitors.try_one(&mut numbers, who, &id, number).await,
        }
    }
    // Everybody has all of what they said, in its order, and nothing else.
    for (client, own) in visitors.clients.iter().zip(&visitors.own) {
        for (id, said) in own {
            assert_eq!(&said_in(client, id).await, said);
        }
    }
}

/// What the visitor said in a conversation, from its first page to its last.
async fn said_in(client: &Client, id: &str) -> Vec<String> {
    let mut said = Vec::new();
    let mut after = String::new();
    loop {
        // The newest come first, each page in their order.
        let path = format!("/api/conversations/{id}/messages?limit=100{after}");
        let page = client.get(&path).await.ok();
        let is_theirs = |item: &&Value| item["role"] == "user";
        let text = |item: &Value| item["text"].as_str().unwrap().to_owned();
        let items = page["items"].as_array().unwrap();
        said.splice(0..0, items.iter().filter(is_theirs).map(text));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return said,
        }
    }
}
