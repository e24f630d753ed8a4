//! A conversation as a file.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use session_history_saver::export::Format;

use super::input::Params;
use crate::history::History;
use crate::refusal::Refusal;

#[derive(Deserialize)]
pub(super) struct Export {
    format: String,
}

pub(super) async fn export(
    history: History,
    Path(id): Path<String>,
    Params(export): Params<Export>,
) -> Result<Response, Refusal> {
    let format: Format = export.format.parse()?;
    let session = history.conversation(&id).await?;
    let file = history.0.export(format).session(&session.id).with_metadata();
    let file = file.to_string().await?;
    let content_type = match format {
        Format::Json => "application/json",
        Format::JsonLines => "application/jsonl",
        Format::Csv => "text/csv; charset=utf-8",
        Format::Html => "text/html; charset=utf-8",
        Format::Markdown => "text/markdown; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    // The day is enough of a name for people, and free of what file systems do not like.
    let day = session.created_at.to_string().chars().take(10).collect::<String>();
    let disposition = format!("attachment; filename=\"chat-{day}.{}\"", format.extension());
    let headers =
        [(header::CONTENT_TYPE, content_type), (header::CONTENT_DISPOSITION, &disposition)];
    Ok((headers, file).into_response())
}
