//! What is tried again.

use std::time::Duration;

use shs_store::{ErrorKind, Result};
use tokio::time::{Instant, sleep};

/// How often something is tried anew when others write to the session at the same time.
const MOST_CONFLICTS: u32 = 100;

/// Does it again while the store is unavailable, until the deadline, and when others wrote at the same time.
pub(super) async fn patiently<T, F>(deadline: Instant, attempt: impl Fn() -> F + Send) -> Result<T>
where
    F: Future<Output = Result<T>> + Send,
{
    let mut pause = Duration::from_millis(20);
    let mut conflicts = 0;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        match error.kind() {
            // Somebody else wrote to the session, or made or deleted it; it is read anew at once.
            ErrorKind::Conflict | ErrorKind::AlreadyExists | ErrorKind::NotFound
                if conflicts < MOST_CONFLICTS =>
            {
                conflicts += 1;
            }
            ErrorKind::Unavailable if Instant::now() + pause < deadline => {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            _ => return Err(error),
        }
    }
}
