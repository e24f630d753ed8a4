//! What other tools store comes in as they read it themselves, and whatever happens to an import, running it again ends it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt;
use serde_json::{Value, json};
use session_history_saver::import::{Import, Report, Severity};
use session_history_saver::{
    Location, Message, Part, Scope, SessionId, SessionOrder, SessionQuery, SessionTracker, Store,
    StoreExt, Transcript, open_store,
};
use shs_tests::process::Process;
use shs_tests::{python, skip};

const CHILD: &str = env!("CARGO_BIN_EXE_shs-child");

/// The tools, in the versions that are imported from.
const TOOLS: [&str; 5] = [
    "llm==0.36",
    "openai-agents==0.24.0",
    "langchain-community==0.4.2",
    "greenlet==3.2.4",
    "session-history-saver==1.0.0",
];
/// `llm` before it had threads.
const LLM_BEFORE: [&str; 2] = ["llm==0.27.1", "httpx==0.28.1"];

/// Conversations as the tools read them: role, text, calls and results of each message.
type Expected = BTreeMap<String, Vec<Value>>;

async fn import(history: &SessionTracker, path: &Path) -> Report {
    let tell = |problem: &session_history_saver::import::Problem| {
        assert_eq!(problem.severity, Severity::Note, "{problem}");
    };
    history.import(&Import::new(), path, tell).await.unwrap()
}

fn memory() -> SessionTracker {
    SessionTracker::new(session_history_saver::memory::MemoryStore::new())
}

async fn all(store: &dyn Store) -> Vec<Transcript> {
    let query = SessionQuery::new().with_order(SessionOrder::Created);
    let sessions: Vec<_> =
        store.session_stream(&Scope::DEFAULT, query).try_collect().await.unwrap();
    let mut all = Vec::new();
    for session in sessions {
        all.push(store.transcript(&Scope::DEFAULT, &session.id).await.unwrap());
    }
    all.sort_by(|one, other| one.session.id.cmp(&other.session.id));
    all
}

/// A message as the tools' readers are asked for it.
fn row(message: &Message) -> Value {
    let of = |kind: &'static str| {
        message.parts.iter().filter(move |part| part.kind() == kind).map(Part::as_object)
    };
    let calls: Vec<Value> =
        of("tool_call").map(|call| json!([call["name"], call["arguments"]])).collect();
    let results: Vec<Value> =
        of("tool_call_response").map(|result| result["response"].clone()).collect();
    json!([message.role.as_str(), message.content, calls, results])
}

/// Imports a file twice: the conversations are those that the tool reads, and the second time nothing is new.
async fn compare(path: &Path, expected: &Expected) {
    let history = memory();
    let report = import(&history, path).await;
    assert_eq!((report.imported, report.failed), (expected.len() as u64, 0), "{}", path.display());
    for (id, wanted) in expected {
        let read = history
            .store()
            .transcript(&Scope::DEFAULT, &SessionId::new(id).unwrap())
            .await
            .unwrap();
        let read: Vec<Value> = read.messages.iter().map(row).collect();
        assert_eq!(&read, wanted, "{}: {id}", path.display());
    }
    let before = all(&**history.store()).await;
    let again = import(&history, path).await;
    assert_eq!((again.imported, again.updated, again.already_there), (0, 0, report.imported));
    assert_eq!(all(&**history.store()).await, before);
}

#[tokio::test]
async fn what_the_tools_store_is_read_as_they_read_it() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let python = match python::with_packages(target, "sources", &TOOLS) {
        Ok(python) => python,
        Err(why) => return skip("what_the_tools_store_is_read_as_they_read_it", &why),
    };
    let folder = tempfile::tempdir().unwrap();
    python::script(&python, "sources.py", folder.path());
    let path = |name: &str| folder.path().join(name);
    let expected: Value =
        serde_json::from_slice(&std::fs::read(path("expected.json")).unwrap()).unwrap();
    let of =
        |source: &str| -> Expected { serde_json::from_value(expected[source].clone()).unwrap() };
    compare(&path("llm.db"), &of("llm")).await;
    compare(&path("langchain.db"), &of("langchain")).await;
    compare(&path("agents.db"), &of("agents")).await;
    for name in ["python.db", "python", "python.jsonl", "python.csv"] {
        compare(&path(name), &of("python")).await;
    }
    let mut first = of("python");
    first.retain(|id, _| id == "plain");
    compare(&path("python.json"), &first).await;

    for name in ["llm.db", "langchain.db", "agents.db", "python.db"] {
        damaged(&path(name)).await;
    }

    // Python's database comes as opening it would move it.
    let history = memory();
    import(&history, &path("python.db")).await;
    let imported = all(&**history.store()).await;
    let opened = open_store(&Location::sqlite(path("python.db"))).await.unwrap();
    assert_eq!(imported, all(&*opened).await);
    opened.close().await.unwrap();

    let history = memory();
    import(&history, &path("llm.db")).await;
    let (fork, source) = (&expected["llm-fork"]["id"], &expected["llm-fork"]["of"]);
    let fork = history.get(&SessionId::new(fork.as_str().unwrap()).unwrap()).await.unwrap();
    let from = fork.forked_from.unwrap();
    assert_eq!((from.session_id.as_str(), from.seq.get()), (source.as_str().unwrap(), 3));
}

/// A database with any other byte somewhere ends in a report.
async fn damaged(path: &Path) {
    let whole = std::fs::read(path).unwrap();
    let copy = tempfile::NamedTempFile::new().unwrap();
    let (mut failed, mut imported) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 150) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        std::fs::write(copy.path(), &bytes).unwrap();
        let history = memory();
        let report = history.import(&Import::new(), copy.path(), |_| {}).await.unwrap();
        failed += report.failed;
        imported += report.imported;
    }
    assert!(failed > 0 && imported > 0, "{failed} failed, {imported} imported");
}

#[tokio::test]
async fn what_llm_stored_before_it_had_threads_is_read_and_once_after_it_has() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let pythons = python::with_packages(target, "llm-before", &LLM_BEFORE)
        .and_then(|before| Ok((before, python::with_packages(target, "sources", &TOOLS)?)));
    let (before, after) = match pythons {
        Ok(pythons) => pythons,
        Err(why) => return skip("what_llm_stored_before_it_had_threads", &why),
    };
    let folder = tempfile::tempdir().unwrap();
    python::script(&before, "llm_before.py", folder.path());
    let path = folder.path().join("logs.db");
    let read = |path: &Path| -> Expected {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let expected = read(&folder.path().join("expected.json"));
    assert_eq!(expected.len(), 3);
    compare(&path, &expected).await;

    // The newer version takes the same file, and goes on with one of the conversations as a thread.
    python::script(&after, "llm_after.py", folder.path());
    let expected = read(&folder.path().join("expected.json"));
    assert_eq!(expected.len(), 3);
    compare(&path, &expected).await;
}

#[tokio::test]
async fn an_import_that_is_killed_and_run_again_ends_as_one_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.jsonl");
    let lines: String = (0..400)
        .map(|number| {
            let messages: Vec<_> = (0..5)
                .map(|turn| json!({ "role": "user", "content": format!("{number} {turn}") }))
                .collect();
            format!("{}\n", json!({ "session_id": format!("s{number}"), "messages": messages }))
        })
        .collect();
    std::fs::write(&file, lines).unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let run = |name: &str| Process::start(CHILD, &["import", &url(name), file.to_str().unwrap()]);
    let mut whole = run("whole.db");
    assert_eq!(whole.line().await.as_deref(), Some("400 0"));
    assert!(whole.succeeded().await);
    let wanted = open_store(&url("whole.db").parse::<Location>().unwrap()).await.unwrap();
    let wanted = all(&*wanted).await;

    let mut were_there = Vec::new();
    for round in 0..8_u64 {
        let name = format!("killed-{round}.db");
        let child = run(&name);
        tokio::time::sleep(Duration::from_millis(20 * round)).await;
        child.kill().await;
        let mut again = run(&name);
        let counts = again.line().await.expect("it says what it did");
        let counts: Vec<u64> = counts.split(' ').map(|count| count.parse().unwrap()).collect();
        assert_eq!(counts.iter().sum::<u64>(), 400);
        were_there.push(counts[1]);
        assert!(again.succeeded().await);
        let store = open_store(&url(&name).parse::<Location>().unwrap()).await.unwrap();
        assert_eq!(all(&*store).await, wanted);
    }
    println!("stored when it was killed: {were_there:?} of 400");
}

/// In CI 64 MiB; `SHS_IMPORT_MIB=2048` for 2 GiB.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_large_array_takes_no_more_memory_than_a_few_conversations() {
    let size = std::env::var("SHS_IMPORT_MIB").unwrap_or_else(|_| "64".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("history.db").display());
    let mut child = Process::start(CHILD, &["import-made", &url, &size]);
    let taken: u64 = child.line().await.expect("it tells its memory").parse().unwrap();
    assert!(child.succeeded().await);
    println!("{size} MiB are imported in {} MiB of memory", taken / 1024);
    assert!(taken < 200 * 1024, "{taken} KiB");
}
