//! The commands, each in a file of its own.

mod backup;
mod check;
mod copy;
mod delete;
mod export;
mod groups;
mod import;
mod list;
mod man;
mod migrate;
mod repair;
mod restore;
mod search;
mod show;
mod stats;
mod tail;
mod tenants;
mod verify;

use clap::CommandFactory;

use crate::arguments::{Arguments, Command, Export};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::place::{Access, Missing, Opened, locate, open};

/// Does what the command line says.
pub(crate) async fn run(arguments: Arguments, output: &mut Output) -> Result<()> {
    let Arguments { store, tenant, command, no_pager, .. } = arguments;
    let missing = match &command {
        Command::Import(import) if import.dry_run || !import::has_input(import) => Missing::Empty,
        Command::Import(_) => Missing::Made,
        _ => Missing::Refused,
    };
    match &command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "shs", &mut script);
            return Ok(output.line(String::from_utf8_lossy(&script).trim_end())?);
        }
        Command::Man(man) => return man::run(man, output),
        // A file is checked without a store.
        Command::Export(Export { check: Some(file), format, .. }) => {
            return check::run(file, *format, output);
        }
        _ => {}
    }
    if tenant.is_some() && is_of_all(&command) {
        let what = "this command is about the store as a whole, with all of its tenants; leave out --tenant";
        return Err(Failure::Usage(what.to_owned()));
    }
    let location = locate(store)?;
    match &command {
        Command::Export(export) => export::check(&location, export)?,
        Command::Backup(backup) => backup::check(&location, backup)?,
        Command::Copy(copy) => copy::check(&location, copy)?,
        _ => {}
    }
    match command {
        Command::Backup(backup) => return backup::run(&location, backup, output).await,
        Command::Restore(restore) => return restore::run(&location, restore, output).await,
        Command::Verify => return verify::run(&location, output).await,
        Command::Repair => return repair::run(&location, output).await,
        Command::Migrate => return migrate::run(&location, output).await,
        // It opens the store whenever that has changed.
        Command::Tail(tail) => return tail::run(&location, tenant.as_ref(), tail, output).await,
        _ => {}
    }
    let access = match &command {
        Command::Import(import) if import.dry_run => Access::Read,
        Command::Import(_) | Command::Delete(_) => Access::Write,
        _ => Access::Read,
    };
    let Opened { store, history } = open(&location, missing, access, tenant.as_ref()).await?;
    if matches!(
        command,
        Command::List(_)
            | Command::Show(_)
            | Command::Search(_)
            | Command::Stats(_)
            | Command::Tenants
    ) && !no_pager
    {
        output.page();
    }
    let done = match command {
        Command::List(list) => list::run(&history, list, output).await,
        Command::Show(show) => show::run(&history, show, output).await,
        Command::Search(search) => search::run(&history, search, output).await,
        Command::Stats(stats) => stats::run(&history, stats, output).await,
        Command::Export(export) => export::run(&history, export, output).await,
        Command::Import(import) => import::run(&history, import, output).await,
        Command::Tenants => tenants::run(&*store, output).await,
        Command::Delete(delete) => delete::run(&history, &location, delete, output).await,
        Command::Copy(copy) => copy::run(&history, &*store, tenant, copy, output).await,
        Command::Completions { .. }
        | Command::Man(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Verify
        | Command::Repair
        | Command::Migrate
        | Command::Tail(_) => Ok(()),
    };
    // A store that does not close well is told, unless something else went wrong before.
    let closed = history.close().await;
    done?;
    Ok(closed?)
}

/// Whether a command is about a store as a whole, so that a tenant would be passed over.
fn is_of_all(command: &Command) -> bool {
    match command {
        Command::Backup(_)
        | Command::Restore(_)
        | Command::Verify
        | Command::Repair
        | Command::Migrate
        | Command::Tenants => true,
        Command::Delete(delete) => delete.erase,
        _ => false,
    }
}
