//! The HTTP API of the page, all JSON.
//!
//! | request | does |
//! |---|---|
//! | `GET /api/conversations?limit=&after=` | lists conversations, the one that was written to last first |
//! | `POST /api/conversations` `{"title"?}` | begins one: 201 |
//! | `GET /api/conversations/{id}` | shows one |
//! | `PATCH /api/conversations/{id}` `{"title"}` | renames it |
//! | `DELETE /api/conversations/{id}` | deletes it: 204 |
//! | `GET /api/conversations/{id}/messages?limit=&before=` | lists messages as said, the last ones; with `before`, those before them |
//! | `POST /api/conversations/{id}/messages` `{"id", "text"}` | says something: see [`talk`] |
//! | `GET /api/conversations/{id}/export?format=` | downloads it as `markdown`, `json`, `jsonl`, `csv`, `text` or `html` |
//! | `GET /api/search?q=&limit=&after=` | finds messages in all conversations, the last first |
//!
//! Lists are `{"items": […], "next": …}`. `next` is a cursor for the page that follows, to be sent as `after` or `before`; it is `null`
//! on the last. Every visitor sees their own conversations only, and those of others are not found.
//!
//! A conversation has `id`, `title`, `created_at`, `updated_at` and `messages`, a count. A message has `id`, `seq`, `role`, `text`,
//! `status` (`pending`, `delivered`, `interrupted` or `error`), `at`, `model`, `tokens`, `latency_ms`, and `error`, what an answer failed with.
//!
//! What cannot be done is answered with `{"error": "…"}`: 400 for bad input, 403 for requests of other sites, 404 for what is not
//! there, 409 while the conversation is being answered, 413 for what is too long, 415 for what is not JSON, 503 if the store cannot be used.

mod conversations;
mod export;
mod input;
mod messages;
mod search;
pub(crate) mod talk;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::get;

use crate::app::App;
use crate::refusal::Refusal;

/// More than the longest message takes as JSON, whatever has to be escaped in it.
const MAX_BODY_BYTES: usize = 8 * talk::MAX_TEXT_BYTES;

pub(crate) fn routes() -> Router<App> {
    let one = get(conversations::show).patch(conversations::rename).delete(conversations::delete);
    Router::new()
        .route("/api/conversations", get(conversations::list).post(conversations::create))
        .route("/api/conversations/{id}", one)
        .route("/api/conversations/{id}/messages", get(messages::list).post(talk::say))
        .route("/api/conversations/{id}/export", get(export::export))
        .route("/api/search", get(search::search))
        .route("/api/{*rest}", get(nothing).post(nothing).patch(nothing).delete(nothing))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

async fn nothing() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path")
}
