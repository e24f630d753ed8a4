//! Characters of JSON that are none: halves of a surrogate pair, and bytes that are not UTF-8.

/// The replacement character, as JSON writes it.
const REPLACEMENT: &[u8] = b"\\ufffd";

/// The text with U+FFFD in the place of each broken character, and how many there are; `None` if there
/// is none.
///
/// JSON may have half of a pair of surrogates (RFC 8259, section 8.2), and no text of Unicode can.
pub(super) fn mended(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let is_text = std::str::from_utf8(bytes).is_ok();
    if is_text && halves(bytes).next().is_none() {
        return None;
    }
    let mut broken = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    let text = String::from_utf8_lossy(bytes);
    let text = text.as_bytes();
    let (mut mended, mut from) = (Vec::with_capacity(text.len()), 0);
    for at in halves(text) {
        broken += 1;
        mended.extend_from_slice(&text[from..at]);
        mended.extend_from_slice(REPLACEMENT);
        from = at + REPLACEMENT.len();
    }
    mended.extend_from_slice(&text[from..]);
    Some((mended, broken))
}

/// Where escapes begin that are half of a pair.
fn halves(text: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            at += text.get(at..)?.iter().position(|byte| *byte == b'\\')?;
            let rest = &text[at..];
            let begins = at;
            match (unit(rest), rest.get(6..).and_then(unit)) {
                (Some(HIGH_FIRST..=HIGH_LAST), Some(LOW_FIRST..=LOW_LAST)) => at += 12,
                (Some(HIGH_FIRST..=LOW_LAST), _) => {
                    at += REPLACEMENT.len();
                    return Some(begins);
                }
                // What is escaped begins no escape.
                _ => at += 2,
            }
        }
    })
}

const HIGH_FIRST: u16 = 0xD800;
const HIGH_LAST: u16 = 0xDBFF;
const LOW_FIRST: u16 = 0xDC00;
const LOW_LAST: u16 = 0xDFFF;

/// The unit of UTF-16 that an escape at the beginning of a text is.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mended_text(text: &[u8]) -> Option<(String, usize)> {
        mended(text).map(|(text, broken)| (String::from_utf8(text).unwrap(), broken))
    }

    #[test]
    fn halves_and_bytes_are_replaced_and_nothing_else() {
        for whole in
            [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""a\n\u0041""#, "\"\u{1f600}\"", r"\u12"]
        {
            assert_eq!(mended_text(whole.as_bytes()), None, "{whole}");
        }
        for (broken, right, count) in [
            (&br#""a\ud83d b""#[..], r#""a\ufffd b""#, 1),
            (br#""\ude00\ud83d""#, r#""\ufffd\ufffd""#, 2),
            (br#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#, 1),
            (br#""\\\ud83d""#, r#""\\\ufffd""#, 1),
            (b"\"\xff\xe2\x82 x\"", "\"\u{fffd}\u{fffd} x\"", 2),
            (br"\ud83d", r"\ufffd", 1),
        ] {
            assert_eq!(mended_text(broken), Some((right.to_owned(), count)));
        }
    }

    proptest! {
        #[test]
        fn what_is_json_stays_and_what_is_mended_is_whole(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
            let json = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(mended(&json), None);
            if let Some((text, broken)) = mended(&bytes) {
                prop_assert!(broken > 0);
                prop_assert!(std::str::from_utf8(&text).is_ok());
                prop_assert_eq!(mended(&text), None);
            }
        }
    }
}
