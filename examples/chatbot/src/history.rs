//! The conversations of whoever sends a request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use session_history_saver::{Session, SessionId, SessionTracker};

use crate::app::App;
use crate::refusal::Refusal;
use crate::visitor::Visitor;

/// The conversations of the visitor who sends a request, and no others: the store itself finds
/// nothing else through it.
///
/// Handlers take it as an argument, so that none of them can forget to ask whose a conversation is.
pub(crate) struct History(pub(crate) SessionTracker);

impl FromRequestParts<App> for History {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let visitor = parts.extensions.get::<Visitor>().ok_or_else(Refusal::unknown)?;
        Ok(Self(app.history().as_user(visitor.id())?))
    }
}

impl History {
    /// A conversation of this visitor.
    ///
    /// # Errors
    /// Not found if there is none, and no less if it is somebody else's.
    pub(crate) async fn conversation(&self, id: &str) -> Result<Session, Refusal> {
        let Ok(id) = SessionId::new(id) else { return Err(Refusal::no_such_conversation()) };
        Ok(self.0.get(&id).await?)
    }
}
