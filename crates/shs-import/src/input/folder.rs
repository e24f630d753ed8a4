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
    let (names, folders) = match names(folder) {
        Ok(names) => names,
        Err(error) => return unreadable(place.clone(), &error, sink),
    };
    let chosen = data_files(&names);
    for name in &chosen {
        let path = folder.join(name);
        let place = Place::file(path.display().to_string());
        file(&path, &place, told, runtime, sink)?;
    }
    match folders {
        0 => {}
        1 => sink.note(place.clone(), "one folder in it was not read; name it too")?,
        more => {
            sink.note(place.clone(), format!("{more} folders in it were not read; name them"))?
        }
    }
    tell_others(names.len(), chosen.len(), place, sink)
}

/// The files, and how many folders there are, without those that are hidden. A name that is no text is none that an export
/// has.
fn names(folder: &Path) -> io::Result<(Vec<String>, usize)> {
    let (mut names, mut folders) = (Vec::new(), 0);
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            folders += 1;
        } else {
            names.push(name);
        }
    }
    Ok((names, folders))
}
