//! What a terminal must not get: characters that move its cursor, change its state, or turn what
//! people read around.

use std::io::{self, IsTerminal, Write};

/// Stands for a style until it is written, so that nothing that is stored can be one.
pub(crate) mod style {
    pub(crate) const BOLD: char = '\u{fdd0}';
    pub(crate) const DIM: char = '\u{fdd1}';
    pub(crate) const MARKED: char = '\u{fdd2}';
    pub(crate) const NONE: char = '\u{fdd3}';
}

/// Whether a character is shown as an escape: controls (C0, DEL and C1), the overrides, embeddings
/// and isolates of bidirectional text, and what stands for a style.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fdd0}'..='\u{fdd3}')
}

/// A text on one line for a terminal: what is [unsafe](is_unsafe) as `\u001b`, which is the same in
/// JSON.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut shown, c);
    }
    shown
}

fn push(to: &mut String, c: char) {
    if is_unsafe(c) {
        to.push_str(&format!("\\u{:04x}", u32::from(c)));
    } else {
        to.push(c);
    }
}

/// Writes to a terminal: bytes as they are, but for those that it must not get.
#[derive(Debug)]
pub(crate) struct Shown<W> {
    to: W,
    /// Bytes of a character whose end has not come.
    rest: Vec<u8>,
    /// Whether the last character was a carriage return, which belongs to the end of a line if that
    /// follows.
    has_return: bool,
    has_colour: bool,
}

impl<W: Write> Shown<W> {
    pub(crate) fn new(to: W, has_colour: bool) -> Self {
        Self { to, rest: Vec::new(), has_return: false, has_colour }
    }

    /// What is below, and whether what was left could be written to it.
    pub(crate) fn end(mut self) -> (W, io::Result<()>) {
        let mut last = String::new();
        if self.has_return {
            push(&mut last, '\r');
        }
        self.rest.iter().for_each(|byte| last.push_str(&format!("\\x{byte:02x}")));
        let written = self.to.write_all(last.as_bytes());
        (self.to, written)
    }

    fn show(&mut self, shown: &mut String, text: &str) {
        for c in text.chars() {
            // Before the end of a line a terminal makes it by itself.
            if std::mem::take(&mut self.has_return) && c != '\n' {
                push(shown, '\r');
            }
            match c {
                '\n' | '\t' => shown.push(c),
                '\r' => self.has_return = true,
                style::BOLD if self.has_colour => shown.push_str("\x1b[1m"),
                style::DIM if self.has_colour => shown.push_str("\x1b[2m"),
                style::MARKED if self.has_colour => shown.push_str("\x1b[1;33m"),
                style::NONE if self.has_colour => shown.push_str("\x1b[0m"),
                c => push(shown, c),
            }
        }
    }
}

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let mut shown = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.show(&mut shown, chunk.valid());
            let invalid = chunk.invalid();
            // At the end it may be the beginning of a character.
            let may_go_on = std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            if chunks.peek().is_none() && may_go_on {
                self.rest = invalid.to_vec();
            } else {
                invalid.iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
            }
        }
        self.to.write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Tells something on the standard error, on one line; a terminal gets nothing that it must not.
pub(crate) fn tell(text: &str) {
    let mut stderr = io::stderr().lock();
    // Who does not hear it cannot be told so.
    let _ = match stderr.is_terminal() {
        true => writeln!(stderr, "{}", escaped(text)),
        false => writeln!(stderr, "{text}"),
    };
}

/// As [`tell`], of a text that may have several lines.
pub(crate) fn tell_lines(text: &str) {
    if !io::stderr().is_terminal() {
        return tell(text);
    }
    text.lines().for_each(tell);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&[u8]], has_colour: bool) -> String {
        let mut shown = Shown::new(Vec::new(), has_colour);
        pieces.iter().for_each(|piece| shown.write_all(piece).unwrap());
        let (bytes, written) = shown.end();
        written.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_a_terminal_must_not_get_is_an_escape() {
        let bad = "a\x1b[2J\u{7}\u{9b}1m\u{7f}\u{202e}b\u{2066}\u{2069}\u{0}\u{8}";
        let wanted = r"a\u001b[2J\u0007\u009b1m\u007f\u202eb\u2066\u2069\u0000\u0008";
        assert_eq!(shown(&[bad.as_bytes()], true), wanted);
        assert_eq!(escaped(bad), wanted);
        assert_eq!(escaped("\n\t\r"), r"\u000a\u0009\u000d");
        let good = "Grüße, 部署, שלום\n\tline\r\nnext\n";
        assert_eq!(shown(&[good.as_bytes()], false), good.replace('\r', ""));
        assert_eq!(shown(&[b"a\rb\r"], false), r"a\u000db\u000d");
    }

    #[test]
    fn pieces_may_end_inside_of_a_character() {
        let text = "é\u{9b}部\r\n\u{202e}x";
        let whole = shown(&[text.as_bytes()], false);
        for size in 1..4 {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(shown(&pieces, false), whole, "{size}");
        }
        assert_eq!(shown(&[b"\x9b1m\xff \xe9\x83"], false), r"\x9b1m\xff \xe9\x83");
    }

    #[test]
    fn styles_are_ours_alone() {
        let styled = format!("{}x{}", style::BOLD, style::NONE);
        assert_eq!(shown(&[styled.as_bytes()], true), "\x1b[1mx\x1b[0m");
        assert_eq!(shown(&[styled.as_bytes()], false), r"\ufdd0x\ufdd3");
        assert!(escaped(&styled).is_ascii());
    }
}
