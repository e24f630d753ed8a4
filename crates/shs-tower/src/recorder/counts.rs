//! What became of the exchanges.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many exchanges there were, since the recorder began.
///
/// With the feature `metrics`, each is a counter of the `metrics` crate too: `shs_recorder_recorded_total` and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Stored, however they ended.
    pub recorded: u64,
    /// Of those: the client went away before the response was whole.
    pub aborted: u64,
    /// Sent again by a client, and stored before.
    pub repeated: u64,
    /// Not recorded, because the queue was full or the recorder shut down.
    pub dropped: u64,
    /// Not recorded, because the request had no turn that a decoder could read, or a header that
    /// names the session, tenant, user or project was not UTF-8 or came twice.
    pub unreadable: u64,
    /// Not stored, or without the tools that were offered, because the store failed.
    pub failed: u64,
}

#[derive(Debug)]
pub(super) struct Counters {
    recorded: AtomicU64,
    aborted: AtomicU64,
    repeated: AtomicU64,
    dropped: AtomicU64,
    unreadable: AtomicU64,
    failed: AtomicU64,
    begun: Instant,
    /// Milliseconds since `begun` before which no warning of each kind is due.
    next_warning: AtomicU64,
    next_unclear: AtomicU64,
}

macro_rules! count {
    ($($name:ident $metric:literal),+) => {
        impl Counters {
            pub(super) fn new() -> Self {
                Self {
                    $($name: AtomicU64::new(0),)+
                    begun: Instant::now(),
                    next_warning: AtomicU64::new(0),
                    next_unclear: AtomicU64::new(0),
                }
            }

            $(pub(super) fn $name(&self) {
                self.$name.fetch_add(1, Ordering::Relaxed);
                #[cfg(feature = "metrics")]
                metrics::counter!($metric).increment(1);
            })+

            pub(super) fn snapshot(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed)),+ }
            }
        }
    };
}

count! {
    recorded "shs_recorder_recorded_total",
    aborted "shs_recorder_aborted_total",
    repeated "shs_recorder_repeated_total",
    dropped "shs_recorder_dropped_total",
    unreadable "shs_recorder_unreadable_total",
    failed "shs_recorder_failed_total"
}

impl Counters {
    /// Counts an exchange that is dropped, and says so once in an interval.
    pub(super) fn drop_one(&self, warn_every: Duration) {
        self.dropped();
        if self.is_due(&self.next_warning, warn_every) {
            let dropped = self.snapshot().dropped;
            tracing::warn!(
                dropped,
                "exchanges pass unrecorded: the recorder's queue or memory is full"
            );
        }
    }

    /// Counts a request that does not say clearly whose it is, and says so once in an interval.
    pub(super) fn unclear_one(&self, warn_every: Duration) {
        self.unreadable();
        if self.is_due(&self.next_unclear, warn_every) {
            tracing::warn!(
                "requests pass unrecorded: a header that names the session, tenant, user or project is \
                 not UTF-8, or comes twice"
            );
        }
    }

    /// Whether a warning is due: once in an interval, however many ask.
    fn is_due(&self, next: &AtomicU64, interval: Duration) -> bool {
        let now = self.begun.elapsed().as_millis() as u64;
        let due = next.load(Ordering::Relaxed);
        let later = now.saturating_add(interval.as_millis() as u64).max(due + 1);
        now >= due
            && next.compare_exchange(due, later, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_warning_is_due_in_an_interval() {
        let counters = Counters::new();
        let hour = Duration::from_secs(3600);
        let (dropped, unclear) = (&counters.next_warning, &counters.next_unclear);
        assert!(counters.is_due(dropped, hour));
        assert!(!counters.is_due(dropped, hour));
        assert!(counters.is_due(unclear, hour), "of each kind");
        let counters = Counters::new();
        assert!(counters.is_due(&counters.next_warning, Duration::ZERO));
    }
}
