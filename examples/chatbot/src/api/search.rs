//! Search in all conversations of a visitor.

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use session_history_saver::text::Snippet;
use session_history_saver::{Cursor, Hit, SearchQuery};

use super::input::Params;
use super::{conversations, messages};
use crate::history::History;
use crate::refusal::Refusal;

#[derive(Deserialize)]
pub(super) struct Search {
    q: String,
    limit: Option<u32>,
    after: Option<Cursor>,
}

pub(super) async fn search(
    history: History,
    Params(search): Params<Search>,
) -> Result<Json<Value>, Refusal> {
    let query = SearchQuery::new(search.q);
    let mut query = query.with_limit(search.limit.unwrap_or(20));
    query.page.after = search.after;
    let page = history.0.search(query).await?;
    let items: Vec<Value> = page.items.iter().map(view).collect();
    Ok(Json(json!({ "items": items, "next": page.next })))
}

fn view(hit: &Hit) -> Value {
    json!({
        "conversation": conversations::view(&hit.session),
        "message": messages::view(&hit.message),
        "snippet": pieces(&hit.snippet),
    })
}

/// The snippet in pieces, of which some match: a page counts characters in another way than the store, and needs no ranges so.
fn pieces(snippet: &Snippet) -> Vec<Value> {
    let piece = |text: &str, matches: bool| json!({ "text": text, "matches": matches });
    let mut pieces = Vec::new();
    let mut at = 0;
    for range in &snippet.matches {
        pieces.push(piece(&snippet.text[at..range.start], false));
        pieces.push(piece(&snippet.text[range.clone()], true));
        at = range.end;
    }
    pieces.push(piece(&snippet.text[at..], false));
    if snippet.cut_before {
        pieces.insert(0, piece("…", false));
    }
    if snippet.cut_after {
        pieces.push(piece("…", false));
    }
    pieces.retain(|piece| piece["text"] != "");
    pieces
}
