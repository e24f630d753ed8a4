//! What the tests drive the chatbot with.

pub(crate) mod http;
pub(crate) mod server;
#[cfg(unix)]
pub(crate) mod webdriver;

use std::time::{Duration, Instant};

/// Waits until a condition holds and returns what it found.
///
/// # Panics
/// If it does not hold within half a minute.
pub(crate) async fn until<T>(what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
