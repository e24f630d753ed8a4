//! A chatbot in the browser whose conversations are kept: they outlive a reload, a closed tab and a killed server.
//!
//! ```text
//! cargo run -p chatbot                       # then open http://127.0.0.1:3000
//! ```
//!
//! | variable | default | |
//! |---|---|---|
//! | `LISTEN` | `127.0.0.1:3000` | where it listens |
//! | `CHATBOT_HOSTS` | | names under which it is reached, with commas between; addresses and `localhost` always are |
//! | `CHATBOT_KEY_FILE` | `./chatbot.key` | the key of the visitors' cookies; it is made if it is not there |
//! | `MAX_CONNECTIONS` | `400` | clients at once; each takes an open file |
//! | `SHS_STORE` and the other `SHS_*` | `sqlite:./chatbot.db` | where conversations are kept |
//! | `CHATBOT_DELAY_MS` | `40` | the pause before each word of the built-in Eliza |
//! | `OPENAI_BASE_URL` | | answers come from this server instead, such as `http://127.0.0.1:11434/v1` |
//! | `OPENAI_MODEL` | | the model to ask it for |
//! | `OPENAI_API_KEY` | | the key to show it, if it wants one |
//!
//! The backends `fs`, `memory` and `sqlite` are cargo features of these names; `sqlite` is on by default.
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | the HTTP API of the page | [`api`] |
//! | an answer that is saved while it is sent | [`api::talk`] |
//! | where answers come from | [`responder`], [`openai`] |
//! | an OpenAI-compatible API whose conversations are recorded | [`completions`] |
//! | whose conversations are whose | [`visitor`], [`history`] |
//! | what keeps other sites out | [`guard`] |
//! | what keeps slow clients from holding it up | [`server`] |
//!
//! # What a server on the internet would do differently
//! Here each browser is a user, known by a signed cookie: whoever has the cookie has the
//! conversations, and they are out of reach when it is gone. A real server authenticates people,
//! and limits how much each may ask.
//!
//! # Ending it
//! SIGTERM and Ctrl-C let the answers under way end, for 30 seconds at most; what is not done by then is kept as
//! interrupted. The second signal within that time ends the waiting.

mod api;
mod app;
mod completions;
#[path = "../../quickstart/src/eliza.rs"]
mod eliza;
mod guard;
mod history;
mod openai;
mod page;
mod refusal;
mod responder;
#[path = "../../record-proxy/src/server.rs"]
mod server;
mod settings;
mod visitor;

use std::error::Error;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use session_history_saver::SessionTracker;
use session_history_saver::tower::Recorder;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::app::App;
use crate::server::{Signals, serve};
use crate::settings::Settings;
use crate::visitor::Visitors;

/// How long the recorder may take to store what has ended by then.
const RECORDER_PATIENCE: Duration = Duration::from_secs(5);

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let done = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        let done = runtime.block_on(run());
        // All is stored that could be in time; what still computes is not waited for.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chatbot: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let settings = Settings::from_env()?;
    // First the address: a second server must not open the store of the one that has it.
    let listener = listen(&settings.listen).await?;
    let history = SessionTracker::open(settings.history).await?;
    let visitors = Visitors::open(&settings.key)?;
    let recorder = Recorder::new(Arc::clone(history.store()));
    let app = App::new(history.clone(), settings.responder);
    let signals = Mutex::new(Signals::new()?);
    println!("listening on http://{}", listener.local_addr()?);
    println!("answers come from {}", app.responder());

    let router = app.router(recorder.clone(), visitors, settings.hosts);
    let next = async || signals.lock().await.next().await;
    let cut_off = serve(listener, router, settings.bounds, next(), next()).await;
    if cut_off > 0 {
        eprintln!("chatbot: {cut_off} clients were cut off; their answers are kept as interrupted");
    }
    let lost = recorder.shutdown(RECORDER_PATIENCE).await;
    if lost > 0 {
        eprintln!("chatbot: {lost} exchanges were not over, and are not recorded");
    }
    Ok(history.close().await?)
}

async fn listen(address: &str) -> Outcome<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "; end the program that has it, or choose another port",
            _ => "; give an address and a port, such as 127.0.0.1:3000",
        };
        format!("LISTEN is {address:?}, where the server cannot listen: {error}{advice}").into()
    })
}

/// What an error says, and what the errors behind it say.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
