//! Drives the program through its standard input and output, as a person would.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, Output, Stdio};

fn quickstart(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHS_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("QUICKSTART_DELAY_MS", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Types these lines, and returns what was shown.
fn chat(folder: &Path, lines: &str) -> String {
    let mut child = quickstart(folder).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    shown(child.wait_with_output().unwrap())
}

fn shown(output: Output) -> String {
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out
}

/// Reads what is shown until it ends in this.
fn until(stdout: &mut ChildStdout, end: &str) -> String {
    let mut shown = String::new();
    while !shown.ends_with(end) {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{shown}");
        shown.push(char::from(byte[0]));
    }
    shown
}

/// The id of the conversation with this in its line of `/list`.
fn id_of(list: &str, title: &str) -> String {
    let line = list.lines().find(|line| line.contains("messages") && line.contains(title));
    line.unwrap_or_else(|| panic!("{title} is in no line of\n{list}"))
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn talks_lists_searches_counts_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = chat(folder.path(), "I need my keys\nThe train was late\n/quit\n");
    assert!(first.contains("Eliza: Would it really help you to get your keys?"), "{first}");
    assert!(folder.path().join("history.db").exists());
    chat(folder.path(), "Hello");

    let second = chat(folder.path(), "/list\n/search keys\n/search bicycle\n/stats\n");
    assert!(second.contains("2 conversations (0 not ended), 6 messages"), "{second}");
    assert!(second.contains("You: I need my [keys]"), "{second}");
    assert!(second.contains("Nothing was found."), "{second}");
    assert!(!second.contains("interrupted"), "{second}");

    let id = id_of(&second, "I need my keys");
    let third = chat(folder.path(), &format!("/resume {id}\nThank you\n/list\n"));
    assert!(third.contains("You: The train was late"), "{third}");
    assert!(third.contains("6 messages  I need my keys"), "{third}");
}

#[test]
fn exports_a_conversation_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let shown = chat(
        folder.path(),
        "I feel =fine\n/export json\n/export jsonl\n/export csv\n/export markdown\n/export text\n/list\n",
    );
    let id = id_of(&shown, "I feel =fine");
    let read = |extension: &str| {
        std::fs::read_to_string(folder.path().join(format!("chat-{id}.{extension}"))).unwrap()
    };
    assert!(read("json").contains("\"content\": \"I feel =fine\""));
    assert_eq!(read("jsonl").lines().count(), 1);
    assert!(read("csv").starts_with("session_id,"));
    assert!(read("md").starts_with("# I feel =fine\n"));
    assert!(read("txt").starts_with("[USER]: I feel =fine\n[ASSISTANT]: "));
}

#[test]
fn explains_what_it_does_not_understand() {
    let folder = tempfile::tempdir().unwrap();
    let shown = chat(
        folder.path(),
        "/lisst\n/resume nobody\n/export pdf\n/export csv\n/search\n\n/help\n/list\n",
    );
    assert!(shown.contains("unknown command /lisst; /help lists the known ones"), "{shown}");
    assert!(shown.contains("no conversation begins with nobody"), "{shown}");
    assert!(shown.contains("known are: json, jsonl, csv, markdown, text"), "{shown}");
    assert!(shown.contains("There is no conversation yet: say something"), "{shown}");
    assert!(shown.contains("/search TEXT"), "{shown}");
    assert!(shown.contains("/export FORMAT  writes"), "{shown}");
    assert!(shown.contains("There is no conversation yet.\n"), "{shown}");
}

#[test]
fn an_ambiguous_id_is_told_with_the_conversations_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    chat(folder.path(), "one\n");
    chat(folder.path(), "two\n");
    // Ids begin with the time: all of this century begin with 0.
    let shown = chat(folder.path(), "/resume 0\n");
    assert!(shown.contains("2 conversations begin with 0:"), "{shown}");
}

#[test]
fn a_bad_environment_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let child = quickstart(folder.path()).env("SHS_STORE", "mongodb:").spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("quickstart: ") && told.contains("SHS_STORE"), "{told}");
    assert!(told.contains("known are: memory:"), "{told}");
}

#[test]
fn a_store_that_cannot_be_opened_is_told_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let child = quickstart(folder.path()).env("SHS_STORE", "fs:file").spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("quickstart: ") && told.contains("not a folder"), "{told}");
}

#[test]
fn an_export_that_cannot_be_written_is_told_and_the_conversation_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = quickstart(folder.path()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"Hello\n/list\n").unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut shown = until(&mut stdout, "  Hello\n");
    // A folder stands where the file is to go.
    let taken = format!("chat-{}.json", id_of(&shown, "Hello"));
    std::fs::create_dir_all(folder.path().join(&taken).join("full")).unwrap();
    stdin.write_all(b"/export json\n/stats\n").unwrap();
    drop(stdin);
    stdout.read_to_string(&mut shown).unwrap();
    assert!(child.wait().unwrap().success());
    let told = shown.lines().find(|line| line.contains(&taken));
    assert!(told.is_some_and(|line| line.contains("cannot be")), "{shown}");
    assert!(shown.contains("1 conversation (1 not ended), 2 messages"), "{shown}");
}

#[test]
fn what_could_mean_something_to_the_terminal_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let shown = chat(folder.path(), "a\x1b[31mred car\n/list\n/search car\n");
    assert!(shown.contains("a [31mred car"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown}");
}

#[test]
fn an_output_that_is_closed_ends_the_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = quickstart(folder.path()).spawn().unwrap();
    drop(child.stdout.take());
    // It may be gone before it has read all.
    let _ = child.stdin.take().unwrap().write_all(b"Hello\nHello\nHello\n");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(chat(folder.path(), "/stats\n").contains("(0 not ended)"));
}

#[test]
fn an_answer_that_was_killed_in_the_middle_is_shown_with_the_text_that_had_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = quickstart(folder.path()).env("QUICKSTART_DELAY_MS", "400").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"I need my keys\n").unwrap();
    // Text is saved at the latest 250 ms after it came: when the third word is shown, the first is saved.
    let mut stdout = child.stdout.take().unwrap();
    until(&mut stdout, "Eliza: Would it really");
    child.kill().unwrap();
    child.wait().unwrap();

    let again = chat(folder.path(), "/list\n");
    assert!(again.contains("was interrupted:"), "{again}");
    let line = again.lines().find(|line| line.ends_with("… (interrupted)"));
    let text = line.unwrap().trim_end_matches(" … (interrupted)").trim_start_matches("Eliza: ");
    assert!(text.starts_with("Would "), "{again}");
    assert!("Would it really help you to get your keys?".starts_with(text), "{again}");

    let id = id_of(&again, "I need my keys");
    let resumed = chat(folder.path(), &format!("/resume {id}\nAre you there\n/quit\n"));
    assert!(resumed.contains("You: I need my keys"), "{resumed}");
    assert!(
        resumed.contains("Eliza: Perhaps I am there. What do you think?")
            || resumed.contains("Eliza: Would you prefer it if I were not there?"),
        "{resumed}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_in_the_middle_of_an_answer_ends_cleanly_with_all_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = quickstart(folder.path()).env("QUICKSTART_DELAY_MS", "400").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"I need my keys\n").unwrap();
    let mut stdout = child.stdout.take().unwrap();
    until(&mut stdout, "Eliza: Would it ");
    let interrupted =
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert!(child.wait().unwrap().success());
    let again = chat(folder.path(), "/stats\n");
    assert!(again.contains("Eliza: Would it … (interrupted)"), "{again}");
    assert!(again.contains("(0 not ended)"), "{again}");
}
