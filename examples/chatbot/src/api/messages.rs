//! The messages of a conversation.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Value, json};
use session_history_saver::{ERROR_KEY, Message, MessageQuery};

use super::input::{Listing, Params};
use crate::app::App;
use crate::refusal::Refusal;
use crate::visitor::Visitor;

/// A message as the page gets it.
pub(super) fn view(message: &Message) -> Value {
    json!({
        "id": message.id,
        "seq": message.seq,
        "role": message.role,
        "text": message.content,
        "status": message.status,
        "at": message.timestamp,
        "model": message.model,
        "tokens": message.tokens,
        "latency_ms": message.latency_ms,
        "error": message.metadata.get(ERROR_KEY),
    })
}

pub(super) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Params(listing): Params<Listing>,
) -> Result<Json<Value>, Refusal> {
    let session = app.conversation(&visitor, &id).await?;
    let mut query = MessageQuery::new().newest_first().with_limit(listing.limit(50));
    query.page.after = listing.after;
    let page = app.history().handle(&session.id).page(query).await?;
    let items: Vec<Value> = page.items.iter().rev().map(view).collect();
    Ok(Json(json!({ "items": items, "next": page.next })))
}
