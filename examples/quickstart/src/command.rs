//! What can be typed beside what is said.

use session_history_saver::export::Format;

/// A line of input.
#[derive(Debug, PartialEq)]
pub(crate) enum Input<'a> {
    /// Nothing but spaces.
    Nothing,
    /// Something said.
    Said(&'a str),
    /// `/list`
    List,
    /// `/resume ID`
    Resume(&'a str),
    /// `/search TEXT`
    Search(&'a str),
    /// `/stats`
    Stats,
    /// `/export FORMAT`
    Export(Format),
    /// `/help`
    Help,
    /// `/quit`
    Quit,
}

pub(crate) const HELP: &str = "\
/list           lists the latest conversations, with times in UTC
/resume ID      goes on with a conversation; the beginning of its id is enough
/search TEXT    finds messages, e.g. /search \"my keys\" -mother
/stats          counts what is stored
/export FORMAT  writes this conversation to a file: json, jsonl, csv, markdown, text
/help           shows this
/quit           ends the conversation, as Ctrl-D does";

impl<'a> Input<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// What to type instead.
    pub(crate) fn parse(line: &'a str) -> Result<Self, String> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(Self::Nothing);
        }
        if !line.starts_with('/') {
            return Ok(Self::Said(line));
        }
        let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = argument.trim();
        match (command, argument) {
            ("/list", "") => Ok(Self::List),
            ("/stats", "") => Ok(Self::Stats),
            ("/help", "") => Ok(Self::Help),
            ("/quit", "") => Ok(Self::Quit),
            ("/resume", "") => Err("say which: /resume ID, with an id from /list".to_owned()),
            ("/resume", id) => Ok(Self::Resume(id)),
            ("/search", "") => Err("say what for: /search TEXT".to_owned()),
            ("/search", text) => Ok(Self::Search(text)),
            ("/export", "") => {
                Err("say how: /export FORMAT, with json, jsonl, csv, markdown or text".to_owned())
            }
            ("/export", format) => {
                format.parse().map(Self::Export).map_err(|error| error.detail().to_owned())
            }
            ("/list" | "/stats" | "/help" | "/quit", _) => {
                Err(format!("{command} takes nothing behind it"))
            }
            _ => Err(format!("unknown command {command}; /help lists the known ones")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        assert_eq!(Input::parse("  "), Ok(Input::Nothing));
        assert_eq!(Input::parse(" Hello / there "), Ok(Input::Said("Hello / there")));
        assert_eq!(Input::parse("/search  my keys "), Ok(Input::Search("my keys")));
        assert_eq!(Input::parse("/export md"), Ok(Input::Export(Format::Markdown)));
        assert!(Input::parse("/export pdf").unwrap_err().contains("json, jsonl, csv"));
        assert!(Input::parse("/export").unwrap_err().contains("/export FORMAT"));
        assert!(Input::parse("/lisst").unwrap_err().contains("/help"));
        assert!(Input::parse("/resume").unwrap_err().contains("/resume ID"));
    }
}
