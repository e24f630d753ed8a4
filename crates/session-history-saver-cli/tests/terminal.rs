//! What people see on a terminal: the pager, colours, and questions.
#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::Command;

use rexpect::session::{PtySession, spawn_command};

use crate::support::{done, store};

/// Runs the command on a terminal of 24 lines.
fn on_terminal(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> PtySession {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shs"));
    command.current_dir(folder).args(arguments).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs([("TERM", "xterm"), ("TZ", "UTC"), ("LINES", "24"), ("COLUMNS", "100")]);
    command.envs(environment.iter().copied());
    // However slow a machine is, what is waited for comes.
    spawn_command(command, None).unwrap()
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = store();
    let shown = |environment: &[(&str, &str)]| {
        let mut terminal =
            on_terminal(folder.path(), &["--no-pager", "show", "billing-1"], environment);
        terminal.exp_eof().unwrap()
    };
    let coloured = shown(&[]);
    assert!(coloured.contains("\u{1b}[1mCharged twice\u{1b}[0m"), "{coloured:?}");
    assert!(!coloured.contains("\u{1b}[2J"), "what is stored moves no cursor: {coloured:?}");
    let plain = shown(&[("NO_COLOR", "1")]);
    assert!(plain.contains("Charged twice") && !plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn a_table_has_no_tabs_on_a_terminal() {
    let folder = store();
    let mut terminal = on_terminal(folder.path(), &["--no-pager", "list"], &[]);
    let shown = terminal.exp_eof().unwrap();
    assert!(shown.contains("MESSAGES") && !shown.contains('\t'), "{shown:?}");
}

#[test]
fn what_is_long_comes_in_a_pager() {
    let folder = store();
    let long = r#"{"session_id": "long", "messages": [{"role": "user", "content": "first line\n"#
        .to_owned()
        + &"another line\\n".repeat(100)
        + r#"the very last line"}]}"#;
    std::fs::write(folder.path().join("long.json"), long).unwrap();
    done(folder.path(), &["import", "long.json"]);
    let mut terminal = on_terminal(folder.path(), &["show", "long"], &[("PAGER", "less")]);
    terminal.exp_string("first line").unwrap();
    terminal.exp_string(":").unwrap();
    terminal.send("G").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("the very last line").unwrap();
    terminal.send("q").unwrap();
    terminal.flush().unwrap();
    terminal.exp_eof().unwrap();
    let ended = format!("{:?}", terminal.process().wait().unwrap());
    assert!(ended.starts_with("Exited(") && ended.ends_with(", 0)"), "{ended}");

    // What is short stays on the screen, and a pager that is none is not missed.
    for pager in ["less", "cat", "", "no-such-pager"] {
        let mut terminal =
            on_terminal(folder.path(), &["show", "billing-1"], &[("SHS_PAGER", pager)]);
        let shown = terminal.exp_eof().unwrap();
        assert!(shown.contains("Fixed."), "{pager}: {shown:?}");
    }
}

#[test]
fn an_interrupt_is_for_the_pager() {
    let folder = store();
    // A shell's `wait` may miss a signal that comes as it begins; what is between two rounds is
    // heard in the next.
    let pager = "cat > shown; trap 'echo heard; exit' INT; echo ready; while :; do sleep 0.2; done";
    std::fs::write(folder.path().join("pager"), pager).unwrap();
    let arguments = ["show", "billing-1"];
    let mut terminal = on_terminal(folder.path(), &arguments, &[("SHS_PAGER", "sh pager")]);
    terminal.exp_string("ready").unwrap();
    terminal.send_control('c').unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("heard").unwrap();
    terminal.exp_eof().unwrap();
    let ended = format!("{:?}", terminal.process().wait().unwrap());
    assert!(ended.starts_with("Exited(") && ended.ends_with(", 0)"), "{ended}");
}

/// A conversation whose every text would do something to a terminal.
fn hostile() -> tempfile::TempDir {
    let folder = store();
    let bad = "A\u{1b}]52;c;cm0gLXJm\u{7}\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2066}\u{2069}\r\u{8}Z";
    let session = serde_json::json!({
        "session_id": "hostile\u{202e}", "user_id": "u\u{2067}", "project_id": "p\u{202d}", "title": bad, "tags": ["t\u{202a}"],
        "metadata": {bad: bad},
        "messages": [{
            "role": "user", "content": format!("word {bad}\n{bad}"), "model": "m\u{202b}", "metadata": {bad: bad},
            "parts": [{"type": "text", "content": bad}, {"type": bad, bad: bad}],
        }, {"role": "assistant", "content": bad}],
    });
    std::fs::write(folder.path().join("hostile.json"), session.to_string()).unwrap();
    done(folder.path(), &["import", "hostile.json"]);
    folder
}

/// That a terminal got nothing but letters, colours of ours, and ends of lines.
fn assert_harmless(shown: &str, what: &[&str]) {
    // What is read from the terminal comes as a character for each byte.
    let bytes: Vec<u8> = shown.chars().map(|c| u8::try_from(c).unwrap()).collect();
    let mut rest = String::from_utf8(bytes).unwrap();
    // The progress of an import takes itself back.
    for ours in ["\r\u{1b}[2K", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m", "\u{1b}[1;33m"] {
        rest = rest.replace(ours, "");
    }
    let is_bad = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let bad: Vec<char> = rest.replace("\r\n", "\n").chars().filter(|c| is_bad(*c)).collect();
    assert!(bad.is_empty(), "{what:?}: {bad:?} in {shown:?}");
}

#[test]
fn no_command_gives_a_terminal_what_it_must_not_get() {
    let folder = hostile();
    let mut commands = vec![
        vec!["show", "hostile"],
        vec!["--json", "show", "hostile"],
        vec!["show", "hostile", "--format", "md"],
        vec!["show", "hostile", "--format", "json"],
        vec!["list"],
        vec!["--json", "list"],
        vec!["search", "word"],
        vec!["--json", "search", "word"],
        vec!["stats", "--by", "user"],
        vec!["stats", "--by", "project"],
        vec!["stats", "--by", "model"],
        vec!["--json", "stats", "--by", "model"],
        vec!["stats", "hostile"],
        vec!["verify"],
        vec!["import", "hostile.json"],
    ];
    let formats =
        ["json", "jsonl", "csv", "md", "text", "html", "openai", "sharegpt", "alpaca", "claude"];
    commands.extend(formats.map(|format| vec!["export", "--format", format]));
    for command in commands {
        let arguments = [&["--no-pager"], &command[..]].concat();
        let mut terminal = on_terminal(folder.path(), &arguments, &[]);
        let shown = terminal.exp_eof().unwrap();
        assert_harmless(&shown, &command);
        let is_of_text = ["show", "search"].iter().any(|name| command.contains(name));
        if is_of_text {
            assert!(shown.contains(r"\u001b") && shown.contains(r"\u202e"), "{shown:?}");
        }
    }
    let mut terminal = on_terminal(folder.path(), &["show", "hostile"], &[("SHS_PAGER", "head")]);
    assert_harmless(&terminal.exp_eof().unwrap(), &["a pager"]);
}

#[test]
fn errors_and_questions_give_a_terminal_nothing_that_it_must_not_get() {
    let folder = hostile();
    let bad = "x\u{1b}[2J\u{9b}\u{202e}";
    let store = format!("sqlite:{bad}");
    for arguments in [
        &["show", bad][..],
        &["list", bad],
        &["list", "--since", bad],
        &["--store", bad, "list"],
        &["--store", &store, "list"],
        &["import", bad],
        &["export", "--format", bad],
        &["export", "--format", "md", "--redact", "(\u{9b}"],
        &["man", bad],
        &[bad],
    ] {
        let mut terminal = on_terminal(folder.path(), arguments, &[("SHS_PAGER", "cat")]);
        let shown = terminal.exp_eof().unwrap();
        assert_harmless(&shown, arguments);
        assert!(!shown.is_empty(), "{arguments:?}");
    }
    let mut terminal = on_terminal(folder.path(), &["delete", "--user", "u\u{2067}"], &[]);
    let question = terminal.exp_string("Go on? [y/N]").unwrap();
    assert!(question.contains(r"hostile\u202e"), "{question:?}");
    assert!(question.contains("2 messages") && question.contains(r"user u\u2067"), "{question:?}");
    assert_harmless(&question, &["delete"]);
    terminal.send_line("n").unwrap();
    terminal.exp_eof().unwrap();
}

#[test]
fn a_pipe_gets_everything_as_it_is() {
    let folder = hostile();
    let exported = done(folder.path(), &["export", "hostile\u{202e}", "--format", "text"]);
    for kept in ["\u{1b}]52;c;cm0gLXJm\u{7}", "\u{9b}31m", "\u{202e}"] {
        assert!(exported.contains(kept), "{exported:?}");
    }
    let json = done(folder.path(), &["--json", "show", "hostile\u{202e}"]);
    assert!(json.contains('\u{9b}') && json.contains('\u{202e}'), "{json:?}");
}

#[test]
fn no_form_of_a_conversation_moves_the_cursor() {
    let folder = store();
    for form in ["text", "md", "json"] {
        let arguments = ["--no-pager", "show", "billing-1", "--format", form];
        let mut terminal = on_terminal(folder.path(), &arguments, &[]);
        let shown = terminal.exp_eof().unwrap();
        assert!(shown.contains("Fixed.") && !shown.contains("\u{1b}[2J"), "{form}: {shown:?}");
    }
}

#[test]
fn nothing_is_deleted_without_a_yes() {
    let folder = store();
    let delete = |answer: &str| {
        let mut terminal = on_terminal(folder.path(), &["delete", "billing-1"], &[]);
        let named = terminal.exp_string("user alice").unwrap();
        assert!(named.contains("billing-1") && named.contains("Charged twice"), "{named}");
        terminal.exp_string("to be deleted: conversations 1, messages 2. Go on? [y/N]").unwrap();
        terminal.send_line(answer).unwrap();
        terminal.exp_eof().unwrap()
    };
    assert!(delete("").contains("nothing was deleted"));
    assert!(delete("no").contains("nothing was deleted"));
    assert!(done(folder.path(), &["list"]).contains("billing-1"));
    assert!(delete("y").contains("deleted billing-1"));
    assert!(!done(folder.path(), &["list"]).contains("billing-1"));
}
