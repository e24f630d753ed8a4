//! The stores that the tests run on, and the macro that runs each test on all of them.

#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use session_history_saver::document::Revision;
use session_history_saver::{
    Document, DocumentStore, Documents, Error, ErrorKind, Result, SessionKey, SessionTracker,
    TenantId,
};

/// Runs each test on every store of this build, and on one of our own.
macro_rules! on_every_store {
    ($($(#[$meta:meta])* async fn $name:ident($history:ident) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all")]
            use super::*;

            async fn check($history: SessionTracker) $body

            #[tokio::test]
            async fn custom() {
                let (history, _) = stores::frail();
                check(history).await;
            }

            #[cfg(feature = "memory")]
            #[tokio::test]
            async fn memory() {
                check(SessionTracker::new(session_history_saver::memory::MemoryStore::new())).await;
            }

            #[cfg(feature = "fs")]
            #[tokio::test]
            async fn fs() {
                let folder = tempfile::tempdir().unwrap();
                let store = stores::folder(folder.path()).await;
                let history = SessionTracker::new(store);
                check(history.clone()).await;
                history.close().await.unwrap();
            }

            #[cfg(feature = "sqlite")]
            #[tokio::test]
            async fn sqlite() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("history.db");
                let store = session_history_saver::sqlite::SqliteStore::open(&path).await.unwrap();
                let history = SessionTracker::new(store);
                check(history.clone()).await;
                history.close().await.unwrap();
            }
        }
    )+};
}

pub(crate) use on_every_store;

/// A store in a folder that does not wait for the disk: nobody pulls the plug on these tests.
#[cfg(feature = "fs")]
pub(crate) async fn folder(path: &std::path::Path) -> session_history_saver::fs::FsStore {
    let options = session_history_saver::fs::FsOptions::new(path);
    options.with_durability(session_history_saver::Durability::Relaxed).open().await.unwrap()
}

/// A backend as users write one, whose storage can be made to fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frail {
    documents: Arc<Mutex<HashMap<SessionKey, Document>>>,
    broken: Arc<AtomicBool>,
    writes_are_lost: Arc<AtomicBool>,
}

/// A tracker over a frail store, and the store's insides.
pub(crate) fn frail() -> (SessionTracker, Frail) {
    let frail = Frail::default();
    (SessionTracker::new(Documents::new("custom", frail.clone())), frail)
}

impl Frail {
    /// Makes every access fail from now on, or work again.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// Makes every write be stored and reported as failed, or work again.
    pub(crate) fn set_reporting_failure(&self, reporting: bool) {
        self.writes_are_lost.store(reporting, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the storage is gone"));
        }
        Ok(())
    }

    fn acknowledge(&self) -> Result<bool> {
        if self.writes_are_lost.load(Ordering::SeqCst) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the storage went away after the write",
            ));
        }
        Ok(true)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionKey, Document>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DocumentStore for Frail {
    async fn load(&self, key: &SessionKey) -> Result<Option<Document>> {
        self.check()?;
        Ok(self.lock().get(key).cloned())
    }

    async fn save(
        &self,
        key: &SessionKey,
        document: &Document,
        expected: Option<Revision>,
    ) -> Result<bool> {
        self.check()?;
        let mut documents = self.lock();
        if documents.get(key).map(Document::revision) != expected {
            return Ok(false);
        }
        documents.insert(key.clone(), document.clone());
        self.acknowledge()
    }

    async fn delete(&self, key: &SessionKey, expected: Revision) -> Result<bool> {
        self.check()?;
        let mut documents = self.lock();
        if documents.get(key).map(Document::revision) != Some(expected) {
            return Ok(false);
        }
        documents.remove(key);
        self.acknowledge()
    }

    async fn keys(&self, tenant: Option<&TenantId>) -> Result<Vec<SessionKey>> {
        self.check()?;
        let is_asked = |key: &&SessionKey| tenant.is_none_or(|tenant| key.tenant == *tenant);
        Ok(self.lock().keys().filter(is_asked).cloned().collect())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
