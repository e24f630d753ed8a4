//! What is done with the files of a store as a whole.

mod support;

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use session_history_saver::{NewMessage, NewSession, Scope, SessionId, StoreExt, open_store};
use support::{command, done, failed, shs};

const STORES: [&str; 2] = ["sqlite:history.db", "fs:history"];

/// Conversations of many users, one of whom says something secret; some with long messages.
fn fill(folder: &Path, store: &str) {
    fill_with(folder, store, 300);
}

fn fill_with(folder: &Path, store: &str, sessions: usize) {
    let mut lines = String::new();
    for number in 0..sessions {
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
        assert!(gone.ends_with("gone: conversations 30, messages 120\n"), "{gone}");
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

/// The lines that a command prints with `--json`.
fn objects(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = shs(folder, &[arguments, &["--json"]].concat());
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_backup_is_restored_elsewhere_or_in_the_place_of_a_store() {
    for (store, other) in [("sqlite:history.db", "sqlite:new.db"), ("fs:history", "fs:new")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fill(path, store);
        let export = |store: &str| done(path, &["--store", store, "export", "--format", "jsonl"]);
        let first = export(store);
        let said = done(path, &["--store", store, "backup", "kept.backup"]);
        assert!(said.starts_with("kept.backup: conversations 300, messages 1200"), "{said}");
        let (code, said) = failed(path, &["--store", store, "backup", "kept.backup"]);
        assert_eq!((code, said.contains("is there already")), (1, true), "{said}");
        let receipt = objects(path, &["--store", store, "backup", "kept.backup", "--force"]);
        assert_eq!(
            (&receipt[0]["sessions"], &receipt[0]["messages"]),
            (&json!(300), &json!(1_200))
        );

        done(path, &["--store", other, "restore", "kept.backup"]);
        assert_eq!(export(other), first);
        done(path, &["--store", store, "delete", "s-7", "--yes"]);
        let second = export(store);
        let (code, said) = failed(path, &["--store", store, "restore", "kept.backup"]);
        assert_eq!(code, 1);
        assert!(said.contains("already"), "{said}");
        assert_eq!(export(store), second);
        let receipt = objects(path, &["--store", store, "restore", "kept.backup", "--force"]);
        assert_eq!(export(store), first);
        let kept = receipt[0]["kept"].as_str().unwrap();
        let scheme = store.split(':').next().unwrap();
        assert_eq!(export(&format!("{scheme}:{kept}")), second);
        // Of another backend, or none.
        let wrong = if scheme == "fs" { "sqlite:x.db" } else { "fs:x" };
        let (code, said) = failed(path, &["--store", wrong, "restore", "kept.backup"]);
        assert_eq!((code, said.contains(scheme)), (2, true), "{said}");
        std::fs::write(path.join("text"), "this is no backup").unwrap();
        assert_eq!(failed(path, &["--store", store, "restore", "text", "--force"]).0, 1);
        assert_eq!(failed(path, &["--store", store, "restore", "missing"]).0, 3);
        assert_eq!(failed(path, &["--store", wrong, "backup", "y"]).0, 3);
        assert_eq!(export(store), first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_makes_backups_while_this_one_writes() {
    for store in STORES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let (scheme, name) = store.split_once(':').unwrap();
        let location = format!("{scheme}:{}", path.join(name).display()).parse().unwrap();
        let open = open_store(&location).await.unwrap();
        let id: SessionId = "s".parse().unwrap();
        open.create_session(&Scope::DEFAULT, NewSession::with_id(id.clone())).await.unwrap();
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn({
            let (open, id) = (Arc::clone(&open), id.clone());
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            async move {
                while !stop.load(Ordering::SeqCst) {
                    let at = acknowledged.load(Ordering::SeqCst);
                    open.append(&Scope::DEFAULT, &id, NewMessage::user(format!("message {at}")))
                        .await
                        .unwrap();
                    acknowledged.store(at + 1, Ordering::SeqCst);
                }
            }
        });
        let mut befores = Vec::new();
        for number in 0..6 {
            befores.push(acknowledged.load(Ordering::SeqCst));
            let file = format!("backup-{number}");
            let path = path.clone();
            let run = move || {
                done(&path, &["--store", store, "backup", &file]);
                let said = done(&path, &["--store", store, "verify"]);
                assert!(said.ends_with("is as it should be\n"), "{said}");
            };
            tokio::task::spawn_blocking(run).await.unwrap();
        }
        stop.store(true, Ordering::SeqCst);
        writer.await.unwrap();
        let last = open.transcript(&Scope::DEFAULT, &id).await.unwrap().messages;
        open.close().await.unwrap();
        assert!(befores[5] > 0, "there was something to back up");
        for (number, before) in befores.into_iter().enumerate() {
            let other = format!("{scheme}:restored-{number}");
            done(&path, &["--store", &other, "restore", &format!("backup-{number}")]);
            let messages = objects(&path, &["--store", &other, "show", "s"]);
            assert!(messages.len() > before, "{store}: {before}");
            for (object, message) in messages[1..].iter().zip(&last) {
                assert_eq!(object["message_id"], message.id.as_str());
            }
        }
    }
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_store_or_the_new_one() {
    for store in STORES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fill_with(path, store, 30);
        let export = || done(path, &["--store", store, "export", "--format", "jsonl"]);
        done(path, &["--store", store, "backup", "b"]);
        let new = export();
        done(path, &["--store", store, "delete", "s-7", "--yes"]);
        let old = export();
        done(path, &["--store", store, "backup", "old"]);
        let mut restored = 0;
        for round in 0..16 {
            let mut child = command(path, &["--store", store, "restore", "b", "--force"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let until = Instant::now() + Duration::from_millis(round * 4);
            while Instant::now() < until && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            let _ = child.kill();
            child.wait().unwrap();
            let is = export();
            assert!(is == old || is == new, "{store}, round {round}");
            assert!(done(path, &["--store", store, "verify"]).ends_with("as it should be\n"));
            if is == new {
                restored += 1;
                done(path, &["--store", store, "restore", "old", "--force"]);
            }
        }
        assert!(restored < 16, "{store}: the first was killed at once");
    }
}

#[test]
fn what_is_damaged_is_named_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fill(path, "fs:history");
    let store = ["--store", "fs:history"];
    let run = |arguments: &[&'static str]| [&store[..], arguments].concat();
    assert_eq!(done(path, &run(&["verify"])), "fs:history is as it should be\n");
    assert_eq!(done(path, &run(&["verify", "--json"])), "");
    assert_eq!(done(path, &run(&["repair"])), "fs:history is as it should be\n");
    let file = path.join("history/s-4.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    bytes[line + 30] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let output = shs(path, &run(&["verify"]));
    assert_eq!(output.status.code(), Some(1));
    let (said, why) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let place = format!("s-4.jsonl, line 2, byte {line}, session s-4: ");
    assert!(said.as_ref().unwrap().starts_with(&place), "{said:?}");
    assert!(why.as_ref().unwrap().contains("1 findings in fs:history; shs repair"), "{why:?}");
    let findings = objects(path, &run(&["verify"]));
    assert_eq!((&findings[0]["file"], &findings[0]["line"]), (&json!("s-4.jsonl"), &json!(2)));
    assert_eq!(findings[0]["repairable"], true);
    let said = done(path, &run(&["repair"]));
    for text in ["put right:", "s-4.jsonl.before-repair", "s-4.jsonl.quarantine"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(done(path, &run(&["verify"])), "fs:history is as it should be\n");
    assert_eq!(objects(path, &run(&["show", "s-4"])).len(), 4);

    fill(path, "sqlite:history.db");
    let database = path.join("history.db");
    let whole = std::fs::read(&database).unwrap();
    std::fs::write(&database, &whole[..whole.len() / 2]).unwrap();
    let (code, said) = failed(path, &["--store", "sqlite:history.db", "verify"]);
    assert_eq!((code, said.contains("restore a backup")), (1, true), "{said}");
    assert_eq!(failed(path, &["--store", "sqlite:history.db", "repair"]).0, 1);
    std::fs::write(&database, "this is no database, but it is long enough to be one").unwrap();
    assert_eq!(failed(path, &["--store", "sqlite:history.db", "verify"]).0, 1);
    assert_eq!(failed(path, &["--store", "sqlite:missing.db", "verify"]).0, 3);
    assert_eq!(failed(path, &["--store", "fs:missing", "repair"]).0, 3);
}
