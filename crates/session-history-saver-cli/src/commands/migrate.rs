//! `shs migrate`.

use serde_json::json;
use session_history_saver::Location;

use crate::failure::Result;
use crate::output::Output;
use crate::place::{Access, Missing, open};

use super::tenants;

/// Opens a store to write, which does all that it takes.
pub(super) async fn run(location: &Location, output: &mut Output) -> Result<()> {
    let opened = open(location, Missing::Refused, Access::Write, None).await?;
    let tenants = tenants::all(&*opened.store).await?;
    opened.history.close().await?;
    let sessions: u64 = tenants.iter().map(|tenant| tenant.sessions).sum();
    let messages: u64 = tenants.iter().map(|tenant| tenant.messages).sum();
    if output.is_json() {
        let receipt = json!({
            "migrated": location.to_string(), "sessions": sessions, "messages": messages,
        });
        return Ok(output.json(&receipt)?);
    }
    Ok(output.line(&format!(
        "{location} is of this version: conversations {sessions}, messages {messages}"
    ))?)
}
