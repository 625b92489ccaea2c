//! Amounts on the command line: spans of time, shares, numbers.

use std::str::FromStr;
use std::time::Duration;

/// A span of time: `90`, `90s`, `1.5m`, `1h30m`, `250ms`, `2d`.
///
/// # Errors
/// Says how a span is written.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 90s, 15m, 1h30m or 250ms (a plain number is seconds)".to_owned();
    let mut rest = text.trim();
    let mut seconds = 0.0_f64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let factor = match unit {
            "ms" => 0.001,
            "s" | "" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        seconds += number * factor;
        rest = tail;
    }
    // A year is as good as for ever, and cannot overflow a timer.
    Ok(Duration::from_secs_f64(seconds.min(366.0 * 86_400.0)))
}

/// A wait of a mock server: the least and the most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delay {
    /// The least.
    pub least: Duration,
    /// The most.
    pub most: Duration,
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "seconds such as 0.2, or a range such as 0.1-0.5".to_owned();
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let (least, most) = (span(least).map_err(|_| wrong())?, span(most).map_err(|_| wrong())?);
        if least > most { Err(wrong()) } else { Ok(Self { least, most }) }
    }
}

/// A share, 0 to 1.
///
/// # Errors
/// Says what is allowed.
pub fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x| (0.0..=1.0).contains(x)).ok_or("a share from 0 to 1".to_owned())
}

/// A number from 0 up.
///
/// # Errors
/// Says what is allowed.
pub fn not_negative(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0).ok_or("a number from 0 up".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_units() {
        for (text, millis) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("1.5m", 90_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1d", 86_400_000),
            ("0", 0),
        ] {
            assert_eq!(span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "-1", "5x", "1..2s", "s"] {
            assert!(span(text).is_err(), "{text}");
        }
        assert!(span("99999999999999999999d").is_ok_and(|far| far.as_secs() == 366 * 86_400));
    }

    #[test]
    fn a_delay_is_one_time_or_a_range() {
        let ms = Duration::from_millis;
        assert_eq!("0.2".parse(), Ok(Delay { least: ms(200), most: ms(200) }));
        assert_eq!("0.1-0.5".parse(), Ok(Delay { least: ms(100), most: ms(500) }));
        assert!("0.5-0.1".parse::<Delay>().is_err());
    }
}
