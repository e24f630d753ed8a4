//! `shs import`.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;
use session_history_saver::import::{Import, Input, Limits, Problem, Report};
use session_history_saver::{ImportMode, SessionTracker};

use crate::arguments::{Import as Arguments, MIB};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::spinner;
use crate::shown::tell;

pub(super) async fn run(
    history: &SessionTracker,
    arguments: Arguments,
    output: &mut Output,
) -> Result<()> {
    let mut report = Report::default();
    let so_far = Arc::new(Mutex::new(Report::default()));
    let bar = if io::stderr().is_terminal() { spinner() } else { ProgressBar::hidden() };
    let (moving, counted) = (bar.clone(), Arc::clone(&so_far));
    let import = import(&arguments).with_progress(move |report| {
        *counted.lock().unwrap_or_else(PoisonError::into_inner) = *report;
        moving.inc(1);
    });
    let tell = |problem: &Problem| {
        bar.suspend(|| tell(&one_line(&problem.to_string())));
    };
    for file in arguments.files {
        let input = if file == Path::new("-") {
            Input::Reader("standard input".to_owned(), Box::new(io::stdin()))
        } else {
            Input::Path(file)
        };
        *so_far.lock().unwrap_or_else(PoisonError::into_inner) = Report::default();
        match history.import(&import, input, tell).await {
            Ok(done) => report.add(done),
            Err(error) => {
                // What was stored until then stays, and is counted.
                report.add(*so_far.lock().unwrap_or_else(PoisonError::into_inner));
                bar.finish_and_clear();
                print(&report, arguments.dry_run, output)?;
                return Err(error.into());
            }
        }
    }
    bar.finish_and_clear();
    print(&report, arguments.dry_run, output)?;
    match report.failed {
        0 => Ok(()),
        1 => Err(Failure::Failed("one conversation or file could not be imported".to_owned())),
        failed => {
            Err(Failure::Failed(format!("{failed} conversations or files could not be imported")))
        }
    }
}

/// Whether there is anything to read; no store is made for what is not there.
pub(super) fn has_input(arguments: &Arguments) -> bool {
    arguments.files.iter().any(|file| file == Path::new("-") || File::open(file).is_ok())
}

/// A problem may quote the name of a file, whatever is in it.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn import(arguments: &Arguments) -> Import {
    let limits = Limits::new()
        .with_messages(arguments.max_messages)
        .with_branch_messages(arguments.max_branch_messages)
        .with_json_bytes(arguments.max_json.saturating_mul(MIB));
    let mut import = Import::new().with_limits(limits);
    if let Some(format) = arguments.from.0 {
        import = import.with_format(format);
    }
    if let Some(user) = &arguments.user {
        import = import.with_user(user);
    }
    if let Some(project) = &arguments.project {
        import = import.with_project(project);
    }
    if arguments.overwrite {
        import = import.with_mode(ImportMode::Overwrite);
    }
    if arguments.dry_run { import.with_dry_run() } else { import }
}

fn print(report: &Report, is_dry_run: bool, output: &mut Output) -> Result<()> {
    if output.is_json() {
        return Ok(output.json(report)?);
    }
    let Report { imported, already_there, updated, skipped, failed, .. } = report;
    let would = if is_dry_run { "would be imported" } else { "imported" };
    Ok(output.line(&format!(
        "{would}: {imported}, already there: {already_there}, updated: {updated}, skipped: {skipped}, failed: {failed}"
    ))?)
}
