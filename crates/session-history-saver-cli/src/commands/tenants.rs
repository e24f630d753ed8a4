//! `shs tenants`.

use futures::TryStreamExt;
use serde_json::json;
use session_history_saver::limits::MAX_PAGE;
use session_history_saver::{AdminStore, AdminStoreExt, Tenant, TenantQuery};

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
    Ok(store.tenant_stream(TenantQuery::new().with_limit(MAX_PAGE)).try_collect().await?)
}
