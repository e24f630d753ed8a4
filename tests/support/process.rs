//! Child processes that report what was acknowledged to them.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A running `shs-child`. It is killed when this value goes.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    input: Option<ChildStdin>,
}

impl Process {
    /// Starts it; `program` is its path, which tests have from `CARGO_BIN_EXE_shs-child`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the child starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let input = child.stdin.take();
        Self { child, lines, input }
    }

    /// The next line that it prints; `None` when it has ended.
    ///
    /// # Panics
    /// If it prints what is no text.
    pub async fn line(&mut self) -> Option<String> {
        self.lines.next_line().await.expect("the child prints text")
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Kills it with SIGKILL, and returns the lines that it had printed and nobody had read.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill(mut self) -> Vec<String> {
        self.child.kill().await.expect("the child can be killed");
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(line);
        }
        rest
    }

    /// Reads what it prints until it ends, and says whether that went well.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub async fn drained(mut self) -> bool {
        while self.line().await.is_some() {}
        self.succeeded().await
    }

    /// Waits for its end, and says whether it went well.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub async fn succeeded(mut self) -> bool {
        self.child.wait().await.expect("the child can be waited for").success()
    }
}
