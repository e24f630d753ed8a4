//! `shs search`.

use serde_json::json;
use session_history_saver::{SearchOrder, SearchQuery, SessionTracker};

use crate::arguments::{Search, Sort};
use crate::failure::Result;
use crate::output::Output;
use crate::{find, when};

pub(super) async fn run(
    history: &SessionTracker,
    search: Search,
    output: &mut Output,
) -> Result<()> {
    let wanted = find::query(&search.filter).filter;
    let mut query =
        SearchQuery::new(search.query.join(" ")).with_filter(wanted).with_limit(search.limit);
    query.role = search.role;
    query.model = search.model;
    query.since = search.filter.since;
    query.until = search.filter.until;
    if search.sort == Sort::Best {
        query = query.with_order(SearchOrder::Rank);
    }
    let page = history.search(query).await?;
    for hit in &page.items {
        if output.is_json() {
            output.json(&json!({
                "session": hit.session,
                "message": hit.message,
                "rank": hit.rank,
                "snippet": hit.snippet.marked("[", "]"),
            }))?;
            continue;
        }
        let title = hit.session.title.as_deref().unwrap_or_default();
        let place = format!("{} #{}", hit.session.id, hit.message.seq);
        let place = output.bold(&output.one_line(&place));
        let facts =
            format!("{} · {} · {title}", hit.message.role, when::local(hit.message.timestamp));
        let facts = output.dim(&output.one_line(facts.trim_end_matches(" · ")));
        output.line(&format!("{place}  {facts}"))?;
        // As many bytes as before, so that the places of the matches stay.
        let mut snippet = hit.snippet.clone();
        snippet.text = output.in_place(&snippet.text);
        let (open, close) = output.marks();
        output.line(&format!("    {}", snippet.marked(&open, &close)))?;
    }
    Ok(())
}
