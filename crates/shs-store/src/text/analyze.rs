//! From text to tokens.

use std::ops::Range;

use super::fold::{continues, fold, is_unspaced, is_word};

/// Longest token, in bytes of folded text; a longer word is cut, in messages and queries alike.
pub const MAX_TOKEN_BYTES: usize = 120;

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// The folded text.
    pub text: String,
    /// Its number among the tokens of the text, from 0.
    pub position: u32,
    /// The bytes of the original text that it was made of.
    pub range: Range<usize>,
    /// In an unspaced script, the bytes of its first character alone.
    pub head: Range<usize>,
    pub(super) kind: Kind,
}

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word of a spaced script.
    Word,
    /// Two neighbouring characters of an unspaced script.
    Pair,
    /// The last character of a run of an unspaced script, alone.
    Tail {
        /// Whether it is the whole run.
        alone: bool,
    },
}

/// All tokens of a text, with their places.
///
/// # Examples
/// ```
/// use shs_store::text::analyze;
///
/// let texts = |text| analyze(text).into_iter().map(|token| token.text).collect::<Vec<_>>();
/// assert_eq!(texts("DÉJÀ vu, node.js!"), ["deja", "vu", "node", "js"]);
/// // A run of an unspaced script: its pairs, and its last character.
/// assert_eq!(texts("部署名"), ["部署", "署名", "名"]);
/// ```
pub fn analyze(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    walk(text, |token, range, head, kind| {
        let position = tokens.len() as u32;
        tokens.push(Token { text: token.to_owned(), position, range, head, kind });
    });
    tokens
}

/// Calls back with each token of a text, in order; for indexes, which need no places.
pub fn tokens(text: &str, mut emit: impl FnMut(&str)) {
    walk(text, |token, _, _, _| emit(token));
}

fn walk(text: &str, emit: impl FnMut(&str, Range<usize>, Range<usize>, Kind)) {
    let mut walker =
        Walker { emit, word: String::new(), word_range: 0..0, unit: None, pair: String::new() };
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if !is_word(c) {
            walker.end();
            continue;
        }
        let mut end = start + c.len_utf8();
        while let Some((at, next)) = chars.peek().copied().filter(|(_, next)| continues(*next)) {
            end = at + next.len_utf8();
            chars.next();
        }
        fold(&text[start..end], |c| walker.push(c, start..end));
    }
    walker.end();
}

struct Walker<F> {
    emit: F,
    word: String,
    word_range: Range<usize>,
    /// The character before, in a run of an unspaced script, and whether it began the run.
    unit: Option<(String, Range<usize>, bool)>,
    pair: String,
}

impl<F: FnMut(&str, Range<usize>, Range<usize>, Kind)> Walker<F> {
    fn push(&mut self, c: char, range: Range<usize>) {
        if is_unspaced(c) {
            self.end_word();
            self.push_unit(c, range);
            return;
        }
        if unicode_normalization::char::is_combining_mark(c)
            && let Some((unit, ..)) = &mut self.unit
        {
            unit.push(c);
            return;
        }
        self.end_run();
        if self.word.is_empty() {
            self.word_range.start = range.start;
        }
        self.word_range.end = range.end;
        if self.word.len() + c.len_utf8() <= MAX_TOKEN_BYTES {
            self.word.push(c);
        }
    }

    fn push_unit(&mut self, c: char, range: Range<usize>) {
        // A mark of an unspaced script belongs to the character before it.
        if unicode_normalization::char::is_combining_mark(c)
            && let Some((unit, ..)) = &mut self.unit
        {
            if unit.len() < MAX_TOKEN_BYTES / 2 - 4 {
                unit.push(c);
            }
            return;
        }
        let first = self.unit.is_none();
        if let Some((before, head, _)) = self.unit.take() {
            self.pair.clear();
            self.pair.push_str(&before);
            self.pair.push(c);
            // The second half of a pair is its base character; marks on it show in the next pair.
            (self.emit)(&self.pair, head.start..range.end, head, Kind::Pair);
        }
        self.unit = Some((c.to_string(), range, first));
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            let range = self.word_range.clone();
            (self.emit)(&self.word, range.clone(), range, Kind::Word);
            self.word.clear();
        }
    }

    fn end_run(&mut self) {
        if let Some((unit, range, alone)) = self.unit.take() {
            (self.emit)(&unit, range.clone(), range, Kind::Tail { alone });
        }
    }

    fn end(&mut self) {
        self.end_word();
        self.end_run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        analyze(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn case_width_and_diacritics_are_folded() {
        for (text, token) in [
            ("DÉJÀ", "deja"),
            ("de\u{301}ja\u{300}", "deja"),
            ("ｄｅｊａ", "deja"),
            ("Straße", "strasse"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδός", "οδοσ"),
            ("İstanbul", "istanbul"),
            ("ﬁne", "fine"),
        ] {
            assert_eq!(texts(text), [token], "{text}");
        }
        assert_eq!(texts("x_y can't 3.14"), ["x", "y", "can", "t", "3", "14"]);
        assert_eq!(texts("… — 👍 \0"), Vec::<String>::new());
    }

    #[test]
    fn unspaced_scripts_become_pairs() {
        assert_eq!(texts("テスト"), ["テス", "スト", "ト"]);
        assert_eq!(texts("ﾃｽﾄ"), texts("テスト"));
        assert_eq!(texts("ガス"), ["ガス", "ス"]);
        assert_eq!(texts("カ\u{3099}ス"), texts("ガス"));
        assert_eq!(texts("ｶﾞｽ"), texts("ガス"));
        assert_eq!(texts("한국어"), ["한국", "국어", "어"]);
        assert_eq!(texts("\u{1112}\u{1161}\u{11ab}국어"), texts("한국어"));
        assert_eq!(texts("GPT4模型v2"), ["gpt4", "模型", "型", "v2"]);
        assert_eq!(texts("部"), ["部"]);
    }

    #[test]
    fn places_are_those_of_the_original_text() {
        for text in ["Déjà vu 部署", "de\u{301}ja ﾊﾞｽ", "½ ㍿ x"] {
            for token in analyze(text) {
                let original = &text[token.range.clone()];
                assert!(!original.is_empty(), "{token:?}");
                assert!(token.range.start <= token.head.start && token.head.end <= token.range.end);
            }
        }
    }

    #[test]
    fn a_long_word_is_cut() {
        let long = "x".repeat(10_000);
        assert_eq!(texts(&long), ["x".repeat(MAX_TOKEN_BYTES)]);
    }
}
