//! A Python with the packages that are measured, installed once below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::child;

const PACKAGES: [&str; 3] =
    ["session-history-saver==1.0.0", "openai-agents==0.24.0", "chitchat-dataset==0.9.0"];

/// The interpreter, and the scripts it runs.
#[derive(Debug)]
pub(crate) struct Python {
    interpreter: PathBuf,
}

impl Python {
    pub(crate) fn prepare(folder: &Path) -> Result<Self> {
        let folder = folder.join("python");
        let interpreter = folder.join("bin/python3");
        let ready = folder.join("ready");
        if !ready.exists() {
            child::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            child::output(Command::new(&interpreter).args(pip).args(PACKAGES))?;
            std::fs::write(&ready, "")?;
        }
        Ok(Self { interpreter })
    }

    /// Runs one of the scripts; returns what it printed.
    pub(crate) fn run(
        &self,
        script: &str,
        argument: &str,
        environment: &[(String, String)],
    ) -> Result<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let mut command = Command::new(&self.interpreter);
        // No files are left in the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).arg(argument);
        child::output(command.envs(environment.iter().cloned()))
    }
}
