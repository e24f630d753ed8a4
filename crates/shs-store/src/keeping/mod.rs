//! What backends with files say of erasing, backing up, restoring, checking and repairing them.

mod finding;
mod receipt;

pub use finding::Finding;
pub use receipt::{BackedUp, Erased, Existing, Repaired, Restored};
