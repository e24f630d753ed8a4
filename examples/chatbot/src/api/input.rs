//! What requests bring, checked where it enters.

use axum::extract::{FromRequest, FromRequestParts, Json, Query, Request};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use session_history_saver::Cursor;

use crate::refusal::Refusal;

/// The longest title, in characters.
const MAX_TITLE_CHARS: usize = 200;

/// A body of JSON, whose mistakes are told like all others.
pub(super) struct Input<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let Json(input) = Json::from_request(request, state).await?;
        Ok(Self(input))
    }
}

/// The query of a URL, whose mistakes are told like all others.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(params) = Query::from_request_parts(parts, state).await?;
        Ok(Self(params))
    }
}

/// Which page of a list is wanted.
#[derive(Deserialize)]
pub(super) struct Listing {
    limit: Option<u32>,
    #[serde(alias = "before")]
    pub(super) after: Option<Cursor>,
}

impl Listing {
    /// Most items on the page; the store refuses what is out of its bounds.
    pub(super) fn limit(&self, default: u32) -> u32 {
        self.limit.unwrap_or(default)
    }
}

/// A title, in one line and without spaces around it.
///
/// # Errors
/// If it is empty or too long.
pub(super) fn title(given: &str) -> Result<String, Refusal> {
    let title = given.split_whitespace().collect::<Vec<_>>().join(" ");
    match title.chars().count() {
        0 => Err(Refusal::invalid("the title is empty")),
        1..=MAX_TITLE_CHARS => Ok(title),
        _ => Err(Refusal::invalid(format!("the title has more than {MAX_TITLE_CHARS} characters"))),
    }
}
