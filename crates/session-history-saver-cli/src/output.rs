//! What is printed: for people on a terminal, plain in a pipe, or JSON.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// The standard output.
#[derive(Debug)]
pub(crate) struct Output {
    to: BufWriter<Stdout>,
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
            to: BufWriter::new(io::stdout()),
            is_json,
            is_terminal,
            has_colour: is_terminal && !is_plain,
        }
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

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    fn in_colour(&self, code: &str, text: &str) -> String {
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
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
