//! The journal: one file, of a length that stays, which takes every batch's lines with one sync.
//!
//! The lines are in the conversations' files too, written but not synced; the journal is what a power cut leaves of them.
//! As it overwrites bytes that the file already has, its sync brings no metadata to the disk. When it is full the
//! conversations' files are synced, and it starts over: a number in its head, the epoch, tells its
//! records from those that stood there before.
//!
//! The head has 4,096 bytes: `shs-fs journal 1` and a line break, the epoch (8 bytes, little-endian), and a checksum of both (4
//! bytes). [`record`] has the rest.

pub(crate) mod record;
mod replay;

use std::fs::{File, OpenOptions};
use std::io;

use shs_files::{Identity, write_all_at};

use crate::folder::{Folder, check_place};
use crate::journal::record::Record;
pub(crate) use crate::journal::replay::{Waiting, apply, recover, replay, waiting};

/// The journal's name.
pub(crate) const JOURNAL: &str = ".journal";
/// What every version's journal begins with.
const FORMAT: &[u8] = b"shs-fs journal ";
/// What this version's does.
const HEADING: &[u8; 17] = b"shs-fs journal 1\n";
/// Where the first record stands: not in a block that the head is in.
const HEAD: u64 = 4_096;

/// How much memory is kept for the next write, in bytes.
const MOST_MEMORY: usize = 1024 * 1024;

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    identity: Option<Identity>,
    length: u64,
    epoch: u64,
    /// Where the next record goes; what is before it is on disk.
    end: u64,
    /// What was written last, for its memory to be used again.
    buffer: Vec<u8>,
}

impl Journal {
    /// Makes one in which so many bytes of records have place.
    pub(crate) fn make(folder: &Folder, bytes: u64) -> io::Result<Self> {
        let length = HEAD + bytes;
        let mut content = head(1);
        content.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        folder.publish(JOURNAL, &content)?;
        let file = OpenOptions::new().write(true).open(folder.path_of(JOURNAL))?;
        let identity = Identity::of_file(&file).ok();
        Ok(Self { file, identity, length, epoch: 1, end: HEAD, buffer: Vec::new() })
    }

    /// That the journal is still at its path.
    pub(crate) fn check_place(&self, folder: &Folder) -> io::Result<()> {
        check_place(&folder.path_of(JOURNAL), self.identity)
    }

    /// Whether records of so many bytes have place.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.end + bytes as u64 <= self.length
    }

    /// Brings records to the disk. If that fails it is not known what of them is there, and the journal is not to be
    /// used any more.
    pub(crate) fn write<'r>(
        &mut self,
        records: impl Iterator<Item = Record<'r>>,
    ) -> io::Result<()> {
        self.buffer.clear();
        for record in records {
            record.write(self.epoch, self.end, &mut self.buffer);
        }
        write_all_at(&self.file, self.end, &self.buffer)?;
        self.file.sync_data()?;
        self.end += self.buffer.len() as u64;
        self.buffer.shrink_to(MOST_MEMORY);
        Ok(())
    }

    /// Starts over, when nothing in it is needed any more. If that fails it is not known which epoch the disk has, and
    /// the journal is not to be used any more.
    pub(crate) fn start_over(&mut self) -> io::Result<()> {
        if self.end == HEAD {
            return Ok(());
        }
        write_all_at(&self.file, 0, &head(self.epoch + 1))?;
        self.file.sync_data()?;
        self.epoch += 1;
        self.end = HEAD;
        Ok(())
    }

    /// Up to where it is on disk.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }
}

/// The bytes of the head, which fit into one sector.
fn head(epoch: u64) -> Vec<u8> {
    let mut head = HEADING.to_vec();
    head.extend_from_slice(&epoch.to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
    head
}
