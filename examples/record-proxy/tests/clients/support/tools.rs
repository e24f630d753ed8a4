//! What is installed for these tests, once below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use shs_tests::python::{installed, run, with_packages};

const PYTHON: [&str; 3] = ["llmock==0.2.2", "openai==3.54.0", "anthropic==2.12.0"];
const NODE: [&str; 1] = ["openai@7.57.0"];

/// A Python with the mock server and the clients.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) python: PathBuf,
}

impl Tools {
    /// Installs them; says loudly which test cannot run if that fails, which is a failure in CI.
    pub(crate) fn or_skip(test: &str) -> Option<Self> {
        let python = with_packages(target(), "llm-clients-python", &PYTHON);
        python.map(|python| Self { python }).map_err(|why| shs_tests::skip(test, &why)).ok()
    }

    /// The mock server's program.
    pub(crate) fn llmock(&self) -> PathBuf {
        self.python.with_file_name("llmock")
    }
}

/// A folder in which Node.js finds the client; says loudly which test cannot run without it.
pub(crate) fn node_or_skip(test: &str) -> Option<PathBuf> {
    let folder = target().join("llm-clients-node");
    let install = || {
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        fs::write(folder.join("package.json"), "{}").map_err(|error| error.to_string())?;
        let options = ["install", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(Command::new("npm").args(options).args(NODE).current_dir(&folder))
    };
    let tried = run(Command::new("node").arg("--version")).and_then(|version| {
        let major = version.trim_start_matches('v').split('.').next().map(str::parse::<u32>);
        match major {
            Some(Ok(20..)) => installed(&folder, &NODE, install),
            _ => Err(format!("Node.js 20 or later is needed, and this is {version}")),
        }
    });
    tried.map(|()| folder).map_err(|why| shs_tests::skip(test, &why)).ok()
}

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
