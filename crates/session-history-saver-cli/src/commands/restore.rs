//! `shs restore`.

use serde_json::json;
use session_history_saver::{Location, keeping};

use super::backup::existing;
use crate::arguments::Restore;
use crate::failure::Result;
use crate::output::Output;

pub(super) async fn run(
    location: &Location,
    arguments: Restore,
    output: &mut Output,
) -> Result<()> {
    let Restore { file, force } = arguments;
    let restored = keeping::restore(&file, location, existing(force)).await?;
    if output.is_json() {
        let keeping::Restored { sessions, messages, kept, .. } = restored;
        let receipt = json!({
            "restored": location.to_string(), "sessions": sessions, "messages": messages, "kept": kept,
        });
        return Ok(output.json(&receipt)?);
    }
    output.line(&format!(
        "{location}: conversations {}, messages {}",
        restored.sessions, restored.messages
    ))?;
    if let Some(kept) = restored.kept {
        output.line(&format!("what was there is kept at {}", kept.display()))?;
    }
    Ok(())
}
