//! Questions before something goes.

use std::io::{self, IsTerminal, Write};

use crate::failure::{Failure, Result};
use crate::shown::tell;

/// Asks on a terminal, below what it is about; without one, it takes `--yes` to go on.
pub(crate) fn confirm(about: &[String], what: &str, is_told: bool) -> Result<()> {
    if is_told {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{what}: nobody can be asked here; give --yes to go on"
        )));
    }
    about.iter().for_each(|line| tell(line));
    eprint!("{what}. Go on? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Failed("nothing was deleted".to_owned())),
    }
}
