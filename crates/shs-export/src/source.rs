//! What an export reads: the sessions that were chosen, and their messages.

use std::future::ready;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use shs_store::{
    Error, ErrorKind, MessageQuery, Result, Role, Session, SessionOrder, Store, StoreExt,
};

use crate::export::{Export, Selection};
use crate::prepare::{self, Fork, Reading};
use crate::training::Abilities;

/// Messages that are read at once.
const PAGE: u32 = 500;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) export: &'a Export,
    pub(crate) store: &'a dyn Store,
}

impl<'a> Source<'a> {
    pub(crate) fn new(export: &'a Export) -> Self {
        Self { export, store: &*export.store }
    }

    /// The sessions, in their order.
    pub(crate) fn selected(self) -> BoxStream<'a, Result<Session>> {
        let (store, scope) = (self.store, &self.export.scope);
        let query = match &self.export.selection {
            Selection::These(ids) => {
                return stream::iter(ids).then(move |id| store.session(scope, id)).boxed();
            }
            Selection::Asked(query) => (**query).clone(),
        };
        // Sessions keep their place in the order of their start. A range of the other time is looked at here.
        let range = query.clone();
        let mut asked = query.with_order(SessionOrder::Created);
        if range.order != SessionOrder::Created {
            (asked.since, asked.until) = (None, None);
        }
        let is_asked = move |session: &Session| ready(range.in_range(range.time_of(session)));
        store.session_stream(scope, asked).try_filter(is_asked).boxed()
    }

    /// Whether a session was deleted since it was found; one that was named has to be there.
    pub(crate) fn is_gone(self, error: &Error) -> bool {
        error.kind() == ErrorKind::NotFound && matches!(self.export.selection, Selection::Asked(_))
    }

    /// Which of the files a session goes to.
    pub(crate) async fn part_of(self, session: &Session) -> Result<usize> {
        let Some(split) = self.export.preparation.split else { return Ok(0) };
        let root = prepare::root(self.store, &self.export.scope, session).await?;
        Ok(usize::from(!split.is_for_training(&root)))
    }

    /// The messages that a session had when it was read.
    pub(crate) fn whole(session: &Session) -> MessageQuery {
        MessageQuery::new().with_up_to_seq(session.last_seq).with_limit(PAGE)
    }

    /// Whether fewer questions of it were answered than were asked for. For formats that have every message.
    pub(crate) async fn has_too_few_turns(self, session: &Session) -> Result<bool> {
        let wanted = self.export.preparation.min_turns;
        if wanted == 0 {
            return Ok(false);
        }
        let mut messages =
            self.store.message_stream(&self.export.scope, &session.id, Self::whole(session));
        let (mut turns, mut is_asked) = (0, false);
        while let Some(message) = messages.try_next().await? {
            match message.role {
                Role::User => is_asked = true,
                Role::Assistant if is_asked => (turns, is_asked) = (turns + 1, false),
                _ => {}
            }
            if turns >= wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The turns of a session, free of what is redacted. Of its messages, a page is in memory.
    pub(crate) async fn turns(self, session: &Session, can: Abilities) -> Result<Reading<'a>> {
        let preparation = &self.export.preparation;
        let mut reading = Reading::new(session, can, preparation);
        let mut messages =
            self.store.message_stream(&self.export.scope, &session.id, Self::whole(session));
        while let Some(mut message) = messages.try_next().await? {
            preparation.redaction.message(&mut message);
            reading.push(message);
        }
        Ok(reading)
    }

    /// What the source of a fork has where the fork goes its own way.
    pub(crate) async fn fork(self, session: &Session) -> Result<Option<Fork>> {
        let Some(point) = &session.forked_from else { return Ok(None) };
        let next = MessageQuery::new().with_after_seq(point.seq).with_limit(2);
        let mut messages = Vec::new();
        let mut stream = self.store.message_stream(&self.export.scope, &point.session_id, next);
        while messages.len() < 2 {
            match stream.try_next().await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                // The source was deleted.
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        let went_on = messages.get(1).is_some_and(|message| message.role == Role::User);
        messages.truncate(1);
        let Some(mut answer) = messages.pop() else { return Ok(None) };
        self.export.preparation.redaction.message(&mut answer);
        Ok(Some(Fork { answer, went_on }))
    }

    /// As [`StoreExt::session_stats`] has it, for the messages that are exported.
    pub(crate) async fn duration_seconds(self, session: &Session) -> Result<Option<f64>> {
        let whole = Self::whole(session);
        let first = self
            .store
            .messages(&self.export.scope, &session.id, &whole.clone().with_limit(1))
            .await?;
        let last = self
            .store
            .messages(&self.export.scope, &session.id, &whole.clone().newest_first().with_limit(1))
            .await?;
        Ok(match (first.items.first(), last.items.first()) {
            (Some(first), Some(last)) if first.seq != last.seq => {
                Some(last.timestamp.seconds_since(first.timestamp))
            }
            _ => None,
        })
    }
}
