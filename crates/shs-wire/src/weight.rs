//! How much memory JSON takes once it is read.

/// What a value takes in a list, with the spare room of a list that grows.
const VALUE: u64 = 64;
/// What an object with anything in it takes, whatever is in it: a node of a tree has room for
/// eleven keys.
const OBJECT: u64 = 640;
/// The most that one byte of JSON can become: each object of `{},{},` and the like.
const MOST_PER_BYTE: u64 = OBJECT + VALUE;

/// Estimates how many bytes JSON takes as a tree of values, without reading it into one.
///
/// The estimate is the text's own length, 64 bytes for each value, and 640 more for each object. A
/// string that begins like JSON counts like the JSON in it, because arguments of tool calls are
/// sent that way and read by [`arguments`](crate::arguments). Text that is not JSON is not an
/// error; its estimate means nothing.
///
/// ```
/// assert_eq!(shs_wire::json_weight(br#"{"a":"some text"}"#), 17 + 2 * 64 + 640);
/// assert!(shs_wire::json_weight(&b"{},".repeat(1_000)) > 200 * 3_000);
/// ```
pub fn json_weight(json: &[u8]) -> u64 {
    let mut weight = json.len() as u64;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        at += 1;
        if byte == b'"' {
            at = string(json, at, &mut weight);
        } else {
            weight += structure(byte);
        }
    }
    weight
}

/// Whether the [weight](json_weight) of JSON is above a limit. A short text needs no look to tell.
pub fn is_heavy(json: &[u8], limit: u64) -> bool {
    (json.len() as u64).saturating_mul(MOST_PER_BYTE) > limit && json_weight(json) > limit
}

fn structure(byte: u8) -> u64 {
    match byte {
        b'{' => OBJECT + VALUE,
        b'[' | b',' | b':' => VALUE,
        _ => 0,
    }
}

/// Passes over a string that begins here, and returns where it ends.
fn string(json: &[u8], begin: usize, weight: &mut u64) -> usize {
    let first = json[begin..].iter().find(|byte| !byte.is_ascii_whitespace());
    // Any byte may be written as an escape.
    let may_be_json = matches!(first, Some(b'{' | b'[' | b'\\'));
    let mut at = begin;
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => {
                // An escape may stand for any of the bytes that count.
                if may_be_json && json.get(at) == Some(&b'u') {
                    *weight += structure(b'{');
                }
                at += 1;
            }
            byte if may_be_json => *weight += structure(byte),
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_count_by_their_length_alone() {
        let text = br#"["a, {b}: [c]", "x\", {"]"#;
        assert_eq!(json_weight(text), text.len() as u64 + 2 * VALUE);
    }

    #[test]
    fn json_in_strings_counts_like_json() {
        let plain = json_weight(br"[[],[]]") - 7;
        for inner in [r#""[[],[]]""#, r#"" [[],[]]""#] {
            assert!(json_weight(inner.as_bytes()) >= plain, "{inner}");
        }
        assert!(json_weight(br#""\u005b\u005b],[]]""#) >= plain);
    }

    #[test]
    fn no_text_weighs_more_than_the_most_per_byte() {
        let texts = [&b"{},{}"[..], b"[[[[", b"{\"a\":{\"b\":0}}", b"\"{{{{", b"\"\\u\\u\\u", b""];
        for text in texts {
            assert!(json_weight(text) <= (text.len() as u64) * (MOST_PER_BYTE + 1));
            assert!(!is_heavy(text, json_weight(text)), "{text:?}");
        }
        assert!(is_heavy(&b"{},".repeat(1_000), 200_000));
    }
}
