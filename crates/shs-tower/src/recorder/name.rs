//! Names of clients, made to fit a store.

use sha2::{Digest, Sha256};
use shs_store::SessionId;
use shs_store::limits::MAX_ID_BYTES;

/// A model's name or the like: without control characters, and cut if it is too long.
pub(super) fn name(text: &str) -> String {
    let mut name: String = text.chars().filter(|c| !c.is_control()).collect();
    let end = (0..=name.len().min(MAX_ID_BYTES)).rev().find(|at| name.is_char_boundary(*at));
    name.truncate(end.unwrap_or(0));
    name
}

/// A user's id: as it is if a store takes it, and else by a digest, so that two users never become one.
pub(super) fn user_name(id: &str) -> String {
    if fits(id) { id.to_owned() } else { digest(&[id]) }
}

/// What stands in the place of an id that has a secret in it: nobody can use it, and it stays the
/// same.
pub(super) fn secret_name(id: &str) -> String {
    digest(&["secret", id])
}

/// The id of a session by the name that it was given.
pub(super) fn session(id: &str) -> SessionId {
    SessionId::new(user_name(id)).expect("it fits")
}

/// The id of a session that a client of this principal named, if the plain id is another's.
///
/// It is `principal/id` if that fits, with `/` and `%` written as in a URL, so that no two pairs have the same.
pub(super) fn own_session(principal: Option<&str>, id: &str) -> SessionId {
    let escaped = |text: &str| text.replace('%', "%25").replace('/', "%2F");
    let id = match principal {
        Some(principal) => {
            let readable = format!("{}/{}", escaped(principal), escaped(id));
            if fits(&readable) { readable } else { digest(&["principal", principal, id]) }
        }
        None => digest(&["nobody", id]),
    };
    SessionId::new(id).expect("it fits")
}

/// The id of the fork of a session that begins to differ with these turns.
pub(super) fn fork(source: &SessionId, chain: [u8; 16]) -> SessionId {
    let short = hexadecimal(&chain[..8]);
    let readable = format!("{source}~{short}");
    if fits(&readable) {
        return SessionId::new(readable).expect("it fits");
    }
    SessionId::new(digest(&["fork", source.as_str(), &short])).expect("it fits")
}

fn fits(id: &str) -> bool {
    SessionId::new(id).is_ok()
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    format!("sha256:{}", hexadecimal(&hash.finalize()))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pairs_have_the_same_id() {
        let long = "x".repeat(10_000);
        let ids = [
            own_session(None, "a"),
            own_session(None, "alice/a"),
            own_session(Some("alice"), "a"),
            own_session(Some("bob"), "a"),
            own_session(Some("alice/a"), "b"),
            own_session(Some("alice"), "a/b"),
            own_session(Some("alice"), "a%2Fb"),
            own_session(Some("alice"), &long),
            own_session(Some("bob"), &long),
            own_session(None, &long),
            own_session(Some("alice"), "a\nb"),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
        assert_eq!(ids[2], "alice/a");
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(name("gpt\u{7}-5"), "gpt-5");
        assert_eq!(name(&"é".repeat(200)).len(), 254);
    }
}
