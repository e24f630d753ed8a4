//! Folding of case, width and diacritics, and the classes of characters.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{
    canonical_combining_class, decompose_compatible, is_combining_mark,
};

/// Whether a character begins a word, or goes on with it. A mark that is reordered among others, in equivalent
/// texts, does not begin one, even if it is a letter too.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() && (c.is_ascii() || canonical_combining_class(c) == 0)
}

/// Whether a character belongs to the one before it: a mark, a joiner, a jamo of the same syllable.
///
/// Characters that are there for compatibility, such as the half-width voicing marks of kana, do what the
/// characters do that they stand for.
pub(super) fn continues(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let mut first = None;
    decompose_compatible(c, |part| {
        first.get_or_insert(part);
    });
    let first = first.unwrap_or(c);
    // Letters that compose with the one before: vowels and finals of Hangul, a vowel of Kirat Rai.
    let composes = matches!(first, '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}' | '\u{16D67}');
    composes || is_combining_mark(first) || is_passed_over(first)
}

/// Whether a script is written without spaces between words, so that its characters are indexed in pairs.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{0E00}'..='\u{0EFF}' // Thai, Lao
        | '\u{1000}'..='\u{109F}' // Myanmar
        | '\u{1100}'..='\u{11FF}' // Hangul jamo
        | '\u{1780}'..='\u{17FF}' // Khmer
        | '\u{3005}'..='\u{3007}' // ideographic iteration mark, closing mark, zero
        | '\u{3040}'..='\u{30FF}' // Hiragana, Katakana
        | '\u{3100}'..='\u{318F}' // Bopomofo, compatibility jamo
        | '\u{31A0}'..='\u{31BF}' | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' // Han
        | '\u{A960}'..='\u{A97F}' | '\u{AC00}'..='\u{D7FF}' // Hangul
        | '\u{F900}'..='\u{FAFF}'
        | '\u{1B000}'..='\u{1B16F}' // Kana supplement
        | '\u{20000}'..='\u{3FFFF}' // Han supplements
    )
}

/// Whether a mark is a diacritic that search passes over.
///
/// Marks that change what is written, such as the voicing marks of kana or the vowel signs of Indic
/// scripts, are kept.
fn is_diacritic(c: char) -> bool {
    matches!(
        c,
        '\u{0300}'..='\u{036F}'
            | '\u{0591}'..='\u{05C7}' // Hebrew points
            | '\u{0610}'..='\u{061A}' | '\u{064B}'..='\u{065F}' | '\u{0670}' // Arabic vowel marks
            | '\u{1AB0}'..='\u{1AFF}'
            | '\u{1DC0}'..='\u{1DFF}'
            | '\u{20D0}'..='\u{20FF}'
            | '\u{FE20}'..='\u{FE2F}'
    )
}

/// Whether a character inside a word is passed over: a diacritic, or what only steers how the word is shown.
fn is_passed_over(c: char) -> bool {
    is_diacritic(c)
        || matches!(
            c,
            '\u{AD}' // soft hyphen
                | '\u{61C}' | '\u{200E}' | '\u{200F}' // marks of direction
                | '\u{180B}'..='\u{180F}' // variation selectors of Mongolian
                | '\u{200C}' | '\u{200D}' | '\u{2060}' | '\u{FEFF}' // joiners
                | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' // variation selectors
        )
}

/// Folds one character with what [continues] it, and hands on what remains; what is neither a letter, a digit
/// nor a mark, such as the stroke in `½`, parts words.
pub(super) fn fold(cluster: &str, mut emit: impl FnMut(char)) {
    if let [byte] = cluster.as_bytes() {
        emit(byte.to_ascii_lowercase() as char);
        return;
    }
    let composed = cluster.nfkd().filter(|c| !is_passed_over(*c)).nfc();
    // Through upper case, so that letters with several lower-case forms (ς and σ, ß and ss) become one; and
    // lower case first, because ẞ has an upper case of its own.
    composed
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| !is_passed_over(*c))
        .for_each(&mut emit);
}
