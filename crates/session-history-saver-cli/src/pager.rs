//! A pager for what is longer than the screen, as `git` has it.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

/// A pager that shows what is written to it.
#[derive(Debug)]
pub(crate) struct Pager {
    child: Child,
}

impl Pager {
    /// Starts `SHS_PAGER`, else `PAGER`, else `less`; `None` if there is none, or if it is told to be none: empty, or `cat`.
    pub(crate) fn start() -> Option<Self> {
        let chosen = std::env::var("SHS_PAGER").or_else(|_| std::env::var("PAGER"));
        let chosen = chosen.unwrap_or_else(|_| "less".to_owned());
        let mut words = chosen.split_whitespace();
        let program = words.next().filter(|program| *program != "cat")?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            // Short texts stay on the screen, colours are shown, and the screen is not cleared.
            command.env("LESS", "FRX");
        }
        // Where there is no pager, everything is printed.
        command.spawn().ok().map(|child| Self { child })
    }

    /// Waits until it has been read.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop)
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.child.stdin {
            Some(stdin) => stdin.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.child.stdin.as_mut().map_or(Ok(()), Write::flush)
    }
}
