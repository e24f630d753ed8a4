//! `shs copy`.

use std::sync::Arc;

use futures::TryStreamExt;
use serde_json::json;
use session_history_saver::{
    AdminStore, ErrorKind, ImportMode, Location, Scope, SessionOrder, SessionQuery, SessionTracker,
    Store, StoreExt, TenantId, open_store,
};

use crate::arguments::Copy;
use crate::failure::{Failure, Result};
use crate::guard;
use crate::output::Output;
use crate::place::check_place;
use crate::shown::tell;

use super::tenants;

/// Refuses to copy to a place inside of a store.
pub(super) fn check(location: &Location, arguments: &Copy) -> Result<()> {
    match arguments.to.path() {
        Some(target) => {
            guard::check_inside(target, location)?;
            check_place(&arguments.to)
        }
        None => Err(Failure::Usage("a store in memory is gone when the program ends".to_owned())),
    }
}

pub(super) async fn run(
    history: &SessionTracker,
    store: &dyn AdminStore,
    tenant: Option<TenantId>,
    arguments: Copy,
    output: &mut Output,
) -> Result<()> {
    let target = open_store(&arguments.to).await?;
    let target = SessionTracker::with_store(target);
    let tenants = match tenant {
        Some(tenant) => vec![tenant],
        None => tenants::all(store).await?.into_iter().map(|tenant| tenant.id).collect(),
    };
    let mut counts = Counts::default();
    for tenant in tenants {
        let scope = Scope::of(tenant);
        copy_all(history.store(), target.store(), &scope, &mut counts).await?;
    }
    let Counts { copied, there, differ } = counts;
    target.close().await?;
    if output.is_json() {
        output.json(&json!({ "copied": copied, "already_there": there, "differ": differ }))?;
    } else {
        output.line(&format!("copied: {copied}, already there: {there}, different: {differ}"))?;
    }
    match differ {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!(
            "{differ} conversations differ; what was there was left as it is"
        ))),
    }
}

#[derive(Default)]
struct Counts {
    copied: u64,
    there: u64,
    differ: u64,
}

/// Copies what is in a scope.
async fn copy_all(
    source: &Arc<dyn Store>,
    target: &Arc<dyn Store>,
    scope: &Scope,
    counts: &mut Counts,
) -> Result<()> {
    let query = SessionQuery::new().with_order(SessionOrder::Created);
    let mut sessions = source.session_stream(scope, query);
    while let Some(session) = sessions.try_next().await? {
        let original = match source.transcript(scope, &session.id).await {
            Ok(original) => original,
            // Deleted meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        match target.import(scope, original.clone(), ImportMode::CreateOnly).await {
            Ok(_) => counts.copied += 1,
            // A run that was interrupted goes on here.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => counts.there += 1,
            Err(error) => return Err(error.into()),
        }
        let copy = target.transcript(scope, &session.id).await?;
        if copy != original {
            counts.differ += 1;
            tell(&format!("{} differs in the two stores", session.id));
        }
    }
    Ok(())
}
