//! A store that is closed while many work with it: every call is answered, done or closed, and what was done is there when
//! the store is opened again.

use std::sync::Arc;
use std::time::Duration;

use session_history_saver::{
    ErrorKind, Location, MessageQuery, Result, Scope, SearchQuery, SessionQuery, StatsQuery, Store,
    memory::MemoryStore, open_store,
};
use shs_tests::mix::{self, Expectation, Script};
use shs_tests::power::Dice;
use tokio::sync::mpsc::UnboundedSender;

const WRITERS: usize = 12;
const READERS: usize = 4;
/// A call that was not answered by then hangs.
const LONG: Duration = Duration::from_secs(120);

fn seed() -> u64 {
    std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("SHS_SEED is a number"))
}

/// Follows a script until the store is closed; returns what was done, as the lines of a child. What was answered as closed
/// did not happen.
async fn write(
    store: Arc<dyn Store>,
    seed: u64,
    task: usize,
    done: UnboundedSender<()>,
) -> Vec<String> {
    let mut script = Script::new(seed, task).await;
    let mut lines = Vec::new();
    loop {
        let number = script.done();
        let (operation, expected) = script.step().await;
        let is_shared = operation.is_shared();
        let answer = operation.clone().run(&*store).await;
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Closed) {
            return lines;
        }
        let same = mix::same(answer.as_ref(), expected, is_shared);
        same.unwrap_or_else(|difference| panic!("{}: {difference}", operation.describe()));
        lines.push(format!("? {task} {number} {}", operation.describe()));
        lines.push(format!("! {task} {number}{}", mix::given(&answer, is_shared)));
        // Whoever closes the store may not listen any more.
        let _ = done.send(());
    }
}

/// Reads until the store is closed.
async fn read(store: Arc<dyn Store>) {
    let closed = |error: session_history_saver::Error| {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
    };
    let id = mix::shared_session().id;
    let reading = async || -> Result<()> {
        loop {
            store
                .messages(&Scope::DEFAULT, &id, &MessageQuery::new().newest_first().with_limit(5))
                .await?;
            store.list_sessions(&Scope::DEFAULT, &SessionQuery::new().with_limit(5)).await?;
            store.search(&Scope::DEFAULT, &SearchQuery::new("deploy").with_limit(5)).await?;
            store.stats(&Scope::DEFAULT, &StatsQuery::new()).await?;
            tokio::task::yield_now().await;
        }
    };
    reading().await.unwrap_or_else(closed);
}

/// Closes a store after so many operations, from two callers at once; says what its writers had done.
async fn close_under_load(store: Arc<dyn Store>, seed: u64, after: usize) -> Expectation {
    mix::begin(&*store).await.unwrap();
    let (sender, mut done) = tokio::sync::mpsc::unbounded_channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|task| tokio::spawn(write(Arc::clone(&store), seed, task, sender.clone())))
        .collect();
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(Arc::clone(&store)))).collect();
    for _ in 0..after {
        done.recv().await.expect("they write until the store is closed");
    }
    let (first, second) = tokio::join!(store.close(), store.close());
    first.and(second).unwrap();
    let mut expectation = Expectation::new(seed, WRITERS).await;
    for writer in writers {
        for line in writer.await.unwrap() {
            expectation.hear(&line);
        }
    }
    for reader in readers {
        reader.await.unwrap();
    }
    let after = store.create_session(&Scope::DEFAULT, mix::shared_session()).await.unwrap_err();
    assert_eq!(after.kind(), ErrorKind::Closed);
    expectation
}

/// Closes stores after more and more operations, and audits what is there.
async fn every_caller_is_answered(scheme: &str) {
    let mut dice = Dice::new(seed());
    for seed in (seed()..).take(5) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("{scheme}:{}", folder.path().join("history").display());
        let location: Location = url.parse().unwrap();
        let store = open_store(&location).await.unwrap();
        let closing = close_under_load(store, seed, dice.below(200));
        let mut expectation = tokio::time::timeout(LONG, closing).await.expect("a caller hangs");
        let store = open_store(&location).await.unwrap();
        let all = mix::audit(&*store).await.unwrap();
        if let Err(difference) = expectation.check(&all).await {
            panic!("SHS_SEED={seed}: {difference}");
        }
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn closing_sqlite_under_load_answers_every_caller() {
    every_caller_is_answered("sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn closing_files_under_load_answers_every_caller() {
    every_caller_is_answered("fs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn closing_memory_under_load_answers_every_caller() {
    for (seed, after) in (seed()..).zip([0, 1, 50, 200]) {
        let closing = close_under_load(Arc::new(MemoryStore::new()), seed, after);
        tokio::time::timeout(LONG, closing).await.expect("a caller hangs");
    }
}
