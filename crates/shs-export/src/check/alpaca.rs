//! Alpaca's lines.

use serde_json::Value;

use super::Problems;

pub(super) fn rules(line: &Value, problems: &mut Problems) {
    problems.text("instruction", &line["instruction"], false);
    problems.optional_text("input", &line["input"]);
    problems.optional_text("system", &line["system"]);
    if line["chosen"].is_null() && line["rejected"].is_null() {
        problems.text("output", &line["output"], false);
    } else {
        problems.text("chosen", &line["chosen"], false);
        problems.text("rejected", &line["rejected"], false);
    }
    let history = &line["history"];
    if history.is_null() {
        return;
    }
    let Some(history) = history.as_array() else {
        problems.say("history", "it is no list");
        return;
    };
    for (at, round) in history.iter().enumerate() {
        let place = format!("history[{at}]");
        match round.as_array().map(Vec::as_slice) {
            Some([question, answer]) => {
                problems.text(&format!("{place}[0]"), question, false);
                problems.text(&format!("{place}[1]"), answer, false);
            }
            _ => problems.say(place, "it is no list of a question and its answer"),
        }
    }
}
