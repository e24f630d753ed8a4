//! A chat at the terminal that keeps its history: type, or pipe lines in; `/help` lists the commands.
//!
//! Conversations are kept in `./history.db` unless `SHS_STORE` or another `SHS_*` variable says otherwise.
//! Answers come word by word and are saved while they come: kill the program in the middle of one and
//! start it again.
//!
//! `QUICKSTART_DELAY_MS` is the pause before each word: 40 at a terminal and 0 otherwise, unless set.

mod chat;
mod command;
mod eliza;

use std::error::Error;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use session_history_saver::{Config, Location, SessionTracker};
use tokio::sync::mpsc;

use crate::chat::{Chat, Next, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Err(error) if !nobody_listens(&*error) => {
            eprintln!("quickstart: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let delay = delay()?;
    let defaults = Config::new().with_location(Location::sqlite("./history.db"));
    let history = SessionTracker::open(Config::from_env_or(defaults)?).await?;
    let mut chat = Chat::new(history, delay);
    let talked = talk(&mut chat).await;
    let ended = chat.end().await;
    talked.and(ended)
}

async fn talk(chat: &mut Chat) -> Result<(), Box<dyn Error + Send + Sync>> {
    chat.greet().await?;
    let mut lines = lines();
    loop {
        prompt()?;
        // Ctrl-C ends the program cleanly, in the middle of an answer too: that is then interrupted.
        let line = tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            line = lines.recv() => line,
        };
        let Some(line) = line.transpose()? else { break };
        let next = tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            next = chat.take(&line) => next?,
        };
        if next == Next::Quit {
            return Ok(());
        }
    }
    if io::stdin().is_terminal() {
        // What the shell says next begins on a line of its own.
        writeln!(io::stdout())?;
    }
    Ok(())
}

/// Whether the output was closed, as `head` does when it has enough.
fn nobody_listens(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The lines of the standard input. A thread of its own reads them: it may wait for one for ever, and
/// must not keep the program from ending.
fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (tx, lines) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            if tx.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn prompt() -> io::Result<()> {
    if io::stdin().is_terminal() {
        write!(io::stdout(), "> ")?;
    }
    io::stdout().flush()
}

fn delay() -> Result<Duration, Box<dyn Error + Send + Sync>> {
    let default = if io::stdin().is_terminal() { 40 } else { 0 };
    let millis = match std::env::var("QUICKSTART_DELAY_MS") {
        Ok(value) => value.parse().map_err(|_| {
            format!("QUICKSTART_DELAY_MS is {value:?}; give a whole number of milliseconds")
        })?,
        Err(_) => default,
    };
    Ok(Duration::from_millis(millis))
}
