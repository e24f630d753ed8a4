//! Power cuts: what a process did to its files is recorded, and cut off anywhere; then files are made as a disk
//! may hold them after a power cut there.
//!
//! The disk that is assumed keeps what was synced, and of what was not: nothing, or the first so many operations,
//! or any of them with each write torn at a sector of 512 bytes. Names (files made, renamed, removed) are kept in
//! order up to somewhere, and for certain up to the last sync of their folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shim::compile;

/// One thing that the process did.
#[derive(Clone, Debug)]
pub enum Event {
    /// It made a file.
    Create(PathBuf),
    /// It wrote data at an offset.
    Write(PathBuf, usize, Vec<u8>),
    /// It cut or grew a file to a length.
    Truncate(PathBuf, usize),
    /// It synced a file or a folder.
    Sync(PathBuf),
    /// It renamed a file.
    Rename(PathBuf, PathBuf),
    /// It removed a file.
    Remove(PathBuf),
    /// It printed something.
    Print(String),
}

/// Runs a program with its work on a folder recorded.
///
/// `scratch` is a folder for the recorder itself.
///
/// # Errors
/// Without a C compiler.
///
/// # Panics
/// If the program fails.
pub fn record(
    program: &str,
    arguments: &[&str],
    folder: &Path,
    scratch: &Path,
) -> Result<Vec<Event>, String> {
    let shim = compile("record_io", scratch)?;
    let log = tempfile::NamedTempFile::new_in(scratch).map_err(|error| error.to_string())?;
    let status = Command::new(program)
        .args(arguments)
        .env("LD_PRELOAD", &shim)
        .env("RECORD_FOLDER", folder)
        .env("RECORD_LOG", log.path())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| error.to_string())?;
    assert!(status.success(), "the recorded program fails: {status}");
    Ok(read(&std::fs::read(log.path()).expect("the record can be read")))
}

fn read(mut log: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((operation, rest)) = log.split_first() {
        let (lengths, rest) = rest.split_at(4);
        let (numbers, rest) = rest.split_at(16);
        let length = |at: usize| usize::from(u16::from_ne_bytes([lengths[at], lengths[at + 1]]));
        let number = |at: usize| {
            let bytes = numbers[at..at + 8].try_into().expect("it has eight bytes");
            usize::try_from(i64::from_ne_bytes(bytes)).expect("it is not negative")
        };
        let (path, rest) = rest.split_at(length(0));
        let (other, rest) = rest.split_at(length(2));
        let (data, rest) = rest.split_at(number(8));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
        let path = PathBuf::from(text(path));
        events.push(match operation {
            b'C' => Event::Create(path),
            b'W' => Event::Write(path, number(0), data.to_vec()),
            b'T' => Event::Truncate(path, number(0)),
            b'S' => Event::Sync(path),
            b'R' => Event::Rename(path, PathBuf::from(text(other))),
            b'U' => Event::Remove(path),
            b'A' => Event::Print(text(data)),
            other => panic!("an unknown event {other}"),
        });
        log = rest;
    }
    events
}

/// What happens to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsynced {
    /// It is lost.
    Lost,
    /// The first so many operations are kept.
    Prefix,
    /// Any operations are kept, and writes torn.
    Subset,
}

/// Numbers that look random, the same for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins anew from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from 0 up, below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// A disk on which recorded events happen.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The synced content of each file there is or was, by its number.
    contents: Vec<Vec<u8>>,
    /// What was done to each file and not synced.
    pending: Vec<Vec<Change>>,
    /// The names that are certain.
    names: BTreeMap<PathBuf, usize>,
    /// Changes to names that are not.
    renaming: Vec<Naming>,
    /// The names as the process sees them.
    current: BTreeMap<PathBuf, usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                if content.len() < at + data.len() {
                    content.resize(at + data.len(), 0);
                }
                content[*at..at + data.len()].copy_from_slice(data);
            }
            Self::Truncate(length) => content.resize(*length, 0),
        }
    }

    /// With some of its sectors missing.
    fn torn(&self, dice: &mut Dice) -> Vec<Self> {
        const SECTOR: usize = 512;
        match self {
            Self::Write(at, data) => {
                let mut kept = Vec::new();
                let mut from = 0;
                while from < data.len() {
                    let to = (from + SECTOR - (at + from) % SECTOR).min(data.len());
                    if dice.below(3) > 0 {
                        kept.push(Self::Write(at + from, data[from..to].to_vec()));
                    }
                    from = to;
                }
                // The file's length is kept with the last sector or without it.
                kept
            }
            Self::Truncate(_) => vec![self.clone()],
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Create(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(path) => drop(names.remove(path)),
        }
    }

    /// The name that is there, or gone, after it.
    fn path(&self) -> &Path {
        match self {
            Self::Create(path, _) | Self::Rename(_, path) | Self::Remove(path) => path,
        }
    }
}

impl Disk {
    /// A disk that holds the files of a folder, synced.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn of_folder(folder: &Path) -> Self {
        let mut disk = Self::default();
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                let inner = Self::of_folder(&path);
                for (path, file) in inner.names {
                    disk.add(path, inner.contents[file].clone());
                }
            } else {
                let content = std::fs::read(&path).expect("the file can be read");
                disk.add(path, content);
            }
        }
        disk
    }

    fn add(&mut self, path: PathBuf, content: Vec<u8>) {
        self.names.insert(path.clone(), self.contents.len());
        self.current.insert(path, self.contents.len());
        self.contents.push(content);
        self.pending.push(Vec::new());
    }

    /// Lets an event happen.
    pub fn happen(&mut self, event: &Event) {
        match event {
            Event::Create(path) => {
                let file = self.contents.len();
                self.contents.push(Vec::new());
                self.pending.push(Vec::new());
                self.rename(Naming::Create(path.clone(), file));
            }
            Event::Write(path, at, data) => self.change(path, Change::Write(*at, data.clone())),
            Event::Truncate(path, length) => self.change(path, Change::Truncate(*length)),
            Event::Sync(path) => self.sync(path),
            Event::Rename(from, to) => self.rename(Naming::Rename(from.clone(), to.clone())),
            Event::Remove(path) => self.rename(Naming::Remove(path.clone())),
            Event::Print(_) => {}
        }
    }

    fn rename(&mut self, naming: Naming) {
        naming.apply(&mut self.current);
        self.renaming.push(naming);
    }

    fn change(&mut self, path: &Path, change: Change) {
        if let Some(file) = self.current.get(path) {
            self.pending[*file].push(change);
        }
    }

    fn sync(&mut self, path: &Path) {
        if let Some(file) = self.current.get(path) {
            for change in std::mem::take(&mut self.pending[*file]) {
                change.apply(&mut self.contents[*file]);
            }
        } else {
            // A folder: the names in it are certain, and those in others are as they were.
            let (synced, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.renaming)
                .into_iter()
                .partition(|naming| naming.path().parent() == Some(path));
            synced.iter().for_each(|naming| naming.apply(&mut self.names));
            self.renaming = others;
        }
    }

    /// Writes what a disk may hold after a power cut now into another folder; `root` is the recorded one.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn cut(&self, unsynced: Unsynced, dice: &mut Dice, root: &Path, into: &Path) {
        let mut names = self.names.clone();
        let kept = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Prefix | Unsynced::Subset => dice.below(self.renaming.len() + 1),
        };
        self.renaming[..kept].iter().for_each(|naming| naming.apply(&mut names));
        for (path, file) in names {
            let mut content = self.contents[file].clone();
            for change in self.survivors(file, unsynced, dice) {
                change.apply(&mut content);
            }
            let path = into.join(path.strip_prefix(root).expect("it is below the recorded folder"));
            let parent = path.parent().expect("a file is in a folder");
            std::fs::create_dir_all(parent).expect("the folder can be made");
            std::fs::write(path, content).expect("the file can be written");
        }
    }

    fn survivors(&self, file: usize, unsynced: Unsynced, dice: &mut Dice) -> Vec<Change> {
        let pending = &self.pending[file];
        match unsynced {
            Unsynced::Lost => Vec::new(),
            Unsynced::Prefix => pending[..dice.below(pending.len() + 1)].to_vec(),
            Unsynced::Subset => {
                let mut kept = Vec::new();
                for change in pending {
                    match dice.below(3) {
                        0 => {}
                        1 => kept.push(change.clone()),
                        _ => kept.extend(change.torn(dice)),
                    }
                }
                kept
            }
        }
    }
}
