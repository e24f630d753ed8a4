//! `shs stats`.

use serde_json::json;
use session_history_saver::{Session, SessionTracker, StatsQuery};

use super::groups::{self, Group};
use crate::arguments::{By, StatsArguments};
use crate::failure::{Failure, Result};
use crate::find;
use crate::output::Output;

/// The longest bar, in characters.
const BAR: u64 = 20;

pub(super) async fn run(
    history: &SessionTracker,
    arguments: StatsArguments,
    output: &mut Output,
) -> Result<()> {
    let is_of_time = arguments.filter.since.is_some() || arguments.filter.until.is_some();
    if arguments.id.is_some() && arguments.by.is_none() && is_of_time {
        let what =
            "the totals of one conversation are of all its time; give --by, such as --by day";
        return Err(Failure::Usage(what.to_owned()));
    }
    let session = match &arguments.id {
        Some(id) => Some(find::session(history, id, output.named()).await?),
        None => None,
    };
    if let Some(by) = arguments.by {
        let groups = groups::of(history, session.as_ref(), &arguments.filter, by).await?;
        return table(by, groups, output);
    }
    match session {
        Some(session) => of_one(history, &session, output).await,
        None => of_all(history, &arguments, output).await,
    }
}

async fn of_one(history: &SessionTracker, session: &Session, output: &mut Output) -> Result<()> {
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
    print(rows, output)
}

async fn of_all(
    history: &SessionTracker,
    arguments: &StatsArguments,
    output: &mut Output,
) -> Result<()> {
    let mut query = StatsQuery::new().with_filter(find::query(&arguments.filter).filter);
    query.since = arguments.filter.since;
    query.until = arguments.filter.until;
    let stats = history.stats_of(query).await?;
    if output.is_json() {
        return Ok(output.json(&stats)?);
    }
    let rows = [
        ("sessions", stats.sessions),
        ("not ended", stats.active_sessions),
        ("messages", stats.messages),
        ("tokens", stats.tokens),
    ];
    print(rows.map(|(name, value)| (name, value.to_string())), output)
}

fn print<const N: usize>(rows: [(&str, String); N], output: &mut Output) -> Result<()> {
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    Ok(output.table(&["", "value"], rows)?)
}

fn table(by: By, groups: Vec<Group>, output: &mut Output) -> Result<()> {
    let name = by.as_str();
    if output.is_json() {
        for group in groups {
            let mut object = json!({
                name: group.name, "sessions": group.sessions, "messages": group.messages, "tokens": group.tokens,
            });
            if by == By::Model {
                let [p50, p95, p99] = group.latencies;
                object["latency_ms"] = json!({ "p50": p50, "p95": p95, "p99": p99 });
            }
            output.json(&object)?;
        }
        return Ok(());
    }
    let most = groups.iter().map(|group| group.messages).max().unwrap_or(0).max(1);
    let rows = groups.into_iter().map(|group| {
        let bar = "█".repeat((group.messages * BAR).div_ceil(most) as usize);
        let mut row = vec![
            group.name.unwrap_or_else(|| "-".to_owned()),
            group.sessions.to_string(),
            group.messages.to_string(),
            group.tokens.to_string(),
        ];
        if by == By::Model {
            let latency = |ms: Option<f64>| ms.map(|ms| format!("{ms:.0} ms")).unwrap_or_default();
            row.extend(group.latencies.map(latency));
        }
        row.push(bar);
        row
    });
    let mut header = vec![name, "sessions", "messages", "tokens"];
    if by == By::Model {
        header.extend(["p50", "p95", "p99"]);
    }
    header.push("");
    Ok(output.table(&header, rows.collect())?)
}
