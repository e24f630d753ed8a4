//! How far an export or an import is, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

const BAR: &str = "{wide_bar} {pos} of {len} conversations, {eta} left";
const SPINNER: &str = "{spinner} {pos} conversations, {per_sec}";

/// A bar for so many conversations.
pub(crate) fn bar(conversations: u64) -> ProgressBar {
    ProgressBar::new(conversations).with_style(style(BAR))
}

/// For as many conversations as come.
pub(crate) fn spinner() -> ProgressBar {
    ProgressBar::new_spinner().with_style(style(SPINNER))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constant, and tested")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_templates_that_can_be_drawn() {
        for template in [BAR, SPINNER] {
            let bar = ProgressBar::hidden().with_style(style(template));
            bar.set_position(7);
            assert_eq!(bar.position(), 7);
        }
    }

    #[test]
    fn the_spinner_can_be_drawn() {
        assert_eq!(spinner().position(), 0);
    }
}
