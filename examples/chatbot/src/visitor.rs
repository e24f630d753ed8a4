//! Whose conversations are whose.
//!
//! Each browser is a user of its own, known by a cookie with a random id. That is enough to keep visitors of a demonstration apart;
//! a real server authenticates its users, puts who they are where [`identify`] puts the [`Visitor`], and sends its cookies over TLS alone.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use session_history_saver::tower::UserKey;
use uuid::Uuid;

const COOKIE: &str = "chatbot_visitor";

/// A browser, by the id in its cookie.
#[derive(Clone, Debug)]
pub(crate) struct Visitor(String);

impl Visitor {
    pub(crate) fn id(&self) -> &str {
        &self.0
    }

    fn new() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies =
            headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|value| value.split(';'));
        let id =
            cookies.find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
        Some(Self(Uuid::parse_str(id).ok()?.to_string()))
    }

    fn cookie(&self) -> HeaderValue {
        // Four hundred days is the longest that browsers keep one.
        let cookie =
            format!("{COOKIE}={}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax", self.0);
        HeaderValue::try_from(cookie).expect("a UUID is ASCII")
    }
}

/// Knows the visitor by the cookie, and gives one to a new visitor.
pub(crate) async fn identify(mut request: Request, next: Next) -> Response {
    let known = Visitor::of(request.headers());
    let is_new = known.is_none();
    let visitor = known.unwrap_or_else(Visitor::new);
    request.extensions_mut().insert(visitor.clone());
    let mut response = next.run(request).await;
    if is_new {
        response.headers_mut().insert(header::SET_COOKIE, visitor.cookie());
    }
    response
}

/// Tells the recorder who the visitor is, if there is a cookie: programs that speak OpenAI's API have none.
pub(crate) async fn recognize(mut request: Request, next: Next) -> Response {
    if let Some(Visitor(id)) = Visitor::of(request.headers()) {
        request.extensions_mut().insert(UserKey(id));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others_and_read_only_if_it_is_a_uuid() {
        let of = |cookies: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(cookies));
            Visitor::of(&headers).map(|visitor| visitor.0)
        };
        let id = "5e551095-4157-4f72-8d16-e57c0de00001";
        assert_eq!(
            of("a=b; chatbot_visitor=5E551095-4157-4f72-8d16-e57c0de00001"),
            Some(id.into())
        );
        assert_eq!(of("chatbot_visitor=somebody"), None);
        assert_eq!(of("other_chatbot_visitor=5e551095-4157-4f72-8d16-e57c0de00001"), None);
    }
}
