//! What goes from one side of the proxy to the other, by RFC 9110.

use std::error::Error;
use std::io;
use std::time::SystemTime;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use serde_json::json;

/// Who speaks, and in which conversation. Only the proxy needs to know, so they are not sent on.
pub(crate) const SESSION: &str = "x-session-id";
/// See [`SESSION`].
pub(crate) const CONVERSATION: &str = "x-conversation-id";
/// See [`SESSION`].
pub(crate) const USER: &str = "x-user-id";
/// The header with the tenant that the user is one of.
pub(crate) const TENANT: &str = "x-tenant-id";
/// See [`SESSION`].
const IDENTITY: [&str; 4] = [SESSION, CONVERSATION, USER, TENANT];

/// The headers that concern one connection alone ([RFC 9110, 7.6.1]), and those between a client
/// and a proxy.
///
/// [RFC 9110, 7.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
const OF_THE_CONNECTION: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The server behind the proxy.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) base: String,
    pub(crate) client: Client<HttpsConnector<HttpConnector>, Body>,
}

/// Refuses what cannot be sent on, and what does not say clearly who speaks.
pub(crate) async fn vet(request: Request, next: Next) -> Response {
    match refusal(request.method(), request.headers()) {
        None => next.run(request).await,
        Some((status, message)) => refuse(status, "invalid_request_error", message),
    }
}

fn refusal(method: &Method, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    // One asks for a tunnel, the other to send back what came, with its secrets.
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "CONNECT and TRACE are not for this proxy"));
    }
    if headers.get_all(header::HOST).iter().count() != 1 {
        return Some((StatusCode::BAD_REQUEST, "a request needs one header Host"));
    }
    let is_unclear = |name: &&str| {
        let mut values = headers.get_all(*name).iter();
        let first = values.next();
        values.next().is_some()
            || first.is_some_and(|value| std::str::from_utf8(value.as_bytes()).is_err())
    };
    IDENTITY
        .iter()
        .any(is_unclear)
        .then_some((StatusCode::BAD_REQUEST, "an id is given once at most, and as UTF-8"))
}

/// Sends a request on as it is, but for what concerns the connection and the proxy alone.
pub(crate) async fn forward(State(upstream): State<Upstream>, mut request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = format!("{}{path}", upstream.base).parse::<Uri>();
    let Some(uri) = uri.ok().filter(|_| path.starts_with('/')) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request_error", "this is not a path");
    };
    if uri.scheme() == Some(&Scheme::HTTPS) && SystemTime::now() < SystemTime::UNIX_EPOCH {
        // Certificates cannot be checked, and rustls panics when it tries.
        let message = "the clock of the proxy stands before 1970";
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "clock_error", message);
    }
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    strip(headers);
    headers.remove(header::HOST);
    // The proxy has answered it itself when it reads the body.
    headers.remove(header::EXPECT);
    for name in IDENTITY {
        headers.remove(name);
    }
    match upstream.client.request(request).await {
        Ok(mut response) => {
            strip(response.headers_mut());
            response.map(Body::new).into_response()
        }
        Err(error) if !error.is_connect() && is_late(&error) => refuse(
            StatusCode::REQUEST_TIMEOUT,
            "invalid_request_error",
            "the request's body takes too long",
        ),
        Err(error) => {
            let message = format!("the server behind the proxy does not answer: {error}");
            refuse(StatusCode::BAD_GATEWAY, "upstream_error", &message)
        }
    }
}

/// Removes the headers that concern one connection alone, and those that `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter();
    let named = named.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let named: Vec<HeaderName> =
        named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
}

/// Whether a body failed because it took too long.
fn is_late(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let error_of_io = error.downcast_ref::<io::Error>();
        if error_of_io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "message": message, "type": kind } }))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(headers: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn headers_of_the_connection_and_those_it_names_are_stripped() {
        let mut all = headers(&[
            ("connection", b"close, X-Hop"),
            ("connection", b" x-other ,,\xff"),
            ("keep-alive", b"timeout=5"),
            ("proxy-authorization", b"Basic eDp5"),
            ("proxy-connection", b"keep-alive"),
            ("te", b"trailers"),
            ("transfer-encoding", b"chunked"),
            ("upgrade", b"websocket"),
            ("x-hop", b"1"),
            ("x-other", b"1"),
            ("x-other", b"2"),
            ("x-stays", b"1"),
            ("authorization", b"Bearer x"),
        ]);
        strip(&mut all);
        assert_eq!(all, headers(&[("x-stays", b"1"), ("authorization", b"Bearer x")]));
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        let status = |method, of: &[(&'static str, &[u8])]| {
            refusal(&method, &headers(of)).map(|(status, _)| status.as_u16())
        };
        let host: (&'static str, &[u8]) = ("host", b"a");
        assert_eq!(status(Method::POST, &[host]), None);
        assert_eq!(status(Method::POST, &[host, ("x-user-id", "é".as_bytes())]), None);
        assert_eq!(status(Method::POST, &[]), Some(400));
        assert_eq!(status(Method::POST, &[host, ("host", b"b")]), Some(400));
        assert_eq!(status(Method::CONNECT, &[host]), Some(405));
        assert_eq!(status(Method::TRACE, &[host]), Some(405));
        for name in IDENTITY {
            assert_eq!(status(Method::POST, &[host, (name, b"\xff")]), Some(400));
            assert_eq!(status(Method::POST, &[host, (name, b"a"), (name, b"b")]), Some(400));
        }
    }
}
