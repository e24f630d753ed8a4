//! Many principals, tenants and users with names that look alike or mean something to a backend,
//! work on sessions with the same ids, and a simple model knows what each of them must see.
//!
//! Each text, title and tag carries the mark of its owner, so whatever is shown at another's is
//! noticed.
//!
//! `SHS_OPERATIONS=100000`, on each backend, for a long run; `SHS_SEED` for other operations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use session_history_saver::export::Format;
use session_history_saver::{
    Cursor, ErrorKind, ImportMode, Location, MessagePatch, MessageQuery, NewMessage, NewSession,
    Result, SearchOrder, SearchQuery, Seq, SessionId, SessionOrder, SessionQuery, SessionTracker,
    StatsQuery, Store, Timestamp, Transcript, memory::MemoryStore, open_store,
};
use shs_tests::power::Dice;

/// Names that are prefixes of others, look like paths, hashes, patterns or marks of an index.
const TENANTS: [&str; 8] = ["", "a", "ab", "a/b", "a~b", "..", "\u{e000}", "%_*\"'"];
/// The same for users.
const USERS: [&str; 7] = ["a", "alice", "alice/x", "x~hash", "Alice", "1\u{e000}", "\""];
/// Ids that every tenant uses.
const IDS: [&str; 7] = ["s", "s1", "alice/x", "x~hash", "..", "\u{e000}", "a:s"];
/// Most messages of a session, and sessions of a tenant, before some are deleted.
const MOST_MESSAGES: u64 = 8;
const MOST_SESSIONS: usize = 10;

/// How many operations are done on a backend.
fn operations() -> usize {
    std::env::var("SHS_OPERATIONS")
        .map_or(1_000, |all| all.parse().expect("SHS_OPERATIONS is a number"))
}

fn seed() -> u64 {
    std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("SHS_SEED is a number"))
}

/// A tenant and, optionally, one of its users, by their places in the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Principal {
    tenant: usize,
    user: Option<usize>,
}

/// The word that marks what belongs to a user of a tenant, or to nobody in it.
fn mark(tenant: usize, user: Option<usize>) -> String {
    format!("own{tenant:02}x{:02}", user.map_or(99, |user| user))
}

impl Principal {
    fn tracker(self, history: &SessionTracker) -> SessionTracker {
        let tracker = history.tenant(TENANTS[self.tenant]).unwrap();
        match self.user {
            Some(user) => tracker.as_user(USERS[user]).unwrap(),
            None => tracker,
        }
    }

    fn sees(self, tenant: usize, owner: Option<usize>) -> bool {
        self.tenant == tenant && (self.user.is_none() || self.user == owner)
    }

    /// Fails if a text has a mark of somebody that the principal must not see.
    fn assert_own(self, text: &str) {
        let owned = match self.user {
            Some(_) => mark(self.tenant, self.user),
            None => format!("own{:02}x", self.tenant),
        };
        for (at, _) in text.match_indices("own") {
            assert!(text[at..].starts_with(&owned), "{self:?} is shown {text:?}");
        }
    }
}

/// A session as it must be.
#[derive(Clone, Debug)]
struct Stored {
    owner: Option<usize>,
    last_seq: u64,
    /// Texts by their numbers; a message's id is `m` and its number.
    messages: BTreeMap<u64, String>,
}

/// What is there, by tenant and id.
type Model = BTreeMap<(usize, String), Stored>;

/// How much was done and checked.
#[derive(Debug, Default)]
struct Figures {
    operations: usize,
    refused: usize,
    messages_read: usize,
    hits: usize,
    foreign_cursors: usize,
}

struct Run {
    dice: Dice,
    history: SessionTracker,
    model: Model,
    figures: Figures,
}

fn id_of(id: &str) -> SessionId {
    id.parse().unwrap()
}

fn kind<T>(outcome: Result<T>) -> std::result::Result<T, ErrorKind> {
    outcome.map_err(|error| error.kind())
}

impl Run {
    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.dice.below(all.len())]
    }

    fn principal(&mut self) -> Principal {
        let tenant = self.dice.below(TENANTS.len());
        let user = self.dice.below(USERS.len() + 2);
        Principal { tenant, user: (user < USERS.len()).then_some(user) }
    }

    fn user(&mut self) -> Option<usize> {
        let user = self.dice.below(USERS.len() + 1);
        (user < USERS.len()).then_some(user)
    }

    /// An id that is mostly one of the principal's tenant.
    fn id(&mut self, who: Principal) -> String {
        let count = self.of_tenant(who.tenant).count();
        if count == 0 || self.dice.below(4) == 0 {
            return self.pick(&IDS).to_owned();
        }
        let number = self.dice.below(count);
        self.of_tenant(who.tenant).nth(number).expect("it is there").0.clone()
    }

    fn of_tenant(&self, tenant: usize) -> impl Iterator<Item = (&String, &Stored)> {
        let all = self.model.iter().filter(move |((of, _), _)| *of == tenant);
        all.map(|((_, id), stored)| (id, stored))
    }

    fn visible(&self, who: Principal) -> impl Iterator<Item = (&String, &Stored)> {
        self.of_tenant(who.tenant).filter(move |(_, stored)| who.sees(who.tenant, stored.owner))
    }

    fn seen(&self, who: Principal, id: &str) -> Option<Stored> {
        let stored = self.model.get(&(who.tenant, id.to_owned()))?;
        who.sees(who.tenant, stored.owner).then(|| stored.clone())
    }

    fn text(&mut self, who: Principal, owner: Option<usize>) -> String {
        let word = self.pick(&["deploy", "refund", "部署", "\u{e000}", "a%b_c"]);
        format!("{} {word} {}", mark(who.tenant, owner), self.figures.operations)
    }

    async fn step(&mut self) {
        let who = self.principal();
        let tracker = who.tracker(&self.history);
        let id = self.id(who);
        self.figures.operations += 1;
        if self.of_tenant(who.tenant).count() > MOST_SESSIONS {
            return self.delete_session(who, &tracker, &id).await;
        }
        match self.dice.below(40) {
            0..=4 => self.create(who, &tracker).await,
            5..=14 => self.append(who, &tracker, &id).await,
            15 | 16 => self.change(who, &tracker, &id).await,
            17 => self.delete_message(who, &tracker, &id).await,
            18 => self.delete_session(who, &tracker, &id).await,
            19 => self.delete_user(who, &tracker).await,
            20 | 21 => self.fork(who, &tracker, &id).await,
            22 | 23 => self.import(who, &tracker, &id).await,
            24 => self.import_exported(who, &tracker, &id).await,
            25 => self.export(who, &tracker).await,
            26..=29 => self.read(who, &tracker, &id).await,
            30 | 31 => self.list(who, &tracker).await,
            32..=34 => self.search(who, &tracker).await,
            35 | 36 => self.count(who, &tracker).await,
            _ => self.foreign_cursor(who, &tracker).await,
        }
    }

    async fn create(&mut self, who: Principal, tracker: &SessionTracker) {
        let id = self.pick(&IDS);
        let owner = if who.user.is_some() { who.user } else { self.user() };
        let marked = mark(who.tenant, owner);
        let mut new = tracker.session().id(id).title(marked.as_str()).tag(marked);
        if let Some(owner) = owner {
            new = new.user(USERS[owner]);
        }
        let created = kind(new.start().await.map(drop));
        let key = (who.tenant, id.to_owned());
        if self.model.contains_key(&key) {
            self.figures.refused += 1;
            return assert_eq!(created, Err(ErrorKind::AlreadyExists), "{who:?} {id}");
        }
        assert_eq!(created, Ok(()), "{who:?} {id}");
        self.model.insert(key, Stored { owner, last_seq: 0, messages: BTreeMap::new() });
    }

    async fn append(&mut self, who: Principal, tracker: &SessionTracker, id: &str) {
        let seen = self.seen(who, id);
        let (owner, seq) = seen.map_or((who.user, 1), |seen| (seen.owner, seen.last_seq + 1));
        if seq > MOST_MESSAGES {
            return self.delete_session(who, tracker, id).await;
        }
        let text = self.text(who, owner);
        let new = NewMessage::user(text.as_str()).with_id(format!("m{seq}").parse().unwrap());
        let appended = kind(tracker.handle(&id_of(id)).append(new).await);
        if self.seen(who, id).is_none() {
            self.figures.refused += 1;
            return assert_eq!(appended, Err(ErrorKind::NotFound), "{who:?} {id}");
        }
        assert_eq!(appended.map(|message| message.seq.get()), Ok(seq), "{who:?} {id}");
        let stored = self.model.get_mut(&(who.tenant, id.to_owned())).expect("it is seen");
        stored.last_seq = seq;
        stored.messages.insert(seq, text);
    }

    async fn change(&mut self, who: Principal, tracker: &SessionTracker, id: &str) {
        let seen = self.seen(who, id);
        let seq = 1 + self.dice.below(MOST_MESSAGES as usize) as u64;
        let text = self.text(who, seen.as_ref().map_or(who.user, |seen| seen.owner));
        let patch = MessagePatch::new().with_content(text.as_str());
        let message = format!("m{seq}").parse().unwrap();
        let (store, scope) = (tracker.store(), tracker.scope());
        let changed = kind(store.update_message(scope, &id_of(id), &message, patch).await);
        if !seen.is_some_and(|seen| seen.messages.contains_key(&seq)) {
            self.figures.refused += 1;
            return assert_eq!(changed, Err(ErrorKind::NotFound), "{who:?} {id}");
        }
        assert_eq!(changed.map(|message| message.content), Ok(text.clone()), "{who:?} {id}");
        let stored = self.model.get_mut(&(who.tenant, id.to_owned())).expect("it is seen");
        stored.messages.insert(seq, text);
    }

    async fn delete_message(&mut self, who: Principal, tracker: &SessionTracker, id: &str) {
        let seq = 1 + self.dice.below(MOST_MESSAGES as usize) as u64;
        let message = format!("m{seq}").parse().unwrap();
        let (store, scope) = (tracker.store(), tracker.scope());
        let deleted = kind(store.delete_message(scope, &id_of(id), &message).await);
        let Some(seen) = self.seen(who, id) else {
            self.figures.refused += 1;
            return assert_eq!(deleted, Err(ErrorKind::NotFound), "{who:?} {id}");
        };
        assert_eq!(deleted, Ok(seen.messages.contains_key(&seq)), "{who:?} {id}");
        let stored = self.model.get_mut(&(who.tenant, id.to_owned())).expect("it is seen");
        stored.messages.remove(&seq);
    }

    async fn delete_session(&mut self, who: Principal, tracker: &SessionTracker, id: &str) {
        let is_there = self.seen(who, id).is_some();
        assert_eq!(kind(tracker.delete(&id_of(id)).await), Ok(is_there), "{who:?} {id}");
        if is_there {
            self.model.remove(&(who.tenant, id.to_owned()));
        }
    }

    async fn delete_user(&mut self, who: Principal, tracker: &SessionTracker) {
        let user = self.dice.below(USERS.len());
        let deleted = tracker.delete_user(USERS[user]).await.unwrap();
        let before = self.model.len();
        if who.sees(who.tenant, Some(user)) {
            self.model
                .retain(|(tenant, _), stored| *tenant != who.tenant || stored.owner != Some(user));
        }
        assert_eq!(deleted.sessions, (before - self.model.len()) as u64, "{who:?} {user}");
    }

    async fn fork(&mut self, who: Principal, tracker: &SessionTracker, id: &str) {
        let up_to = self.dice.below(MOST_MESSAGES as usize / 2) as u64;
        let forked = kind(tracker.handle(&id_of(id)).fork(Seq::new(up_to).unwrap()).await);
        let Some(mut seen) = self.seen(who, id) else {
            self.figures.refused += 1;
            return assert_eq!(forked.map(drop), Err(ErrorKind::NotFound), "{who:?} {id}");
        };
        if up_to > seen.last_seq {
            return assert_eq!(forked.map(drop), Err(ErrorKind::InvalidInput), "{who:?} {id}");
        }
        let fork = forked.unwrap().id().to_string();
        seen.last_seq = up_to;
        seen.messages.retain(|seq, _| *seq <= up_to);
        self.model.insert((who.tenant, fork), seen);
    }

    /// Imports a conversation of its own under an id that may be anybody's, and may name anybody.
    async fn import(&mut self, who: Principal, tracker: &SessionTracker, id: &str) {
        let named = self.user();
        let owner = if named.is_none() { who.user } else { named };
        let marked = mark(who.tenant, owner);
        let mut new = NewSession::with_id(id_of(id)).with_title(marked.as_str()).with_tag(marked);
        if let Some(named) = named {
            new = new.with_user(USERS[named]);
        }
        let mut messages = BTreeMap::new();
        for seq in 1..=1 + self.dice.below(3) as u64 {
            messages.insert(seq, self.text(who, owner));
        }
        let said = messages.iter().map(|(seq, text)| {
            let new = NewMessage::user(text.as_str()).with_id(format!("m{seq}").parse().unwrap());
            new.into_message(Seq::new(*seq).unwrap())
        });
        let session = new.into_session(Timestamp::MIN).unwrap();
        let transcript = Transcript::new(session, said.collect()).unwrap();
        let mode = self.pick(&[ImportMode::CreateOnly, ImportMode::Overwrite]);
        let imported = kind(tracker.import_session(transcript, mode).await.map(drop));
        let key = (who.tenant, id.to_owned());
        let is_replaced = mode == ImportMode::Overwrite && self.seen(who, id).is_some();
        let is_taken = self.model.contains_key(&key) && !is_replaced;
        let is_foreign = !who.sees(who.tenant, owner);
        if is_taken || is_foreign {
            self.figures.refused += 1;
            let (taken, foreign) = (ErrorKind::AlreadyExists, ErrorKind::InvalidInput);
            let is_right =
                imported == Err(taken) && is_taken || imported == Err(foreign) && is_foreign;
            return assert!(is_right, "{who:?} {id}: {imported:?}");
        }
        assert_eq!(imported, Ok(()), "{who:?} {id}");
        let last_seq = messages.len() as u64;
        self.model.insert(key, Stored { owner, last_seq, messages });
    }

    /// What is exported can be imported by the same principal, and changes nothing.
    async fn import_exported(&mut self, who: Principal, tracker: &SessionTracker, id: &str) {
        let export = tracker.export(Format::JsonLines).session(&id_of(id));
        let exported = kind(export.to_string().await);
        let Some(seen) = self.seen(who, id) else {
            self.figures.refused += 1;
            return assert_eq!(exported, Err(ErrorKind::NotFound), "{who:?} {id}");
        };
        let text = exported.unwrap();
        who.assert_own(&text);
        tracker.import_json(&text, ImportMode::Overwrite).await.unwrap();
        let read = self.texts(tracker, id).await.unwrap();
        assert_eq!(read, seen.messages, "{who:?} {id}");
    }

    async fn export(&mut self, who: Principal, tracker: &SessionTracker) {
        let text = tracker.export(Format::JsonLines).to_string().await.unwrap();
        who.assert_own(&text);
        assert_eq!(text.lines().count(), self.visible(who).count(), "{who:?}");
        let texts = self.visible(who).flat_map(|(_, stored)| stored.messages.values());
        for said in texts {
            let said = serde_json::to_string(said).unwrap();
            assert!(text.contains(&said), "{who:?} lacks {said}");
        }
    }

    /// All messages of a session, page by page.
    async fn texts(
        &self,
        tracker: &SessionTracker,
        id: &str,
    ) -> std::result::Result<BTreeMap<u64, String>, ErrorKind> {
        let (handle, mut read) = (tracker.handle(&id_of(id)), BTreeMap::new());
        let mut query = MessageQuery::new().with_limit(3);
        loop {
            let page = kind(handle.page(query.clone()).await)?;
            read.extend(page.items.into_iter().map(|m| (m.seq.get(), m.content)));
            match page.next {
                Some(next) => query = query.with_after(next),
                None => return Ok(read),
            }
        }
    }

    async fn read(&mut self, who: Principal, tracker: &SessionTracker, id: &str) {
        let read = self.texts(tracker, id).await;
        let (found, all) =
            (kind(tracker.get(&id_of(id)).await), tracker.messages(&id_of(id)).await);
        let stats = kind(tracker.session_stats(&id_of(id)).await);
        let message = "m1".parse().unwrap();
        let one = tracker.store().message(tracker.scope(), &id_of(id), &message).await;
        let Some(seen) = self.seen(who, id) else {
            self.figures.refused += 1;
            assert_eq!(read, Err(ErrorKind::NotFound), "{who:?} {id}");
            assert_eq!(found, Err(ErrorKind::NotFound), "{who:?} {id}");
            assert_eq!(kind(all), Err(ErrorKind::NotFound), "{who:?} {id}");
            assert_eq!(stats.map(drop), Err(ErrorKind::NotFound), "{who:?} {id}");
            return assert_eq!(kind(one), Err(ErrorKind::NotFound), "{who:?} {id}");
        };
        let (found, stats) = (found.unwrap(), stats.unwrap());
        who.assert_own(&format!("{found:?}"));
        assert_eq!(found.user_id.as_deref(), seen.owner.map(|owner| USERS[owner]));
        assert_eq!(found.message_count, seen.messages.len() as u64, "{who:?} {id}");
        assert_eq!(found.last_seq.get(), seen.last_seq, "{who:?} {id}");
        let all: Vec<_> = all.unwrap().into_iter().map(|message| message.content).collect();
        assert!(all.iter().eq(seen.messages.values()), "{who:?} {id}: {all:?}");
        assert_eq!(one.ok().map(|message| message.content).as_ref(), seen.messages.get(&1));
        assert_eq!(read.as_ref(), Ok(&seen.messages), "{who:?} {id}");
        assert_eq!(stats.session_id.as_str(), id);
        assert_eq!(stats.message_count, seen.messages.len() as u64, "{who:?} {id}");
        self.figures.messages_read += seen.messages.len();
    }

    async fn list(&mut self, who: Principal, tracker: &SessionTracker) {
        let order = self.pick(&[SessionOrder::Created, SessionOrder::Updated]);
        let mut query = SessionQuery::new().with_order(order);
        query = query.with_limit(1 + self.dice.below(7) as u32);
        // Somebody whose sessions are looked for: by the user, by the tag, or not at all.
        let by = self.dice.below(3);
        let wanted = Principal { tenant: self.dice.below(TENANTS.len()), user: self.user() };
        query = match (by, wanted.user) {
            (1, Some(user)) => query.with_user(USERS[user]),
            (2, user) => query.with_any_tag([mark(wanted.tenant, user)]),
            _ => query,
        };
        let expected = self.visible(who).filter(|(_, stored)| match (by, wanted.user) {
            (1, Some(user)) => stored.owner == Some(user),
            (2, user) => wanted.tenant == who.tenant && stored.owner == user,
            _ => true,
        });
        let expected: BTreeSet<String> = expected.map(|(id, _)| id.clone()).collect();
        let mut listed = BTreeSet::new();
        loop {
            let page = tracker.list(query.clone()).await.unwrap();
            for session in page.items {
                who.assert_own(&format!("{session:?}"));
                assert!(listed.insert(session.id.to_string()), "{who:?}: listed twice");
            }
            match page.next {
                Some(next) => query = query.with_after(next),
                None => break,
            }
        }
        assert_eq!(listed, expected, "{who:?} {query:?}");
    }

    async fn found(&mut self, who: Principal, query: SearchQuery) -> BTreeSet<(String, u64)> {
        let tracker = who.tracker(&self.history);
        // By rank there is but one page.
        let limit = if query.order == SearchOrder::Rank { 200 } else { 7 };
        let (mut query, mut found) = (query.with_limit(limit), BTreeSet::new());
        loop {
            let page = tracker.search(query.clone()).await.unwrap();
            for hit in page.items {
                let (id, seq) = (hit.session.id.to_string(), hit.message.seq.get());
                who.assert_own(&format!("{hit:?}"));
                let stored = self.seen(who, &id).and_then(|seen| seen.messages.get(&seq).cloned());
                assert_eq!(stored, Some(hit.message.content), "{who:?} {id}");
                assert!(found.insert((id, seq)), "{who:?}: found twice");
            }
            match page.next {
                Some(next) => query = query.with_after(next),
                None => break,
            }
        }
        self.figures.hits += found.len();
        found
    }

    async fn search(&mut self, who: Principal, _: &SessionTracker) {
        let wanted = Principal { tenant: self.dice.below(TENANTS.len()), user: self.user() };
        let by = self.dice.below(5);
        let marked = mark(wanted.tenant, wanted.user);
        let id = self.id(who);
        let query = match by {
            0 => SearchQuery::all(),
            1 => SearchQuery::new(marked.as_str()),
            2 => SearchQuery::new(format!("own{:02}x*", wanted.tenant)),
            3 => SearchQuery::all().with_session(id_of(&id)),
            // As the index of a backend may write it.
            _ => SearchQuery::new(format!("{}\u{e000}{marked}", wanted.tenant)),
        };
        let order = self.pick(&[SearchOrder::Newest, SearchOrder::Oldest, SearchOrder::Rank]);
        let found = self.found(who, query.with_order(order)).await;
        let expected = self.visible(who).filter(|(of, stored)| match by {
            0 => true,
            1 => wanted.tenant == who.tenant && stored.owner == wanted.user,
            2 => wanted.tenant == who.tenant,
            _ => **of == id,
        });
        let expected: BTreeSet<(String, u64)> = expected
            .flat_map(|(id, stored)| stored.messages.keys().map(|seq| (id.clone(), *seq)))
            .collect();
        // Of the last kind it is the tokens that decide, and whatever is found was checked above.
        assert!(by == 4 || found == expected, "{who:?} {by} {wanted:?}: {found:?}, {expected:?}");
    }

    async fn count(&mut self, who: Principal, tracker: &SessionTracker) {
        let user = self.user();
        let query = user.map_or(StatsQuery::new(), |user| StatsQuery::new().with_user(USERS[user]));
        let stats = tracker.stats_of(query).await.unwrap();
        let counted =
            self.visible(who).filter(|(_, stored)| user.is_none() || stored.owner == user);
        let counted = counted.fold((0, 0), |(sessions, messages), (_, stored)| {
            (sessions + 1, messages + stored.messages.len() as u64)
        });
        assert_eq!((stats.sessions, stats.messages), counted, "{who:?} {user:?}");
    }

    /// A cursor of another principal is refused, whatever it is of.
    async fn foreign_cursor(&mut self, who: Principal, tracker: &SessionTracker) {
        let other = self.principal();
        if other == who {
            return;
        }
        let theirs = other.tracker(&self.history);
        let list = SessionQuery::new().with_limit(1);
        let search = SearchQuery::all().with_limit(1);
        let read = MessageQuery::new().with_limit(1);
        let refused = |outcome: std::result::Result<(), ErrorKind>, cursor: &Cursor| {
            assert_eq!(outcome, Err(ErrorKind::InvalidInput), "{who:?} with {cursor} of {other:?}");
        };
        if let Some(next) = theirs.list(list.clone()).await.unwrap().next {
            refused(kind(tracker.list(list.with_after(next.clone())).await.map(drop)), &next);
            self.figures.foreign_cursors += 1;
        }
        if let Some(next) = theirs.search(search.clone()).await.unwrap().next {
            refused(kind(tracker.search(search.with_after(next.clone())).await.map(drop)), &next);
            self.figures.foreign_cursors += 1;
        }
        let id = self.id(other);
        let Ok(page) = theirs.handle(&id_of(&id)).page(read.clone()).await else { return };
        if let Some(next) = page.next {
            let page = tracker.handle(&id_of(&id)).page(read.with_after(next.clone())).await;
            if self.seen(who, &id).is_some() {
                refused(kind(page.map(drop)), &next);
            } else {
                let kinds = [ErrorKind::NotFound, ErrorKind::InvalidInput];
                assert!(page.is_err_and(|error| kinds.contains(&error.kind())), "{who:?} {id}");
            }
            self.figures.foreign_cursors += 1;
        }
    }

    /// Everything that every principal sees.
    async fn check_all(&mut self) {
        for tenant in 0..TENANTS.len() {
            for user in (0..USERS.len()).map(Some).chain([None]) {
                let who = Principal { tenant, user };
                let tracker = who.tracker(&self.history);
                self.export(who, &tracker).await;
                let sees = self.visible(who).map(|(id, _)| id.clone()).collect::<Vec<_>>();
                for id in &sees {
                    self.read(who, &tracker, id).await;
                }
                let found = self.found(who, SearchQuery::all()).await.len();
                let stored = self.visible(who).map(|(_, stored)| stored.messages.len());
                assert_eq!(found, stored.sum::<usize>(), "{who:?}");
                let stats = tracker.stats().await.unwrap();
                assert_eq!((stats.sessions, stats.messages), (sees.len() as u64, found as u64));
            }
        }
    }
}

/// Works on a store, which is opened again in the middle if it can be.
async fn work(name: &str, can_reopen: bool, open: impl AsyncFn() -> Arc<dyn Store>) {
    println!("{name}: SHS_SEED={}", seed());
    let history = SessionTracker::with_store(open().await);
    let figures = Figures::default();
    let mut run = Run { dice: Dice::new(seed()), history, model: Model::new(), figures };
    for part in 0..4 {
        for _ in 0..operations().div_ceil(4) {
            run.step().await;
        }
        run.check_all().await;
        if part == 1 && can_reopen {
            run.history.close().await.unwrap();
            run.history = SessionTracker::with_store(open().await);
            run.check_all().await;
        }
    }
    run.history.close().await.unwrap();
    println!("{name}: {:?}", run.figures);
    let Figures { operations, refused, messages_read, hits, foreign_cursors } = run.figures;
    assert!(operations >= self::operations() && refused > operations / 20);
    assert!(messages_read > operations / 20 && hits > operations / 20);
    assert!(foreign_cursors > operations / 100);
}

async fn work_on_disk(scheme: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("history");
    let location: Location = format!("{scheme}:{}", path.display()).parse().unwrap();
    work(scheme, true, async || open_store(&location).await.unwrap()).await;
}

#[tokio::test]
async fn no_principal_meets_another_in_memory() {
    work("memory", false, async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}

#[tokio::test]
async fn no_principal_meets_another_in_files() {
    work_on_disk("fs").await;
}

#[tokio::test]
async fn no_principal_meets_another_in_sqlite() {
    work_on_disk("sqlite").await;
}
