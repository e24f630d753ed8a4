//! How much is measured.

/// Sizes and times of a run.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    /// How long an operation is repeated, in seconds.
    pub(crate) seconds: f64,
    /// Sessions of the library that is searched and listed.
    pub(crate) sessions: usize,
    /// Messages of each of them.
    pub(crate) messages: usize,
    /// Sessions of the store whose size is taken.
    pub(crate) sized_sessions: usize,
}

impl Scale {
    /// What the targets are about.
    pub(crate) fn usual() -> Self {
        Self { rounds: 5, seconds: 0.4, sessions: 10_000, messages: 20, sized_sessions: 500 }
    }

    /// Enough to see that it works.
    pub(crate) fn quick() -> Self {
        Self { rounds: 1, seconds: 0.1, sessions: 6_000, messages: 2, sized_sessions: 50 }
    }

    /// With a library of a million messages.
    pub(crate) fn full() -> Self {
        Self { sessions: 10_000, messages: 100, ..Self::usual() }
    }
}
