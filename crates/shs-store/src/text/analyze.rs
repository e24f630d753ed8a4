//! From text to tokens.

use std::ops::{ControlFlow, Range};

use unicode_normalization::char::is_combining_mark;

use super::fold::{continues, fold, is_unspaced, is_word};

/// Longest token, in bytes of folded text; a longer word is cut, in messages and queries alike.
pub const MAX_TOKEN_BYTES: usize = 120;

/// Longest character of an unspaced script with its marks, so that a pair is no longer than a token.
const MAX_UNIT_BYTES: usize = MAX_TOKEN_BYTES - 4;

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// The folded text; analyzed as a text of its own, it begins with this token again.
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
        ControlFlow::Continue(())
    });
    tokens
}

/// Calls back with each token of a text, in order; for indexes, which need no places.
pub fn tokens(text: &str, mut emit: impl FnMut(&str)) {
    walk(text, |token, _, _, _| {
        emit(token);
        ControlFlow::Continue(())
    });
}

/// Calls back with each token, its place, that of its first character, and its kind, until the callback has enough; it
/// may be called a few times more.
pub(super) fn walk(
    text: &str,
    emit: impl FnMut(&str, Range<usize>, Range<usize>, Kind) -> ControlFlow<()>,
) {
    let mut walker = Walker::new(emit);
    let mut at = 0;
    while walker.flow.is_continue()
        && let Some(byte) = text.as_bytes().get(at)
    {
        let run = plain_run(&text.as_bytes()[at..]);
        if run > 0 {
            walker.push_plain(text, at..at + run);
            at += run;
        } else if byte.is_ascii() && !byte.is_ascii_alphanumeric() {
            walker.end();
            at += 1;
        } else if text[at..].starts_with(is_word) {
            let end = at + cluster(&text[at..]);
            fold(&text[at..end], |c| walker.push(c, at..end));
            at = end;
        } else {
            walker.end();
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    walker.end();
}

/// How many bytes the letters and digits of ASCII have with which a text begins, and which nothing continues.
fn plain_run(text: &[u8]) -> usize {
    let run = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    match text.get(run) {
        Some(next) if !next.is_ascii() => run.saturating_sub(1),
        _ => run,
    }
}

/// How many bytes the first character has with those that continue it.
fn cluster(text: &str) -> usize {
    let mut chars = text.chars();
    let first = chars.next().map_or(0, char::len_utf8);
    first + chars.take_while(|c| continues(*c)).map(char::len_utf8).sum::<usize>()
}

struct Walker<F> {
    emit: F,
    word: String,
    word_range: Range<usize>,
    /// The character before, in a run of an unspaced script, and whether it began the run.
    unit: Option<(String, Range<usize>, bool)>,
    pair: String,
    /// What the callback said last.
    flow: ControlFlow<()>,
}

impl<F: FnMut(&str, Range<usize>, Range<usize>, Kind) -> ControlFlow<()>> Walker<F> {
    fn new(emit: F) -> Self {
        let (word, pair) = (String::new(), String::new());
        Self { emit, word, word_range: 0..0, unit: None, pair, flow: ControlFlow::Continue(()) }
    }

    fn push(&mut self, c: char, range: Range<usize>) {
        if is_combining_mark(c) && self.push_mark(c) {
            return;
        }
        if !is_word(c) {
            // A mark has nothing to stand on here; anything else parts words.
            self.end();
        } else if is_unspaced(c) {
            self.end_word();
            self.push_unit(c, range);
        } else {
            self.end_run();
            if self.word.is_empty() {
                self.word_range.start = range.start;
            }
            self.word_range.end = range.end;
            push_within(&mut self.word, c, MAX_TOKEN_BYTES);
        }
    }

    /// As [`push`](Self::push) of each letter or digit of ASCII, folded.
    fn push_plain(&mut self, text: &str, run: Range<usize>) {
        self.end_run();
        let plain = &text[run.clone()];
        let parts = |byte: &u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
        if self.word.is_empty()
            && text.as_bytes().get(run.end).is_none_or(parts)
            && plain.len() <= MAX_TOKEN_BYTES
            && !plain.bytes().any(|byte| byte.is_ascii_uppercase())
        {
            // A whole word, which is its own token.
            self.flow = (self.emit)(plain, run.clone(), run, Kind::Word);
            return;
        }
        if self.word.is_empty() {
            self.word_range.start = run.start;
        }
        self.word_range.end = run.end;
        let before = self.word.len();
        self.word.push_str(&plain[..plain.len().min(MAX_TOKEN_BYTES - before)]);
        self.word[before..].make_ascii_lowercase();
    }

    /// Adds a mark to the character before it, if there is one.
    fn push_mark(&mut self, c: char) -> bool {
        if let Some((unit, ..)) = &mut self.unit {
            push_within(unit, c, MAX_UNIT_BYTES);
        } else if !self.word.is_empty() {
            push_within(&mut self.word, c, MAX_TOKEN_BYTES);
        } else {
            return false;
        }
        true
    }

    fn push_unit(&mut self, c: char, range: Range<usize>) {
        let first = self.unit.is_none();
        if let Some((before, head, _)) = self.unit.take() {
            self.pair.clear();
            self.pair.push_str(&before);
            self.pair.push(c);
            // The second half of a pair is its base character; marks on it show in the next pair.
            self.flow = (self.emit)(&self.pair, head.start..range.end, head, Kind::Pair);
        }
        self.unit = Some((c.to_string(), range, first));
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            let range = self.word_range.clone();
            self.flow = (self.emit)(&self.word, range.clone(), range, Kind::Word);
            self.word.clear();
        }
    }

    fn end_run(&mut self) {
        if let Some((unit, range, alone)) = self.unit.take() {
            self.flow = (self.emit)(&unit, range.clone(), range, Kind::Tail { alone });
        }
    }

    fn end(&mut self) {
        self.end_word();
        self.end_run();
    }
}

/// Adds a character if there is room for it.
fn push_within(text: &mut String, c: char, limit: usize) {
    if text.len() + c.len_utf8() <= limit {
        text.push(c);
    }
}

/// [`analyze`] without the short way for ASCII, to compare with.
#[cfg(test)]
pub(super) fn analyze_slowly(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let emit = |token: &str, range, head, kind| {
        let position = tokens.len() as u32;
        tokens.push(Token { text: token.to_owned(), position, range, head, kind });
        ControlFlow::Continue(())
    };
    let mut walker = Walker::new(emit);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let mut end = at + c.len_utf8();
        if is_word(c) {
            end = at + cluster(&text[at..]);
            fold(&text[at..end], |c| walker.push(c, at..end));
        } else {
            walker.end();
        }
        at = end;
    }
    walker.end();
    tokens
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
            ("STRAẞE", "strasse"),
            ("de\u{ad}ploy\u{2060}ment", "deployment"),
            ("1\u{fe0f}\u{20e3}", "1"),
            ("葛\u{e0100}", "葛"),
        ] {
            assert_eq!(texts(text), [token], "{text}");
        }
        assert_eq!(texts("x_y can't 3.14"), ["x", "y", "can", "t", "3", "14"]);
        assert_eq!(texts("½ coŀlecció ﷺ"), texts("1 2 col·lecció صلى الله عليه وسلم"));
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
        assert_eq!(texts("ㅎㅏㄴ국"), texts("하ᄂ국"));
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
