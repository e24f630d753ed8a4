//! `shs backup`.

use serde_json::json;
use session_history_saver::Location;
use session_history_saver::keeping::{self, Existing};

use crate::arguments::Backup;
use crate::failure::Result;
use crate::guard::{self, Kind};
use crate::output::Output;

/// Refuses a file that a backup must not be written to.
pub(super) fn check(location: &Location, arguments: &Backup) -> Result<()> {
    guard::check(&arguments.file, Some(location), Kind::Backup, existing(arguments.force))
}

pub(super) async fn run(location: &Location, arguments: Backup, output: &mut Output) -> Result<()> {
    let Backup { file, force } = arguments;
    let made = keeping::backup(location, &file, existing(force)).await?;
    if output.is_json() {
        let keeping::BackedUp { sessions, messages, bytes, .. } = made;
        let receipt =
            json!({ "backup": file, "sessions": sessions, "messages": messages, "bytes": bytes });
        return Ok(output.json(&receipt)?);
    }
    Ok(output.line(&format!(
        "{}: conversations {}, messages {}, bytes {}",
        file.display(),
        made.sessions,
        made.messages,
        made.bytes
    ))?)
}

/// What becomes of what is there.
pub(super) fn existing(force: bool) -> Existing {
    if force { Existing::Replace } else { Existing::Refuse }
}
