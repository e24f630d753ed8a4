//! What a tracker that saves at the end keeps until then.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use shs_store::limits::MAX_BATCH;
use shs_store::{
    Error, ErrorKind, Message, MessageId, NewMessage, NewSession, Result, Scope, Seq, Session,
    SessionId, SessionKey, SessionPatch, Store, StoreExt, Timestamp,
};

/// The sessions with something unsaved, shared by all clones of a tracker.
///
/// A session is here from its start or resumption until its end. What is saved is removed only after the
/// store has acknowledged it, and is saved under the ids it was given at first: so a failed or
/// abandoned save is repeated without storing anything twice.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    sessions: Mutex<HashMap<SessionKey, Draft>>,
}

/// What is not saved yet of one session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    /// Whose session it is.
    user_id: Option<String>,
    /// The session itself, unless it is in the store.
    new: Option<NewSession>,
    /// Whether it was tried to create it, so that it may be there.
    tried: bool,
    patches: VecDeque<(u64, SessionPatch)>,
    last_patch: u64,
    messages: Vec<NewMessage>,
    ids: HashSet<MessageId>,
}

impl Draft {
    /// The session as it will be once it is saved, out of the session as it is stored, if it is.
    pub(crate) fn session(&self, stored: Option<Session>, now: Timestamp) -> Result<Session> {
        let mut session = match (stored, &self.new) {
            (Some(stored), _) => stored,
            (None, Some(new)) => new.clone().into_session(now)?,
            (None, None) => return Err(Error::new(ErrorKind::NotFound, "no such session")),
        };
        for (_, patch) in &self.patches {
            patch.clone().apply(&mut session, now)?;
        }
        Ok(session)
    }

    /// The messages, without numbers.
    pub(crate) fn messages(self) -> impl Iterator<Item = Message> {
        self.messages.into_iter().map(|message| message.into_message(Seq::ZERO))
    }

    /// Whether a message with this id is among those that are kept.
    pub(crate) fn has(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// Whether the session itself is not in the store, as far as is known.
    pub(crate) fn is_new(&self) -> bool {
        self.new.is_some()
    }

    fn is_empty(&self) -> bool {
        self.new.is_none() && self.patches.is_empty() && self.messages.is_empty()
    }
}

enum Step {
    Create(Box<NewSession>, bool),
    Patch(u64, Box<SessionPatch>),
    Append(Vec<NewMessage>),
}

impl Unsaved {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Draft>> {
        // No method leaves a draft half changed.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a session that is not in the store yet.
    pub(crate) fn start(
        &self,
        scope: &Scope,
        mut new: NewSession,
        now: Timestamp,
    ) -> Result<Session> {
        scope.claim(&mut new.user_id)?;
        let session = new.clone().into_session(now)?;
        let new = new.with_created_at(session.created_at);
        let mut sessions = self.lock();
        let key = scope.key(&session.id);
        if sessions.contains_key(&key) {
            return Err(Error::session_exists(&session.id));
        }
        let user_id = session.user_id.clone();
        sessions.insert(key, Draft { user_id, new: Some(new), ..Draft::default() });
        Ok(session)
    }

    /// Keeps what will be added to a session that is in the store.
    pub(crate) fn resume(&self, scope: &Scope, session: Session) {
        let (key, user_id) = (scope.key(&session.id), session.user_id);
        self.lock().entry(key).or_insert_with(|| Draft { user_id, ..Draft::default() });
    }

    /// Whether something of this session is kept, or may be.
    pub(crate) fn keeps(&self, scope: &Scope, id: &SessionId) -> bool {
        found(&mut self.lock(), scope, id).is_some()
    }

    /// What is kept of a session now.
    pub(crate) fn draft(&self, scope: &Scope, id: &SessionId) -> Option<Draft> {
        found(&mut self.lock(), scope, id).cloned()
    }

    /// Drops what is kept of a session.
    pub(crate) fn remove(&self, scope: &Scope, id: &SessionId) -> Option<Draft> {
        let mut sessions = self.lock();
        found(&mut sessions, scope, id)?;
        sessions.remove(&scope.key(id))
    }

    /// Drops what is kept of the new sessions of a user.
    pub(crate) fn remove_user(&self, scope: &Scope, user_id: &str) {
        let is_theirs = |key: &SessionKey, draft: &Draft| {
            key.tenant == *scope.tenant_id()
                && scope.has_user(draft.user_id.as_deref())
                && draft.new.is_some()
                && draft.user_id.as_deref() == Some(user_id)
        };
        self.lock().retain(|key, draft| !is_theirs(key, draft));
    }

    /// The sessions of which something is kept.
    pub(crate) fn keys(&self) -> Vec<SessionKey> {
        self.lock().keys().cloned().collect()
    }

    /// Keeps a message, or gives it back if the session is not kept.
    pub(crate) fn append(
        &self,
        scope: &Scope,
        id: &SessionId,
        message: NewMessage,
    ) -> Result<Result<Message, NewMessage>> {
        let at_message =
            |error: Error| error.with_op("append").with_session(id).with_message(&message.id);
        let mut sessions = self.lock();
        let Some(draft) = found(&mut sessions, scope, id) else { return Ok(Err(message)) };
        message.validate().map_err(at_message)?;
        if draft.ids.contains(&message.id)
            && let Some(kept) = draft.messages.iter().find(|kept| kept.id == message.id)
        {
            if kept.digest() != message.digest() {
                return Err(at_message(Error::new(
                    ErrorKind::Conflict,
                    "a message with this id and other content is there",
                )));
            }
            return Ok(Ok(kept.clone().into_message(Seq::ZERO)));
        }
        draft.ids.insert(message.id.clone());
        draft.messages.push(message.clone());
        Ok(Ok(message.into_message(Seq::ZERO)))
    }

    /// Keeps a change to a session that is not in the store, or gives it back.
    pub(crate) fn patch(
        &self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
        now: Timestamp,
    ) -> Result<Result<(), SessionPatch>> {
        let mut sessions = self.lock();
        let draft = found(&mut sessions, scope, id).filter(|draft| draft.new.is_some());
        let Some(draft) = draft else { return Ok(Err(patch)) };
        let mut session = draft.session(None, now)?;
        patch.clone().apply(&mut session, now)?;
        draft.last_patch += 1;
        draft.patches.push_back((draft.last_patch, patch));
        Ok(Ok(()))
    }

    /// Saves what is kept of a session; it stays kept for what comes.
    pub(crate) async fn save(
        &self,
        store: &dyn Store,
        scope: &Scope,
        id: &SessionId,
    ) -> Result<()> {
        while let Some(step) = self.next_step(scope, id) {
            match step {
                Step::Create(new, tried) => {
                    create(store, scope, *new, tried).await?;
                    self.done(scope, id, |draft| draft.new = None);
                }
                Step::Patch(number, patch) => {
                    store.update_session(scope, id, *patch).await?;
                    self.done(scope, id, |draft| {
                        draft.patches.retain(|(other, _)| *other != number)
                    });
                }
                Step::Append(batch) => {
                    let ids: HashSet<MessageId> =
                        batch.iter().map(|message| message.id.clone()).collect();
                    store.append_all(scope, id, batch).await?;
                    self.done(scope, id, |draft| {
                        draft.messages.retain(|kept| !ids.contains(&kept.id));
                        draft.ids.retain(|id| !ids.contains(id));
                    });
                }
            }
        }
        Ok(())
    }

    /// Keeps nothing of a session any more, unless something unsaved has come.
    pub(crate) fn forget(&self, scope: &Scope, id: &SessionId) -> bool {
        let mut sessions = self.lock();
        let Some(draft) = found(&mut sessions, scope, id) else { return true };
        let forget = draft.is_empty();
        if forget {
            sessions.remove(&scope.key(id));
        }
        forget
    }

    fn next_step(&self, scope: &Scope, id: &SessionId) -> Option<Step> {
        let mut sessions = self.lock();
        let draft = found(&mut sessions, scope, id)?;
        if let Some(new) = &draft.new {
            let tried = std::mem::replace(&mut draft.tried, true);
            return Some(Step::Create(Box::new(new.clone()), tried));
        }
        if let Some((number, patch)) = draft.patches.front() {
            return Some(Step::Patch(*number, Box::new(patch.clone())));
        }
        let batch: Vec<_> = draft.messages.iter().take(MAX_BATCH).cloned().collect();
        (!batch.is_empty()).then_some(Step::Append(batch))
    }

    fn done(&self, scope: &Scope, id: &SessionId, change: impl FnOnce(&mut Draft)) {
        if let Some(draft) = found(&mut self.lock(), scope, id) {
            change(draft);
        }
    }
}

/// What is kept of a session that exists within a scope.
fn found<'d>(
    sessions: &'d mut HashMap<SessionKey, Draft>,
    scope: &Scope,
    id: &SessionId,
) -> Option<&'d mut Draft> {
    if sessions.is_empty() {
        return None;
    }
    sessions.get_mut(&scope.key(id)).filter(|draft| scope.has_user(draft.user_id.as_deref()))
}

/// Creates a session, where an earlier attempt may have created it without our knowing.
async fn create(store: &dyn Store, scope: &Scope, new: NewSession, tried: bool) -> Result<()> {
    let Err(error) = store.create_session(scope, new.clone()).await else { return Ok(()) };
    if error.kind() != ErrorKind::AlreadyExists || !tried {
        return Err(error);
    }
    let stored = store.session(scope, &new.id).await?;
    let is_ours = Some(stored.created_at) == new.created_at
        && stored.user_id == new.user_id
        && stored.project_id == new.project_id;
    if is_ours { Ok(()) } else { Err(error) }
}
