//! Lines of a file, none longer than a limit.

use std::io::{self, BufRead};

#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    limit: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, line: Vec::new() }
    }

    /// The next line without its end; of one that is too long, its length. `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Result<&[u8], u64>>> {
        self.line.clear();
        let mut length = 0_u64;
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() && length == 0 {
                return Ok(None);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let taken = &bytes[..end.unwrap_or(bytes.len())];
            let is_over = taken.is_empty() && end.is_none();
            length += taken.len() as u64;
            if length <= self.limit as u64 {
                self.line.extend_from_slice(taken);
            }
            let consumed = taken.len() + usize::from(end.is_some());
            self.reader.consume(consumed);
            if end.is_some() || is_over {
                break;
            }
        }
        if length > self.limit as u64 {
            return Ok(Some(Err(length)));
        }
        Ok(Some(Ok(self.line.strip_suffix(b"\r").unwrap_or(&self.line))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_are_whole_whatever_the_buffer() {
        let text = b"one\r\n\ntoo long by far\nlast";
        for capacity in [1, 2, 3, 7, 100] {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, &text[..]), 8);
            let mut found = Vec::new();
            while let Some(line) = lines.next_line().unwrap() {
                found.push(line.map(<[u8]>::to_vec));
            }
            let expected = [Ok(b"one".to_vec()), Ok(vec![]), Err(15), Ok(b"last".to_vec())];
            assert_eq!(found, expected, "{capacity}");
        }
    }
}
