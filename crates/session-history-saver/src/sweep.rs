//! Answers whose writer died are told by their leases, by whichever process still runs.

use std::sync::Arc;
use std::time::Duration;

use shs_store::{AdminStore, AdminStoreExt, Result};
use tokio::sync::watch;
use tokio::time::timeout;

/// Marks them once.
pub(crate) async fn once(store: &dyn AdminStore) -> Result<()> {
    let interrupted = store.interrupt_all_stale_streams(store.now()).await?;
    if interrupted > 0 {
        tracing::info!(interrupted, "marked streamed answers whose writer died");
    }
    Ok(())
}

/// Marks them again and again, until there is somebody to stop for.
pub(crate) async fn run(
    store: Arc<dyn AdminStore>,
    every: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        // The sender goes with the tracker.
        if timeout(every, stopping.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
        if let Err(error) = once(&*store).await {
            tracing::warn!(%error, "streamed answers of dead writers could not be looked for");
        }
    }
}
