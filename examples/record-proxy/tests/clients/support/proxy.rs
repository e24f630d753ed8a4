//! The example's program itself.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use super::{PATIENCE, until};

/// A running `record-proxy`. It is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    pub(crate) base: String,
}

impl Proxy {
    /// Starts it before a server.
    pub(crate) async fn start(store: &str, upstream: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_record-proxy"))
            .env("LISTEN", "127.0.0.1:0")
            .env("UPSTREAM", upstream)
            .env("SHS_STORE", store)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the proxy starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let first = timeout(PATIENCE, lines.next_line()).await.expect("the proxy comes up");
        let first = first.expect("it prints text").expect("it says where it listens");
        let base = first.strip_prefix("listening on ").expect("it says where it listens");
        Self { base: base.to_owned(), child, lines }
    }

    /// Sends it SIGTERM, and waits until it takes no connections any more.
    pub(crate) async fn terminate(&self) {
        let id = self.child.id().expect("it is running");
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await;
        assert!(kill.expect("there is a shell").success());
        let address = self.base.trim_start_matches("http://");
        until("the proxy stops listening", async || TcpStream::connect(address).await.is_err())
            .await;
    }

    /// Waits for its end, which has to be one without an error; returns what it printed last.
    pub(crate) async fn ended(mut self) -> String {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the proxy ends in time");
        let mut last = String::new();
        while let Some(line) = self.lines.next_line().await.expect("it prints text") {
            last = line;
        }
        let status = status.expect("it can be waited for");
        assert_eq!(status.code(), Some(0), "{last}");
        last
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}
