//! Files appear whole or not at all: the one place that writes them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use shs_files::{folder_of, persist, persist_new, sync_folder};
use shs_store::keeping::Existing;
use shs_store::{Error, ErrorKind, Result};
use tempfile::{Builder, NamedTempFile};
use tokio::io::AsyncWrite;
use tokio::task::spawn_blocking;

/// A file that is being written under another name. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    file: tokio::fs::File,
    /// `None` for a pipe or a device, which is written to as it is: another file must not take its place.
    draft: Option<NamedTempFile>,
    existing: Existing,
}

impl Draft {
    /// Creates the draft in the folder of `path`, and that folder if it is missing.
    pub(crate) async fn create(path: PathBuf, existing: Existing) -> Result<Self> {
        let target = path.clone();
        let created = in_background(move || match fs::metadata(&target) {
            Ok(about) if about.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(about) if !about.is_file() => {
                let file = File::options().write(true).open(&target)?;
                Ok(Self { path: target, file: file.into(), draft: None, existing })
            }
            Ok(_) if existing == Existing::Refuse => Err(io::ErrorKind::AlreadyExists.into()),
            about => {
                // A link stays, and what it leads to is replaced.
                let target = if about.is_ok() { fs::canonicalize(&target)? } else { target };
                fs::create_dir_all(folder_of(&target)).map_err(|error| match error.kind() {
                    // It is not the file that is there already, but something in the place of its
                    // folder.
                    io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
                    _ => error,
                })?;
                let draft = new_draft(&target)?;
                let file = draft.reopen()?;
                Ok(Self { path: target, file: file.into(), draft: Some(draft), existing })
            }
        });
        created.await.map_err(|error| cannot_write(&path, error))
    }

    /// Where to write to.
    pub(crate) fn writer(&mut self) -> &mut (dyn AsyncWrite + Send + Unpin) {
        &mut self.file
    }
}

/// Gives the files their names, all or none. Whatever was written must have been flushed.
pub(crate) async fn publish(drafts: Vec<Draft>) -> Result<()> {
    // One unit, which finishes even if the caller goes away.
    let published = spawn_blocking(move || {
        // Files alone get names.
        let drafts: Vec<_> =
            drafts.into_iter().filter_map(|it| Some((it.path, it.draft?, it.existing))).collect();
        for (path, draft, _) in &drafts {
            draft.as_file().sync_all().map_err(|error| cannot_write(path, error))?;
        }
        let mut named = Vec::with_capacity(drafts.len());
        let last = drafts.len().saturating_sub(1);
        for (at, (path, draft, existing)) in drafts.into_iter().enumerate() {
            // Behind the last one nothing can fail that would have to take it back.
            let before = (at < last).then(|| Before::keep(&path));
            let named_it = match existing {
                // Somebody may have made it since.
                Existing::Refuse => persist_new(draft, &path),
                _ => persist(draft, &path),
            };
            if let Err(error) = named_it {
                named.into_iter().rev().for_each(Before::put_back);
                return Err(cannot_write(&path, error));
            }
            named.extend(before);
            if at == last {
                // They are all in one folder.
                sync_folder(folder_of(&path)).map_err(|error| cannot_write(&path, error))?;
            }
        }
        Ok(())
    });
    published.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, "the files were not published").with_source(error))
    })
}

/// What a file was before it got another content, to put it back.
struct Before {
    path: PathBuf,
    kept: Kept,
}

enum Kept {
    Nothing,
    /// Another name of the file; dropping it removes the name.
    Link(tempfile::TempPath),
    /// The file system has no hard links.
    Unknown,
}

impl Before {
    fn keep(path: &Path) -> Self {
        let kept = match fs::symlink_metadata(path) {
            Err(_) => Kept::Nothing,
            Ok(_) => {
                let link = |name: &Path| fs::hard_link(path, name);
                let made =
                    Builder::new().prefix(".").suffix(".before").make_in(folder_of(path), link);
                made.map_or(Kept::Unknown, |named| Kept::Link(named.into_temp_path()))
            }
        };
        Self { path: path.to_owned(), kept }
    }

    /// As far as it can be done; that the other file could not be written is told anyway.
    fn put_back(self) {
        match self.kept {
            Kept::Nothing => drop(fs::remove_file(&self.path)),
            Kept::Link(link) => drop(link.persist(&self.path)),
            Kept::Unknown => {}
        }
    }
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// A draft with the permissions of the file that it will replace, or those of any new file.
fn new_draft(target: &Path) -> io::Result<NamedTempFile> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut builder = Builder::new();
        builder.prefix(".").suffix(".draft");
        // A temporary file is private otherwise. The process' umask is taken off.
        builder.permissions(fs::Permissions::from_mode(0o666));
        let draft = builder.tempfile_in(folder_of(target))?;
        if let Ok(existing) = fs::metadata(target) {
            draft.as_file().set_permissions(existing.permissions())?;
        }
        Ok(draft)
    }
    // It has the rights that the folder hands down.
    #[cfg(not(unix))]
    shs_files::draft(folder_of(target), ".", ".draft")
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        let detail = format!("{} is there already", path.display());
        return Error::new(ErrorKind::AlreadyExists, detail).with_op("export");
    }
    let detail = format!("the file {} cannot be written", path.display());
    Error::new(ErrorKind::Unavailable, detail).with_op("export").with_source(error)
}
