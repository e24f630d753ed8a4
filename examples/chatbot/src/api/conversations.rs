//! Conversations: listed, begun, renamed and deleted.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use session_history_saver::{Session, SessionQuery};

use super::input::{Input, Listing, Params, title};
use crate::history::History;
use crate::refusal::Refusal;

/// A conversation as the page gets it.
pub(super) fn view(session: &Session) -> Value {
    json!({
        "id": session.id,
        "title": session.title,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "messages": session.message_count,
    })
}

pub(super) async fn list(
    history: History,
    Params(listing): Params<Listing>,
) -> Result<Json<Value>, Refusal> {
    let mut query = SessionQuery::new().with_limit(listing.limit(30));
    query.page.after = listing.after;
    let page = history.0.list(query).await?;
    let items: Vec<Value> = page.items.iter().map(view).collect();
    Ok(Json(json!({ "items": items, "next": page.next })))
}

#[derive(Deserialize)]
pub(super) struct New {
    title: Option<String>,
}

pub(super) async fn create(
    history: History,
    Input(new): Input<New>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut session = history.0.session();
    if let Some(given) = new.title {
        session = session.title(title(&given)?);
    }
    let session = session.start().await?.info().await?;
    Ok((StatusCode::CREATED, Json(view(&session))))
}

pub(super) async fn show(history: History, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let session = history.conversation(&id).await?;
    Ok(Json(view(&session)))
}

#[derive(Deserialize)]
pub(super) struct Rename {
    title: String,
}

pub(super) async fn rename(
    history: History,
    Path(id): Path<String>,
    Input(rename): Input<Rename>,
) -> Result<Json<Value>, Refusal> {
    let session = history.conversation(&id).await?;
    let renamed = history.0.handle(&session.id).set_title(title(&rename.title)?).await?;
    Ok(Json(view(&renamed)))
}

pub(super) async fn delete(
    history: History,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let session = history.conversation(&id).await?;
    history.0.delete(&session.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
