//! What the environment says.

use std::env::{self, VarError};
use std::time::Duration;

use session_history_saver::{Config, Location, Saving};

use crate::Outcome;
use crate::openai::OpenAi;
use crate::responder::Responder;

/// Everything that can be chosen.
pub(crate) struct Settings {
    pub(crate) listen: String,
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
        Ok(Self { listen, history, responder: responder()? })
    }
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
