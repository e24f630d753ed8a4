//! Lines that were written before.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// The lines that were written, by a part of their SHA-256: 16 bytes for each.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashSet<[u8; 16]>);

impl Seen {
    /// Notes a line; says whether it is new.
    pub(crate) fn is_new(&mut self, line: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(line).into();
        self.0.insert(std::array::from_fn(|at| digest[at]))
    }
}
