//! Inputs that become far more than they are: each is refused with its limit, in 256 MB of memory.
#![cfg(unix)]

mod support;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::{done, objects};

/// The memory of a child, its program and its threads included, in KiB.
const MEMORY: u32 = 256 * 1024;

/// Imports a file with little memory.
fn import(folder: &Path, arguments: &[&str]) -> Output {
    import_to("sqlite:h.db", MEMORY, folder, arguments)
}

/// Imports a file into a store, with so many KiB of memory.
fn import_to(store: &str, memory: u32, folder: &Path, arguments: &[&str]) -> Output {
    let script = format!("ulimit -v {memory}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command.current_dir(folder).env_clear().args(["-c", &script, env!("CARGO_BIN_EXE_shs")]);
    // Each thread's heap would take a part of the memory, whether it is used or not.
    command.env("MALLOC_ARENA_MAX", "1");
    command.args(["--store", store, "--json", "import"]).args(arguments).output().unwrap()
}

/// Imports a file of which nothing can be imported, and returns what is said of it.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = import(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let report = &objects(&String::from_utf8(output.stdout).unwrap())[0];
    assert_eq!((&report["imported"], &report["failed"]), (&json!(0), &json!(1)), "{said}");
    said
}

/// An archive with one file, whose text is written piece by piece.
fn archive(folder: &Path, name: &str, pieces: impl FnOnce(&mut dyn Write)) {
    let mut archive = ZipWriter::new(File::create(folder.join("bomb.zip")).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    archive.start_file(name, options).unwrap();
    pieces(&mut archive);
    archive.finish().unwrap();
    let length = folder.join("bomb.zip").metadata().unwrap().len();
    assert!(length < 1024 * 1024, "{length} bytes");
}

fn repeat(to: &mut dyn Write, piece: &str, times: usize) {
    let many = piece.repeat(1_000);
    for _ in 0..times / 1_000 {
        to.write_all(many.as_bytes()).unwrap();
    }
}

/// A conversation that is far longer in memory than as a text is stored message by message; a
/// second import compares it so.
fn a_long_conversation_takes_little_memory(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut text = File::create(folder.path().join("long.json")).map(BufWriter::new).unwrap();
    text.write_all(br#"{"session_id": "long", "messages": ["#).unwrap();
    let messages = 150_000;
    for number in 0..messages {
        // Ids that do not rise have to be remembered.
        let id = number * 7_919 % 1_000_003;
        let comma = if number == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"message_id": "m{id}", "role": "user", "content": "{number}"}}"#)
            .unwrap();
    }
    text.write_all(b"]}").unwrap();
    text.into_inner().unwrap();
    for imported in [1, 0] {
        // The program by itself takes half of it.
        let output = import_to(store, 132 * 1024, folder.path(), &["long.json"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let report = &objects(&String::from_utf8(output.stdout).unwrap())[0];
        assert_eq!(report["imported"], imported);
        assert_eq!(report["messages"], imported * messages);
        assert_eq!(report["already_there"], 1 - imported);
    }
}

#[test]
fn a_long_conversation_takes_little_memory_in_a_database() {
    a_long_conversation_takes_little_memory("sqlite:h.db");
}

#[test]
fn a_long_conversation_takes_little_memory_in_a_folder() {
    a_long_conversation_takes_little_memory("fs:h");
}

#[test]
fn a_conversation_of_too_many_messages_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for head in [r#"{"session_id": "z", "messages": ["#, r#"{"messages": ["#] {
        archive(folder.path(), "conversations.json", |text| {
            write!(text, "[{head}").unwrap();
            repeat(text, "{},", 5_000_000);
            write!(text, "{{}}]}}]").unwrap();
        });
        let said = refused(folder.path(), &["bomb.zip"]);
        assert!(said.contains("5000001 messages, and 1000000 are the limit"), "{said}");
        assert!(said.contains("--max-messages"), "{said}");
    }
}

#[test]
fn json_that_takes_too_much_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = r#"{"role": "user", "content": "", "metadata": {"a": ["#;
    for (head, tail) in [
        // Metadata of a message, of the session, and of a conversation that is a tree.
        (format!(r#"{{"session_id": "z", "messages": [{message}"#), "0]}}]}"),
        (r#"{"session_id": "z", "messages": [], "metadata": {"a": ["#.to_owned(), "0]}}"),
        (r#"{"id": "z", "mapping": {}, "other": ["#.to_owned(), "0]}"),
        (r#"{"uuid": "z", "chat_messages": [{"content": [["#.to_owned(), "0]]}]}"),
        (r#"{"messages": [{"role": "user", "content": "", "other": ["#.to_owned(), "0]}]}"),
    ] {
        for (piece, times) in [
            (r#"{"":0},"#, 250_000),
            ("[],", 2_200_000),
            (r#"{},"#, 250_000),
            (r#""","#, 2_000_000),
        ] {
            archive(folder.path(), "data.json", |text| {
                write!(text, "[{head}").unwrap();
                repeat(text, piece, times);
                write!(text, "{tail}]").unwrap();
            });
            let said = refused(folder.path(), &["bomb.zip"]);
            assert!(said.contains("more than 128 MiB of memory"), "{head}{piece}: {said}");
            assert!(said.contains("--max-json"), "{said}");
        }
    }
}

#[test]
fn a_value_of_too_much_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path(), "data.json", |text| {
        write!(text, r#"[{{"session_id": "z", "messages": [{{"role": "user", "content": ""#)
            .unwrap();
        repeat(text, "0123456789", 10_000_000);
        write!(text, r#""}}]}}]"#).unwrap();
    });
    let said = refused(folder.path(), &["bomb.zip"]);
    assert!(said.contains("longer than 64 MiB, which is the limit"), "{said}");
}

#[test]
fn rows_of_one_session_that_are_too_many_or_too_long_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (row, rows, limit) in [
        ("z,user,\n".to_owned(), 1_100_000, "1000000 are the limit"),
        (format!("z,user,{}\n", "0".repeat(4_000)), 20_000, "64 MiB, which is the limit"),
    ] {
        archive(folder.path(), "data.csv", |text| {
            writeln!(text, "session_id,role,content").unwrap();
            repeat(text, &row, rows);
        });
        let said = refused(folder.path(), &["bomb.zip"]);
        assert!(said.contains(limit), "{said}");
    }
    archive(folder.path(), "data.csv", |text| {
        write!(text, "session_id,role,content").unwrap();
        repeat(text, ",x", 2_000);
        writeln!(text).unwrap();
    });
    let said = refused(folder.path(), &["--from", "csv", "bomb.zip"]);
    assert!(said.contains("2003 columns; 1000 are the limit"), "{said}");
}

/// A conversation as ChatGPT has it: a trunk, and answers to its last message.
fn tree(trunk: usize, leaves: usize) -> String {
    let node = |id: String, parent: Option<String>| {
        let message = json!({
            "id": id, "author": {"role": "user"}, "create_time": 1_700_000_000,
            "content": {"content_type": "text", "parts": ["x"]},
        });
        (id, json!({"parent": parent, "message": message}))
    };
    let before = |number: usize| number.checked_sub(1).map(|before| format!("t{before}"));
    let last = before(trunk);
    let nodes = (0..trunk).map(|number| node(format!("t{number}"), before(number)));
    let leaves = (0..leaves).map(|number| node(format!("leaf{number}"), last.clone()));
    let mapping: serde_json::Map<String, serde_json::Value> = nodes.chain(leaves).collect();
    json!([{"id": "z", "mapping": mapping, "current_node": "leaf0"}]).to_string()
}

#[test]
fn branches_that_repeat_too_much_are_told_and_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("large.json"), tree(3_000, 1_200)).unwrap();
    let output = import(folder.path(), &["--dry-run", "large.json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let place =
        "1166 branches are not imported: with them, branches would hold more than 100000 messages";
    assert!(said.contains(place) && said.contains("--max-branch-messages"), "{said}");
    let report = &objects(&String::from_utf8(output.stdout).unwrap())[0];
    assert_eq!(report["messages"], json!(34 * 3_001));

    std::fs::write(folder.path().join("small.json"), tree(10, 5)).unwrap();
    let limited = import(folder.path(), &["--max-branch-messages", "30", "small.json"]);
    let said = String::from_utf8(limited.stderr).unwrap();
    assert!(said.contains("2 branches are not imported"), "{said}");
    let arguments = ["--store", "sqlite:h.db", "import", "small.json"];
    let rest = done(folder.path(), &arguments);
    assert_eq!(rest, "imported: 2, already there: 3, updated: 0, skipped: 0, failed: 0\n");
}

#[test]
fn conversations_that_wait_to_be_stored_do_not_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path(), "data.jsonl", |text| {
        for number in 0..16 {
            let head = format!(r#"{{"session_id": "s{number}", "messages": ["#);
            write!(text, r#"{head}{{"role": "user", "content": ""#).unwrap();
            // Dots, which an index passes over.
            repeat(text, "................", 750_000);
            writeln!(text, r#""}}]}}"#).unwrap();
        }
    });
    let output = import(folder.path(), &["bomb.zip"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report = &objects(&String::from_utf8(output.stdout).unwrap())[0];
    assert_eq!(report["imported"], json!(16), "{said}");
}
