//! How long the disk takes to sync.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::child;

/// What a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// That of the disk which holds the target folder.
    Real,
    /// A pause of so many microseconds.
    Fixed(u32),
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real => f.write_str("the disk's own"),
            Self::Fixed(0) => f.write_str("0"),
            Self::Fixed(microseconds) => write!(f, "{} ms", f64::from(*microseconds) / 1_000.0),
        }
    }
}

/// The shared library that stands in for a disk.
#[derive(Debug)]
pub(crate) struct Shim {
    library: PathBuf,
}

impl Shim {
    pub(crate) fn compile(folder: &Path) -> Result<Self> {
        let library = folder.join("fixed_fsync.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/fixed_fsync.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
        child::output(cc.args([&library, &source]))?;
        Ok(Self { library })
    }

    /// The environment in which a program has this disk.
    pub(crate) fn environment(&self, disk: Disk) -> Vec<(String, String)> {
        match disk {
            Disk::Real => Vec::new(),
            Disk::Fixed(microseconds) => vec![
                ("LD_PRELOAD".to_owned(), self.library.to_string_lossy().into_owned()),
                ("FSYNC_MICROSECONDS".to_owned(), microseconds.to_string()),
            ],
        }
    }
}
