//! Whose conversation it is, and which.

use std::fmt;
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, request};
use serde_json::Value;

/// The id of a conversation, put into a request's extensions by the application. It is taken as it
/// is: the application is the authority for it. If the session is another user's already, it is
/// left alone, and the exchange goes into one of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(pub String);

/// The tenant, put into a request's extensions by whatever authenticated the client. Nothing is
/// shared between tenants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantKey(pub String);

/// The user, put into a request's extensions by whatever authenticated them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserKey(pub String);

/// The project, put into a request's extensions by the application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProjectKey(pub String);

/// Where an id is looked for: in one place after the other, until one has it.
///
/// A value counts if it is not empty. A header is read as UTF-8. One that is not, or that comes
/// more than once with different values, does not say who it is, and is not taken for nobody: such
/// a request passes unrecorded, is counted as
/// [unreadable](crate::Counts::unreadable), and a warning says so, once in an interval. A layer
/// that
/// [writes ahead](crate::RecordLayer::write_ahead) answers it with the status 400.
///
/// ```
/// use shs_tower::Ladder;
///
/// #[derive(Clone)]
/// struct Account { number: u64 }
///
/// let user = Ladder::extension(|account: &Account| Some(account.number.to_string()));
/// let session = Ladder::header("x-chat").or_body("/chat/id");
/// # let _ = (user, session);
/// ```
#[derive(Clone, Default)]
pub struct Ladder {
    /// With their names, as they are kept with a session.
    rungs: Vec<(Rung, Arc<str>)>,
}

type OfParts = Arc<dyn Fn(&request::Parts) -> Option<String> + Send + Sync>;

#[derive(Clone)]
enum Rung {
    Extension(OfParts),
    Header(HeaderName),
    /// Any header `x-…-session-id`, as vendors name them.
    VendorHeader,
    Body(String),
    /// Anthropic's `metadata.user_id`, which agents fill with a session's id.
    AnthropicSession,
    Fixed(String),
}

/// An id, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) from: Arc<str>,
    /// Whether the application gave it, and not the client.
    pub(crate) is_trusted: bool,
}

/// What the head of a request had, and how many rungs stand before that which need the body.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfHead {
    before: usize,
    found: Option<Found>,
    /// Whether a header was reached that does not say clearly who it is.
    pub(crate) is_unclear: bool,
}

impl OfHead {
    pub(crate) fn needs_body(&self) -> bool {
        self.before > 0
    }
}

impl fmt::Debug for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rungs.iter().map(|(_, name)| name)).finish()
    }
}

impl Rung {
    fn name(&self) -> String {
        match self {
            Self::Extension(_) => "extension".to_owned(),
            Self::Header(name) => format!("header {name}"),
            Self::VendorHeader => "header x-*-session-id".to_owned(),
            Self::Body(pointer) => format!("body {pointer}"),
            Self::AnthropicSession => "body /metadata/user_id".to_owned(),
            Self::Fixed(_) => "configuration".to_owned(),
        }
    }
}

macro_rules! rungs {
    ($($(#[$doc:meta])* $first:ident, $next:ident, ($($arg:ident: $type:ty),*), [$($generics:tt)*], $rung:expr;)+) => {
        impl Ladder {
            $(
                $(#[$doc])*
                pub fn $first<$($generics)*>($($arg: $type),*) -> Self {
                    Self::nowhere().$next($($arg),*)
                }

                $(#[$doc])*
                ///
                /// Looked for after what the ladder has already.
                #[must_use]
                pub fn $next<$($generics)*>(mut self, $($arg: $type),*) -> Self {
                    self.push($rung);
                    self
                }
            )+
        }
    };
}

rungs! {
    /// What this closure makes of an extension of type `T`.
    extension, or_extension, (id: impl Fn(&T) -> Option<String> + Send + Sync + 'static),
        [T: Clone + Send + Sync + 'static],
        Rung::Extension(Arc::new(move |parts| parts.extensions.get::<T>().and_then(&id)));
    /// A header of the request. The client sends it: see [`RecordLayer`](crate::RecordLayer) on whom to trust.
    ///
    /// # Panics
    /// If the name is not that of a header, in lower case.
    header, or_header, (name: &'static str), [], Rung::Header(HeaderName::from_static(name));
    /// The text or number at this JSON pointer (RFC 6901) in the body of the request.
    body, or_body, (pointer: &str), [], Rung::Body(pointer.to_owned());
    /// Always this.
    fixed, or_fixed, (id: impl Into<String>), [], Rung::Fixed(id.into());
}

impl Ladder {
    /// Looks nowhere.
    pub fn nowhere() -> Self {
        Self::default()
    }

    /// Where conversations are named: [`SessionKey`], the headers `x-session-id` and `x-conversation-id`, those of
    /// gateways and chat programs (`helicone-session-id`, `x-litellm-session-id`, `x-openwebui-chat-id`, any
    /// `x-…-session-id` with a value of 8 or more of `A-Za-z0-9_-`), and the bodies of OpenAI (`conversation`, `metadata.session_id`) and
    /// Anthropic (`metadata.user_id`, if there is a session in it).
    pub fn sessions() -> Self {
        let mut ladder = Self::extension(|key: &SessionKey| Some(key.0.clone()))
            .or_header("x-session-id")
            .or_header("x-conversation-id")
            .or_header("helicone-session-id")
            .or_header("x-litellm-session-id")
            .or_header("x-openwebui-chat-id");
        ladder.push(Rung::VendorHeader);
        let mut ladder = ladder
            .or_body("/conversation/id")
            .or_body("/conversation")
            .or_body("/metadata/session_id");
        ladder.push(Rung::AnthropicSession);
        ladder
    }

    /// Where tenants are named by those who authenticated the client: [`TenantKey`].
    pub fn tenants() -> Self {
        Self::extension(|key: &TenantKey| Some(key.0.clone()))
    }

    /// Where users are named by those who authenticated them: [`UserKey`].
    pub fn users() -> Self {
        Self::extension(|key: &UserKey| Some(key.0.clone()))
    }

    /// Where projects are named: [`ProjectKey`].
    pub fn projects() -> Self {
        Self::extension(|key: &ProjectKey| Some(key.0.clone()))
    }

    fn push(&mut self, rung: Rung) {
        let name = rung.name().into();
        self.rungs.push((rung, name));
    }

    /// Tries the rungs that need the head of the request alone.
    pub(crate) fn of_head(&self, parts: &request::Parts) -> OfHead {
        for (at, (rung, name)) in self.rungs.iter().enumerate() {
            let id = match rung {
                Rung::Extension(of_parts) => of_parts(parts),
                Rung::Header(name) if is_unclear(&parts.headers, name) => {
                    return OfHead { is_unclear: true, ..OfHead::default() };
                }
                Rung::Header(name) => header(&parts.headers, name),
                Rung::VendorHeader => vendor_header(&parts.headers),
                Rung::Fixed(id) => Some(id.clone()),
                Rung::Body(_) | Rung::AnthropicSession => None,
            };
            if let Some(found) = rung.found(id, name) {
                return OfHead {
                    before: self.body_rungs(at),
                    found: Some(found),
                    is_unclear: false,
                };
            }
        }
        OfHead { before: self.body_rungs(self.rungs.len()), found: None, is_unclear: false }
    }

    /// How many of the first rungs there are up to the last that needs the body.
    fn body_rungs(&self, among: usize) -> usize {
        let needs_body = |rung: &Rung| matches!(rung, Rung::Body(_) | Rung::AnthropicSession);
        self.rungs[..among].iter().rposition(|(rung, _)| needs_body(rung)).map_or(0, |at| at + 1)
    }

    /// Tries the rungs before that, with the body.
    pub(crate) fn of_body(&self, head: OfHead, body: &Value) -> Option<Found> {
        let of_body = self.rungs[..head.before].iter().find_map(|(rung, name)| {
            let id = match rung {
                Rung::Body(pointer) => match body.pointer(pointer)? {
                    Value::String(id) => Some(id.clone()),
                    Value::Number(id) => Some(id.to_string()),
                    _ => None,
                },
                Rung::AnthropicSession => anthropic_session(body),
                Rung::Extension(_) | Rung::Header(_) | Rung::VendorHeader | Rung::Fixed(_) => None,
            };
            rung.found(id, name)
        });
        of_body.or(head.found)
    }
}

impl Rung {
    fn found(&self, id: Option<String>, name: &Arc<str>) -> Option<Found> {
        let id = id.filter(|id| !id.is_empty())?;
        let is_trusted = matches!(self, Self::Extension(_) | Self::Fixed(_));
        Some(Found { id, from: Arc::clone(name), is_trusted })
    }
}

/// A header as text; one that is not UTF-8 has none.
pub(crate) fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?;
    Some(value.trim().to_owned())
}

/// Whether a header is no text, or is several.
fn is_unclear(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    values.any(|value| Some(value) != first)
        || first.is_some_and(|value| std::str::from_utf8(value.as_bytes()).is_err())
}

fn vendor_header(headers: &HeaderMap) -> Option<String> {
    let is_id = |value: &str| {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        value.len() >= 8 && value.bytes().all(plain)
    };
    headers.iter().find_map(|(name, value)| {
        let name = name.as_str();
        let vendor = name.strip_prefix("x-")?.strip_suffix("-session-id")?;
        let value = value.to_str().ok().filter(|value| !vendor.is_empty() && is_id(value))?;
        Some(value.to_owned())
    })
}

/// Agents write the session into Anthropic's only free field: as JSON with `session_id`, before that as
/// `user_…_account_…_session_<uuid>`.
fn anthropic_session(body: &Value) -> Option<String> {
    let user_id = body.pointer("/metadata/user_id")?.as_str()?;
    if let Ok(object) = serde_json::from_str::<Value>(user_id) {
        return object.get("session_id")?.as_str().map(str::to_owned);
    }
    let (_, session) = user_id.rsplit_once("_session_")?;
    Some(session.to_owned())
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::json;

    use super::*;

    fn look(ladder: &Ladder, request: Request<()>, body: &Value) -> Option<(String, String)> {
        let (parts, ()) = request.into_parts();
        ladder.of_body(ladder.of_head(&parts), body).map(|found| (found.id, found.from.to_string()))
    }

    #[test]
    fn the_first_place_that_has_it_counts() {
        let sessions = Ladder::sessions();
        let by = |name: &str, value: &str| Request::builder().header(name, value).body(()).unwrap();
        let text = |id: &str, from: &str| Some((id.to_owned(), from.to_owned()));
        let body = json!({"conversation": {"id": "conv_1"}});
        assert_eq!(
            look(&sessions, by("x-session-id", "a"), &body),
            text("a", "header x-session-id")
        );
        assert_eq!(
            look(&sessions, by("x-acme-session-id", "abcdefgh"), &body),
            text("abcdefgh", "header x-*-session-id")
        );
        assert_eq!(
            look(&sessions, by("x-acme-session-id", "short"), &body),
            text("conv_1", "body /conversation/id")
        );
        let body = json!({"conversation": "conv_2"});
        assert_eq!(
            look(&sessions, by("x-session-id", ""), &body),
            text("conv_2", "body /conversation")
        );
        let body = json!({"metadata": {"user_id": "user_1_account_2_session_abc"}});
        assert_eq!(look(&sessions, Request::new(()), &body), text("abc", "body /metadata/user_id"));
        let mut request = by("x-session-id", "a");
        request.extensions_mut().insert(SessionKey("mine".into()));
        assert_eq!(look(&sessions, request, &body), text("mine", "extension"));
        assert_eq!(look(&sessions, Request::new(()), &json!({"metadata": null})), None);
    }

    #[test]
    fn a_header_may_stand_behind_the_body() {
        let ladder = Ladder::body("/chat").or_header("x-chat");
        let request = || Request::builder().header("x-chat", "h").body(()).unwrap();
        assert_eq!(look(&ladder, request(), &json!({"chat": 7})).unwrap().0, "7");
        assert_eq!(look(&ladder, request(), &json!({})).unwrap().0, "h");
    }

    #[test]
    fn a_header_that_is_not_utf_8_or_not_one_is_unclear() {
        let request = |values: &[&[u8]]| {
            let mut request = Request::builder();
            for value in values {
                request = request.header("x-session-id", *value);
            }
            request.body(()).unwrap()
        };
        let sessions = Ladder::sessions();
        let is_unclear =
            |values: &[&[u8]]| sessions.of_head(&request(values).into_parts().0).is_unclear;
        assert!(is_unclear(&[b"\xff\xfe"]));
        assert!(is_unclear(&[b"a", b"b"]));
        assert!(is_unclear(&[b"a", b"\xff"]));
        assert!(!is_unclear(&[b"a", b"a"]) && !is_unclear(&[b""]) && !is_unclear(&[]));
        let found = look(&sessions, request(&["é".as_bytes()]), &Value::Null).unwrap();
        assert_eq!(found.0, "é");
        // The application's word comes first.
        let mut own = request(&[b"\xff"]);
        own.extensions_mut().insert(SessionKey("mine".into()));
        assert_eq!(look(&sessions, own, &Value::Null).unwrap().0, "mine");
    }
}
