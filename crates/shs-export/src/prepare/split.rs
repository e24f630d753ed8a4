//! Sessions parted into those to train on and those to validate with.

use std::num::ParseFloatError;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};
use shs_store::{Error, Result, Scope, Session, SessionId, Store, StoreExt};

/// The share of sessions that are for training; the others are for validation.
///
/// Which session goes where follows from its id alone, so that it stays there however many are added. A fork goes
/// with the session that it came from, at whatever distance: nothing that a model was trained on is in
/// the part for validation by way of a fork. That holds as long as the forks between are in the store: of a fork
/// whose source was deleted, no more is known than the id of that source.
///
/// # Examples
/// ```
/// use shs_export::Split;
///
/// assert!(Split::new(0.9).is_ok());
/// assert!(Split::new(1.0).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split(f64);

impl Split {
    /// This share for training, between 0 and 1.
    ///
    /// # Errors
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if it is not between 0 and 1.
    pub fn new(share: f64) -> Result<Self> {
        if share > 0.0 && share < 1.0 {
            return Ok(Self(share));
        }
        Err(Error::invalid(format!("the share for training is {share}; give one between 0 and 1")))
    }

    /// The names of the two files: `data.jsonl` becomes `data.train.jsonl` and `data.validation.jsonl`.
    pub fn paths(path: &Path) -> [PathBuf; 2] {
        ["train", "validation"].map(|part| {
            let stem = path.file_stem().unwrap_or_default().to_os_string();
            let mut name = stem;
            name.push(format!(".{part}"));
            if let Some(extension) = path.extension() {
                name.push(".");
                name.push(extension);
            }
            path.with_file_name(name)
        })
    }

    /// Whether the sessions that began with this one are for training.
    pub(crate) fn is_for_training(self, root: &SessionId) -> bool {
        let digest: [u8; 32] = Sha256::digest(root.as_str().as_bytes()).into();
        let number = u64::from_be_bytes(std::array::from_fn(|at| digest[at]));
        (number as f64) / (u64::MAX as f64) < self.0
    }
}

impl FromStr for Split {
    type Err = Error;

    /// Reads a share such as `0.9`.
    fn from_str(text: &str) -> Result<Self> {
        let share = text.parse().map_err(|error: ParseFloatError| {
            Error::invalid("the share for training is no number; give one between 0 and 1")
                .with_source(error)
        })?;
        Self::new(share)
    }
}

/// The session that this one came from by forks, the first of them; itself if it is no fork.
///
/// One that was deleted is still known by its id; what it came from is not.
pub(crate) async fn root(store: &dyn Store, scope: &Scope, session: &Session) -> Result<SessionId> {
    let mut path = vec![session.id.clone()];
    let mut forked_from = session.forked_from.clone();
    while let Some(point) = forked_from {
        let id = point.session_id;
        // Imported sessions can name each other in a circle: all of it goes with one of them.
        if let Some(from) = path.iter().position(|before| *before == id) {
            return Ok(path.drain(from..).min().unwrap_or(id));
        }
        path.push(id.clone());
        forked_from = store.find_session(scope, &id).await?.and_then(|source| source.forked_from);
    }
    Ok(path.pop().expect("it begins with the session itself"))
}
