//! A rule for the sources: SQL that writes is fetched from inside a transaction only.
//!
//! sqlx answers `INSERT … RETURNING` by `fetch_one` or `fetch_optional` as soon as the row is there, which is before SQLite
//! commits a statement that is a transaction by itself: on a full disk thousands of rows were so acknowledged that
//! are not stored. `execute` waits for the end of the statement, and so does an explicit `COMMIT`.
//!
//! So a function that fetches, and whose SQL may write, has to take a `&mut Transaction`, or to be a method of one. Its SQL
//! is every string in it, and in the constants, macros and functions of its crate's folder that it names, and in those that
//! they name. Where a function fetches what it is given as text, the rule is for those that name it, too.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The calls that read rows.
const FETCHES: [&str; 5] = ["fetch", "fetch_all", "fetch_many", "fetch_one", "fetch_optional"];

/// Checks the sources of one folder, and names the functions that break the rule.
///
/// # Panics
/// If a source is no Rust.
pub fn unsafe_fetches(sources: &[String]) -> BTreeSet<String> {
    let mut items = Vec::new();
    for source in sources {
        collect(source.parse().expect("a source is Rust"), false, &mut items);
    }
    let mut by_name: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in &items {
        by_name.entry(&item.name).or_default().push(item);
    }
    let carriers: BTreeSet<&str> = items
        .iter()
        .filter(|item| item.fetches && item.takes_text)
        .map(|item| item.name.as_str())
        .collect();
    let breaks = |item: &&Item| {
        let fetches = item.fetches || item.words.iter().any(|word| carriers.contains(&**word));
        fetches && !item.is_in_transaction && may_write(item, &by_name)
    };
    items.iter().filter(breaks).map(|item| item.name.clone()).collect()
}

/// A function, constant or macro.
#[derive(Debug, Default)]
struct Item {
    name: String,
    /// The texts in it.
    texts: Vec<String>,
    /// The names in it.
    words: BTreeSet<String>,
    fetches: bool,
    takes_text: bool,
    is_in_transaction: bool,
}

/// Whether an item's SQL, or that of what it names, writes.
fn may_write(item: &Item, by_name: &BTreeMap<&str, Vec<&Item>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![item];
    while let Some(item) = open.pop() {
        if item.texts.iter().any(|text| writes(text)) {
            return true;
        }
        for word in &item.words {
            // What is done inside a transaction is judged where it is.
            let named = by_name.get(word.as_str()).into_iter().flatten();
            let named = named.filter(|named| !named.is_in_transaction);
            if seen.insert(word) {
                open.extend(named);
            }
        }
    }
    false
}

/// Whether a text has a word by which SQL writes; `replace(` is a function.
fn writes(text: &str) -> bool {
    let text = text.to_ascii_uppercase().replace("REPLACE(", "");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.into_iter().any(|word| matches!(word, "INSERT" | "UPDATE" | "DELETE" | "REPLACE"))
}

/// Collects the items of some tokens, and those inside of them.
fn collect(tokens: TokenStream, in_transaction: bool, items: &mut Vec<Item>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    let mut is_test = false;
    while at < tokens.len() {
        if is_punct(tokens.get(at), '#')
            && let Some(attribute) = tokens.get(at + 1)
        {
            let attribute = words_of(attribute);
            is_test |= attribute.split(' ').eq(["test"])
                || attribute.starts_with("cfg test")
                || attribute.starts_with("tokio : : test");
            at += 2;
            continue;
        }
        let (word, next) = (word_at(&tokens, at), word_at(&tokens, at + 1));
        let is_macro = word == "macro_rules" && is_punct(tokens.get(at + 1), '!');
        let (kind, name) =
            if is_macro { ("macro", word_at(&tokens, at + 2)) } else { (&*word, next) };
        let end = |is_end: &dyn Fn(&TokenTree) -> bool| {
            tokens[at..].iter().position(is_end).map_or(tokens.len(), |length| at + length + 1)
        };
        let is_body = |token: &TokenTree| is_group(token, Delimiter::Brace);
        match kind {
            // Tests may do as they like.
            "fn" | "mod" if is_test => {
                is_test = false;
                at = end(&|token| is_body(token) || is_punct(Some(token), ';'));
            }
            // `const fn` is a function, and `impl` also stands before types.
            "fn" | "macro" if !name.is_empty() => {
                let end = end(&|token| is_body(token) || is_punct(Some(token), ';'));
                let mut item = Item { name, ..Item::default() };
                read(&tokens[at..end], &mut item);
                let parameters =
                    tokens[at..end].iter().find(|t| is_group(t, Delimiter::Parenthesis));
                let parameters = parameters.map_or(String::new(), words_of);
                item.takes_text = ["str", "String", "SqlStr"]
                    .iter()
                    .any(|text| parameters.split(' ').any(|word| word == *text));
                item.is_in_transaction = parameters.contains("& mut Transaction")
                    || (in_transaction && parameters.contains("& mut self"));
                items.push(item);
                if let Some(TokenTree::Group(body)) = tokens[at..end].last() {
                    collect(body.stream(), false, items);
                }
                at = end;
            }
            "const" | "static" if !name.is_empty() && name != "fn" => {
                let end = end(&|token| is_punct(Some(token), ';'));
                let mut item = Item { name, ..Item::default() };
                read(&tokens[at..end], &mut item);
                items.push(item);
                at = end;
            }
            "impl" => {
                let end = end(&is_body);
                let header = &tokens[at..end.saturating_sub(1)];
                let of_transaction = header.iter().any(|token| token.to_string() == "Transaction");
                if let Some(TokenTree::Group(body)) = tokens[at..end].last() {
                    collect(body.stream(), of_transaction, items);
                }
                at = end;
            }
            _ => {
                if let TokenTree::Group(group) = &tokens[at] {
                    collect(group.stream(), in_transaction, items);
                }
                at += 1;
            }
        }
    }
}

/// Takes the texts, names and calls of some tokens into an item.
fn read(tokens: &[TokenTree], item: &mut Item) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                read(&group.stream().into_iter().collect::<Vec<_>>(), item);
            }
            TokenTree::Literal(literal) => item.texts.push(literal.to_string()),
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                let is_called = at > 0 && is_punct(tokens.get(at - 1), '.');
                item.fetches |= is_called && FETCHES.contains(&name.as_str());
                item.words.insert(name);
            }
            TokenTree::Punct(_) => {}
        }
    }
}

fn words_of(token: &TokenTree) -> String {
    let TokenTree::Group(group) = token else { return token.to_string() };
    let words: Vec<_> = group.stream().into_iter().map(|token| words_of(&token)).collect();
    words.join(" ")
}

fn word_at(tokens: &[TokenTree], at: usize) -> String {
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => ident.to_string(),
        _ => String::new(),
    }
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}
