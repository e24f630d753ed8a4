//! `shs tenants`.

use serde_json::json;
use session_history_saver::limits::MAX_PAGE;
use session_history_saver::{AdminStore, Tenant, TenantQuery};

use crate::failure::Result;
use crate::output::Output;

pub(super) async fn run(store: &dyn AdminStore, output: &mut Output) -> Result<()> {
    let tenants = all(store).await?;
    if output.is_json() {
        for Tenant { id, sessions, messages, .. } in &tenants {
            output.json(&json!({ "tenant": id, "sessions": sessions, "messages": messages }))?;
        }
        return Ok(());
    }
    let rows = tenants.iter().map(|tenant| {
        vec![tenant.id.to_string(), tenant.sessions.to_string(), tenant.messages.to_string()]
    });
    Ok(output.table(&["tenant", "sessions", "messages"], rows.collect())?)
}

/// All tenants that have conversations.
pub(super) async fn all(store: &dyn AdminStore) -> Result<Vec<Tenant>> {
    let mut tenants = Vec::new();
    let mut query = TenantQuery::new().with_limit(MAX_PAGE);
    loop {
        let page = store.tenants(&query).await?;
        tenants.extend(page.items);
        match page.next {
            Some(next) => query = query.with_after(next),
            None => return Ok(tenants),
        }
    }
}
