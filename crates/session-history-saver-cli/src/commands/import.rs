//! `shs import`.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserializer;
use serde::de::{SeqAccess, Visitor};
use serde_json::Value;
use session_history_saver::{ErrorKind, ImportMode, SessionTracker, StoreExt, Transcript};
use tokio::sync::mpsc;

use crate::arguments::Import;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// What became of the conversations.
#[derive(Default, serde::Serialize)]
struct Report {
    imported: u64,
    already_there: u64,
    updated: u64,
    skipped: u64,
    failed: u64,
}

/// A conversation of a file and its place there, or why there is none.
type Read = std::result::Result<(String, Transcript), String>;

pub(super) async fn run(
    history: &SessionTracker,
    arguments: Import,
    output: &mut Output,
) -> Result<()> {
    let mut report = Report::default();
    for file in &arguments.files {
        let mut conversations = read(file.clone());
        while let Some(read) = conversations.recv().await {
            let (place, transcript) = match read {
                Ok(read) => read,
                Err(problem) => {
                    report.failed += 1;
                    eprintln!("{}: {problem}", file.display());
                    continue;
                }
            };
            let id = transcript.session.id.clone();
            match import(history, transcript, &arguments).await {
                Ok(Outcome::Imported) => report.imported += 1,
                Ok(Outcome::AlreadyThere) => report.already_there += 1,
                Ok(Outcome::Updated) => report.updated += 1,
                Ok(Outcome::Differs) => {
                    report.skipped += 1;
                    let path = file.display();
                    eprintln!(
                        "{path}: {place}: {id} is there already and differs; --overwrite replaces it"
                    );
                }
                Err(Failure::Store(error)) if error.kind() == ErrorKind::InvalidInput => {
                    report.failed += 1;
                    eprintln!("{}: {place}: {error}", file.display());
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    tell(&report, arguments.dry_run, output)?;
    match report.failed {
        0 => Ok(()),
        1 => Err(Failure::Failed("one conversation could not be imported".to_owned())),
        failed => Err(Failure::Failed(format!("{failed} conversations could not be imported"))),
    }
}

fn tell(report: &Report, is_dry_run: bool, output: &mut Output) -> Result<()> {
    if output.is_json() {
        return Ok(output.json(report)?);
    }
    let Report { imported, already_there, updated, skipped, failed } = report;
    let would = if is_dry_run { "would be imported" } else { "imported" };
    Ok(output.line(&format!(
        "{would}: {imported}, already there: {already_there}, updated: {updated}, skipped: {skipped}, failed: {failed}"
    ))?)
}

enum Outcome {
    Imported,
    AlreadyThere,
    Updated,
    Differs,
}

async fn import(
    history: &SessionTracker,
    transcript: Transcript,
    arguments: &Import,
) -> Result<Outcome> {
    let there = match history.store().transcript(&transcript.session.id).await {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let (mode, outcome) = match there {
        None => (ImportMode::CreateOnly, Outcome::Imported),
        Some(there) if is_same(&there, &transcript) => return Ok(Outcome::AlreadyThere),
        Some(_) if arguments.overwrite => (ImportMode::Overwrite, Outcome::Updated),
        Some(_) => return Ok(Outcome::Differs),
    };
    if !arguments.dry_run {
        history.import_session(transcript, mode).await?;
    }
    Ok(outcome)
}

/// Whether a conversation is what is stored. Counts are the store's own.
fn is_same(there: &Transcript, new: &Transcript) -> bool {
    let mut session = new.session.clone();
    session.message_count = there.session.message_count;
    session.total_tokens = there.session.total_tokens;
    session.last_seq = there.session.last_seq;
    session == there.session && there.messages == new.messages
}

/// Reads conversations on a thread, a few ahead.
fn read(file: PathBuf) -> mpsc::Receiver<Read> {
    let (tx, rx) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let done = if file == Path::new("-") {
            read_all(io::stdin().lock(), &tx)
        } else {
            File::open(&file)
                .map_err(|error| error.to_string())
                .and_then(|file| read_all(BufReader::new(file), &tx))
        };
        if let Err(problem) = done {
            // Nobody listens any more when the import has failed.
            let _ = tx.blocking_send(Err(problem));
        }
    });
    rx
}

/// Reads an array of conversations, or one after the other, as JSON Lines has them.
fn read_all(mut reader: impl BufRead, tx: &mpsc::Sender<Read>) -> std::result::Result<(), String> {
    let first = loop {
        let bytes = reader.fill_buf().map_err(|error| error.to_string())?;
        match bytes
            .iter()
            .position(|byte| !byte.is_ascii_whitespace() && !BYTE_ORDER_MARK.contains(byte))
        {
            Some(at) => {
                let first = bytes[at];
                reader.consume(at);
                break first;
            }
            None if bytes.is_empty() => return Err("the file is empty".to_owned()),
            None => {
                let length = bytes.len();
                reader.consume(length);
            }
        }
    };
    let mut each = Each { tx, number: 0 };
    let done = if first == b'[' {
        serde_json::Deserializer::from_reader(reader).deserialize_seq(&mut each)
    } else {
        let mut values = serde_json::Deserializer::from_reader(reader).into_iter::<Value>();
        values.try_for_each(|value| {
            each.take(value?);
            Ok(())
        })
    };
    done.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_eof() { "the JSON is cut off" } else { "this is not JSON" };
        format!("{what}, at line {line} column {column}, behind conversation {}", each.number)
    })
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

struct Each<'a> {
    tx: &'a mpsc::Sender<Read>,
    number: u64,
}

impl Each<'_> {
    fn take(&mut self, value: Value) {
        self.number += 1;
        let place = format!("conversation {}", self.number);
        let read = serde_json::from_value::<Transcript>(value);
        // What serde says may quote the conversation; the field that it names helps all the same.
        let read = read.map_err(|error| format!("{place}: this is not a conversation: {error}"));
        // Nobody listens any more when the import has failed.
        let _ = self.tx.blocking_send(read.map(|transcript| (place, transcript)));
    }
}

impl<'de> Visitor<'de> for &mut Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of conversations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        while let Some(value) = items.next_element::<Value>()? {
            self.take(value);
        }
        Ok(())
    }
}
