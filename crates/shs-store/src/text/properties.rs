//! What holds for every text and every query.

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::analyze::{Kind, analyze_slowly};
use super::fold::{continues, is_word};
use super::snippet::cut_slowly;
use super::{InvertedIndex, MAX_TOKEN_BYTES, Query, Ranking, analyze};

/// Text of many scripts, close enough together that queries find something; with marks, joiners, jamo, widths
/// and the signs of the query language.
pub(super) fn text() -> impl Strategy<Value = String> {
    let mixed = prop::collection::vec(
        prop::sample::select(vec![
            "a",
            "b",
            "A",
            "ab",
            "é",
            "e\u{301}",
            "ß",
            "ẞ",
            "ﬁ",
            "ｂ",
            "½",
            "1",
            "İ",
            "ς",
            " ",
            " ",
            " ",
            "\u{3000}",
            "-",
            "\"",
            "*",
            "'",
            ".",
            "\0",
            "部",
            "署",
            "名",
            "葛\u{e0100}",
            "テ",
            "ﾃ",
            "ス",
            "カ\u{3099}",
            "ｶﾞ",
            "ﾞ",
            "\u{3099}",
            "한",
            "ㅎ",
            "ㅏ",
            "\u{1112}",
            "\u{1161}",
            "\u{11ab}",
            "ก",
            "ที่",
            "ำ",
            "\u{e31}",
            "क",
            "ा",
            "्",
            "\u{5b0}",
            "שָׁ",
            "عَ",
            "ﷺ",
            "\u{200d}",
            "\u{ad}",
            "\u{fe0f}",
            "👩\u{200d}👧",
            "\u{301}",
            "\u{345}",
        ]),
        0..14,
    );
    prop_oneof![4 => mixed.prop_map(|pieces| pieces.concat()), 1 => any::<String>()]
}

fn texts(text: &str) -> Vec<String> {
    analyze(text).into_iter().map(|token| token.text).collect()
}

/// Tokens lie in the text, in order; and a token, analyzed as a text, begins with itself.
fn check_tokens(text: &str) -> Result<(), TestCaseError> {
    let mut start = 0;
    for (token, position) in analyze(text).into_iter().zip(0..) {
        prop_assert_eq!(token.position, position);
        prop_assert!(text.get(token.range.clone()).is_some_and(|original| !original.is_empty()));
        prop_assert!(text.get(token.head.clone()).is_some_and(|original| !original.is_empty()));
        prop_assert!(token.head.start == token.range.start && token.head.end <= token.range.end);
        prop_assert!(token.range.start >= start, "{:?} in {:?}", token, text);
        start = token.range.start;
        prop_assert!(!token.text.is_empty() && token.text.len() <= MAX_TOKEN_BYTES);
        let again = analyze(&token.text);
        prop_assert_eq!(again.first().map(|t| &t.text), Some(&token.text), "{:?}", text);
        let expected = if token.kind == Kind::Pair { 2 } else { 1 };
        prop_assert_eq!(again.len(), expected, "{:?} {:?}", token, text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_short_way_for_ascii_changes_nothing(text in text(), long in "[a-zA-Z0-9é ]{0,300}") {
        for text in [text.clone(), long.clone(), long + &text] {
            prop_assert_eq!(analyze(&text), analyze_slowly(&text));
        }
    }

    #[test]
    fn tokens_lie_in_the_text_and_stay_as_they_are(text in text()) {
        check_tokens(&text)?;
    }

    #[test]
    fn equivalent_texts_have_the_same_tokens(text in text()) {
        let expected = texts(&text);
        for other in [
            text.nfc().collect::<String>(), text.nfd().collect(), text.to_lowercase(),
        ] {
            prop_assert_eq!(&texts(&other), &expected, "{:?} {:?}", text, other);
        }
    }

    #[test]
    fn the_index_finds_exactly_what_matches(
        contents in prop::collection::vec(text(), 1..6),
        queries in prop::collection::vec(text(), 1..6),
    ) {
        let mut index = InvertedIndex::new();
        for (number, text) in (0..).zip(&contents) {
            index.insert(number, text);
        }
        for query in queries.iter().chain(&contents) {
            let Ok(query) = Query::parse(query) else { continue };
            let expected: Vec<i64> =
                (0..).zip(&contents).filter(|(_, text)| query.matches(text)).map(|(n, _)| n).collect();
            let found: Vec<i64> = index.oldest_first(&query, None).collect();
            prop_assert_eq!(&found, &expected, "{:?}", query);
            let mut newest: Vec<i64> = index.newest_first(&query, None).collect();
            newest.reverse();
            prop_assert_eq!(&newest, &expected, "{:?}", query);
            let mut ranking = Ranking::new(&query);
            for (number, text) in (0..).zip(&contents) {
                prop_assert_eq!(ranking.weigh(number, text), expected.contains(&number));
            }
            let mut ranked: Vec<i64> = Vec::new();
            for (number, rank) in ranking.best_first() {
                prop_assert!(rank.is_finite());
                ranked.push(number);
            }
            ranked.sort();
            prop_assert_eq!(&ranked, &expected, "{:?}", query);
        }
    }

    #[test]
    fn snippets_are_pieces_of_the_text_with_matches_in_order(text in text(), query in text()) {
        let long = format!("{}{text}{}", "before ".repeat(text.len() * 3), text.repeat(20));
        let Ok(query) = Query::parse(&query) else { return Ok(()) };
        for text in [&text, &long] {
            let snippet = query.snippet(text);
            prop_assert_eq!(&snippet, &cut_slowly(&query, text), "{:?} {:?}", query, text);
            prop_assert!(text.contains(&snippet.text));
            prop_assert!(snippet.text.chars().count() <= 160);
            prop_assert_eq!(snippet.cut_before || snippet.cut_after, snippet.text != *text);
            let mut end = 0;
            for range in &snippet.matches {
                prop_assert!(range.start >= end && range.start < range.end, "{:?}", snippet);
                prop_assert!(snippet.text.get(range.clone()).is_some(), "{:?}", snippet);
                end = range.end;
            }
            prop_assert!(!query.matches(text) || !snippet.matches.is_empty(), "{:?}", snippet);
        }
    }

    #[test]
    fn a_text_in_quotes_finds_itself(text in text()) {
        let query = Query::parse(&format!("\"{}\"", text.replace('"', " "))).unwrap();
        prop_assert!(query.is_empty() || query.matches(&text), "{:?} {:?}", text, query);
    }

    #[test]
    fn any_piece_of_a_sentence_without_spaces_is_found(
        sentence in "[部署名新テスト한국어]{1,12}", from in 0..12_usize, length in 1..12_usize,
    ) {
        let piece: String = sentence.chars().skip(from).take(length).collect();
        let query = Query::parse(&piece).unwrap();
        let longer = format!("新{sentence}署");
        prop_assert!(query.is_empty() || query.matches(&longer));
        prop_assert_eq!(query.matches(&sentence), !piece.is_empty());
    }
}

#[test]
fn every_character_is_analyzed_the_same_again_wherever_it_stands() {
    // All others part words.
    for c in ('\0'..=char::MAX).filter(|c| is_word(*c) || continues(*c)) {
        for text in [format!("{c}"), format!("a{c}b"), format!("部{c}名"), format!("각{c}{c}")] {
            check_tokens(&text).unwrap();
        }
    }
}
