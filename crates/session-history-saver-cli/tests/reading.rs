//! What only reads writes nothing: not to the store, not next to it, and not to what is no store.

mod support;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;

use crate::support::{conversations, done, failed, objects, shs, store};

/// Each file of a folder with its bytes and the time of its last change.
fn state(folder: &Path) -> Vec<(String, Vec<u8>, SystemTime)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, about) = (entry.path(), entry.metadata().unwrap());
        let bytes = if about.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        all.push((path.display().to_string(), bytes, about.modified().unwrap()));
        if about.is_dir() {
            all.extend(state(&path));
        }
    }
    all.sort();
    all
}

const READING: [&[&str]; 9] = [
    &["list"],
    &["show", "billing-1"],
    &["search", "charged"],
    &["search", "charged", "--user", "alice", "--sort", "best"],
    &["stats"],
    &["stats", "--by", "model"],
    &["export", "--format", "jsonl"],
    &["import", "--dry-run", "../in.json"],
    &["verify"],
];

#[test]
fn a_store_is_as_it_was_after_it_was_read() {
    let outside = store();
    let folder = outside.path().join("there");
    fs::create_dir(&folder).unwrap();
    for name in ["sqlite:h.db", "fs:f"] {
        done(&folder, &["--store", name, "import", "../in.json"]);
        let before = state(&folder);
        for arguments in READING {
            let said = done(&folder, &[&["--store", name], arguments].concat());
            assert!(!said.is_empty(), "{arguments:?}");
            assert_eq!(state(&folder), before, "{name} {arguments:?}");
        }
        done(&folder, &["--store", name, "copy", "--to", "sqlite:../copy.db"]);
        assert_eq!(state(&folder), before, "{name} copy");
        let copied = shs(&folder, &["--store", "sqlite:../copy.db", "list"]).stdout;
        assert_eq!(copied, shs(&folder, &["--store", name, "list"]).stdout);
    }
}

#[cfg(unix)]
#[test]
fn tail_writes_nothing_and_sees_what_comes() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    for name in ["sqlite:h.db", "fs:f"] {
        let outside = store();
        let folder = outside.path().join("there");
        fs::create_dir(&folder).unwrap();
        done(&folder, &["--store", name, "import", "../in.json"]);
        let before = state(&folder);
        let mut tail = support::command(&folder, &["--store", name, "--json", "tail", "-n", "1"]);
        let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
        // An import stores conversations at once, so which of them came last is not known.
        let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("billing-"));
        assert_eq!(state(&folder), before, "{name}");
        let more =
            json!({"session_id": "more", "messages": [{"role": "user", "content": "one more"}]});
        fs::write(outside.path().join("more.json"), more.to_string()).unwrap();
        // In files it may be looked at just now, and is free again then.
        while !shs(&folder, &["--store", name, "import", "../more.json"]).status.success() {}
        assert!(lines.next().unwrap().unwrap().contains("one more"), "{name}");
        drop(lines);
        assert!(tail.wait().unwrap().success());
    }
}

#[test]
fn what_is_no_store_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("project")).unwrap();
    fs::write(path.join("project/package.json"), r#"{"name": "x"}"#).unwrap();
    fs::write(path.join("project/train.jsonl"), "{\"a\": 1}\n").unwrap();
    fs::create_dir(path.join("data")).unwrap();
    fs::write(path.join("data/one.json"), r#"{"session_id": "x", "messages": []}"#).unwrap();
    fs::write(path.join("data/train.jsonl"), "{\"a\": 1}\n").unwrap();
    fs::write(path.join("notes.txt"), "notes that are long enough to be a database").unwrap();
    fs::write(path.join("empty.db"), "").unwrap();
    let before = state(path);
    for (name, wanted) in [
        ("fs:project", 3),
        ("fs:data", 3),
        ("fs:nowhere", 3),
        ("sqlite:nowhere.db", 3),
        ("sqlite:notes.txt", 1),
        ("sqlite:empty.db", 1),
    ] {
        for arguments in [
            &["list"][..],
            &["stats"],
            &["search", "x"],
            &["show", "x"],
            &["tail"],
            &["export", "--format", "md"],
            &["verify"],
        ] {
            let (code, said) = failed(path, &[&["--store", name], arguments].concat());
            assert_eq!(state(path), before, "{name} {arguments:?}");
            // A file that is no database is a finding of verify.
            let is_right = code == wanted || (arguments == ["verify"] && code != 0);
            assert!(is_right && !said.is_empty(), "{name} {arguments:?}: {code} {said}");
        }
    }
    for name in ["fs:project", "fs:data", "sqlite:notes.txt"] {
        for arguments in [&["migrate"][..], &["delete", "x", "--yes"]] {
            let (code, _) = failed(path, &[&["--store", name], arguments].concat());
            assert!(code != 0 && state(path) == before, "{name} {arguments:?}");
        }
    }
}

#[test]
fn a_folder_of_the_python_package_is_migrated_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("f")).unwrap();
    for session in conversations() {
        let name = format!("f/{}.json", session["session_id"].as_str().unwrap());
        fs::write(path.join(name), session.to_string()).unwrap();
    }
    let before = state(path);
    for arguments in [&["list"][..], &["show", "billing-1"], &["export", "--format", "md"]] {
        let (code, said) = failed(path, &[&["--store", "fs:f"], arguments].concat());
        assert!(code != 0 && said.contains("shs migrate"), "{arguments:?}: {said}");
        assert_eq!(state(path), before, "{arguments:?}");
    }
    let receipt = objects(&done(path, &["--store", "fs:f", "--json", "migrate"]));
    assert_eq!(receipt, [json!({"migrated": "fs:f", "sessions": 2, "messages": 3})]);
    assert!(done(path, &["--store", "fs:f", "list"]).contains("billing-1"));
    // Again, it has nothing to do.
    done(path, &["--store", "fs:f", "migrate"]);
}
