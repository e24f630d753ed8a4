//! `shs stats`.

use std::collections::BTreeMap;

use session_history_saver::{SessionTracker, StatsQuery, Usage};

use crate::arguments::{By, StatsArguments};
use crate::failure::Result;
use crate::find;
use crate::output::Output;

/// The longest bar, in characters.
const BAR: u64 = 20;

pub(super) async fn run(
    history: &SessionTracker,
    arguments: StatsArguments,
    output: &mut Output,
) -> Result<()> {
    if let Some(id) = &arguments.id {
        let session = find::session(history, id).await?;
        let stats = history.session_stats(&session.id).await?;
        if output.is_json() {
            return Ok(output.json(&stats)?);
        }
        let duration = stats.duration_seconds.map_or_else(String::new, |s| format!("{s:.1} s"));
        let rows = [
            ("session", stats.session_id.to_string()),
            ("messages", stats.message_count.to_string()),
            ("tokens", stats.total_tokens.to_string()),
            ("duration", duration),
        ];
        return print(rows.into_iter().map(|(name, value)| (name.to_owned(), value)), output);
    }
    let mut query = StatsQuery::new().with_scope(find::query(&arguments.filter).scope);
    query.since = arguments.filter.since;
    query.until = arguments.filter.until;
    let stats = history.stats_of(query).await?;
    if output.is_json() {
        return Ok(output.json(&stats)?);
    }
    match arguments.by {
        Some(By::Model) => table("model", &stats.by_model, output),
        Some(By::Role) => {
            let by_role = stats.by_role.iter().map(|(role, usage)| (role.to_string(), *usage));
            table("role", &by_role.collect(), output)
        }
        None => {
            let rows = [
                ("sessions", stats.sessions),
                ("not ended", stats.active_sessions),
                ("messages", stats.messages),
                ("tokens", stats.tokens),
            ];
            print(
                rows.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())),
                output,
            )
        }
    }
}

fn print(rows: impl Iterator<Item = (String, String)>, output: &mut Output) -> Result<()> {
    let rows = rows.map(|(name, value)| vec![name, value]).collect();
    Ok(output.table(&["", "value"], rows)?)
}

fn table(by: &str, usages: &BTreeMap<String, Usage>, output: &mut Output) -> Result<()> {
    let most = usages.values().map(|usage| usage.messages).max().unwrap_or(0).max(1);
    let mut usages: Vec<_> = usages.iter().collect();
    usages.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.messages));
    let rows = usages.into_iter().map(|(name, usage)| {
        let bar = "█".repeat((usage.messages * BAR).div_ceil(most) as usize);
        vec![name.clone(), usage.messages.to_string(), usage.tokens.to_string(), bar]
    });
    Ok(output.table(&[by, "messages", "tokens", ""], rows.collect())?)
}
