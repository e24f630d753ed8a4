//! Runs the command as a person or a script would.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The command, in a folder, without settings from outside.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shs"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHS_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("TZ", "UTC").stdin(Stdio::null()).args(arguments);
    command
}

/// What came of a command.
pub(crate) fn shs(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// What a command printed that did what it was told.
pub(crate) fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = shs(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code of a command that did not, and what it said.
pub(crate) fn failed(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = shs(folder, arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}
