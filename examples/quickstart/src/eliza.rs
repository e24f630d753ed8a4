//! A conversation partner without a model: rules in the manner of ELIZA (Weizenbaum, 1966).

/// Finds an answer to what was said.
///
/// It looks for the first rule whose key words occur, and gives its answers in turn. What follows the key words
/// comes back with the persons exchanged: "I need my keys" becomes "Why do you need your keys?".
#[derive(Debug, Default)]
pub(crate) struct Eliza {
    given: usize,
}

struct Rule {
    key: &'static [&'static str],
    answers: &'static [&'static str],
}

/// `{}` stands for what followed the key words.
const RULES: &[Rule] = &[
    Rule { key: &["good", "bye"], answers: &["Goodbye. It was good to talk to you."] },
    Rule { key: &["goodbye"], answers: &["Goodbye. It was good to talk to you."] },
    Rule {
        key: &["sorry"],
        answers: &["There is no need to apologize.", "What do you feel when you apologize?"],
    },
    Rule {
        key: &["i", "remember"],
        answers: &["Do you often think of {}?", "What else does {} bring to your mind?"],
    },
    Rule {
        key: &["i", "need"],
        answers: &["Why do you need {}?", "Would it really help you to get {}?"],
    },
    Rule {
        key: &["i", "want"],
        answers: &["What would it mean to you if you got {}?", "Why do you want {}?"],
    },
    Rule {
        key: &["i", "feel"],
        answers: &["Do you often feel {}?", "When do you usually feel {}?"],
    },
    Rule {
        key: &["i", "think"],
        answers: &["Do you really think {}?", "But you are not sure that {}?"],
    },
    Rule {
        key: &["i", "can't"],
        answers: &["How do you know that you can't {}?", "Perhaps you could {} if you tried."],
    },
    Rule { key: &["i", "don't"], answers: &["Why don't you {}?", "Would you like to {}?"] },
    Rule {
        key: &["i", "am"],
        answers: &["How long have you been {}?", "How do you feel about being {}?"],
    },
    Rule { key: &["i'm"], answers: &["How long have you been {}?", "Do you enjoy being {}?"] },
    Rule {
        key: &["are", "you"],
        answers: &["Would you prefer it if I were not {}?", "Perhaps I am {}. What do you think?"],
    },
    Rule {
        key: &["you", "are"],
        answers: &["What makes you think that I am {}?", "Does it please you that I am {}?"],
    },
    Rule { key: &["can", "you"], answers: &["What makes you think that I can't {}?"] },
    Rule { key: &["can", "i"], answers: &["Perhaps you do not want to {}. Or do you?"] },
    Rule {
        key: &["because"],
        answers: &["Is that the real reason?", "What other reasons come to mind?"],
    },
    Rule {
        key: &["my", "mother"],
        answers: &["Tell me more about your mother.", "Who else in your family {}?"],
    },
    Rule { key: &["my", "father"], answers: &["How do you get on with your father?"] },
    Rule { key: &["my"], answers: &["Your {}?", "Why does it matter that it is your {}?"] },
    Rule {
        key: &["computer"],
        answers: &["Do computers worry you?", "Are you talking about me in particular?"],
    },
    Rule { key: &["dream"], answers: &["What does that dream tell you?", "Do you dream often?"] },
    Rule { key: &["why"], answers: &["Why do you think {}?", "Why do you ask?"] },
    Rule { key: &["what"], answers: &["Why do you ask?", "What answer would please you most?"] },
    Rule { key: &["how"], answers: &["How do you suppose?", "What is it you are really asking?"] },
    Rule { key: &["always"], answers: &["Can you think of a particular time?"] },
    Rule { key: &["hello"], answers: &["Hello. What would you like to talk about?"] },
    Rule { key: &["hi"], answers: &["Hi there. What brings you here?"] },
    Rule { key: &["yes"], answers: &["You seem quite sure.", "I see. Please go on."] },
    Rule { key: &["no"], answers: &["Why not?", "Are you saying no just to be negative?"] },
];

const OTHERWISE: &[&str] = &[
    "Please go on.",
    "Tell me more about that.",
    "I see. And what does that tell you?",
    "How does that make you feel?",
];

impl Eliza {
    /// The answer to what was said.
    pub(crate) fn answer(&mut self, said: &str) -> String {
        let words: Vec<String> = said
            .split_whitespace()
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
            .filter(|word| !word.is_empty())
            .collect();
        self.given += 1;
        let matching = RULES.iter().find_map(|rule| Some((rule, rest_after(&words, rule.key)?)));
        let Some((rule, rest)) = matching else { return turn(OTHERWISE, self.given).to_owned() };
        let rest = reflect(rest);
        let fits = |answer: &&&str| !rest.is_empty() || !answer.contains("{}");
        let answers: Vec<&str> = rule.answers.iter().filter(fits).copied().collect();
        match answers.as_slice() {
            [] => turn(OTHERWISE, self.given).to_owned(),
            answers => turn(answers, self.given).replace("{}", &rest),
        }
    }
}

/// The answer whose turn it is.
fn turn<'a>(answers: &[&'a str], given: usize) -> &'a str {
    answers[given % answers.len()]
}

/// The words after the first place where the key words stand.
fn rest_after<'a>(words: &'a [String], key: &[&str]) -> Option<&'a [String]> {
    let at = words.windows(key.len()).position(|window| window == key)?;
    Some(&words[at + key.len()..])
}

/// Says it back, with the persons exchanged.
fn reflect(words: &[String]) -> String {
    let reflected: Vec<&str> = words
        .iter()
        .map(|word| match word.as_str() {
            "i" | "me" => "you",
            "my" => "your",
            "mine" => "yours",
            "myself" => "yourself",
            "am" => "are",
            "i'm" => "you're",
            "you" => "me",
            "your" => "my",
            "yours" => "mine",
            "yourself" => "myself",
            "you're" => "I'm",
            other => other,
        })
        .collect();
    reflected.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persons_are_exchanged() {
        let answer = Eliza::default().answer("Well, I need my keys for myself!");
        assert_eq!(answer, "Would it really help you to get your keys for yourself?");
    }

    #[test]
    fn there_is_always_an_answer() {
        let mut eliza = Eliza::default();
        for said in ["", "?!", "I need", "xyzzy", "my", "日本語", "You are"] {
            let answer = eliza.answer(said);
            assert!(!answer.is_empty() && !answer.contains("{}"), "{said}: {answer}");
        }
    }
}
