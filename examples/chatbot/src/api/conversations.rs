//! Conversations: listed, begun, renamed and deleted.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use session_history_saver::{Session, SessionQuery};

use super::input::{Input, Listing, Params, title};
use crate::app::App;
use crate::refusal::Refusal;
use crate::visitor::Visitor;

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
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Params(listing): Params<Listing>,
) -> Result<Json<Value>, Refusal> {
    let mut query = SessionQuery::new().with_user(visitor.id()).with_limit(listing.limit(30));
    query.page.after = listing.after;
    let page = app.history().list(query).await?;
    let items: Vec<Value> = page.items.iter().map(view).collect();
    Ok(Json(json!({ "items": items, "next": page.next })))
}

#[derive(Deserialize)]
pub(super) struct New {
    title: Option<String>,
}

pub(super) async fn create(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Input(new): Input<New>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut session = app.history().session().user(visitor.id());
    if let Some(given) = new.title {
        session = session.title(title(&given)?);
    }
    let session = session.start().await?.info().await?;
    Ok((StatusCode::CREATED, Json(view(&session))))
}

pub(super) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let session = app.conversation(&visitor, &id).await?;
    Ok(Json(view(&session)))
}

#[derive(Deserialize)]
pub(super) struct Rename {
    title: String,
}

pub(super) async fn rename(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Input(rename): Input<Rename>,
) -> Result<Json<Value>, Refusal> {
    let session = app.conversation(&visitor, &id).await?;
    let renamed = app.history().handle(&session.id).set_title(title(&rename.title)?).await?;
    Ok(Json(view(&renamed)))
}

pub(super) async fn delete(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let session = app.conversation(&visitor, &id).await?;
    app.history().delete(&session.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
