//! The conformance suite that every backend of `session-history-saver` passes.
//!
//! The documentation of [`Store`](shs_store::Store) is a contract; this crate checks it, one
//! [rule](rules) a sentence. A backend implements [`Fixture`], a place to keep data in, and calls
//! [`conformance!`], which makes a test of each rule, so that a failure names what is broken:
//!
//! ```
//! use std::sync::Arc;
//!
//! use shs_memory::MemoryStore;
//! use shs_store::{Clock, Result};
//! use shs_testkit::{Fixture, async_trait, rules};
//!
//! struct InMemory {
//!     store: MemoryStore,
//! }
//!
//! #[async_trait]
//! impl Fixture for InMemory {
//!     type Store = MemoryStore;
//!     const DURABLE: bool = false;
//!     const SHARED: bool = false;
//!
//!     async fn new(clock: Arc<dyn Clock>) -> Self {
//!         Self { store: MemoryStore::new().with_clock(clock) }
//!     }
//!
//!     async fn open(&self) -> Result<MemoryStore> {
//!         Ok(self.store.clone())
//!     }
//! }
//!
//! // In a test file, this is the whole suite.
//! shs_testkit::conformance!(InMemory);
//!
//! // One rule alone.
//! shs_testkit::run::<InMemory>(rules::appends::messages_are_numbered_from_one_without_gaps);
//! ```
//!
//! [`InTenant`] runs the suite once more in a tenant that has a name.
//!
//! One of the rules drives [random operations](rules::model) against the backend and the memory store, and
//! compares everything.
//!
//! For tests of what is built on a store there are a [`ManualClock`], which stands still until it is moved,
//! and a [`FaultStore`], which makes chosen calls fail before or after they are done.

mod audit;
mod clock;
mod conformance;
mod fault;
mod fixture;
pub mod rules;
mod sample;
mod tenant;
mod walk;

pub use async_trait::async_trait;
pub use clock::ManualClock;
pub use fault::{Fault, FaultStore, Operation};
pub use fixture::{Fixture, Place, run};
pub use tenant::{InTenant, Swapped};
