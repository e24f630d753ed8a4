//! Search across sessions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cursor::fingerprint;
use super::filter::{filter_methods, page_methods, range_methods};
use super::message::message_filter_methods;
use super::{Page, PageBuilder, PageRequest, Position, SessionFilter};
use crate::model::AsHead;
use crate::text::{InvertedIndex, Query, Ranking, Snippet};
use crate::{Error, Message, Result, Role, Scope, Session, SessionId, Status, Timestamp};

/// The order of search hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SearchOrder {
    /// Last stored first. "Stored" is when the message arrived in this store, by append, import or fork.
    #[default]
    Newest,
    /// First stored first; with a cursor, the way to follow what arrives.
    Oldest,
    /// Best match first, by [`text::Ranking`](crate::text::Ranking), and the last stored first among
    /// equals. There is one page: the best `limit` of the newest matches, 10,000 or so many of them
    /// as have 8 MiB of text.
    Rank,
}

/// Asks for messages of all sessions, by text and by filters.
///
/// The text is in the language of [`text::Query`](crate::text::Query): words that must all match,
/// `"a phrase"`, `prefix*`, `-not`. Any text is a valid query; one without a word to look for finds
/// nothing. [`SearchQuery::all`] has no text and finds every message that passes the filters.
///
/// # Examples
/// ```
/// use shs_store::{Role, SearchQuery};
///
/// let query = SearchQuery::new("double charge -refund").with_user("alice").with_role(Role::User);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchQuery {
    /// What to look for; every message if `None`.
    pub text: Option<String>,
    /// Only in this session.
    pub session: Option<SessionId>,
    /// Whose and which sessions.
    pub filter: SessionFilter,
    /// Only of this role.
    pub role: Option<Role>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only with this status.
    pub status: Option<Status>,
    /// Only said from this time on.
    pub since: Option<Timestamp>,
    /// Only said before this time.
    pub until: Option<Timestamp>,
    /// The order.
    pub order: SearchOrder,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}

impl SearchQuery {
    /// Messages that match this text, last stored first.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Every message, last stored first.
    pub fn all() -> Self {
        Self::default()
    }

    filter_methods!();
    message_filter_methods!();
    range_methods!();
    page_methods!();

    /// Only messages of this session.
    #[must_use]
    pub fn with_session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// In this order.
    #[must_use]
    pub fn with_order(mut self, order: SearchOrder) -> Self {
        self.order = order;
        self
    }

    /// The text, parsed; `None` if every message is meant; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is longer than
    /// [`MAX_QUERY_BYTES`](crate::limits::MAX_QUERY_BYTES).
    pub fn parsed_text(&self) -> Result<Option<Query>> {
        self.text.as_deref().map(Query::parse).transpose()
    }

    /// What ties a cursor to this query in a scope; for backends.
    pub fn fingerprint(&self, scope: &Scope) -> u64 {
        fingerprint("search", scope, self)
    }

    /// Whether a message of a session of the scope's tenant is in the scope and passes every filter
    /// but the text; for backends.
    pub fn matches(&self, scope: &Scope, session: &Session, message: &impl AsHead) -> bool {
        scope.has(session)
            && self.session.as_ref().is_none_or(|id| *id == session.id)
            && self.filter.matches(session)
            && self.role.is_none_or(|role| message.role() == role)
            && self.status.is_none_or(|status| message.status() == status)
            && (self.model.is_none() || self.model.as_deref() == message.model())
            && self.in_range(message.timestamp())
    }
}

impl From<&str> for SearchQuery {
    /// As [`SearchQuery::new`].
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&String> for SearchQuery {
    /// As [`SearchQuery::new`].
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl From<String> for SearchQuery {
    /// As [`SearchQuery::new`].
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl SearchQuery {
    /// Where the page begins: after the message that arrived as this one; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the cursor is not one of this query.
    pub fn begins_after(&self, scope: &Scope) -> Result<Option<i64>> {
        match self.page.position(self.fingerprint(scope))? {
            Some(Position::Arrival(number)) => Ok(Some(number)),
            Some(_) => Err(Error::invalid("the cursor is not one of a search")),
            None => Ok(None),
        }
    }

    /// The numbers of arrival of the messages that the text matches, in the query's order, from
    /// where the page begins; for backends that have the numbers of all messages of the scope's
    /// tenant, and an index of those, in memory.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the cursor is not one of this query.
    pub fn candidates<'a, T: Sync>(
        &self,
        scope: &Scope,
        text: Option<&'a Query>,
        index: &'a InvertedIndex,
        arrivals: &'a BTreeMap<i64, T>,
    ) -> Result<Box<dyn Iterator<Item = i64> + Send + 'a>> {
        let after = self.begins_after(scope)?;
        Ok(match (text, self.order) {
            (Some(text), SearchOrder::Oldest) => index.oldest_first(text, after),
            (Some(text), _) => index.newest_first(text, after),
            (None, SearchOrder::Oldest) => {
                let from = after.map_or(i64::MIN, |after| after.saturating_add(1));
                Box::new(arrivals.range(from..).map(|(number, _)| *number))
            }
            (None, _) => {
                let before = after.unwrap_or(i64::MAX);
                Box::new(arrivals.range(..before).rev().map(|(number, _)| *number))
            }
        })
    }

    /// The page, out of the numbers of arrival of the messages whose text matches; for backends.
    ///
    /// `candidates` come in the order of the query, newest first for a ranked one, and after
    /// [`begins_after`](Self::begins_after). `load` returns the session and the message of a number, or `None` if they
    /// do not pass the filters.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the limit is not valid, and whatever `load` fails
    /// with.
    pub fn page_of(
        &self,
        scope: &Scope,
        text: Option<&Query>,
        candidates: impl Iterator<Item = i64>,
        mut load: impl FnMut(i64) -> Result<Option<(Session, Message)>>,
    ) -> Result<Page<Hit>> {
        let limit = self.page.checked_limit()?;
        let mut page = PageBuilder::new(limit);
        let mut to_skip = self.page.offset;
        if let (SearchOrder::Rank, Some(text)) = (self.order, text) {
            return self.ranked_page(scope, text, candidates, load);
        }
        let rank = (self.order == SearchOrder::Rank).then_some(0.0);
        for number in candidates {
            let Some((session, message)) = load(number)? else { continue };
            if to_skip > 0 {
                to_skip -= 1;
                continue;
            }
            if page.is_full() {
                page.mark_more();
                break;
            }
            let weight = message.weight();
            page.push(Hit::new(session, message, text, rank), Position::Arrival(number), weight);
        }
        Ok(self.finished(scope, page))
    }

    /// The best of the newest matches.
    fn ranked_page(
        &self,
        scope: &Scope,
        text: &Query,
        mut candidates: impl Iterator<Item = i64>,
        mut load: impl FnMut(i64) -> Result<Option<(Session, Message)>>,
    ) -> Result<Page<Hit>> {
        let mut ranking = Ranking::new(text);
        while !ranking.is_full()
            && let Some(number) = candidates.next()
        {
            if let Some((_, message)) = load(number)? {
                ranking.weigh(number, &message.content);
            }
        }
        let mut page = PageBuilder::new(self.page.checked_limit()?);
        let offset = usize::try_from(self.page.offset).unwrap_or(usize::MAX);
        for (number, rank) in ranking.best_first().skip(offset) {
            if page.is_full() {
                break;
            }
            if let Some((session, message)) = load(number)? {
                let weight = message.weight();
                let hit = Hit::new(session, message, Some(text), Some(rank));
                page.push(hit, Position::Arrival(number), weight);
            }
        }
        Ok(self.finished(scope, page))
    }

    /// The page; one by rank is the only one.
    fn finished(&self, scope: &Scope, page: PageBuilder<Hit>) -> Page<Hit> {
        let mut page = page.finish(self.fingerprint(scope));
        if self.order == SearchOrder::Rank {
            page.next = None;
        }
        page
    }
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Hit {
    /// The session that it belongs to.
    pub session: Session,
    /// The message.
    pub message: Message,
    /// How well it matches, in a search ordered by rank; higher is better, comparable within a page
    /// only. It is 0 if the search has no text.
    pub rank: Option<f64>,
    /// The place of the match, shortened, with the matches marked; empty in a search without text.
    pub snippet: Snippet,
}

impl Hit {
    /// A hit whose snippet is cut from the message's content; for backends.
    pub fn new(
        session: Session,
        message: Message,
        query: Option<&Query>,
        rank: Option<f64>,
    ) -> Self {
        let snippet = query.map(|query| query.snippet(&message.content)).unwrap_or_default();
        Self { session, message, rank, snippet }
    }
}
