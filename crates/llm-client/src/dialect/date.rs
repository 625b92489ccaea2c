//! Dates as servers write them in JSON and in heads (RFC 3339, in UTC).

/// Reads `2026-02-04T00:00:00Z` as seconds since 1970; fractions are left out. `None` for the first moment of 1970 too: it
/// stands where nobody knows.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let (date, time) = text.trim().strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char| -> Option<[u64; 3]> {
        let parts: Vec<u64> = text.split(by).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        parts.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years begin in March here, so that the day that is sometimes there is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    let secs = days.checked_sub(719_469)? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(secs).filter(|secs| *secs > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        for (text, secs) in [
            ("2024-02-29T12:30:15Z", Some(1_709_209_815)),
            ("2026-10-21T00:00:00.123456Z", Some(1_792_540_800)),
            ("1970-01-01T00:00:01Z", Some(1)),
            ("1970-01-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-10-21", None),
            ("2026-10-21T18446744073709551615:00:00Z", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(text), secs, "{text}");
        }
    }
}
