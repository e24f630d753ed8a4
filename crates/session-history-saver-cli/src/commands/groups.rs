//! Messages counted by what they have in common.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt;
use session_history_saver::limits::MAX_PAGE;
use session_history_saver::{
    Message, MessageQuery, SearchQuery, Session, SessionId, SessionOrder, SessionTracker, StoreExt,
};

use crate::arguments::{By, Filter};
use crate::failure::Result;
use crate::{find, when};

/// What some messages have in common, and how many they are.
pub(super) struct Group {
    /// `None` for messages without a model, of no user, or of no project.
    pub(super) name: Option<String>,
    pub(super) sessions: u64,
    pub(super) messages: u64,
    pub(super) tokens: u64,
    /// Milliseconds at the 50th, 95th and 99th percentile; `None` where no message has a latency.
    pub(super) latencies: [Option<f64>; 3],
}

#[derive(Default)]
struct Counts {
    sessions: HashSet<SessionId>,
    messages: u64,
    tokens: u64,
    latencies: Vec<f64>,
}

/// Counts the messages of a session, or those that pass a filter: days and hours in their order, everything else with the largest first.
pub(super) async fn of(
    history: &SessionTracker,
    session: Option<&Session>,
    filter: &Filter,
    by: By,
) -> Result<Vec<Group>> {
    let is_of_time = filter.since.is_some() || filter.until.is_some();
    let counts = match (session, by) {
        (Some(session), _) => of_session(history, session, filter, by).await?,
        // Sessions know how much they have.
        (None, By::User | By::Project) if !is_of_time => of_sessions(history, filter, by).await?,
        (None, _) => of_messages(history, filter, by).await?,
    };
    let groups = counts.into_iter().map(|(name, counts)| {
        let mut latencies = counts.latencies;
        latencies.sort_by(f64::total_cmp);
        Group {
            name,
            sessions: counts.sessions.len() as u64,
            messages: counts.messages,
            tokens: counts.tokens,
            latencies: [50, 95, 99].map(|percentile| at_percentile(&latencies, percentile)),
        }
    });
    let mut groups: Vec<Group> = groups.collect();
    if !matches!(by, By::Day | By::Hour) {
        groups.sort_by_key(|group| Reverse(group.messages));
    }
    Ok(groups)
}

type AllCounts = BTreeMap<Option<String>, Counts>;

async fn of_session(
    history: &SessionTracker,
    session: &Session,
    filter: &Filter,
    by: By,
) -> Result<AllCounts> {
    let mut counts = AllCounts::new();
    let mut query = MessageQuery::new().with_limit(MAX_PAGE);
    query.since = filter.since;
    query.until = filter.until;
    let mut messages = history.store().message_stream(history.scope(), &session.id, query);
    while let Some(message) = messages.try_next().await? {
        count(&mut counts, by, session, &message);
    }
    Ok(counts)
}

async fn of_sessions(history: &SessionTracker, filter: &Filter, by: By) -> Result<AllCounts> {
    let mut counts = AllCounts::new();
    let query = find::query(filter).with_order(SessionOrder::Created);
    let mut sessions = history.store().session_stream(history.scope(), query);
    while let Some(session) = sessions.try_next().await? {
        let name = if by == By::User { session.user_id } else { session.project_id };
        let counts = counts.entry(name).or_default();
        counts.sessions.insert(session.id);
        counts.messages += session.message_count;
        counts.tokens += session.total_tokens;
    }
    Ok(counts)
}

async fn of_messages(history: &SessionTracker, filter: &Filter, by: By) -> Result<AllCounts> {
    let mut counts = AllCounts::new();
    let wanted = find::query(filter).filter;
    let mut query = SearchQuery::all().with_filter(wanted).with_limit(MAX_PAGE);
    query.since = filter.since;
    query.until = filter.until;
    let mut hits = history.store().search_stream(history.scope(), query);
    while let Some(hit) = hits.try_next().await? {
        count(&mut counts, by, &hit.session, &hit.message);
    }
    Ok(counts)
}

fn count(counts: &mut AllCounts, by: By, session: &Session, message: &Message) {
    let name = match by {
        // What people say has no model, and is none that is missing.
        By::Model => match &message.model {
            Some(model) => Some(model.clone()),
            None => return,
        },
        By::User => session.user_id.clone(),
        By::Project => session.project_id.clone(),
        By::Role => Some(message.role.to_string()),
        By::Day => Some(when::local_day(message.timestamp)),
        By::Hour => Some(when::local_hour(message.timestamp)),
    };
    let counts = counts.entry(name).or_default();
    if !counts.sessions.contains(&session.id) {
        counts.sessions.insert(session.id.clone());
    }
    counts.messages += 1;
    counts.tokens += u64::from(message.tokens.unwrap_or(0));
    counts.latencies.extend(message.latency_ms);
}

/// The nearest rank: the smallest value that so many percent of all do not exceed.
fn at_percentile(sorted: &[f64], percentile: usize) -> Option<f64> {
    let rank = (sorted.len() * percentile).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([50, 95, 99].map(|p| at_percentile(&hundred, p).unwrap()), [50.0, 95.0, 99.0]);
        assert_eq!([50, 95, 99].map(|p| at_percentile(&[7.0], p).unwrap()), [7.0; 3]);
        assert_eq!(at_percentile(&[1.0, 2.0, 3.0], 50), Some(2.0));
        assert_eq!(at_percentile(&[], 50), None);
    }
}
