//! `shs repair`.

use session_history_saver::Location;
use session_history_saver::keeping::{self, Repaired};

use super::verify::print;
use crate::failure::{Failure, Result};
use crate::output::Output;

pub(super) async fn run(location: &Location, output: &mut Output) -> Result<()> {
    let repaired = keeping::repair(location).await?;
    if output.is_json() {
        output.json(&repaired)?;
    } else {
        receipt(location, &repaired, output)?;
    }
    match repaired.remaining.len() {
        0 => Ok(()),
        count => {
            output.flush()?;
            let what = format!("{count} findings in {location} remain; restore a backup");
            Err(Failure::Failed(what))
        }
    }
}

fn receipt(location: &Location, repaired: &Repaired, output: &mut Output) -> Result<()> {
    if repaired.fixed.is_empty() && repaired.remaining.is_empty() {
        output.line(&format!("{location} is as it should be"))?;
        return Ok(());
    }
    if !repaired.fixed.is_empty() {
        output.line("put right:")?;
        print(&repaired.fixed, output)?;
    }
    for kept in &repaired.kept {
        output.line(&format!("kept as it was: {}", kept.display()))?;
    }
    for quarantine in &repaired.quarantine {
        output.line(&format!("what could not be read is in {}", quarantine.display()))?;
    }
    if !repaired.remaining.is_empty() {
        output.line("not put right:")?;
        print(&repaired.remaining, output)?;
    }
    Ok(())
}
