//! ZIP archives, as ChatGPT and Claude.ai send them.

use std::fs::File;
use std::io::{self, BufReader, Read};

use zip::ZipArchive;

use super::{BUFFER, data_files, tell_others, text};
use crate::found::{Gone, Sink};
use crate::limits::{MAX_ARCHIVE_FILES, MAX_UNPACKED_BYTES};
use crate::{Format, Place};

/// Reads the texts in an archive, one piece at a time: nothing is unpacked to disk.
pub(super) fn read(
    file: BufReader<File>,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<(), Gone> {
    let length = match file.get_ref().metadata() {
        Ok(about) => about.len(),
        Err(error) => return super::unreadable(place.clone(), &error, sink),
    };
    let mut archive = match ZipArchive::new(file) {
        Ok(archive) => archive,
        Err(error) => {
            return sink.failed(place.clone(), format!("this archive cannot be opened: {error}"));
        }
    };
    let mut names: Vec<String> = Vec::new();
    let mut unnamed = 0;
    for name in archive.file_names() {
        match name {
            // Hidden ones are what systems leave in archives, as macOS does beside each file.
            Ok(name) if name.ends_with(['/', '\\']) || is_hidden(&name) => {}
            Ok(name) => names.push(name.into_owned()),
            // A name that cannot be told is none that an export has.
            Err(_) => unnamed += 1,
        }
    }
    if archive.len() > MAX_ARCHIVE_FILES {
        let what = format!("{} files in it; {MAX_ARCHIVE_FILES} are the limit", archive.len());
        return sink.failed(place.clone(), what);
    }
    let chosen = data_files(&names);
    let mut packed = 0_u64;
    let mut left = MAX_UNPACKED_BYTES;
    for name in &chosen {
        let place = Place::file(format!("{}:{name}", place.file));
        match archive.by_name(name) {
            Ok(entry) => {
                packed = packed.saturating_add(entry.compressed_size());
                if packed > length {
                    return sink.failed(place, "files of this archive lie on top of each other");
                }
                let unpacked = Unpacked { entry, left: &mut left };
                text::read(BufReader::with_capacity(BUFFER, unpacked), &place, told, sink)?;
            }
            Err(error) => sink.failed(place, format!("cannot be unpacked: {error}"))?,
        }
    }
    tell_others(names.len() + unnamed, chosen.len(), place, sink)
}

/// A file of an archive, as far as there may be more of it.
struct Unpacked<'l, R> {
    entry: R,
    left: &'l mut u64,
}

impl<R: Read> Read for Unpacked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.entry.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => *self.left = left,
            None => {
                let limit = MAX_UNPACKED_BYTES / (1024 * 1024 * 1024);
                let what = format!(
                    "the archive holds more than {limit} GiB, which is the limit; unpack it"
                );
                return Err(io::Error::other(what));
            }
        }
        Ok(read)
    }
}

fn is_hidden(name: &str) -> bool {
    name.rsplit(['/', '\\']).next().is_some_and(|name| name.starts_with('.'))
}
