//! The mock of an LLM provider.

use std::process::Stdio;

use axum::body::{Body, Bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{PATIENCE, Tools, http};

/// A running `llmock`. It is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Llmock {
    _child: Child,
    pub(crate) base: String,
}

impl Llmock {
    pub(crate) async fn start(tools: &Tools) -> Self {
        let mut child = Command::new(tools.llmock())
            .args(["serve", "--port", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("llmock starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let listening = async {
            loop {
                let line = lines.next_line().await.expect("it prints text");
                let line = line.expect("llmock says where it listens");
                if let Some((_, url)) = line.split_once("Uvicorn running on ") {
                    return url.split_whitespace().next().expect("it has a URL").to_owned();
                }
            }
        };
        let base = timeout(PATIENCE, listening).await.expect("llmock comes up");
        // What it says later is read, so that it never waits for a reader; this ends with the process.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { _child: child, base }
    }

    /// What becomes of the next requests, in place of what was said before.
    pub(crate) async fn script(&self, behaviors: &Value) {
        self.tell("reset", &json!({})).await;
        self.tell("scenario", &json!({ "behaviors": behaviors })).await;
    }

    /// The events that it would stream, each as its bytes.
    pub(crate) async fn events(&self, path: &str, behaviors: &Value, body: &Value) -> Vec<Bytes> {
        self.script(behaviors).await;
        let request = http::post(&format!("{}{path}", self.base), "s", "u", body);
        let all = http::exchange(request).await.into_body();
        let text = std::str::from_utf8(&all).expect("events are text");
        text.split_inclusive("\n\n").map(|event| Bytes::from(event.to_owned())).collect()
    }

    async fn tell(&self, what: &str, body: &Value) {
        let url = format!("{}/_llmock/{what}", self.base);
        let request = Request::post(url).header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).expect("the request is one");
        let response = http::exchange(request).await;
        assert!(response.status().is_success(), "{what}: {response:?}");
    }
}
