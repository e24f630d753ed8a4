//! `shs man`.

use clap::CommandFactory;
use clap_mangen::Man;

use super::backup::existing;
use crate::arguments::{self, Arguments};
use crate::failure::{Failure, Result};
use crate::guard::{self, Kind};
use crate::output::Output;

pub(super) fn run(arguments: &arguments::Man, output: &mut Output) -> Result<()> {
    let mut shs = Arguments::command();
    shs = shs.disable_help_subcommand(true);
    // Options of every command stand in the page of each.
    shs.build();
    if let Some(folder) = &arguments.to {
        guard::check_folder(folder)?;
        let names = std::iter::once("shs".to_owned())
            .chain(shs.get_subcommands().map(|command| format!("shs-{}", command.get_name())));
        for name in names {
            let page = folder.join(format!("{name}.1"));
            guard::check(&page, None, Kind::Export, existing(arguments.force))?;
        }
        std::fs::create_dir_all(folder)?;
        return Ok(clap_mangen::generate_to(shs, folder)?);
    }
    let command = match &arguments.command {
        None => shs,
        Some(name) => {
            let unknown =
                || Failure::Usage(format!("there is no command {name:?}; see shs --help"));
            shs.find_subcommand(name).ok_or_else(unknown)?.clone()
        }
    };
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(output.line(String::from_utf8_lossy(&page).trim_end())?)
}
