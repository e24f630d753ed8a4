//! What a process did, in a file, so that it is known when the process is killed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Result, Write};
use std::path::Path;

use super::{Entry, Log, NEVER};

/// Writes the entries of a task into a file, a line each: a write when it begins, and everything when it has ended.
#[derive(Debug)]
pub struct Written {
    file: File,
}

impl Written {
    /// Writes into a new file.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(path: &Path) -> Result<Self> {
        Ok(Self { file: File::create_new(path)? })
    }

    fn write(&mut self, entry: &Entry) {
        let mut line = serde_json::to_vec(entry).expect("an entry is plain");
        line.push(b'\n');
        self.file.write_all(&line).expect("there is room for the history");
    }
}

impl Log for Written {
    fn begin(&mut self, entry: &Entry) {
        self.write(entry);
    }

    fn end(&mut self, entry: Entry) {
        if entry.ended != NEVER {
            self.write(&entry);
        }
    }
}

/// Reads what a task wrote. A last line that is not whole was never said.
///
/// # Errors
/// If the file cannot be read.
///
/// # Panics
/// If it holds anything else.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let read = |line| serde_json::from_str(line).expect("a whole line is an entry");
    let mut entries: Vec<Entry> = whole.lines().map(read).collect();
    // What has ended is there twice: as it began, too.
    let ended = entries.iter().filter(|entry| entry.ended != NEVER);
    let ended: HashSet<u64> = ended.map(|entry| entry.began).collect();
    entries.retain(|entry| entry.ended != NEVER || !ended.contains(&entry.began));
    Ok(entries)
}
