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
    let mut names: Vec<String> = Vec::new();
    let mut unnamed = 0;
    for name in archive.file_names() {
        match name {
            // Hidden ones are what systems leave in archives, as macOS does beside each file.
            Ok(name) if name.ends_with('/') || is_hidden(&name) => {}
            Ok(name) => names.push(name.into_owned()),
            // A name that cannot be told is none that an export has.
            Err(_) => unnamed += 1,
        }
    }
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
    tell_others(names.len() + unnamed, chosen.len(), place, sink)
}

fn is_hidden(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|name| name.starts_with('.'))
}
