//! What can be asked of a store, and what comes back.

mod cursor;
pub(crate) mod filter;
mod message;
mod page;
mod search;
mod session;
mod stats;

pub use cursor::{Cursor, Position};
pub use filter::SessionFilter;
pub use message::{MessageOrder, MessageQuery};
pub use page::{Page, PageBuilder, PageRequest};
pub use search::{Hit, SearchOrder, SearchQuery};
pub use session::{SessionOrder, SessionQuery};
pub use stats::{Stats, StatsQuery, Usage};
