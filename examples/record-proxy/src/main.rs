//! A reverse proxy that records every conversation with an OpenAI-compatible or Anthropic server.
//!
//! ```text
//! LISTEN=127.0.0.1:8081 UPSTREAM=https://api.openai.com SHS_STORE=sqlite:./history.db cargo run -p record-proxy
//! OPENAI_BASE_URL=http://127.0.0.1:8081/v1 your-program
//! ```
//!
//! Sessions follow the header `x-session-id`, users `x-user-id`: nobody is authenticated here, so let only those reach it whom you
//! trust to say who they are. SIGTERM lets what is under way end, stores it, and exits with 0.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use session_history_saver::tower::{Ladder, RecordLayer, Recorder};
use session_history_saver::{Config, open_store};
use tokio::signal::unix::{SignalKind, signal};

/// How long what is under way may take after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Upstream {
    base: String,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let base = env::var("UPSTREAM").map_err(|_| "UPSTREAM is not set; give the URL of a server")?;
    let base = base.trim_end_matches('/').to_owned();
    base.parse::<Uri>()?
        .scheme()
        .ok_or("UPSTREAM has no scheme; begin it with http:// or https://")?;
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8081".to_owned());

    let store = open_store(Config::from_env()?.location()).await?;
    let recorder = Recorder::new(Arc::clone(&store));
    let layer = RecordLayer::new(recorder.clone()).user(Ladder::header("x-user-id"));

    let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
    let client = Client::builder(TokioExecutor::new()).build(https.build());
    let proxy = Router::new().fallback(forward).layer(layer).with_state(Upstream { base, client });

    let listener = tokio::net::TcpListener::bind(&listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, proxy).with_graceful_shutdown(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        let _ = stop.send(());
    });
    tokio::select! {
        served = serving => served?,
        () = async { let _ = stopped.await; tokio::time::sleep(PATIENCE).await } => {}
    }
    let lost = recorder.shutdown(PATIENCE).await;
    eprintln!("recorded: {:?}; not waited for: {lost}", recorder.counts());
    Ok(store.close().await?)
}

/// Sends a request on as it is, but for what concerns the connection alone.
async fn forward(State(upstream): State<Upstream>, mut request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("{}{path}", upstream.base).parse() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    for name in [header::HOST, header::CONNECTION, header::TE, header::UPGRADE] {
        request.headers_mut().remove(name);
    }
    match upstream.client.request(request).await {
        Ok(response) => response.map(Body::new).into_response(),
        Err(error) => {
            let message = format!("the server behind the proxy does not answer: {error}");
            let body = json!({ "error": { "message": message, "type": "upstream_error" } });
            (StatusCode::BAD_GATEWAY, Json(body)).into_response()
        }
    }
}
