//! Libraries in C that are put before a process's own calls.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Compiles `support/NAME.c` into a folder, once in a process, for `LD_PRELOAD`.
///
/// # Errors
/// Without a C compiler.
pub fn compile(name: &str, scratch: &Path) -> Result<PathBuf, String> {
    static COMPILED: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    if let Some(shim) = compiled.get(name) {
        return Ok(shim.clone());
    }
    let shim = scratch.join(format!("{name}-{}.so", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("support/{name}.c"));
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .args([&shim, &source])
        .arg("-lpthread")
        .output()
        .map_err(|error| format!("cc: {error}"))?;
    if !output.status.success() {
        return Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr)));
    }
    compiled.insert(name.to_owned(), shim.clone());
    Ok(shim)
}
