//! The file store keeps the contract, with each durability.

use std::sync::Arc;

use shs_fs::{FsOptions, FsStore};
use shs_store::{Clock, Durability, Result};
use shs_testkit::{Fixture, InTenant, async_trait};
use tempfile::TempDir;

macro_rules! fixture {
    ($name:ident, $durability:expr) => {
        struct $name {
            folder: TempDir,
            clock: Arc<dyn Clock>,
        }

        #[async_trait]
        impl Fixture for $name {
            type Store = FsStore;
            const DURABLE: bool = true;
            const SHARED: bool = false;

            async fn new(clock: Arc<dyn Clock>) -> Self {
                Self { folder: tempfile::tempdir().unwrap(), clock }
            }

            async fn open(&self) -> Result<FsStore> {
                FsOptions::new(self.folder.path().join("history"))
                    .with_durability($durability)
                    .with_clock(Arc::clone(&self.clock))
                    .open()
                    .await
            }
        }
    };
}

fixture!(Full, Durability::Full);
fixture!(Relaxed, Durability::Relaxed);

shs_testkit::conformance!(full, Full);
shs_testkit::conformance!(in_a_tenant, InTenant<Full>);
shs_testkit::conformance!(relaxed, Relaxed);
