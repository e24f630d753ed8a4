//! ZIP archives, as ChatGPT and Claude.ai send them.

use std::fs::File;
use std::io::BufReader;

use zip::ZipArchive;

use super::{BUFFER, data_files, tell_others, text};
use crate::found::{Gone, Sink};
use crate::{Format, Place};

/// Reads the texts in an archive, one piece at a time: nothing is unpacked to disk.
pub(super) fn read(
    file: BufReader<File>,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<(), Gone> {
    let mut archive = match ZipArchive::new(file) {
        Ok(archive) => archive,
        Err(error) => {
            return sink.failed(place.clone(), format!("this archive cannot be opened: {error}"));
        }
    };
    // A name that cannot be told is none that an export has.
    let names = archive.file_names().filter_map(Result::ok).filter(|name| !name.ends_with('/'));
    let names: Vec<String> = names.map(|name| name.into_owned()).collect();
    let chosen = data_files(&names);
    for name in &chosen {
        let place = Place::file(format!("{}:{name}", place.file));
        match archive.by_name(name) {
            Ok(entry) => {
                text::read(BufReader::with_capacity(BUFFER, entry), &place, told, sink)?;
            }
            Err(error) => sink.failed(place, format!("cannot be unpacked: {error}"))?,
        }
    }
    tell_others(names.len(), chosen.len(), place, sink)
}
