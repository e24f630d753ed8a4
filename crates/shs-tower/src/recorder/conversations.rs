//! Which session an exchange belongs to, and what of it is new.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hashlink::LruCache;
use serde_json::Value;
use shs_store::limits::MAX_BATCH;
use shs_store::{
    AppendOptions, ErrorKind, Expected, Map, MessagePatch, NewMessage, NewSession, Result, Role,
    Scope, SearchQuery, SessionId, SessionPatch, Status, Store, StoreExt, Timestamp,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::asked::Asked;
use super::guard::locked;
use super::name::{Candidates, session};
use super::offer::Offered;
use super::outlines::{Outline, Outlines};
use super::patience::patiently;
use super::place::{Place, Saying, frames, place, turns};
use crate::decode::History;
use crate::keys;

/// Keeps exchanges in a store.
#[derive(Debug)]
pub(super) struct Conversations {
    store: Arc<dyn Store>,
    patience: Duration,
    outlines: Mutex<Outlines>,
    tips: Mutex<LruCache<Tip, SessionId>>,
}

/// By what a conversation is recognized when it goes on: its turns or its last response, for one user and project.
pub(super) type Tip = [u8; 16];

/// The session that an exchange may belong to.
struct Session {
    id: SessionId,
    /// What is stored of it.
    outline: Option<Outline>,
    /// What it is called if others have the id.
    others: Candidates,
}

/// What became of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is stored in this session.
    In(SessionId),
    /// It was stored before, in this session.
    Before(SessionId),
}

/// The provenance of a session that no client and no application named.
const BY_CONTENT: &str = "content";
/// Most conversations without a name that are recognized without a search.
const MOST_TIPS: usize = 16_384;

impl Conversations {
    pub(super) fn new(store: Arc<dyn Store>, patience: Duration) -> Self {
        let (outlines, tips) = (Mutex::new(Outlines::new()), Mutex::new(LruCache::new(MOST_TIPS)));
        Self { store, patience, outlines, tips }
    }

    /// Stores what is new of a request and its answers. Without answers, it stores what is new of the request, to be called
    /// again when they are there.
    ///
    /// Waits and tries again while the store is unavailable, as long as the patience lasts.
    pub(super) async fn keep(
        &self,
        asked: &Asked,
        answers: &[NewMessage],
        stored_in: Option<&SessionId>,
    ) -> Result<Kept> {
        let deadline = Instant::now() + self.patience;
        let kept = patiently(deadline, || self.try_keep(asked, answers, stored_in)).await?;
        // With an answer it is known which session they belong to; the messages come first.
        if let (Kept::In(id), Some(_)) = (&kept, answers.first()) {
            patiently(deadline, || self.keep_offer(id, asked)).await?;
        }
        Ok(kept)
    }

    async fn try_keep(
        &self,
        asked: &Asked,
        answers: &[NewMessage],
        stored_in: Option<&SessionId>,
    ) -> Result<Kept> {
        let Session { mut id, mut outline, mut others } = match stored_in {
            Some(id) => {
                let outline = self.writable(asked, id).await?;
                Session { id: id.clone(), outline, others: own(asked, id.as_str()) }
            }
            None => self.session_of(asked).await?,
        };
        loop {
            let Some(known) = &outline else {
                match self.create(&id, asked).await {
                    // Somebody else has it, whose session does not exist for this client.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        // Or this client, by another request.
                        outline = self.writable(asked, &id).await?;
                        if outline.is_none() {
                            id = others.next();
                            outline = self.writable(asked, &id).await?;
                        }
                    }
                    created => outline = Some(created?),
                }
                continue;
            };
            let answer = answers.first();
            if let Some(answer) = answer
                && known.known.iter().any(|known| known.id == answer.id)
            {
                // Without a request id nobody else makes this id: an attempt of ours was stored after all.
                return match asked.repeats {
                    Some(_) => self.answer_again(&asked.scope, &id, answers).await,
                    None => Ok(Kept::In(id)),
                };
            }
            let place = match asked.history {
                History::Whole => place(&known.known, &asked.said),
                History::Continues => Place::After(0),
            };
            // What is remembered may not be true any more: a message was edited, or the session deleted.
            if !matches!(place, Place::After(_)) && !known.is_fresh {
                let reloaded = self.reload(&asked.scope, &id).await?;
                outline = reloaded.filter(|outline| may_write(outline, asked));
                continue;
            }
            let (keep, turns) = match (place, answer) {
                (Place::After(from), _) => {
                    let outline = outline.take().expect("it was just looked at");
                    self.append(&id, outline, asked, from, answers).await?;
                    self.remember_tip(&id, asked, answers);
                    return Ok(Kept::In(id));
                }
                (Place::Differs { keep, from }, _) => {
                    (keep, turns(&asked.said[..=from]).collect::<Vec<_>>())
                }
                // Everything that is asked is stored already.
                (Place::Within { .. }, None) => {
                    self.put(&asked.scope, &id, outline);
                    return Ok(Kept::In(id));
                }
                (Place::Within { next, .. }, Some(answer))
                    if known.known[next].saying == Saying::of_new(answer) =>
                {
                    self.put(&asked.scope, &id, outline);
                    return Ok(Kept::Before(id));
                }
                (Place::Within { keep, .. }, Some(answer)) => {
                    (keep, asked.turns().chain([Saying::of_new(answer)]).collect())
                }
            };
            let chain = Saying::chain(turns);
            self.put(&asked.scope, &id, outline.take());
            let mut branches = Candidates::of_fork(asked.principal(), project(asked), &id, chain);
            let branch = loop {
                let branch = branches.next();
                outline = self.writable(asked, &branch).await?;
                if outline.is_some() {
                    break branch;
                }
                let new = NewSession::with_id(branch.clone());
                match self.store.fork(&asked.scope, &id, keep, new).await {
                    // Somebody else has it.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    forked => {
                        forked?;
                        outline = self.writable(asked, &branch).await?;
                        break branch;
                    }
                }
            };
            id = branch;
        }
    }

    /// The session that a request names, or whose conversation it continues; with what is stored of it.
    async fn session_of(&self, asked: &Asked) -> Result<Session> {
        let Some(named) = &asked.session else { return self.session_by_content(asked).await };
        let mut others = own(asked, &named.id);
        if named.is_trusted {
            others = others.beginning_with(session(&named.id));
        }
        let id = others.next();
        let outline = self.outline(&asked.scope, &id).await?;
        if outline.as_ref().is_some_and(|outline| may_write(outline, asked)) {
            return Ok(Session { id, outline, others });
        }
        // The id is another's, or was when this conversation began.
        let later = others.clone();
        let own = others.next();
        let own_outline = self.writable(asked, &own).await?;
        if outline.is_none() && own_outline.is_none() {
            return Ok(Session { id, outline: None, others: later });
        }
        self.put(&asked.scope, &id, outline);
        Ok(Session { id: own, outline: own_outline, others })
    }

    /// What is stored of a session that the client may write to.
    async fn writable(&self, asked: &Asked, id: &SessionId) -> Result<Option<Outline>> {
        let outline = self.outline(&asked.scope, id).await?;
        if outline.as_ref().is_none_or(|outline| may_write(outline, asked)) {
            return Ok(outline);
        }
        self.put(&asked.scope, id, outline);
        Ok(None)
    }

    /// The session whose conversation a request without a name continues, and a new one if there is none.
    async fn session_by_content(&self, asked: &Asked) -> Result<Session> {
        let others = |id: &SessionId| own(asked, id.as_str());
        if let Some(previous) = &asked.previous_response
            && let Some(id) = self.tip(response_tip(asked, previous))
        {
            let outline = self.writable(asked, &id).await?;
            return Ok(Session { others: others(&id), id, outline });
        }
        if let Some(answered) = last_answer(asked) {
            if let Some(id) = self.tip(tip_at(asked, answered))
                && let Some(outline) = self.writable(asked, &id).await?
            {
                return Ok(Session { others: others(&id), id, outline: Some(outline) });
            }
            if let Some((id, outline)) = self.search(asked, answered).await? {
                return Ok(Session { others: others(&id), id, outline: Some(outline) });
            }
        }
        let id = asked.repeats.unwrap_or(asked.exchange);
        let id = SessionId::new(id.to_string()).expect("a UUID is an id");
        let outline = self.writable(asked, &id).await?;
        Ok(Session { others: others(&id), id, outline })
    }

    /// Looks in the store for the conversation that a request continues: it was recorded by another process, or long ago.
    async fn search(&self, asked: &Asked, answered: usize) -> Result<Option<(SessionId, Outline)>> {
        let Some(query) = phrase(&asked.messages[answered].content) else { return Ok(None) };
        let query = SearchQuery::new(query).with_role(Role::Assistant).with_limit(20);
        let mut seen = Vec::new();
        for hit in self.store.search(&asked.scope, &query).await?.items {
            let session = hit.session;
            if seen.contains(&session.id) {
                continue;
            }
            let remembered = locked(&self.outlines).take(&asked.scope, &session.id);
            let outline = self.outline_of(&asked.scope, &session, remembered).await?;
            let (Some(outline), id) = (outline, session.id) else { continue };
            let is_ours = outline.from.as_deref() == Some(BY_CONTENT) && may_write(&outline, asked);
            if is_ours && matches!(place(&outline.known, &asked.said), Place::After(_)) {
                return Ok(Some((id, outline)));
            }
            self.put(&asked.scope, &id, Some(outline));
            seen.push(id);
        }
        Ok(None)
    }

    async fn create(&self, id: &SessionId, asked: &Asked) -> Result<Outline> {
        let mut metadata = Map::new();
        let mut put = |key: &str, value: &str| metadata.insert(key.to_owned(), value.into());
        put(keys::API, asked.api());
        match &asked.session {
            Some(found) => {
                put(keys::SESSION_FROM, &found.from);
                if id.as_str() != found.id {
                    put(keys::CLIENT_SESSION, &shortened(&found.id));
                }
            }
            None => {
                put(keys::SESSION_FROM, BY_CONTENT);
            }
        }
        if let Some(found) = &asked.user {
            put(keys::USER_FROM, &found.from);
        }
        if let Some(found) = &asked.project {
            put(keys::PROJECT_FROM, &found.from);
        }
        metadata.extend(asked.offer.change(Offered::default()).unwrap_or_default());
        let mut new = NewSession::with_id(id.clone()).with_metadata(metadata);
        new.created_at = Some(asked.at.min(Timestamp::now()));
        new.user_id = asked.principal().map(str::to_owned);
        new.project_id = project(asked).map(str::to_owned);
        new.title = title(&asked.messages);
        Ok(Outline::of(&self.store.create_session(&asked.scope, new).await?))
    }

    async fn append(
        &self,
        id: &SessionId,
        mut outline: Outline,
        asked: &Asked,
        from: usize,
        answers: &[NewMessage],
    ) -> Result<()> {
        let is_known = |message: &NewMessage| outline.known.iter().any(|k| k.id == message.id);
        let is_new = |(at, message): (usize, &NewMessage)| {
            // A message that frames the conversation is kept when it says something new.
            let is_there = frames(message.role)
                && outline.known.iter().any(|known| known.saying == asked.said[at].saying);
            let is_turn = at >= from || frames(message.role);
            (is_turn && !is_there && !is_known(message)).then(|| message.clone())
        };
        // A session that is another user's by now is not found.
        let narrowed = outline.user.as_ref().map(|user| asked.scope.as_user(user)).transpose()?;
        let scope = narrowed.as_ref().unwrap_or(&asked.scope);
        let batch: Vec<_> = asked.messages.iter().enumerate().filter_map(is_new).collect();
        let batch: Vec<_> =
            batch.into_iter().chain(answers.iter().cloned()).map(storable).collect();
        for batch in batch.chunks(MAX_BATCH) {
            let expected = Expected::LastSeq(outline.last_seq);
            let options = AppendOptions::new().with_expected(expected);
            let appended = self.store.append_opts(scope, id, batch.to_vec(), options).await?;
            appended.messages.iter().for_each(|message| outline.push(message));
        }
        self.put(&asked.scope, id, Some(outline));
        Ok(())
    }

    /// Keeps the tools that a request offers with its session, where others are stored. A fork has those of its source
    /// until then.
    async fn keep_offer(&self, id: &SessionId, asked: &Asked) -> Result<()> {
        if asked.offer.is_empty() {
            return Ok(());
        }
        let remembered = locked(&self.outlines).offered(&asked.scope, id);
        let stored = match remembered {
            Some(offered) => offered,
            None => match self.store.find_session(&asked.scope, id).await? {
                Some(session) => Offered::of(&session.metadata),
                None => return Ok(()),
            },
        };
        let Some(change) = asked.offer.change(stored) else { return Ok(()) };
        let patch = SessionPatch::new().with_metadata_merged(change);
        match self.store.update_session(&asked.scope, id, patch).await {
            Ok(session) => {
                let offered = Offered::of(&session.metadata);
                locked(&self.outlines).set_offered(&asked.scope, id, offered);
                Ok(())
            }
            // Somebody has deleted the session meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A request that was sent again, and answered before. An answer that had failed gives way to one that did not.
    async fn answer_again(
        &self,
        scope: &Scope,
        id: &SessionId,
        answers: &[NewMessage],
    ) -> Result<Kept> {
        let mut kept = Kept::Before(id.clone());
        for answer in answers {
            let stored = match self.store.message(scope, id, &answer.id).await {
                Ok(stored) => stored,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // The answer that had failed was one, and now there are several.
                    self.store.append(scope, id, storable(answer.clone())).await?;
                    kept = Kept::In(id.clone());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if stored.status == Status::Delivered || answer.status != Status::Delivered {
                continue;
            }
            let answer = storable(answer.clone());
            let mut patch = MessagePatch::new()
                .with_content(answer.content)
                .with_parts(answer.parts)
                .with_status(answer.status)
                .with_metadata(answer.metadata)
                .with_expected_status(stored.status);
            patch.model = Some(answer.model);
            patch.tokens = Some(answer.tokens);
            patch.latency_ms = Some(answer.latency_ms);
            self.store.update_message(scope, id, &answer.id, patch).await?;
            kept = Kept::In(id.clone());
        }
        Ok(kept)
    }

    /// What is stored of a session. Whoever gets it puts it back, unless it is not true any more.
    async fn outline(&self, scope: &Scope, id: &SessionId) -> Result<Option<Outline>> {
        let remembered = locked(&self.outlines).take(scope, id);
        let Some(session) = self.store.find_session(scope, id).await? else { return Ok(None) };
        self.outline_of(scope, &session, remembered).await
    }

    /// What is remembered of a session, if that is true of it, and else what is stored.
    async fn outline_of(
        &self,
        scope: &Scope,
        session: &shs_store::Session,
        remembered: Option<Outline>,
    ) -> Result<Option<Outline>> {
        match remembered.filter(|outline| outline.is_of(session)) {
            Some(outline) => Ok(Some(outline)),
            None => Outline::load(&*self.store, scope, session).await,
        }
    }

    /// What is stored of a session, whatever is remembered.
    async fn reload(&self, scope: &Scope, id: &SessionId) -> Result<Option<Outline>> {
        match self.store.find_session(scope, id).await? {
            Some(session) => Outline::load(&*self.store, scope, &session).await,
            None => Ok(None),
        }
    }

    fn put(&self, scope: &Scope, id: &SessionId, outline: Option<Outline>) {
        if let Some(outline) = outline {
            locked(&self.outlines).put(scope, id, outline);
        }
    }

    /// Remembers which session a conversation that ends so is in.
    fn remember_tip(&self, id: &SessionId, asked: &Asked, answers: &[NewMessage]) {
        let mut remembered = locked(&self.tips);
        for tip in tips(asked, answers) {
            remembered.insert(tip, id.clone());
        }
    }

    fn tip(&self, tip: Tip) -> Option<SessionId> {
        locked(&self.tips).get(&tip).cloned()
    }
}

/// Whether whoever names a session may write to it.
///
/// A session that belongs to a user is that user's, whoever names it; one that the application
/// named without a user is not for clients that guess its name; and one that a client made is not
/// taken for the application's, whoever guessed first.
fn may_write(outline: &Outline, asked: &Asked) -> bool {
    let is_users = outline.user.as_deref() == asked.principal();
    // The application says which session it is, and not whose.
    if outline.user.is_some() && !is_users {
        return false;
    }
    let is_trusted = asked.session.as_ref().is_some_and(|named| named.is_trusted);
    let is_own = is_users && outline.project.as_deref() == project(asked);
    match outline.from.as_deref() {
        Some("extension" | "configuration") => is_trusted,
        Some(_) => is_own,
        None => is_trusted || is_own,
    }
}

/// The ids of sessions that a client may get for one that it named.
fn own(asked: &Asked, id: &str) -> Candidates {
    Candidates::of_client(asked.principal(), project(asked), id)
}

fn project(asked: &Asked) -> Option<&str> {
    asked.project.as_ref().map(|project| project.id.as_str())
}

/// What requests say that go on after an exchange without naming a session: see [`continued`].
pub(super) fn tips(asked: &Asked, answers: &[NewMessage]) -> Vec<Tip> {
    let mut tips = Vec::new();
    for answer in answers {
        let response = answer.metadata.get(keys::RESPONSE_ID).and_then(Value::as_str);
        tips.extend(response.map(|response| response_tip(asked, response)));
        if asked.session.is_none() {
            tips.push(tip(asked, asked.turns().chain([Saying::of_new(answer)])));
        }
    }
    tips
}

/// What a request says of the exchange that it goes on after, if it names no session.
pub(super) fn continued(asked: &Asked) -> impl Iterator<Item = Tip> {
    let is_nameless = asked.session.is_none();
    let previous = asked.previous_response.as_deref().filter(|_| is_nameless);
    let answered = last_answer(asked).filter(|_| is_nameless);
    let previous = previous.map(|previous| response_tip(asked, previous));
    previous.into_iter().chain(answered.map(|answered| tip_at(asked, answered)))
}

/// Where the last answer is in a request that brings the whole conversation.
fn last_answer(asked: &Asked) -> Option<usize> {
    let answered = asked.said.iter().rposition(|said| said.role == Role::Assistant);
    answered.filter(|_| asked.history == History::Whole)
}

/// The tip of the conversation that a request brings, up to this answer.
fn tip_at(asked: &Asked, answered: usize) -> Tip {
    tip(asked, turns(&asked.said[..=answered]))
}

fn tip(asked: &Asked, turns: impl Iterator<Item = Saying>) -> Tip {
    scoped(asked, &Saying::chain(turns))
}

fn response_tip(asked: &Asked, response: &str) -> Tip {
    scoped(asked, response.as_bytes())
}

fn scoped(asked: &Asked, what: &[u8]) -> Tip {
    let tenant = Some(asked.scope.tenant_id().as_str());
    let scope = [tenant, asked.principal(), project(asked)];
    let seed = serde_json::to_vec(&(scope, what)).expect("text and bytes always serialize");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &seed).into_bytes()
}

/// A search for the beginning of a text; `None` if it has no words.
fn phrase(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.take(12).collect();
    (!words.is_empty()).then(|| format!("\"{}\"", words.join(" ")))
}

/// The first line of what the user said first.
fn title(messages: &[NewMessage]) -> Option<String> {
    const MOST: usize = 80;
    let said = messages.iter().find(|message| message.role == Role::User)?;
    let line = said.content.lines().map(str::trim).find(|line| !line.is_empty())?;
    let mut title: String = line.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if line.chars().count() > MOST {
        title.push('…');
    }
    Some(title)
}

fn shortened(id: &str) -> String {
    id.chars().take(1_000).collect()
}

/// A message that a store takes: what breaks a limit is left out, and the message says so.
fn storable(mut message: NewMessage) -> NewMessage {
    let Err(error) = message.validate() else { return message };
    message.parts.clear();
    let refused = Value::from(error.detail());
    if message.validate().is_err() {
        message.metadata.clear();
        message.extra.clear();
    }
    message.metadata.insert(keys::REFUSED.to_owned(), refused);
    message
}
