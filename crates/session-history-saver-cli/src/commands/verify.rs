//! `shs verify`.

use session_history_saver::keeping::{self, Finding};
use session_history_saver::{Error, ErrorKind, Location};

use crate::failure::{Failure, Result};
use crate::output::Output;

pub(super) async fn run(location: &Location, output: &mut Output) -> Result<()> {
    let findings = match keeping::verify(location).await {
        // So damaged that it is not known to be a store.
        Err(error) if error.kind() == ErrorKind::Corrupt => vec![of_error(&error)],
        checked => checked?,
    };
    print(&findings, output)?;
    if findings.is_empty() {
        if !output.is_json() {
            output.line(&format!("{location} is as it should be"))?;
        }
        return Ok(());
    }
    output.flush()?;
    let repairable = findings.iter().filter(|finding| finding.repairable).count();
    let advice = match findings.len() - repairable {
        0 => "shs repair puts them right".to_owned(),
        lasting => format!("shs repair does not put {lasting} of them right; restore a backup"),
    };
    Err(Failure::Failed(format!("{} findings in {location}; {advice}", findings.len())))
}

/// A line for each finding.
pub(super) fn print(findings: &[Finding], output: &mut Output) -> Result<()> {
    for finding in findings {
        if output.is_json() {
            output.json(finding)?;
        } else {
            let finding = output.one_line(&finding.to_string());
            output.line(&finding)?;
        }
    }
    Ok(())
}

fn of_error(error: &Error) -> Finding {
    Finding::lasting(error.detail().to_owned())
}
