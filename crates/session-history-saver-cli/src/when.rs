//! Dates, as people write and read them.

use jiff::tz::TimeZone;
use jiff::{Span, Zoned};
use session_history_saver::Timestamp;

/// Reads a moment: a date (midnight, local time), a date with a time (local, or with an offset), or a time ago such as `7d`.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    let zone = TimeZone::system();
    let moment = if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        moment
    } else if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        time.to_zoned(zone).map_err(|error| error.to_string())?.timestamp()
    } else if let Some(ago) = text.parse::<Span>().ok().filter(|ago| !ago.is_negative()) {
        // A day is a day of the calendar, also when the clock is changed in it.
        Zoned::now().checked_sub(ago).map_err(|error| error.to_string())?.timestamp()
    } else {
        return Err(
            "give a date such as 2026-01-31 or 2026-01-31T12:00Z, or a time ago such as 12h or 7d"
                .to_owned(),
        );
    };
    Timestamp::from_micros(moment.as_microsecond()).map_err(|error| error.detail().to_owned())
}

/// A moment in local time, to the minute.
pub(crate) fn local(moment: Timestamp) -> String {
    formatted(moment, "%Y-%m-%d %H:%M")
}

/// The day of a moment in local time.
pub(crate) fn local_day(moment: Timestamp) -> String {
    formatted(moment, "%Y-%m-%d")
}

/// The hour of a moment in local time.
pub(crate) fn local_hour(moment: Timestamp) -> String {
    formatted(moment, "%Y-%m-%d %H:00")
}

fn formatted(moment: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_microsecond(moment.as_micros()) {
        Ok(moment) => moment.to_zoned(TimeZone::system()).strftime(format).to_string(),
        // The years before -9999 and after 9999 have no local time.
        Err(_) => moment.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_times_ago_are_read() {
        let moment = |text| parse(text).unwrap().to_string();
        assert_eq!(moment("2026-01-31T12:00:00Z"), "2026-01-31T12:00:00.000000+00:00");
        assert_eq!(moment("2026-01-31T12:00+02:00"), "2026-01-31T10:00:00.000000+00:00");
        assert!(parse("2026-01-31").unwrap() < parse("2026-02-01").unwrap());
        let ago = Timestamp::now().seconds_since(parse("90m").unwrap());
        assert!((5_399.0..5_500.0).contains(&ago), "{ago}");
        assert!(parse("7d").unwrap() > parse("2 weeks").unwrap());
        for bad in ["", "yesterday", "2026-13-01", "7", "-7d", "7d ago"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
