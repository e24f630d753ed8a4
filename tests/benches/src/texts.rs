//! What the messages say: real conversations, and made-up ones of known length.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::python::Python;

/// A set of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    /// Those of the package `chitchat-dataset`: short, as people chat.
    Conversations,
    /// Of 200 to 2,000 characters, made up of 8,000 words, some much more frequent than others.
    Synthetic,
}

/// The files that hold them.
#[derive(Debug)]
pub(crate) struct TextFiles {
    conversations: PathBuf,
    synthetic: PathBuf,
}

impl TextFiles {
    pub(crate) fn prepare(folder: &Path, python: &Python) -> Result<Self> {
        let files = Self {
            conversations: folder.join("conversations.json"),
            synthetic: folder.join("synthetic.json"),
        };
        if !files.conversations.exists() {
            python.run("texts.py", &files.conversations.to_string_lossy(), &[])?;
        }
        fs::write(&files.synthetic, serde_json::to_vec(&synthetic(4_000))?)?;
        Ok(files)
    }

    pub(crate) fn path(&self, texts: Texts) -> &Path {
        match texts {
            Texts::Conversations => &self.conversations,
            Texts::Synthetic => &self.synthetic,
        }
    }
}

fn synthetic(count: usize) -> Vec<String> {
    let mut dice = Dice(0x5e55_1045);
    let words: Vec<String> = (0..8_000).map(|_| word(&mut dice)).collect();
    (0..count)
        .map(|_| {
            let length = 200 + dice.below(1_801);
            let mut text = String::with_capacity(length + 16);
            while text.len() < length {
                if !text.is_empty() {
                    text.push(' ');
                }
                // The product of three falls off about as the words of a language do.
                let at = dice.below(8_000) * dice.below(8_000) / 8_000 * dice.below(8_000) / 8_000;
                text.push_str(&words[at]);
            }
            text.truncate(length);
            text
        })
        .collect()
}

fn word(dice: &mut Dice) -> String {
    let letter = |dice: &mut Dice, of: &[u8]| char::from(of[dice.below(of.len())]);
    let mut word = String::new();
    for _ in 0..=dice.below(4) {
        word.push(letter(dice, b"bcdfghklmnprstvz"));
        word.push(letter(dice, b"aeiou"));
    }
    word
}

/// Numbers that look random, the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}
