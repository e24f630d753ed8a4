//! A folder with a store, and the command run in it.

#![allow(dead_code, reason = "each test uses some of it")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Conversations of two users.
pub(crate) fn conversations() -> Vec<Value> {
    let message = |number: u32, role: &str, content: &str| {
        json!({
            "message_id": format!("m{number}"), "seq": number, "role": role, "content": content,
            "timestamp": format!("2026-01-0{number}T10:00:00+00:00"), "tokens": 5, "model": "m-1",
            "latency_ms": f64::from(number) * 10.0,
        })
    };
    vec![
        json!({
            "session_id": "billing-1", "user_id": "alice", "project_id": "shop", "title": "Charged twice",
            "tags": ["billing"], "created_at": "2026-01-01T10:00:00+00:00", "updated_at": "2026-01-02T10:00:00+00:00",
            "messages": [message(1, "user", "I was charged twice."), message(2, "assistant", "I can see it.\u{1b}[2J Fixed.")],
        }),
        json!({
            "session_id": "billing-2", "user_id": "bob", "title": "Refund",
            "created_at": "2026-01-03T10:00:00+00:00", "updated_at": "2026-01-03T10:00:00+00:00",
            "messages": [message(3, "user", "A refund, please.")],
        }),
    ]
}

/// A folder with a store of them.
pub(crate) fn store() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.json"), json!(conversations()).to_string()).unwrap();
    let said = done(folder.path(), &["import", "in.json"]);
    assert_eq!(said, "imported: 2, already there: 0, updated: 0, skipped: 0, failed: 0\n");
    folder
}

/// The command, in a folder, without settings from outside.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shs"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHS_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("TZ", "UTC").stdin(Stdio::null()).args(arguments);
    command
}

/// What came of a command.
pub(crate) fn shs(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// What a command printed that did what it was told.
pub(crate) fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = shs(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code of a command that did not, and what it said.
pub(crate) fn failed(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = shs(folder, arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

pub(crate) fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
