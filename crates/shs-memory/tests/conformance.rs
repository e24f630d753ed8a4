//! The memory store, and whatever wraps a store, keep the contract.

use std::sync::Arc;

use shs_memory::MemoryStore;
use shs_store::{AdminStore, Clock, Result, TracedStore};
use shs_testkit::{FaultStore, Fixture, InTenant, async_trait};

/// A fixture over the memory store, behind a wrapper.
macro_rules! fixture {
    ($name:ident, $store:ty, $wrap:expr) => {
        struct $name(MemoryStore);

        #[async_trait]
        impl Fixture for $name {
            type Store = $store;
            const DURABLE: bool = false;
            const SHARED: bool = false;

            async fn new(clock: Arc<dyn Clock>) -> Self {
                Self(MemoryStore::new().with_clock(clock))
            }

            async fn open(&self) -> Result<Self::Store> {
                let wrap: fn(MemoryStore) -> Self::Store = $wrap;
                Ok(wrap(self.0.clone()))
            }
        }
    };
}

fixture!(Memory, MemoryStore, std::convert::identity);
fixture!(Shared, Arc<dyn AdminStore>, |store| Arc::new(store));
fixture!(Boxed, Box<dyn AdminStore>, |store| Box::new(store));
fixture!(Traced, TracedStore<MemoryStore>, TracedStore::new);
fixture!(Faultless, FaultStore<MemoryStore>, FaultStore::new);

shs_testkit::conformance!(memory, Memory);
shs_testkit::conformance!(in_a_tenant, InTenant<Memory>);
shs_testkit::conformance!(shared, Shared);
shs_testkit::conformance!(boxed, Boxed);
shs_testkit::conformance!(traced, Traced);
shs_testkit::conformance!(faultless, Faultless);
