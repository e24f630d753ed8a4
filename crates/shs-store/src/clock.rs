//! Where a store takes the time from.

use std::fmt::Debug;
use std::time::SystemTime;

use uuid::{NoContext, Uuid};

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

/// A new UUID that sorts behind those that this process made before, as long as the clock goes on
/// (version 7).
///
/// With a clock before 1970, which has no place in such a UUID, it is of 1970.
pub fn new_uuid() -> Uuid {
    uuid_at(SystemTime::now())
}

fn uuid_at(now: SystemTime) -> Uuid {
    if now < SystemTime::UNIX_EPOCH {
        return Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, 0, 0));
    }
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_before_1970_has_ids_all_the_same() {
        let long_ago = SystemTime::UNIX_EPOCH - Duration::from_secs(1_000_000_000);
        let (one, other) = (uuid_at(long_ago), uuid_at(long_ago));
        assert_ne!(one, other);
        assert_eq!(one.get_timestamp().map(|at| at.to_unix()), Some((0, 0)));
        assert!(one < new_uuid());
    }
}
