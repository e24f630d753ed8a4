//! The chatbot as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// A running chatbot; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Kept open, or what the server prints would fail.
    stdout: BufReader<ChildStdout>,
    /// Where it listens: an address and a port.
    pub(crate) address: String,
}

/// The program, in this folder, and with nothing of the environment of the tests that would change what it does.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatbot"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if ["SHS_", "OPENAI_", "CHATBOT_"].iter().any(|prefix| name_text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.current_dir(folder).env("LISTEN", "127.0.0.1:0").env("CHATBOT_DELAY_MS", "0");
    command
}

impl Server {
    /// Starts the chatbot with a store of this backend, and waits until it listens.
    pub(crate) fn start(folder: &Path, backend: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = command(folder);
        command.env("SHS_STORE", format!("{backend}:history"));
        command.envs(variables.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("the server said {line:?}")).to_owned();
        Self { child, stdout, address }
    }

    /// Kills it, as a crash or a loss of power would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits until it has ended.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        while self.stdout.read_line(&mut rest).unwrap() > 0 {}
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
