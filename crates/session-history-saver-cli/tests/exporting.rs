//! Runs `shs export` as a person or a script would.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Conversations with a tool, an interrupted answer, and a question alone.
fn conversations() -> Vec<Value> {
    let message = |number: u32, role: &str, content: &str, more: Value| {
        let mut message = json!({
            "message_id": format!("m{number}"), "role": role, "content": content,
            "timestamp": format!("2026-01-01T10:00:{number:02}+00:00"),
        });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    let session = |id: &str, user: &str, messages: Vec<Value>| {
        json!({
            "session_id": id, "user_id": user, "title": "Call 555-1234",
            "created_at": "2026-01-01T10:00:00+00:00", "updated_at": "2026-01-01T10:00:00+00:00", "messages": messages,
        })
    };
    vec![
        session(
            "talk-1",
            "alice",
            vec![
                message(1, "system", "Be brief.", json!({})),
                message(2, "user", "My number is 555-1234.", json!({})),
                message(3, "assistant", "Noted.", json!({})),
                message(4, "user", "And?", json!({})),
                message(5, "assistant", "We", json!({"status": "interrupted"})),
            ],
        ),
        session(
            "talk-2",
            "bob",
            vec![
                message(6, "user", "Hello!", json!({})),
                message(7, "assistant", "Hi.", json!({})),
            ],
        ),
        session("talk-3", "bob", vec![message(8, "user", "Anybody?", json!({}))]),
    ]
}

/// A folder with a store of them.
fn store() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.json"), json!(conversations()).to_string()).unwrap();
    assert_eq!(shs(folder.path(), &["import", "in.json"]).status.code(), Some(0));
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shs"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHS_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("TZ", "UTC").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn shs(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// The exit code, what was written and what was said.
fn said(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = shs(folder, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_data_set_comes_with_a_report() {
    let folder = store();
    let path = folder.path();
    let (code, lines, report) = said(path, &["export", "--format", "openai"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(lines.lines().count(), 2);
    assert_eq!(
        report,
        "written: conversations 2, messages 5\n\
         dropped conversations: 1 with nothing to train on\n\
         dropped messages: 2 interrupted, failed or pending\n\
         dropped messages: 1 without an answer\n"
    );
    let (_, _, report) = said(path, &["export", "--format", "openai", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["conversations"], &report["messages"]), (&json!(2), &json!(5)));
    assert_eq!(report["dropped_messages"], json!({"interrupted": 2, "unanswered": 1}));
    // Beside a file, the report is what a script reads.
    let (code, report, said_more) =
        said(path, &["export", "--format", "claude", "-o", "a/data.jsonl", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((code, said_more.as_str(), &report["files"]), (0, "", &json!(["a/data.jsonl"])));
    assert_eq!(std::fs::read_to_string(path.join("a/data.jsonl")).unwrap().lines().count(), 2);
}

#[test]
fn options_prepare_what_is_written() {
    let folder = store();
    let path = folder.path();
    let export = |arguments: &[&str]| {
        let (code, lines, report) =
            said(path, &[&["export", "--format", "openai"], arguments].concat());
        assert_eq!(code, 0, "{report}");
        lines
    };
    let redacted = export(&["--redact", r"\d{3}-\d{4}", "--redact", "Be.*"]);
    assert!(redacted.contains("My number is [REDACTED]."), "{redacted}");
    assert!(redacted.contains(r#""system","content":"[REDACTED]""#) && !redacted.contains("555"));
    assert!(!export(&["--system", "drop"]).contains("Be brief."));
    assert!(export(&["--include-interrupted"]).contains(r#""We","weight":0"#));
    assert_eq!(export(&["--min-turns", "2"]), "");
    assert_eq!(export(&["--min-turns", "2", "--include-interrupted"]).lines().count(), 1);
    assert_eq!(export(&["--user", "alice"]).lines().count(), 1);
    assert_eq!(export(&["talk-2", "talk-1", "talk-2"]).lines().count(), 2);
    assert!(
        export(&["talk-2", "talk-1"])
            .starts_with(r#"{"messages":[{"role":"user","content":"Hello!"#)
    );
    #[cfg(feature = "tokens")]
    assert_eq!(export(&["--max-tokens", "15"]).lines().count(), 1);
    #[cfg(feature = "parquet")]
    {
        let (code, _, report) =
            said(path, &["export", "--format", "parquet", "-o", "data.parquet"]);
        assert_eq!(
            (code, report.lines().next()),
            (0, Some("written: conversations 2, messages 5, to data.parquet"))
        );
        assert!(std::fs::read(path.join("data.parquet")).unwrap().ends_with(b"PAR1"));
    }
    let (_, page, _) = said(path, &["export", "--format", "html"]);
    assert!(page.contains("<a href=\"#s-talk-1\">Call 555-1234</a>"));
    let (code, _, report) =
        said(path, &["export", "--format", "openai", "--split", "0.5", "-o", "data.jsonl"]);
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("to data.train.jsonl and data.validation.jsonl"), "{report}");
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let folder = store();
    let path = folder.path();
    for (arguments, why) in [
        (&["--format", "pdf"][..], "unknown format \"pdf\"; known are: json"),
        (&["--format", "openai", "--split", "2", "-o", "x"], "between 0 and 1"),
        (&["--format", "openai", "--split", "0.9"], "a split makes two files"),
        (&["--format", "openai", "--redact", "("], "no regular expression"),
        (&["--format", "openai", "--max-tokens", "0"], "--max-tokens"),
        (&["--format", "csv", "--dedupe"], "csv has all that is stored"),
        (&["--format", "html", "--merge-roles"], "html has all that is stored"),
        (&["--format", "json", "talk-1", "--user", "alice"], "cannot be used with"),
        (&["--format", "openai", "--check", "x", "--dedupe"], "cannot be used with"),
        (&["--format", "openai", "--check", "x", "talk-1"], "cannot be used with"),
        (&["--format", "html", "--check", "x"], "html cannot be checked"),
    ] {
        let (code, _, error) = said(path, &[&["export"], arguments].concat());
        assert_eq!(code, 2, "{arguments:?}: {error}");
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    let (code, _, error) = said(path, &["export", "--format", "json", "nobody"]);
    assert_eq!((code, error.contains("nobody")), (3, true));
    assert_eq!(
        std::fs::read_dir(path)
            .unwrap()
            .filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().contains("draft")
            })
            .count(),
        0
    );
}

#[test]
fn a_check_needs_no_store_and_names_the_lines() {
    let folder = store();
    let path = folder.path();
    said(path, &["export", "--format", "openai", "-o", "data.jsonl"]);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(path.join("data.jsonl"), elsewhere.path().join("data.jsonl")).unwrap();
    let path = elsewhere.path();
    let check =
        |format: &str, file: &str| said(path, &["export", "--check", file, "--format", format]);
    assert_eq!(
        check("openai", "data.jsonl"),
        (0, "lines: 2, wrong: 0\n".to_owned(), String::new())
    );
    let (code, found, error) = check("claude", "data.jsonl");
    assert_eq!(code, 1);
    assert!(found.contains("line 2: messages[0].role: unknown role \"system\""), "{found}");
    assert!(found.ends_with("lines: 2, wrong: 1\n"), "{found}");
    assert_eq!(error, "shs: data.jsonl: a trainer would refuse it\n");
    let found = said(path, &["export", "--check", "data.jsonl", "--format", "alpaca", "--json"]).1;
    let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found[0], json!({"line": 1, "place": "instruction", "what": "it is missing"}));
    assert_eq!(found.last().unwrap(), &json!({"lines": 2, "wrong": 2, "problems": 4}));
    let (code, _, error) = check("openai", "missing.jsonl");
    assert_eq!((code, error.contains("missing.jsonl")), (1, true));

    let mut child = command(path, &["export", "--check", "-", "--format", "openai"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{}\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"line 1: messages: it is missing\nlines: 1, wrong: 1\n");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let folder = store();
    let mut child = command(folder.path(), &["export", "--format", "json"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
