//! The place of a match, shortened.

use std::ops::{ControlFlow, Range};

use serde::Serialize;

use super::analyze::walk;
use super::query::{Clause, Query};

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
    let mut places = Places::new(query, text);
    walk(text, |token, range, head, _| places.read(token, &range, &head));
    let shown = places.shown.unwrap_or_else(|| around(text, 0));
    piece(text, shown, places.found)
}

/// The piece with these bytes, and those matches that begin in it, merged where they touch.
fn piece(text: &str, shown: Range<usize>, mut found: Vec<Range<usize>>) -> Snippet {
    found.sort_by_key(|range| (range.start, range.end));
    let mut matches: Vec<Range<usize>> = Vec::new();
    for range in found.into_iter().filter(|range| range.start < shown.end) {
        let range = range.start - shown.start..range.end.min(shown.end) - shown.start;
        match matches.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => matches.push(range),
        }
    }
    Snippet {
        text: text[shown.clone()].to_owned(),
        matches,
        cut_before: shown.start > 0,
        cut_after: shown.end < text.len(),
    }
}

/// The bytes to show of a text whose first match begins there.
fn around(text: &str, first: usize) -> Range<usize> {
    let start = text[..first]
        .char_indices()
        .rev()
        .nth(LEAD_CHARS)
        .map_or(0, |(at, _)| word_start(text, at, first));
    let end = text[start..].char_indices().nth(MAX_CHARS).map_or(text.len(), |(at, _)| start + at);
    start..end
}

/// The first place after white space between two places, or the first of them.
fn word_start(text: &str, from: usize, to: usize) -> usize {
    text[from..to]
        .char_indices()
        .find(|(_, c)| c.is_whitespace())
        .map_or(from, |(at, c)| from + at + c.len_utf8())
}

/// The matches in a text, as its tokens come by. What is behind the piece to show is not read.
struct Places<'t> {
    text: &'t str,
    clauses: Vec<&'t Clause>,
    /// Clauses of several tokens that have matched so far: which, how many tokens of it, and from where on.
    begun: Vec<(usize, usize, usize)>,
    found: Vec<Range<usize>>,
    /// The bytes around the first match.
    shown: Option<Range<usize>>,
}

impl<'t> Places<'t> {
    fn new(query: &'t Query, text: &'t str) -> Self {
        let (begun, found) = (Vec::new(), Vec::new());
        Self { text, clauses: query.positive().collect(), begun, found, shown: None }
    }

    fn read(&mut self, token: &str, range: &Range<usize>, head: &Range<usize>) -> ControlFlow<()> {
        if !self.begun.is_empty() {
            let mut begun = std::mem::take(&mut self.begun);
            begun.retain_mut(|(clause, read, start)| {
                self.follows(*clause, read, *start, token, range, head)
            });
            self.begun = begun;
        }
        if self.shown.as_ref().is_none_or(|shown| range.start < shown.end) {
            for clause in 0..self.clauses.len() {
                let mut read = 0;
                if self.follows(clause, &mut read, range.start, token, range, head) {
                    self.begun.push((clause, read, range.start));
                }
            }
        } else if self.begun.is_empty() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Whether the token is the next of a clause, and more have to follow. The last one makes it a match.
    fn follows(
        &mut self,
        clause: usize,
        read: &mut usize,
        start: usize,
        token: &str,
        range: &Range<usize>,
        head: &Range<usize>,
    ) -> bool {
        let clause = self.clauses[clause];
        if !clause.token_matches(*read, token) {
            return false;
        }
        *read += 1;
        if *read < clause.tokens.len() {
            return true;
        }
        let is_first = self.found.iter().all(|range| start < range.start);
        self.found.push(start..if clause.head_only { head.end } else { range.end });
        if is_first {
            self.shown = Some(around(self.text, start));
        }
        false
    }
}

/// [`cut`] from all tokens of the text, to compare with.
#[cfg(test)]
pub(super) fn cut_slowly(query: &Query, text: &str) -> Snippet {
    let tokens = super::analyze(text);
    let mut found: Vec<Range<usize>> = Vec::new();
    for clause in query.positive() {
        for first in clause.find(&tokens) {
            let last = &tokens[first + clause.tokens.len() - 1];
            let end = if clause.head_only { last.head.end } else { last.range.end };
            found.push(tokens[first].range.start..end);
        }
    }
    let shown = around(text, found.iter().map(|range| range.start).min().unwrap_or(0));
    piece(text, shown, found)
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
