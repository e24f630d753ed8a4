//! The secrets that a request itself brings.

use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderName, request};

use crate::redact::REDACTED;

/// The values by which a client proves who it is, as they came.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    /// Of headers and the URL.
    given: Vec<String>,
    /// Of cookies, which also have what is no secret.
    cookies: Vec<String>,
}

/// Shorter values are everyday words, and would be taken out of everything.
const SHORTEST: usize = 8;
/// The same for what may be something else.
const SHORTEST_DOUBTFUL: usize = 16;

impl Credentials {
    /// Those of the head of a request. Only what is a secret by its name is copied.
    pub(crate) fn of(parts: &request::Parts) -> Self {
        let mut all = Self::default();
        for (name, value) in &parts.headers {
            if !is_secret(name) {
                continue;
            }
            // What is no text is found in no text.
            let Ok(value) = std::str::from_utf8(value.as_bytes()) else { continue };
            if name == COOKIE {
                value.split(';').for_each(|pair| all.cookie(pair));
            } else if name == AUTHORIZATION || name == PROXY_AUTHORIZATION {
                all.authorization(value.trim());
            } else {
                all.give(value.trim());
            }
        }
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if is_secret_name(&name) {
                all.give(&value);
            }
        }
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        if let Some((user, _)) = authority.rsplit_once('@') {
            all.give(user.split_once(':').map_or(user, |(_, password)| password));
        }
        all
    }

    fn give(&mut self, value: &str) {
        if value.len() >= SHORTEST && !self.given.iter().any(|given| given == value) {
            self.given.push(value.to_owned());
        }
    }

    fn cookie(&mut self, pair: &str) {
        let value = pair.split_once('=').map_or(pair, |(_, value)| value);
        let value = value.trim().trim_matches('"');
        if is_token(value) {
            self.cookies.push(value.to_owned());
        }
    }

    /// What stands behind the scheme (RFC 9110, 11.6.2): a token, or parameters.
    fn authorization(&mut self, value: &str) {
        let (scheme, rest) = value.split_once(' ').unwrap_or(("", value));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let pair = STANDARD.decode(rest).ok().and_then(|pair| String::from_utf8(pair).ok());
            if let Some(pair) = pair {
                self.give(pair.split_once(':').map_or(&*pair, |(_, password)| password));
                self.give(&pair);
            }
        }
        self.give(rest);
        // Of Digest, AWS4-HMAC-SHA256 and the like.
        for parameter in rest.split([',', ' ']).filter_map(|pair| Some(pair.split_once('=')?.1)) {
            let parameter = parameter.trim_matches('"');
            if is_token(parameter) {
                self.give(parameter);
            }
        }
    }

    /// What finds them in texts, in the forms in which they may come back.
    pub(crate) fn own(&self) -> Own {
        let given = Found::new(self.given.iter());
        let all = Found::new(self.given.iter().chain(&self.cookies));
        Own { given, all }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Whether a value looks like one that nobody can guess.
fn is_token(value: &str) -> bool {
    value.len() >= SHORTEST_DOUBTFUL
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether the header of this name carries a secret.
pub(crate) fn is_secret(name: &HeaderName) -> bool {
    is_secret_name(name.as_str())
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // These name something that is no secret.
    if ["idempotency-key", "sec-websocket-key", "cache-key"].iter().any(|end| name.ends_with(end)) {
        return false;
    }
    let part = |part: &str| {
        matches!(
            part,
            "auth"
                | "authorization"
                | "cookie"
                | "credential"
                | "credentials"
                | "jwt"
                | "key"
                | "pwd"
                | "sig"
                | "signature"
                | "assertion"
                | "code"
        )
    };
    ["apikey", "token", "secret", "passw"].iter().any(|word| name.contains(word))
        || name.split(|c: char| !c.is_ascii_alphanumeric()).any(part)
}

/// Finds the secrets of one request.
pub(crate) struct Own {
    given: Found,
    all: Found,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

impl Own {
    /// Takes them out of a text.
    pub(crate) fn take_out(&self, text: &mut String) {
        let Some(all) = &self.all.0 else { return };
        if all.is_match(&**text) {
            let mut clean = String::with_capacity(text.len());
            all.replace_all_with(text, &mut clean, |_, _, clean| {
                clean.push_str(REDACTED);
                true
            });
            *text = clean;
        }
    }

    /// Whether an id that the application gave has one. What an application makes of cookies is its
    /// own to know: the id of a user may stand in one.
    pub(crate) fn is_in_trusted(&self, id: &str) -> bool {
        self.given.0.as_ref().is_some_and(|given| given.is_match(id))
    }
}

/// `None` if there is nothing to be found.
struct Found(Option<AhoCorasick>);

impl Found {
    fn new<'a>(secrets: impl Iterator<Item = &'a String>) -> Self {
        let mut forms: Vec<String> = secrets.flat_map(|secret| forms(secret)).collect();
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self(None);
        }
        let found = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // It is made for each exchange, and used for a few texts.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(forms);
        Self(Some(found.expect("heads of requests are small")))
    }
}

/// A secret as it is, and as it stands in URLs, JSON, and wherever in base64.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).expect("a text is JSON");
    let json = json[1..json.len() - 1].to_owned();
    let mut forms = vec![
        secret.to_owned(),
        json.replace('/', "\\/"),
        percent(secret, |byte| format!("%{byte:02X}")),
        percent(secret, |byte| format!("%{byte:02x}")),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        json,
    ];
    for shift in 0..3 {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(secret.as_bytes());
        // The characters at both ends depend on what stands beside it.
        let whole = (shift * 8).div_ceil(6)..bytes.len() * 8 / 6;
        forms.push(STANDARD_NO_PAD.encode(&bytes)[whole.clone()].to_owned());
        forms.push(URL_SAFE_NO_PAD.encode(&bytes)[whole].to_owned());
    }
    forms
}

fn percent(secret: &str, encoded: impl Fn(u8) -> String) -> String {
    let mut text = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&encoded(byte));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(uri: &str, headers: &[(&str, &str)]) -> Own {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Credentials::of(&request.body(()).unwrap().into_parts().0).own()
    }

    fn clean(own: &Own, text: &str) -> String {
        let mut text = text.to_owned();
        own.take_out(&mut text);
        text
    }

    #[test]
    fn secrets_are_known_by_where_they_come() {
        let secret = "4f0c2d91e6b84b7f";
        let bearer = format!("Bearer {secret}");
        let basic = format!("Basic {}", STANDARD.encode(format!("bob:{secret}")));
        let digest = format!("Digest username=\"bob\", response=\"{secret}\"");
        for (name, value) in [
            ("authorization", &*bearer),
            ("authorization", secret),
            ("authorization", &basic),
            ("authorization", &digest),
            ("proxy-authorization", &bearer),
            ("api-key", secret),
            ("x-api-key", secret),
            ("x-goog-api-key", secret),
            ("ocp-apim-subscription-key", secret),
            ("x-amz-security-token", secret),
            ("x-auth", secret),
            ("cookie", "a=b; session=4f0c2d91e6b84b7f; c=d"),
        ] {
            let own = of("/v1", &[(name, value)]);
            assert_eq!(clean(&own, &format!("an {secret}!")), "an [redacted]!", "{name}: {value}");
        }
        for uri in ["/v1?a=b&key=4f0c2d91e6b84b7f", "/v1?access_token=4f0c%32d91e6b84b7f"] {
            assert_eq!(clean(&of(uri, &[]), secret), "[redacted]", "{uri}");
        }
        let own = of("http://bob:4f0c2d91e6b84b7f@host.example/", &[]);
        assert_eq!(clean(&own, secret), "[redacted]");
    }

    #[test]
    fn they_are_found_in_other_forms() {
        let secret = "a/b+c\"d=e~f?g 123";
        let own = of("/", &[("x-api-key", secret)]);
        let json = serde_json::to_string(secret).unwrap();
        let mut echoes = vec![
            json.clone(),
            json.replace('/', "\\/"),
            "a%2Fb%2Bc%22d%3De~f%3Fg%20123".to_owned(),
            "a%2fb%2bc%22d%3de~f%3fg%20123".to_owned(),
            "a%2Fb%2Bc%22d%3De%7Ef%3Fg+123".to_owned(),
        ];
        for before in ["", "x", "xy", "Bearer "] {
            let text = format!("{before}{secret} behind");
            echoes.extend([STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)]);
        }
        for echo in echoes {
            assert!(clean(&own, &echo).contains(REDACTED), "{echo}");
        }
    }

    #[test]
    fn what_is_no_secret_is_not_taken_out() {
        let headers = [
            ("user-agent", "some-program/1.0"),
            ("idempotency-key", "request-0000001"),
            ("x-session-id", "session-0000001"),
            ("authorization", "Bearer short"),
            ("cookie", "theme=dark-mode; lang=en-US; user=alice@example.com"),
        ];
        let own = of("/v1?version=2026-01-01&q=abcdefghij", &headers);
        let text = "some-program/1.0 request-0000001 session-0000001 short dark-mode en-US \
                    alice@example.com 2026-01-01 abcdefghij";
        assert_eq!(clean(&own, text), text);
    }

    #[test]
    fn an_id_of_the_application_may_stand_in_a_cookie_and_not_in_a_key() {
        let headers = [("cookie", "uid=user-0000000000001"), ("x-api-key", "key-0000000000001")];
        let own = of("/", &headers);
        assert!(!own.is_in_trusted("user-0000000000001"));
        assert!(own.is_in_trusted("key-0000000000001"));
    }

    #[test]
    fn nothing_that_is_printed_has_them() {
        let head = Request::post("/").header("x-api-key", "4f0c2d91e6b84b7f").body(()).unwrap();
        let credentials = Credentials::of(&head.into_parts().0);
        let printed = format!("{credentials:?} {:?}", credentials.own());
        assert!(!printed.contains("4f0c"), "{printed}");
    }
}
