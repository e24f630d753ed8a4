//! One store with several tenants.

mod support;

use serde_json::{Value, json};
use support::{done, shs};

/// A store in which two tenants have a conversation with the same id.
fn two_tenants(location: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (tenant, text) in [("acme", "the secret of acme"), ("beta", "the plan of beta")] {
        let conversation = json!({
            "session_id": "chat-1", "user_id": "alice",
            "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Noted."}],
        });
        let file = format!("{tenant}.json");
        std::fs::write(folder.path().join(&file), conversation.to_string()).unwrap();
        done(folder.path(), &["--store", location, "import", "--tenant", tenant, &file]);
    }
    folder
}

#[test]
fn each_command_is_about_one_tenant() {
    for location in ["sqlite:history.db", "fs:history"] {
        let folder = two_tenants(location);
        let folder = folder.path();
        let run = |arguments: &[&str]| {
            let all: Vec<&str> = ["--store", location].iter().chain(arguments).copied().collect();
            done(folder, &all)
        };
        assert_eq!(
            run(&["tenants", "--json"]).lines().map(parsed).collect::<Vec<_>>(),
            ["acme", "beta"].map(|name| json!({"tenant": name, "sessions": 1, "messages": 2})),
        );
        // Without a name it is another tenant, which has nothing.
        assert_eq!(run(&["list", "--json"]), "");
        for (own, other) in [("acme", "beta"), ("beta", "acme")] {
            for command in [
                &["show", "chat-1"][..],
                &["search", "the"],
                &["export", "--format", "jsonl"],
                &["export", "--format", "jsonl", "chat-1"],
            ] {
                let all: Vec<&str> = command.iter().chain(&["--tenant", own]).copied().collect();
                let said = run(&all);
                assert!(said.contains(own) && !said.contains(other), "{command:?}: {said}");
            }
            let stats = parsed(&run(&["stats", "--json", "--tenant", own]));
            assert_eq!((&stats["sessions"], &stats["messages"]), (&json!(1), &json!(2)));
        }
        // What is deleted is one tenant's.
        run(&["delete", "--yes", "chat-1", "--tenant", "acme"]);
        let left = shs(folder, &["--store", location, "show", "chat-1", "--tenant", "acme"]);
        assert_eq!(left.status.code(), Some(3));
        assert!(run(&["show", "chat-1", "--tenant", "beta"]).contains("beta"));
    }
}

#[test]
fn a_copy_has_all_tenants_or_the_one_that_is_named() {
    let folder = two_tenants("sqlite:history.db");
    let folder = folder.path();
    let from = ["--store", "sqlite:history.db"];
    let run = |arguments: &[&str]| {
        done(folder, &from.iter().chain(arguments).copied().collect::<Vec<_>>())
    };
    assert_eq!(run(&["copy", "--to", "fs:all"]), "copied: 2, already there: 0, different: 0\n");
    assert_eq!(
        run(&["copy", "--to", "fs:one", "--tenant", "beta"]),
        "copied: 1, already there: 0, different: 0\n",
    );
    let tenants = |location: &str| {
        let said = done(folder, &["--store", location, "tenants", "--json"]);
        said.lines().map(|line| parsed(line)["tenant"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(tenants("fs:all"), ["acme", "beta"]);
    assert_eq!(tenants("fs:one"), ["beta"]);
}

#[test]
fn a_command_about_the_whole_store_does_not_pass_over_a_tenant() {
    let folder = two_tenants("sqlite:history.db");
    for command in [&["backup", "b.db"][..], &["verify"], &["tenants"], &["delete", "--erase"]] {
        let from = ["--store", "sqlite:history.db", "--tenant", "acme"];
        let said = shs(folder.path(), &from.iter().chain(command).copied().collect::<Vec<_>>());
        assert_eq!(said.status.code(), Some(2), "{command:?}");
    }
    assert!(!folder.path().join("b.db").exists());
}

#[test]
fn a_name_that_is_none_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let said = shs(folder.path(), &["list", "--tenant", "a\nb"]);
    assert_eq!(said.status.code(), Some(2));
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}
