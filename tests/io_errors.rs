//! A disk that refuses a call, at each call that a script of mixed operations makes: the operation fails with
//! `Unavailable`, nothing acknowledged is lost, nothing panics, and the same process goes on when the disk does.
//!
//! `SHS_FAULTS=all` tries every call of a longer script in every way, some 5,000 runs in several minutes; else each is tried
//! in one way, and on SQLite every third.

use std::path::Path;
use std::process::{Command, Stdio};

use session_history_saver::{Location, Store, open_store};
use shs_tests::mix::{self, Expectation};
use shs_tests::shim::compile;
use shs_tests::skip;

const CHILD: &str = env!("CARGO_BIN_EXE_shs-child");
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");
/// How calls fail, and what the process does then.
#[derive(Clone, Copy, Debug)]
struct Way {
    with: &'static str,
    /// Until the child thinks that it has seen enough; else once.
    is_lasting: bool,
    /// Whether the child repeats what failed, or ends at once without closing.
    after: &'static str,
}

const WAYS: [Way; 6] = [
    Way { with: "eio", is_lasting: false, after: "go-on" },
    Way { with: "enospc", is_lasting: true, after: "go-on" },
    Way { with: "short", is_lasting: false, after: "go-on" },
    Way { with: "eio", is_lasting: false, after: "give-up" },
    Way { with: "eio", is_lasting: true, after: "go-on" },
    Way { with: "short", is_lasting: true, after: "give-up" },
];

fn seed() -> u64 {
    std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("SHS_SEED is a number"))
}

/// Runs a script with a call failing. Says which call it was, or `None` if there are not so many.
async fn fail_at(
    shim: &Path,
    scheme: &str,
    child: &str,
    operations: &str,
    call: usize,
    way: Way,
) -> Result<Option<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let control = tempfile::NamedTempFile::new().unwrap();
    let note = control.path().with_extension("note");
    let url = format!("{scheme}:{}", folder.path().join("history").display());
    let seed = seed().to_string();
    let mut command = Command::new(CHILD);
    command
        .args([child, &url, &seed, "3", operations, way.after])
        .env("LD_PRELOAD", shim)
        .env("FAIL_FOLDER", folder.path())
        .env("FAIL_AT", call.to_string())
        .env("FAIL_WITH", way.with)
        .env("FAIL_NOTE", &note)
        .stdin(Stdio::null());
    if way.is_lasting {
        command.env("FAIL_WHILE", control.path());
    }
    let output = command.output().unwrap();
    let (told, complaints) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let failed = std::fs::read_to_string(&note);
    let _ = std::fs::remove_file(&note);
    if !output.status.success() || complaints.contains("panicked") {
        let last: Vec<_> = told.lines().rev().take(3).collect();
        return Err(format!("{failed:?}, {last:?}: {complaints}"));
    }
    let mut expectation = Expectation::new(seed.parse().unwrap(), 3).await.with_failures();
    let is_ready = told.lines().any(|line| line == "ready");
    for line in told.lines().filter(|line| line.starts_with(['?', '!'])) {
        expectation.hear(line);
    }
    let store = open_store(&url.parse::<Location>().unwrap())
        .await
        .map_err(|error| format!("{failed:?}: it does not open again: {error:?}"))?;
    let all = mix::audit(&*store).await.map_err(|error| format!("{failed:?}: {error:?}"))?;
    // Before that, its only operation was in flight.
    if is_ready {
        expectation.check(&all).await.map_err(|difference| format!("{failed:?}: {difference}"))?;
    }
    store.close().await.map_err(|error| format!("{failed:?}: {error:?}"))?;
    Ok(failed.ok())
}

async fn fail_everywhere(test: &str, scheme: &str, child: &str, operations: &str, step: usize) {
    let shim = match compile("fail_io", Path::new(SCRATCH)) {
        Ok(shim) => shim,
        Err(why) => return skip(test, &why),
    };
    let is_long = std::env::var("SHS_FAULTS").is_ok_and(|which| which == "all");
    let operations = if is_long { "12" } else { operations };
    let (mut runs, mut faults) = (0, Vec::new());
    let mut call = 1;
    'calls: loop {
        if is_long && call % 100 == 0 {
            println!("{test}: {runs} runs up to call {call}");
        }
        // Neighbouring calls, such as a write and its sync, meet every way as the script goes on.
        let ways = if is_long { &WAYS[..] } else { &WAYS[(call / step) * 5 % 6..][..1] };
        for way in ways {
            match fail_at(&shim, scheme, child, operations, call, *way).await {
                Ok(None) => break 'calls,
                Ok(Some(_)) => runs += 1,
                Err(fault) => {
                    faults.push(format!("SHS_SEED={}, call {call}, {way:?}: {fault}", seed()));
                }
            }
        }
        call += if is_long { 1 } else { step };
    }
    println!("{test}: {runs} runs, of {call} calls, {} with a fault", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(runs > 20, "the test sees nothing");
}

#[tokio::test]
async fn a_disk_that_fails_loses_nothing_in_sqlite() {
    fail_everywhere("a_disk_that_fails_loses_nothing_in_sqlite", "sqlite", "faulty", "4", 3).await;
}

#[tokio::test]
async fn a_disk_that_fails_loses_nothing_in_files() {
    fail_everywhere("a_disk_that_fails_loses_nothing_in_files", "fs", "faulty", "8", 1).await;
}

#[tokio::test]
async fn a_disk_that_fails_loses_nothing_in_files_whose_journal_is_often_full() {
    let test = "a_disk_that_fails_loses_nothing_in_files_whose_journal_is_often_full";
    fail_everywhere(test, "fs", "faulty-brief", "8", 1).await;
}
