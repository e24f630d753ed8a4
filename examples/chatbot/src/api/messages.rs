//! The messages of a conversation.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use session_history_saver::{ERROR_KEY, Message, MessageQuery};

use super::input::{Listing, Params};
use crate::history::History;
use crate::refusal::Refusal;

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
    history: History,
    Path(id): Path<String>,
    Params(listing): Params<Listing>,
) -> Result<Json<Value>, Refusal> {
    let session = history.conversation(&id).await?;
    let mut query = MessageQuery::new().newest_first().with_limit(listing.limit(50));
    query.page.after = listing.after;
    let page = history.0.handle(&session.id).page(query).await?;
    let items: Vec<Value> = page.items.iter().rev().map(view).collect();
    Ok(Json(json!({ "items": items, "next": page.next })))
}
