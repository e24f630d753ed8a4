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
    spawn_command(command, Some(20_000)).unwrap()
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
    let pager = "cat > shown; trap 'echo heard; exit' INT; echo ready; cat /dev/tty & wait; wait";
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
