//! Text that arrives in fragments, kept up to a limit.

use shs_store::Part;
use shs_wire::json_weight;

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
    limit: usize,
    left: usize,
    /// Choices and blocks that may still come.
    room: usize,
    /// Bytes of the names and ids of tool calls.
    names: usize,
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
/// Most memory that the arguments of all tool calls take, read as JSON.
const MOST_ARGUMENTS_WEIGHT: u64 = 32 * 1024 * 1024;
/// Longest name or id of a tool call, and reason to end.
const MOST_NAME_BYTES: usize = 1_024;

/// The blocks that are not numbered by the API itself. Tool calls are numbered from [`FIRST_CALL`] on.
pub(super) const REASONING: u64 = 0;
pub(super) const TEXT: u64 = 1;
pub(super) const REFUSAL: u64 = 2;
pub(super) const FIRST_CALL: u64 = 3;

impl Gather {
    /// Keeps so many bytes of text, of all choices together; beside them, up to 4,096 choices and
    /// blocks, whose names and ids have up to 1,024 bytes each.
    pub fn new(limit: usize) -> Self {
        Self {
            choices: Vec::new(),
            limit,
            left: limit,
            room: MOST_BLOCKS,
            names: 0,
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
        let given_id = self.name(given_id.unwrap_or_default());
        let given_name = self.name(given_name.unwrap_or_default());
        let mut new_bytes = 0;
        let new = || Block::ToolCall { id: None, name: String::new(), arguments: String::new() };
        if let Some(Block::ToolCall { id, name, arguments }) = self.block(choice, block, new) {
            if !given_id.is_empty() {
                new_bytes += given_id.len().saturating_sub(id.as_ref().map_or(0, String::len));
                *id = Some(given_id.to_owned());
            }
            if !given_name.is_empty() {
                new_bytes += given_name.len().saturating_sub(name.len());
                given_name.clone_into(name);
            }
            arguments.push_str(fragment);
        }
        self.names += new_bytes;
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

    /// Says why a choice ended. An empty reason is none, as some servers send one with each
    /// fragment.
    pub fn finish_reason(&mut self, choice: u32, reason: &str) {
        if reason.is_empty() {
            return;
        }
        let reason = self.name(reason);
        if let Some(choice) = self.gathered(choice) {
            choice.finish_reason = Some(reason.to_owned());
        }
    }

    /// Whether any text, reasoning or tool call has come.
    pub fn has_content(&self) -> bool {
        self.has_content
    }

    /// About how many bytes it holds.
    pub fn held(&self) -> usize {
        const BLOCK: usize = size_of::<(u64, Block)>();
        (self.limit - self.left) + (MOST_BLOCKS - self.room) * BLOCK + self.names
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
        let mut weight = MOST_ARGUMENTS_WEIGHT;
        let choices = choices.into_iter();
        choices.map(|(index, choice)| choice.into_choice(index, &mut weight)).collect()
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

    /// As much of a name as is kept.
    fn name<'a>(&mut self, name: &'a str) -> &'a str {
        self.truncated |= name.len() > MOST_NAME_BYTES;
        &name[..name.floor_char_boundary(MOST_NAME_BYTES)]
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
    /// Takes the memory that arguments take from the weight; what is beyond it stays text.
    fn into_choice(self, index: u32, weight: &mut u64) -> Choice {
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
                    let left = weight.checked_sub(json_weight(arguments.as_bytes()));
                    let arguments = match left {
                        Some(_) => shs_wire::arguments(&arguments),
                        None => arguments.into(),
                    };
                    *weight = left.unwrap_or(*weight);
                    shs_wire::tool_call(id, name, arguments)
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
    fn names_and_ids_are_bounded_and_counted() {
        let mut gather = Gather::new(1_000);
        let long = "é".repeat(100_000);
        gather.tool_call(0, FIRST_CALL, Some(&long), Some(&long), "{}");
        gather.finish_reason(0, &long);
        assert!(gather.is_truncated());
        assert!((2_000..10_000).contains(&gather.held()), "{}", gather.held());
        let choices = gather.take_choices();
        assert_eq!(choices[0].finish_reason.as_deref(), Some(&*"é".repeat(512)));
        assert_eq!(choices[0].parts[0].as_object()["id"], "é".repeat(512));
    }

    #[test]
    fn arguments_that_would_take_much_memory_stay_text() {
        let mut gather = Gather::new(10_000_000);
        let wide = format!("[{}0]", "{},".repeat(30_000));
        for call in 0..3 {
            gather.tool_call(0, FIRST_CALL + call, None, Some("f"), &wide);
        }
        let choices = gather.take_choices();
        let kinds = choices[0].parts.iter().map(|part| part.as_object()["arguments"].is_string());
        assert_eq!(kinds.collect::<Vec<_>>(), [true, true, true]);
        let mut gather = Gather::new(10_000_000);
        let narrow = format!("[{}0]", "{},".repeat(14_000));
        for call in 0..4 {
            gather.tool_call(0, FIRST_CALL + call, None, Some("f"), &narrow);
        }
        let choices = gather.take_choices();
        let kinds = choices[0].parts.iter().map(|part| part.as_object()["arguments"].is_string());
        assert_eq!(kinds.collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn an_empty_reason_to_end_is_none() {
        let mut gather = Gather::new(1_000);
        gather.text(0, TEXT, "a");
        gather.finish_reason(0, "");
        assert!(!gather.all_finished());
        gather.finish_reason(0, "stop");
        gather.finish_reason(0, "");
        assert!(gather.all_finished());
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
