//! Conversations by the beginning of their ids.

use futures::TryStreamExt;
use session_history_saver::{
    ErrorKind, Session, SessionId, SessionOrder, SessionQuery, SessionTracker, StoreExt,
};

use crate::arguments::Filter;
use crate::failure::{Failure, Result};

/// Most candidates that are named when the beginning of an id is not enough.
const MOST_NAMED: usize = 5;

/// Which ids name a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// Whole ones only: for what destroys or discloses, and for programs.
    Whole,
    /// Also the beginning of an id, where people read what they get.
    Beginning,
}

/// The conversation with this id, or the only one whose id begins so.
pub(crate) async fn session(history: &SessionTracker, id: &str, named: Named) -> Result<Session> {
    let whole = SessionId::new(id)?;
    match history.get(&whole).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        found => return Ok(found?),
    }
    let query = SessionQuery::new().with_order(SessionOrder::Created);
    let sessions = history.store().session_stream(history.scope(), query);
    let begins =
        sessions.try_filter(|session| std::future::ready(session.id.as_str().starts_with(id)));
    let mut found: Vec<Session> =
        futures::StreamExt::take(begins, MOST_NAMED + 1).try_collect().await?;
    let ids: Vec<&str> = found.iter().take(MOST_NAMED).map(|session| session.id.as_str()).collect();
    let more = if found.len() > MOST_NAMED { ", …" } else { "" };
    let ids = format!("{}{more}", ids.join(", "));
    if named == Named::Whole && !found.is_empty() {
        return Err(Failure::NotFound(format!(
            "there is no conversation {id:?}; give a whole id, such as one of those that begin so: {ids}"
        )));
    }
    if found.len() > 1 {
        return Err(Failure::Usage(format!("several conversations begin with {id:?}: {ids}")));
    }
    found.pop().ok_or_else(|| Failure::NotFound(format!("there is no conversation {id:?}")))
}

/// The sessions that pass a filter.
pub(crate) fn query(filter: &Filter) -> SessionQuery {
    let mut query = SessionQuery::new().with_all_tags(filter.tags.clone());
    query.filter.user_id.clone_from(&filter.user);
    query.filter.project_id.clone_from(&filter.project);
    query.since = filter.since;
    query.until = filter.until;
    query
}
