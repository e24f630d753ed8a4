//! The table.

use std::fmt::Write;

use crate::cases::{Case, Comparison, Target, With};
use crate::job::{EACH, Figures, GROWTH, KEPT, OTHER, SIZE};
use crate::peers::Contestant;
use crate::scale::Scale;
use crate::statistics::Summary;
use crate::texts::Texts;

/// What a case came to: for each round, the figures of each contestant.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) case: Case,
    pub(crate) rounds: Vec<Vec<(Contestant, Figures)>>,
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was done, under which disk, with which messages.
    pub(crate) operation: [String; 3],
    pub(crate) with: String,
    ours: String,
    theirs: String,
    /// What the target is about: a ratio, or a figure.
    pub(crate) value: Summary,
    shown: String,
    pub(crate) target: Option<Target>,
    target_shown: String,
}

impl Measured {
    /// A figure of a contestant, over the rounds.
    pub(crate) fn figure(&self, contestant: Contestant, name: &str) -> Option<Summary> {
        Summary::of(self.rounds.iter().filter_map(|round| figure(round, contestant, name)))
    }

    /// The ratio of two figures, taken within each round.
    fn ratio(&self, above: (Contestant, &str), below: (Contestant, &str)) -> Option<Summary> {
        Summary::of(self.rounds.iter().filter_map(|round| {
            Some(figure(round, above.0, above.1)? / figure(round, below.0, below.1)?)
        }))
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        self.case.comparisons.iter().filter_map(|comparison| self.row(*comparison))
    }

    fn row(&self, Comparison { with, target }: Comparison) -> Option<Row> {
        use Contestant::Ours;
        let case = &self.case;
        let texts = match case.texts {
            Texts::Conversations => "conversations",
            Texts::Synthetic => "synthetic",
        };
        let time = |contestant, name| {
            self.figure(contestant, name).map_or_else(String::new, |of| seconds(of.median))
        };
        let times = |value: f64| format!("{}×", number(value));
        let (label, ours, theirs, value, show): (_, _, _, _, &dyn Fn(f64) -> String) = match with {
            With::Contestant(peer) => (
                peer.to_string(),
                time(Ours, EACH),
                time(peer, EACH),
                self.ratio((peer, EACH), (Ours, EACH))?,
                &times,
            ),
            With::ItselfByTime(label) => (
                format!("{label}, by time"),
                time(Ours, OTHER),
                time(Ours, EACH),
                self.ratio((Ours, OTHER), (Ours, EACH))?,
                &times,
            ),
            With::ItselfBySpeed(label) => (
                format!("{label}, by speed"),
                time(Ours, OTHER),
                time(Ours, EACH),
                self.ratio((Ours, EACH), (Ours, OTHER))?,
                &times,
            ),
            With::Figure(SIZE) => {
                let size = self.figure(Ours, SIZE)?;
                ("the text".to_owned(), String::new(), String::new(), size, &times)
            }
            With::Figure(GROWTH) => {
                let growth = self.figure(Ours, GROWTH)?;
                (GROWTH.to_owned(), String::new(), String::new(), growth, &|mb| {
                    format!("{} MB", number(mb))
                })
            }
            With::Figure(KEPT) => {
                let kept = self.figure(Ours, KEPT)?;
                (KEPT.to_owned(), String::new(), String::new(), kept, &|of| {
                    format!("{:.1} %", of * 100.0)
                })
            }
            With::Figure(name) => {
                let label = if name == EACH { "–" } else { name };
                let value = self.figure(Ours, name)?;
                (label.to_owned(), seconds(value.median), String::new(), value, &seconds)
            }
        };
        Some(Row {
            operation: [case.name.clone(), case.disk.to_string(), texts.to_owned()],
            with: label,
            ours,
            theirs,
            value,
            shown: format!(
                "**{}** ({}–{})",
                show(value.median),
                show(value.least),
                show(value.most)
            ),
            target,
            target_shown: match target {
                Some(Target::AtLeast(least)) => format!("≥ {}", show(least)),
                Some(Target::AtMost(most)) => format!("≤ {}", show(most)),
                None => "–".to_owned(),
            },
        })
    }
}

fn figure(round: &[(Contestant, Figures)], contestant: Contestant, name: &str) -> Option<f64> {
    let (_, figures) = round.iter().find(|(who, _)| *who == contestant)?;
    figures.get(name).copied()
}

impl Row {
    /// Whether the median meets the target, if there is one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        Some(self.target?.score(self.value.median) >= 1.0)
    }
}

/// The table in Markdown, with what one must know to read it.
pub(crate) fn markdown(rows: &[Row], scale: &Scale) -> String {
    let of = rows.iter().filter(|row| row.target.is_some()).count();
    let met = rows.iter().filter(|row| row.is_met() == Some(true)).count();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let messages = scale.sessions * scale.messages;
    let mut text = format!(
        "# Results\n\nMeasured on {cores} cores. Rounds: {}; an operation is repeated for {} s in each. The library \
         that is listed and searched holds {messages} messages in {} sessions. Ours and theirs are the medians of \
         the times for one operation; the ratio is taken within each round, and its median is given with the \
         least and the most. Against another contestant it says how many times as fast ours is.\n\n\
         Targets met: **{met} of {of}**.\n\n\
         | operation | a sync takes | messages | compared with | ours | theirs | result | target | met |\n\
         |---|---|---|---|--:|--:|--:|--:|---|\n",
        scale.rounds, scale.seconds, scale.sessions,
    );
    for row in rows {
        let met = match row.is_met() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let [operation, disk, texts] = &row.operation;
        let Row { with, ours, theirs, shown, target_shown, .. } = row;
        let line = writeln!(
            text,
            "| {operation} | {disk} | {texts} | {with} | {ours} | {theirs} | {shown} | {target_shown} | {met} |"
        );
        line.expect("a string can be written to");
    }
    text.push_str(
        "\n![Appended messages a second](append.svg)\n\n![Results by target](targets.svg)\n",
    );
    text
}

/// A time, in the unit that suits it.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        1.0.. => format!("{} s", number(value)),
        1e-3.. => format!("{} ms", number(value * 1e3)),
        _ => format!("{} µs", number(value * 1e6)),
    }
}

/// With about three digits.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        assert_eq!(seconds(2.5), "2.50 s");
        assert_eq!(seconds(0.0125), "12.5 ms");
        assert_eq!(seconds(0.000_312), "312 µs");
    }
}
