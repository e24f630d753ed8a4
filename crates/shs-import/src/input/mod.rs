//! Where conversations are read from: files, folders, archives and streams, told apart by what is in them.

mod archive;
mod broken;
mod columns;
mod folder;
mod text;
mod values;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use crate::database;
use crate::found::{Gone, Sink};
use crate::{Format, Place};

/// How much of a file is asked for at once.
const BUFFER: usize = 256 * 1024;

/// What to import.
pub enum Input {
    /// A file, an archive or a folder.
    Path(PathBuf),
    /// A text that comes through a reader, with a name for reports. A database or an archive has to be a file.
    Reader(String, Box<dyn Read + Send>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Reader(name, _) => f.debug_tuple("Reader").field(name).finish_non_exhaustive(),
        }
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

/// Reads all of an input. Blocks.
pub(crate) fn read(
    input: Input,
    told: Option<Format>,
    runtime: &Handle,
    sink: &Sink,
) -> Result<(), Gone> {
    match input {
        Input::Path(path) => {
            let place = Place::file(path.display().to_string());
            if path.is_dir() {
                folder::read(&path, &place, told, runtime, sink)
            } else {
                file(&path, &place, told, runtime, sink)
            }
        }
        Input::Reader(name, reader) => {
            let place = Place::file(name);
            let mut reader = BufReader::with_capacity(BUFFER, reader);
            match kind(&mut reader) {
                Ok(Kind::Text) => text::read(reader, &place, told, sink),
                Ok(Kind::Database | Kind::Archive | Kind::Columns) => {
                    let what = "a database, an archive or a Parquet file cannot be read from a stream; give the file";
                    sink.failed(place, what)
                }
                Err(error) => unreadable(place, &error, sink),
            }
        }
    }
}

/// Reads a file.
fn file(
    path: &Path,
    place: &Place,
    told: Option<Format>,
    runtime: &Handle,
    sink: &Sink,
) -> Result<(), Gone> {
    let opened = File::open(path).and_then(|file| {
        let mut reader = BufReader::with_capacity(BUFFER, file);
        Ok((kind(&mut reader)?, reader))
    });
    match opened {
        Ok((Kind::Text, reader)) => text::read(reader, place, told, sink),
        Ok((Kind::Database, _)) => database::read(path, place, told, runtime, sink),
        Ok((Kind::Archive, reader)) => match rewound(reader) {
            Ok(file) => archive::read(file, place, told, sink),
            Err(error) => unreadable(place.clone(), &error, sink),
        },
        Ok((Kind::Columns, reader)) => columns::read(reader.into_inner(), place, told, sink),
        Err(error) => unreadable(place.clone(), &error, sink),
    }
}

fn rewound(mut reader: BufReader<File>) -> io::Result<BufReader<File>> {
    reader.rewind()?;
    Ok(reader)
}

fn unreadable(place: Place, error: &io::Error, sink: &Sink) -> Result<(), Gone> {
    sink.failed(place, format!("cannot be read: {error}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Database,
    Archive,
    Columns,
}

/// What a file is, by its first bytes.
fn kind(reader: &mut impl BufRead) -> io::Result<Kind> {
    let first = reader.fill_buf()?;
    Ok(if first.starts_with(b"SQLite format 3\0") {
        Kind::Database
    } else if first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") {
        Kind::Archive
    } else if first.starts_with(b"PAR1") {
        Kind::Columns
    } else {
        Kind::Text
    })
}

/// Which files of an export hold conversations: those named so, as ChatGPT and Claude.ai do, or all that look like data.
fn data_files<N: AsRef<str> + Clone>(names: &[N]) -> Vec<N> {
    let file = |name: &N| {
        let name = name.as_ref();
        // Some archives were made with Windows' separator.
        name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase()
    };
    let is_numbered = |name: &str| {
        let middle = name.strip_prefix("conversations").and_then(|name| name.strip_suffix(".json"));
        middle.is_some_and(|middle| {
            middle.is_empty()
                || middle.strip_prefix('-').is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                })
        })
    };
    let mut named: Vec<N> = names.iter().filter(|name| is_numbered(&file(name))).cloned().collect();
    if named.is_empty() {
        let is_data = |name: &&N| {
            let name = file(name);
            [".json", ".jsonl", ".ndjson", ".csv", ".parquet"].iter().any(|end| name.ends_with(end))
        };
        named = names.iter().filter(is_data).cloned().collect();
    }
    named.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
    named
}

/// Tells what else was there, so that nobody thinks that it was read.
fn tell_others(all: usize, read: usize, place: &Place, sink: &Sink) -> Result<(), Gone> {
    match (all - read, read) {
        (_, 0) => sink.failed(place.clone(), "no file in it holds conversations in a known form"),
        (0, _) => Ok(()),
        (1, _) => sink.note(place.clone(), "one other file in it was not read"),
        (others, _) => {
            sink.note(place.clone(), format!("{others} other files in it were not read"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_conversations_are_chosen() {
        let export = [
            "user.json",
            "conversations-001.json",
            "x/conversations-000.json",
            "conversations-x.json",
        ];
        assert_eq!(data_files(&export), ["conversations-001.json", "x/conversations-000.json"]);
        assert_eq!(data_files(&["b.json", "a.JSONL", "c.png"]), ["a.JSONL", "b.json"]);
    }
}
