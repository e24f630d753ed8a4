//! OpenAI's chat completions API, answered like the page: `POST /v1/chat/completions`.
//!
//! Nothing is stored here. A [`RecordLayer`](session_history_saver::tower::RecordLayer) around it reads along, so that the
//! conversations of any OpenAI client are kept. Those that come with a visitor's cookie are in that visitor's list; the
//! others are nobody's, and in the store only.

use std::convert::Infallible;
use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use session_history_saver::Role;

use crate::app::App;
use crate::responder::{Piece, Pieces, Said};

/// Longest request: some 250,000 tokens.
const MAX_BODY_BYTES: usize = 1024 * 1024;

pub(crate) fn routes() -> Router<App> {
    let limit = DefaultBodyLimit::max(MAX_BODY_BYTES);
    Router::new().route("/v1/chat/completions", post(complete)).layer(limit)
}

#[derive(Deserialize)]
struct Request {
    messages: Vec<Turn>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    #[serde(default)]
    content: Value,
}

impl Turn {
    /// What the responder is to know of it. Pictures and calls of tools are passed over.
    fn said(self) -> Option<Said> {
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return None,
        };
        let text = match self.content {
            Value::String(text) => text,
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
            _ => return None,
        };
        Some(Said { role, text })
    }
}

async fn complete(
    State(app): State<App>,
    request: Result<Json<Request>, JsonRejection>,
) -> Response {
    static GIVEN: AtomicU64 = AtomicU64::new(1);
    let request = match request {
        Ok(Json(request)) => request,
        Err(why) => return (why.status(), Json(failure(&why.body_text()))).into_response(),
    };
    let id = format!("chatcmpl-{}", GIVEN.fetch_add(1, Ordering::Relaxed));
    let model = app.responder().model().to_owned();
    let conversation: Vec<Said> = request.messages.into_iter().filter_map(Turn::said).collect();
    let pieces = app.responder().answer(&conversation);
    if request.stream { streamed(id, model, pieces) } else { whole(&id, &model, pieces).await }
}

async fn whole(id: &str, model: &str, mut pieces: Pieces) -> Response {
    let (mut text, mut usage) = (String::new(), Value::Null);
    loop {
        match pieces.try_next().await {
            Ok(Some(Piece::Text(piece))) => text.push_str(&piece),
            Ok(Some(Piece::Tokens(tokens))) => usage = json!({ "completion_tokens": tokens }),
            Ok(None) => break,
            Err(error) => return (StatusCode::BAD_GATEWAY, Json(failure(&error))).into_response(),
        }
    }
    let message = json!({ "role": "assistant", "content": text });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    let object = "chat.completion";
    let body = json!({
        "id": id, "object": object, "model": model, "choices": [choice], "usage": usage,
    });
    Json(body).into_response()
}

fn streamed(id: String, model: String, pieces: Pieces) -> Response {
    let chunk = move |choices: Value, usage: Value| {
        let object = "chat.completion.chunk";
        json!({ "id": id, "object": object, "model": model, "choices": choices, "usage": usage })
    };
    let choice = |delta: Value, reason: Value| json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
    let chunks = pieces.map_ok(Some).chain(stream::once(ready(Ok(None))));
    // An error is the end: no reason to finish follows it.
    let chunks = chunks.scan(false, |has_failed, piece| {
        let piece = (!*has_failed).then_some(piece);
        *has_failed |= matches!(piece, Some(Err(_)));
        ready(piece)
    });
    let chunks = chunks.map(move |piece| match piece {
        Ok(Some(Piece::Text(text))) => {
            chunk(choice(json!({ "content": text }), Value::Null), Value::Null)
        }
        Ok(Some(Piece::Tokens(tokens))) => chunk(json!([]), json!({ "completion_tokens": tokens })),
        Ok(None) => chunk(choice(json!({}), json!("stop")), Value::Null),
        Err(error) => failure(&error),
    });
    let lines = chunks.map(|chunk| chunk.to_string());
    let lines = lines.chain(stream::once(ready("[DONE]".to_owned())));
    let events = lines.map(|line| Ok::<_, Infallible>(Event::default().data(line)));
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn failure(message: &str) -> Value {
    json!({ "error": { "message": message, "type": "server_error" } })
}
