//! Random operations give the same results as on the model, the memory store.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestRunner};
use shs_memory::MemoryStore;
use shs_store::{
    AdminStore, AppendOptions, Clock, Cursor, Error, ErrorKind, Expected, Hit, ImportMode, Message,
    MessageOrder, MessagePatch, MessageQuery, NewMessage, Page, Part, Result, Role, Scope,
    SearchOrder, SearchQuery, SessionFilter, SessionId, SessionOrder, SessionPatch, SessionQuery,
    StatsQuery, Status, Store, StoreExt, TenantQuery, Transcript,
};
use tokio::runtime::Handle;

use crate::audit::{audit, snapshot, snapshot_of};
use crate::sample::{CORPUS, QUERIES, at, map, message_id, seq, session, session_id};
use crate::{Fixture, ManualClock, Place};

/// Sequences of operations tried unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 96;
/// Most operations in one sequence.
const MAX_OPERATIONS: usize = 40;
/// Where failures are kept, below the folder of the backend's crate, to be tried first ever after.
const REGRESSIONS: &str = "proptest-regressions/model.txt";

/// Any sequence of operations gives, operation by operation, what it gives on the memory store, and ends
/// with the same sessions and messages.
///
/// The environment variable `PROPTEST_CASES` sets how many sequences are tried, and `PROPTEST_RNG_SEED`
/// runs those of a seed again; the seed is printed. Failures are kept in `proptest-regressions/model.txt`
/// of the backend's crate.
pub async fn random_operations_give_what_the_model_gives<F: Fixture>(place: &Place<F>) {
    assert!(snapshot(&*place.store).await.is_empty());
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || search_for_a_difference::<F>(&handle))
        .await
        .expect("the backend differs from the model; the operations are printed above");
}

fn search_for_a_difference<F: Fixture>(handle: &Handle) {
    let mut config = ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(()),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    println!(
        "PROPTEST_RNG_SEED={seed} PROPTEST_CASES={} runs these operations again",
        config.cases
    );
    let outcome = TestRunner::new(config).run(
        &vec((scope(), operation()), 1..=MAX_OPERATIONS),
        |operations| {
            handle.block_on(compare::<F>(operations));
            Ok(())
        },
    );
    if let Err(difference) = outcome {
        panic!("PROPTEST_RNG_SEED={seed}: {difference}");
    }
}

/// An operation, its sessions, messages, users and texts given by small numbers, so that they meet often.
#[derive(Clone, Debug)]
enum Operation {
    Tick(u8),
    SetBack(u8),
    Create {
        session: u8,
        user: Option<u8>,
        project: Option<u8>,
        tags: Vec<u8>,
        created: Option<i8>,
    },
    ChangeSession {
        session: u8,
        change: SessionChange,
    },
    DeleteSession(u8),
    DeleteUser(u8),
    Append {
        session: u8,
        batch: Vec<Draft>,
        expected: Option<i8>,
    },
    ChangeMessage {
        session: u8,
        message: u8,
        change: MessageChange,
    },
    DeleteMessage {
        session: u8,
        message: u8,
    },
    Fork {
        session: u8,
        back: u8,
        to: u8,
        user: Option<u8>,
    },
    Import {
        session: u8,
        gaps: Vec<(u8, Draft)>,
        user: Option<u8>,
        overwrite: bool,
    },
    Copy {
        from: u8,
        to: u8,
        overwrite: bool,
    },
    ListSessions {
        filter: Filter,
        created: bool,
        ended: Option<bool>,
        limit: u8,
        offset: u8,
    },
    ListMessages {
        session: u8,
        filter: Filter,
        newest: bool,
        limit: u8,
        offset: u8,
    },
    Search {
        text: Option<usize>,
        session: Option<u8>,
        filter: Filter,
        order: u8,
        limit: u8,
    },
    GoOn(u8),
    Stats(Filter),
    Reopen,
}

#[derive(Clone, Debug)]
struct Draft {
    id: u8,
    text: usize,
    role: usize,
    status: usize,
    tokens: Option<u32>,
    model: Option<u8>,
    said: i8,
    part: bool,
}

#[derive(Clone, Debug)]
struct SessionChange {
    title: Option<Option<u8>>,
    add: Option<u8>,
    remove: Option<u8>,
    merge: Option<(u8, Option<u8>)>,
    ended: Option<Option<i8>>,
}

#[derive(Clone, Debug)]
struct MessageChange {
    text: Option<usize>,
    status: Option<usize>,
    expected: Option<usize>,
    tokens: Option<Option<u32>>,
    model: Option<Option<u8>>,
    merge: Option<(u8, Option<u8>)>,
}

#[derive(Clone, Debug)]
struct Filter {
    user: Option<u8>,
    project: Option<u8>,
    any: Vec<u8>,
    all: Vec<u8>,
    role: Option<usize>,
    status: Option<usize>,
    model: Option<u8>,
    since: Option<i8>,
    until: Option<i8>,
}

/// The number of a scope; most operations are in the default one, so that they meet often.
fn scope() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0), 3 => 0..SCOPES]
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation as Op;
    let session = || 0..4_u8;
    let message = || 0..8_u8;
    let user = || option::of(0..2_u8);
    let limit = || 1..6_u8;
    let offset = || prop_oneof![4 => Just(0_u8), 1 => 0..4_u8];
    let create = (session(), user(), user(), vec(0..3_u8, 0..3), option::of(-9..9_i8));
    let append = (session(), vec(draft(), 0..4), option::weighted(0.2, -2..2_i8));
    let import = (session(), vec((1..4_u8, draft()), 0..4), user(), any::<bool>());
    let list = (filter(), any::<bool>(), option::weighted(0.2, any::<bool>()), limit(), offset());
    let read = (session(), filter(), any::<bool>(), limit(), offset());
    // Often one that finds something, for the few texts that are most common.
    let text = prop_oneof![2 => Just(0_usize), 1 => Just(4), 3 => 0..QUERIES.len()];
    let text = option::weighted(0.7, text);
    let find = (text, option::weighted(0.1, session()), filter(), 0..4_u8, 1..4_u8);
    prop_oneof![
        4 => (0..5_u8).prop_map(Op::Tick),
        1 => (0..9_u8).prop_map(Op::SetBack),
        6 => create.prop_map(|(session, user, project, tags, created)| Op::Create {
            session, user, project, tags, created
        }),
        4 => (session(), session_change())
            .prop_map(|(session, change)| Op::ChangeSession { session, change }),
        1 => session().prop_map(Op::DeleteSession),
        1 => (0..2_u8).prop_map(Op::DeleteUser),
        14 => append.prop_map(|(session, batch, expected)| Op::Append { session, batch, expected }),
        5 => (session(), message(), message_change())
            .prop_map(|(session, message, change)| Op::ChangeMessage { session, message, change }),
        3 => (session(), message())
            .prop_map(|(session, message)| Op::DeleteMessage { session, message }),
        3 => (session(), 0..4_u8, session(), user())
            .prop_map(|(session, back, to, user)| Op::Fork { session, back, to, user }),
        2 => import.prop_map(|(session, gaps, user, overwrite)| Op::Import {
            session, gaps, user, overwrite
        }),
        1 => (session(), session(), any::<bool>())
            .prop_map(|(from, to, overwrite)| Op::Copy { from, to, overwrite }),
        4 => list.prop_map(|(filter, created, ended, limit, offset)| Op::ListSessions {
            filter, created, ended, limit, offset
        }),
        4 => read.prop_map(|(session, filter, newest, limit, offset)| Op::ListMessages {
            session, filter, newest, limit, offset
        }),
        6 => find.prop_map(|(text, session, filter, order, limit)| Op::Search {
            text, session, filter, order, limit
        }),
        16 => prop_oneof![1 => Just(0_u8), 1 => Just(1), 2 => Just(2)].prop_map(Op::GoOn),
        2 => filter().prop_map(Op::Stats),
        1 => Just(Op::Reopen),
    ]
}

prop_compose! {
    fn draft()(
        id in 0..8_u8,
        text in prop_oneof![3 => 0..3_usize, 2 => 0..CORPUS.len()],
        role in 0..Role::ALL.len(),
        status in 0..Status::ALL.len(),
        tokens in option::of(prop_oneof![0..9_u32, Just(u32::MAX)]),
        model in option::of(0..2_u8),
        said in -9..9_i8,
        part in prop::bool::weighted(0.2),
    ) -> Draft {
        // Few roles, so that repetitions are more common than conflicts.
        Draft { id, text, role: role.min(1), status, tokens, model, said, part }
    }
}

prop_compose! {
    fn session_change()(
        title in option::of(option::of(0..3_u8)),
        add in option::of(0..3_u8),
        remove in option::of(0..3_u8),
        merge in option::of((0..2_u8, option::of(0..3_u8))),
        ended in option::of(option::of(-9..9_i8)),
    ) -> SessionChange {
        SessionChange { title, add, remove, merge, ended }
    }
}

prop_compose! {
    fn message_change()(
        text in option::of(0..CORPUS.len()),
        status in option::of(0..Status::ALL.len()),
        expected in option::weighted(0.2, 0..Status::ALL.len()),
        tokens in option::of(option::of(0..9_u32)),
        model in option::of(option::of(0..2_u8)),
        merge in option::of((0..2_u8, option::of(0..3_u8))),
    ) -> MessageChange {
        MessageChange { text, status, expected, tokens, model, merge }
    }
}

prop_compose! {
    fn filter()(
        user in option::weighted(0.2, 0..2_u8),
        project in option::weighted(0.1, 0..2_u8),
        any in prop_oneof![4 => Just(vec![]), 1 => vec(0..3_u8, 1..3)],
        all in prop_oneof![6 => Just(vec![]), 1 => vec(0..3_u8, 1..3)],
        role in option::weighted(0.1, 0..2_usize),
        status in option::weighted(0.1, 0..Status::ALL.len()),
        model in option::weighted(0.1, 0..2_u8),
        since in option::weighted(0.2, -9..9_i8),
        until in option::weighted(0.2, -9..20_i8),
    ) -> Filter {
        Filter { user, project, any, all, role, status, model, since, until }
    }
}

fn user(number: u8) -> String {
    format!("user{number}")
}

fn tags(numbers: &[u8]) -> Vec<String> {
    numbers.iter().map(|number| format!("tag{number}")).collect()
}

fn project(number: u8) -> String {
    format!("project{number}")
}

fn time(second: i8) -> shs_store::Timestamp {
    at(i64::from(second))
}

fn merged((key, value): (u8, Option<u8>)) -> shs_store::Map {
    map(serde_json::json!({ format!("key{key}"): { "inner": value, "list": [key] } }))
}

impl Draft {
    fn message(&self) -> NewMessage {
        let mut new = NewMessage::new(Role::ALL[self.role], CORPUS[self.text])
            .with_id(message_id(format!("m{}", self.id)))
            .with_status(Status::ALL[self.status])
            .with_timestamp(time(self.said));
        new.tokens = self.tokens;
        new.model = self.model.map(|model| format!("model{model}"));
        if self.part {
            new.parts = vec![Part::reasoning("because")];
        }
        new
    }
}

impl SessionChange {
    fn patch(&self) -> SessionPatch {
        let mut patch = SessionPatch::new();
        patch.title = self.title.map(|title| title.map(|number| format!("title {number}")));
        patch.add_tags = tags(self.add.as_slice());
        patch.remove_tags = tags(self.remove.as_slice());
        patch.ended_at = self.ended.map(|ended| ended.map(time));
        match self.merge {
            Some(merge) => patch.with_metadata_merged(merged(merge)),
            None => patch,
        }
    }
}

impl MessageChange {
    fn patch(&self) -> MessagePatch {
        let mut patch = MessagePatch::new();
        patch.content = self.text.map(|text| CORPUS[text].to_owned());
        patch.status = self.status.map(|status| Status::ALL[status]);
        patch.expected_status = self.expected.map(|status| Status::ALL[status]);
        patch.tokens = self.tokens;
        patch.model = self.model.map(|model| model.map(|model| format!("model{model}")));
        match self.merge {
            Some(merge) => patch.with_metadata_merged(merged(merge)),
            None => patch,
        }
    }
}

impl Filter {
    fn sessions(&self) -> SessionFilter {
        let mut filter = SessionFilter::new();
        filter.user_id = self.user.map(user);
        filter.project_id = self.project.map(project);
        filter.tags_any = tags(&self.any);
        filter.tags_all = tags(&self.all);
        filter
    }

    fn model(&self) -> Option<String> {
        self.model.map(|model| format!("model{model}"))
    }
}

/// A walk through pages, with the cursors of both stores.
#[derive(Clone)]
enum Walk {
    Sessions(SessionQuery),
    Messages(SessionId, MessageQuery),
    Search(SearchQuery),
}

/// A walk that goes on, with the cursors of the store and of the model.
type Begun = (Scope, Walk, (Cursor, Cursor));

/// The store under test beside the model.
struct Comparison<F: Fixture> {
    place: Place<F>,
    store: Arc<F::Store>,
    model: MemoryStore,
    /// The last walk of each kind: its scope, its query, and the cursors of the store and of the
    /// model.
    walks: [Option<Begun>; 3],
}

async fn compare<F: Fixture>(operations: Vec<(u8, Operation)>) {
    let clock = Arc::new(ManualClock::new());
    let place = Place::<F>::with_clock(Arc::clone(&clock)).await;
    let model = MemoryStore::new().with_clock(clock);
    let store = Arc::clone(&place.store);
    let mut comparison = Comparison { place, store, model, walks: [None, None, None] };
    let beginning = beginning().into_iter().map(|operation| (0, operation));
    for operation in beginning.chain(operations) {
        comparison.step(operation).await;
    }
    comparison.same_contents().await;
    audit(&*comparison.store).await;
    comparison.store.close().await.expect("the store can be closed");
}

/// Two sessions with a few messages each, so that there is something to work on.
fn beginning() -> Vec<Operation> {
    let draft = |id: u8| Draft {
        id,
        text: usize::from(id) % 3,
        role: usize::from(id % 2),
        status: 1,
        tokens: Some(id.into()),
        model: None,
        said: 0,
        part: false,
    };
    let create = |session| Operation::Create {
        session,
        user: Some(session),
        project: None,
        tags: vec![session],
        created: None,
    };
    let append = |session, ids: std::ops::Range<u8>| Operation::Append {
        session,
        batch: ids.map(draft).collect(),
        expected: None,
    };
    vec![create(0), create(1), append(0, 0..3), append(1, 0..4), append(0, 3..6)]
}

/// Compares two results: the values, or the kinds of the errors.
#[track_caller]
fn same<T: PartialEq + Debug>(of_store: Result<T>, of_model: Result<T>) {
    let kind = |error: Error| error.kind();
    assert_eq!(of_store.map_err(kind), of_model.map_err(kind), "the store, and the model");
}

impl<F: Fixture> Comparison<F> {
    async fn step(&mut self, (scope, operation): (u8, Operation)) {
        use Operation as Op;
        let scope = &scope_of(scope);
        let (store, model, clock) = (&*self.store, &self.model, &*self.place.clock);
        match operation {
            Op::Tick(seconds) => clock.advance(Duration::from_secs(seconds.into())),
            Op::SetBack(seconds) => {
                let now = clock.now().as_micros() - i64::from(seconds) * 1_000_000;
                clock.set(shs_store::Timestamp::from_micros(now).expect("the time is valid"));
            }
            Op::Create { session: id, user: of, project: in_project, tags: with, created } => {
                let mut new = session(format!("s{id}"));
                new.user_id = of.map(user);
                new.project_id = in_project.map(project);
                new.tags = tags(&with);
                new.created_at = created.map(time);
                // Either of two faults may be told.
                let taken = model.session(&scope.without_user(), &new.id).await.is_ok();
                if taken && scope.claim(&mut new.user_id.clone()).is_err() {
                    return;
                }
                same(
                    store.create_session(scope, new.clone()).await,
                    model.create_session(scope, new).await,
                );
            }
            Op::ChangeSession { session, change } => {
                let (id, patch) = (key(session), change.patch());
                let of_store = store.update_session(scope, &id, patch.clone()).await;
                same(of_store, model.update_session(scope, &id, patch).await);
                same(store.session(scope, &id).await, model.session(scope, &id).await);
            }
            Op::DeleteSession(session) => {
                let id = key(session);
                same(
                    store.delete_session(scope, &id).await,
                    model.delete_session(scope, &id).await,
                );
            }
            Op::DeleteUser(number) => {
                let of = user(number);
                same(store.delete_user(scope, &of).await, model.delete_user(scope, &of).await);
            }
            Op::Append { session, batch, expected } => {
                self.append(scope, &key(session), batch, expected).await;
            }
            Op::ChangeMessage { session, message, change } => {
                let (id, message) = (key(session), message_id(format!("m{message}")));
                let patch = change.patch();
                let of_store = store.update_message(scope, &id, &message, patch.clone()).await;
                same(of_store, model.update_message(scope, &id, &message, patch).await);
            }
            Op::DeleteMessage { session, message } => {
                let (id, message) = (key(session), message_id(format!("m{message}")));
                let of_store = store.delete_message(scope, &id, &message).await;
                same(of_store, model.delete_message(scope, &id, &message).await);
                same(
                    store.message(scope, &id, &message).await,
                    model.message(scope, &id, &message).await,
                );
            }
            Op::Fork { session, back, to, user } => {
                self.fork(scope, &key(session), back, to, user).await;
            }
            Op::Import { session: id, gaps, user: of, overwrite } => {
                let mut new = session(format!("s{id}"));
                new.user_id = of.map(user);
                let new = new.into_session(clock.now()).expect("the session is valid");
                let mut last = 0;
                let messages = gaps.iter().map(|(gap, draft)| {
                    last += u64::from(*gap);
                    draft.message().into_message(seq(last))
                });
                let Ok(transcript) = Transcript::new(new, messages.collect()) else { return };
                import(scope, store, model, transcript, overwrite).await;
            }
            Op::Copy { from, to, overwrite } => {
                let of_store = store.transcript(scope, &key(from)).await;
                let of_model = model.transcript(scope, &key(from)).await;
                same(of_store, of_model.as_ref().cloned().map_err(again));
                let Ok(mut transcript) = of_model else { return };
                transcript.session.id = key(to);
                import(scope, store, model, transcript, overwrite).await;
            }
            Op::ListSessions { filter, created, ended, limit, offset } => {
                let mut query = SessionQuery::new()
                    .with_filter(filter.sessions())
                    .with_limit(limit.into())
                    .with_offset(offset.into());
                query.order = if created { SessionOrder::Created } else { SessionOrder::Updated };
                (query.since, query.until) = (filter.since.map(time), filter.until.map(time));
                query.ended = ended;
                self.walk(scope, Walk::Sessions(query), None).await;
            }
            Op::ListMessages { session, filter, newest, limit, offset } => {
                let mut query =
                    MessageQuery::new().with_limit(limit.into()).with_offset(offset.into());
                query.order = if newest { MessageOrder::Newest } else { MessageOrder::Oldest };
                query.role = filter.role.map(|role| Role::ALL[role]);
                query.status = filter.status.map(|status| Status::ALL[status]);
                query.model = filter.model();
                (query.since, query.until) = (filter.since.map(time), filter.until.map(time));
                self.walk(scope, Walk::Messages(key(session), query), None).await;
            }
            Op::Search { text, session, filter, order, limit } => {
                let mut query =
                    text.map_or_else(SearchQuery::all, |text| SearchQuery::new(QUERIES[text]));
                query.session = session.map(key);
                query.filter = filter.sessions();
                query.role = filter.role.map(|role| Role::ALL[role]);
                query.status = filter.status.map(|status| Status::ALL[status]);
                query.model = filter.model();
                (query.since, query.until) = (filter.since.map(time), filter.until.map(time));
                query.page.limit = limit.into();
                match order {
                    0 => {}
                    1 | 2 => query.order = SearchOrder::Oldest,
                    _ => {
                        query.order = SearchOrder::Rank;
                        query.page.limit = 1_000;
                    }
                }
                self.walk(scope, Walk::Search(query), None).await;
            }
            Op::GoOn(kind) => {
                if let Some((scope, walk, cursors)) = self.walks[usize::from(kind)].take() {
                    self.walk(&scope, walk, Some(cursors)).await;
                }
            }
            Op::Stats(filter) => {
                let mut query = StatsQuery::new().with_filter(filter.sessions());
                (query.since, query.until) = (filter.since.map(time), filter.until.map(time));
                same(store.stats(scope, &query).await, model.stats(scope, &query).await);
            }
            Op::Reopen => {
                if F::DURABLE {
                    self.store.close().await.expect("the store can be closed");
                    self.store = self.place.open().await;
                    self.same_contents().await;
                }
            }
        }
    }

    async fn append(&self, scope: &Scope, id: &SessionId, batch: Vec<Draft>, expected: Option<i8>) {
        let last = match self.model.session(scope, id).await {
            Ok(session) => session.last_seq.get(),
            // A batch with another fault may be refused for either.
            Err(_) if repeats_an_id(&batch) => return,
            Err(_) => 0,
        };
        let doubtful = repeats_an_id(&batch);
        let batch: Vec<_> = batch.iter().map(Draft::message).collect();
        let mut options = AppendOptions::new();
        if let Some(off) = expected {
            let last = last.saturating_add_signed(off.into());
            options = options.with_expected(Expected::LastSeq(seq(last)));
        }
        let of_store = self.store.append_opts(scope, id, batch.clone(), options).await;
        let of_model = self.model.append_opts(scope, id, batch, options).await;
        match (of_store, of_model) {
            // A batch may have an id twice and another fault besides; either may be told.
            (Err(of_store), Err(of_model)) if doubtful => {
                let either = [ErrorKind::InvalidInput, ErrorKind::Conflict];
                let kinds = [of_store.kind(), of_model.kind()];
                let equal = kinds[0] == kinds[1];
                assert!(equal || kinds.iter().all(|kind| either.contains(kind)), "{kinds:?}");
            }
            (of_store, of_model) => same(of_store, of_model),
        }
    }

    async fn fork(&self, scope: &Scope, id: &SessionId, back: u8, to: u8, of: Option<u8>) {
        let mut new = session(format!("s{to}"));
        new.user_id = of.map(user);
        let source = self.model.session(scope, id).await;
        let last = source.as_ref().map_or(0, |session| session.last_seq.get());
        // Now and then it is beyond the last number.
        let up_to = (last + 1).saturating_sub(back.into());
        let taken = self.model.session(&scope.without_user(), &new.id).await.is_ok();
        let is_of_another = scope.claim(&mut new.user_id.clone()).is_err();
        let faults = [source.is_err(), source.is_ok() && up_to > last, taken, is_of_another];
        if faults.into_iter().filter(|fault| *fault).count() > 1 {
            return;
        }
        let of_store = self.store.fork(scope, id, seq(up_to), new.clone()).await;
        same(of_store, self.model.fork(scope, id, seq(up_to), new).await);
    }

    /// Reads a page of both, compares, and keeps the way to the next.
    async fn walk(&mut self, scope: &Scope, walk: Walk, after: Option<(Cursor, Cursor)>) {
        let (of_store, of_model) = after.unzip();
        let next = match &walk {
            Walk::Sessions(query) => {
                let [one, two] = [of_store, of_model].map(|cursor| {
                    let mut query = query.clone();
                    query.page.after = cursor;
                    query
                });
                same_page(
                    self.store.list_sessions(scope, &one).await,
                    self.model.list_sessions(scope, &two).await,
                    |items| items,
                )
            }
            Walk::Messages(id, query) => {
                let [one, two] = [of_store, of_model].map(|cursor| {
                    let mut query = query.clone();
                    query.page.after = cursor;
                    query
                });
                same_page::<Message, _>(
                    self.store.messages(scope, id, &one).await,
                    self.model.messages(scope, id, &two).await,
                    |items| items,
                )
            }
            Walk::Search(query) => {
                let [one, two] = [of_store, of_model].map(|cursor| {
                    let mut query = query.clone();
                    query.page.after = cursor;
                    query
                });
                let ranked = query.order == SearchOrder::Rank;
                same_page(
                    self.store.search(scope, &one).await,
                    self.model.search(scope, &two).await,
                    |items| {
                        if ranked { unranked(items) } else { items }
                    },
                )
            }
        };
        let kind = match &walk {
            Walk::Sessions(_) => 0,
            Walk::Messages(..) => 1,
            Walk::Search(_) => 2,
        };
        self.walks[kind] = next.map(|cursors| (scope.clone(), walk, cursors));
    }

    async fn same_contents(&self) {
        for number in 0..TENANTS {
            let scope = &scope_of(number);
            let of_store = snapshot_of(&*self.store, scope).await;
            assert_eq!(of_store, snapshot_of(&self.model, scope).await, "the store, and the model");
        }
        let query = TenantQuery::new();
        same(self.store.tenants(&query).await, self.model.tenants(&query).await);
    }
}

/// How many scopes are tenants; the others are users in them.
const TENANTS: u8 = 2;
const SCOPES: u8 = TENANTS * 3;

/// The scope with this number, of two tenants and two users in each.
fn scope_of(number: u8) -> Scope {
    let tenant = ["", "tenant 1"][usize::from(number % TENANTS)];
    let tenant = Scope::tenant(tenant).expect("the name is valid");
    match (number / TENANTS).checked_sub(1) {
        Some(number) => tenant.as_user(user(number)).expect("the name is valid"),
        None => tenant,
    }
}

fn key(session: u8) -> SessionId {
    session_id(format!("s{session}"))
}

fn repeats_an_id(batch: &[Draft]) -> bool {
    let mut ids: Vec<u8> = batch.iter().map(|draft| draft.id).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair[0] == pair[1])
}

/// An error of the same kind; errors cannot be cloned.
fn again(error: &Error) -> Error {
    Error::new(error.kind(), "as the model")
}

async fn import<S: Store>(
    scope: &Scope,
    store: &S,
    model: &MemoryStore,
    transcript: Transcript,
    overwrite: bool,
) {
    let everybody = scope.without_user();
    let taken = model.session(&everybody, &transcript.session.id).await.is_ok();
    if taken && scope.claim(&mut transcript.session.user_id.clone()).is_err() {
        return;
    }
    let mode = if overwrite { ImportMode::Overwrite } else { ImportMode::CreateOnly };
    let of_store = store.import(scope, transcript.clone(), mode).await;
    same(of_store, model.import(scope, transcript, mode).await);
}

/// Compares two pages, their items changed first, and returns the cursors if there is more.
#[track_caller]
fn same_page<T, U>(
    of_store: Result<Page<T>>,
    of_model: Result<Page<T>>,
    change: impl Fn(Vec<T>) -> Vec<U>,
) -> Option<(Cursor, Cursor)>
where
    U: PartialEq + Debug,
{
    let mut cursors = [None, None];
    let mut seen = |at: usize, page: Page<T>| {
        let more = page.next.is_some();
        cursors[at] = page.next;
        (change(page.items), more)
    };
    let of_store = of_store.map(|page| seen(0, page));
    let of_model = of_model.map(|page| seen(1, page));
    same(of_store, of_model);
    let [of_store, of_model] = cursors;
    of_store.zip(of_model)
}

/// Hits by their places, without their ranks, which differ between backends; the ranks fall.
fn unranked(mut hits: Vec<Hit>) -> Vec<Hit> {
    let ranks: Vec<f64> = hits.iter().map(|hit| hit.rank.expect("a rank")).collect();
    assert!(ranks.is_sorted_by(|a, b| a >= b), "best first");
    hits.iter_mut().for_each(|hit| hit.rank = None);
    hits.sort_by_key(|hit| (hit.session.id.clone(), hit.message.seq));
    hits
}
