//! What is done with the files of a store as a whole.

mod support;

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use support::{done, failed};

const STORES: [&str; 2] = ["sqlite:history.db", "fs:history"];

/// Conversations of many users, one of whom says something secret; some with long messages.
fn fill(folder: &Path, store: &str) {
    let mut lines = String::new();
    for number in 0..300 {
        let (user, word) =
            if number % 10 == 3 { ("carol", "zebrafish 秘密") } else { ("bob", "kept") };
        let messages: Vec<Value> = (1..5)
            .map(|seq| {
                let content = format!("{word} {number} {seq} ").repeat(if seq == 4 { 800 } else { 1 });
                json!({"message_id": format!("m{seq}"), "seq": seq, "role": "user", "content": content})
            })
            .collect();
        let session =
            json!({"session_id": format!("s-{number}"), "user_id": user, "messages": messages});
        writeln!(lines, "{session}").unwrap();
    }
    std::fs::write(folder.join("in.jsonl"), lines).unwrap();
    done(folder, &["--store", store, "import", "in.jsonl"]);
    std::fs::remove_file(folder.join("in.jsonl")).unwrap();
}

/// Whether some text stands in any file below a folder.
fn is_anywhere(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_anywhere(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn what_is_deleted_is_nowhere_in_the_files() {
    for store in STORES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fill(path, store);
        let export = ["--store", store, "export", "--format", "jsonl", "--user", "bob"];
        let before = done(path, &export);
        for secret in ["zebrafish", "rafish", "秘密", "carol"] {
            assert!(is_anywhere(path, secret), "{store}: {secret}");
        }
        let gone = done(path, &["--store", store, "delete", "--user", "carol", "--yes"]);
        assert!(gone.ends_with("30 conversations and 120 messages are gone\n"), "{gone}");
        for secret in ["zebrafish", "rafish", "秘密", "carol", "s-3"] {
            // The neighbours of s-3 begin so, too.
            let is_there = is_anywhere(path, secret);
            assert_eq!(is_there, secret == "s-3", "{store}: {secret}");
        }
        assert_eq!(done(path, &export), before);
        let found = done(path, &["--store", store, "search", "kept", "--limit", "1000"]);
        assert_eq!(found.lines().filter(|line| line.starts_with("s-")).count(), 1_000);
    }
}

#[test]
fn a_receipt_names_copies_that_were_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fill(path, "sqlite:history.db");
    std::fs::write(path.join("history.db.python-backup"), "old").unwrap();
    let store = ["--store", "sqlite:history.db"];
    let said = done(path, &[&store[..], &["delete", "s-1", "--yes"]].concat());
    assert!(said.contains("history.db.python-backup was left as it is"), "{said}");
    let said = done(path, &[&store[..], &["delete", "s-3", "--yes", "--json"]].concat());
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"deleted": "s-3", "messages": 4}));
    assert_eq!(
        lines[1],
        json!({"erased": "sqlite:history.db", "copies": ["history.db.python-backup"]})
    );
    let said = done(path, &[&store[..], &["delete", "--erase"]].concat());
    assert!(said.starts_with("nothing of what was deleted remains"), "{said}");
    let (code, _) = failed(path, &[&store[..], &["delete", "--erase", "s-1"]].concat());
    assert_eq!(code, 2);
}
