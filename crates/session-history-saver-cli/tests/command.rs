//! Runs the command as a person or a script would.

mod support;

use serde_json::json;

use crate::support::{conversations, done, failed, objects, shs, store};

#[test]
fn lists_with_filters_and_pages() {
    let folder = store();
    let list = |arguments: &[&str]| {
        let all = done(folder.path(), &[&["list"], arguments].concat());
        let ids = all.lines().skip(1).map(|line| line.split('\t').next().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(list(&[]), ["billing-2", "billing-1"]);
    assert_eq!(list(&["--user", "alice"]), ["billing-1"]);
    assert_eq!(list(&["--tag", "billing", "--project", "shop"]), ["billing-1"]);
    assert_eq!(list(&["--since", "2026-01-03"]), ["billing-2"]);
    assert_eq!(list(&["--until", "2026-01-03T00:00Z"]), ["billing-1"]);
    assert_eq!(list(&["--since", "1d"]), [""; 0]);
    let first = shs(folder.path(), &["list", "--limit", "1"]);
    let more = String::from_utf8(first.stderr).unwrap();
    let cursor = more.trim().rsplit(' ').next().unwrap();
    assert_eq!(list(&["--limit", "1", "--after", cursor]), ["billing-1"]);
    let row = done(folder.path(), &["list", "--user", "alice"]);
    let row = row.lines().last().unwrap();
    assert_eq!(row, "billing-1\tCharged twice\talice\tshop\t2\t10\t2026-01-02 10:00");
    let objects = objects(&done(folder.path(), &["list", "--json"]));
    assert_eq!(objects[1]["session_id"], "billing-1");
}

#[test]
fn shows_a_conversation_by_its_id() {
    let folder = store();
    let text = done(folder.path(), &["show", "billing-1"]);
    assert!(text.contains("Charged twice") && text.contains("I was charged twice."), "{text}");
    assert!(!text.contains('\u{1b}'), "what is stored moves no cursor: {text:?}");
    assert!(!done(folder.path(), &["show", "billing-1", "--last", "1"]).contains("charged twice."));
    assert!(!done(folder.path(), &["show", "billing-1", "--from", "2"]).contains("charged twice."));
    assert!(done(folder.path(), &["show", "billing-2", "--format", "md"]).starts_with("# Refund"));
    let objects = objects(&done(folder.path(), &["show", "billing-1", "--json"]));
    assert_eq!((objects.len(), &objects[1]["message_id"]), (3, &json!("m1")));
    // Programs name it whole, so that they never get another one.
    let (code, said) = failed(folder.path(), &["show", "bill"]);
    let partly = ["show", "billing-2", "--format", "md", "--last", "1"];
    assert_eq!(failed(folder.path(), &partly).0, 2);
    assert_eq!((code, said.contains("billing-1") && said.contains("billing-2")), (3, true));
    assert_eq!(failed(folder.path(), &["show", "nobody"]).0, 3);
}

#[test]
fn searches_and_counts() {
    let folder = store();
    let found = done(folder.path(), &["search", "charged", "twi*"]);
    assert!(found.starts_with("billing-1 #1") && found.contains("[charged] [twice]"), "{found}");
    let found = done(folder.path(), &["search", "fixed", "--role", "assistant", "--json"]);
    assert_eq!(objects(&found)[0]["message"]["message_id"], "m2");
    assert_eq!(done(folder.path(), &["search", "charged", "--user", "bob"]), "");
    let stats = done(folder.path(), &["stats"]);
    assert!(stats.contains("sessions\t2\n") && stats.contains("tokens\t15\n"), "{stats}");
    let by = |by: &str| done(folder.path(), &["stats", "--by", by]);
    let rows = |by: &str, rows: &str| format!("{by}\tsessions\tmessages\ttokens\t\n{rows}");
    let bars = ["█".repeat(20), "█".repeat(10)];
    let users = format!("alice\t1\t2\t10\t{}\nbob\t1\t1\t5\t{}\n", bars[0], bars[1]);
    assert_eq!(by("user"), rows("user", &users));
    let projects = users.replace("alice", "shop").replace("bob", "-");
    assert_eq!(by("project"), rows("project", &projects));
    let roles = format!("user\t2\t2\t10\t{}\nassistant\t1\t1\t5\t{}\n", bars[0], bars[1]);
    assert_eq!(by("role"), rows("role", &roles));
    let days = by("day");
    assert!(days.contains("2026-01-01\t1\t1\t5") && days.contains("2026-01-03\t"), "{days}");
    assert!(by("hour").contains("2026-01-02 10:00\t1\t1\t5\t"));
    assert!(by("model").contains("m-1\t2\t3\t15\t20 ms\t30 ms\t30 ms\t█"), "{}", by("model"));
    let of_one = done(folder.path(), &["stats", "billing-1", "--by", "model", "--json"]);
    let wanted = json!({"model": "m-1", "sessions": 1, "messages": 2, "tokens": 10, "latency_ms": {"p50": 10.0, "p95": 20.0, "p99": 20.0}});
    assert_eq!(objects(&of_one), [wanted]);
    let since = done(folder.path(), &["stats", "--by", "user", "--since", "2026-01-02", "--json"]);
    assert_eq!(objects(&since).len(), 2);
    assert_eq!(objects(&since)[0]["messages"], 1);
    assert_eq!(objects(&done(folder.path(), &["stats", "--json"]))[0]["messages"], 3);
    assert!(done(folder.path(), &["stats", "billing-1"]).contains("messages\t2\n"));
}

#[test]
fn what_goes_out_comes_in_again() {
    let folder = store();
    let path = folder.path();
    done(path, &["export", "--format", "jsonl", "-o", "out.jsonl"]);
    let again = done(path, &["import", "out.jsonl"]);
    assert_eq!(again, "imported: 0, already there: 2, updated: 0, skipped: 0, failed: 0\n");
    let dry = done(path, &["--store", "fs:other", "import", "out.jsonl"]);
    assert_eq!(dry, "imported: 2, already there: 0, updated: 0, skipped: 0, failed: 0\n");
    let exported = std::fs::read_to_string(path.join("out.jsonl")).unwrap();
    assert_eq!(done(path, &["--store", "fs:other", "export", "--format", "jsonl"]), exported);
    assert!(done(path, &["export", "billing-2", "--format", "text"]).contains("[USER]: A refund"));

    let copied = done(path, &["copy", "--to", "fs:copy"]);
    assert_eq!(copied, "copied: 2, already there: 0, different: 0\n");
    assert_eq!(done(path, &["--store", "fs:copy", "export", "--format", "jsonl"]), exported);
    // A run that was interrupted is run again.
    done(path, &["--store", "fs:copy", "delete", "billing-1", "--yes"]);
    let copied = done(path, &["copy", "--to", "fs:copy"]);
    assert_eq!(copied, "copied: 1, already there: 1, different: 0\n");
}

#[test]
fn an_import_says_what_it_could_not_do() {
    let folder = store();
    let path = folder.path();
    let mut changed = conversations();
    changed[0]["messages"][0]["content"] = "Something else.".into();
    changed.push(json!({"session_id": "x", "messages": 5}));
    changed.push(json!({"session_id": "y", "messages": [{"role": "robot", "content": ""}]}));
    let whole = json!(changed).to_string();
    std::fs::write(path.join("changed.json"), &whole).unwrap();
    let output = shs(path, &["import", "changed.json"]);
    let (said, report) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report, "imported: 1, already there: 1, updated: 0, skipped: 1, failed: 1\n");
    let place = "changed.json: $[0] (byte 1): billing-1 is there already and differs";
    assert!(said.contains(place), "{said}");
    let third = whole.find(r#"{"messages":5"#).unwrap();
    let place = format!("$[2] (byte {third}): this is not a conversation");
    assert!(said.contains(&place), "{said}");
    assert!(said.contains("$[3]") && said.contains("kept under keys with python_"), "{said}");
    let output = shs(path, &["import", "changed.json", "--overwrite"]);
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(report, "imported: 0, already there: 2, updated: 1, skipped: 0, failed: 1\n");

    // What is whole before a cut is imported.
    let cut = &whole[..whole.find("billing-2").unwrap()];
    std::fs::write(path.join("cut.json"), cut).unwrap();
    let (code, said) = failed(path, &["--store", "fs:cut", "import", "cut.json"]);
    assert_eq!(code, 1);
    assert!(
        said.contains(&format!("cut.json (byte {}): the text is cut off", cut.len())),
        "{said}"
    );
    assert!(done(path, &["--store", "fs:cut", "list"]).contains("billing-1"));
    for (name, bytes) in [("empty", &b""[..]), ("binary", b"\xff\xfe\0")] {
        std::fs::write(path.join(name), bytes).unwrap();
        assert_eq!(failed(path, &["import", name]).0, 1, "{name}");
    }
    assert_eq!(failed(path, &["import", "missing.json"]).0, 1);
}

#[test]
fn looking_makes_no_store_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "hello").unwrap();
    for arguments in [["list", "--json"], ["tail", "--json"], ["delete", "x"], ["stats", "--json"]]
    {
        let named = [&["--store", "fs:."], &arguments[..]].concat();
        assert_eq!(failed(folder.path(), &named).0, 3, "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_dry_run_needs_no_store_and_makes_none() {
    let folder = store();
    let said = done(folder.path(), &["--store", "fs:none", "import", "--dry-run", "in.json"]);
    assert!(said.starts_with("would be imported: 2,"), "{said}");
    assert!(!folder.path().join("none").exists());
}

#[cfg(unix)]
#[test]
fn an_import_that_fails_in_the_middle_says_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let small = json!({"session_id": "small", "messages": []}).to_string();
    let large = json!({"session_id": "large", "messages": [{"role": "user", "content": "x".repeat(8_000_000)}]});
    std::fs::write(folder.path().join("small.jsonl"), small).unwrap();
    std::fs::write(folder.path().join("large.jsonl"), large.to_string()).unwrap();
    // No file grows beyond 4 MiB, as on a disk that is full.
    let script = format!(
        "trap '' XFSZ; ulimit -f 4096; exec {} --store fs:store import small.jsonl large.jsonl",
        env!("CARGO_BIN_EXE_shs")
    );
    let mut command = std::process::Command::new("bash");
    let output = command.current_dir(folder.path()).args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "imported: 1, already there: 0, updated: 0, skipped: 0, failed: 0\n");
}

#[test]
fn what_the_totals_of_a_conversation_leave_out_is_wrong_usage() {
    let folder = store();
    for filter in [["--user", "bob"], ["--tag", "none"], ["--since", "2027-01-01"]] {
        let (code, _) = failed(folder.path(), &["stats", "billing-1", filter[0], filter[1]]);
        assert_eq!(code, 2, "{filter:?}");
    }
    let (code, _) = failed(folder.path(), &["show", "billing-1", "--last", "0"]);
    assert_eq!(code, 2);
    assert!(shs(folder.path(), &["show", "billing-1", "--last", "0"]).stdout.is_empty());
    done(folder.path(), &["stats", "billing-1", "--by", "day", "--since", "2026-01-01"]);
}

/// Follows messages, and hands on their ids as they come.
#[cfg(unix)]
fn follow(folder: &std::path::Path) -> (std::process::Child, std::sync::mpsc::Receiver<String>) {
    use std::io::{BufRead, BufReader};

    let mut tail = support::command(folder, &["--json", "tail"]);
    let mut tail = tail.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines {
            let hit: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let _ = tx.send(hit["message"]["message_id"].as_str().unwrap().to_owned());
        }
    });
    (tail, rx)
}

#[cfg(unix)]
#[test]
fn what_was_shown_is_deleted_and_nothing_old_comes_as_new() {
    let folder = tempfile::tempdir().unwrap();
    let session = |id: &str, count: usize, year: u32| {
        let message = |n: usize| json!({"message_id": format!("{id}-{n}"), "role": "user", "content": "x", "timestamp": format!("{year}-01-01T00:00:00Z")});
        let messages: Vec<_> = (0..count).map(message).collect();
        let session = json!({"session_id": id, "messages": messages});
        let file = format!("{id}.json");
        std::fs::write(folder.path().join(&file), session.to_string()).unwrap();
        done(folder.path(), &["import", &file]);
    };
    session("old", 3, 2026);
    session("shown", 250, 2026);
    let (mut tail, ids) = follow(folder.path());
    let shown: Vec<String> = (0..10).map(|_| ids.recv().unwrap()).collect();
    assert_eq!(shown[9], "shown-249");
    done(folder.path(), &["delete", "shown", "--yes"]);
    // Whether it is seen with the deletion or after it, it is the next that comes.
    session("new", 1, 2200);
    assert_eq!(ids.recv().unwrap(), "new-0");
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn deletes_only_when_told() {
    let folder = store();
    let path = folder.path();
    let (code, said) = failed(path, &["delete", "billing-1"]);
    assert_eq!((code, said.contains("--yes")), (2, true));
    let gone = done(path, &["delete", "--user", "alice", "--yes"]);
    assert_eq!(gone, "deleted billing-1 (2 messages)\ngone: conversations 1, messages 2\n");
    assert_eq!(failed(path, &["delete", "--older-than", "2026-01-01", "--yes"]).0, 3);
    done(path, &["delete", "--older-than", "2026-02-01", "--yes"]);
    assert_eq!(done(path, &["list", "--json"]), "");
}

#[test]
fn what_destroys_or_discloses_takes_a_whole_id() {
    let folder = store();
    let path = folder.path();
    // The only one that begins so is another one.
    done(path, &["delete", "billing-2", "--yes"]);
    for arguments in [
        &["delete", "billing", "--yes"][..],
        &["delete", "billing-1", "billing", "--yes"],
        &["export", "billing", "--format", "jsonl"],
        &["show", "billing"],
        &["stats", "billing"],
        &["tail", "billing"],
    ] {
        let (code, said) = failed(path, arguments);
        assert_eq!(code, 3, "{arguments:?}: {said}");
        assert!(said.contains("there is no conversation \"billing\""), "{said}");
        assert!(said.contains("begin so: billing-1"), "{said}");
    }
    assert!(done(path, &["list"]).contains("billing-1"));
    done(path, &["delete", "billing-1", "--yes"]);
    assert_eq!(failed(path, &["delete", "billing-1", "--yes"]).0, 3);
}

#[cfg(unix)]
#[test]
fn tail_ends_when_nobody_reads_any_more() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let folder = store();
    let mut tail = support::command(folder.path(), &["tail", "-n", "1", "--json"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // An import stores conversations at once, so which of them came last is not known.
    assert!(lines.next().unwrap().unwrap().contains("billing-"));
    // Nothing more comes.
    drop(lines);
    assert!(tail.wait().unwrap().success());
}

#[test]
fn wrong_usage_and_missing_stores_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(failed(path, &["list"]).0, 3);
    assert!(!path.join("session_history.db").exists(), "nothing is made by looking");
    assert_eq!(failed(path, &["--store", "mongodb:x", "list"]).0, 2);
    assert_eq!(failed(path, &["--store", "memory:", "list"]).0, 2);
    assert_eq!(failed(path, &["lst"]).0, 2);
    assert_eq!(failed(path, &["list", "--since", "yesterday"]).0, 2);
    std::fs::write(path.join("odd.db"), "this is no database, but it is long enough to be one")
        .unwrap();
    assert_eq!(failed(path, &["--store", "sqlite:odd.db", "list"]).0, 1);
    assert!(done(path, &["completions", "bash"]).contains("_shs"));
    assert!(done(path, &["man"]).contains(".TH shs"));
}

#[test]
fn manual_pages_are_of_one_command_or_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(done(path, &["man"]).contains(".SH SUBCOMMANDS"));
    let page = done(path, &["man", "import"]);
    assert!(page.contains("shs\\-import") && page.contains("dry\\-run"), "{page}");
    assert_eq!(failed(path, &["man", "nothing"]).0, 2);
    assert_eq!(done(path, &["man", "--to", "pages"]), "");
    assert!(path.join("pages/shs.1").exists() && path.join("pages/shs-export.1").exists());
    assert!(done(path, &["completions", "bash"]).contains("_shs"));
}
