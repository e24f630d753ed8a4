//! Points in time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime};

use crate::{Error, Result};

/// A point in time, UTC, in whole microseconds, from the year 1 to the year 9999.
///
/// As text it is RFC 3339 with six digits, `2026-11-22T11:30:00.123456+00:00`, which every version of
/// Python's `datetime.fromisoformat` reads too. Whatever is finer than a microsecond is cut off.
/// Times are for people: nothing is ordered by them but what says so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// `0001-01-01T00:00:00.000000+00:00`.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// `9999-12-31T23:59:59.999999+00:00`.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The current time of the operating system, kept within [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub fn now() -> Self {
        let micros = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The time so many microseconds after 1970-01-01T00:00:00Z, or before it if negative.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Result<Self> {
        if (Self::MIN.0..=Self::MAX.0).contains(&micros) {
            return Ok(Self(micros));
        }
        Err(Error::invalid(format!(
            "a time {micros} microseconds from 1970 is outside the years 1 to 9999"
        )))
    }

    /// Microseconds since 1970-01-01T00:00:00Z; negative before it.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// This time plus a duration, [`MAX`](Self::MAX) at the most.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }

    /// Seconds from `earlier` to this time; negative if it is the other way round.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e6
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from(*self);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.microsecond()
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads RFC 3339, and Python's `isoformat()`; a time without a zone is taken as UTC.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(at) = written(text) {
            return Ok(at);
        }
        let mut text = text.trim().to_owned();
        if text.as_bytes().get(10) == Some(&b' ') {
            text.replace_range(10..11, "T");
        }
        let parsed = OffsetDateTime::parse(&text, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&text, &Iso8601::PARSING))
            .or_else(|_| {
                PrimitiveDateTime::parse(&text, &Iso8601::PARSING)
                    .map(PrimitiveDateTime::assume_utc)
            });
        match parsed {
            Ok(at) => Self::try_from(at),
            Err(error) => Err(Error::invalid(format!(
                "{:?} is not a time; write it as 2026-11-22T11:30:00Z",
                text.chars().take(40).collect::<String>()
            ))
            .with_source(error)),
        }
    }
}

/// The time that was written as this text by [`Timestamp`], of which stored data has many.
fn written(text: &str) -> Option<Timestamp> {
    const FORM: &[u8; 32] = b"dddd-dd-ddTdd:dd:dd.dddddd+00:00";
    let text: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'd' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    if !text.iter().zip(FORM).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))
    };
    let small = |from: usize| u8::try_from(number(from, from + 2)).ok();
    let year = i32::try_from(number(0, 4)).ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(small(5)?).ok()?, small(8)?).ok()?;
    let at = date.with_hms_micro(small(11)?, small(14)?, small(17)?, number(20, 26)).ok()?;
    Timestamp::try_from(at.assume_utc()).ok()
}

impl TryFrom<String> for Timestamp {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}

impl TryFrom<OffsetDateTime> for Timestamp {
    type Error = Error;

    fn try_from(at: OffsetDateTime) -> Result<Self> {
        let micros = at.unix_timestamp_nanos().div_euclid(1_000);
        Self::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = Error;

    fn try_from(at: SystemTime) -> Result<Self> {
        Self::try_from(OffsetDateTime::from(at))
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(at: Timestamp) -> Self {
        Self::from_unix_timestamp_nanos(i128::from(at.0) * 1_000)
            .expect("the years 1 to 9999 are within the range of OffsetDateTime")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range_are_the_years_1_and_9999() {
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000000+00:00");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999+00:00");
        assert!(Timestamp::from_micros(Timestamp::MAX.0 + 1).is_err());
        assert!(Timestamp::from_micros(Timestamp::MIN.0 - 1).is_err());
    }

    #[test]
    fn what_is_written_comes_back() {
        for micros in [Timestamp::MIN.0, -1, 0, 1_709_164_800_000_001, Timestamp::MAX.0] {
            let at = Timestamp(micros);
            assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
            assert_eq!(written(&at.to_string()), Some(at));
        }
    }

    #[test]
    fn reads_what_python_writes_and_cuts_below_a_microsecond() {
        let read = |text: &str| text.parse::<Timestamp>().unwrap().to_string();
        assert_eq!(read("2026-11-22T11:30:00+00:00"), "2026-11-22T11:30:00.000000+00:00");
        assert_eq!(read("2026-11-22T11:30:00.123456"), "2026-11-22T11:30:00.123456+00:00");
        assert_eq!(read("2026-11-22 11:30:00.5"), "2026-11-22T11:30:00.500000+00:00");
        assert_eq!(read("2026-11-22T13:30:00.123456789+02:00"), "2026-11-22T11:30:00.123456+00:00");
        assert_eq!(read("1969-12-31T23:59:59.9999999Z"), "1969-12-31T23:59:59.999999+00:00");
        assert_eq!(read("0001-01-01T00:00:00"), "0001-01-01T00:00:00.000000+00:00");
        for bad in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "0000-12-31T23:59:59Z",
            "0000-12-31T23:59:59.000000+00:00",
            "2026-02-29T00:00:00.000000+00:00",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
