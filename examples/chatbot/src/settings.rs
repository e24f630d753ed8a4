//! What the environment says.

use std::env::{self, VarError};
use std::path::PathBuf;
use std::time::Duration;

use session_history_saver::{Config, Location, Saving};

use crate::Outcome;
use crate::guard::Hosts;
use crate::openai::OpenAi;
use crate::responder::Responder;
use crate::server::Bounds;

/// How long the body of a request may take; all of them are short.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Everything that can be chosen.
pub(crate) struct Settings {
    pub(crate) listen: String,
    pub(crate) hosts: Hosts,
    pub(crate) key: PathBuf,
    pub(crate) bounds: Bounds,
    pub(crate) history: Config,
    pub(crate) responder: Responder,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is not valid, and what it may be.
    pub(crate) fn from_env() -> Outcome<Self> {
        let listen = variable("LISTEN")?.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
        let defaults = Config::new().with_location(Location::sqlite("./chatbot.db"));
        // A question is stored before it is answered, whatever SHS_AUTO_SAVE says.
        let history = Config::from_env_or(defaults)?.with_saving(Saving::AtOnce);
        let key = variable("CHATBOT_KEY_FILE")?.unwrap_or_else(|| "./chatbot.key".to_owned());
        let (hosts, key, bounds) = (hosts()?, key.into(), bounds()?);
        Ok(Self { listen, hosts, key, bounds, history, responder: responder()? })
    }
}

fn hosts() -> Outcome<Hosts> {
    let names = variable("CHATBOT_HOSTS")?.unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.chars().all(plain) {
            return Ok(name.trim_end_matches('.').to_owned());
        }
        let what = "give names such as chat.example.org, without a port, with commas between";
        Err(format!("CHATBOT_HOSTS has {name:?}; {what}"))
    };
    Ok(names.map(name).collect::<Result<Vec<_>, _>>()?.into())
}

fn bounds() -> Outcome<Bounds> {
    let mut bounds = Bounds { body: BODY_PATIENCE, ..Bounds::default() };
    if let Some(connections) = variable("MAX_CONNECTIONS")? {
        let number = connections.parse().ok().filter(|number| (1..=1_000_000).contains(number));
        bounds.connections = number.ok_or_else(|| {
            format!("MAX_CONNECTIONS is {connections:?}; give a whole number from 1 to 1000000")
        })?;
    }
    Ok(bounds)
}

fn responder() -> Outcome<Responder> {
    let delay = delay()?;
    let Some(base) = variable("OPENAI_BASE_URL")? else {
        // A key that is there for other programs must not send anybody's conversations to a server by itself.
        return Ok(Responder::Eliza(delay));
    };
    let model = variable("OPENAI_MODEL")?.ok_or(
        "OPENAI_MODEL is not set; name the model to ask the server of OPENAI_BASE_URL for",
    )?;
    let key = variable("OPENAI_API_KEY")?;
    Ok(Responder::OpenAi(Box::new(OpenAi::new(&base, key.as_deref(), model)?)))
}

fn delay() -> Outcome<Duration> {
    let Some(value) = variable("CHATBOT_DELAY_MS")? else { return Ok(Duration::from_millis(40)) };
    let millis = value.parse().map_err(|_| {
        format!("CHATBOT_DELAY_MS is {value:?}; give a whole number of milliseconds")
    })?;
    Ok(Duration::from_millis(millis))
}

/// A variable; one that is empty counts as not set.
fn variable(name: &str) -> Outcome<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8").into()),
    }
}
