//! File names that are safe on every file system.

use shs_store::SessionId;
use uuid::Uuid;

/// What conversation files end in.
pub(crate) const EXTENSION: &str = "jsonl";

/// Longest encoded id before it is shortened, in bytes; file systems take 255 with the extension.
const MAX_BYTES: usize = 180;

/// The name of a conversation's file.
///
/// Lower-case letters, digits, `-` and `_` stand for themselves, every other byte is `%` and two hexadecimal
/// digits. So ids that differ only by case differ on file systems that ignore it, and no id can name another folder, a
/// hidden file or a device. A long name is cut and ends in `~` and a hash of the id.
pub(crate) fn file_name(id: &SessionId) -> String {
    let mut name = String::with_capacity(id.as_str().len() + 8);
    for (at, byte) in id.as_str().bytes().enumerate() {
        let plain = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if plain && !(at == 0 && is_device(id.as_str())) {
            name.push(byte as char);
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > MAX_BYTES {
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_str().as_bytes());
        name.truncate(MAX_BYTES - 40);
        // Not in the middle of an escape.
        let tail = name.len() - 2;
        if let Some(percent) = name[tail..].find('%') {
            name.truncate(tail + percent);
        }
        name = format!("{name}~{}", hash.simple());
    }
    name.push('.');
    name.push_str(EXTENSION);
    name
}

/// The id whose conversation has this file name, if the name says all of it.
pub(crate) fn id_of(name: &str) -> Option<SessionId> {
    let stem = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let mut bytes = Vec::with_capacity(stem.len());
    let mut rest = stem.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    let id = SessionId::new(String::from_utf8(bytes).ok()?).ok()?;
    // Which is not so for a name that was cut, or is none of ours.
    (file_name(&id) == name).then_some(id)
}

/// Whether this may be the name of a conversation's file in the folder, and nowhere else.
pub(crate) fn is_conversation(name: &str) -> bool {
    !name.contains(['/', '\\', ':'])
        && name.strip_suffix(EXTENSION).is_some_and(|rest| rest.ends_with('.'))
}

/// Names that Windows keeps for devices, with any extension
/// (<https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>). Upper-case ones are escaped anyway.
fn is_device(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']))
    };
    matches!(name, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn any_id_is_a_safe_name_and_no_two_share_one() {
        let long = "x".repeat(255);
        let long_escaped = "Ü".repeat(127);
        let ids = [
            "a",
            "A",
            "../escape",
            "..",
            ".",
            "CON",
            "con",
            "com1",
            "a/b",
            "a\\b",
            "a b",
            "a.",
            "a%2e",
            "ä",
            "a~b",
            "nul",
            &long,
            &long[1..],
            &long_escaped,
            &long_escaped[2..],
        ];
        let mut names = HashSet::new();
        for id in ids {
            let name = file_name(&SessionId::new(id).unwrap());
            assert!(name.len() <= 200, "{name}");
            let safe =
                |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'%' | b'~' | b'.');
            assert!(name.bytes().all(safe), "{name}");
            assert_eq!(name.matches('.').count(), 1, "{name}");
            assert!(names.insert(name.to_lowercase()), "{id} shares its name");
        }
        for id in ["a", "A", "../escape", "con", "ä~b"] {
            let id = SessionId::new(id).unwrap();
            assert_eq!(id_of(&file_name(&id)), Some(id));
        }
        assert_eq!(id_of(&file_name(&SessionId::new(long.as_str()).unwrap())), None);
        assert_eq!(id_of("A.jsonl"), None);
        let uuid = "0199a3b4-0000-7000-8000-000000000000";
        assert_eq!(file_name(&SessionId::new(uuid).unwrap()), format!("{uuid}.jsonl"));
        assert_eq!(file_name(&SessionId::new("con").unwrap()), "%63on.jsonl");
    }
}
