//! What is printed: for people on a terminal, plain in a pipe, or JSON.

use std::io::{self, BufWriter, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::find::Named;
use crate::pager::Pager;
use crate::shown::{Shown, escaped, style, tell};

/// Narrower than this, a table is not fitted into the terminal.
const NARROWEST: u16 = 40;

/// The standard output, or a pager in front of it. A terminal gets nothing that would move its
/// cursor or change its state, whatever is printed; a pipe gets everything as it is.
pub(crate) struct Output {
    to: To,
    hints: Vec<String>,
    is_json: bool,
    is_terminal: bool,
    has_colour: bool,
}

impl Output {
    pub(crate) fn to_stdout(is_json: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        // https://no-color.org: set and not empty.
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let has_colour = is_terminal && !is_plain;
        Self {
            to: To::new(Below::Stdout(io::stdout()), is_terminal, has_colour),
            hints: Vec::new(),
            is_json,
            is_terminal,
            has_colour,
        }
    }

    /// Whether people look at it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether nobody reads any more what is printed, as behind a pipe whose reader has ended.
    #[cfg(unix)]
    pub(crate) fn is_abandoned(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // What cannot be asked is written to, which says it.
        let is_known = poll(&mut watched, Some(&at_once)).is_ok();
        is_known && watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }

    /// Here, writing says it.
    #[cfg(not(unix))]
    pub(crate) fn is_abandoned(&self) -> bool {
        false
    }

    /// By what a conversation is named that is only read.
    pub(crate) fn named(&self) -> Named {
        if self.is_terminal { Named::Beginning } else { Named::Whole }
    }

    /// Shows what will be printed in a pager, if people look at it. Call it within a tokio runtime.
    pub(crate) fn page(&mut self) {
        if self.is_terminal
            && !self.is_json
            && let Some(pager) = Pager::start()
        {
            // Ctrl-C is for the pager, which goes on: ended by it, this would leave it with the terminal.
            #[cfg(unix)]
            drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()));
            self.to = To::new(Below::Pager(pager), true, self.has_colour);
        }
    }

    /// Something to know besides, which is no part of what is printed.
    pub(crate) fn hint(&mut self, hint: String) {
        self.hints.push(hint);
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// An object on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        self.line("")
    }

    /// A part of what is printed.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// Rows under a header. In a pipe, cells are parted by tabs.
    pub(crate) fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        if !self.is_terminal {
            self.line(&header.join("\t"))?;
            return rows.iter().try_for_each(|row| {
                let cells: Vec<_> = row.iter().map(|cell| self.one_line(cell)).collect();
                self.line(&cells.join("\t"))
            });
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| self.one_line(cell)));
        }
        // What is copied, as ids are, stays on one line.
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
        // A terminal that does not know its width says zero.
        if table.width().is_none_or(|width| width < NARROWEST) {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        self.line(&table.to_string())
    }

    /// A text that stands out.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.in_style(style::BOLD, text)
    }

    /// A text that stands back.
    pub(crate) fn dim(&self, text: &str) -> String {
        self.in_style(style::DIM, text)
    }

    /// Marks for what was found: colours, or brackets where there are none.
    pub(crate) fn marks(&self) -> (String, String) {
        if self.has_colour {
            (style::MARKED.to_string(), style::NONE.to_string())
        } else {
            ("[".to_owned(), "]".to_owned())
        }
    }

    /// A text on one line: a terminal shows what would break it as escapes, and in a pipe it
    /// becomes spaces.
    pub(crate) fn one_line(&self, text: &str) -> String {
        if self.is_terminal {
            escaped(text)
        } else {
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
        }
    }

    /// A text of several lines: in a pipe without what would move a terminal's cursor, where it may
    /// end.
    pub(crate) fn lines(&self, text: &str) -> String {
        let is_taken = |c: &char| self.is_terminal || !c.is_control() || matches!(c, '\n' | '\t');
        text.chars().filter(is_taken).collect()
    }

    /// A piece of a text in which places are known: what does not fit on a line becomes as many
    /// spaces as it has bytes.
    pub(crate) fn in_place(&self, text: &str) -> String {
        let is_space = |c: char| matches!(c, '\n' | '\r' | '\t');
        let is_hidden = |c: char| is_space(c) || (c.is_control() && !self.is_terminal);
        let clean = |c: char| if is_hidden(c) { " ".repeat(c.len_utf8()) } else { c.to_string() };
        text.chars().map(clean).collect()
    }

    /// Shows at once what was printed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// Shows the rest, and waits until it was read.
    pub(crate) fn finish(self) -> io::Result<()> {
        let shown = self.to.finish();
        self.hints.iter().for_each(|hint| tell(hint));
        shown
    }

    fn in_style(&self, style: char, text: &str) -> String {
        if self.has_colour { format!("{style}{text}{}", style::NONE) } else { text.to_owned() }
    }
}

/// Where it goes: through what takes out what a terminal must not get, or as it is.
enum To {
    Terminal(BufWriter<Shown<Below>>),
    Pipe(BufWriter<Below>),
}

impl To {
    fn new(below: Below, is_terminal: bool, has_colour: bool) -> Self {
        match is_terminal {
            true => Self::Terminal(BufWriter::new(Shown::new(below, has_colour))),
            false => Self::Pipe(BufWriter::new(below)),
        }
    }

    fn finish(self) -> io::Result<()> {
        // What is below is finished, too, if it does not take what is left.
        let (below, written) = match self {
            Self::Pipe(pipe) => {
                let (mut below, rest) = pipe.into_parts();
                let written = below.write_all(&rest.unwrap_or_default());
                (below, written)
            }
            Self::Terminal(terminal) => {
                let (mut shown, rest) = terminal.into_parts();
                let written = shown.write_all(&rest.unwrap_or_default());
                let (below, ended) = shown.end();
                (below, written.and(ended))
            }
        };
        match below {
            Below::Stdout(mut stdout) => written.and_then(|()| stdout.flush()),
            Below::Pager(pager) => pager.finish().and(written),
        }
    }
}

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Terminal(terminal) => terminal.write(bytes),
            Self::Pipe(pipe) => pipe.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Terminal(terminal) => terminal.flush(),
            Self::Pipe(pipe) => pipe.flush(),
        }
    }
}

enum Below {
    Stdout(io::Stdout),
    Pager(Pager),
}

impl Write for Below {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::Pager(pager) => pager.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::Pager(pager) => pager.flush(),
        }
    }
}
