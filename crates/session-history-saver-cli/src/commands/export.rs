//! `shs export`.

use std::error::Error as _;
use std::io::{self, IsTerminal};
use std::path::Path;

use indicatif::ProgressBar;
use session_history_saver::export::{Export, Format, Report, Split, SystemMessages};
use session_history_saver::{Error, ErrorKind, Location, SessionTracker, StatsQuery};
use tokio::io::AsyncReadExt;

use super::backup::existing;
use crate::arguments::{self, Preparation, System};
use crate::failure::{Failure, Result};
use crate::find::{self, Named};
use crate::guard::{self, Kind};
use crate::output::Output;
use crate::shown::tell_lines;
use crate::{progress, shown};

/// Bytes that an export is ahead of what is shown of it.
const AHEAD: usize = 64 * 1024;

/// Refuses a file that an export must not be written to, before the store is opened.
pub(super) fn check(location: &Location, arguments: &arguments::Export) -> Result<()> {
    let output = &arguments.output;
    if output == Path::new("-") {
        return Ok(());
    }
    let files = match arguments.preparation.split {
        Some(_) => Split::paths(output).to_vec(),
        None => vec![output.clone()],
    };
    let existing = existing(arguments.force);
    files.iter().try_for_each(|file| guard::check(file, Some(location), Kind::Export, existing))
}

pub(super) async fn run(
    history: &SessionTracker,
    arguments: arguments::Export,
    output: &mut Output,
) -> Result<()> {
    let mut export = history.export(arguments.format).sessions(find::query(&arguments.filter));
    for id in &arguments.ids {
        let session = find::session(history, id, Named::Whole).await?;
        export = export.session(&session.id);
    }
    export = prepared(export, &arguments.preparation)?;
    let to_stdout = arguments.output == Path::new("-");
    if to_stdout && output.is_terminal() && arguments.format == Format::Parquet {
        let what = "parquet is no text for a terminal; name a file with --output";
        return Err(Failure::Usage(what.to_owned()));
    }
    // Between the lines of an export it would be in the way.
    let bar = if io::stderr().is_terminal() && !(to_stdout && io::stdout().is_terminal()) {
        bar_for(history, &arguments).await?
    } else {
        ProgressBar::hidden()
    };
    let moving = bar.clone();
    export = export.with_progress(move |sessions| moving.set_position(sessions));
    let written = if to_stdout {
        if output.is_terminal() {
            to_terminal(&export, output).await
        } else {
            export.to_writer(&mut tokio::io::stdout()).await
        }
    } else {
        export.with_existing(existing(arguments.force)).to_file(&arguments.output).await
    };
    bar.finish_and_clear();
    let report = written.map_err(whoever_reads_has_left)?;
    tell(&report, to_stdout, output)
}

/// Writes it through what takes out what a terminal must not get.
async fn to_terminal(
    export: &Export,
    output: &mut Output,
) -> session_history_saver::Result<Report> {
    let (mut near, mut far) = tokio::io::duplex(AHEAD);
    let exporting = async move {
        let report = export.to_writer(&mut near).await;
        drop(near);
        report
    };
    // If the terminal is gone, so is the end that is read from, and the export ends with it.
    let showing = async move {
        let mut piece = vec![0; AHEAD];
        loop {
            match far.read(&mut piece).await {
                Ok(0) | Err(_) => return output.flush(),
                Ok(read) => output.raw(&piece[..read])?,
            }
        }
    };
    let (report, shown) = tokio::join!(exporting, showing);
    let report = report?;
    shown.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the export cannot be shown").with_source(error)
    })?;
    Ok(report)
}

fn prepared(mut export: Export, preparation: &Preparation) -> Result<Export> {
    export = export.with_min_turns(preparation.min_turns);
    for pattern in &preparation.redact {
        export = export.with_redaction(pattern)?;
    }
    if let Some(split) = preparation.split {
        export = export.with_split(split);
    }
    if preparation.include_interrupted {
        export = export.with_interrupted();
    }
    if preparation.system == System::Drop {
        export = export.with_system(SystemMessages::Drop);
    }
    if preparation.merge_roles {
        export = export.with_merged_roles();
    }
    if preparation.dedupe {
        export = export.without_duplicates();
    }
    if let Some(tokens) = preparation.max_tokens {
        export = export.with_max_tokens(tokens);
    }
    Ok(export)
}

/// A bar as long as there are conversations, or one without an end where that is not known.
async fn bar_for(history: &SessionTracker, arguments: &arguments::Export) -> Result<ProgressBar> {
    let filter = &arguments.filter;
    let total = if !arguments.ids.is_empty() {
        arguments.ids.len() as u64
    } else if filter.since.is_some() || filter.until.is_some() {
        return Ok(progress::spinner());
    } else {
        let all = StatsQuery::new().with_filter(find::query(filter).filter);
        history.store().stats(history.scope(), &all).await?.sessions
    };
    Ok(progress::bar(total))
}

/// Tells what was written on the standard error; as JSON beside a file, on the standard output, as other data.
fn tell(report: &Report, to_stdout: bool, output: &mut Output) -> Result<()> {
    if !output.is_json() {
        tell_lines(&report.to_string());
    } else if to_stdout {
        let json = serde_json::to_string(report).map_err(io::Error::other)?;
        shown::tell(&json);
    } else {
        output.json(report)?;
    }
    Ok(())
}

/// A pipe that nobody reads is no failure of the store.
fn whoever_reads_has_left(error: session_history_saver::Error) -> Failure {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::BrokenPipe) => Failure::Io(io::ErrorKind::BrokenPipe.into()),
        _ => Failure::Store(error),
    }
}
