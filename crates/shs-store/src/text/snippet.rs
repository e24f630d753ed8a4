//! The place of a match, shortened.

use std::ops::Range;

use serde::Serialize;

use super::analyze::analyze;
use super::query::Query;

/// Longest snippet, in characters.
const MAX_CHARS: usize = 160;
/// Characters shown before the first match.
const LEAD_CHARS: usize = 40;

/// A piece of a message's content around the first match.
///
/// # Examples
/// ```
/// use shs_store::text::Query;
///
/// let snippet = Query::parse("charged")?.snippet("I was double-charged.");
/// assert_eq!(snippet.text, "I was double-charged.");
/// assert_eq!(&snippet.text[snippet.matches[0].clone()], "charged");
/// assert_eq!(snippet.marked("[", "]"), "I was double-[charged].");
/// # Ok::<_, shs_store::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snippet {
    /// The piece, at most 160 characters, as it stands in the content.
    pub text: String,
    /// The matches: byte ranges in `text`, rising, not overlapping.
    pub matches: Vec<Range<usize>>,
    /// Whether the content goes on before the piece.
    pub cut_before: bool,
    /// Whether the content goes on after the piece.
    pub cut_after: bool,
}

impl Snippet {
    /// The text with marks around each match, and `…` where it is cut.
    pub fn marked(&self, open: &str, close: &str) -> String {
        let mut marked = String::with_capacity(self.text.len() + 16);
        let mut at = 0;
        if self.cut_before {
            marked.push('…');
        }
        for range in &self.matches {
            marked.push_str(&self.text[at..range.start]);
            marked.push_str(open);
            marked.push_str(&self.text[range.clone()]);
            marked.push_str(close);
            at = range.end;
        }
        marked.push_str(&self.text[at..]);
        if self.cut_after {
            marked.push('…');
        }
        marked
    }
}

pub(super) fn cut(query: &Query, text: &str) -> Snippet {
    let found = places(query, text);
    let first = found.first().map_or(0, |range| range.start);
    let start = text[..first]
        .char_indices()
        .rev()
        .nth(LEAD_CHARS)
        .map_or(0, |(at, _)| word_start(text, at, first));
    let end = text[start..].char_indices().nth(MAX_CHARS).map_or(text.len(), |(at, _)| start + at);
    let matches = found
        .into_iter()
        .filter(|range| range.start >= start && range.start < end)
        .map(|range| range.start - start..range.end.min(end) - start)
        .collect();
    Snippet {
        text: text[start..end].to_owned(),
        matches,
        cut_before: start > 0,
        cut_after: end < text.len(),
    }
}

/// The first place after white space between two places, or the first of them.
fn word_start(text: &str, from: usize, to: usize) -> usize {
    text[from..to]
        .char_indices()
        .find(|(_, c)| c.is_whitespace())
        .map_or(from, |(at, c)| from + at + c.len_utf8())
}

/// The byte ranges of all matches, rising, merged where they touch.
fn places(query: &Query, text: &str) -> Vec<Range<usize>> {
    let tokens = analyze(text);
    let mut found: Vec<Range<usize>> = Vec::new();
    for clause in query.positive() {
        for first in clause.find(&tokens) {
            let last = &tokens[first + clause.tokens.len() - 1];
            let end = if clause.head_only { last.head.end } else { last.range.end };
            found.push(tokens[first].range.start..end);
        }
    }
    found.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_around_the_match() {
        let text = format!("{} needle {}", "before ".repeat(100), "after ".repeat(100));
        let snippet = Query::parse("needle").unwrap().snippet(&text);
        assert!(snippet.cut_before && snippet.cut_after);
        assert!(snippet.text.chars().count() <= MAX_CHARS);
        assert_eq!(&snippet.text[snippet.matches[0].clone()], "needle");
        assert!(snippet.text.starts_with("before "));
    }

    #[test]
    fn matches_are_marked_in_every_script() {
        let marked =
            |query: &str, text: &str| Query::parse(query).unwrap().snippet(text).marked("[", "]");
        assert_eq!(marked("déjà vu", "Deja VU"), "[Deja] [VU]");
        assert_eq!(marked("部署", "新部署名"), "新[部署]名");
        assert_eq!(marked("部", "新部署名"), "新[部]署名");
        assert_eq!(marked("名", "新部署名"), "新部署[名]");
        assert_eq!(marked("\"a b\"", "x A, B c"), "x [A, B] c");
        assert_eq!(marked("cha*", "Charge charm"), "[Charge] [charm]");
    }
}
