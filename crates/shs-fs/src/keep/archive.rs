//! The file that a backup is: a tar archive of the folder's files, which any `tar` unpacks into a folder that opens.
//!
//! First comes `shs-fs.format`, then each conversation's file, as far as it counts, then `.arrivals` if there is one, and last
//! `.backup`, which says how many there were:
//!
//! ```text
//! {"format":"shs-fs backup","version":1,"sessions":2,"messages":17,"crc":"9f3a1b2c"}
//! ```
//!
//! A tar archive that is cut off between two files looks whole; one without `.backup` is not. What is in the files has checksums
//! in each line. The files are kept as they are, and not conversations as an export has them, since they have what no export has:
//! the order of arrival, by which cursors go, and what was appended under each id, by which a repeated append is known.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use shs_store::{Error, ErrorKind, Result};
use tar::{Archive, Builder, EntryType, Header};

use crate::arrivals::ARRIVALS;
use shs_files::{create_folder, create_new, sync_folder};

use crate::folder::{MARKER, format, unavailable};
use crate::line::{checked, write_checked};
use crate::name::{is_conversation, split};

/// The last entry's name.
const END: &str = ".backup";
/// The version of the archive.
const VERSION: u64 = 1;
/// How the last entry is known.
const FORMAT: &str = "shs-fs backup";

/// What the last entry says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    format: String,
    version: u64,
    pub(super) sessions: u64,
    pub(super) messages: u64,
}

/// An archive that is being written.
pub(super) struct Writer<W: Write> {
    tar: Builder<W>,
    sessions: u64,
    messages: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> io::Result<Self> {
        let mut writer = Self { tar: Builder::new(to), sessions: 0, messages: 0 };
        let format = format();
        writer.entry(MARKER, format.len() as u64, format.as_bytes())?;
        Ok(writer)
    }

    /// Adds a conversation's file of so many bytes, with so many messages.
    pub(super) fn conversation(
        &mut self,
        name: &str,
        length: u64,
        bytes: impl Read,
        messages: u64,
    ) -> io::Result<()> {
        self.sessions += 1;
        self.messages += messages;
        self.entry(name, length, bytes)
    }

    /// Adds the note of the numbers that were given.
    pub(super) fn arrivals(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.entry(ARRIVALS, bytes.len() as u64, bytes)
    }

    /// Ends the archive; returns how many sessions and messages are in it.
    pub(super) fn end(mut self) -> io::Result<(u64, u64)> {
        let Self { sessions, messages, .. } = self;
        let end = End { format: FORMAT.to_owned(), version: VERSION, sessions, messages };
        let mut line = Vec::new();
        write_checked(&end, &mut line);
        self.entry(END, line.len() as u64, &line[..])?;
        self.tar.into_inner()?.flush()?;
        Ok((sessions, messages))
    }

    fn entry(&mut self, name: &str, length: u64, bytes: impl Read) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(length);
        header.set_mode(0o600);
        header.set_mtime(0);
        let mut bytes = Counted { bytes, left: length };
        self.tar.append_data(&mut header, name, &mut bytes)?;
        if bytes.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// So many bytes and no more.
struct Counted<R> {
    bytes: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.bytes.read(&mut into[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Whether some bytes begin as an archive does, with the format file.
pub(super) fn is_archive(head: &[u8]) -> bool {
    head.starts_with(MARKER.as_bytes())
        && head.get(MARKER.len()) == Some(&0)
        && head.get(257..262) == Some(b"ustar")
}

/// Unpacks an archive into an empty folder, and has it on disk there.
///
/// # Errors
/// `Corrupt` if it is damaged, cut off or none; `Unsupported` if a newer version wrote it.
pub(super) fn unpack(archive: &Path, into: &Path) -> Result<End> {
    let damaged = |error: io::Error| not_whole(archive).with_source(error);
    let file = File::open(archive).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            let detail = format!("there is no backup {}", archive.display());
            return Error::new(ErrorKind::NotFound, detail).with_source(error);
        }
        unavailable(&format!("{} cannot be read", archive.display()), error)
    })?;
    let mut tar = Archive::new(BufReader::new(file));
    let (mut end, mut number, mut sessions) = (None, 0_u64, 0);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path_bytes().into_owned();
        let name = String::from_utf8(path).map_err(|_| not_whole(archive))?;
        let is_first = number == 0;
        number += 1;
        let is_plain = entry.header().entry_type() == EntryType::Regular;
        if !is_plain || is_first != (name == MARKER) || end.is_some() {
            return Err(not_whole(archive));
        }
        let length = entry.header().size().map_err(damaged)?;
        if name == END {
            let mut line = Vec::new();
            entry.read_to_end(&mut line).map_err(damaged)?;
            end = Some(read_end(archive, &line)?);
            continue;
        }
        let is_ours = name == MARKER || name == ARRIVALS;
        let (folder, file) = split(&name);
        if !is_ours && (!is_conversation(&name) || file.starts_with('.')) {
            return Err(not_whole(archive));
        }
        sessions += u64::from(!is_ours);
        let mut write = || {
            create_folder(&into.join(folder))?;
            let mut file = create_new(&into.join(&name))?;
            let written = io::copy(&mut entry, &mut file)?;
            file.sync_all()?;
            Ok(written)
        };
        let written = write().map_err(|error: io::Error| match error.kind() {
            // How the archive's end is told, and that it is damaged.
            io::ErrorKind::Other | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                not_whole(archive).with_source(error)
            }
            _ => unavailable("the backup cannot be unpacked", error),
        })?;
        if written != length {
            return Err(not_whole(archive));
        }
    }
    sync_tree(into).map_err(|error| unavailable("the backup cannot be unpacked", error))?;
    end.filter(|end| end.sessions == sessions).ok_or_else(|| not_whole(archive))
}

/// Waits until all folders of a tree are on disk.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_folder(folder)
}

fn read_end(archive: &Path, line: &[u8]) -> Result<End> {
    let line = line.strip_suffix(b"\n").unwrap_or_default();
    let end: End = checked(line).map_err(|error| not_whole(archive).with_source(error))?;
    match (end.format.as_str(), end.version) {
        (FORMAT, VERSION) => Ok(end),
        (FORMAT, newer) if newer > VERSION => {
            let detail = format!("{} is of a newer version of the library", archive.display());
            Err(Error::new(ErrorKind::Unsupported, detail))
        }
        _ => Err(not_whole(archive)),
    }
}

fn not_whole(archive: &Path) -> Error {
    Error::corrupt(format!("{} is not a whole backup of a folder", archive.display()))
}

/// Reads how an archive begins.
pub(super) fn head(archive: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    fs::File::open(archive)?.take(512).read_to_end(&mut head)?;
    Ok(head)
}
