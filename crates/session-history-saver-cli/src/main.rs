//! The command `shs`: lists, shows, searches, counts, exports, imports, copies and deletes conversations.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found.

mod arguments;
mod ask;
mod commands;
mod failure;
mod find;
mod output;
mod pager;
mod place;
mod progress;
mod when;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
            eprintln!("shs: {failure}");
            failure.exit_code()
        }
    }
}
