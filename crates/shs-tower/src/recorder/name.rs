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

/// A user's, tenant's or project's id: as it is if a store takes it, and else by a digest, so that
/// two never become one.
pub(super) fn user_name(id: &str) -> String {
    if fits(id) && !id.starts_with(DIGEST) { id.to_owned() } else { digest(&[id]) }
}

/// What stands in the place of an id that has a secret in it: nobody can use it, and it stays the
/// same.
pub(super) fn secret_name(id: &str) -> String {
    digest(&["secret", id])
}

/// The id of a session by the name that the application gave it.
pub(super) fn session(id: &str) -> SessionId {
    SessionId::new(user_name(id)).expect("it fits")
}

/// Stands before the hash in an id that was derived. A client that sends it gets another id.
const DERIVED: char = '~';
/// What a digest begins with.
const DIGEST: &str = "sha256:";
/// How many ids are tried where others have taken them, before one is made by chance.
const MOST_TAKEN: u32 = 8;

/// The ids under which a session is looked for, one after the other, until there is one that nobody
/// else has.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    /// What was named, or what is forked, and for whom.
    seed: Vec<String>,
    /// What a derived id begins with.
    base: String,
    /// The id without a hash, if that may be used.
    plain: Option<SessionId>,
    /// How many derived ones were given.
    derived: u32,
}

impl Candidates {
    /// For an id that a client of this principal and project sent.
    pub(super) fn of_client(principal: Option<&str>, project: Option<&str>, id: &str) -> Self {
        let is_free = fits(id) && !id.contains(DERIVED) && !id.starts_with(DIGEST);
        let plain = is_free.then(|| SessionId::new(id).expect("it fits"));
        Self::new("client", principal, project, id, id, plain)
    }

    /// The same, with this id before those that are derived.
    pub(super) fn beginning_with(self, id: SessionId) -> Self {
        Self { plain: Some(id), ..self }
    }

    /// For the fork of a session that begins to differ with these turns.
    pub(super) fn of_fork(
        principal: Option<&str>,
        project: Option<&str>,
        source: &SessionId,
        chain: [u8; 16],
    ) -> Self {
        let seed = format!("{} {source}", hexadecimal(&chain));
        Self::new("fork", principal, project, &seed, source.as_str(), None)
    }

    fn new(
        kind: &str,
        principal: Option<&str>,
        project: Option<&str>,
        seed: &str,
        base: &str,
        plain: Option<SessionId>,
    ) -> Self {
        // Nobody and a user of an empty name, or a project and none, are not the same.
        let optional =
            |text: Option<&str>| text.map_or_else(String::new, |text| format!("={text}"));
        let seed = vec![kind.to_owned(), optional(principal), optional(project), seed.to_owned()];
        Self { seed, base: base.to_owned(), plain, derived: 0 }
    }

    /// The next id. The same come in the same order for the same client, in any process; after some
    /// that are all taken, one by chance.
    pub(super) fn next(&mut self) -> SessionId {
        if let Some(plain) = self.plain.take() {
            return plain;
        }
        if self.derived == MOST_TAKEN {
            return SessionId::generate();
        }
        let number = self.derived.to_string();
        self.derived += 1;
        let parts: Vec<&str> = self.seed.iter().map(String::as_str).chain([&*number]).collect();
        let hash = digest(&parts);
        let short = &hash[DIGEST.len()..][..16];
        let readable = format!("{}{DERIVED}{short}", self.base);
        SessionId::new(if fits(&readable) { readable } else { hash }).expect("it fits")
    }
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
    format!("{DIGEST}{}", hexadecimal(&hash.finalize()))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_clients_have_the_same_ids_and_none_can_choose_another_ones() {
        let long = "x".repeat(10_000);
        let ids = ["a", "alice/a", "a~b", "a\nb", "", &long];
        let whose = [
            (None, None),
            (Some(""), None),
            (Some("alice"), None),
            (Some("bob"), None),
            (Some("alice"), Some("p")),
            (Some("alice=p"), None),
        ];
        let mut derived = std::collections::HashSet::new();
        for (principal, project) in whose {
            for id in ids {
                let mut candidates = Candidates::of_client(principal, project, id);
                let plain = fits(id) && id != "a~b";
                if plain {
                    assert_eq!(candidates.next(), *id);
                }
                for _ in 0..=MOST_TAKEN {
                    let next = candidates.next();
                    assert!(derived.insert(next.clone()), "{next} is there twice");
                    // Whoever sends it gets another one.
                    let sent = next.as_str();
                    if sent.contains(DERIVED) || sent.starts_with(DIGEST) {
                        let mut stranger = Candidates::of_client(Some("mallory"), None, sent);
                        assert_ne!(stranger.next(), next);
                    }
                }
            }
        }
        let again = |principal| Candidates::of_client(principal, None, "a~b").next();
        assert_eq!(again(Some("alice")), again(Some("alice")));
        assert!(again(None).as_str().starts_with("a~b~"));
    }

    #[test]
    fn a_fork_is_found_again_by_its_owner_alone() {
        let source = SessionId::new("a").unwrap();
        let fork = |principal, chain| Candidates::of_fork(principal, None, &source, chain).next();
        assert_eq!(fork(Some("alice"), [1; 16]), fork(Some("alice"), [1; 16]));
        assert_ne!(fork(Some("alice"), [1; 16]), fork(Some("bob"), [1; 16]));
        assert_ne!(fork(Some("alice"), [1; 16]), fork(Some("alice"), [2; 16]));
    }

    #[test]
    fn a_name_that_looks_like_a_digest_is_digested() {
        let long = "x".repeat(1_000);
        let digested = user_name(&long);
        assert_ne!(user_name(&digested), digested);
        assert_eq!(user_name("alice"), "alice");
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(name("gpt\u{7}-5"), "gpt-5");
        assert_eq!(name(&"é".repeat(200)).len(), 254);
    }
}
