//! Money, exactly: whole pico-dollars, so that a million small sums neither gain nor lose anything.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::extra::Invalid;

/// An amount of US dollars, exact to 10⁻¹² of one. Never negative; sums saturate.
///
/// Shown in short (`$0.0031`, `$12.34`); with `{:#}`, and in JSON as a string without the sign, to its last digit. Read
/// from a decimal number or its text: `0.15`, `"0.15"`, `"$0.15"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u128);

/// Pico-dollars in a dollar.
const DOLLAR: u128 = 1_000_000_000_000;
/// Digits behind the point.
const PLACES: usize = 12;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many pico-dollars (10⁻¹² $).
    #[must_use]
    pub const fn from_pico(pico: u128) -> Self {
        Self(pico)
    }

    /// In pico-dollars (10⁻¹² $).
    #[must_use]
    pub const fn pico(self) -> u128 {
        self.0
    }

    /// In dollars, as near as a float comes: for metrics and bars, never to reckon with.
    #[must_use]
    pub fn usd(self) -> f64 {
        self.0 as f64 / DOLLAR as f64
    }

    /// The sum, or the most there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or nothing where `other` is more.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times as much, or the most there is.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(u128::from(n)))
    }

    /// The amount nearest to a decimal number, which may have an exponent and more places than an amount has: as servers
    /// and other tools' lists have them (`1.2e-05`). Read from its text, never through a float.
    ///
    /// # Errors
    /// What is no number from 0 up, or beyond reason.
    pub fn nearest(number: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("", format!("`{number}` is not an amount of US dollars"));
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| wrong())?;
        let (whole, places) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{places}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        // Digits that stand before the end of a pico-dollar.
        let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(i64::from(exponent));
        let kept = point.saturating_add(12);
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self::ZERO);
        }
        let Ok(kept) = usize::try_from(kept) else { return Ok(Self::ZERO) };
        let zeros = digits.len() - significant.len();
        if kept.saturating_sub(zeros) > 38 {
            return Err(wrong());
        }
        let head: String = digits.chars().chain(std::iter::repeat('0')).take(kept).collect();
        let up = digits.as_bytes().get(kept).is_some_and(|digit| *digit >= b'5');
        let pico: u128 = if head.is_empty() { 0 } else { head.parse().map_err(|_| wrong())? };
        Ok(Self(pico.saturating_add(u128::from(up))))
    }

    /// The digits, down to the last that is not 0 but with at least two behind the point.
    fn digits(self) -> String {
        let text = format!("{}.{:012}", self.0 / DOLLAR, self.0 % DOLLAR);
        let least = text.len() - (PLACES - 2);
        let kept = text.trim_end_matches('0').len().max(least);
        text.get(..kept).unwrap_or(&text).to_owned()
    }

    /// From four digits behind the point below a dollar (more where it takes more to show two that count), two above.
    fn rounded(self) -> Self {
        let unit = if self.0 >= DOLLAR {
            DOLLAR / 100
        } else {
            // Two digits that count, or the fourth behind the point, whichever is finer.
            let mut unit = DOLLAR / 10_000;
            while unit > 1 && self.0 > 0 && self.0 < unit * 10 {
                unit /= 10;
            }
            unit
        };
        Self(self.0.saturating_add(unit / 2) / unit * unit)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if f.alternate() { *self } else { self.rounded() };
        if shown == Self::ZERO { f.pad("$0") } else { f.pad(&format!("${}", shown.digits())) }
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

/// A decimal number as it is written: digits, perhaps a point. No sign, no exponent, at most twelve places.
impl FromStr for Money {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new(
                "",
                format!(
                    "`{text}` is not an amount of US dollars: a decimal number from 0 up, such as 0.15, with at most {PLACES} places"
                ),
            )
        };
        let number = text.trim();
        let number = number.strip_prefix('$').unwrap_or(number);
        let (whole, places) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && places.is_empty()) || !digits(whole) || !digits(places) {
            return Err(wrong());
        }
        let places = places.trim_end_matches('0');
        if places.len() > PLACES {
            return Err(wrong());
        }
        let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
        let pico = number(whole).and_then(|whole| whole.checked_mul(DOLLAR)).and_then(|whole| {
            let places = number(&format!("{places:0<PLACES$}"))?;
            whole.checked_add(places)
        });
        pico.map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.digits())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decimal;
        impl Visitor<'_> for Decimal {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of US dollars, such as 0.15 or \"0.15\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Money, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, whole: u64) -> Result<Money, E> {
                Ok(Money(u128::from(whole).saturating_mul(DOLLAR)))
            }

            fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Money, E> {
                self.visit_str(&whole.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Money, E> {
                // The shortest text that reads back as this number is the one that was written.
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Decimal)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_read_exactly() {
        for (text, pico) in [
            ("0", 0),
            ("0.15", 150_000_000_000),
            (" $1.5 ", 1_500_000_000_000),
            (".5", 500_000_000_000),
            ("2.", 2_000_000_000_000),
            ("0.000000000001", 1),
            ("0.10000000000000000", 100_000_000_000),
        ] {
            assert_eq!(money(text).pico(), pico, "{text}");
        }
        for text in ["", ".", "$", "-1", "+1", "1e3", "1,5", "0.0000000000001", "inf", "NaN", "1.2.3", "９"]
        {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
        assert!("9".repeat(60).parse::<Money>().is_err());
    }

    #[test]
    fn amounts_are_shown_in_short() {
        for (text, short) in [
            ("0", "$0"),
            ("0.0031", "$0.0031"),
            ("0.003149", "$0.0031"),
            ("0.00315", "$0.0032"),
            ("0.00000015", "$0.00000015"),
            ("0.000000000001", "$0.000000000001"),
            ("0.15", "$0.15"),
            ("0.1", "$0.10"),
            ("0.99996", "$1.00"),
            ("0.0996", "$0.0996"),
            ("12.345", "$12.35"),
            ("1000", "$1000.00"),
        ] {
            assert_eq!(money(text).to_string(), short, "{text}");
        }
        assert_eq!(format!("{:#}", money("12.345678")), "$12.345678");
    }

    #[test]
    fn json_is_a_text_and_may_be_a_number() {
        assert_eq!(serde_json::to_string(&money("0.0031")).unwrap(), r#""0.0031""#);
        for json in ["0.15", r#""0.15""#, r#""$0.15""#] {
            assert_eq!(serde_json::from_str::<Money>(json).unwrap(), money("0.15"), "{json}");
        }
        assert_eq!(serde_json::from_str::<Money>("3").unwrap(), money("3"));
        for json in ["-1", "-0.5", "null", "true"] {
            assert!(serde_json::from_str::<Money>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn numbers_of_others_are_read_from_their_text() {
        for (text, pico) in [
            ("0", 0),
            ("0.0", 0),
            ("0e99", 0),
            ("1", 1_000_000_000_000),
            ("2.5e-06", 2_500_000),
            ("2.5E-6", 2_500_000),
            ("1e2", 100_000_000_000_000),
            ("15e-06", 15_000_000),
            ("0.00014355000000000001", 143_550_000),
            ("3.0000000000000004e-06", 3_000_000),
            ("0.0000000000004", 0),
            ("0.0000000000005", 1),
            ("9.99e-13", 1),
            ("1e-400", 0),
            ("00001.5", 1_500_000_000_000),
        ] {
            assert_eq!(Money::nearest(text).unwrap().pico(), pico, "{text}");
        }
        for text in
            ["", ".", "-1", "+1", "e5", "1e", "1e99", "0x1", "1 ", "inf", "1.2.3", "1e5e5", "1e99999999999"]
        {
            assert!(Money::nearest(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_nearest_of_any_text_is_found_or_refused(text in "[-+.eE0-9]{0,30}") {
            if let (Ok(exact), Ok(nearest)) = (text.parse::<Money>(), Money::nearest(&text)) {
                prop_assert_eq!(exact, nearest);
            }
        }

        #[test]
        fn what_is_written_reads_back(pico in 0..u128::MAX / 2) {
            let amount = Money::from_pico(pico);
            prop_assert_eq!(format!("{amount:#}").parse::<Money>().unwrap(), amount);
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), amount);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Money>();
        }
    }
}
