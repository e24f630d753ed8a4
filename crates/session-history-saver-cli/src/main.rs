//! The command `shs`: lists, shows, searches, counts, exports, imports, copies and deletes conversations.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found.

mod arguments;
mod ask;
mod commands;
mod failure;
mod find;
mod guard;
mod output;
mod pager;
mod place;
mod progress;
mod shown;
mod when;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;
use crate::shown::{tell, tell_lines};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version; and what is wrong with the command line, which may hold what a terminal
        // must not get.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            tell_lines(error.to_string().trim_end());
            return ExitCode::from(2);
        }
    };
    let mut output = Output::to_stdout(arguments.json);
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(commands::run(arguments, &mut output)));
    // Whatever happened: what was printed is shown, and read to its end.
    let shown = output.finish().map_err(Failure::from);
    match done.and(shown) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough, as `head` does.
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&format!("shs: {failure}"));
            failure.exit_code()
        }
    }
}
