//! The Python package that this project re-implements, to compare with.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that is compared with.
const PACKAGE: &str = "session-history-saver==1.0.0";

/// A Python with the package, installed once below a folder; or why there is none.
///
/// Tests give their `CARGO_TARGET_TMPDIR`.
///
/// # Errors
/// Without `python3` with `venv`, or if the package cannot be had.
pub fn interpreter(target: &Path) -> Result<PathBuf, String> {
    let folder = target.join("python-package-1.0.0");
    let python = folder.join("bin/python3");
    let ready = folder.join("ready");
    // One test at a time installs it.
    let lock = File::create(folder.with_extension("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if !ready.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]))?;
        File::create(&ready).map_err(|e| e.to_string())?;
    }
    Ok(python)
}

/// Runs one of the scripts in `tests/python`; returns what it printed.
///
/// # Panics
/// If the script fails.
pub fn script(python: &Path, name: &str, argument: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name);
    run(Command::new(python).arg(script).arg(argument)).expect("the script runs")
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
