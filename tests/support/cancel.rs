//! Futures that are dropped before they are done.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls a future so many times at most, and drops it; `None` if it was not done by then.
pub async fn drop_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    if polls == 0 {
        return None;
    }
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}
