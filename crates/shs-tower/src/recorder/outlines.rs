//! What is remembered of the sessions that are recorded.

use hashlink::LruCache;
use shs_store::limits::MAX_PAGE;
use shs_store::{
    ErrorKind, Message, MessageQuery, Result, Scope, Seq, Session, SessionId, SessionKey, Store,
    Timestamp,
};

use super::offer::Offered;
use super::place::Known;
use crate::keys;

/// A session, as far as it is needed to tell what is new in a request.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    pub(super) user: Option<String>,
    pub(super) project: Option<String>,
    /// Where the id came from, if it was a recorder that made the session.
    pub(super) from: Option<String>,
    pub(super) offered: Offered,
    /// When the session was made: another one may have taken its id since.
    created_at: Timestamp,
    pub(super) last_seq: Seq,
    pub(super) known: Vec<Known>,
    /// Whether it was just read, and not remembered.
    pub(super) is_fresh: bool,
}

impl Outline {
    /// Reads the messages of a session; `None` if it was deleted meanwhile.
    pub(super) async fn load(
        store: &dyn Store,
        scope: &Scope,
        session: &Session,
    ) -> Result<Option<Self>> {
        let mut outline = Self::of(session);
        let mut query = MessageQuery::new().with_limit(MAX_PAGE);
        loop {
            let page = match store.messages(scope, &session.id, &query).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                page => page?,
            };
            page.items.iter().for_each(|message| outline.push(message));
            match page.next {
                Some(next) => query = query.with_after(next),
                None => return Ok(Some(outline)),
            }
        }
    }

    /// A session without its messages.
    pub(super) fn of(session: &Session) -> Self {
        let from = session.metadata.get(keys::SESSION_FROM).and_then(|from| from.as_str());
        Self {
            user: session.user_id.clone(),
            project: session.project_id.clone(),
            from: from.map(str::to_owned),
            offered: Offered::of(&session.metadata),
            created_at: session.created_at,
            last_seq: session.last_seq,
            known: Vec::new(),
            is_fresh: true,
        }
    }

    /// Whether it is what is stored of this session.
    pub(super) fn is_of(&self, session: &Session) -> bool {
        self.created_at == session.created_at
            && self.user == session.user_id
            && self.project == session.project_id
            && self.last_seq == session.last_seq
    }

    pub(super) fn push(&mut self, message: &Message) {
        self.last_seq = self.last_seq.max(message.seq);
        self.known.push(Known::of(message));
    }
}

/// The outlines of the sessions that were last written to. Others may write to them too, delete
/// them, and make others with their ids: an outline is compared with the session before it is used,
/// and whoever uses it tells the store what last number it expects, and forgets the outline if that
/// does not hold.
#[derive(Debug)]
pub(super) struct Outlines {
    by_key: LruCache<SessionKey, Outline>,
    messages: usize,
}

/// Most messages that are remembered, of all sessions together.
const MOST_MESSAGES: usize = 20_000;
/// Most sessions, as an empty one is remembered too.
const MOST_SESSIONS: usize = 4_096;

impl Outlines {
    pub(super) fn new() -> Self {
        Self { by_key: LruCache::new(MOST_SESSIONS), messages: 0 }
    }

    /// Takes the outline of a session out that exists within the scope; whoever takes it puts it
    /// back.
    pub(super) fn take(&mut self, scope: &Scope, id: &SessionId) -> Option<Outline> {
        let key = scope.key(id);
        let is_visible = |outline: &Outline| scope.has_user(outline.user.as_deref());
        self.by_key.peek(&key).filter(|outline| is_visible(outline))?;
        let outline = self.by_key.remove(&key)?;
        self.messages -= outline.known.len();
        Some(outline)
    }

    pub(super) fn put(&mut self, scope: &Scope, id: &SessionId, mut outline: Outline) {
        if let Some(before) = self.by_key.remove(&scope.key(id)) {
            self.messages -= before.known.len();
        }
        outline.is_fresh = false;
        self.messages += outline.known.len();
        if self.by_key.len() == MOST_SESSIONS {
            self.forget_oldest();
        }
        self.by_key.insert(scope.key(id), outline);
        while self.messages > MOST_MESSAGES && self.forget_oldest() {}
    }

    /// What is remembered of a session's tools.
    pub(super) fn offered(&self, scope: &Scope, id: &SessionId) -> Option<Offered> {
        self.by_key.peek(&scope.key(id)).map(|outline| outline.offered)
    }

    /// Remembers it, if the session is remembered.
    pub(super) fn set_offered(&mut self, scope: &Scope, id: &SessionId, offered: Offered) {
        if let Some(outline) = self.by_key.peek_mut(&scope.key(id)) {
            outline.offered = offered;
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest = self.by_key.remove_lru();
        self.messages -= oldest.as_ref().map_or(0, |(_, outline)| outline.known.len());
        oldest.is_some()
    }
}
