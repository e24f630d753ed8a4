//! What is printed: for people on a terminal, plain in a pipe, or JSON.

use std::io::{self, BufWriter, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::pager::Pager;

/// Narrower than this, a table is not fitted into the terminal.
const NARROWEST: u16 = 40;

/// The standard output, or a pager in front of it.
pub(crate) struct Output {
    to: BufWriter<To>,
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
        Self {
            to: BufWriter::new(To::Stdout(io::stdout())),
            hints: Vec::new(),
            is_json,
            is_terminal,
            has_colour: is_terminal && !is_plain,
        }
    }

    /// Whether people look at it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
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
            self.to = BufWriter::new(To::Pager(pager));
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

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// Rows under a header. In a pipe, cells are parted by tabs.
    pub(crate) fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        if !self.is_terminal {
            self.line(&header.join("\t"))?;
            return rows.iter().try_for_each(|row| {
                let cells: Vec<_> = row.iter().map(|cell| one_line(cell)).collect();
                self.line(&cells.join("\t"))
            });
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| one_line(cell)));
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
        self.in_colour("1", text)
    }

    /// A text that stands back.
    pub(crate) fn dim(&self, text: &str) -> String {
        self.in_colour("2", text)
    }

    /// Marks for what was found: colours, or brackets where there are none.
    pub(crate) fn marks(&self) -> (&'static str, &'static str) {
        if self.has_colour { ("\x1b[1;33m", "\x1b[0m") } else { ("[", "]") }
    }

    /// Shows at once what was printed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// Shows the rest, and waits until it was read.
    pub(crate) fn finish(self) -> io::Result<()> {
        let (to, rest) = self.to.into_parts();
        let rest = rest.unwrap_or_default();
        let shown = match to {
            To::Stdout(mut stdout) => stdout.write_all(&rest).and_then(|()| stdout.flush()),
            To::Pager(mut pager) => {
                let written = pager.write_all(&rest);
                pager.finish().and(written)
            }
        };
        for hint in &self.hints {
            eprintln!("{hint}");
        }
        shown
    }

    fn in_colour(&self, code: &str, text: &str) -> String {
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

enum To {
    Stdout(io::Stdout),
    Pager(Pager),
}

impl Write for To {
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

/// Text without what would move a terminal's cursor or break a line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text of several lines, without what else would move a terminal's cursor.
pub(crate) fn lines(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
