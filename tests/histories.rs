//! Histories of many tasks at once, on every backend and from several processes: one order of the messages explains all
//! that anybody was answered (see `shs_tests::history`).
//!
//! `SHS_OPERATIONS=1000000` for a long run; `SHS_SEED` for other operations.

use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use session_history_saver::{
    Location, NewSession, Scope, SessionId, Store, StoreExt, memory::MemoryStore, open_store,
};
use shs_tests::history::{self, Clock, Entry, NEVER, Task, What, check};
use shs_tests::process::Process;

const CHILD: &str = env!("CARGO_BIN_EXE_shs-child");
/// The histories, among which the operations are shared out; another one is short.
const HISTORIES: usize = 6;
/// Tasks at once in one process.
const TASKS: usize = 16;

/// How many operations a history has.
fn operations() -> usize {
    let all = std::env::var("SHS_OPERATIONS")
        .map_or(20_000, |all| all.parse().expect("SHS_OPERATIONS is a number"));
    all / HISTORIES
}

fn seed() -> u64 {
    std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("SHS_SEED is a number"))
}

fn location(scheme: &str, folder: &Path) -> Location {
    format!("{scheme}:{}", folder.join("history").display()).parse().unwrap()
}

/// Many tasks on four sessions; the tasks share out the stores, which all have one place open.
async fn run(stores: Vec<Arc<dyn Store>>, operations: usize, deletes: bool) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("clock");
    let sessions: Vec<SessionId> = ["a", "b", "c", "d"].map(|id| id.parse().unwrap()).to_vec();
    for id in &sessions {
        stores[0].create_session(&Scope::DEFAULT, NewSession::with_id(id.clone())).await.unwrap();
    }
    let mut running = Vec::new();
    for number in 0..TASKS {
        let (store, clock) =
            (Arc::clone(&stores[number % stores.len()]), Clock::new(&path).unwrap());
        let task = Task {
            number,
            name: format!("t{number}"),
            sessions: sessions.clone(),
            seed: seed(),
            operations: operations / TASKS,
            deletes,
        };
        running.push(tokio::spawn(async move {
            let mut entries = Vec::new();
            task.run(&*store, clock, &mut entries).await.map(|()| entries)
        }));
    }
    let mut entries = Vec::new();
    for task in running {
        entries.extend(task.await.unwrap().unwrap());
    }
    let store = &stores[0];
    let mut clock = Clock::new(&path).unwrap();
    entries.extend(history::audit(&**store, &mut clock, TASKS).await.unwrap());
    explain(&entries, operations);
    for store in stores {
        store.close().await.unwrap();
    }
}

/// The history is one that may be, and not an idle one.
fn explain(entries: &[Entry], operations: usize) {
    let figures = check(entries).unwrap_or_else(|broken| panic!("SHS_SEED={}: {broken}", seed()));
    println!("SHS_SEED={}: {figures:?}", seed());
    assert!(figures.operations >= operations * 9 / 10 && figures.appended >= operations / 3);
    assert!(figures.read >= operations);
}

async fn run_on(scheme: &str, stores: usize, operations: usize, deletes: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut open = Vec::new();
    for _ in 0..stores {
        open.push(open_store(&location(scheme, folder.path())).await.unwrap());
    }
    run(open, operations, deletes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_on_memory() {
    run(vec![Arc::new(MemoryStore::new())], operations(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_on_files() {
    run_on("fs", 1, operations(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_delete_on_files() {
    // Deleting a message writes its session's file anew.
    run_on("fs", 1, operations() / 10, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_on_sqlite() {
    run_on("sqlite", 1, operations(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_delete_on_two_stores_of_one_sqlite_file() {
    run_on("sqlite", 2, operations(), true).await;
}

/// Processes that open one SQLite file, which is not there yet, at the same instant; one may be killed half way.
async fn processes(count: usize, tasks: usize, one_is_killed: bool) {
    let folder = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let (url, scratch) = (location("sqlite", folder.path()).to_string(), scratch.path());
    let each = operations() / (count * tasks);
    let (tasks_each, operations, seed) = (tasks.to_string(), each.to_string(), seed().to_string());
    let mut children = Vec::new();
    for process in 0..count {
        let (scratch, process) = (scratch.display().to_string(), process.to_string());
        let arguments = ["history", &url, &scratch, &process, &tasks_each, &operations, &seed];
        let mut child = Process::start(CHILD, &arguments);
        assert_eq!(child.line().await.as_deref(), Some("ready"));
        children.push(child);
    }
    children.iter_mut().for_each(Process::end_input);
    let killed = one_is_killed.then(|| children.remove(count / 2));
    let kill = async {
        let Some(mut child) = killed else { return };
        // A third of what a process does are appends.
        for _ in 0..each * tasks / 5 {
            child.line().await.expect("it works until it is killed");
        }
        child.kill().await;
    };
    // All are listened to at once: who cannot print cannot go on, and may hold the lock.
    let ((), ended) = tokio::join!(kill, join_all(children.into_iter().map(Process::drained)));
    assert!(ended.into_iter().all(|went_well| went_well), "a process fails");
    let mut entries = Vec::new();
    for task in 0..count * tasks {
        entries.extend(history::read(&scratch.join(format!("t{task}"))).unwrap());
    }
    let store = open_store(&url.parse::<Location>().unwrap()).await.unwrap();
    let mut clock = Clock::new(&scratch.join("clock")).unwrap();
    let repeated = repeat_unanswered(&*store, &mut clock, &entries, count * tasks).await;
    assert!(one_is_killed || repeated.is_empty(), "all was answered");
    entries.extend(repeated);
    entries.extend(history::audit(&*store, &mut clock, count * tasks).await.unwrap());
    explain(&entries, self::operations());
    store.close().await.unwrap();
}

/// Repeats the appends of which nobody knows whether they happened.
async fn repeat_unanswered(
    store: &dyn Store,
    clock: &mut Clock,
    entries: &[Entry],
    task: usize,
) -> Vec<Entry> {
    let mut repeated = Vec::new();
    for entry in entries.iter().filter(|entry| entry.ended == NEVER) {
        let What::Append { ids, .. } = &entry.what else { panic!("only appends are noted before") };
        let began = clock.tick().unwrap();
        let batch = ids.iter().map(|id| history::message(id)).collect();
        let appended = store
            .append_all(&Scope::DEFAULT, &entry.session.parse().unwrap(), batch)
            .await
            .unwrap();
        let seqs = appended.messages.iter().map(|message| message.seq.get()).collect();
        let what = What::Append { ids: ids.clone(), seqs };
        let ended = clock.tick().unwrap();
        repeated.push(Entry { task, began, ended, what, ..entry.clone() });
    }
    repeated
}

#[tokio::test]
async fn four_processes_on_one_sqlite_file() {
    processes(4, 4, false).await;
}

#[tokio::test]
async fn eight_processes_on_one_sqlite_file_of_which_one_is_killed() {
    processes(8, 2, true).await;
}
