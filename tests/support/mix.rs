//! Scripts of mixed operations, and what must hold of a store when the process that ran them is gone.
//!
//! The tasks belong to [`TENANTS`] in turn. Those of different tenants use the same ids, and some
//! calls are made in the scope of the user whose session it is.
//!
//! Each task works by a script of its own, on sessions of its own and with messages of its own in the session
//! [`SHARED`]. The script follows from a seed, so child and parent know the same one. The child prints a line before and
//! after each operation:
//!
//! - `? TASK NUMBER WHAT`: it begins;
//! - `! TASK NUMBER [ID=SEQ …]`: it was acknowledged, with the numbers that the shared session gave.
//!
//! So the parent knows what each task must find: all that was acknowledged, and the one operation that had begun whole or
//! not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::TryStreamExt;
use session_history_saver::memory::MemoryStore;
use session_history_saver::{
    AppendOptions, Deleted, Error, ErrorKind, ImportMode, Message, MessageId, MessagePatch,
    NewMessage, NewSession, Result, Role, Scope, SearchOrder, SearchQuery, Seq, Session, SessionId,
    SessionOrder, SessionPatch, SessionQuery, StatsQuery, Status, Store, StoreExt, Timestamp,
    Transcript,
};

use crate::power::Dice;

/// The session that all tasks append to. It has to be there before they begin.
pub const SHARED: &str = "shared";
/// The tenants that tasks belong to in turn.
pub const TENANTS: [&str; 2] = ["", "t0-"];
/// What messages are made of.
const WORDS: [&str; 10] =
    ["deploy", "refund", "charge", "invoice", "部署", "déjà", "vu", "latency", "token", "retry"];
/// What is searched for.
const QUERIES: [&str; 3] = ["deploy -refund", "部署", "\"déjà vu\""];
/// Most sessions that a task has at once.
const MOST_SESSIONS: usize = 5;
/// How many earlier appends may be repeated.
const REMEMBERED: usize = 12;

/// Creates the session that all tasks of a tenant append to, in each tenant where it is missing.
///
/// # Errors
/// As [`Store::create_session`].
pub async fn begin(store: &dyn Store) -> Result<()> {
    for tenant in TENANTS {
        match store.create_session(&Scope::tenant(tenant)?, shared_session()).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => drop(created?),
        }
    }
    Ok(())
}

fn tenant_of(task: usize) -> Scope {
    Scope::tenant(TENANTS[task % TENANTS.len()]).expect("the name is valid")
}

/// How the ids of a task begin; those of the same place in other tenants are the same.
fn prefix_of(task: usize) -> String {
    format!("t{}-", task / TENANTS.len())
}

/// The session that all tasks append to, to be created.
pub fn shared_session() -> NewSession {
    NewSession::with_id(shared()).with_created_at(at(0))
}

fn shared() -> SessionId {
    SHARED.parse().expect("the id is valid")
}

fn at(second: usize) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000 + second as i64 * 1_000_000)
        .expect("the time is valid")
}

/// One operation of a script, and whose data it is about.
#[derive(Clone, Debug)]
pub struct Operation {
    scope: Scope,
    act: Act,
}

/// What an operation does.
#[derive(Clone, Debug)]
enum Act {
    /// Creates a session.
    Create(NewSession),
    /// Appends a batch, or repeats it.
    Append(SessionId, Vec<NewMessage>),
    /// Changes a message.
    UpdateMessage(SessionId, MessageId, MessagePatch),
    /// Deletes a message.
    DeleteMessage(SessionId, MessageId),
    /// Changes a session.
    UpdateSession(SessionId, SessionPatch),
    /// Forks a session.
    Fork(SessionId, Seq, NewSession),
    /// Puts a conversation in the place of what is there.
    Import(Transcript),
    /// Deletes a session.
    DeleteSession(SessionId),
    /// Deletes the sessions of a user.
    DeleteUser(String),
    /// Flushes.
    Flush,
}

/// What an operation answers, without what depends on the clock or on other tasks.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// Nothing.
    Done,
    /// A session.
    Session(Box<Session>),
    /// The messages of a batch, and how many of them are new.
    Messages(Vec<Message>, usize),
    /// Whether there was something to delete.
    Deleted(bool),
    /// How much was deleted.
    DeletedAll(Deleted),
}

impl Operation {
    /// Does it.
    ///
    /// # Errors
    /// As the method of the store.
    pub async fn run(self, store: &dyn Store) -> Result<Answer> {
        let scope = &self.scope;
        Ok(match self.act {
            Act::Create(new) => Answer::Session(store.create_session(scope, new).await?.into()),
            Act::Append(id, batch) => {
                let appended = store.append_opts(scope, &id, batch, AppendOptions::new()).await?;
                Answer::Messages(appended.messages, appended.inserted)
            }
            Act::UpdateMessage(id, message, patch) => {
                let message = store.update_message(scope, &id, &message, patch).await?;
                Answer::Messages(vec![message], 0)
            }
            Act::DeleteMessage(id, message) => {
                Answer::Deleted(store.delete_message(scope, &id, &message).await?)
            }
            Act::UpdateSession(id, patch) => {
                Answer::Session(store.update_session(scope, &id, patch).await?.into())
            }
            Act::Fork(id, up_to, new) => {
                Answer::Session(store.fork(scope, &id, up_to, new).await?.into())
            }
            Act::Import(transcript) => {
                let imported = store.import(scope, transcript, ImportMode::Overwrite).await?;
                Answer::Session(imported.into())
            }
            Act::DeleteSession(id) => Answer::Deleted(store.delete_session(scope, &id).await?),
            Act::DeleteUser(user) => Answer::DeletedAll(store.delete_user(scope, &user).await?),
            Act::Flush => {
                store.flush().await?;
                Answer::Done
            }
        })
    }

    /// Its name and what it is about.
    pub fn describe(&self) -> String {
        self.act.describe()
    }

    /// Whether it is about the session that all tasks append to.
    pub fn is_shared(&self) -> bool {
        matches!(
            &self.act,
            Act::Append(id, _) | Act::UpdateMessage(id, ..) if id.as_str() == SHARED
        )
    }
}

impl Act {
    fn describe(&self) -> String {
        match self {
            Self::Create(new) => format!("create {}", new.id),
            Self::Append(id, batch) => {
                let ids: Vec<_> = batch.iter().map(|new| new.id.as_str()).collect();
                format!("append {id} {}", ids.join(","))
            }
            Self::UpdateMessage(id, message, _) => format!("update_message {id} {message}"),
            Self::DeleteMessage(id, message) => format!("delete_message {id} {message}"),
            Self::UpdateSession(id, _) => format!("update_session {id}"),
            Self::Fork(id, up_to, new) => format!("fork {id} {up_to} {}", new.id),
            Self::Import(transcript) => format!("import {}", transcript.session.id),
            Self::DeleteSession(id) => format!("delete_session {id}"),
            Self::DeleteUser(user) => format!("delete_user {user}"),
            Self::Flush => "flush".to_owned(),
        }
    }

    /// The user in whose scope it can be done, by the sessions that are there.
    fn user(&self, own: &BTreeMap<SessionId, Transcript>) -> Option<String> {
        let of = |id: &SessionId| own.get(id).and_then(|found| found.session.user_id.clone());
        match self {
            Self::Create(new) => new.user_id.clone(),
            Self::Append(id, _)
            | Self::UpdateMessage(id, ..)
            | Self::DeleteMessage(id, _)
            | Self::UpdateSession(id, _)
            | Self::DeleteSession(id) => of(id),
            Self::Fork(id, _, new) => of(id).filter(|user| new.user_id.as_ref() == Some(user)),
            Self::Import(transcript) => transcript.session.user_id.clone(),
            Self::DeleteUser(user) => Some(user.clone()),
            Self::Flush => None,
        }
    }
}

/// Compares what a store answered with what the script expects.
///
/// # Errors
/// If they differ, with both.
pub fn same(
    of_store: std::result::Result<&Answer, &Error>,
    expected: std::result::Result<Answer, ErrorKind>,
    is_shared: bool,
) -> std::result::Result<(), String> {
    let of_store = match of_store {
        Ok(Answer::Session(session)) => Ok(Answer::Session(timeless(*session.clone()).into())),
        Ok(Answer::Messages(messages, inserted)) => {
            let messages = messages.iter().cloned();
            let messages =
                if is_shared { messages.map(unnumbered).collect() } else { messages.collect() };
            Ok(Answer::Messages(messages, *inserted))
        }
        Ok(Answer::Deleted(there)) => Ok(Answer::Deleted(*there)),
        Ok(Answer::DeletedAll(deleted)) => Ok(Answer::DeletedAll(*deleted)),
        Ok(Answer::Done) => Ok(Answer::Done),
        Err(error) => Err(error.kind()),
    };
    if of_store == expected {
        return Ok(());
    }
    Err(format!("it answered {of_store:?}, and {expected:?} is right"))
}

/// The numbers that the shared session gave, as they stand in the line of an acknowledgement.
pub fn given(answer: &Result<Answer>, is_shared: bool) -> String {
    match answer {
        Ok(Answer::Messages(messages, _)) if is_shared => {
            messages.iter().map(|message| format!(" {}={}", message.id, message.seq)).collect()
        }
        _ => String::new(),
    }
}

fn timeless(mut session: Session) -> Session {
    session.updated_at = at(0);
    session
}

fn unnumbered(mut message: Message) -> Message {
    message.seq = Seq::ZERO;
    message
}

/// What a task finds of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    sessions: BTreeMap<SessionId, Transcript>,
    /// Its messages in the shared session, without their numbers.
    shared: Vec<Message>,
}

impl State {
    /// Whether it is the first with some of the sessions gone that are missing from the second.
    fn is_between(&self, before: &Self, after: &Self) -> bool {
        self.shared == before.shared
            && self.sessions.iter().all(|(id, found)| before.sessions.get(id) == Some(found))
            && after.sessions.keys().all(|id| self.sessions.contains_key(id))
    }
}

/// The operations of one task, one after the other, and what a store must hold after each.
#[derive(Debug)]
pub struct Script {
    task: usize,
    dice: Dice,
    model: MemoryStore,
    done: usize,
    names: usize,
    sent: Vec<(SessionId, Vec<NewMessage>)>,
}

impl Script {
    /// The script of a task.
    ///
    /// # Panics
    /// Never: the memory store takes the shared session.
    pub async fn new(seed: u64, task: usize) -> Self {
        let dice = Dice::new(seed.wrapping_mul(1_000).wrapping_add(task as u64 + 1));
        let model = MemoryStore::new();
        model.create_session(&tenant_of(task), shared_session()).await.expect("it is empty");
        Self { task, dice, model, done: 0, names: 0, sent: Vec::new() }
    }

    /// How many operations were taken from it.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Takes the next operation and does it in the model; returns it with what it has to answer.
    pub async fn step(&mut self) -> (Operation, std::result::Result<Answer, ErrorKind>) {
        let own = self.state().await.sessions;
        let act = self.next().await;
        let tenant = tenant_of(self.task);
        let scope = match act.user(&own).filter(|_| self.dice.below(2) == 0) {
            Some(user) => tenant.as_user(user).expect("the name is valid"),
            None => tenant,
        };
        let operation = Operation { scope, act };
        self.done += 1;
        let is_shared = operation.is_shared();
        let expected = match operation.clone().run(&self.model).await {
            Ok(Answer::Session(session)) => Ok(Answer::Session(timeless(*session).into())),
            Ok(Answer::Messages(messages, inserted)) if is_shared => {
                Ok(Answer::Messages(messages.into_iter().map(unnumbered).collect(), inserted))
            }
            other => other.map_err(|error| error.kind()),
        };
        (operation, expected)
    }

    /// What the task finds when its last operation is done.
    ///
    /// # Panics
    /// Never: the memory store can be read.
    pub async fn state(&self) -> State {
        let all = contents(&self.model).await.expect("memory can be read");
        all.of_task(self.task)
    }

    async fn next(&mut self) -> Act {
        let mut state = self.state().await;
        let own: Vec<Transcript> = std::mem::take(&mut state.sessions).into_values().collect();
        let kind = self.dice.below(40);
        if own.is_empty() && !(14..=18).contains(&kind) {
            return self.create();
        }
        let picked = if own.is_empty() { None } else { Some(&own[self.dice.below(own.len())]) };
        match (kind, picked) {
            (0..=2, _) if own.len() < MOST_SESSIONS => self.create(),
            (10..=13, Some(picked)) => {
                let count = 2 + self.dice.below(5);
                self.append(&picked.session.id, count)
            }
            (14..=18, _) => {
                let count = 1 + self.dice.below(3);
                self.append(&shared(), count)
            }
            (19..=21, _) if !self.sent.is_empty() => {
                let (id, batch) = self.sent[self.dice.below(self.sent.len())].clone();
                Act::Append(id, batch)
            }
            (22..=24, Some(picked)) if !picked.messages.is_empty() => {
                let message = &picked.messages[self.dice.below(picked.messages.len())];
                Act::UpdateMessage(picked.session.id.clone(), message.id.clone(), self.change())
            }
            (25..=26, _) if !state.shared.is_empty() => {
                let message = &state.shared[self.dice.below(state.shared.len())];
                Act::UpdateMessage(shared(), message.id.clone(), self.change())
            }
            (27..=29, Some(picked)) if !picked.messages.is_empty() => {
                let message = &picked.messages[self.dice.below(picked.messages.len())];
                Act::DeleteMessage(picked.session.id.clone(), message.id.clone())
            }
            (30..=32, Some(picked)) => {
                let number = self.dice.below(5);
                let patch = SessionPatch::new()
                    .with_title(format!("title {}", self.done))
                    .with_tag_added(format!("tag{number}"))
                    .with_tag_removed(format!("tag{}", self.dice.below(5)));
                let patch = match number {
                    0 => patch.with_ended_at(at(self.done)),
                    1 => patch.reopened(),
                    _ => patch,
                };
                Act::UpdateSession(picked.session.id.clone(), patch)
            }
            (33..=34, Some(picked)) if own.len() < MOST_SESSIONS => {
                let up_to = self.dice.below(picked.session.last_seq.get() as usize + 1) as u64;
                let up_to = Seq::new(up_to).expect("it is small");
                Act::Fork(picked.session.id.clone(), up_to, self.new_session())
            }
            (35..=36, Some(picked)) => self.import(picked),
            (37, Some(picked)) => Act::DeleteSession(picked.session.id.clone()),
            (38, _) => Act::DeleteUser(self.user()),
            (39, _) => Act::Flush,
            (_, Some(picked)) => self.append(&picked.session.id, 1),
            (_, None) => self.create(),
        }
    }

    fn create(&mut self) -> Act {
        Act::Create(self.new_session().with_tag("new"))
    }

    fn new_session(&mut self) -> NewSession {
        self.names += 1;
        let id =
            format!("{}s{}", prefix_of(self.task), self.names).parse().expect("the id is valid");
        let user = self.user();
        NewSession::with_id(id).with_user(user).with_created_at(at(self.done))
    }

    fn user(&mut self) -> String {
        format!("{}u{}", prefix_of(self.task), self.dice.below(3))
    }

    fn append(&mut self, id: &SessionId, count: usize) -> Act {
        let batch: Vec<_> = (0..count).map(|_| self.message()).collect();
        self.sent.push((id.clone(), batch.clone()));
        if self.sent.len() > REMEMBERED {
            self.sent.remove(0);
        }
        Act::Append(id.clone(), batch)
    }

    fn message(&mut self) -> NewMessage {
        self.names += 1;
        let role = Role::ALL[self.dice.below(Role::ALL.len())];
        let mut new = NewMessage::new(role, self.text())
            .with_id(
                format!("{}m{}", prefix_of(self.task), self.names)
                    .parse()
                    .expect("the id is valid"),
            )
            .with_status(Status::ALL[self.dice.below(Status::ALL.len())])
            .with_timestamp(at(self.done));
        if self.dice.below(2) == 0 {
            new = new.with_tokens(self.dice.below(1_000) as u32);
        }
        if self.dice.below(3) == 0 {
            new = new.with_model(format!("model{}", self.dice.below(4)));
        }
        new
    }

    fn text(&mut self) -> String {
        // Now and then one that takes several pages of a database.
        let count = if self.dice.below(25) == 0 { 800 } else { 1 + self.dice.below(12) };
        let words: Vec<_> = (0..count).map(|_| WORDS[self.dice.below(WORDS.len())]).collect();
        words.join(" ")
    }

    fn change(&mut self) -> MessagePatch {
        let patch =
            MessagePatch::new().with_status(Status::ALL[self.dice.below(Status::ALL.len())]);
        match self.dice.below(4) {
            0 => patch.with_tokens(self.dice.below(1_000) as u32),
            1 => patch.with_model(format!("model{}", self.dice.below(4))),
            _ => patch.with_content(self.text()),
        }
    }

    /// What is there, with messages missing, changed and added, under its id or a new one.
    fn import(&mut self, from: &Transcript) -> Act {
        let mut session = from.session.clone();
        if self.dice.below(3) == 0 {
            session.id = self.new_session().id;
        }
        let mut messages = from.messages.clone();
        messages.retain(|_| self.dice.below(4) > 0);
        if !messages.is_empty() {
            let number = self.dice.below(messages.len());
            messages[number].content = self.text();
        }
        let last = session.last_seq.get() + 1 + self.dice.below(3) as u64;
        let last = Seq::new(last).expect("it is small");
        messages.push(self.message().into_message(last));
        Act::Import(Transcript::new(session, messages).expect("the numbers rise"))
    }
}

/// Everything that a store holds, by tenant.
#[derive(Debug)]
pub struct Contents {
    tenants: Vec<BTreeMap<SessionId, Transcript>>,
}

impl Contents {
    fn of_task(&self, task: usize) -> State {
        let (prefix, all) = (prefix_of(task), &self.tenants[task % TENANTS.len()]);
        let own = all.iter().filter(|(id, _)| id.as_str().starts_with(&prefix));
        let sessions = own.map(|(id, transcript)| {
            let mut transcript = transcript.clone();
            transcript.session = timeless(transcript.session);
            (id.clone(), transcript)
        });
        let shared = all.get(&shared()).into_iter().flat_map(|all| &all.messages);
        let shared = shared.filter(|message| message.id.as_str().starts_with(&prefix));
        State { sessions: sessions.collect(), shared: shared.cloned().map(unnumbered).collect() }
    }
}

async fn contents(store: &dyn Store) -> Result<Contents> {
    let mut tenants = Vec::new();
    for task in 0..TENANTS.len() {
        tenants.push(contents_of(store, &tenant_of(task)).await?);
    }
    Ok(Contents { tenants })
}

async fn contents_of(store: &dyn Store, scope: &Scope) -> Result<BTreeMap<SessionId, Transcript>> {
    let mut sessions = BTreeMap::new();
    let query = SessionQuery::new().with_order(SessionOrder::Created).with_limit(100);
    let listed: Vec<Session> = store.session_stream(scope, query).try_collect().await?;
    for session in listed {
        let transcript = store.transcript(scope, &session.id).await?;
        assert_eq!(transcript.session, session, "counts are those of the messages");
        assert_eq!(store.session(scope, &session.id).await?, session, "it is listed as it is");
        let twice = sessions.insert(session.id.clone(), transcript);
        assert!(twice.is_none(), "{} is listed twice", session.id);
    }
    Ok(sessions)
}

/// Reads a whole store, and checks that search and stats agree with the messages, and that each
/// user sees their own sessions alone.
///
/// # Errors
/// If it cannot be read.
///
/// # Panics
/// If anything does not agree.
pub async fn audit(store: &dyn Store) -> Result<Contents> {
    let all = contents(store).await?;
    let sessions = all.tenants.iter().flat_map(BTreeMap::values);
    let users: BTreeSet<String> =
        sessions.filter_map(|transcript| transcript.session.user_id.clone()).collect();
    for (task, sessions) in all.tenants.iter().enumerate() {
        let tenant = tenant_of(task);
        audit_scope(store, &tenant, sessions).await?;
        for user in &users {
            let mut own = sessions.clone();
            own.retain(|_, transcript| transcript.session.user_id.as_ref() == Some(user));
            let scope = tenant.as_user(user)?;
            assert_eq!(contents_of(store, &scope).await?, own, "sessions of {user}");
            audit_scope(store, &scope, &own).await?;
        }
    }
    Ok(all)
}

async fn audit_scope(
    store: &dyn Store,
    scope: &Scope,
    sessions: &BTreeMap<SessionId, Transcript>,
) -> Result<()> {
    let mirror = MemoryStore::new();
    for transcript in sessions.values() {
        mirror.import(&Scope::DEFAULT, transcript.clone(), ImportMode::CreateOnly).await?;
    }
    assert_eq!(
        store.stats(scope, &StatsQuery::new()).await?,
        mirror.stats(&Scope::DEFAULT, &StatsQuery::new()).await?,
        "stats are those of the messages"
    );
    let mut last = HashMap::new();
    let everything = SearchQuery::all().with_order(SearchOrder::Oldest).with_limit(30);
    let mut found = BTreeSet::new();
    let hits: Vec<_> = store.search_stream(scope, everything).try_collect().await?;
    for hit in hits {
        let (id, seq) = (hit.session.id.clone(), hit.message.seq);
        assert!(sessions[&id].messages.contains(&hit.message), "a hit is a stored message");
        let before = last.insert(id.clone(), seq);
        assert!(before.is_none_or(|before| before < seq), "{id} {seq} arrived after {before:?}");
        assert!(found.insert((id, seq)), "no message arrived twice");
    }
    let all = places(&mirror, &Scope::DEFAULT, SearchQuery::all()).await?;
    assert_eq!(found, all, "each message arrived once");
    for text in QUERIES {
        let query = SearchQuery::new(text).with_limit(1_000);
        let found = places(store, scope, query.clone()).await?;
        let stored = places(&mirror, &Scope::DEFAULT, query).await?;
        assert_eq!(found, stored, "a search for {text} finds what is stored");
    }
    Ok(())
}

async fn places(
    store: &dyn Store,
    scope: &Scope,
    query: SearchQuery,
) -> Result<BTreeSet<(SessionId, Seq)>> {
    let hits = store.search_stream(scope, query);
    hits.map_ok(|hit| (hit.session.id, hit.message.seq)).try_collect().await
}

#[derive(Debug)]
struct Task {
    script: Script,
    begun: usize,
    /// Whether that is the deletion of a user.
    deletes_user: bool,
    acknowledged: usize,
    /// What is there after the last acknowledged operation.
    before: State,
    /// After how many operations that is.
    known: usize,
}

impl Task {
    async fn new(seed: u64, task: usize) -> Self {
        let script = Script::new(seed, task).await;
        Self {
            script,
            begun: 0,
            deletes_user: false,
            acknowledged: 0,
            before: State::default(),
            known: 0,
        }
    }

    /// What may be there: without and with the operation that was in flight.
    async fn states(&mut self) -> [State; 2] {
        if self.known < self.acknowledged {
            while self.script.done() < self.acknowledged {
                let _ = self.script.step().await;
            }
            self.before = self.script.state().await;
            self.known = self.acknowledged;
        }
        while self.script.done() < self.begun {
            let _ = self.script.step().await;
        }
        let after = if self.begun > self.acknowledged {
            self.script.state().await
        } else {
            self.before.clone()
        };
        [self.before.clone(), after]
    }
}

/// What a parent knows of the tasks of its children.
#[derive(Debug)]
pub struct Expectation {
    tasks: Vec<Task>,
    /// The numbers that the shared session of each tenant has given.
    numbers: HashMap<(usize, String), u64>,
    /// Whether the deletion of a user may leave some of the sessions.
    may_delete_some: bool,
}

impl Expectation {
    /// Nothing has begun yet.
    pub async fn new(seed: u64, tasks: usize) -> Self {
        let mut all = Vec::new();
        for task in 0..tasks {
            all.push(Task::new(seed, task).await);
        }
        Self { tasks: all, numbers: HashMap::new(), may_delete_some: false }
    }

    /// Allows the deletion of a user to leave some of the sessions, as the contract does where the call fails.
    #[must_use]
    pub fn with_failures(mut self) -> Self {
        self.may_delete_some = true;
        self
    }

    /// Takes a line of a child; says whether it was an acknowledgement.
    ///
    /// # Panics
    /// If it is none of the lines that follow from the script.
    pub fn hear(&mut self, line: &str) -> bool {
        let mut words = line.split(' ');
        let sign = words.next();
        let mut number = || words.next().and_then(|word| word.parse::<usize>().ok());
        let (Some(task), Some(number)) = (number(), number()) else { panic!("a line {line:?}") };
        let tenant = task % TENANTS.len();
        let task = &mut self.tasks[task];
        assert_eq!(task.acknowledged, number, "one operation after the other: {line}");
        if sign == Some("?") {
            task.begun = number + 1;
            task.deletes_user = words.next() == Some("delete_user");
            return false;
        }
        assert_eq!(sign, Some("!"), "{line}");
        assert_eq!(task.begun, number + 1, "it had begun: {line}");
        task.acknowledged = number + 1;
        for given in words {
            let (id, seq) = given.split_once('=').expect("ID=SEQ");
            let seq = seq.parse().expect("a number");
            let before = self.numbers.insert((tenant, id.to_owned()), seq);
            assert!(before.is_none_or(|before| before == seq), "{id} had the number {before:?}");
        }
        true
    }

    /// How many operations of each task were acknowledged, for the command line of the next child.
    pub fn acknowledged(&self, tasks: std::ops::Range<usize>) -> String {
        let counts: Vec<_> =
            self.tasks[tasks].iter().map(|task| task.acknowledged.to_string()).collect();
        counts.join(",")
    }

    /// Compares a store with what it must hold.
    ///
    /// # Errors
    /// If anything acknowledged is missing, or anything else is there, with what and where.
    pub async fn check(&mut self, all: &Contents) -> std::result::Result<(), String> {
        // The shared session is nobody's.
        let mut owned = [1; TENANTS.len()];
        for (number, task) in self.tasks.iter_mut().enumerate() {
            let found = all.of_task(number);
            owned[number % TENANTS.len()] += found.sessions.len();
            let [before, after] = task.states().await;
            let is_between = self.may_delete_some
                && task.deletes_user
                && task.begun > task.acknowledged
                && found.is_between(&before, &after);
            if found != before && found != after && !is_between {
                return Err(format!(
                    "task {number} after {} operations, {} begun: {}",
                    task.acknowledged,
                    task.begun,
                    difference(&found, &before)
                ));
            }
        }
        for (tenant, (sessions, owned)) in all.tenants.iter().zip(owned).enumerate() {
            if owned != sessions.len() {
                return Err(format!("tenant {tenant} has sessions that nobody created"));
            }
            let Some(together) = sessions.get(&shared()) else {
                return Err(format!("the shared session of tenant {tenant} is missing"));
            };
            for (message, expected) in together.messages.iter().zip(1..) {
                if message.seq.get() != expected {
                    return Err(format!("the shared session has a gap before {}", message.seq));
                }
                let given = self.numbers.get(&(tenant, message.id.to_string()));
                if given.is_some_and(|given| *given != expected) {
                    return Err(format!("{} had the number {given:?}, not {expected}", message.id));
                }
            }
        }
        Ok(())
    }
}

/// The first difference, in few words.
fn difference(found: &State, expected: &State) -> String {
    let ids: BTreeSet<_> = found.sessions.keys().chain(expected.sessions.keys()).collect();
    for id in ids {
        let (Some(one), Some(other)) = (found.sessions.get(id), expected.sessions.get(id)) else {
            let there = found.sessions.contains_key(id);
            return format!("{id} is {}there", if there { "" } else { "not " });
        };
        if one.session != other.session {
            return format!("{:?} is there, and not {:?}", one.session, other.session);
        }
        if one.messages != other.messages {
            let outline = |all: &Transcript| {
                let all = all.messages.iter();
                all.map(|m| format!("{}@{}:{}b", m.id, m.seq, m.content.len())).collect::<Vec<_>>()
            };
            return format!("{id} has {:?}, and not {:?}", outline(one), outline(other));
        }
    }
    let counts = (found.shared.len(), expected.shared.len());
    format!("of the shared session it has {} messages, and not {}, or others", counts.0, counts.1)
}
