//! Text that arrives in fragments, kept up to a limit.

use shs_store::Part;

use super::Choice;

/// Puts the answers of one response together from fragments, and keeps their text up to a limit.
///
/// Fragments name the choice and the block they belong to; what is first named comes first. Blocks are the
/// parts of an answer: text, reasoning, a refusal, a tool call. An answer that has nothing but text becomes a
/// plain text.
#[derive(Debug)]
pub struct Gather {
    /// By their indices; there is nearly always one.
    choices: Vec<(u32, Gathered)>,
    left: usize,
    /// Choices and blocks that may still come.
    room: usize,
    truncated: bool,
    has_content: bool,
}

#[derive(Debug, Default)]
struct Gathered {
    blocks: Vec<(u64, Block)>,
    finish_reason: Option<String>,
    refusal: bool,
}

#[derive(Debug)]
enum Block {
    Text(String),
    Reasoning(String),
    Refusal(String),
    ToolCall { id: Option<String>, name: String, arguments: String },
    Other(Part),
}

/// Most choices and blocks of one response, together.
const MOST_BLOCKS: usize = 4_096;

/// The blocks that are not numbered by the API itself. Tool calls are numbered from [`FIRST_CALL`] on.
pub(super) const REASONING: u64 = 0;
pub(super) const TEXT: u64 = 1;
pub(super) const REFUSAL: u64 = 2;
pub(super) const FIRST_CALL: u64 = 3;

impl Gather {
    /// Keeps so many bytes of text, of all choices together.
    pub fn new(limit: usize) -> Self {
        Self {
            choices: Vec::new(),
            left: limit,
            room: MOST_BLOCKS,
            truncated: false,
            has_content: false,
        }
    }

    /// Adds text to a block of a choice.
    pub fn text(&mut self, choice: u32, block: u64, text: &str) {
        let text = self.take(text);
        if let Some(Block::Text(all)) = self.block(choice, block, || Block::Text(String::new())) {
            all.push_str(text);
        }
    }

    /// Adds reasoning to a block of a choice.
    pub fn reasoning(&mut self, choice: u32, block: u64, text: &str) {
        let text = self.take(text);
        if let Some(Block::Reasoning(all)) =
            self.block(choice, block, || Block::Reasoning(String::new()))
        {
            all.push_str(text);
        }
    }

    /// Adds to the text of a refusal.
    pub fn refusal(&mut self, choice: u32, block: u64, text: &str) {
        if let Some(choice) = self.gathered(choice) {
            choice.refusal = true;
        }
        let text = self.take(text);
        if let Some(Block::Refusal(all)) =
            self.block(choice, block, || Block::Refusal(String::new()))
        {
            all.push_str(text);
        }
    }

    /// Adds to a tool call: its id and its name where they are given, and a fragment of its arguments' JSON.
    pub fn tool_call(
        &mut self,
        choice: u32,
        block: u64,
        given_id: Option<&str>,
        given_name: Option<&str>,
        fragment: &str,
    ) {
        let fragment = self.take(fragment);
        let new = || Block::ToolCall { id: None, name: String::new(), arguments: String::new() };
        if let Some(Block::ToolCall { id, name, arguments }) = self.block(choice, block, new) {
            if let Some(given) = given_id.filter(|given| !given.is_empty()) {
                *id = Some(given.to_owned());
            }
            if let Some(given) = given_name.filter(|given| !given.is_empty()) {
                given.clone_into(name);
            }
            arguments.push_str(fragment);
        }
    }

    /// Adds a part as it is. It counts with the length of its JSON.
    pub fn part(&mut self, choice: u32, block: u64, part: Part) {
        let weight = serde_json::to_string(&part).map_or(0, |json| json.len());
        if weight > self.left {
            self.truncated = true;
            return;
        }
        self.left -= weight;
        self.block(choice, block, || Block::Other(part));
    }

    /// Makes sure that a choice is there, also if nothing comes for it.
    pub fn choice(&mut self, choice: u32) {
        self.gathered(choice);
    }

    /// Says why a choice ended.
    pub fn finish_reason(&mut self, choice: u32, reason: &str) {
        if let Some(choice) = self.gathered(choice) {
            choice.finish_reason = Some(reason.to_owned());
        }
    }

    /// Whether any text, reasoning or tool call has come.
    pub fn has_content(&self) -> bool {
        self.has_content
    }

    /// Whether text was left out because it was beyond the limit.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether there is a choice, and each has said why it ended.
    pub fn all_finished(&self) -> bool {
        !self.choices.is_empty()
            && self.choices.iter().all(|(_, choice)| choice.finish_reason.is_some())
    }

    /// The choices, in the order of their indices.
    pub fn take_choices(&mut self) -> Vec<Choice> {
        let mut choices = std::mem::take(&mut self.choices);
        choices.sort_by_key(|(index, _)| *index);
        choices.into_iter().map(|(index, choice)| choice.into_choice(index)).collect()
    }

    fn gathered(&mut self, choice: u32) -> Option<&mut Gathered> {
        let at = match self.choices.iter().position(|(index, _)| *index == choice) {
            Some(at) => at,
            None if !self.has_room() => return None,
            None => {
                self.choices.push((choice, Gathered::default()));
                self.choices.len() - 1
            }
        };
        Some(&mut self.choices[at].1)
    }

    fn block(
        &mut self,
        choice: u32,
        block: u64,
        new: impl FnOnce() -> Block,
    ) -> Option<&mut Block> {
        self.has_content = true;
        let blocks = &self.gathered(choice)?.blocks;
        // Fragments nearly always belong to the block that the one before them did.
        let at = blocks.iter().rposition(|(number, _)| *number == block);
        if at.is_none() && !self.has_room() {
            return None;
        }
        let blocks = &mut self.gathered(choice)?.blocks;
        let at = at.unwrap_or_else(|| {
            blocks.push((block, new()));
            blocks.len() - 1
        });
        Some(&mut blocks[at].1)
    }

    /// Takes room for one more choice or block, if there is any.
    fn has_room(&mut self) -> bool {
        let left = self.room.checked_sub(1);
        self.truncated |= left.is_none();
        self.room = left.unwrap_or(0);
        left.is_some()
    }

    /// As much of the text as the limit leaves, cut between characters.
    fn take<'a>(&mut self, text: &'a str) -> &'a str {
        if text.len() <= self.left {
            self.left -= text.len();
            return text;
        }
        self.truncated = true;
        let cut = (0..=self.left).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        // What follows must not fill the hole that a long character left.
        self.left = 0;
        &text[..cut]
    }
}

impl Gathered {
    fn into_choice(self, index: u32) -> Choice {
        let is_text = |block: &Block| matches!(block, Block::Text(_) | Block::Refusal(_));
        let is_plain = self.blocks.iter().all(|(_, block)| is_text(block));
        let mut choice = Choice {
            index,
            finish_reason: self.finish_reason,
            refusal: self.refusal,
            ..Choice::default()
        };
        for (_, block) in self.blocks {
            let part = match block {
                Block::Text(text) | Block::Refusal(text)
                    if is_plain && choice.content.is_empty() =>
                {
                    // Nearly all answers are one text, which may be long.
                    choice.content = text;
                    continue;
                }
                Block::Text(text) | Block::Refusal(text) => {
                    if !choice.content.is_empty() && !text.is_empty() {
                        choice.content.push('\n');
                    }
                    choice.content.push_str(&text);
                    Part::text(text)
                }
                Block::Reasoning(text) => Part::reasoning(text),
                Block::ToolCall { id, name, arguments } => {
                    shs_wire::tool_call(id, name, shs_wire::arguments(&arguments))
                }
                Block::Other(part) => part,
            };
            if !is_plain {
                choice.parts.push(part);
            }
        }
        choice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_of_choices_and_calls_may_be_mixed() {
        let mut gather = Gather::new(1_000);
        gather.text(1, TEXT, "b");
        gather.text(0, TEXT, "a");
        gather.text(1, TEXT, "B");
        gather.tool_call(0, FIRST_CALL, Some("c1"), Some("f"), "{\"x\"");
        gather.tool_call(0, FIRST_CALL + 1, Some("c2"), Some("g"), "{");
        gather.tool_call(0, FIRST_CALL, None, None, ":1}");
        let choices = gather.take_choices();
        assert_eq!(choices[0].content, "a");
        let call = Part::tool_call("c1", "f", serde_json::json!({"x": 1}));
        let cut = Part::tool_call("c2", "g", "{".into());
        assert_eq!(choices[0].parts, [Part::text("a"), call, cut]);
        assert_eq!((choices[1].content.as_str(), choices[1].parts.len()), ("bB", 0));
    }

    #[test]
    fn there_is_an_end_to_choices_and_blocks() {
        let mut gather = Gather::new(1_000_000);
        for number in 0..10_000 {
            gather.text(number, TEXT, "x");
            gather.tool_call(0, u64::from(number) + FIRST_CALL, None, Some("f"), "");
        }
        assert!(gather.is_truncated());
        assert!(gather.take_choices().len() <= MOST_BLOCKS);
    }

    #[test]
    fn text_beyond_the_limit_is_left_out_between_characters() {
        let mut gather = Gather::new(4);
        gather.text(0, TEXT, "aé");
        gather.text(0, TEXT, "é");
        gather.text(0, TEXT, "x");
        assert!(gather.is_truncated());
        assert_eq!(gather.take_choices()[0].content, "aé");
    }
}
