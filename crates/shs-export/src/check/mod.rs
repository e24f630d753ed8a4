//! Whether a trainer would take a file.

mod alpaca;
mod chat;
mod claude;
mod dpo;
mod lines;
mod sharegpt;
mod transcript;
mod trl;
mod whole;

use std::fmt;
use std::io::{self, BufRead};

use serde::Serialize;
use serde_json::Value;
use shs_store::{Error, Result};

use self::lines::Lines;
use crate::Format;

/// Reads a data set and says what a trainer would refuse, line by line.
///
/// It knows OpenAI's lines, plain and in pairs, TRL's, ShareGPT's, Alpaca's, Claude's, and sessions as JSON and JSON Lines. It
/// takes whatever [`Export`](crate::Export) writes in these formats. Limits of providers on a file as a whole, such as the
/// fewest lines or the most tokens, change and are not checked.
///
/// One line, of JSON one session, is in memory at a time, and no more of it than [allowed](Self::with_max_line).
///
/// # Examples
/// ```
/// use shs_export::{Check, Format};
///
/// let file = r#"{"messages": [{"role": "user", "content": "Hello!"}, {"role": "robot", "content": "Beep."}]}"#;
/// let mut problems = Vec::new();
/// let checked = Check::new(Format::OpenAi)?.read(file.as_bytes(), |problem| problems.push(problem))?;
/// assert_eq!((checked.lines, checked.wrong), (1, 1));
/// assert_eq!(
///     problems[0].to_string(),
///     "line 1: messages[1].role: unknown role \"robot\"; known are system, developer, user, assistant, tool, function"
/// );
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Check {
    /// None for sessions that do not have a line each.
    rules: Option<Rules>,
    max_line: usize,
}

/// The longest line, if nothing else is said: 256 MiB.
const MAX_LINE: usize = 256 * 1024 * 1024;

/// What the lines of a format have to be.
type Rules = fn(&Value, &mut Problems);

impl Check {
    /// A check of files in this format.
    ///
    /// # Errors
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) for a format that cannot be checked.
    pub fn new(format: Format) -> Result<Self> {
        let rules: Rules = match format {
            Format::Json => return Ok(Self { rules: None, max_line: MAX_LINE }),
            Format::JsonLines => transcript::rules,
            Format::OpenAi => chat::rules,
            Format::OpenAiDpo => dpo::rules,
            Format::Trl => trl::rules,
            Format::ShareGpt => sharegpt::rules,
            Format::Alpaca => alpaca::rules,
            Format::Claude => claude::rules,
            other => {
                return Err(Error::invalid(format!(
                    "{other} cannot be checked; what can is json, jsonl, openai, openai-dpo, trl, sharegpt, alpaca and claude"
                )));
            }
        };
        Ok(Self { rules: Some(rules), max_line: MAX_LINE })
    }

    /// Says how long a line, or a session of JSON, may be, in bytes; 256 MiB if not said. What is longer is a problem, and is not read.
    #[must_use]
    pub fn with_max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// Reads to the end, and calls `found` with each problem.
    ///
    /// # Errors
    /// If the reader fails.
    pub fn read(
        &self,
        reader: impl BufRead,
        mut found: impl FnMut(Problem),
    ) -> io::Result<Checked> {
        let Some(rules) = self.rules else { return whole::read(reader, self.max_line, found) };
        let mut lines = Lines::new(reader, self.max_line);
        let mut checked = Checked::default();
        let mut problems = Problems::default();
        while let Some(line) = lines.next_line()? {
            checked.lines += 1;
            match line {
                Ok(line) => match value(line) {
                    Ok(value) => rules(&value, &mut problems),
                    Err(what) => problems.say("", what),
                },
                Err(length) => {
                    let limit = self.max_line;
                    problems.say("", format!("the line has {length} bytes; the limit is {limit}"));
                }
            }
            checked.wrong += u64::from(!problems.0.is_empty());
            for (place, what) in problems.0.drain(..) {
                checked.problems += 1;
                found(Problem { line: checked.lines, place, what });
            }
        }
        if checked.lines == 0 {
            checked.problems = 1;
            let what = "the file is empty".to_owned();
            found(Problem { line: 0, place: String::new(), what });
        }
        Ok(checked)
    }
}

/// The object on a line, or what is wrong with it.
fn value(line: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
    if text.starts_with('\u{feff}') {
        return Err("the file begins with a byte order mark; remove it".to_owned());
    }
    if text.trim().is_empty() {
        return Err("the line is empty".to_owned());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        // What serde says may quote the line.
        let what = if error.is_eof() { "the JSON is cut off" } else { "this is not JSON" };
        format!("{what}, at column {}", error.column())
    })?;
    if value.is_object() { Ok(value) } else { Err("this is no JSON object".to_owned()) }
}

/// How many lines were read, and how many are wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// Lines of the file; sessions, where they do not have a line each.
    pub lines: u64,
    /// Lines with at least one problem.
    pub wrong: u64,
    /// Problems; an empty file is one.
    pub problems: u64,
}

/// What is wrong in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The line, from 1 on, on which it is, or a session of JSON ends; 0 for what is wrong with the file.
    pub line: u64,
    /// The place in the line, such as `messages[2].tool_calls[0]`; empty for the line itself.
    pub place: String,
    /// What is wrong, without the text of the conversation.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.what)
    }
}

/// What is wrong with a line: places and words.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<(String, String)>);

impl Problems {
    fn say(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.0.push((place.into(), what.into()));
    }

    /// Whether it has no other keys than these.
    fn only_keys(&mut self, place: &str, value: &Value, known: &[&str]) {
        let keys = value.as_object().into_iter().flat_map(|object| object.keys());
        for key in keys.filter(|key| !known.contains(&key.as_str())) {
            let known = known.join(", ");
            self.say(place, format!("the key {:?} is not known; known are {known}", short(key)));
        }
    }

    /// A list that is there and not empty.
    fn list<'a>(&mut self, place: &str, value: &'a Value) -> &'a [Value] {
        match value.as_array() {
            Some(list) if !list.is_empty() => list,
            Some(_) => {
                self.say(place, "the list is empty");
                &[]
            }
            None => {
                self.say(place, if value.is_null() { "it is missing" } else { "it is no list" });
                &[]
            }
        }
    }

    /// A text that is there; unless it may be, not empty.
    fn text<'a>(&mut self, place: &str, value: &'a Value, may_be_empty: bool) -> Option<&'a str> {
        match value.as_str() {
            Some(text) if may_be_empty || !text.trim().is_empty() => return Some(text),
            Some(_) => self.say(place, "it is empty"),
            None => {
                self.say(place, if value.is_null() { "it is missing" } else { "it is no text" })
            }
        }
        None
    }

    /// A text that may be missing.
    fn optional_text(&mut self, place: &str, value: &Value) {
        if !value.is_null() && !value.is_string() {
            self.say(place, "it is no text");
        }
    }
}

/// As much of a text as may be quoted.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
