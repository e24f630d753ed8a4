//! `shs migrate`.

use serde_json::json;
use session_history_saver::{Location, StatsQuery};

use crate::failure::Result;
use crate::output::Output;
use crate::place::{Access, Missing, open};

/// Opens a store to write, which does all that it takes.
pub(super) async fn run(location: &Location, output: &mut Output) -> Result<()> {
    let history = open(location, Missing::Refused, Access::Write).await?;
    let stats = history.stats_of(StatsQuery::new()).await?;
    history.close().await?;
    if output.is_json() {
        let receipt = json!({
            "migrated": location.to_string(), "sessions": stats.sessions, "messages": stats.messages,
        });
        return Ok(output.json(&receipt)?);
    }
    Ok(output.line(&format!(
        "{location} is of this version: conversations {}, messages {}",
        stats.sessions, stats.messages
    ))?)
}
