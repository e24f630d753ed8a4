//! Small file systems in memory, to fill up or to make read-only.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A file system of its own, which goes with this value.
#[derive(Debug)]
pub struct Mount {
    folder: TempDir,
}

impl Mount {
    /// Mounts a file system of this size, such as `2m`.
    ///
    /// # Errors
    /// Where mounting is not allowed: it takes root on Linux.
    pub fn new(size: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let options = format!("size={size},mode=0777");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path()))?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes it read-only.
    ///
    /// # Panics
    /// If that fails, as it does while a file is open for writing.
    pub fn make_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()))
            .expect("it remounts");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a test that failed may have files open.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(self.path())) {
            eprintln!("{error}");
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
