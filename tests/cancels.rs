//! Calls that are cancelled: the futures of writes of every kind are dropped after some polls, and called again until they
//! are answered. Nothing is lost, and nothing is there twice.
//!
//! `SHS_CANCELS=100000` for a long run; `SHS_SEED` for other operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use session_history_saver::{ErrorKind, Location, Store, memory::MemoryStore, open_store};
use shs_tests::cancel::drop_after;
use shs_tests::mix::{self, Expectation, Script};
use shs_tests::power::Dice;

/// The backends, among which the calls are shared out.
const BACKENDS: usize = 3;
/// Tasks at once, each with a script of its own.
const TASKS: usize = 8;
/// Cancelled calls of a task on one store, before a new store begins: what a script expects takes longer to
/// tell as it grows.
const MOST: usize = 500;

/// How many calls are cancelled on each backend.
fn cancels() -> usize {
    let all: usize = std::env::var("SHS_CANCELS")
        .map_or(2_000, |all| all.parse().expect("SHS_CANCELS is a number"));
    all.div_ceil(BACKENDS)
}

fn seed() -> u64 {
    std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("SHS_SEED is a number"))
}

/// What a task did.
#[derive(Default)]
struct Done {
    /// Lines for the expectation: each operation as begun and acknowledged.
    lines: Vec<String>,
    cancelled: usize,
    /// Operations that were answered after a cancelled call as if that had happened.
    found_done: usize,
}

/// Follows a script until so many calls were cancelled.
async fn follow(store: &dyn Store, seed: u64, task: usize, cancels: usize) -> Result<Done, String> {
    let mut script = Script::new(seed, task).await;
    let mut dice = Dice::new(seed.wrapping_mul(31).wrapping_add(task as u64));
    let mut done = Done::default();
    while done.cancelled < cancels {
        let number = script.done();
        let (operation, expected) = script.step().await;
        let is_shared = operation.is_shared();
        let mut attempts = 0;
        let answer = loop {
            // The later, the more often it is left to end.
            let polls = dice.below(4 + attempts);
            match drop_after(polls, operation.clone().run(store)).await {
                Some(answer) => break answer,
                None => attempts += 1,
            }
        };
        done.cancelled += attempts;
        if let Err(difference) = mix::same(answer.as_ref(), expected, is_shared) {
            // It may have happened before, and the answer says so.
            let repeats = [ErrorKind::AlreadyExists, ErrorKind::NotFound];
            let is_repeated = attempts > 0
                && answer.as_ref().err().is_none_or(|error| repeats.contains(&error.kind()));
            if !is_repeated {
                return Err(format!("{}: {difference}", operation.describe()));
            }
            done.found_done += 1;
        }
        done.lines.push(format!("? {task} {number} {}", operation.describe()));
        done.lines.push(format!("! {task} {number}{}", mix::given(&answer, is_shared)));
    }
    Ok(done)
}

/// Cancels calls on stores that `open` makes, one after the other.
async fn cancel_on(name: &str, open: impl AsyncFn() -> Arc<dyn Store>) {
    let (mut left, mut seed) = (cancels(), seed());
    let (mut cancelled, mut answered, mut found_done) = (0, 0, 0);
    while left > 0 {
        let each = left.div_ceil(TASKS).min(MOST);
        let store = open().await;
        mix::begin(&*store).await.unwrap();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { follow(&*store, seed, task, each).await })
            })
            .collect();
        let mut expectation = Expectation::new(seed, TASKS).await;
        let fails = |difference: String| -> ! { panic!("SHS_SEED={seed}: {difference}") };
        for task in tasks {
            let done = task.await.unwrap().unwrap_or_else(|difference| fails(difference));
            answered += done.lines.iter().filter(|line| expectation.hear(line)).count();
            cancelled += done.cancelled;
            found_done += done.found_done;
        }
        let all = mix::audit(&*store).await.unwrap();
        expectation.check(&all).await.unwrap_or_else(|difference| fails(difference));
        store.close().await.unwrap();
        left = left.saturating_sub(each * TASKS);
        seed += 1;
    }
    println!("{name}: {cancelled} calls cancelled, {answered} operations, {found_done} found done");
    assert!(cancelled >= cancels());
}

async fn cancel_on_disk(scheme: &str) {
    let folder = tempfile::tempdir().unwrap();
    let number = AtomicUsize::new(0);
    let open = async || {
        let path = folder.path().join(number.fetch_add(1, Ordering::Relaxed).to_string());
        let location: Location = format!("{scheme}:{}", path.display()).parse().unwrap();
        open_store(&location).await.unwrap()
    };
    cancel_on(scheme, open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_calls_lose_nothing_in_memory() {
    cancel_on("memory", async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_calls_lose_nothing_in_files() {
    cancel_on_disk("fs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_calls_lose_nothing_in_sqlite() {
    cancel_on_disk("sqlite").await;
}
