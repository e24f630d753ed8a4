//! How a program chooses what a tracker does.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use shs_store::{Error, NewSession, Result, Timestamp};

use crate::Location;

/// How often streamed answers of dead writers are looked for: as long as a lease is.
const SWEEP: Duration = Duration::from_secs(30);

/// When messages are saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Saving {
    /// Each message when it is added: it is in the store when the call returns.
    #[default]
    AtOnce,
    /// All messages of a session when it ends, or when [`SessionHandle::save`](crate::SessionHandle::save)
    /// says so. Until then they are in the memory of this process only, and lost with it.
    AtEnd,
}

/// What a [`SessionTracker`](crate::SessionTracker) does: where it keeps conversations, and its defaults.
///
/// What counts, weakest first: the defaults, the `SHS_*` environment variables, what the program says.
/// So a `with_*` call after [`from_env`](Self::from_env) wins over the environment, and
/// [`from_env_or`](Self::from_env_or) sets defaults for the environment to override.
///
/// | variable | default | meaning |
/// |---|---|---|
/// | `SHS_STORE` | | a [`Location`]: `memory:`, `fs:FOLDER`, `sqlite:PATH`; goes before the next three |
/// | `SHS_BACKEND` | `sqlite` | `memory`, `json` (or `fs`), `sqlite` |
/// | `SHS_DB_PATH` | `./session_history.db` | the file of the backend `sqlite` |
/// | `SHS_STORAGE_DIR` | `./session_history` | the folder of the backend `json` |
/// | `SHS_AUTO_SAVE` | `true` | `true`, `1`, `yes`, `on`: save [at once](Saving::AtOnce); `false`, `0`, `no`, `off`: [at the end](Saving::AtEnd) |
/// | `SHS_DEFAULT_USER` | | the user of sessions that are started without one; none if empty |
/// | `SHS_DEFAULT_PROJECT` | | the project of sessions that are started without one; none if empty |
///
/// # Examples
/// ```
/// use session_history_saver::{Config, Location};
///
/// let config = Config::new().with_location(Location::Memory).with_default_user("alice");
/// assert_eq!(config.default_user(), Some("alice"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    location: Location,
    saving: Saving,
    default_user: Option<String>,
    default_project: Option<String>,
    sweep: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The file of the SQLite store unless another is chosen.
    pub const DEFAULT_DB_PATH: &str = "./session_history.db";
    /// The folder of the store in files unless another is chosen.
    pub const DEFAULT_STORAGE_DIR: &str = "./session_history";

    /// The defaults: a SQLite file at `./session_history.db`, messages saved at once, no default user or
    /// project.
    pub fn new() -> Self {
        Self {
            location: Location::sqlite(Self::DEFAULT_DB_PATH),
            saving: Saving::AtOnce,
            default_user: None,
            default_project: None,
            sweep: true,
        }
    }

    /// Leaves streamed answers of dead writers as they are: by default a tracker that has a store
    /// which several processes may share (SQLite) looks for them every 30 s. See
    /// [`SessionTracker::sweep_streams`](crate::SessionTracker::sweep_streams).
    #[must_use]
    pub fn without_sweep(mut self) -> Self {
        self.sweep = false;
        self
    }

    /// How often answers of dead writers are looked for, if they are.
    pub(crate) fn sweep(&self) -> Option<Duration> {
        // What nobody else has open was looked for when it was opened.
        let is_shared = matches!(self.location, Location::Sqlite(_));
        (self.sweep && is_shared).then_some(SWEEP)
    }

    /// The environment over the defaults.
    ///
    /// # Errors
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if a variable is not valid; the error names
    /// the variable, its value, and what it may be.
    pub fn from_env() -> Result<Self> {
        Self::from_env_or(Self::new())
    }

    /// The environment over the defaults of the program.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    ///
    /// # Examples
    /// ```
    /// use session_history_saver::{Config, Location};
    ///
    /// let config = Config::from_env_or(Config::new().with_location(Location::sqlite("chat.db")))?;
    /// # Ok::<_, session_history_saver::Error>(())
    /// ```
    pub fn from_env_or(defaults: Self) -> Result<Self> {
        Self::read(defaults, env::var_os::<&'static str>)
    }

    /// Keeps conversations there.
    #[must_use]
    pub fn with_location(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    /// Saves messages then.
    #[must_use]
    pub fn with_saving(mut self, saving: Saving) -> Self {
        self.saving = saving;
        self
    }

    /// The user of sessions that are started without one.
    #[must_use]
    pub fn with_default_user(mut self, user_id: impl Into<String>) -> Self {
        self.default_user = Some(user_id.into());
        self
    }

    /// The project of sessions that are started without one.
    #[must_use]
    pub fn with_default_project(mut self, project_id: impl Into<String>) -> Self {
        self.default_project = Some(project_id.into());
        self
    }

    /// Where conversations are kept.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// When messages are saved.
    pub fn saving(&self) -> Saving {
        self.saving
    }

    /// The user of sessions that are started without one.
    pub fn default_user(&self) -> Option<&str> {
        self.default_user.as_deref()
    }

    /// The project of sessions that are started without one.
    pub fn default_project(&self) -> Option<&str> {
        self.default_project.as_deref()
    }

    fn read(mut config: Self, get: impl Fn(&'static str) -> Option<OsString>) -> Result<Self> {
        let text = |name| variable(name, &get);
        if let Some(store) = text("SHS_STORE")? {
            config.location =
                store.parse().map_err(|error| in_variable("SHS_STORE", &store, &error))?;
        } else {
            config.location = read_python_location(config.location, text)?;
        }
        if let Some(auto_save) = text("SHS_AUTO_SAVE")? {
            config.saving = read_auto_save(&auto_save)?;
        }
        if let Some(user) = text("SHS_DEFAULT_USER")? {
            check_session("SHS_DEFAULT_USER", &user, NewSession::with_user)?;
            config.default_user = Some(user).filter(|user| !user.is_empty());
        }
        if let Some(project) = text("SHS_DEFAULT_PROJECT")? {
            check_session("SHS_DEFAULT_PROJECT", &project, NewSession::with_project)?;
            config.default_project = Some(project).filter(|project| !project.is_empty());
        }
        Ok(config)
    }
}

/// The variables of the Python package.
fn read_python_location(
    default: Location,
    text: impl Fn(&'static str) -> Result<Option<String>>,
) -> Result<Location> {
    let path = |name| match text(name)? {
        Some(path) if path.is_empty() => {
            Err(Error::invalid(format!("{name} is empty; give a path or unset it")))
        }
        path => Ok(path),
    };
    let fs = |given: Option<String>, default| match (given, default) {
        (Some(folder), _) => Location::fs(folder),
        (None, default @ Location::Fs(_)) => default,
        (None, _) => Location::fs(Config::DEFAULT_STORAGE_DIR),
    };
    let sqlite = |given: Option<String>, default| match (given, default) {
        (Some(path), _) => Location::sqlite(path),
        (None, default @ Location::Sqlite(_)) => default,
        (None, _) => Location::sqlite(Config::DEFAULT_DB_PATH),
    };
    // Both are read, so that a mistake in the one that is not used is told too.
    let (db_path, storage_dir) = (path("SHS_DB_PATH")?, path("SHS_STORAGE_DIR")?);
    let location = match text("SHS_BACKEND")?.as_deref() {
        Some("memory") => Location::Memory,
        Some("json" | "fs") => fs(storage_dir, default),
        Some("sqlite") => sqlite(db_path, default),
        Some(other) => {
            return Err(Error::invalid(format!(
                "SHS_BACKEND is {other:?}, which is not a backend; known are: memory, json, sqlite"
            )));
        }
        None => match default {
            Location::Fs(_) => fs(storage_dir, default),
            Location::Sqlite(_) => sqlite(db_path, default),
            Location::Memory => Location::Memory,
        },
    };
    Ok(location)
}

fn read_auto_save(value: &str) -> Result<Saving> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(Saving::AtOnce),
        "false" | "0" | "no" | "off" => Ok(Saving::AtEnd),
        _ => Err(Error::invalid(format!(
            "SHS_AUTO_SAVE is {value:?}; known are: true, 1, yes, on, false, 0, no, off"
        ))),
    }
}

fn variable(
    name: &'static str,
    get: impl Fn(&'static str) -> Option<OsString>,
) -> Result<Option<String>> {
    let Some(value) = get(name) else { return Ok(None) };
    value
        .into_string()
        .map(Some)
        .map_err(|value| Error::invalid(format!("{name} is {value:?}, which is not UTF-8")))
}

/// Checks a user or project as a session would, where it enters; an empty one means none.
fn check_session(
    name: &str,
    value: &str,
    set: impl Fn(NewSession, String) -> NewSession,
) -> Result<()> {
    if value.is_empty() {
        return Ok(());
    }
    let session = set(NewSession::new(), value.to_owned()).into_session(Timestamp::now());
    session.map(drop).map_err(|error| in_variable(name, value, &error))
}

fn in_variable(name: &str, value: &str, error: &Error) -> Error {
    Error::invalid(format!("{name} is {value:?}: {}", error.detail()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use shs_store::ErrorKind;

    use super::*;

    fn read(variables: &[(&'static str, &str)]) -> Result<Config> {
        let variables: HashMap<_, OsString> =
            variables.iter().map(|(name, value)| (*name, value.into())).collect();
        Config::read(Config::new(), |name| variables.get(name).cloned())
    }

    #[test]
    fn nothing_set_means_the_defaults_of_the_python_package() {
        let config = read(&[]).unwrap();
        assert_eq!(config, Config::new());
        assert_eq!(config.location().to_string(), "sqlite:./session_history.db");
        assert_eq!(config.saving(), Saving::AtOnce);
    }

    #[test]
    fn the_variables_of_the_python_package_are_read() {
        let config = read(&[
            ("SHS_BACKEND", "json"),
            ("SHS_STORAGE_DIR", "/data/chats"),
            ("SHS_DB_PATH", "unused.db"),
            ("SHS_AUTO_SAVE", "No"),
            ("SHS_DEFAULT_USER", "alice"),
            ("SHS_DEFAULT_PROJECT", "bot"),
        ])
        .unwrap();
        assert_eq!(config.location(), &Location::fs("/data/chats"));
        assert_eq!(config.saving(), Saving::AtEnd);
        assert_eq!(config.default_user(), Some("alice"));
        assert_eq!(config.default_project(), Some("bot"));
        let location = |variables: &[_]| read(variables).unwrap().location().clone();
        assert_eq!(location(&[("SHS_BACKEND", "memory")]), Location::Memory);
        assert_eq!(location(&[("SHS_BACKEND", "json")]), Location::fs("./session_history"));
        assert_eq!(location(&[("SHS_DB_PATH", "x.db")]), Location::sqlite("x.db"));
    }

    #[test]
    fn the_store_goes_before_the_variables_of_the_python_package() {
        let config = read(&[("SHS_STORE", "fs:chats"), ("SHS_BACKEND", "sqlite")]).unwrap();
        assert_eq!(config.location(), &Location::fs("chats"));
    }

    #[test]
    fn the_program_wins_over_the_environment() {
        let config = read(&[("SHS_STORE", "fs:chats"), ("SHS_DEFAULT_USER", "alice")]).unwrap();
        let config = config.with_location(Location::Memory).with_default_user("bob");
        assert_eq!(config.location(), &Location::Memory);
        assert_eq!(config.default_user(), Some("bob"));
    }

    #[test]
    fn a_bad_variable_is_named_with_its_value_and_what_it_may_be() {
        for (name, value, part) in [
            ("SHS_STORE", "mongodb://localhost", "memory:, fs:FOLDER, sqlite:PATH"),
            ("SHS_STORE", "", "memory:, fs:FOLDER, sqlite:PATH"),
            ("SHS_STORE", "sqlite:", "empty"),
            ("SHS_BACKEND", "mongodb", "memory, json, sqlite"),
            ("SHS_BACKEND", "", "memory, json, sqlite"),
            ("SHS_DB_PATH", "", "empty"),
            ("SHS_STORAGE_DIR", "", "empty"),
            ("SHS_AUTO_SAVE", "maybe", "true, 1, yes, on, false, 0, no, off"),
            ("SHS_AUTO_SAVE", "", "true, 1, yes, on"),
            ("SHS_DEFAULT_USER", "a\nb", "control character"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(part), "{text}");
            assert!(value.is_empty() || text.contains(&format!("{value:?}")), "{text}");
        }
    }

    #[test]
    fn every_spelling_of_auto_save_is_read() {
        for value in ["true", "1", "yes", "on", "TRUE"] {
            assert_eq!(read(&[("SHS_AUTO_SAVE", value)]).unwrap().saving(), Saving::AtOnce);
        }
        for value in ["false", "0", "no", "off", "False"] {
            assert_eq!(read(&[("SHS_AUTO_SAVE", value)]).unwrap().saving(), Saving::AtEnd);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf8_is_refused() {
        use std::os::unix::ffi::OsStringExt;

        let error = Config::read(Config::new(), |name| {
            (name == "SHS_STORE").then(|| OsString::from_vec(b"fs:\xff".to_vec()))
        })
        .unwrap_err();
        assert!(error.to_string().contains("SHS_STORE"), "{error}");
    }
}
