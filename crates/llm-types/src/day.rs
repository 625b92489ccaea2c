//! A day of the calendar, for prices that hold from one on.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::extra::Invalid;

const SECONDS: u64 = 24 * 60 * 60;

/// A day, in UTC, written `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

impl Day {
    /// The day of so many seconds since 1970.
    #[must_use]
    pub fn of_unix(seconds: u64) -> Self {
        // Days are counted from 1 March of the year 0, so that a leap day is a year's last.
        let days = seconds / SECONDS + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self {
            year: u16::try_from(year).unwrap_or(u16::MAX),
            month: u8::try_from(month).unwrap_or(12),
            day: u8::try_from(day).unwrap_or(31),
        }
    }

    fn is_real(self) -> bool {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let last = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        (1..=last).contains(&self.day)
    }
}

/// Seconds since the day began, and whether it is one from Monday to Friday.
pub(crate) const fn time_of_day(unix: u64) -> (u64, bool) {
    // 1970 began on a Thursday.
    (unix % SECONDS, (unix / SECONDS + 3) % 7 < 5)
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Day {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("", format!("`{text}` is not a day: write it as YYYY-MM-DD"));
        let shape = text.len() == 10
            && text
                .char_indices()
                .all(|(at, c)| if matches!(at, 4 | 7) { c == '-' } else { c.is_ascii_digit() });
        if !shape {
            return Err(wrong());
        }
        let number = |range| text.get(range).and_then(|part: &str| part.parse::<u16>().ok());
        let small = |range| number(range).and_then(|n| u8::try_from(n).ok());
        let (Some(year), Some(month), Some(day)) = (number(0..4), small(5..7), small(8..10)) else {
            return Err(wrong());
        };
        Some(Self { year, month, day }).filter(|day| day.is_real()).ok_or_else(wrong)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_found_and_shown() {
        for (seconds, shown) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_709_251_199, "2024-02-29"),
            (1_795_000_000, "2026-11-18"),
            (4_107_542_400, "2100-03-01"),
        ] {
            let day = Day::of_unix(seconds);
            assert_eq!(day.to_string(), shown);
            assert_eq!(shown.parse::<Day>().unwrap(), day);
        }
        assert!(Day::of_unix(u64::MAX) > Day::of_unix(0));
        // A Saturday, a Monday.
        assert_eq!(time_of_day(1_795_219_200 + 61), (61, false));
        assert_eq!(time_of_day(1_795_392_000), (0, true));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-00-10",
            "2026-02-29",
            "2100-02-29",
            "2026-04-31",
            "2026-1-01",
            "26-01-001",
            "2026/01/01",
            "２026-01-0",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_next_day_is_later_and_real(seconds in 0..4_000_000_000_u64) {
            let (day, next) = (Day::of_unix(seconds), Day::of_unix(seconds + SECONDS));
            prop_assert!(day < next);
            prop_assert_eq!(next.to_string().parse::<Day>().unwrap(), next);
        }
    }
}
