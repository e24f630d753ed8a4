//! The [`Store`] trait and what is built on it.

mod admin;
mod contract;
mod delegate;
mod documents;
mod ext;
mod options;
mod traced;

pub use admin::{AdminStore, AdminStoreExt, PendingStream, Tenant, TenantQuery};
pub use contract::Store;
pub use documents::{DocumentStore, Documents};
pub use ext::{SessionStats, StoreExt};
pub use options::{AppendOptions, Appended, Deleted, Durability, Expected, ImportMode};
pub use traced::TracedStore;
