//! What is on disk, and how a batch comes there: by the journal, or file by file where that does not pay.

use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use shs_store::SessionKey;
use uuid::Uuid;

use crate::folder::{Folder, OpenFile};
use crate::journal::record::Record;
use crate::journal::{JOURNAL, Journal, replay};
use crate::sync::sync_all;

/// What one batch wrote into one file.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) file: Arc<OpenFile>,
    pub(crate) name: String,
    pub(crate) incarnation: Uuid,
    /// How long the file was before.
    pub(crate) before: u64,
    /// From where on the file was not on disk before.
    pub(crate) from: u64,
    /// What stands from there on; nothing if there is so much that the file itself is to be synced.
    pub(crate) bytes: Option<Vec<u8>>,
}

/// What came of bringing a batch to the disk.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// What is on disk, each with how long its file was before.
    pub(crate) done: Vec<(SessionKey, u64)>,
    pub(crate) failed: Vec<Failed>,
}

/// A file that could not be synced.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) key: SessionKey,
    /// How long the file was before.
    pub(crate) before: u64,
    pub(crate) error: io::Error,
}

/// Most bytes of one file that go through the journal; more are synced in their place, where they are written once.
pub(crate) const MOST_BYTES: u64 = 256 * 1024;
/// Bytes of records in the first journal. Each that was too short is followed by one that has [`GROWTH`] times as many.
const FIRST: u64 = 256 * 1024;
const GROWTH: u64 = 8;
const MOST_RECORDS: u64 = 16 * 1024 * 1024;
/// Most files that only the journal keeps on disk; each is held open, so that no error of its disk is missed.
const MOST_FILES: usize = 256;
/// Most buffers that are kept for the next lines, and the most memory of each, in bytes.
const MOST_BUFFERS: usize = 128;
const MOST_MEMORY: usize = 8 * 1024;

/// The journal, and the files of which it keeps on disk what they do not have there themselves.
#[derive(Debug)]
pub(crate) struct Disk {
    journal: Option<Journal>,
    /// By name.
    files: HashMap<String, Arc<OpenFile>>,
    /// Whether a file's sync failed, after which it may have lost what only the journal has.
    is_file_in_doubt: bool,
    /// Whether a write to the journal failed: it has to go before anything is acknowledged.
    is_journal_in_doubt: bool,
    /// How many bytes of records the next journal takes.
    next: u64,
    /// Whether journals grow.
    grows: bool,
    /// What earlier batches had their lines in.
    buffers: Vec<Vec<u8>>,
    /// How many bytes are still synced file by file before a journal is tried again, after one could not be made.
    pause: u64,
}

impl Disk {
    /// Nothing is there but what is on disk. `journal` is the length of every journal, where it is not left to us.
    pub(crate) fn new(journal: Option<u64>) -> Self {
        Self {
            journal: None,
            files: HashMap::new(),
            is_file_in_doubt: false,
            is_journal_in_doubt: false,
            next: journal.unwrap_or(FIRST),
            grows: journal.is_none(),
            buffers: Vec::new(),
            pause: 0,
        }
    }

    /// Brings a batch to the disk.
    pub(crate) fn commit(
        &mut self,
        folder: &Folder,
        mut batch: HashMap<SessionKey, Written>,
    ) -> Committed {
        if batch.is_empty() {
            return Committed::default();
        }
        let large = batch.extract_if(|_, written| written.bytes.is_none()).collect();
        let mut committed = Committed::default();
        self.sync(large, &mut committed);
        self.commit_small(folder, batch, &mut committed);
        // What is on disk somewhere else is not acknowledged.
        if let Err(error) = self.check_place(folder) {
            let failed = |(key, before)| Failed { key, before, error: again(&error) };
            committed.failed.extend(committed.done.drain(..).map(failed));
        }
        committed
    }

    fn commit_small(
        &mut self,
        folder: &Folder,
        batch: HashMap<SessionKey, Written>,
        committed: &mut Committed,
    ) {
        let bytes = batch.values().map(|written| written.record().length()).sum::<usize>();
        if bytes == 0 || !self.has_journal(folder, bytes as u64) {
            return self.sync(batch, committed);
        }
        let journal = self.journal.as_mut().expect("it was just found or made");
        let new = batch.values().filter(|written| !self.files.contains_key(&written.name)).count();
        let is_full = !journal.has_room(bytes);
        if is_full || self.files.len() + new > MOST_FILES {
            self.sync(batch, committed);
            // What fails here is tried again before the next write.
            let _ = if is_full { self.grow(folder) } else { self.start_over(folder) };
            return;
        }
        let written = journal.write(batch.values().map(Written::record));
        self.is_journal_in_doubt = written.is_err();
        for (key, Written { file, name, before, bytes, .. }) in batch {
            self.keep(bytes);
            self.files.insert(name, file);
            match &written {
                Ok(()) => committed.done.push((key, before)),
                Err(error) => committed.failed.push(Failed { key, before, error: again(error) }),
            }
        }
    }

    /// That folder and journal are where they were opened.
    fn check_place(&mut self, folder: &Folder) -> io::Result<()> {
        folder.check_place()?;
        let Some(journal) = &self.journal else { return Ok(()) };
        // The files are synced before anything else is acknowledged, and another journal is made.
        journal.check_place(folder).inspect_err(|_| self.is_journal_in_doubt = true)
    }

    /// Syncs files in their place.
    fn sync(&mut self, batch: HashMap<SessionKey, Written>, committed: &mut Committed) {
        let results =
            sync_all(&batch.values().map(|written| &written.file.file).collect::<Vec<_>>());
        for ((key, Written { name, before, .. }), result) in batch.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    self.files.remove(&name);
                    committed.done.push((key, before));
                }
                Err(error) => {
                    self.is_file_in_doubt |= self.files.contains_key(&name);
                    committed.failed.push(Failed { key, before, error });
                }
            }
        }
    }

    /// Whether there is a journal; one is made if there is none, but not on a disk that has just refused it.
    fn has_journal(&mut self, folder: &Folder, bytes: u64) -> bool {
        if self.journal.is_none() {
            self.pause = self.pause.saturating_sub(bytes);
            if self.pause > 0 {
                return false;
            }
            match Journal::make(folder, self.next) {
                Ok(journal) => self.journal = Some(journal),
                Err(error) => {
                    tracing::warn!(%error, "no journal could be made; each file is synced by itself");
                    self.pause = MOST_RECORDS;
                    // It may have come as far as its name.
                    self.is_journal_in_doubt = true;
                }
            }
        }
        self.journal.is_some()
    }

    /// Puts in order what failed before.
    pub(crate) fn settle(&mut self, folder: &Folder) -> io::Result<()> {
        if self.is_journal_in_doubt {
            return self.remove_journal(folder);
        }
        if self.is_file_in_doubt { self.start_over(folder) } else { Ok(()) }
    }

    /// Brings to the disk, in its place, what only the journal keeps there.
    fn sync_files(&mut self, folder: &Folder) -> io::Result<()> {
        if let Some(journal) = self.journal.as_ref().filter(|_| self.is_file_in_doubt) {
            replay(folder, journal.end()).map_err(io::Error::other)?;
        } else {
            let results = sync_all(&self.files.values().map(|file| &file.file).collect::<Vec<_>>());
            let failed = results.into_iter().find_map(Result::err);
            self.is_file_in_doubt = failed.is_some();
            failed.map_or(Ok(()), Err)?;
        }
        self.files.clear();
        self.is_file_in_doubt = false;
        Ok(())
    }

    /// Has the files keep everything themselves, and the journal empty.
    pub(crate) fn start_over(&mut self, folder: &Folder) -> io::Result<()> {
        self.sync_files(folder)?;
        match &mut self.journal {
            Some(journal) => journal.start_over().inspect_err(|_| self.is_journal_in_doubt = true),
            None => Ok(()),
        }
    }

    /// Has a longer journal follow the one that was too short.
    fn grow(&mut self, folder: &Folder) -> io::Result<()> {
        if !self.grows || self.next == MOST_RECORDS {
            return self.start_over(folder);
        }
        self.next = (self.next * GROWTH).min(MOST_RECORDS);
        self.remove_journal(folder)
    }

    /// Has the files keep everything themselves, and no journal.
    pub(crate) fn remove_journal(&mut self, folder: &Folder) -> io::Result<()> {
        self.sync_files(folder)?;
        if self.journal.is_some() || self.is_journal_in_doubt {
            self.is_journal_in_doubt = true;
            // Closed before, so that its name is free in any case.
            self.journal = None;
            folder.remove(JOURNAL)?;
            folder.sync_names()?;
            self.is_journal_in_doubt = false;
        }
        Ok(())
    }

    /// An empty buffer for lines, whose memory was used before if there is one.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Keeps the memory of lines that are in the journal.
    fn keep(&mut self, bytes: Option<Vec<u8>>) {
        if let Some(mut bytes) = bytes
            && self.buffers.len() < MOST_BUFFERS
        {
            bytes.clear();
            bytes.shrink_to(MOST_MEMORY);
            self.buffers.push(bytes);
        }
    }

    /// A file that is open because the journal keeps some of it.
    pub(crate) fn open_file(&self, name: &str) -> Option<Arc<OpenFile>> {
        self.files.get(name).map(Arc::clone)
    }

    /// Forgets a file that is deleted, or replaced by one that is on disk.
    pub(crate) fn forget(&mut self, name: &str) {
        self.files.remove(name);
    }
}

impl Written {
    fn record(&self) -> Record<'_> {
        let Self { name, incarnation, from, bytes, .. } = self;
        let bytes = bytes.as_deref().unwrap_or_default();
        Record { name, incarnation: *incarnation, at: *from, bytes }
    }
}

/// An error once more, for another caller.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
