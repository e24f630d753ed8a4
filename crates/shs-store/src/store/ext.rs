//! What can be written with the methods of a store.

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{AppendOptions, Appended, Store};
use crate::limits::MAX_PAGE;
use crate::streaming::StreamLease;
use crate::{
    ErrorKind, Hit, Message, MessageQuery, NewMessage, Page, Result, Scope, SearchQuery, Session,
    SessionId, SessionQuery, Status, Timestamp, Transcript,
};

/// Conveniences on top of [`Store`], for every store.
///
/// The streams are made of pages: a slow reader holds no connection and no lock between them.
#[async_trait]
pub trait StoreExt: Store {
    /// Appends one message and returns it as it is stored.
    ///
    /// # Errors
    /// As [`Store::append_opts`].
    async fn append(&self, scope: &Scope, id: &SessionId, message: NewMessage) -> Result<Message> {
        let appended = self.append_opts(scope, id, vec![message], AppendOptions::new()).await?;
        Ok(appended.messages.into_iter().next().expect("a batch of one returns one message"))
    }

    /// Appends a batch, all or nothing.
    ///
    /// # Errors
    /// As [`Store::append_opts`].
    async fn append_all(
        &self,
        scope: &Scope,
        id: &SessionId,
        batch: Vec<NewMessage>,
    ) -> Result<Appended> {
        self.append_opts(scope, id, batch, AppendOptions::new()).await
    }

    /// The session, or `None` if there is none.
    ///
    /// # Errors
    /// As [`Store::session`], but for `NotFound`.
    async fn find_session(&self, scope: &Scope, id: &SessionId) -> Result<Option<Session>> {
        match self.session(scope, id).await {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The last messages of a session, at most so many (1 to 1,000), as said.
    ///
    /// # Errors
    /// As [`Store::messages`].
    async fn last_messages(
        &self,
        scope: &Scope,
        id: &SessionId,
        count: u32,
    ) -> Result<Vec<Message>> {
        let mut query = MessageQuery::new().newest_first().with_limit(count);
        let mut messages = Vec::new();
        loop {
            // A page of large messages may be short.
            let page = self.messages(scope, id, &query).await?;
            messages.extend(page.items);
            query.page.limit = count.saturating_sub(messages.len() as u32);
            match page.next.filter(|_| query.page.limit > 0) {
                Some(next) => query.page.after = Some(next),
                None => break,
            }
        }
        messages.reverse();
        Ok(messages)
    }

    /// A whole conversation.
    ///
    /// The session is read first: it may lack what is written meanwhile, and its counts are made to fit the
    /// messages.
    ///
    /// # Errors
    /// As [`Store::messages`].
    async fn transcript(&self, scope: &Scope, id: &SessionId) -> Result<Transcript> {
        let session = self.session(scope, id).await?;
        let mut query = MessageQuery::new().with_limit(MAX_PAGE);
        let mut page = self.messages(scope, id, &query).await?;
        let mut messages = page.items;
        while let Some(next) = page.next {
            query = query.with_after(next);
            page = self.messages(scope, id, &query).await?;
            messages.append(&mut page.items);
        }
        Transcript::new(session, messages)
    }

    /// The figures of one session.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none.
    async fn session_stats(&self, scope: &Scope, id: &SessionId) -> Result<SessionStats> {
        let session = self.session(scope, id).await?;
        let first = self.messages(scope, id, &MessageQuery::new().with_limit(1)).await?;
        let last =
            self.messages(scope, id, &MessageQuery::new().newest_first().with_limit(1)).await?;
        let duration_seconds = match (first.items.first(), last.items.first()) {
            (Some(first), Some(last)) if first.seq != last.seq => {
                Some(last.timestamp.seconds_since(first.timestamp))
            }
            _ => None,
        };
        Ok(SessionStats::new(&session, duration_seconds))
    }

    /// Marks streamed messages as interrupted whose lease ran out before `now`, and says how many.
    ///
    /// See [`streaming`](crate::streaming). A message that its writer finishes meanwhile is left as it is.
    ///
    /// # Errors
    /// As [`Store::search`] and [`Store::update_message`].
    async fn interrupt_stale_streams(&self, scope: &Scope, now: Timestamp) -> Result<u64> {
        let mut interrupted = 0;
        let pending = SearchQuery::all().with_status(Status::Pending);
        let mut pending = self.search_stream(scope, pending);
        while let Some(Hit { session, message, .. }) = pending.try_next().await? {
            let is_stale = interrupt_stale(self, scope, &session.id, &message, now).await?;
            interrupted += u64::from(is_stale);
        }
        Ok(interrupted)
    }

    /// All messages that a query asks for, page by page; the query's limit is the size of a page.
    fn message_stream(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: MessageQuery,
    ) -> BoxStream<'_, Result<Message>> {
        let state = Some((scope.clone(), id.clone(), query));
        let pages = stream::try_unfold(state, move |state| async move {
            let Some((scope, id, mut query)) = state else { return Ok::<_, crate::Error>(None) };
            let page = self.messages(&scope, &id, &query).await?;
            let more = query.page.move_on(page.next);
            Ok(Some((page.items, more.then_some((scope, id, query)))))
        });
        items(pages)
    }

    /// All sessions that a query asks for, page by page; the query's limit is the size of a page.
    fn session_stream(&self, scope: &Scope, query: SessionQuery) -> BoxStream<'_, Result<Session>> {
        let state = Some((scope.clone(), query));
        let pages = stream::try_unfold(state, move |state| async move {
            let Some((scope, mut query)) = state else { return Ok::<_, crate::Error>(None) };
            let page: Page<Session> = self.list_sessions(&scope, &query).await?;
            let more = query.page.move_on(page.next);
            Ok(Some((page.items, more.then_some((scope, query)))))
        });
        items(pages)
    }

    /// All hits of a search, page by page; the query's limit is the size of a page.
    fn search_stream(&self, scope: &Scope, query: SearchQuery) -> BoxStream<'_, Result<Hit>> {
        let state = Some((scope.clone(), query));
        let pages = stream::try_unfold(state, move |state| async move {
            let Some((scope, mut query)) = state else { return Ok::<_, crate::Error>(None) };
            let page: Page<Hit> = self.search(&scope, &query).await?;
            let more = query.page.move_on(page.next);
            Ok(Some((page.items, more.then_some((scope, query)))))
        });
        items(pages)
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

/// Marks a message as interrupted whose lease ran out before `now`; `false` if it did not, or its
/// writer has finished it meanwhile.
pub(super) async fn interrupt_stale<S: Store + ?Sized>(
    store: &S,
    scope: &Scope,
    session: &SessionId,
    message: &Message,
    now: Timestamp,
) -> Result<bool> {
    let lease = StreamLease::of(message);
    let Some(lease) = lease.filter(|lease| lease.until < now) else { return Ok(false) };
    match store.update_message(scope, session, &message.id, lease.interrupt()).await {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The items of a stream of pages.
pub(super) fn items<'a, T: Send + 'a>(
    pages: impl futures::Stream<Item = Result<Vec<T>>> + Send + 'a,
) -> BoxStream<'a, Result<T>> {
    pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed()
}

/// The figures of one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionStats {
    /// The session.
    pub session_id: SessionId,
    /// How many messages it has.
    pub message_count: u64,
    /// The sum of their tokens.
    pub total_tokens: u64,
    /// Seconds from the first message to the last; `None` below two messages.
    pub duration_seconds: Option<f64>,
    /// Whose conversation it is.
    pub user_id: Option<String>,
    /// The project that it belongs to.
    pub project_id: Option<String>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it was last written to.
    pub updated_at: Timestamp,
}

impl SessionStats {
    /// The figures of a session whose messages span so many seconds.
    pub fn new(session: &Session, duration_seconds: Option<f64>) -> Self {
        Self {
            session_id: session.id.clone(),
            message_count: session.message_count,
            total_tokens: session.total_tokens,
            duration_seconds,
            user_id: session.user_id.clone(),
            project_id: session.project_id.clone(),
            created_at: session.created_at,
            updated_at: session.updated_at,
        }
    }
}
