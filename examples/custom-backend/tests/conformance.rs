//! The folder keeps the whole contract of a store.

use std::sync::Arc;

use custom_backend::Folder;
use shs_store::{Clock, Documents, Result};
use shs_testkit::{Fixture, async_trait};
use tempfile::TempDir;

struct Files {
    folder: TempDir,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Fixture for Files {
    type Store = Documents<Folder>;
    const DURABLE: bool = true;
    const SHARED: bool = true;

    async fn new(clock: Arc<dyn Clock>) -> Self {
        Self { folder: TempDir::new().expect("a folder can be made"), clock }
    }

    async fn open(&self) -> Result<Self::Store> {
        let store = Folder::open(self.folder.path()).await?;
        Ok(store.with_clock(Arc::clone(&self.clock)))
    }
}

shs_testkit::conformance!(Files);
