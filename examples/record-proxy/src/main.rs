//! A reverse proxy that records every conversation with an OpenAI-compatible or Anthropic server.
//!
//! ```text
//! LISTEN=127.0.0.1:8081 UPSTREAM=https://api.openai.com SHS_STORE=sqlite:./history.db cargo run -p record-proxy
//! OPENAI_BASE_URL=http://127.0.0.1:8081/v1 your-program
//! ```
//!
//! | variable | default | |
//! |---|---|---|
//! | `UPSTREAM` | | the URL of the server that requests are sent on to |
//! | `LISTEN` | `127.0.0.1:8081` | where it listens |
//! | `SHS_STORE` and the other `SHS_*` | `sqlite:./session_history.db` | where conversations are kept |
//! | `MAX_CONNECTIONS` | `400` | clients at once; each takes two open files |
//!
//! Sessions follow the headers `x-session-id` and `x-conversation-id`, users `x-user-id`, tenants
//! `x-tenant-id`; two users never share a session, whatever ids they send. The headers are not sent
//! on, and are refused if they are given twice or are not UTF-8. Nobody is authenticated here, so
//! let only those reach it whom you trust to say who they are.
//!
//! Clients that send or read too slowly are cut off: see [`server`]. SIGTERM and Ctrl-C let what is
//! under way end, for 30 seconds at most, store it, and exit with 0; the second signal within that
//! time ends the waiting.

mod forward;
mod server;

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::middleware::from_fn;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use session_history_saver::tower::{Ladder, RecordLayer, Recorder};
use session_history_saver::{Config, open_store};
use tokio::sync::Mutex;

use crate::forward::{Upstream, forward, vet};
use crate::server::{Bounds, Signals, serve};

/// How long it may take to reach the server behind the proxy.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long the recorder may take to store what has ended.
const RECORDER_PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(run());
    // All is stored that could be in time; what still computes is not waited for.
    runtime.shutdown_background();
    done
}

async fn run() -> Result<(), Box<dyn Error>> {
    let base = env::var("UPSTREAM").map_err(|_| "UPSTREAM is not set; give the URL of a server")?;
    let base = base.trim_end_matches('/').to_owned();
    base.parse::<Uri>()?
        .scheme()
        .ok_or("UPSTREAM has no scheme; begin it with http:// or https://")?;
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8081".to_owned());
    let bounds = bounds()?;

    let store = open_store(Config::from_env()?.location()).await?;
    let recorder = Recorder::new(Arc::clone(&store));
    let layer = RecordLayer::new(recorder.clone())
        .tenant(Ladder::header(forward::TENANT))
        .user(Ladder::header(forward::USER));

    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECTING));
    let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
    let client = Client::builder(TokioExecutor::new()).build(https.wrap_connector(connector));
    let upstream = Upstream { base, client };
    let proxy = Router::new().fallback(forward).layer(layer).layer(from_fn(vet));

    let signals = Mutex::new(Signals::new()?);
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let next = async || signals.lock().await.next().await;
    serve(listener, proxy.with_state(upstream), bounds, next(), next()).await;
    let lost = recorder.shutdown(RECORDER_PATIENCE).await;
    eprintln!("recorded: {:?}; not waited for: {lost}", recorder.counts());
    Ok(store.close().await?)
}

fn bounds() -> Result<Bounds, String> {
    let mut bounds = Bounds::default();
    if let Ok(connections) = env::var("MAX_CONNECTIONS") {
        let number = connections.parse().ok().filter(|number| (1..=1_000_000).contains(number));
        bounds.connections = number.ok_or_else(|| {
            format!("MAX_CONNECTIONS is {connections:?}; give a whole number from 1 to 1000000")
        })?;
    }
    Ok(bounds)
}
