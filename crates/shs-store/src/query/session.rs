//! Lists of sessions.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::cursor::fingerprint;
use super::filter::{filter_methods, page_methods, range_methods};
use super::{Page, PageBuilder, PageRequest, Position, SessionFilter};
use crate::{Error, Result, Scope, Session, Timestamp};

/// The order of a list of sessions. Sessions with equal times follow by their id, highest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionOrder {
    /// By `updated_at`, latest first.
    ///
    /// A session that is written to moves to the front. If it had not been listed by then, the pages
    /// that follow do not hold it; a fresh first page does.
    #[default]
    Updated,
    /// By `created_at`, latest first. No session changes its place.
    Created,
}

/// Asks for sessions.
///
/// # Examples
/// ```
/// use shs_store::SessionQuery;
///
/// let query = SessionQuery::new().with_user("alice").with_any_tag(["billing"]).with_limit(20);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionQuery {
    /// Whose and which sessions.
    pub filter: SessionFilter,
    /// From this time on, in terms of the order's time.
    pub since: Option<Timestamp>,
    /// Before this time, in terms of the order's time.
    pub until: Option<Timestamp>,
    /// Only ended ones (`true`), or only those that are not (`false`).
    pub ended: Option<bool>,
    /// The order.
    pub order: SessionOrder,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}

impl SessionQuery {
    /// All sessions, latest written first.
    pub fn new() -> Self {
        Self::default()
    }

    filter_methods!();
    range_methods!();
    page_methods!();

    /// Only sessions that were ended.
    #[must_use]
    pub fn ended(mut self) -> Self {
        self.ended = Some(true);
        self
    }

    /// Only sessions that were not ended.
    #[must_use]
    pub fn active(mut self) -> Self {
        self.ended = Some(false);
        self
    }

    /// In this order.
    #[must_use]
    pub fn with_order(mut self, order: SessionOrder) -> Self {
        self.order = order;
        self
    }

    /// What ties a cursor to this query in a scope; for backends.
    pub fn fingerprint(&self, scope: &Scope) -> u64 {
        fingerprint("sessions", scope, self)
    }

    /// The time by which this query orders and bounds; for backends.
    pub fn time_of(&self, session: &Session) -> Timestamp {
        match self.order {
            SessionOrder::Updated => session.updated_at,
            SessionOrder::Created => session.created_at,
        }
    }

    /// Where a session stands in this query's list; for backends.
    pub fn position_of(&self, session: &Session) -> Position {
        Position::Session(self.time_of(session), session.id.clone())
    }

    /// Whether a session of the scope's tenant is in the scope and passes every filter; for
    /// backends.
    pub fn matches(&self, scope: &Scope, session: &Session) -> bool {
        scope.has(session)
            && self.filter.matches(session)
            && self.in_range(self.time_of(session))
            && self.ended.is_none_or(|ended| ended == session.is_ended())
    }

    /// Which of two sessions is listed first; for backends.
    pub fn compare(&self, a: &Session, b: &Session) -> Ordering {
        (self.time_of(b), &b.id).cmp(&(self.time_of(a), &a.id))
    }

    /// Where the page begins: after the session with this time and id; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the cursor is not one of this query.
    pub fn begins_after(&self, scope: &Scope) -> Result<Option<(Timestamp, crate::SessionId)>> {
        match self.page.position(self.fingerprint(scope))? {
            Some(Position::Session(at, id)) => Ok(Some((at, id))),
            Some(_) => Err(Error::invalid("the cursor is not one of a list of sessions")),
            None => Ok(None),
        }
    }

    /// The page, out of all sessions of the scope's tenant in any order; for backends that have
    /// them in memory.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the limit or the cursor is not valid.
    pub fn page_of<'a>(
        &self,
        scope: &Scope,
        sessions: impl Iterator<Item = &'a Session>,
    ) -> Result<Page<Session>> {
        let mut page = PageBuilder::new(self.page.checked_limit()?);
        let after = self.begins_after(scope)?;
        let mut matching: Vec<&Session> = sessions
            .filter(|session| self.matches(scope, session))
            .filter(|session| {
                let place = (self.time_of(session), &session.id);
                after.as_ref().is_none_or(|(at, id)| place < (*at, id))
            })
            .collect();
        matching.sort_by(|a, b| self.compare(a, b));
        let offset = usize::try_from(self.page.offset).unwrap_or(usize::MAX);
        for session in matching.into_iter().skip(offset) {
            if page.is_full() {
                page.mark_more();
                break;
            }
            page.push(session.clone(), self.position_of(session), 0);
        }
        Ok(page.finish(self.fingerprint(scope)))
    }
}
