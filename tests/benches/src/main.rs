//! Measures this library and its peers in one run: `cargo run --release -p shs-benches`.
//!
//! For each case all contestants take turns, round after round, each as a process of its own, so that what else
//! the machine does meets all of them alike. A complete run replaces the files in `results`; any other leaves its
//! own in the target folder.

mod cases;
mod child;
mod disk;
mod job;
mod options;
mod peers;
mod plots;
mod python;
mod report;
mod scale;
mod statistics;
mod texts;
mod worker;

use std::fs;
use std::path::Path;

use crate::cases::Case;
use crate::options::Options;
use crate::peers::{Arena, Contestant};
use crate::report::Measured;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The subcommand by which the program runs itself.
const WORKER: &str = "worker";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [WORKER, contestant, job] = *arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        return worker::run(contestant, job);
    }
    let options = Options::parse(&arguments)?;
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("the program is not in a target folder")?;
    let folder = target.join("benches");
    let arena = Arena::prepare(&folder, &options.scale)?;
    let mut measured = Vec::new();
    for case in cases::all(&options.scale) {
        if options.includes(&case) {
            measured.push(measure(&arena, case, options.scale.rounds)?);
            // What a run that is stopped leaves.
            publish(&measured, &options, &folder)?;
        }
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let folder = if options.is_complete { &results } else { &folder };
    publish(&measured, &options, folder)?;
    println!("{}", fs::read_to_string(folder.join("README.md"))?);
    eprintln!("written to {}", folder.display());
    Ok(())
}

/// Lets all contestants of a case take turns; another one begins in each round.
fn measure(arena: &Arena, case: Case, rounds: usize) -> Result<Measured> {
    eprintln!("{}, sync {}, {:?}", case.name, case.disk, case.texts);
    let mut contestants = case.contestants();
    let mut measured = Measured { case, rounds: Vec::new() };
    for _ in 0..rounds {
        let mut round = Vec::new();
        for who in &contestants {
            match arena.run(*who, &measured.case) {
                Ok(figures) => round.push((*who, figures)),
                Err(error) if *who == Contestant::Ours => return Err(error),
                // A peer that gives up loses this round, and nobody else's.
                Err(error) => eprintln!("{error}"),
            }
        }
        measured.rounds.push(round);
        contestants.rotate_left(1);
    }
    Ok(measured)
}

/// Writes the table and the plots.
fn publish(measured: &[Measured], options: &Options, folder: &Path) -> Result<()> {
    let rows: Vec<_> = measured.iter().flat_map(Measured::rows).collect();
    fs::create_dir_all(folder)?;
    fs::write(folder.join("README.md"), report::markdown(&rows, &options.scale))?;
    fs::write(folder.join("append.svg"), plots::appends(measured))?;
    Ok(fs::write(folder.join("targets.svg"), plots::targets(&rows))?)
}
