//! `shs import`.

use std::io;
use std::path::Path;

use session_history_saver::SessionTracker;
use session_history_saver::import::{Import, Input, Problem, Report};

use crate::arguments::Import as Arguments;
use crate::failure::{Failure, Result};
use crate::output::{Output, one_line};

pub(super) async fn run(
    history: &SessionTracker,
    arguments: Arguments,
    output: &mut Output,
) -> Result<()> {
    let mut report = Report::default();
    let import = import(&arguments);
    let tell = |problem: &Problem| eprintln!("{}", one_line(&problem.to_string()));
    for file in arguments.files {
        let input = if file == Path::new("-") {
            Input::Reader("standard input".to_owned(), Box::new(io::stdin()))
        } else {
            Input::Path(file)
        };
        report.add(history.import(&import, input, tell).await?);
    }
    print(&report, arguments.dry_run, output)?;
    match report.failed {
        0 => Ok(()),
        1 => Err(Failure::Failed("one conversation or file could not be imported".to_owned())),
        failed => {
            Err(Failure::Failed(format!("{failed} conversations or files could not be imported")))
        }
    }
}

fn import(arguments: &Arguments) -> Import {
    let mut import = Import::new();
    if let Some(format) = arguments.from.0 {
        import = import.from(format);
    }
    if let Some(user) = &arguments.user {
        import = import.user(user);
    }
    if let Some(project) = &arguments.project {
        import = import.project(project);
    }
    if arguments.overwrite {
        import = import.overwrite();
    }
    if arguments.dry_run { import.dry_run() } else { import }
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
