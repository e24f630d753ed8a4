//! Whose conversations are whose.
//!
//! Each browser is a user of its own, known by a cookie that this server has signed. What is stored
//! as the user is derived from the cookie by the same key: whoever reads the store, or a list of
//! its users, cannot make a cookie of it. That is enough to keep visitors of a demonstration apart;
//! a real server authenticates its users, puts who they are where [`identify`] puts the
//! [`Visitor`], and sends its cookies over TLS alone.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use session_history_saver::tower::UserKey;
use sha2::Sha256;
use uuid::Uuid;

use crate::Outcome;

const COOKIE: &str = "chatbot_visitor";

/// A browser, by the id that its conversations have in the store.
#[derive(Clone, Debug)]
pub(crate) struct Visitor(String);

impl Visitor {
    pub(crate) fn id(&self) -> &str {
        &self.0
    }
}

/// Gives out cookies, and knows those it gave.
#[derive(Clone)]
pub(crate) struct Visitors {
    key: Arc<[u8]>,
}

impl Visitors {
    /// Knows visitors by the key in a file, which is made if it is not there.
    ///
    /// # Errors
    /// If the file cannot be read or made, or holds something else.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let told = |problem: &str| {
            let path = path.display();
            format!("CHATBOT_KEY_FILE is {path}, the key of the cookies, which {problem}")
        };
        if let Some(key) = read(path).map_err(|error| told(&error))? {
            return Ok(Self { key });
        }
        let key: Vec<u8> = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        make(path, &key).map_err(|error| told(&format!("cannot be written: {error}")))?;
        // Another server may have been faster.
        let key = read(path).map_err(|error| told(&error))?;
        Ok(Self { key: key.ok_or_else(|| told("was just there"))? })
    }

    fn mac(&self, purpose: &str, id: Uuid) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.key).expect("a key has any length");
        mac.update(purpose.as_bytes());
        mac.update(id.as_bytes());
        mac
    }

    fn visitor(&self, id: Uuid) -> Visitor {
        let mac = self.mac("user", id).finalize().into_bytes();
        Visitor(hexadecimal(&mac[..16]))
    }

    /// The visitor whose cookie comes with a request, if it is one that was given.
    fn known(&self, headers: &HeaderMap) -> Option<Visitor> {
        let cookies = headers.get_all(header::COOKIE).iter();
        let cookies = cookies.filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|value| value.split(';'));
        cookies.find_map(|cookie| {
            let value = cookie.trim().strip_prefix(COOKIE)?.strip_prefix('=')?;
            let (id, mac) = value.split_once('.')?;
            let id = Uuid::try_parse(id).ok()?;
            self.mac("cookie", id).verify_slice(&bytes(mac)?).ok()?;
            Some(self.visitor(id))
        })
    }

    /// A new visitor, and the value of their cookie.
    fn new_visitor(&self) -> (Visitor, HeaderValue) {
        let id = Uuid::new_v4();
        let mac = hexadecimal(&self.mac("cookie", id).finalize().into_bytes());
        // Four hundred days is the longest that browsers keep one.
        let cookie =
            format!("{COOKIE}={id}.{mac}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax");
        (self.visitor(id), HeaderValue::try_from(cookie).expect("it is ASCII"))
    }
}

/// Knows the visitor by the cookie, and gives one to a new visitor.
pub(crate) async fn identify(
    State(visitors): State<Visitors>,
    mut request: Request,
    next: Next,
) -> Response {
    let (visitor, cookie) = match visitors.known(request.headers()) {
        Some(visitor) => (visitor, None),
        None => {
            let (visitor, cookie) = visitors.new_visitor();
            (visitor, Some(cookie))
        }
    };
    request.extensions_mut().insert(visitor);
    let mut response = next.run(request).await;
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Tells the recorder who the visitor is, if there is a cookie: programs that speak OpenAI's API have none.
pub(crate) async fn recognize(
    State(visitors): State<Visitors>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(Visitor(id)) = visitors.known(request.headers()) {
        request.extensions_mut().insert(UserKey(id));
    }
    next.run(request).await
}

/// The key in a file; `None` if there is no file.
fn read(path: &Path) -> Result<Option<Arc<[u8]>>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    let key = bytes(text.trim()).filter(|key| key.len() == 32);
    let key = key.ok_or("holds something else; name another file, or delete it")?;
    Ok(Some(key.into()))
}

/// Writes a key into a file that nobody else can read, unless there is one.
fn make(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(file, "{}", hexadecimal(key))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that a hexadecimal text stands for.
fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let is_digit = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
        let pair = std::str::from_utf8(pair).ok().filter(|_| is_digit)?;
        u8::from_str_radix(pair, 16).ok()
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    fn given(cookie: &HeaderValue) -> String {
        cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_is_known_among_others_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let (visitor, cookie) = Visitors::open(&path).unwrap().new_visitor();
        let again = Visitors::open(&path).unwrap();
        let cookies = format!("a=b; chatbot_visitor=x; {}", given(&cookie));
        assert_eq!(again.known(&headers(&cookies)).unwrap().id(), visitor.id());
        let elsewhere = Visitors::open(&folder.path().join("other")).unwrap();
        assert!(elsewhere.known(&headers(&cookies)).is_none());
    }

    #[test]
    fn cookies_that_were_not_given_are_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let visitors = Visitors::open(&folder.path().join("key")).unwrap();
        let (visitor, cookie) = visitors.new_visitor();
        let cookie = given(&cookie);
        let (id, mac) = cookie.split_once('.').unwrap();
        assert!(visitors.known(&headers(&format!("{id}.{mac}"))).is_some());
        let stored = visitor.id();
        assert!(!cookie.contains(stored));
        for forged in [
            id.to_owned(),
            format!("{id}."),
            format!("{id}.{}", &mac[2..]),
            format!("{id}.{mac}00"),
            format!("{id}.+{}", &mac[1..]),
            format!("chatbot_visitor={}.{mac}", Uuid::new_v4()),
            format!("chatbot_visitor={stored}.{stored}"),
            format!("chatbot_visitor={stored}"),
            format!("other_{id}.{mac}"),
        ] {
            assert!(visitors.known(&headers(&forged)).is_none(), "{forged}");
        }
    }

    #[test]
    fn a_file_that_holds_something_else_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "precious").unwrap();
        let error = Visitors::open(&path).err().unwrap().to_string();
        assert!(error.contains("CHATBOT_KEY_FILE") && !error.contains("precious"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Visitors::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o77, 0);
    }
}
