//! The Python package that this project re-implements, to compare with; and other packages.

use std::fs::{self, File};
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
    with_packages(target, "python-package-1.0.0", &[PACKAGE])
}

/// A Python with these packages, installed once into a folder of this name below another; or why there is none.
///
/// # Errors
/// Without `python3` with `venv`, or if the packages cannot be had.
pub fn with_packages(target: &Path, name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let folder = target.join(name);
    let python = folder.join("bin/python3");
    installed(&folder, packages, || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(&python);
        run(pip.args(["-m", "pip", "install", "--quiet"]).args(packages))
    })?;
    Ok(python)
}

/// Installs packages into a folder, unless just these were installed there before.
///
/// # Errors
/// If it does not succeed.
pub fn installed(
    folder: &Path,
    packages: &[&str],
    install: impl FnOnce() -> Result<String, String>,
) -> Result<(), String> {
    let in_words = |error: std::io::Error| format!("{}: {error}", folder.display());
    let ready = folder.join("ready");
    let packages = packages.join(" ");
    // One test at a time installs it.
    let lock = File::create(folder.with_extension("lock")).map_err(in_words)?;
    lock.lock().map_err(in_words)?;
    if fs::read_to_string(&ready).is_ok_and(|before| before == packages) {
        return Ok(());
    }
    install()?;
    fs::write(&ready, packages).map_err(in_words)
}

/// Runs one of the scripts in `tests/python`; returns what it printed.
///
/// # Panics
/// If the script fails.
pub fn script(python: &Path, name: &str, argument: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name);
    let mut command = Command::new(python);
    // What scripts share leaves nothing in the source tree.
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).arg(argument);
    run(&mut command).expect("the script runs")
}

/// Runs a command to its end; returns what it printed.
///
/// # Errors
/// If it cannot be run, or fails, with what it said.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
