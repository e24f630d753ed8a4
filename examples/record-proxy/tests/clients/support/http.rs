//! A client that knows nothing of LLMs.

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Sends a request; the response's body comes as it comes.
pub(crate) async fn send(request: Request<Body>) -> Response<Body> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.request(request).await.expect("the server answers").map(Body::new)
}

/// Sends a request and reads the whole response.
pub(crate) async fn exchange(request: Request<Body>) -> Response<Bytes> {
    let (head, body) = send(request).await.into_parts();
    let body = body.collect().await.expect("the body comes to its end");
    Response::from_parts(head, body.to_bytes())
}

/// A request with JSON, of a session and a user.
pub(crate) fn post(url: &str, session: &str, user: &str, body: &Value) -> Request<Body> {
    Request::post(url)
        .header("content-type", "application/json")
        .header("x-session-id", session)
        .header("x-user-id", user)
        .body(Body::from(body.to_string()))
        .expect("the test's request is one")
}
