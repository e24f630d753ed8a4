//! What keeps other sites out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::refusal::Refusal;

/// The page loads nothing from elsewhere, runs no script but its own, and is shown in no other site's frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The names under which the server is reached, beside addresses and `localhost`.
pub(crate) type Hosts = Arc<[String]>;

/// Refuses requests for other names.
///
/// A page of another site can give its own name this server's address (DNS rebinding), and is of
/// the same origin to the browser then. It cannot change the name that the browser sends.
pub(crate) async fn own_host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let of_uri = request.uri().authority();
    match host(request.headers()) {
        None => Refusal::invalid("a request needs one header Host").into_response(),
        Some(host) if is_own(&host, &hosts) && of_uri.is_none_or(|uri| is_own(uri, &hosts)) => {
            next.run(request).await
        }
        Some(_) => {
            let message = "this server has another name; whoever runs it sets CHATBOT_HOSTS";
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, message).into_response()
        }
    }
}

/// The host that a request names, if it names one.
fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    Authority::try_from(host.as_bytes()).ok()
}

fn is_own(authority: &Authority, hosts: &[String]) -> bool {
    let name = authority.host().trim_end_matches('.');
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| name.eq_ignore_ascii_case(host))
}

/// Refuses to change anything for a page of another site.
///
/// Browsers send `Origin` with every request that is not a plain GET. Programs send none, and carry no
/// cookie that another site could misuse. Beside this, all that is posted has to be JSON, which other sites' forms cannot send.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_same_origin(request.headers()) {
        return next.run(request).await;
    }
    Refusal::new(StatusCode::FORBIDDEN, "requests of other sites are refused").into_response()
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    // Without the scheme, which is not known behind a proxy that speaks TLS.
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| Some(origin.as_bytes()) == host)
}

/// Gives every response the headers that bound what a browser does with it.
pub(crate) async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Conversations are nobody else's, and the page is to be that of the server that runs.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_localhost_and_names_that_were_set_are_own() {
        let own = |host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            super::host(&headers).map(|host| is_own(&host, &["chat.example".to_owned()]))
        };
        for host in ["127.0.0.1:3000", "[::1]:3000", "localhost", "LOCALHOST:1", "Chat.example."] {
            assert_eq!(own(host), Some(true), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:3000", "chat.example.evil", "a@b"] {
            assert_eq!(own(host), Some(false), "{host}");
        }
        assert_eq!(own(""), None);
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(super::host(&headers).is_none());
    }

    #[test]
    fn only_the_own_origin_counts_as_such() {
        let check = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("chat.example:3000"));
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            is_same_origin(&headers)
        };
        assert!(check("http://chat.example:3000"));
        assert!(check("https://chat.example:3000"));
        for other in ["null", "", "http://chat.example", "http://evil.example", "chat.example:3000"]
        {
            assert!(!check(other), "{other}");
        }
    }
}
