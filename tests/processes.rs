//! Several processes on one store, and processes that are killed.

use std::collections::HashMap;

use futures::future::join_all;
use session_history_saver::{
    ErrorKind, Location, MessageQuery, NewMessage, NewSession, Scope, SearchQuery, SessionId,
    SessionQuery, Status, Store, StoreExt, open_store,
};
use shs_sqlite::SqliteOptions;
use shs_store::streaming::STREAM_KEY;
use shs_tests::mix::{self, Expectation};
use shs_tests::power::Dice;
use shs_tests::process::Process;
use tempfile::TempDir;

const CHILD: &str = env!("CARGO_BIN_EXE_shs-child");

/// The tests that kill writers, among which the kills are shared out.
const KILLERS: usize = 5;

/// How often a test kills a writer; `SHS_KILLS=1000`, for all of them together, for a long run.
fn kills() -> usize {
    let all: usize = std::env::var("SHS_KILLS")
        .map_or(100, |kills| kills.parse().expect("SHS_KILLS is a number"));
    all.div_ceil(KILLERS)
}

/// Where the scripts of mixed operations begin; `SHS_SEED` for others.
fn seed() -> u64 {
    std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("SHS_SEED is a number"))
}

struct Place {
    url: String,
    session: SessionId,
    _folder: TempDir,
}

impl Place {
    /// A store with one session in it, that nobody has open.
    async fn new(scheme: &str) -> Self {
        Self::with(scheme, NewSession::with_id("s".parse().unwrap())).await
    }

    /// A store with the sessions in it that scripts of mixed operations share.
    async fn shared(scheme: &str) -> Self {
        let place = Self::with(scheme, mix::shared_session()).await;
        let store = place.open().await;
        mix::begin(&*store).await.unwrap();
        store.close().await.unwrap();
        place
    }

    async fn with(scheme: &str, new: NewSession) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("{scheme}:{}", folder.path().join("history").display());
        let session = new.id.clone();
        let store = open_store(&url.parse::<Location>().unwrap()).await.unwrap();
        store.create_session(&Scope::DEFAULT, new).await.unwrap();
        store.close().await.unwrap();
        Self { url, session, _folder: folder }
    }

    async fn open(&self) -> std::sync::Arc<dyn Store> {
        open_store(&self.url.parse::<Location>().unwrap()).await.unwrap()
    }
}

/// Notes an acknowledgement, a line `ID SEQ`.
fn note(acknowledged: &mut HashMap<String, u64>, line: &str) {
    let (id, seq) = line.split_once(' ').unwrap();
    let before = acknowledged.insert(id.to_owned(), seq.parse().unwrap());
    assert_eq!(before, None, "{id} was acknowledged twice");
}

/// Every acknowledged message is there once under its number, whole; numbers have no gap; counts and search agree.
/// `unknown` says how many may be there that were not acknowledged.
async fn audit(
    store: &dyn Store,
    session: &SessionId,
    acknowledged: &HashMap<String, u64>,
    unknown: usize,
) {
    let transcript = store.transcript(&Scope::DEFAULT, session).await.unwrap();
    let stored = store.session(&Scope::DEFAULT, session).await.unwrap();
    assert_eq!(stored.message_count, transcript.messages.len() as u64);
    assert_eq!(transcript.session, stored);
    let mut found = HashMap::new();
    for (message, expected) in transcript.messages.iter().zip(1..) {
        assert_eq!(message.seq.get(), expected, "numbers have no gap");
        let (name, number) = message.id.as_str().rsplit_once('-').unwrap();
        let text =
            format!("{name} {number} {}", "word ".repeat(number.parse::<usize>().unwrap() % 50));
        assert_eq!(message.content, text, "a message is whole");
        assert!(found.insert(message.id.to_string(), message.seq.get()).is_none());
    }
    for (id, seq) in acknowledged {
        assert_eq!(found.get(id), Some(seq), "{id} was acknowledged");
    }
    assert!(
        found.len() <= acknowledged.len() + unknown,
        "{} messages for {} acknowledgements",
        found.len(),
        acknowledged.len()
    );
    let mut query = SearchQuery::new("first*").with_limit(1_000);
    let mut hits = 0;
    loop {
        let page = store.search(&Scope::DEFAULT, &query).await.unwrap();
        hits += page.items.len();
        match page.next {
            Some(next) => query = query.with_after(next),
            None => break,
        }
    }
    let expected = found.keys().filter(|id| id.starts_with("first")).count();
    assert_eq!(hits, expected, "search finds what is stored");
}

#[tokio::test]
async fn two_processes_on_one_file_lose_nothing() {
    let place = Place::new("sqlite").await;
    let write = |name| Process::start(CHILD, &["write", &place.url, "s", name, "200"]);
    let (mut first, mut second) = (write("first"), write("second"));
    let mut acknowledged = HashMap::new();
    let (mut a, mut b) = (0, 0);
    while let Some(line) = first.line().await {
        note(&mut acknowledged, &line);
        a += 1;
    }
    while let Some(line) = second.line().await {
        note(&mut acknowledged, &line);
        b += 1;
    }
    assert!(first.succeeded().await && second.succeeded().await);
    assert_eq!((a, b), (200, 200));
    audit(&*place.open().await, &place.session, &acknowledged, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn many_who_open_a_new_database_at_the_same_instant_share_it() {
    for _ in 0..15 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let gate = std::sync::Arc::new(tokio::sync::Barrier::new(8));
        let openings: Vec<_> = (0..8)
            .map(|_| {
                let (path, gate) = (path.clone(), std::sync::Arc::clone(&gate));
                tokio::spawn(async move {
                    gate.wait().await;
                    let store = SqliteOptions::new(path).open().await?;
                    store.create_session(&Scope::DEFAULT, NewSession::new()).await?;
                    store.close().await
                })
            })
            .collect();
        for opening in openings {
            opening.await.unwrap().unwrap();
        }
        let store = SqliteOptions::new(&path).open().await.unwrap();
        assert_eq!(
            store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items.len(),
            8
        );
        store.close().await.unwrap();
    }
}

/// Kills writers after more and more acknowledgements, on one store, so that each opening follows a kill.
async fn killed(scheme: &str, command: &str) {
    let place = Place::new(scheme).await;
    let mut acknowledged = HashMap::new();
    for round in 0..kills() {
        let name = format!("first{round}");
        let mut child = Process::start(CHILD, &[command, &place.url, "s", &name, "0"]);
        for _ in 0..=(round * 7) % 40 {
            note(&mut acknowledged, &child.line().await.expect("it writes until it is killed"));
        }
        for line in child.kill().await {
            note(&mut acknowledged, &line);
        }
        let store = place.open().await;
        // Each of the eight tasks may have been about to be answered.
        audit(&*store, &place.session, &acknowledged, 8 * (round + 1)).await;
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_in_sqlite() {
    killed("sqlite", "write").await;
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_in_files() {
    killed("fs", "write").await;
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_in_files_whose_journal_is_often_full() {
    killed("fs", "write-brief").await;
}

/// A store that killed children left behind can be opened, and holds what it must.
async fn check(place: &Place, expectation: &mut Expectation, seed: u64) {
    let store = place.open().await;
    let all = mix::audit(&*store).await.unwrap();
    if let Err(difference) = expectation.check(&all).await {
        panic!("SHS_SEED={seed}: {difference}");
    }
    store.close().await.unwrap();
}

/// Kills a process after so many acknowledgements; returns what it had said.
async fn kill_after(mut child: Process, mut left: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while left > 0 {
        let line = child.line().await.expect("it goes on until it is killed");
        left -= usize::from(line.starts_with('!'));
        lines.push(line);
    }
    lines.extend(child.kill().await);
    lines
}

/// Kills processes in the middle of all kinds of operations. Each next one repeats what was in flight, and goes on. Every
/// ten kills a new store begins.
async fn killed_in_a_mix(scheme: &str, command: &str, processes: usize) {
    const TASKS: usize = 3;
    let mut rounds = kills().div_ceil(processes);
    let mut seed = seed();
    while rounds > 0 {
        println!("SHS_SEED={seed}");
        let place = Place::shared(scheme).await;
        let mut expectation = Expectation::new(seed, processes * TASKS).await;
        let mut dice = Dice::new(seed);
        for _ in 0..rounds.min(10) {
            let mut children = Vec::new();
            for first in (0..processes).map(|number| number * TASKS) {
                let done = expectation.acknowledged(first..first + TASKS);
                let (seed, first) = (seed.to_string(), first.to_string());
                let arguments = [command, &place.url, &seed, &first, &done, "0"];
                children.push(Process::start(CHILD, &arguments));
            }
            // All are listened to at once: who cannot print cannot go on, and may hold the lock.
            let killed = children.into_iter().map(|child| kill_after(child, 1 + dice.below(60)));
            for line in join_all(killed).await.into_iter().flatten() {
                expectation.hear(&line);
            }
            check(&place, &mut expectation, seed).await;
        }
        rounds = rounds.saturating_sub(10);
        seed += 1;
    }
}

#[tokio::test]
async fn a_process_killed_in_any_operation_loses_nothing_in_sqlite() {
    killed_in_a_mix("sqlite", "mix", 1).await;
}

#[tokio::test]
async fn a_process_killed_in_any_operation_loses_nothing_in_files() {
    killed_in_a_mix("fs", "mix", 1).await;
}

#[tokio::test]
async fn a_process_killed_in_any_operation_loses_nothing_in_files_whose_journal_is_often_full() {
    killed_in_a_mix("fs", "mix-brief", 1).await;
}

#[tokio::test]
async fn two_processes_killed_in_any_operation_lose_nothing_in_sqlite() {
    killed_in_a_mix("sqlite", "mix", 2).await;
}

/// Waits until a child that streams an answer has stored so many bytes of it; says how many it has.
async fn until_stored(child: &mut Process, bytes: usize) -> usize {
    loop {
        let line = child.line().await.expect("it streams until it is killed");
        let stored = line.parse().unwrap();
        if stored >= bytes {
            return stored;
        }
    }
}

/// A process that dies in the middle of an answer leaves what was saved, marked at the next opening.
async fn interrupted(scheme: &str) {
    let place = Place::new(scheme).await;
    let mut child = Process::start(CHILD, &["answer", &place.url, "s"]);
    let stored = until_stored(&mut child, 2_000).await;
    child.kill().await;
    let store = place.open().await;
    let message = store.last_messages(&Scope::DEFAULT, &place.session, 1).await.unwrap().remove(0);
    assert_eq!(message.status, Status::Interrupted);
    assert!(message.metadata[STREAM_KEY].get("until").is_none(), "nobody has a lease");
    assert!(message.content.len() >= stored);
    assert!(message.content.starts_with("word0 word1 word2 "), "{:?}", message.content.get(..40));
    let found = store
        .search(&Scope::DEFAULT, &SearchQuery::new("word7").with_status(Status::Interrupted))
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
}

#[tokio::test]
async fn an_answer_whose_process_dies_is_marked_in_sqlite() {
    interrupted("sqlite").await;
}

#[tokio::test]
async fn an_answer_whose_process_dies_is_marked_in_files() {
    interrupted("fs").await;
}

#[tokio::test]
async fn an_answer_of_a_living_process_is_left_alone() {
    let place = Place::new("sqlite").await;
    let mut child = Process::start(CHILD, &["answer", &place.url, "s"]);
    until_stored(&mut child, 500).await;
    let store = place.open().await;
    let message = store.last_messages(&Scope::DEFAULT, &place.session, 1).await.unwrap().remove(0);
    assert_eq!(message.status, Status::Pending);
    assert_eq!(store.interrupt_stale_streams(&Scope::DEFAULT, message.timestamp).await.unwrap(), 0);
    child.kill().await;
}

#[tokio::test]
async fn a_database_locked_by_another_process_is_an_error_until_it_is_free() {
    let place = Place::new("sqlite").await;
    let path = place.url.strip_prefix("sqlite:").unwrap();
    let open =
        || SqliteOptions::new(path).with_busy_timeout(std::time::Duration::from_millis(200)).open();
    let store = open().await.unwrap();
    let mut child = Process::start(CHILD, &["hold", path]);
    assert_eq!(child.line().await.as_deref(), Some("held"));

    let message = NewMessage::user("hello");
    let error = store.append(&Scope::DEFAULT, &place.session, message.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("locked by another process"), "{error}");
    // Readers do not mind.
    let page = store.messages(&Scope::DEFAULT, &place.session, &MessageQuery::new()).await.unwrap();
    assert!(page.items.is_empty());
    let another = open().await.expect("an existing database opens beside a writer");
    another.close().await.unwrap();

    child.end_input();
    assert!(child.succeeded().await);
    store.append(&Scope::DEFAULT, &place.session, message).await.unwrap();
    assert_eq!(store.session(&Scope::DEFAULT, &place.session).await.unwrap().message_count, 1);
}

#[tokio::test]
async fn a_folder_open_in_another_process_is_an_error_until_it_is_free() {
    let place = Place::new("fs").await;
    let mut child = Process::start(CHILD, &["write", &place.url, "s", "first", "0"]);
    child.line().await.expect("it has the folder open");
    let error = open_store(&place.url.parse::<Location>().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("another process"), "{error}");
    child.kill().await;
    place.open().await;
}
