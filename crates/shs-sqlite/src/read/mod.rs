//! All reading, on connections of its own: readers never wait for the writer.

mod cache;
mod filter;
mod gaps;
mod messages;
mod search;
mod sessions;
mod stats;
mod tenants;

pub(crate) use self::cache::Cache;
pub(crate) use self::messages::{message, messages};
pub(crate) use self::search::{Search, Searched, search};
pub(crate) use self::sessions::{list_sessions, session};
pub(crate) use self::stats::stats;
pub(crate) use self::tenants::{pending_streams, tenants};
