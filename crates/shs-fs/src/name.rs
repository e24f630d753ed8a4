//! File names that are safe on every file system.
//!
//! The conversations of the default tenant stand in the folder itself, those of another tenant in
//! `tenants/TENANT/`. Names are paths below the folder, with `/` between their parts on every
//! system.

use shs_store::{SessionId, SessionKey, TenantId};
use uuid::Uuid;

/// What conversation files end in.
pub(crate) const EXTENSION: &str = "jsonl";
/// Where the folders of tenants are.
pub(crate) const TENANTS: &str = "tenants";

/// Longest encoded id before it is shortened, in bytes; file systems take 255 with the extension.
const MAX_BYTES: usize = 180;
/// What the name of a folder begins with in which the name of a tenant goes on that is too long for
/// one.
const GOES_ON: char = '+';

/// The name of a conversation's file.
///
/// Lower-case letters, digits, `-` and `_` stand for themselves, every other byte is `%` and two hexadecimal
/// digits. So ids that differ only by case differ on file systems that ignore it, and no id can name another folder, a
/// hidden file or a device. A long name is cut and ends in `~` and a hash of the id.
pub(crate) fn file_name(key: &SessionKey) -> String {
    let id = key.id.as_str();
    let mut name = encoded(id);
    if name.len() > MAX_BYTES {
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes());
        name.truncate(whole_escapes(&name, MAX_BYTES - 40));
        name = format!("{name}~{}", hash.simple());
    }
    format!("{}{name}.{EXTENSION}", tenant_folder(&key.tenant))
}

/// The folder of a tenant, with a `/` behind it; nothing for the default one.
///
/// The name is encoded as an id is. A long one goes on in folders below, so that it can be read
/// from their names.
pub(crate) fn tenant_folder(tenant: &TenantId) -> String {
    let mut folder = String::new();
    if tenant.is_default() {
        return folder;
    }
    folder.push_str(TENANTS);
    folder.push('/');
    let name = encoded(tenant.as_str());
    let mut rest = name.as_str();
    loop {
        let (part, after) = rest.split_at(whole_escapes(rest, MAX_BYTES));
        folder.push_str(part);
        folder.push('/');
        if after.is_empty() {
            return folder;
        }
        folder.push(GOES_ON);
        rest = after;
    }
}

/// The tenant whose folder this is, as [`tenant_folder`] names it.
pub(crate) fn tenant_of(folder: &str) -> Option<TenantId> {
    if folder.is_empty() {
        return Some(TenantId::DEFAULT);
    }
    let parts = folder.strip_prefix(TENANTS)?.strip_prefix('/')?.strip_suffix('/')?;
    let mut name = String::new();
    for (number, part) in parts.split('/').enumerate() {
        name.push_str(if number == 0 { part } else { part.strip_prefix(GOES_ON)? });
    }
    let tenant = TenantId::new(decoded(&name)?).ok()?;
    // A folder that no store has made has another name.
    (!tenant.is_default() && tenant_folder(&tenant) == folder).then_some(tenant)
}

/// Whether this may be the name of a folder in which the name of a tenant goes on.
pub(crate) fn goes_on(name: &str) -> bool {
    name.starts_with(GOES_ON)
}

/// A name in its folder: the folder, with a `/` behind it if it is not the store's, and the file.
pub(crate) fn split(name: &str) -> (&str, &str) {
    name.split_at(name.rfind('/').map_or(0, |slash| slash + 1))
}

/// The conversation that has this file name, if the name says all of it.
pub(crate) fn key_of(name: &str) -> Option<SessionKey> {
    let (folder, file) = split(name);
    let tenant = tenant_of(folder)?;
    let stem = file.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let id = SessionId::new(decoded(stem)?).ok()?;
    let key = SessionKey { tenant, id };
    // Which is not so for a name that was cut, or is none of ours.
    (file_name(&key) == name).then_some(key)
}

/// Whether this may be the name of a conversation's file in the folder or in a tenant's, and
/// nowhere else; on any system, so no device either.
pub(crate) fn is_conversation(name: &str) -> bool {
    let (folder, file) = split(name);
    let stem = file.split('.').next().unwrap_or_default();
    let has_special =
        |c: char| c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '\\' | '|' | '?' | '*');
    tenant_of(folder).is_some()
        && !file.contains(has_special)
        && !is_device(&stem.trim_end_matches(' ').to_ascii_lowercase())
        && file.strip_suffix(EXTENSION).is_some_and(|rest| rest.ends_with('.'))
}

fn encoded(text: &str) -> String {
    let mut name = String::with_capacity(text.len() + 8);
    for (at, byte) in text.bytes().enumerate() {
        let plain = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if plain && !(at == 0 && is_device(text)) {
            name.push(byte as char);
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    name
}

fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
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
    String::from_utf8(bytes).ok()
}

/// Where to cut an encoded name after so many bytes at the most, and not in the middle of an
/// escape.
fn whole_escapes(name: &str, most: usize) -> usize {
    if name.len() <= most {
        return name.len();
    }
    let tail = most - 2;
    name[tail..most].find('%').map_or(most, |percent| tail + percent)
}

/// Names that Windows keeps for devices, with any extension
/// (<https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>). Upper-case ones are escaped anyway.
fn is_device(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            matches!(rest.as_bytes(), [b'0'..=b'9']) || matches!(rest, "¹" | "²" | "³")
        })
    };
    matches!(name, "con" | "prn" | "aux" | "nul" | "conin$" | "conout$")
        || numbered("com")
        || numbered("lpt")
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
            let name = file_name(&key("", id));
            assert!(name.len() <= 200, "{name}");
            let safe =
                |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'%' | b'~' | b'.');
            assert!(name.bytes().all(safe), "{name}");
            assert_eq!(name.matches('.').count(), 1, "{name}");
            assert!(names.insert(name.to_lowercase()), "{id} shares its name");
        }
        for id in ["a", "A", "../escape", "con", "ä~b"] {
            let key = key("", id);
            assert_eq!(key_of(&file_name(&key)), Some(key));
        }
        assert_eq!(key_of(&file_name(&key("", &long))), None);
        assert_eq!(key_of("A.jsonl"), None);
        let uuid = "0199a3b4-0000-7000-8000-000000000000";
        assert_eq!(file_name(&key("", uuid)), format!("{uuid}.jsonl"));
        assert_eq!(file_name(&key("", "con")), "%63on.jsonl");
    }

    /// What Windows does not take as the name of a file, or takes as another one.
    #[test]
    fn no_id_or_tenant_has_a_name_that_windows_changes_or_keeps_for_devices() {
        let devices = [
            "con", "prn", "aux", "nul", "com0", "com1", "com9", "lpt0", "lpt9", "com¹", "lpt³",
            "conin$",
        ];
        let endings = ["", ".", " ", ".txt", ".jsonl", ". ", ":", ":stream", "\u{a0}", "..."];
        let mut names = HashSet::new();
        for device in devices {
            for ending in endings {
                for id in [format!("{device}{ending}"), format!("{device}{ending}").to_uppercase()]
                {
                    let name = file_name(&key(&id, &id));
                    for part in name.split('/') {
                        let stem = part.split('.').next().unwrap();
                        assert!(!is_device(&stem.to_lowercase()), "{name}");
                        assert!(!part.ends_with(['.', ' ']), "{name}");
                        assert!(
                            part.is_ascii()
                                && !part.contains(['<', '>', ':', '"', '\\', '|', '?', '*', ' ']),
                            "{name}"
                        );
                    }
                    assert!(is_conversation(&name), "{name}");
                    assert_eq!(key_of(&name), Some(key(&id, &id)));
                    assert!(names.insert(name.to_lowercase()), "{id} shares its name");
                }
            }
        }
        for bad in [
            "con.jsonl",
            "CON.jsonl",
            "Nul .jsonl",
            "com1.txt.jsonl",
            "COM².jsonl",
            "conout$.jsonl",
            "a:b.jsonl",
            "a\\b.jsonl",
            "a?.jsonl",
            "*.jsonl",
            "a|b.jsonl",
            "\"a\".jsonl",
            "<a>.jsonl",
            "a\u{1}.jsonl",
            "tenants/a/nul.jsonl",
        ] {
            assert!(!is_conversation(bad), "{bad}");
        }
    }

    fn key(tenant: &str, id: &str) -> SessionKey {
        let id = SessionId::new(id).unwrap();
        SessionKey { tenant: TenantId::new(tenant).unwrap(), id }
    }

    #[test]
    fn any_tenant_has_a_folder_of_its_own_whose_name_says_which() {
        let (long, other) = ("x".repeat(255), format!("{}con", "x".repeat(180)));
        let escaped = "Ü".repeat(127);
        let names = [
            "",
            "a",
            "A",
            "..",
            ".",
            "con",
            "a/b",
            "a%2fb",
            "+",
            "tenants",
            &long,
            &long[..180],
            &other,
            &escaped,
            &escaped[2..],
            "s.jsonl",
        ];
        let mut folders = HashSet::new();
        for name in names {
            let folder = tenant_folder(&TenantId::new(name).unwrap());
            assert_eq!(tenant_of(&folder).unwrap(), name);
            assert!(folder.split('/').all(|part| part.len() <= 181 && part != ".." && part != "."));
            assert!(folder.split('/').all(|part| !is_device(part)), "{folder}");
            let file = file_name(&key(name, "s"));
            assert!(is_conversation(&file), "{file}");
            assert_eq!(key_of(&file), Some(key(name, "s")));
            assert!(folders.insert(folder.to_lowercase()), "{name} shares its folder");
        }
        for bad in [
            "tenants/",
            "tenants",
            "tenants//",
            "tenants/A/",
            "tenants/../",
            "x/",
            "tenants/a/b/",
            "/",
            "../",
            "tenants/a/+b/",
            "tenants/+a/",
        ] {
            assert_eq!(tenant_of(bad), None, "{bad}");
            assert!(!is_conversation(&format!("{bad}/s.jsonl")), "{bad}");
        }
    }
}
