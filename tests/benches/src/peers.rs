//! The contestants, and how each is made to do a job.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cases::{Case, With};
use crate::child;
use crate::disk::{Disk, Shim};
use crate::job::{Backend, Figures, Job, Operation};
use crate::python::Python;
use crate::scale::Scale;
use crate::texts::{TextFiles, Texts};

/// Who does a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contestant {
    Ours,
    /// The Python package session-history-saver.
    Package,
    /// The Python package openai-agents.
    OpenaiAgents,
    /// A pool of sqlx with a transaction for each append.
    Naive,
    /// rusqlite, with the same schema and nothing around it.
    Limit,
    /// One file with one sync for all who wait, and nothing around it.
    Journal,
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::Package => "Python package",
            Self::OpenaiAgents => "openai-agents",
            Self::Naive => "naive sqlx pool",
            Self::Limit => "rusqlite",
            Self::Journal => "bare journal",
        })
    }
}

impl Case {
    /// Ours, and whoever it is compared with.
    pub(crate) fn contestants(&self) -> Vec<Contestant> {
        let peers = self.comparisons.iter().filter_map(|comparison| match comparison.with {
            With::Contestant(contestant) => Some(contestant),
            _ => None,
        });
        std::iter::once(Contestant::Ours).chain(peers).collect()
    }
}

/// Everything that it takes to run them.
#[derive(Debug)]
pub(crate) struct Arena {
    folder: PathBuf,
    python: Python,
    shim: Shim,
    limit: PathBuf,
    texts: TextFiles,
    scale: Scale,
}

impl Arena {
    /// Builds and installs what is needed below a folder.
    pub(crate) fn prepare(folder: &Path, scale: &Scale) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let python = Python::prepare(folder)?;
        let scratch = folder.join("scratch");
        if scratch.exists() {
            fs::remove_dir_all(&scratch)?;
        }
        fs::create_dir(&scratch)?;
        Ok(Self {
            shim: Shim::compile(folder)?,
            limit: build_limit(folder)?,
            texts: TextFiles::prepare(folder, &python)?,
            folder: scratch,
            python,
            scale: scale.clone(),
        })
    }

    /// Lets a contestant do a case's job.
    pub(crate) fn run(&self, contestant: Contestant, case: &Case) -> Result<Figures> {
        let fresh;
        let folder = if case.in_library {
            self.library(contestant, case.job.backend)?
        } else {
            fresh = tempfile::tempdir_in(&self.folder)?;
            fresh.path().to_owned()
        };
        let job = Job {
            folder,
            texts: self.texts.path(case.texts).to_owned(),
            seconds: self.scale.seconds,
            sessions: if case.in_library { self.scale.sessions } else { case.job.sessions },
            ..case.job.clone()
        };
        self.execute(contestant, &job, case.disk)
    }

    /// A contestant's store of many sessions, which is made when it is first asked for.
    fn library(&self, contestant: Contestant, backend: Backend) -> Result<PathBuf> {
        let folder = self.folder.join(format!("library of {contestant} in {backend:?}"));
        if !folder.exists() {
            eprintln!("making the {}", folder.file_name().unwrap_or_default().display());
            fs::create_dir(&folder)?;
            let job = Job {
                folder: folder.clone(),
                texts: self.texts.path(Texts::Conversations).to_owned(),
                already: self.scale.messages,
                sessions: self.scale.sessions,
                ..Job::new(Operation::FillLibrary, backend)
            };
            self.execute(contestant, &job, Disk::Fixed(0))?;
        }
        Ok(folder)
    }

    fn execute(&self, contestant: Contestant, job: &Job, disk: Disk) -> Result<Figures> {
        let environment = self.shim.environment(disk);
        let job = serde_json::to_string(job)?;
        let told = match contestant {
            Contestant::Package => self.python.run("package.py", &job, &environment)?,
            Contestant::OpenaiAgents => self.python.run("openai_agents.py", &job, &environment)?,
            Contestant::Ours => worker("ours", &job, environment)?,
            Contestant::Naive => worker("naive", &job, environment)?,
            Contestant::Journal => worker("journal", &job, environment)?,
            Contestant::Limit => {
                child::output(Command::new(&self.limit).arg(&job).envs(environment))?
            }
        };
        Ok(serde_json::from_str(&told).map_err(|error| format!("{contestant}: {error}: {told}"))?)
    }
}

/// Runs a contestant that is part of this program.
fn worker(name: &str, job: &str, environment: Vec<(String, String)>) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    child::output(command.args([crate::WORKER, name, job]).envs(environment))
}

/// Builds the program that shows the limit, with its own lock file.
fn build_limit(folder: &Path) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("limit/Cargo.toml");
    let target = folder.join("limit");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(manifest);
    child::output(cargo.arg("--target-dir").arg(&target))?;
    Ok(target.join("release/shs-benches-limit"))
}
