//! A backend of one's own: one JSON file for each conversation, in a folder.
//!
//! [`Folder`] implements the five methods of [`DocumentStore`]; [`Documents`] makes a full
//! [`Store`](shs_store::Store) of it. `tests/conformance.rs` runs the whole suite of `shs-testkit` on it.
//!
//! Three things make it right:
//! - Each method does its work as one closure on a thread for blocking work, which runs to its end although the
//!   caller goes away. So a dropped future has done all or nothing.
//! - Comparing the revision and changing the file happen under one lock, which other processes respect too.
//! - A file is published by `shs-files`, which knows what "on disk" and "at once" take on each operating system.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use shs_files::{rename, sync_folder};
use shs_store::document::Revision;
use shs_store::{
    Document, DocumentStore, Documents, Error, ErrorKind, Result, SessionKey, TenantId,
};
use uuid::Uuid;

/// Conversations as files in a folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: Arc<Path>,
}

impl Folder {
    /// Opens a store over a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the folder cannot be made.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Documents<Self>> {
        let folder = Self { path: path.into().into() };
        folder.work(|folder| fs::create_dir_all(&folder.path)).await?;
        Ok(Documents::new("folder", folder))
    }

    /// Does blocking work as one unit, to its end, whoever waits for it.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        done.unwrap_or_else(|ended| Err(io::Error::other(ended))).map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::InvalidData => ErrorKind::Corrupt,
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, "a file of the folder cannot be used").with_source(error)
        })
    }

    /// The file of a conversation. Any text can be an id, or the name of a tenant, so the file's
    /// name is a UUID made of both: of their JSON, which no two keys share.
    fn file(&self, key: &SessionKey) -> PathBuf {
        let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, json_of(key).as_bytes());
        self.path.join(format!("{name}.json"))
    }

    /// Waits until nobody else writes, in this process or in another; dropping the file lets others go on.
    fn lock(&self) -> io::Result<File> {
        let lock = File::options().create(true).append(true).open(self.path.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// Reads a conversation. The first line of its file is the key, the second the document.
    fn read(&self, key: &SessionKey) -> io::Result<Option<Document>> {
        let Some(text) = found(fs::read_to_string(self.file(key)))? else { return Ok(None) };
        let (_, json) = text.split_once('\n').ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(serde_json::from_str(json)?))
    }

    /// Whether what is stored has this revision; call it under the lock.
    fn is_at(&self, key: &SessionKey, expected: Option<Revision>) -> io::Result<bool> {
        Ok(self.read(key)?.map(|document| document.revision()) == expected)
    }

    /// Publishes a file, whole or not at all: under another name first, then renamed, each step on disk.
    fn publish(&self, key: &SessionKey, json: &str) -> io::Result<()> {
        let staged = self.path.join("staged");
        let mut file = File::create(&staged)?;
        write!(file, "{}\n{json}", json_of(key))?;
        file.sync_all()?;
        drop(file);
        rename(&staged, &self.file(key))?;
        sync_folder(&self.path)
    }
}

/// A key as JSON, which has no line break in it.
fn json_of(key: &SessionKey) -> String {
    serde_json::to_string(key).expect("texts serialize")
}

/// Takes a file that is not there as nothing.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[async_trait]
impl DocumentStore for Folder {
    async fn load(&self, key: &SessionKey) -> Result<Option<Document>> {
        let key = key.clone();
        self.work(move |folder| folder.read(&key)).await
    }

    async fn save(
        &self,
        key: &SessionKey,
        document: &Document,
        expected: Option<Revision>,
    ) -> Result<bool> {
        let key = key.clone();
        let json = serde_json::to_string(document).map_err(|error| {
            Error::new(ErrorKind::Internal, "the document does not serialize").with_source(error)
        })?;
        let save = move |folder: &Self| {
            let _lock = folder.lock()?;
            let is_expected = folder.is_at(&key, expected)?;
            if is_expected {
                folder.publish(&key, &json)?;
            }
            Ok(is_expected)
        };
        self.work(save).await
    }

    async fn delete(&self, key: &SessionKey, expected: Revision) -> Result<bool> {
        let key = key.clone();
        let delete = move |folder: &Self| {
            let _lock = folder.lock()?;
            let is_expected = folder.is_at(&key, Some(expected))?;
            if is_expected {
                fs::remove_file(folder.file(&key))?;
                sync_folder(&folder.path)?;
            }
            Ok(is_expected)
        };
        self.work(delete).await
    }

    async fn keys(&self, tenant: Option<&TenantId>) -> Result<Vec<SessionKey>> {
        let tenant = tenant.cloned();
        let list = move |folder: &Self| {
            let mut keys = Vec::new();
            for entry in fs::read_dir(&folder.path)? {
                let path = entry?.path();
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                // One that was deleted since the folder was listed is passed over.
                let Some(file) = found(File::open(path))? else { continue };
                let mut key = String::new();
                BufReader::new(file).read_line(&mut key)?;
                let key: SessionKey = serde_json::from_str(&key)?;
                if tenant.as_ref().is_none_or(|tenant| key.tenant == *tenant) {
                    keys.push(key);
                }
            }
            Ok(keys)
        };
        self.work(list).await
    }

    async fn close(&self) -> Result<()> {
        // Every write was on disk when it returned, and no file is kept open.
        Ok(())
    }
}
