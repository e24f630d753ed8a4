//! What keeps other sites out.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::refusal::Refusal;

/// The page loads nothing from elsewhere, runs no script but its own, and is shown in no other site's frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

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
