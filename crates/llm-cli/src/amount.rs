//! Amounts on the command line: spans of time, shares, numbers, how hard to think.

use std::str::FromStr;
use std::time::Duration;

use llm_types::{ReasoningEffort, ReasoningSetting};

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

/// How much to think: a level, on or off, or the most tokens to think with.
///
/// # Errors
/// Says what is allowed.
pub fn thinking(text: &str) -> Result<ReasoningSetting, String> {
    let wrong =
        || "off, minimal, low, medium, high, xhigh, max, on, or a number of tokens such as 8000".to_owned();
    let word = text.trim().to_ascii_lowercase();
    let none = ReasoningSetting::default();
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return match word.parse::<u64>() {
            Ok(0) => Err("0 tokens is no thinking, which is written `off`".to_owned()),
            Ok(tokens) => Ok(ReasoningSetting { budget_tokens: Some(tokens), ..none }),
            Err(_) => Err(wrong()),
        };
    }
    if word == "on" {
        return Ok(ReasoningSetting { enabled: Some(true), ..none });
    }
    match ReasoningEffort::parse(&word) {
        Some(effort) => Ok(ReasoningSetting { effort: Some(effort), ..none }),
        None => Err(wrong()),
    }
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

    #[test]
    fn thinking_is_a_level_a_switch_or_a_number_of_tokens() {
        let read = |text: &str| thinking(text).map(|r| (r.effort, r.budget_tokens, r.enabled));
        for (text, effort) in
            [("off", ReasoningEffort::Off), ("none", ReasoningEffort::Off), ("Max", ReasoningEffort::Max)]
        {
            assert_eq!(read(text), Ok((Some(effort), None, None)), "{text}");
        }
        assert_eq!(read("8000"), Ok((None, Some(8000), None)));
        assert_eq!(read("on"), Ok((None, None, Some(true))));
        assert!(read("0").unwrap_err().contains("`off`"));
        for text in ["", "loud", "-1", "8k", "1.5", "99999999999999999999"] {
            assert!(read(text).unwrap_err().contains("xhigh"), "{text}");
        }
    }
}
