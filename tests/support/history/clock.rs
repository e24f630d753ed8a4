//! A clock that all tasks of all processes share, and that no load can confuse.

use std::fs::{File, OpenOptions};
use std::io::{Result, Seek, Write};
use std::path::Path;

/// Counts: each tick is later than every tick that was over when it began.
///
/// A tick appends a byte to a file that all clocks share; the file's length is the time
/// (<https://man7.org/linux/man-pages/man2/open.2.html>, `O_APPEND`).
#[derive(Debug)]
pub struct Clock {
    file: File,
}

impl Clock {
    /// A clock on a file, which is made if it is missing. Each task has one of its own.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn new(path: &Path) -> Result<Self> {
        Ok(Self { file: OpenOptions::new().create(true).append(true).open(path)? })
    }

    /// The next time.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn tick(&mut self) -> Result<u64> {
        self.file.write_all(b".")?;
        self.file.stream_position()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_ticks_are_one_and_later_is_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mut clock = Clock::new(&path).unwrap();
                std::thread::spawn(move || (0..500).map(|_| clock.tick().unwrap()).collect())
            })
            .collect();
        let mut all = BTreeSet::new();
        for thread in threads {
            let ticks: Vec<u64> = thread.join().unwrap();
            assert!(ticks.is_sorted());
            all.extend(ticks);
        }
        assert!(all.into_iter().eq(1..=2_000));
    }
}
