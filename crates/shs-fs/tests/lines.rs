//! Lines that no store writes, with the right checksum: each is damage, with its place, when the folder is opened.

use serde_json::{Value, json};
use shs_fs::FsOptions;
use shs_store::{Durability, ErrorKind, NewMessage, Result, Scope, Store, StoreExt};
use tempfile::TempDir;

const TIME: &str = "2026-11-22T11:30:00.000000+00:00";

/// The lines of a session's file: the session, a message, an update of it, a second message, the session anew.
fn lines() -> Vec<Value> {
    let session = json!({
        "session_id": "s", "user_id": "u", "project_id": null, "tags": ["a"], "metadata": {}, "title": null,
        "created_at": TIME, "updated_at": TIME, "message_count": 0, "total_tokens": 0, "last_seq": 0
    });
    let message = |id: &str, seq: u64| {
        json!({
            "message_id": id, "seq": seq, "role": "user", "content": "text", "timestamp": TIME, "metadata": {},
            "status": "delivered", "tokens": null, "model": null, "latency_ms": null
        })
    };
    vec![
        json!({"session": session, "at": TIME}),
        json!({"message": message("m1", 1), "n": 1, "at": TIME}),
        json!({"update": message("m1", 1), "at": TIME}),
        json!({"message": message("m2", 2), "n": 2, "at": TIME}),
        json!({"session": session, "at": TIME}),
    ]
}

/// A folder with these lines as a file, each with its checksum.
fn folder(lines: &[Value]) -> TempDir {
    let mut content = String::new();
    for line in lines {
        let body = line.to_string();
        let body = body.strip_suffix('}').unwrap();
        content += &format!("{body},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes()));
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.jsonl"), content).unwrap();
    folder
}

/// Opens a folder with these lines as a file, and counts the messages.
async fn read(lines: &[Value]) -> Result<usize> {
    let folder = folder(lines);
    let content = std::fs::read(folder.path().join("s.jsonl")).unwrap();
    let open = FsOptions::new(folder.path()).with_durability(Durability::Relaxed).open().await;
    let after = std::fs::read(folder.path().join("s.jsonl")).unwrap();
    assert!(after == content, "the file is left as it is");
    let store = open?;
    let read = store.transcript(&Scope::DEFAULT, &"s".parse().unwrap()).await;
    store.close().await.unwrap();
    read.map(|transcript| transcript.messages.len())
}

/// A file is refused at this line, counted from 1.
async fn assert_refused(lines: &[Value], line: usize) {
    let error = read(lines).await.expect_err(&format!("line {line}: {}", lines[line - 1]));
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(
        error.to_string().contains(&format!("s.jsonl is damaged in line {line}, at byte ")),
        "{error}"
    );
}

#[tokio::test]
async fn the_lines_of_these_tests_are_good_as_they_are() {
    assert_eq!(read(&lines()).await.unwrap(), 2);
}

#[tokio::test]
async fn numbers_of_arrival_rise_in_a_file() {
    for n in [json!(null), json!(1), json!(0), json!(-1), json!(i64::MAX)] {
        let mut lines = lines();
        lines[3]["n"] = n;
        assert_refused(&lines, 4).await;
        // Also within a change of several lines.
        lines[2]["more"] = true.into();
        lines[3]["more"] = true.into();
        assert_refused(&lines, 4).await;
    }
}

#[tokio::test]
async fn a_message_has_a_number_and_keeps_it() {
    for seq in [json!(0), json!(null), json!(3), json!(2)] {
        let mut lines = lines();
        lines[2]["update"]["seq"] = seq;
        assert_refused(&lines, 3).await;
    }
    for (line, kind) in [(1, "message"), (2, "update")] {
        let mut lines = lines();
        lines[line][kind]["seq"] = 0.into();
        assert_refused(&lines, line + 1).await;
        lines[line][kind].as_object_mut().unwrap().remove("seq");
        assert_refused(&lines, line + 1).await;
    }
}

/// In input from elsewhere they may be missing, and are made anew at each reading.
#[tokio::test]
async fn ids_and_times_are_there() {
    let keys = [
        (0, "session", "session_id"),
        (0, "session", "created_at"),
        (0, "session", "updated_at"),
        (1, "message", "message_id"),
        (1, "message", "timestamp"),
        (2, "update", "message_id"),
        (2, "update", "timestamp"),
        (4, "session", "session_id"),
        (4, "session", "created_at"),
        (4, "session", "updated_at"),
    ];
    for (line, kind, key) in keys {
        let mut lines = lines();
        lines[line][kind][key] = Value::Null;
        assert_refused(&lines, line + 1).await;
        lines[line][kind].as_object_mut().unwrap().remove(key);
        assert_refused(&lines, line + 1).await;
    }
}

#[tokio::test]
async fn limits_hold_in_files_too() {
    let long = "x".repeat(256);
    for (key, value) in [
        ("tags", json!([""])),
        ("tags", json!(["a\nb"])),
        ("tags", json!(vec!["a"; 1_001])),
        ("user_id", json!(long)),
        ("project_id", json!("")),
        ("title", json!("x".repeat(64 * 1024 + 1))),
        ("duration_seconds", json!(1)),
    ] {
        for line in [0, 4] {
            let mut lines = lines();
            lines[line]["session"][key] = value.clone();
            assert_refused(&lines, line + 1).await;
        }
    }
    for (key, value) in [("model", json!("")), ("model", json!(long)), ("latency_ms", json!(-1.0))]
    {
        for (line, kind) in [(1, "message"), (2, "update")] {
            let mut lines = lines();
            lines[line][kind][key] = value.clone();
            assert_refused(&lines, line + 1).await;
        }
    }
}

#[tokio::test]
async fn numbers_of_arrival_end_at_the_highest() {
    let mut lines = lines();
    lines[3]["n"] = (i64::MAX / 2).into();
    let folder = folder(&lines);
    let (id, text) = ("s".parse().unwrap(), || NewMessage::user("text"));
    let store = FsOptions::new(folder.path()).open().await.unwrap();
    let error = store.append(&Scope::DEFAULT, &id, text()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    store.delete_message(&Scope::DEFAULT, &id, &"m2".parse().unwrap()).await.unwrap();
    store.close().await.unwrap();
    let store = FsOptions::new(folder.path()).open().await.unwrap();
    let error = store.append(&Scope::DEFAULT, &id, text()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    store.close().await.unwrap();
}
