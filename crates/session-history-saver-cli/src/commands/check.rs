//! `shs export --check`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use session_history_saver::export::{Check, Format};

use crate::failure::{Failure, Result};
use crate::output::Output;

/// Says what a trainer would refuse of a file, line by line.
pub(super) fn run(file: &Path, format: Format, output: &mut Output) -> Result<()> {
    let check = Check::new(format)?;
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(file).map_err(|error| in_words(file, &error))?;
        Box::new(BufReader::with_capacity(256 * 1024, opened))
    };
    let mut printed = Ok(());
    let checked = check.read(reader, |problem| {
        if printed.is_ok() {
            printed = if output.is_json() {
                output.json(&problem)
            } else {
                output.line(&problem.to_string())
            };
        }
    });
    printed?;
    let checked = checked.map_err(|error| in_words(file, &error))?;
    if output.is_json() {
        output.json(&checked)?;
    } else {
        output.line(&format!("lines: {}, wrong: {}", checked.lines, checked.wrong))?;
    }
    output.flush()?;
    match checked.problems {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!("{}: a trainer would refuse it", file.display()))),
    }
}

fn in_words(file: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", file.display()))
}
