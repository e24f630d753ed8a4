//! Folders: an export that was unpacked, or a file for each conversation, as the Python package keeps them.

use std::io;
use std::path::Path;

use tokio::runtime::Handle;

use super::{data_files, file, tell_others, unreadable};
use crate::found::{Gone, Sink};
use crate::{Format, Place};

/// Reads the files of a folder, by their names, but none below it.
pub(super) fn read(
    folder: &Path,
    place: &Place,
    told: Option<Format>,
    runtime: &Handle,
    sink: &Sink,
) -> Result<(), Gone> {
    if folder.join("shs-fs.format").exists() {
        let what = "this folder is a store; name it with --store fs:FOLDER and copy it";
        return sink.failed(place.clone(), what);
    }
    let names = match names(folder) {
        Ok(names) => names,
        Err(error) => return unreadable(place.clone(), &error, sink),
    };
    let chosen = data_files(&names);
    for name in &chosen {
        let path = folder.join(name);
        let place = Place::file(path.display().to_string());
        file(&path, &place, told, runtime, sink)?;
    }
    tell_others(names.len(), chosen.len(), place, sink)
}

/// The files, without those that are hidden. A name that is no text is none that an export has.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}
