//! Trying again where nobody is left to whom an error could be returned.

use std::future::Future;
use std::time::Duration;

use shs_store::Result;
use tokio::time::sleep;

/// Tries again while the store is unavailable: after 50 ms, and each time after double the pause, some six
/// seconds in all.
pub(crate) async fn retry_patiently<T, Trying>(attempt: impl Fn() -> Trying) -> Result<T>
where
    Trying: Future<Output = Result<T>>,
{
    retry(attempt, 7).await
}

/// Tries again while the store is unavailable, for a third of a second: a caller waits.
pub(crate) async fn retry_briefly<T, Trying>(attempt: impl Fn() -> Trying) -> Result<T>
where
    Trying: Future<Output = Result<T>>,
{
    retry(attempt, 3).await
}

async fn retry<T, Trying>(attempt: impl Fn() -> Trying, times: u32) -> Result<T>
where
    Trying: Future<Output = Result<T>>,
{
    let mut pause = Duration::from_millis(50);
    for _ in 0..times {
        match attempt().await {
            Err(error) if error.is_retryable() => sleep(pause).await,
            outcome => return outcome,
        }
        pause *= 2;
    }
    attempt().await
}
