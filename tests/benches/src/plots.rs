//! The plots, as SVG.

use std::fmt::{Display, Write};

use crate::job::Backend;
use crate::job::{EACH, Operation};
use crate::peers::Contestant;
use crate::report::{Measured, Row, number};
use crate::texts::Texts;

const WIDTH: f64 = 1_000.0;
const LINE: f64 = 16.0;
/// Where the names end and the plot begins.
const LEFT: f64 = 500.0;
/// Room for a figure behind a bar.
const RIGHT: f64 = 70.0;

/// A picture that grows downwards.
struct Picture {
    body: String,
    y: f64,
}

impl Picture {
    fn new(title: &str) -> Self {
        let mut picture = Self { body: String::new(), y: 24.0 };
        picture.text(12.0, "start", "font-size=\"15\" font-weight=\"bold\"", title);
        picture.y += LINE;
        picture
    }

    fn add(&mut self, element: impl Display) {
        writeln!(self.body, "{element}").expect("a string can be written to");
    }

    fn text(&mut self, x: f64, anchor: &str, style: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let y = self.y;
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {style}>{text}</text>"
        ));
    }

    fn bar(&mut self, width: f64, color: &str) {
        let y = self.y - LINE + 5.0;
        self.add(format_args!(
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{color}\"/>",
            LINE - 3.0
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), style: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>"
        ));
    }

    fn finish(self) -> String {
        let height = self.y + LINE;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
            self.body
        )
    }
}

fn color(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Ours => "#1b6ca8",
        Contestant::Package => "#e0a030",
        Contestant::OpenaiAgents => "#6aa84f",
        Contestant::Naive => "#a64d79",
        Contestant::Limit | Contestant::Journal => "#999999",
    }
}

/// How many messages each contestant appends a second.
pub(crate) fn appends(measured: &[Measured]) -> String {
    let mut picture =
        Picture::new("Appended messages a second, synthetic messages (more is better)");
    let cases: Vec<&Measured> = measured
        .iter()
        .filter(|measured| {
            let case = &measured.case;
            case.job.operation == Operation::Append
                && case.job.backend == Backend::Sqlite
                && case.texts == Texts::Synthetic
        })
        .collect();
    for measured in &cases {
        // Each number of callers has a scale of its own.
        let speeds = |measured: &Measured| -> Vec<(Contestant, f64)> {
            let speed = |who| Some((who, 1.0 / measured.figure(who, EACH)?.median));
            measured.case.contestants().into_iter().filter_map(speed).collect()
        };
        let same = cases.iter().filter(|other| other.case.job.callers == measured.case.job.callers);
        let most = same.flat_map(|other| speeds(other)).map(|(_, speed)| speed).fold(1.0, f64::max);
        picture.y += LINE / 2.0;
        let title = format!("{}; a sync takes: {}", measured.case.name, measured.case.disk);
        for (number_of_bar, (who, speed)) in speeds(measured).into_iter().enumerate() {
            picture.y += LINE;
            if number_of_bar == 0 {
                picture.text(12.0, "start", "font-weight=\"bold\"", &title);
            }
            picture.text(LEFT - 8.0, "end", "", &who.to_string());
            let width = (WIDTH - LEFT - RIGHT) * speed / most;
            picture.bar(width, color(who));
            picture.text(LEFT + width + 6.0, "start", "", &format!("{speed:.0}"));
        }
    }
    picture.finish()
}

/// How far each result lies from its target, with its spread, on a logarithmic scale.
pub(crate) fn targets(rows: &[Row]) -> String {
    const LEAST: f64 = 0.1;
    const MOST: f64 = 100.0;
    let mut picture =
        Picture::new("Results as multiples of their targets (right of the line: met)");
    let place = |score: f64| {
        let share = (score.clamp(LEAST, MOST) / LEAST).log10() / (MOST / LEAST).log10();
        LEFT + (WIDTH - LEFT - RIGHT) * share
    };
    let height = rows.iter().filter(|row| row.target.is_some()).count() as f64 * LINE;
    let top = picture.y + 6.0;
    for tick in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0] {
        let style = if tick == 1.0 { "stroke=\"#333\"" } else { "stroke=\"#ddd\"" };
        picture.line((place(tick), top), (place(tick), top + height), style);
        picture.text(place(tick), "middle", "fill=\"#666\"", &format!("{tick}×"));
    }
    for row in rows {
        let Some(target) = row.target else { continue };
        picture.y += LINE;
        let [operation, disk, texts] = &row.operation;
        let name = format!("{operation} ({disk}, {texts}): {}", row.with);
        picture.text(LEFT - 8.0, "end", "font-size=\"10\"", &name);
        let score = target.score(row.value.median);
        let color = if score >= 1.0 { "#2e8b57" } else { "#c0392b" };
        let y = picture.y - 4.0;
        let (a, b) = (target.score(row.value.least), target.score(row.value.most));
        let style = format!("stroke=\"{color}\" stroke-width=\"2\"");
        picture.line((place(a.min(b)), y), (place(a.max(b)), y), &style);
        let x = place(score);
        picture.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\"/>"));
        let label = format!("{}×", number(score));
        picture.text(WIDTH - 8.0, "end", &format!("fill=\"{color}\""), &label);
    }
    picture.finish()
}
