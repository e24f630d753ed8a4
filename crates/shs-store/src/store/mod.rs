//! The [`Store`] trait and what is built on it.

mod contract;
mod delegate;
mod documents;
mod ext;
mod options;
mod traced;

pub use contract::Store;
pub use documents::{DocumentStore, Documents};
pub use ext::{SessionStats, StoreExt};
pub use options::{AppendOptions, Appended, Deleted, Durability, Expected, ImportMode};
pub use traced::TracedStore;
