//! The one date of an answer.

/// The seconds since 1970 of a date such as `2026-04-02T17:03:50.399550Z`; any other form is none.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, mark: char| {
        let mut numbers = text.splitn(3, mark).map(|number| number.parse::<u64>().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    };
    let (year, month, day) = numbers(date, '-')?;
    let (hour, minute, second) = numbers(time.split('.').next()?, ':')?;
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // The year begins in March, so that the day that comes and goes is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    // Counted so, the first day of 1970 is this one.
    let days = days.checked_sub(719_469)?;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates_are_seconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-03-01T00:00:00Z", Some(5_097_600)),
            ("2000-02-29T12:34:56Z", Some(951_827_696)),
            ("2026-04-02T17:03:50.399550Z", Some(1_775_149_430)),
            ("2026-13-02T17:03:50Z", None),
            ("2026-04-02T25:03:50Z", None),
            ("2026-04-02 17:03:50", None),
            ("-1-1-1T1:1:1Z", None),
            ("99999999999999999999-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
