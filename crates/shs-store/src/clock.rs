//! Where a store takes the time from.

use std::fmt::Debug;

use crate::Timestamp;

/// A source of the current time.
///
/// Backends take one so that tests can fix the time. Nothing is ordered by it: see [`Store`](crate::Store).
pub trait Clock: Debug + Send + Sync + 'static {
    /// The current time, UTC.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
